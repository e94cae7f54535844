"""Notices that an ``omnia/1`` canister has forgotten its queue and counts from the start again.

Such a canister (upgraded, or dropping the queue of a gateway that it believed gone) answers every poll at the old place
with nothing, for ever. So after some empty answers while calls were executed two questions are put: is the last message
that was delivered still there, and if not, what is at nonce 0? Only messages below our place, under a certificate that
is not older than the newest one seen, say that the queue is a new one. An empty answer still decides nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum, auto
from typing import Final

from .queue_cursor import TOMBSTONE_LEAF

__all__ = ["ProbeVerdict", "RestartProbe"]

_EMPTY_ANSWERS: Final = 3
_FIRST_PAUSE: Final = 2.0  # seconds
_LONGEST_PAUSE: Final = 60.0  # seconds


class ProbeVerdict(Enum):
    """What the answer to a probe says."""

    NOTHING = auto()
    RESTARTED = auto()


class RestartProbe:
    """Decides when to probe, where, and what the answer means. Times are seconds of a monotonic clock.

    Args:
        now: the clock.
    """

    def __init__(self, now: float) -> None:
        self._not_before = now
        self._pause = _FIRST_PAUSE
        self._executed = False
        self._empty = 0
        self._ask_start = False

    def executed(self) -> None:
        """A relayed call was executed, which usually leaves something in the queue."""
        self._executed = True

    def polled(self, *, messages: bool) -> None:
        """The place that is due was polled."""
        if messages:
            self._executed, self._empty, self._ask_start, self._pause = False, 0, False, _FIRST_PAUSE
        elif self._executed:
            self._empty += 1

    def wanted(self, position: int, now: float) -> int | None:
        """The nonce to probe, or None if there is no cause. ``position`` is the nonce that is due next."""
        # [ICWS-GWY-019]
        if position == 0 or self._empty < _EMPTY_ANSWERS or now < self._not_before:
            return None
        self._not_before = now + self._pause
        return 0 if self._ask_start else position - 1

    def answered(
        self,
        nonce: int,
        first: tuple[int, Hashable] | None,
        *,
        position: int,
        known: Hashable | None,
        fresh: bool,
        delivered: Hashable | None = None,
    ) -> ProbeVerdict:
        """Judges the answer to a probe.

        Args:
            nonce: where the probe was.
            first: nonce and content hash of the first message of the answer, None if it was empty.
            position: the nonce that is due next.
            known: content hash of the message before it, if it is still known.
            fresh: the answer's certificate is not older than the newest one seen.
            delivered: content hash of the message that was delivered under the first one's nonce, if it is still known.
        """
        if first is None:
            if nonce:
                # the last message is gone: trimmed, or the queue is another one; the start will tell
                self._ask_start = True
                self._not_before = 0.0
            else:
                self._rest()
            return ProbeVerdict.NOTHING
        found, leaf = first
        # a message that was taken away leaves a tombstone in the same queue
        replaced = found == position - 1 and known is not None and leaf not in (known, TOMBSTONE_LEAF)
        # [ICWS-GWY-019] with the last message gone nothing below it can be left of the old queue
        below = self._ask_start and nonce == 0 and found < position
        # [ICWS-GWY-006] what was delivered from there is still there: it is the old queue, and a node left its end out
        if delivered is not None and delivered == leaf:
            below = False
        if fresh and (replaced or below):
            self._executed, self._empty, self._ask_start, self._pause = False, 0, False, _FIRST_PAUSE
            return ProbeVerdict.RESTARTED
        self._rest()
        return ProbeVerdict.NOTHING

    def _rest(self) -> None:
        self._executed, self._empty, self._ask_start = False, 0, False
        self._pause = min(self._pause * 2, _LONGEST_PAUSE)
