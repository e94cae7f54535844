"""How much later a message comes because of the gateway, and how many it relays on one core.

python bench/latency.py [--quick] [--json FILE]

Times are from the moment at which a message can be polled at the IC to the moment at which a client's process has it,
round trip to the IC (20 ms) included: 1,000 clients, each run a few times; the median run counts, the best is told.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from queues import PAGE, QueueSpec
from stage import Delivery, Stage
from table import Row, at_least, at_most, main, percentile

ROUND_TRIP = 0.02
INTERVAL_MS = 100.0  # the default of poll_interval_ms
RUNS = 5


def runs(rate: float, seconds: float, quick: bool) -> list[Delivery]:
    """So many messages a second, several times."""
    clients, repeats = (50, 1) if quick else (1_000, RUNS)
    pages = max(2, int(rate * seconds / PAGE))
    with Stage([QueueSpec(0, clients, pages * PAGE * (repeats + 1))], round_trip=ROUND_TRIP) as stage:
        stage.release({0: pages}, rate)  # warm
        return [stage.release({0: pages}, rate) for _ in range(repeats)]


def delays(name: str, found: list[Delivery], percent: float, limit: float) -> Iterator[Row]:
    """Median and best run."""
    values = [percentile(delivery.delays_ms(), percent) for delivery in found]
    yield Row(f"{name}.p{percent:g}", statistics.median(values), "ms", target=at_most(limit))
    yield Row(f"{name}.p{percent:g}.best", min(values), "ms")


def measure(quick: bool) -> Iterator[Row]:
    """1,000 and 5,000 messages a second."""
    steady = runs(500 if quick else 1_000, 0.3 if quick else 3.0, quick)
    yield from delays("latency.1000_a_second", steady, 50, INTERVAL_MS)
    yield from delays("latency.1000_a_second", steady, 99, 2 * INTERVAL_MS)
    full = runs(1_000 if quick else 5_000, 0.3 if quick else 2.0, quick)
    yield Row(
        "throughput.5000_a_second",
        statistics.median(delivery.messages / delivery.seconds for delivery in full),
        "messages/s",
        target=at_least(4_800),  # the last message of a run is later than its schedule by its delay
    )
    yield from delays("throughput.5000_a_second", full, 99, 50.0 + 1e3 * ROUND_TRIP)
    yield Row(
        "throughput.5000_a_second.cpu",
        statistics.median(100 * delivery.cpu_seconds / delivery.seconds for delivery in full),
        "% of a core",
    )


if __name__ == "__main__":
    main(__doc__, measure)
