"""A canister with a long queue, 150 ms away: polls ahead beside one poll at a time.

python bench/long_queue.py [--quick] [--json FILE]
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_least, main

ROUND_TRIP = 0.15
CLIENTS = 50
SERIAL_PAGES, PAGES = 30, 400
RUNS = 3


def rates(pages: int, repeats: int, settings: dict[str, object]) -> list[float]:
    """Messages a second of some runs, from the release to the last one, in nonce order."""
    queue = QueueSpec(0, CLIENTS, repeats * pages * PAGE)
    with Stage([queue], round_trip=ROUND_TRIP, settings=settings) as stage:
        found = [stage.release({0: pages}) for _ in range(repeats)]
        stage.verify_samples()
    if not all(delivery.in_order for delivery in found):
        raise RuntimeError("messages came out of nonce order")
    return [delivery.messages / delivery.seconds for delivery in found]


def measure(quick: bool) -> Iterator[Row]:
    """Both."""
    (serial,) = rates(4 if quick else SERIAL_PAGES, 1, {"polls_ahead": 1})
    yield Row("long_queue.serial", serial, "messages/s")
    found = rates(12 if quick else PAGES, 1 if quick else RUNS, {})
    against, target = "one poll at a time", at_least(10, ratio=True)
    ahead = statistics.median(found)
    yield Row("long_queue.ahead", ahead, "messages/s", ahead / serial, against, target)
    yield Row("long_queue.ahead.best", max(found), "messages/s", max(found) / serial, against)


if __name__ == "__main__":
    main(__doc__, measure)
