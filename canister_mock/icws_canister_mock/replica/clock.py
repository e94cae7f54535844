"""Where a replica takes the time from: the machine, a fixed start, or the hand of a test."""

from __future__ import annotations

import time
from typing import Protocol

from icws_secure.errors import MisuseError, Reason

__all__ = ["Clock", "ManualClock", "StartedClock", "SystemClock"]


class Clock(Protocol):
    """Gives the present time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970."""


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970, of the machine."""
        return time.time_ns()


class StartedClock:
    """A clock that starts at a given time and runs at the machine's pace.

    Args:
        start_ns: nanoseconds since 1970 at the moment of construction.
    """

    def __init__(self, start_ns: int) -> None:
        self._offset_ns = start_ns - time.monotonic_ns()

    def now_ns(self) -> int:
        """Nanoseconds since 1970, counted from the given start."""
        return self._offset_ns + time.monotonic_ns()


class ManualClock:
    """A clock that stands still until it is moved.

    A replica that is served looks at it at least once in its idle block time; ``make_blocks`` makes it look at once.

    Args:
        now_ns: nanoseconds since 1970.
    """

    def __init__(self, now_ns: int) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """Nanoseconds since 1970, as last set."""
        return self._now_ns

    def advance(self, by_ns: int) -> None:
        """Move the clock forward.

        Args:
            by_ns: nanoseconds, 0 or more.

        Raises:
            MisuseError: ``by_ns`` is negative: block times never decrease.
        """
        if by_ns < 0:
            raise MisuseError("a replica's clock does not go back", reason=Reason.INVALID_ARGUMENT, by_ns=by_ns)
        self._now_ns += by_ns
