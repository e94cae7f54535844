"""What becomes of each message: executed, accepted, rejected or unknown, each only on proof.

``accepted_through`` proves that the canister has a message, ``executed_through`` that its handler ran. Whether the
handler *trapped* is told by the message's own receipt or by a head; where neither has told,
:meth:`Settlement.wants_head` says so. The rules:

=================================  ===================================================================================
certified                          outcome
=================================  ===================================================================================
executed, own receipt or head      executed, or rejected as ``HandlerTrapped``
accepted                           accepted, where the application waits for no more
refused                            rejected with the canister's code; a skip takes the number
rejected, and a head without it    rejected; a skip takes the number
head of the closed session         what it has not accepted is rejected as ``NotExecuted``
absent after expiry, and a head    rejected as ``NotExecuted``; a skip takes the number
nothing, and no proof can come     unknown
=================================  ===================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from ...errors import CanisterRejected, IcwsError, Reason, StallError, StateViolation
from ...wire.head import MAX_TRAPPED, SessionHead
from ...wire.interface import MessageState, MessageStatus
from ...wire.service import SkipMessage, encode_service_message
from .events import Event, SendAccepted, SendExecuted, SendRejected, SendRelayed, SendUnknown
from .outbox import Entry, EntryState, Kind, Outbox

__all__ = ["Settlement"]

_CANISTER_ERROR: Final = 5  # the IC's reject code for a trap


class Settlement:
    """Decides what becomes of the messages in an outbox.

    Args:
        outbox: the messages.
        tell: takes the events for the application.
        save: stores the session before the application is told: a restart must not send what is said to be not
            executed.
        has_skips: whether a number can be skipped (secure profile).
    """

    def __init__(
        self, outbox: Outbox, tell: Callable[[Event], None], save: Callable[[], None], *, has_skips: bool
    ) -> None:
        self.executed_through = 0
        """Handlers have run for every number up to here; certified."""
        self._outbox = outbox
        self._tell_application = tell
        self._save = save
        self._has_skips = has_skips
        self._traps_known_above = 0
        self._traps_known_through = 0
        self._trapped: frozenset[int] = frozenset()

    def relayed(self, entry: Entry) -> None:
        """``entry`` was handed to the transport."""
        if entry.confirm == "relayed" and entry.send_id is not None and len(entry.calls) == 1:
            self._tell_application(SendRelayed(entry.send_id))
        if not self._has_skips and (entry.send_id is None or entry.confirm == "relayed"):
            self._outbox.drop(entry)  # in omnia/1 nothing is sent twice, and nobody waits for this one

    def progress(self, accepted_through: int, executed_through: int) -> None:
        """Take certified progress; what is lower than before is older, and changes nothing.

        Raises:
            StateViolation: the canister has accepted a number that this session never used (``StateForked``).
        """
        outbox = self._outbox
        # [ICWS-CLT-072]
        if accepted_through >= outbox.next_seq:
            raise StateViolation(
                "the canister has messages that this client never sent",
                reason=Reason.STATE_FORKED,
                requirement="ICWS-CLT-072",
                sent=outbox.next_seq - 1,
                accepted=accepted_through,
            )
        outbox.accepted_through = max(outbox.accepted_through, accepted_through)
        self.executed_through = max(self.executed_through, executed_through)
        self._settle()

    def receipt(self, entries: Sequence[Entry], last_seq: int, status: MessageStatus, look_again_at: int) -> None:
        """Take the certified status of a call; it tells about the last of the messages that the call carried.

        Args:
            entries: what the call carried and is not settled, ascending.
            last_seq: number of the last message that it carried, settled or not.
            status: from the certified reply.
            look_again_at: session time at which a message that is still behind a gap is sent again.

        Raises:
            StateViolation: as :meth:`progress`.
        """
        for entry in entries:
            self.accepted(entry, look_again_at)
            if entry.kind is Kind.RESTORED:
                entry.own_status = status.status  # had the canister another one, it would have refused all of the call
        # [ICWS-CLT-041] where the last one is settled already, its status says nothing about the others
        if entries and entries[-1].seq == last_seq:
            entries[-1].own_status = status.status
        self.progress(status.accepted_through, status.executed_through)

    def accepted(self, entry: Entry, look_again_at: int) -> None:
        """A receipt of its own says that the canister has ``entry``, in order or behind a gap."""
        entry.state = EntryState.HELD
        entry.not_before = look_again_at
        entry.was_accepted = True
        entry.rejection = None
        entry.unproven_since = None

    def head(self, head: SessionHead, not_before_ns: int) -> None:
        """Take progress and trapped numbers from a certified head, whose state is at least as new as ``not_before_ns``.

        Raises:
            StateViolation: as :meth:`progress`.
        """
        if head.executed_through >= self._traps_known_through:
            self._traps_known_through = head.executed_through
            self._trapped = frozenset(head.trapped)
            # A full list may have lost older numbers.
            self._traps_known_above = min(head.trapped) - 1 if len(head.trapped) >= MAX_TRAPPED else 0
        for entry in list(self._outbox.entries.values()):
            # [ICWS-CLT-042] no call that carried it was or can be executed, and its number is not used
            if entry.seq < head.next_in or not entry.is_void or entry.void_since_ns > not_before_ns:
                continue
            if entry.rejection is not None:
                self.reject(entry, entry.rejection)
            elif entry.withdrawn:
                self.not_executed(entry)
        self.progress(head.next_in - 1, head.executed_through)

    def closed(self, head: SessionHead) -> None:
        """Take the certified head of a closed session, which accepts nothing more.

        What it has accepted is another matter: a handler that is still running has not counted as executed yet.
        """
        for entry in list(self._outbox.entries.values()):
            # [ICWS-CLT-042]
            if entry.was_sent and entry.seq >= head.next_in:
                never = _not_executed("the session was closed before it had the message")
                self._tell(entry, partial(_rejected, error=entry.rejection or never))
                self._outbox.drop(entry)

    def acknowledged(self, through: int) -> None:
        """Take an acknowledgement of an ``omnia/1`` canister, which accepts a message only when its handler has run.

        Not so one that has answered a call before the handler ran: its acknowledgement proves nothing about that.
        """
        for entry in list(self._outbox.entries.values()):
            if entry.seq <= through and entry.own_status is MessageState.ACCEPTED and entry.confirm == "executed":
                self.unknown(entry, _unproven())
        self._traps_known_through = max(self._traps_known_through, through)
        self.progress(through, through)

    def reject(self, entry: Entry, error: IcwsError) -> None:
        """``entry`` was not executed and never will be under its number, which becomes a skip."""
        self._tell(entry, lambda send_id: SendRejected(send_id, error))
        self._skip(entry)

    def not_executed(self, entry: Entry) -> None:
        """It is certified that ``entry`` was not executed and cannot be any more, or it never left."""
        # [ICWS-CLT-042]
        self.reject(entry, _not_executed("the message was not executed"))

    def unknown(self, entry: Entry, error: IcwsError) -> None:
        """Nothing can be proven about ``entry`` any more. If its number is still free, a skip takes it."""
        self._tell(entry, lambda send_id: SendUnknown(send_id, error))
        self._skip(entry)

    def give_up(self, now: int) -> None:
        """Stop waiting for messages whose time has come: what was sent is withdrawn, the rest rejected."""
        for waiting in list(self._outbox.waiting):
            if waiting.give_up_at is not None and waiting.give_up_at <= now:
                self._outbox.withdraw(waiting)
                if waiting.send_id is not None:
                    self._tell_application(SendRejected(waiting.send_id, _not_executed("the message was not sent")))
        for entry in list(self._outbox.entries.values()):
            if entry.give_up_at is None or entry.give_up_at > now:
                continue
            entry.give_up_at = None
            if not entry.was_sent:
                self.not_executed(entry)
            elif entry.seq > self._outbox.accepted_through:
                entry.withdrawn = True

    def wants_head(self) -> bool:
        """Whether only a head can tell what became of some message."""
        return any(
            entry.seq <= self.executed_through or (entry.is_void and (entry.withdrawn or entry.rejection is not None))
            for entry in self._outbox.entries.values()
            if entry.kind is not Kind.RESTORED
        )

    def end(self, error: IcwsError) -> None:
        """The session is over: what never left was not executed, of the rest nothing more can be known."""
        never_sent = _not_executed("the session ended before the message was sent")
        for entry in list(self._outbox.entries.values()):
            # [ICWS-CLT-042]
            if not entry.was_sent:
                self._tell(entry, lambda send_id: SendRejected(send_id, never_sent))
            elif entry.confirm != "relayed":
                self._tell(entry, lambda send_id: SendUnknown(send_id, error))
            self._outbox.drop(entry)
        for waiting in list(self._outbox.waiting):
            self._outbox.withdraw(waiting)
            if waiting.send_id is not None:
                self._tell_application(SendRejected(waiting.send_id, never_sent))

    def _settle(self) -> None:
        outbox = self._outbox
        for entry in list(outbox.entries.values()):
            if entry.seq > outbox.accepted_through:
                break  # ascending
            if entry.kind is Kind.RESTORED and entry.own_status is None:
                continue  # accepted, but whether it is this one only its own receipt tells
            if entry.kind is not Kind.DATA or entry.confirm == "relayed":
                outbox.drop(entry)
            elif entry.confirm == "accepted":
                self._tell(entry, SendAccepted)
                outbox.drop(entry)
            elif entry.seq <= self.executed_through:
                self._settle_executed(entry)

    def _settle_executed(self, entry: Entry) -> None:
        known = self._traps_known_above < entry.seq <= self._traps_known_through
        if entry.own_status is MessageState.TRAPPED or (known and entry.seq in self._trapped):
            error = CanisterRejected(
                "the handler of the message trapped",
                reject_code=_CANISTER_ERROR,
                certified=True,
                reason=Reason.HANDLER_TRAPPED,
                sequence_num=entry.seq,
            )
            self._tell(entry, lambda send_id: SendRejected(send_id, error))
            self._outbox.drop(entry)
        # [ICWS-CLT-041]
        elif known or entry.own_status is MessageState.EXECUTED:
            self._tell(entry, SendExecuted)
            self._outbox.drop(entry)

    def _skip(self, entry: Entry) -> None:
        if self._has_skips and entry.seq > self._outbox.accepted_through:
            self._outbox.replace(entry, encode_service_message(SkipMessage()))
            self._save()
        else:
            self._outbox.drop(entry)

    def _tell(self, entry: Entry, event: Callable[[int], Event]) -> None:
        send_id, entry.send_id = entry.send_id, None
        if send_id is not None:
            self._tell_application(event(send_id))


def _rejected(send_id: int, error: IcwsError) -> Event:
    return SendRejected(send_id, error)


def _not_executed(words: str) -> StallError:
    return StallError(words, reason=Reason.NOT_EXECUTED, requirement="ICWS-CLT-042")


def _unproven() -> StallError:
    return StallError(
        "no proof of the message's fate can be had", reason=Reason.OUTCOME_UNKNOWN, requirement="ICWS-CLT-042"
    )
