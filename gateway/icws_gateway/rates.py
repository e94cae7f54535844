"""Token buckets: a rate, and a burst above it. Times are seconds of a monotonic clock."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """Allows ``rate`` units a second in the long run and ``burst`` at once.

    Args:
        rate: units a second.
        burst: units when full, which it is at first.
        now: the clock.
    """

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._at = now

    def take(self, units: float, now: float) -> bool:
        """Takes ``units`` if they are there; takes nothing otherwise."""
        left = self._left
        if now > self._at:
            left = min(self._burst, left + (now - self._at) * self._rate)
            self._at = now
        if units > left:
            self._left = left
            return False
        self._left = left - units
        return True

    def change(self, rate: float, burst: float) -> None:
        """Sets another rate and burst; what is left is kept, up to the new burst."""
        self._rate = rate
        self._burst = burst
        self._left = min(self._left, burst)

    def is_full(self, now: float) -> bool:
        """Whether nothing would be lost by forgetting this bucket."""
        return self._left + (now - self._at) * self._rate >= self._burst
