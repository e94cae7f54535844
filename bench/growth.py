"""Whether a message costs more when there is ten times as much of something: canisters, and messages in the queue.

python bench/growth.py [--quick] [--json FILE]

Ten times the clients are in bench/crowd.py, where 10,000 are anyway.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_most, main

CLIENTS = 1_000
CLIENTS_OF_ONE = 100  # canister, where there may be ten
RUNS = 5


def canisters(count: int, pages: int, repeats: int) -> float:
    """CPU a message with so many canisters, each with its own clients and as many pages as any other."""
    messages = pages * PAGE * (repeats + 1)
    queues = [QueueSpec(n * CLIENTS_OF_ONE, CLIENTS_OF_ONE, messages) for n in range(count)]
    with Stage(queues) as stage:
        share = dict.fromkeys(range(count), pages)
        stage.release(share)  # warm
        return statistics.median(stage.release(share).cpu_us for _ in range(repeats))


def queue(pages: int, repeats: int) -> float:
    """CPU a message when so many pages become visible at once."""
    with Stage([QueueSpec(0, CLIENTS, pages * PAGE * (repeats + 1))]) as stage:
        stage.release({0: pages})  # warm
        return statistics.median(stage.release({0: pages}).cpu_us for _ in range(repeats))


def measure(quick: bool) -> Iterator[Row]:
    """Both."""
    repeats = 1 if quick else RUNS
    one = canisters(1, 2 if quick else 40, repeats)
    ten = canisters(10, 2 if quick else 40, repeats)
    yield Row("growth.canisters", ten, "us/message", ten / one, "with one canister", at_most(1.1, ratio=True))
    short = queue(2 if quick else 20, 1 if quick else 2 * RUNS)
    long = queue(20 if quick else 200, repeats)
    yield Row("growth.queue", long, "us/message", long / short, "with a tenth of it", at_most(1.1, ratio=True))


if __name__ == "__main__":
    main(__doc__, measure)
