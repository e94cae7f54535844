"""Runs that a signal ends: they leave every block they are in, so that no program that they started stays behind."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final, TypeVar

__all__ = ["run_until_told"]

T = TypeVar("T")

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


def run_until_told(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Runs what ``make`` gives to its end. SIGINT, SIGTERM and SIGHUP cancel it; a second one cuts its leaving short.

    Raises:
        SystemExit: a signal came; the status is 128 and its number, as shells have it.
    """
    told: list[signal.Signals] = []

    async def whole() -> T:
        with _cancelling(told):
            return await make()

    try:
        return asyncio.run(whole())
    except asyncio.CancelledError:
        if not told:
            raise
        print(f"icws conformance: ended by {told[0].name}", file=sys.stderr)  # noqa: T201 - the last words
        raise SystemExit(128 + told[0]) from None


@contextlib.contextmanager
def _cancelling(told: list[signal.Signals]) -> Iterator[None]:
    """While this lasts, signals cancel the present task."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel(number: signal.Signals) -> None:
        told.append(number)
        if task is not None:
            task.cancel()

    taken = []
    # event loops of some platforms know no signals, and only the main thread's loop hears them
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in _ENDS:
            loop.add_signal_handler(number, cancel, number)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
