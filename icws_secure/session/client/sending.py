"""Sending: what is handed over when, by which way, and in which call.

Every message is a call of the session key. Its number and bytes are fixed when it first leaves; its envelope lives
for a minute at most, and is made anew for the same number and bytes when it has expired. What the answers mean is in
:mod:`.receipts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, get_args

from ...errors import MisuseError, Reason
from ...limits import BATCH_MESSAGES, MAX_CONTENT_BYTES, NS_PER_S
from ...wire.envelope import Envelope
from ...wire.frames import ClientFrame
from ...wire.interface import encode_message_argument, encode_message_batch_argument
from ...wire.service import CloseMessage, CloseReason, KeepAliveMessage, SessionCloseReason, encode_service_message
from .actions import SendFrame
from .attachment import Attachment
from .config import Confirm
from .core import Purpose, SessionCore, What
from .outbox import Carrier, Entry, EntryState, Kind, Waiting
from .submissions import Submission, Submissions

__all__ = ["Sender"]

_REUSE_MARGIN_NS: Final = 5 * NS_PER_S  # an envelope that expires sooner is not sent again
_LEGACY_ASK_NS: Final = 1 * NS_PER_S  # a gateway without receipts: when the client asks itself


class Sender:
    """Hands the messages of one session over.

    Args:
        core: the session.
        submissions: takes note of each call.
    """

    def __init__(self, core: SessionCore, submissions: Submissions) -> None:
        self._core = core
        self._submissions = submissions
        self._last_send_id = 0
        self._taken_messages = 0  # since the last keep-alive
        self._taken_bytes = 0

    def send(self, data: bytes, confirm: Confirm) -> int:
        """Queue a message of the application; returns its send id.

        Raises:
            MisuseError: it is too large, the queue is full, or ``confirm`` is none of the three.
        """
        core = self._core
        if confirm not in get_args(Confirm):
            raise MisuseError(
                f"confirm is {' or '.join(get_args(Confirm))}",
                reason=Reason.INVALID_ARGUMENT,
                received=repr(confirm)[:40],
            )
        limit = MAX_CONTENT_BYTES if core.parameters is None else core.parameters.max_content_bytes
        if core.config.channel is not None:
            limit -= core.config.channel.overhead
            core.config.channel.check(data)
        if len(data) > limit:
            raise MisuseError("the message is too large", reason=Reason.TOO_LARGE, limit=limit, size=len(data))
        timeout = core.config.send_timeout_ns
        give_up_at = None if timeout is None else core.now + timeout
        core.outbox.put(Waiting(Kind.DATA, data, self._last_send_id + 1, confirm, give_up_at))
        self._last_send_id += 1
        return self._last_send_id

    def taken(self, messages: int, size: int) -> None:
        """The application has taken so much more; the canister is told before what it retains runs full."""
        self._taken_messages += messages
        self._taken_bytes += size
        parameters = self._core.parameters
        if parameters is not None and (
            4 * self._taken_messages >= parameters.retained_messages
            or 4 * self._taken_bytes >= parameters.retained_bytes
        ):
            self._core.outbox.put_keep_alive()

    def attached(self) -> None:
        """An attachment is verified: what is not accepted goes out again, and an idle client shows that it is there."""
        outbox = self._core.outbox
        outbox.send_unaccepted_again()
        if self._core.is_secure and outbox.next_ready_at() is None and not outbox.waiting:
            outbox.put_keep_alive()

    def lost(self, attachment: Attachment) -> None:
        """An attachment is over: its gateway gives no more receipts."""
        core = self._core
        for submission in self._submissions:
            if submission.by_gateway and submission.serial == attachment.serial:
                self._submissions.finish(submission)
                core.calls.drop(submission.request_id)
                for entry in entries_of(core, submission):
                    core.outbox.send_again(entry, core.now)

    def flush(self) -> None:
        """Hand over everything that order and windows allow."""
        core = self._core
        attachment = core.attached
        if attachment is None:
            return
        self._number()
        slots = self._slots(attachment)
        due = list(core.outbox.ready(core.now))
        while due and slots > 0:
            group = self._group(due, slots)
            due = due[len(group) :]
            if self._is_followed(group[0]):
                group[0].state = EntryState.IN_FLIGHT  # a direct call of an earlier attachment still runs
                continue
            self._submit(attachment, group)
            slots -= 1

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`flush` has something to send again."""
        core = self._core
        time = core.outbox.next_ready_at()
        # What is due and was not sent waits for a slot, which an answer makes free and no deadline.
        return time if core.attached is not None and time is not None and time > core.now else None

    def _number(self) -> None:
        core = self._core
        outbox = core.outbox
        numbered = False
        while outbox.waiting and self._has_room(outbox.waiting[0]):
            outbox.number(self._content(outbox.waiting[0]), core.ic)
            numbered = True
        if numbered:
            core.save()

    def _has_room(self, waiting: Waiting) -> bool:
        core = self._core
        if core.parameters is None:
            # In omnia/1 a number that was not used must be given again, so one at a time where it can come back.
            is_direct = core.attached is not None and self._is_direct(core.attached)
            return len(core.outbox.entries) < (1 if is_direct else core.config.max_queued_messages)
        overhead = 0 if core.config.channel is None else core.config.channel.overhead
        return core.outbox.has_room(
            len(waiting.data) + overhead,
            executed_through=core.settlement.executed_through,
            window_messages=core.parameters.window_messages,
            window_bytes=core.parameters.window_bytes,
        )

    def _content(self, waiting: Waiting) -> bytes:
        core = self._core
        if waiting.kind is Kind.KEEP_ALIVE:
            self._taken_messages = self._taken_bytes = 0
            # [ICWS-CLT-051]
            return encode_service_message(KeepAliveMessage(core.inbound.taken_through))
        if waiting.kind is Kind.CLOSE:
            close = CloseMessage(CloseReason.CLOSED_BY_APPLICATION, SessionCloseReason.CLIENT_CLOSED)
            return encode_service_message(close)
        channel = core.config.channel
        return waiting.data if channel is None else channel.seal(core.outbox.next_seq, waiting.data)

    def _slots(self, attachment: Attachment) -> int:
        """How many more calls may be in flight."""
        core = self._core
        if core.is_secure:
            return core.config.max_in_flight - self._submissions.message_calls()
        if self._is_direct(attachment):
            # An omnia canister takes nothing out of order, and nobody else keeps the order.
            return 1 - self._submissions.message_calls()
        return core.config.max_queued_messages

    def _is_direct(self, attachment: Attachment) -> bool:
        return attachment.is_direct or self._core.config.send_via == "direct"

    def _group(self, due: Sequence[Entry], slots: int) -> list[Entry]:
        """The messages of the next call: one, or a run of consecutive numbers where the canister takes batches."""
        parameters = self._core.parameters
        group = [due[0]]
        if parameters is None or "batch" not in parameters.features or due[0].alone or len(due) <= slots:
            return group
        size = due[0].size
        for entry in due[1:]:
            size += entry.size
            fits = len(group) < BATCH_MESSAGES and size <= MAX_CONTENT_BYTES
            if not fits or entry.alone or entry.seq != group[-1].seq + 1 or self._is_followed(entry):
                break
            group.append(entry)
        return group

    def _is_followed(self, entry: Entry) -> bool:
        return any(self._core.calls.is_open(request_id) for request_id in entry.calls)

    def _submit(self, attachment: Attachment, group: list[Entry]) -> None:
        core = self._core
        envelope = self._envelope_for(group)
        by_gateway = not self._is_direct(attachment)
        seqs = tuple(entry.seq for entry in group)
        submission = Submission(envelope, seqs, attachment.serial, by_gateway, core.now)
        for entry in group:
            carrier = Carrier(seqs, core.ic, envelope.content.ingress_expiry_ns)
            core.outbox.sent(entry, submission.request_id, carrier)
            core.settlement.relayed(entry)
        if not by_gateway:
            self._submissions.add(submission)
            core.calls.post(Purpose(What.MESSAGE, attachment.serial), core.identity, envelope)
            return
        submission.receipt_due = self._receipt_due(attachment, group)
        if attachment.has_subprotocol or submission.receipt_due is not None:
            self._submissions.add(submission)
        core.act(SendFrame(ClientFrame(envelope).encode()))

    def _envelope_for(self, group: list[Entry]) -> Envelope:
        """The same envelope while it lives, then a new one for the same numbers and bytes."""
        core = self._core
        if len(group) > 1:
            batch = encode_message_batch_argument(tuple(entry.message for entry in group))
            return core.sign_call("ws_message_batch", batch, core.config.message_ttl_ns)
        entry = group[0]
        # [ICWS-CLT-043]
        if entry.envelope is None or entry.envelope.content.ingress_expiry_ns < core.ic + _REUSE_MARGIN_NS:
            argument = encode_message_argument(entry.message)
            entry.envelope = core.sign_call("ws_message", argument, core.config.message_ttl_ns)
        return entry.envelope

    def _receipt_due(self, attachment: Attachment, group: list[Entry]) -> int | None:
        core = self._core
        if attachment.has_subprotocol:
            return core.now + core.config.receipt_timeout_ns
        if core.is_secure or any(entry.send_id is not None and entry.confirm != "relayed" for entry in group):
            return core.now + _LEGACY_ASK_NS
        return None  # an omnia gateway gives no receipts; the acknowledgement has to do


def entries_of(core: SessionCore, submission: Submission) -> list[Entry]:
    """What an open call carried and is not settled."""
    return carried_by(core, submission.request_id, submission.seqs)


def carried_by(core: SessionCore, request_id: bytes, seqs: Sequence[int]) -> list[Entry]:
    """What a call carried and is not settled; not what took the number of such a message since."""
    found = (core.outbox.entries.get(seq) for seq in seqs)
    return [entry for entry in found if entry is not None and request_id in entry.calls]
