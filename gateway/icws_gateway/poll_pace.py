"""When to poll a canister next.

All times are seconds of one monotonic clock that the caller reads.

* While messages come, polls start an interval apart; after a while of silence they slow down.
* When more messages come than one reply holds in that time, polls start as soon as a reply is likely to be full; each
  one that finds nothing doubles the time to the next, up to the interval.
* A reply that says that more is there is followed at once.
* A relayed call that was executed usually has an answer in the queue: a poll starts at once and again 100 and 300 ms
  later, because the replica that is asked may be a block behind the one that executed the call.
* Polls that fail are spaced out, doubling with jitter, until one succeeds or a call was executed.
"""

from __future__ import annotations

import heapq
import math
from typing import Final

__all__ = ["PollPace"]

_AFTER_EXECUTION: Final = (0.1, 0.3)  # seconds, besides the poll at once
_FIRST_BACKOFF: Final = 0.25  # seconds
_MEMORY: Final = 1.0  # seconds over which the rate of messages is averaged
_NEVER: Final = float("inf")


class PollPace:
    """The schedule of one canister's polls.

    Args:
        interval: seconds between polls while messages come.
        idle_interval: seconds between polls in silence.
        idle_after: seconds without a message after which it is silence.
        min_gap: least seconds between the starts of two polls.
        longest_backoff: most seconds to wait after failures.
        now: the clock.
    """

    def __init__(
        self,
        *,
        interval: float,
        idle_interval: float,
        idle_after: float,
        min_gap: float,
        longest_backoff: float,
        now: float,
    ) -> None:
        self._interval = interval
        self._idle_interval = max(idle_interval, interval)
        self._idle_after = idle_after
        self._min_gap = min_gap
        self._longest_backoff = longest_backoff
        self._regular_at = now
        self._last_start = now - min_gap
        self._last_activity = now
        self._at_once = False
        self._more = False
        self._slots: list[int] = []
        self._failures = 0
        self._blocked_until = now
        self._page = 0  # messages of the last reply that was full
        self._rate = 0.0  # messages a second, averaged
        self._counted_at = now
        self._empty = 0  # replies without a message, in a row

    @property
    def failures(self) -> int:
        """Failures since the last poll that succeeded."""
        return self._failures

    def executed(self, now: float) -> None:
        """A relayed call of one of the canister's clients was executed."""
        self._last_activity = now
        self._at_once = True
        # whoever executes calls is alive: the pause after failures is over, but not the interval between attempts
        self._blocked_until = min(self._blocked_until, max(now, self._last_start + self._interval))
        for delay in _AFTER_EXECUTION:
            # Times are kept on a grid of the least gap, so that any number of calls a second needs few entries.
            slot = int((now + delay) / self._min_gap) + 1
            if slot not in self._slots:
                heapq.heappush(self._slots, slot)

    def started(self, now: float) -> None:
        """A poll at the place that is due starts."""
        self._last_start = now
        self._regular_at = now + self._interval
        self._at_once = self._more = False
        while self._slots and self._slots[0] * self._min_gap <= now:
            heapq.heappop(self._slots)

    def brought(self, now: float, messages: int) -> None:
        """So many messages are new, from whichever poll; this is what the rate is counted by."""
        weight = math.exp(-max(0.0, now - self._counted_at) / _MEMORY)
        self._rate = self._rate * weight + messages / _MEMORY
        self._counted_at = now

    def replied(self, now: float, *, messages: int, more: bool) -> None:
        """A poll succeeded with so many messages; ``more`` says that the queue goes on."""
        self._failures = 0
        self._blocked_until = now
        self._empty = 0 if messages else self._empty + 1
        if messages:
            self._last_activity = now
        self._more = more
        if more:
            self._page = messages
            self._regular_at = now
            return
        idle = now - self._last_activity > self._idle_after
        self._regular_at = max(now, self._last_start + (self._idle_interval if idle else self._until_full()))

    def _until_full(self) -> float:
        """Seconds in which a reply is likely to fill, at most the interval."""
        if not self._rate or not self._page:
            return self._interval
        return min(self._interval, self._page / self._rate * 2.0 ** min(self._empty, 16))

    def failed(self, now: float, jitter: float) -> None:
        """A poll failed. ``jitter`` is uniform in 0..1."""
        self._failures += 1
        pause = min(self._longest_backoff, _FIRST_BACKOFF * 2.0 ** min(self._failures - 1, 16))
        self._blocked_until = now + pause * (0.5 + jitter / 2)

    def due_at(self, in_flight: int) -> float:
        """When the next poll at the place that is due should start, given how many for it are under way."""
        hurried = self._last_start if self._at_once else self._slots[0] * self._min_gap if self._slots else _NEVER
        # A poll under way may have been answered before the call was executed; one more is worth it, not a third.
        if in_flight == 0:
            at = min(hurried, self._regular_at)
        elif in_flight == 1:
            at = hurried
        else:
            return _NEVER
        gap = 0.0 if self._more else self._min_gap
        return max(at, self._last_start + gap, self._blocked_until)
