"""A canister with a long queue, 150 ms away: polls ahead beside one poll at a time.

python bench/long_queue.py [--quick] [--json FILE]
"""

from __future__ import annotations

from collections.abc import Iterator

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_least, main

ROUND_TRIP = 0.15
CLIENTS = 50
SERIAL_PAGES, PAGES = 30, 400


def rate(pages: int, settings: dict[str, object]) -> float:
    """Messages a second, from the release to the last one, in nonce order."""
    with Stage([QueueSpec(0, CLIENTS, pages * PAGE)], round_trip=ROUND_TRIP, settings=settings) as stage:
        delivery = stage.release({0: pages})
        if not delivery.in_order:
            raise RuntimeError("messages came out of nonce order")
        stage.verify_samples()
        return delivery.messages / delivery.seconds


def measure(quick: bool) -> Iterator[Row]:
    """Both."""
    serial = rate(4 if quick else SERIAL_PAGES, {"polls_ahead": 1})
    yield Row("long_queue.serial", serial, "messages/s")
    ahead = rate(12 if quick else PAGES, {})
    yield Row("long_queue.ahead", ahead, "messages/s", ahead / serial, "one poll at a time", at_least(10, ratio=True))


if __name__ == "__main__":
    main(__doc__, measure)
