"""Messages on their way to the canister: queue, numbers, window.

A message waits without a number until the canister's window has room; then it is numbered and sealed once, and keeps
number and bytes from there on, however often it is sent. What becomes of it is decided in :mod:`.settlement`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from ...errors import IcwsError, MisuseError, Reason
from ...limits import MAX_CARRIERS, MAX_CLOCK_SKEW_NS, STATUS_KEPT_NS
from ...wire.envelope import Envelope
from ...wire.interface import ClientKey, MessageState, WebsocketMessage
from ...wire.service import SkipMessage, encode_service_message
from .config import Confirm

__all__ = ["Carrier", "Entry", "EntryState", "Kind", "Outbox", "Waiting"]


class Kind(StrEnum):
    """What a message is."""

    DATA = "data"
    KEEP_ALIVE = "keep-alive"
    CLOSE = "close"
    SKIP = "skip"
    """Takes the place of a number that will not be used."""
    RESTORED = "restored"
    """Of a saved session: it is sent again, and its receipt tells whether the canister has this one or another."""


class EntryState(StrEnum):
    """Where a numbered message is."""

    READY = "ready"
    """To be sent, for the first time or again."""
    IN_FLIGHT = "in flight"
    """Sent; its receipt is to come."""
    HELD = "held"
    """Accepted by its own receipt: executed, being executed, or kept behind a gap."""


@dataclass(slots=True)
class Waiting:
    """A message without a number.

    Attributes:
        kind: data, keep-alive or close; the content of the last two is made when they are numbered.
        data: the application's bytes; empty for service messages.
        send_id: of the application's send; None for service messages.
        confirm: what the application waits for.
        give_up_at: session time at which it stops waiting, or None.
    """

    kind: Kind
    data: bytes = field(default=b"", repr=False)
    send_id: int | None = None
    confirm: Confirm = "accepted"
    give_up_at: int | None = None


@dataclass(slots=True)
class Carrier:
    """A call that carried a message, and of which it is not known that it came to nothing.

    Attributes:
        seqs: numbers of the messages that it carried.
        sent_ns: IC time at which it first left; it was not executed before.
        expires_ns: IC time of its ingress expiry; it is not executed after.
        ask_at: session time before which the IC is not asked what became of it.
    """

    seqs: tuple[int, ...]
    sent_ns: int
    expires_ns: int
    ask_at: int = 0


@dataclass(slots=True)
class Entry:
    """A numbered message.

    Attributes:
        message: as sent; only a skip takes its place.
        kind: what it is.
        send_id: None for service messages, and once the application was told the outcome.
        confirm: what the application waits for.
        give_up_at: session time at which it stops waiting, or None.
        state: where it is.
        own_status: what its own certified receipt said.
        not_before: session time before which it is not sent again.
        attempts: how often it was refused for the time being.
        was_sent: whether it ever left.
        was_accepted: whether a receipt of its own has said that the canister took it, in order or behind a gap.
        withdrawn: the application has stopped waiting; the message is not sent again, and its fate is to be proven.
        alone: never again in a batch.
        envelope: the latest call that carried it alone; it is sent again while it lives.
        calls: those that carried it, by request id.
        void_since_ns: certified time at which the last call that is no longer among them came to nothing.
        beyond_proof: that all of its calls came to nothing can no longer be proven.
        unproven_since: session time since which a proof is sought for the application, or None.
        rejection: certified rejection of its call; a head will show whether its number was used.
    """

    message: WebsocketMessage
    kind: Kind
    send_id: int | None = None
    confirm: Confirm = "accepted"
    give_up_at: int | None = None
    state: EntryState = EntryState.READY
    own_status: MessageState | None = None
    not_before: int = 0
    attempts: int = 0
    was_sent: bool = False
    was_accepted: bool = False
    withdrawn: bool = False
    alone: bool = False
    envelope: Envelope | None = field(default=None, repr=False)
    calls: dict[bytes, Carrier] = field(default_factory=dict)
    void_since_ns: int = 0
    beyond_proof: bool = False
    unproven_since: int | None = None
    rejection: IcwsError | None = None

    @property
    def seq(self) -> int:
        """The sequence number."""
        return self.message.sequence_num

    @property
    def size(self) -> int:
        """Bytes that count for the window."""
        return len(self.message.content)

    @property
    def is_void(self) -> bool:
        """Whether every call that carried it is certified to have come to nothing."""
        return not self.calls and not self.beyond_proof

    def came_to_nothing(self, request_id: bytes, time_ns: int) -> None:
        """The call ``request_id`` was not executed and never will be, or has refused the message, at that time."""
        if self.calls.pop(request_id, None) is not None:
            self.void_since_ns = max(self.void_since_ns, time_ns)

    def absent(self, request_id: bytes, time_ns: int) -> None:
        """A certificate of time ``time_ns``, after the call's expiry, does not show the call ``request_id``."""
        carrier = self.calls.get(request_id)
        if carrier is None:
            return
        # [ICWS-CLT-046] had it been executed at once, the IC may have forgotten it by now
        if time_ns > carrier.sent_ns + STATUS_KEPT_NS - MAX_CLOCK_SKEW_NS:
            self.beyond_proof = True
        self.came_to_nothing(request_id, time_ns)


class Outbox:
    """The queue and the numbered messages of one session.

    Args:
        client_key: of the session.
        max_messages: how many messages of the application may wait or be outstanding.
        max_bytes: and how many bytes of them.
        next_seq: first number that was never used.
    """

    def __init__(self, client_key: ClientKey, *, max_messages: int, max_bytes: int, next_seq: int = 1) -> None:
        self.client_key = client_key
        self.next_seq = next_seq
        """The next number."""
        self.accepted_through = 0
        """The canister has every number up to here; certified."""
        self.waiting: deque[Waiting] = deque()
        self.entries: dict[int, Entry] = {}
        """Numbered and not settled, by ascending number."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages = 0
        self._bytes = 0

    # queue

    def put(self, waiting: Waiting) -> None:
        """Queue a message of the application.

        Raises:
            MisuseError: the queue is full (``LimitExceeded``).
        """
        if self._messages >= self._max_messages or self._bytes + len(waiting.data) > self._max_bytes:
            raise MisuseError(
                "the send queue is full", reason=Reason.LIMIT_EXCEEDED, messages=self._messages, bytes=self._bytes
            )
        self._messages += 1
        self._bytes += len(waiting.data)
        self.waiting.append(waiting)

    def put_keep_alive(self) -> None:
        """Queue a keep-alive in front of everything that waits, unless one is there."""
        if not any(item.kind is Kind.KEEP_ALIVE for item in self.waiting):
            self.waiting.appendleft(Waiting(Kind.KEEP_ALIVE))

    def put_close(self) -> None:
        """Queue the client's close behind everything else."""
        self.waiting.append(Waiting(Kind.CLOSE))

    def withdraw(self, waiting: Waiting) -> None:
        """Take back a message that waits."""
        self.waiting.remove(waiting)
        self._release(waiting.kind, len(waiting.data))

    def number(self, content: bytes, timestamp_ns: int) -> Entry:
        """Give the next number to the first message that waits.

        Args:
            content: what is sent: the sealed data, or the encoded service message.
            timestamp_ns: IC time.
        """
        waiting = self.waiting.popleft()
        message = WebsocketMessage(
            client_key=self.client_key,
            sequence_num=self.next_seq,
            timestamp_ns=timestamp_ns,
            is_service_message=waiting.kind is not Kind.DATA,
            content=content,
        )
        entry = Entry(message, waiting.kind, waiting.send_id, waiting.confirm, waiting.give_up_at)
        self.entries[self.next_seq] = entry
        self.next_seq += 1
        self._release(waiting.kind, len(waiting.data))
        if waiting.kind is Kind.DATA:
            self._messages += 1
            self._bytes += entry.size
        return entry

    def restore(self, message: WebsocketMessage) -> None:
        """Put back a saved message; it goes out again with its number and bytes. [ICWS-CLT-043]"""
        # A skip stays one: that the canister has something else under its number is no fork.
        is_skip = message.is_service_message and message.content == encode_service_message(SkipMessage())
        kind = Kind.SKIP if is_skip else Kind.RESTORED
        self.entries[message.sequence_num] = Entry(message, kind, was_sent=True, alone=is_skip)

    def drop(self, entry: Entry) -> None:
        """Forget a message that is settled."""
        if self.entries.pop(entry.seq, None) is not None and entry.kind is Kind.DATA:
            self._release(Kind.DATA, entry.size)

    def unnumber(self, entry: Entry) -> None:
        """Forget a message whose number was certainly not used; if it was the last one, it is given again (omnia)."""
        self.drop(entry)
        if entry.seq == self.next_seq - 1:
            self.next_seq -= 1

    def replace(self, entry: Entry, content: bytes) -> None:
        """Let a skip take the place of ``entry``; ``content`` is the encoded skip."""
        if entry.kind is Kind.DATA:
            self._release(Kind.DATA, entry.size)
        message = WebsocketMessage(
            client_key=entry.message.client_key,
            sequence_num=entry.seq,
            timestamp_ns=entry.message.timestamp_ns,
            is_service_message=True,
            content=content,
        )
        self.entries[entry.seq] = Entry(message, Kind.SKIP, alone=True)

    # sending

    def unaccepted(self) -> list[Entry]:
        """Numbered messages that the canister has not accepted in order, as far as is certified."""
        return [entry for entry in self.entries.values() if entry.seq > self.accepted_through]

    def has_room(self, size: int, *, executed_through: int, window_messages: int, window_bytes: int) -> bool:
        """Whether the canister's window has room for one more message of ``size`` bytes; always for a first."""
        ahead = self.unaccepted()
        if not ahead:
            return True
        if self.next_seq > executed_through + window_messages:
            return False
        return sum(entry.size for entry in ahead) + size <= window_bytes

    def ready(self, now: int) -> Iterator[Entry]:
        """Numbered messages that may be sent now, ascending."""
        for entry in self.entries.values():
            if self._is_due(entry) and entry.not_before <= now:
                yield entry

    def next_ready_at(self) -> int | None:
        """Session time at which the next numbered message may be sent; in the past where one is ready."""
        return min((entry.not_before for entry in self.entries.values() if self._is_due(entry)), default=None)

    def sent(self, entry: Entry, request_id: bytes, carrier: Carrier) -> None:
        """``entry`` was handed to the transport in the call ``request_id``, perhaps again."""
        entry.state = EntryState.IN_FLIGHT
        entry.was_sent = True
        entry.calls.setdefault(request_id, carrier)
        while len(entry.calls) > MAX_CARRIERS:
            del entry.calls[next(iter(entry.calls))]
            entry.beyond_proof = True

    def send_again(self, entry: Entry, not_before: int) -> None:
        """The call that carried ``entry`` came to nothing: the same bytes go out again under the same number."""
        if entry.state is EntryState.IN_FLIGHT:
            entry.state = EntryState.READY
            entry.not_before = not_before
            entry.attempts += 1

    def send_unaccepted_again(self) -> None:
        """A new attachment: whatever the canister has not accepted goes out again, and what was restored."""
        for entry in self.entries.values():
            if entry.seq > self.accepted_through or (entry.kind is Kind.RESTORED and entry.own_status is None):
                entry.state = EntryState.READY
                entry.not_before = 0

    def next_give_up_at(self) -> int | None:
        """Session time at which the application stops waiting for a message."""
        times = [item.give_up_at for item in self.waiting]
        times += [entry.give_up_at for entry in self.entries.values()]
        return min((time for time in times if time is not None), default=None)

    def _is_due(self, entry: Entry) -> bool:
        # What the canister keeps behind a gap it may drop after a time; so it is not left there for good.
        held = entry.state is EntryState.HELD and entry.seq > self.accepted_through
        return (held or entry.state is EntryState.READY) and not entry.withdrawn

    def _release(self, kind: Kind, size: int) -> None:
        if kind is Kind.DATA:
            self._messages -= 1
            self._bytes -= size
