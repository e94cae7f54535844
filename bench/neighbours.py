"""Whether one client that does not read, or one canister that is stopped, slows the others down.

python bench/neighbours.py [--quick] [--json FILE]

The 99th percentile of the others' delays, before and during, in one run: of all messages of several releases, since of
those of one it is only the twenty slowest.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from queues import PAGE, QueueSpec
from stage import Delivery, Stage
from table import Row, at_most, main, percentile

RATE = 1_000.0
ROUND_TRIP = 0.02
RUNS = 5
STALLED = 0
HEAVY_EVERY, HEAVY_BYTES = 5, 8_192  # what the stalled client is sent, so that it fills every buffer there is


def others(delivery: Delivery, without: int) -> Iterator[float]:
    """Milliseconds, of all clients of the first canister but one."""
    pairs = zip(delivery.clients[0], delivery.delays_ms(), strict=True)
    return (delay for client, delay in pairs if client != without)


def stalled_reader(quick: bool) -> Iterator[Row]:
    """One client stops to read; its frames pile up until it is turned away, and during that the others are timed."""
    clients, pages, repeats = (50, 6, 1) if quick else (1_000, 40, RUNS)
    messages = pages * PAGE * (2 * repeats + 1)
    queue = QueueSpec(0, clients, messages, heavy_every=HEAVY_EVERY, heavy_content=HEAVY_BYTES)
    settings = {"queue_frames": 64 if quick else 512}
    with Stage([queue], round_trip=ROUND_TRIP, settings=settings) as stage:
        stage.release({0: pages}, RATE)  # warm
        before = [ms for _ in range(repeats) for ms in others(stage.release({0: pages}, RATE), STALLED)]
        stage.stall(STALLED)
        alone = partial(stage.release, {0: pages}, RATE, without=STALLED)
        during = [ms for _ in range(repeats) for ms in others(alone(), STALLED)]
    yield from rows("neighbours.stalled_reader", before, during)


def stopped_canister(quick: bool) -> Iterator[Row]:
    """Of two canisters one stops; the clients of the other are timed."""
    clients, pages, repeats = (25, 6, 1) if quick else (500, 40, RUNS)
    messages = pages * PAGE * (2 * repeats + 1)
    queues = [QueueSpec(0, clients, messages), QueueSpec(clients, clients, messages)]
    both, one = {0: pages, 1: pages}, {0: pages}
    with Stage(queues, round_trip=ROUND_TRIP) as stage:
        stage.release(both, RATE / 2)  # warm
        before = [ms for _ in range(repeats) for ms in others(stage.release(both, RATE / 2), -1)]
        stage.stop_canister(1)
        during = [ms for _ in range(repeats) for ms in others(stage.release(one, RATE / 2), -1)]
    yield from rows("neighbours.stopped_canister", before, during)


def rows(name: str, before: list[float], during: list[float]) -> Iterator[Row]:
    """Before and during."""
    first, second = percentile(before, 99), percentile(during, 99)
    yield Row(f"{name}.p99.before", first, "ms")
    yield Row(f"{name}.p99.during", second, "ms", second / first, "before", at_most(1.1, ratio=True))


def measure(quick: bool) -> Iterator[Row]:
    """Both."""
    yield from stalled_reader(quick)
    yield from stopped_canister(quick)


if __name__ == "__main__":
    main(__doc__, measure)
