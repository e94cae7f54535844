"""Ten thousand clients on one process: memory, CPU while nothing happens, and what a message costs beside 1,000.

"Nothing" is polls of a silent canister and pings, from ten seconds after the last client came. Secure clients get
certified heads besides, at the interval of a gateway that was not told another.

python bench/crowd.py [--quick] [--json FILE]
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_most, main

from icws_gateway.config import GatewayConfig

RATE = 2_500.0
RUNS = 3


def message_cost(stage: Stage, pages: int, repeats: int) -> float:
    """CPU a message, microseconds; the median of some runs."""
    stage.release({0: pages}, RATE)  # warm
    return statistics.median(stage.release({0: pages}, RATE).cpu_us for _ in range(repeats))


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    few, many, pages, repeats, seconds = (20, 200, 4, 1, 0.2) if quick else (1_000, 10_000, 100, RUNS, 10.0)
    messages = pages * PAGE * (repeats + 1)
    with Stage([QueueSpec(0, few, messages)]) as stage:
        small = message_cost(stage, pages, repeats)
    with Stage([QueueSpec(0, many, messages)]) as stage:
        yield Row(f"idle.memory.{many}", stage.idle_bytes / 1024, "KiB/client", target=at_most(20))
        stage.idle(seconds)  # after that polls are as rare as they get
        yield Row(f"idle.cpu.{many}", 100 * stage.idle(seconds), "% of a core", target=at_most(5))
        large = message_cost(stage, pages, repeats)
        yield Row("growth.clients", large, "us/message", large / small, f"with {few} clients", at_most(1.1, ratio=True))
    yield from secure(quick)


def secure(quick: bool) -> Iterator[Row]:
    """Secure clients that say nothing, with their heads."""
    clients, seconds = (200, 0.2) if quick else (10_000, 10.0)
    settings = {"head_interval_seconds": GatewayConfig().head_interval_seconds}
    with Stage([QueueSpec(0, clients, PAGE)], modern=True, settings=settings) as stage:
        yield Row(f"idle.memory.{clients}.secure", stage.idle_bytes / 1024, "KiB/client")
        stage.idle(seconds)
        yield Row(f"idle.cpu.{clients}.secure", 100 * stage.idle(seconds), "% of a core")


if __name__ == "__main__":
    main(__doc__, measure)
