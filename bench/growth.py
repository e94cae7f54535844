"""Whether a message costs more when there is ten times as much of something: canisters, and messages in the queue.

python bench/growth.py [--quick] [--json FILE]

All else is the same. Ten times the clients are in bench/crowd.py, where 10,000 are anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from queues import PAGE, QueueSpec
from stage import Stage
from table import Row, at_most, by_turns, main

CLIENTS = 1_000
RUNS = 9


def canisters(few: int, many: int, pages: int, repeats: int) -> tuple[float, float]:
    """CPU a message with so many canisters, among which the same clients are divided; each has as many pages."""
    with ExitStack() as stack:
        costs = []
        for count in (few, many):
            clients, messages = CLIENTS // count, pages * PAGE * (repeats + 1)
            queues = [QueueSpec(n * clients, clients, messages) for n in range(count)]
            costs.append(_cost(stack.enter_context(Stage(queues)), dict.fromkeys(range(count), pages)))
        return by_turns(*costs, repeats)


def queue(short: int, long: int, repeats: int) -> tuple[float, float]:
    """CPU a message when so many pages become visible at once."""
    with ExitStack() as stack:
        costs = []
        for pages in (short, long):
            spec = QueueSpec(0, CLIENTS, pages * PAGE * (repeats + 1))
            costs.append(_cost(stack.enter_context(Stage([spec])), {0: pages}))
        return by_turns(*costs, repeats)


def _cost(stage: Stage, pages: Mapping[int, int]) -> Callable[[], float]:
    stage.release(pages)  # warm
    return lambda: stage.release(pages).cpu_us


def measure(quick: bool) -> Iterator[Row]:
    """Both."""
    one, ten = canisters(1, 10, 2 if quick else 40, 1 if quick else RUNS)
    yield Row("growth.canisters", ten, "us/message", ten / one, "with one canister", at_most(1.1, ratio=True))
    short, long = queue(*(2, 20) if quick else (20, 200), 1 if quick else RUNS)
    yield Row("growth.queue", long, "us/message", long / short, "with a tenth of it", at_most(1.1, ratio=True))


if __name__ == "__main__":
    main(__doc__, measure)
