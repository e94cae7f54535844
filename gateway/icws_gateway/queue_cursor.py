"""The place in one canister's queue, and what may be delivered next.

The canister numbers the messages of each gateway's queue with consecutive nonces; a poll at nonce n returns a few
messages from n on. Several polls may be under way, their answers come from replicas of different heights and in any
order. The cursor takes the answers and gives out messages strictly by nonce, each once:

* an answer that is ahead waits until the messages before it have come;
* an answer that begins after the place that was asked for is a gap: the place is asked again, and skipped only when
  the same is said twice (the canister trims its queue at the front);
* an empty answer changes nothing;
* what was seen before is compared by hash and dropped; another content under the same nonce is a replica's fault,
  unless it is that of a tombstone: the canister has taken the message away.

Nothing here knows of time or sockets.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeVar

__all__ = ["TOMBSTONE_LEAF", "CursorConflict", "QueueCursor", "QueueEntry", "Run"]

TOMBSTONE_LEAF: Final = sha256(b"").digest()
"""Hash of the content of a message that the canister has removed: its nonce stays, its content is empty."""

_REMEMBERED: Final = 512  # nonces whose hash is kept after delivery, to recognise what comes again
_FULL_REPLIES: Final = 2  # in a row, after which the queue counts as long
_NARROWER: Final = 0.8  # of the window, when the end of the queue was reached
_GAP_ANSWERS: Final = 2  # equal answers after which a gap is believed


class QueueEntry(Protocol):
    """What the cursor must know of a message."""

    @property
    def nonce(self) -> int:
        """Its number in the gateway's queue."""

    @property
    def leaf(self) -> Hashable:
        """Hash of its content, as the witness has it."""

    @property
    def size(self) -> int:
        """Bytes that it occupies while it waits."""


_Entry = TypeVar("_Entry", bound=QueueEntry)
_Reply = TypeVar("_Reply")


class CursorConflict(Exception):  # noqa: N818 - named for what is wrong
    """Two answers have different messages under one nonce, or an answer is not in order."""


@dataclass(frozen=True, slots=True)
class Run(Generic[_Reply, _Entry]):
    """Messages of one reply that are due now, in order."""

    reply: _Reply
    entries: list[_Entry]


class QueueCursor(Generic[_Reply, _Entry]):
    """Order of one queue.

    Args:
        most_ahead: polls that may be under way at successive places.
        most_waiting_bytes: contents that may wait for their predecessors; what is beyond is polled for again.

    Attributes:
        gaps: how often places of the queue were skipped.
        let_go: messages that came too early to be kept.
    """

    def __init__(self, most_ahead: int, most_waiting_bytes: int = 8 << 20) -> None:
        self._most_waiting_bytes = most_waiting_bytes
        self._most_ahead = most_ahead
        self._position: int | None = None
        self._asked: dict[int, int] = {}
        self._waiting: dict[int, tuple[_Reply, _Entry]] = {}
        self._waiting_bytes = 0
        self._delivered: OrderedDict[int, Hashable] = OrderedDict()
        self._window = 1.0
        self._slow_start_below = float(most_ahead)
        self._since_shrunk = 0
        self._stride = 0
        self._full_replies = 0
        self._gap: tuple[int, int] | None = None
        self._gap_answers = 0
        self.gaps = 0
        self.let_go = 0

    @property
    def position(self) -> int:
        """The nonce that is due next; 0 before the first message, whatever its nonce will be."""
        return self._position or 0

    @property
    def is_placed(self) -> bool:
        """Whether the place in the queue is known."""
        return self._position is not None

    @property
    def window(self) -> int:
        """How many polls are worth having under way now."""
        return int(self._window)

    @property
    def in_flight(self) -> int:
        """How many polls are under way."""
        return sum(self._asked.values())

    def asked_at(self, nonce: int) -> int:
        """How many polls for ``nonce`` are under way."""
        return self._asked.get(nonce, 0)

    def leaf_at(self, nonce: int) -> Hashable | None:
        """Hash of a message that was delivered not long ago."""
        return self._delivered.get(nonce)

    def next_ahead(self) -> int | None:
        """A place ahead of the one that is due where a poll would help, because the queue is known to be long; None if
        there is none, or enough polls are under way."""
        if self._position is None or self._full_replies < _FULL_REPLIES or self.in_flight >= self.window:
            return None
        nonce = self._position
        while nonce in self._asked or nonce in self._waiting:
            nonce += self._stride
        # more replies than polls allowed must not pile up behind one that is slow
        return nonce if nonce < self._position + self._stride * self._most_ahead * 2 else None

    def started(self, nonce: int) -> None:
        """A poll at ``nonce`` is under way. It must end with :meth:`failed` or :meth:`received`."""
        self._asked[nonce] = self._asked.get(nonce, 0) + 1

    def failed(self, nonce: int) -> None:
        """The poll at ``nonce`` brought nothing that can be used; whatever was there is asked for again."""
        self._ended(nonce)
        self._forget_window()

    def received(
        self, nonce: int, reply: _Reply, entries: Sequence[_Entry], *, more: bool
    ) -> list[Run[_Reply, _Entry]]:
        """Takes the answer to the poll at ``nonce``.

        Args:
            nonce: the place that was asked for.
            reply: kept with its messages, for the shell.
            entries: the messages, as the reply has them.
            more: the reply says that the queue goes on.

        Returns:
            What is to be delivered now, in order; often nothing.

        Raises:
            CursorConflict: the answer contradicts itself or an earlier one; nothing of it was taken.
        """
        self._ended(nonce)
        if not entries:
            # [ICWS-GWY-006] an empty answer decides nothing; it may come from a replica that is behind
            self._narrow()
            return []
        self._check(nonce, entries)
        if self._position is None:
            self._position = entries[0].nonce
        self._note_length(len(entries), more=more)
        self._note_gap(nonce, entries[0].nonce)
        if not self._waiting and self._is_next(entries):
            return [self._pass_on(reply, entries)]
        for entry in entries:
            self._keep(reply, entry)
        return self._due()

    def restart(self) -> None:
        """The canister lost its queue and counts anew: the next answer from the start is where it begins."""
        self._position = None
        self._waiting.clear()
        self._waiting_bytes = 0
        self._delivered.clear()
        self._forget_window()
        self._stride, self._gap, self._gap_answers = 0, None, 0

    def _ended(self, nonce: int) -> None:
        left = self._asked.get(nonce, 1) - 1
        if left:
            self._asked[nonce] = left
        else:
            self._asked.pop(nonce, None)

    def _check(self, nonce: int, entries: Sequence[_Entry]) -> None:
        last = nonce - 1
        for entry in entries:
            if entry.nonce <= last:
                raise CursorConflict("the nonces of a reply do not increase from the one asked for")
            last = entry.nonce
            waiting = self._waiting.get(last)
            known = self._delivered.get(last) if waiting is None else waiting[1].leaf
            # [ICWS-GWY-006] overlaps are recognised by nonce and content
            if known is not None and known != entry.leaf and TOMBSTONE_LEAF not in (known, entry.leaf):
                raise CursorConflict("two replies have different messages under one nonce")

    def _note_length(self, count: int, *, more: bool) -> None:
        """Widens the window while replies are full, narrows it when one is not."""
        if not more:
            self._narrow()
            return
        self._since_shrunk += 1
        self._stride = count
        self._full_replies += 1
        if self._full_replies >= _FULL_REPLIES:
            # as TCP does: twice as wide each round trip, and by one once the width is known that was too much
            step = 1.0 if self._window < self._slow_start_below else 1.0 / self._window
            self._window = min(self._window + step, self._most_ahead)

    def _narrow(self) -> None:
        """The end was reached. Counts once for all polls that were under way together."""
        self._since_shrunk += 1
        if self._since_shrunk >= self._window:
            self._since_shrunk = 0
            self._window = self._slow_start_below = self._window * _NARROWER
            if self._window < 2.0:
                self._forget_window()  # whatever comes next is another queue

    def _forget_window(self) -> None:
        self._window, self._slow_start_below, self._full_replies = 1.0, float(self._most_ahead), 0

    def _note_gap(self, nonce: int, first: int) -> None:
        """Counts answers that say that nothing is between ``nonce`` and ``first``."""
        if nonce != self._position or first == nonce:
            return
        # [ICWS-GWY-006] a gap is asked for again; only what is said twice is believed
        if self._gap != (nonce, first):
            self._gap, self._gap_answers = (nonce, first), 0
        self._gap_answers += 1
        if self._gap_answers >= _GAP_ANSWERS:
            self.gaps += 1
            self._position, self._gap, self._gap_answers = first, None, 0

    def _is_next(self, entries: Sequence[_Entry]) -> bool:
        """Whether all of a reply is due; its nonces increase, as :meth:`_check` has made sure."""
        first = entries[0].nonce
        return first == self._position and entries[-1].nonce - first == len(entries) - 1

    def _pass_on(self, reply: _Reply, entries: Sequence[_Entry]) -> Run[_Reply, _Entry]:
        """What :meth:`_keep` and :meth:`_due` make of a reply that is next while nothing waits, as nearly all are."""
        delivered = self._delivered
        for entry in entries:
            delivered[entry.nonce] = entry.leaf
        self._position = entries[-1].nonce + 1
        self._forget_old()
        return Run(reply, list(entries))

    def _keep(self, reply: _Reply, entry: _Entry) -> None:
        position = self.position
        if entry.nonce < position or entry.nonce in self._waiting:
            return
        # the message that is due is always kept, whatever waits behind it
        if entry.nonce > position and self._waiting_bytes + entry.size > self._most_waiting_bytes:
            self.let_go += 1
            return
        self._waiting[entry.nonce] = (reply, entry)
        self._waiting_bytes += entry.size

    def _due(self) -> list[Run[_Reply, _Entry]]:
        runs: list[Run[_Reply, _Entry]] = []
        position = self.position
        # [ICWS-GWY-006] strictly by nonce
        while (found := self._waiting.pop(position, None)) is not None:
            reply, entry = found
            self._waiting_bytes -= entry.size
            if not runs or runs[-1].reply is not reply:
                runs.append(Run(reply, []))
            runs[-1].entries.append(entry)
            self._delivered[position] = entry.leaf
            position += 1
        self._position = position
        self._forget_old()
        if runs and self._waiting and min(self._waiting) < position:
            self._forget_passed(position)
        return runs

    def _forget_old(self) -> None:
        while len(self._delivered) > _REMEMBERED:
            self._delivered.popitem(last=False)

    def _forget_passed(self, position: int) -> None:
        """Drops what waited at places that a believed gap skipped."""
        for nonce in [nonce for nonce in self._waiting if nonce < position]:
            self._waiting_bytes -= self._waiting.pop(nonce)[1].size
