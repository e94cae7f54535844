"""Ten thousand clients on one process: memory, CPU while nothing happens, and what a message costs beside 1,000.

"Nothing" is polls of a silent canister and pings, from ten seconds after the last client came. Secure clients get
certified heads besides, at the interval of a gateway that was not told another.

python bench/crowd.py [--quick] [--json FILE]
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_most, by_turns, main

from icws_gateway.config import GatewayConfig

RATE = 2_500.0
RUNS = 7


def measure(quick: bool) -> Iterator[Row]:
    """All rows."""
    few, many, pages, repeats, seconds = (20, 200, 4, 1, 0.2) if quick else (1_000, 10_000, 100, RUNS, 10.0)
    messages = pages * PAGE * (repeats + 1)
    with Stage([QueueSpec(0, many, messages)]) as crowd:
        yield Row(f"idle.memory.{many}", crowd.idle_bytes / 1024, "KiB/client", target=at_most(20))
        crowd.idle(seconds)  # after that polls are as rare as they get
        yield Row(f"idle.cpu.{many}", 100 * crowd.idle(seconds), "% of a core", target=at_most(5))
        with Stage([QueueSpec(0, few, messages)]) as beside:
            costs = [partial(_cost, stage, pages) for stage in (beside, crowd)]
            for cost in costs:
                cost()  # warm
            small, large = by_turns(*costs, repeats)
        yield Row("growth.clients", large, "us/message", large / small, f"with {few} clients", at_most(1.1, ratio=True))
    yield from secure(quick)


def _cost(stage: Stage, pages: int) -> float:
    """CPU a message, microseconds."""
    return stage.release({0: pages}, RATE).cpu_us


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
