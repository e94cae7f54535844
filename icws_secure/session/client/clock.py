"""The session's two clocks: one that only goes forward, for deadlines, and one that is calibrated, for certified times.

The shell gives wall-clock time, which may be set back, jump ahead, or be wrong. Deadlines are kept in *session time*:
it advances with the wall clock and stands still when that is set back, so that no deadline is pushed out of reach.
*IC time* is the wall clock plus the correction that a certificate gave, and is what certified times and ingress
expiries are compared with.
"""

from __future__ import annotations

__all__ = ["SessionClock"]


class SessionClock:
    """Converts between wall-clock, session and IC time, all in nanoseconds since 1970."""

    __slots__ = ("_offset", "_wall", "now")

    def __init__(self) -> None:
        self._wall: int | None = None
        self._offset = 0
        self.now = 0
        """Session time of the last input."""

    def advance(self, wall: int) -> int:
        """Take a new wall-clock time; returns the session time."""
        if self._wall is None:
            self.now = wall
        else:
            self.now += max(0, wall - self._wall)
        self._wall = wall
        return self.now

    def calibrate(self, offset_ns: int) -> None:
        """Correct IC time: it is the wall clock plus ``offset_ns`` from now on."""
        self._offset = offset_ns

    @property
    def offset_ns(self) -> int:
        """The correction in use."""
        return self._offset

    @property
    def wall(self) -> int:
        """Wall-clock time of the last input."""
        return self._wall or 0

    @property
    def ic(self) -> int:
        """IC time of the last input."""
        return self.wall + self._offset

    def to_wall(self, session_time: int) -> int:
        """The wall-clock time at which session time will be ``session_time``."""
        return self.wall + (session_time - self.now)
