"""The canister's stream as the client takes it: which verified message may come next, and what the application has.

:meth:`InboundStream.check` only checks; :meth:`InboundStream.commit` changes the stream. In between the caller reads
the content, so that a message whose content is refused has changed nothing.

Numbers run on over attachments. An attachment starts again at the first message that the application has not *taken*;
what was delivered to it already is compared with what comes again and not delivered twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ...errors import MessageViolation, MisuseError, OrderViolation, Reason, StallError, StateViolation
from ...verify.message import VerifiedMessage
from ...wire.message import CanisterMessage

__all__ = ["InboundStream", "Incoming"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that may come now.

    Attributes:
        message: the message.
        nonce: its place in the gateway's queue.
        content_sha256: hash of its bytes.
        certificate_time_ns: time of its certificate.
        is_new: whether it has not been delivered before.
    """

    message: CanisterMessage
    nonce: int
    content_sha256: bytes
    certificate_time_ns: int
    is_new: bool


@dataclass(frozen=True, slots=True)
class _Delivered:
    """A message that was delivered and that the application has not taken yet."""

    seq: int
    is_service: bool
    size: int
    content_sha256: bytes
    timestamp_ns: int


class InboundStream:
    """Order of one session's messages from the canister.

    Args:
        taken_through: last number that the application has, 0 for a new session.
        taken_timestamp_ns: its timestamp.
    """

    COUNTERS: Final = (
        "stream_taken_through",
        "stream_taken_timestamp",
        "stream_received_through",
        "stream_next",
        "stream_last_nonce",
        "stream_attach_nonce",
        "stream_timestamp",
        "stream_retained_below",
        "stream_max_age",
        "stream_max_retained_age",
    )
    """Names of the numbers that :meth:`counters` gives."""

    def __init__(self, taken_through: int = 0, taken_timestamp_ns: int = 0) -> None:
        self.taken_through = taken_through
        """Last number that the application has taken; service messages before the next one count as taken."""
        self.taken_timestamp_ns = taken_timestamp_ns
        self.received_through = taken_through
        """Last number that was delivered."""
        self._untaken: deque[_Delivered] = deque()
        self._next = taken_through + 1
        self._last_nonce = -1
        self._attach_nonce = -1
        self._timestamp_ns = taken_timestamp_ns
        self._retained_below = 0
        self._max_age_ns = 0
        self._max_retained_age_ns = 0

    def counters(self) -> dict[str, int]:
        """The stream as numbers, for evidence: what the next message is checked against."""
        values = (
            self.taken_through,
            self.taken_timestamp_ns,
            self.received_through,
            self._next,
            self._last_nonce,
            self._attach_nonce,
            self._timestamp_ns,
            self._retained_below,
            self._max_age_ns,
            self._max_retained_age_ns,
        )
        return dict(zip(self.COUNTERS, values, strict=True))

    @classmethod
    def from_counters(cls, counters: Mapping[str, int]) -> InboundStream:
        """A stream that checks the next new message as the one that gave ``counters`` did."""
        stream = cls()
        (
            stream.taken_through,
            stream.taken_timestamp_ns,
            stream.received_through,
            stream._next,
            stream._last_nonce,
            stream._attach_nonce,
            stream._timestamp_ns,
            stream._retained_below,
            stream._max_age_ns,
            stream._max_retained_age_ns,
        ) = (counters[name] for name in cls.COUNTERS)
        return stream

    @property
    def resume_from(self) -> int:
        """The next message that the application has not been given. [ICWS-CLT-070]"""
        return self.taken_through + 1

    @property
    def next_seq(self) -> int:
        """The number that the next message must have."""
        return self._next

    @property
    def untaken_messages(self) -> int:
        """Delivered messages that the application has not taken."""
        return len(self._untaken)

    def begin(
        self,
        *,
        resume_from: int,
        resumed_after_ns: int,
        attach_nonce: int,
        retained_below: int,
        max_age_ns: int,
        max_retained_age_ns: int,
    ) -> None:
        """An attachment was verified; its messages start where its open said.

        The application may have taken more since the open was sent: that comes again, and is not delivered twice.

        Args:
            resume_from: :attr:`resume_from` when the open was sent.
            resumed_after_ns: and :attr:`taken_timestamp_ns` then.
            attach_nonce: nonce of the attach message; -1 where there is none (omnia).
            retained_below: ``next_out`` of the attach message: lower numbers were queued before, and may be older.
            max_age_ns: age limit of messages queued after the attach.
            max_retained_age_ns: age limit of those queued before.
        """
        self._next = resume_from
        self._timestamp_ns = resumed_after_ns
        self._attach_nonce = attach_nonce
        self._last_nonce = attach_nonce
        self._retained_below = retained_below
        self._max_age_ns = max_age_ns
        self._max_retained_age_ns = max_retained_age_ns

    def is_earlier(self, nonce: int) -> bool:
        """Whether an entry with ``nonce`` was queued before this attachment."""
        return nonce < self._attach_nonce

    def check(self, verified: VerifiedMessage, ic_now: int) -> Incoming | None:
        """Check whether a verified message may come now; nothing changes but the nonce of what is dropped.

        Args:
            verified: the message.
            ic_now: the calibrated clock.

        Returns:
            the message, or None for one that is dropped: queued before this attachment, or a tombstone.

        Raises:
            OrderViolation: nonce or sequence number.
            MessageViolation: the timestamp decreases.
            StallError: the message is too old.
            StateViolation: a number that was delivered comes again with another content (``StateRollback``).
        """
        # [ICWS-CLT-027] of an earlier attachment through the same gateway
        if self.is_earlier(verified.nonce):
            return None
        # [ICWS-CLT-027]
        if verified.nonce <= self._last_nonce:
            raise OrderViolation(
                "the nonce is not above the last one",
                reason=Reason.NONCE_NOT_INCREASING,
                requirement="ICWS-CLT-027",
                last=self._last_nonce,
                received=verified.nonce,
            )
        message = verified.message
        if message is None:
            self._last_nonce = verified.nonce
            return None
        # [ICWS-CLT-029]
        if message.sequence_num != self._next:
            raise OrderViolation(
                "the sequence number is not the next one",
                reason=Reason.WRONG_SEQUENCE_NUMBER,
                requirement="ICWS-CLT-029",
                expected=self._next,
                received=message.sequence_num,
            )
        # [ICWS-CLT-030]
        if message.timestamp_ns < self._timestamp_ns:
            raise MessageViolation(
                "the timestamp is before that of an earlier message",
                reason=Reason.TIMESTAMP_DECREASING,
                requirement="ICWS-CLT-030",
                last=self._timestamp_ns,
                received=message.timestamp_ns,
            )
        is_new = message.sequence_num > self.received_through
        if is_new:
            self._check_age(message, ic_now)
        else:
            self._check_same(message, verified.content_sha256)
        return Incoming(message, verified.nonce, verified.content_sha256, verified.certificate_time_ns, is_new)

    def commit(self, incoming: Incoming) -> None:
        """Take a checked message into the stream.

        Raises:
            MisuseError: another one was taken since it was checked.
        """
        message = incoming.message
        if message.sequence_num != self._next or incoming.nonce <= self._last_nonce:
            raise MisuseError("the message was checked against an older stream", reason=Reason.WRONG_STATE)
        self._next += 1
        self._last_nonce = incoming.nonce
        self._timestamp_ns = message.timestamp_ns
        if not incoming.is_new:
            return
        self.received_through = message.sequence_num
        self._untaken.append(
            _Delivered(
                message.sequence_num,
                message.is_service_message,
                len(message.content),
                incoming.content_sha256,
                message.timestamp_ns,
            )
        )
        self._skip_service()

    def take(self, through_seq: int) -> tuple[int, int]:
        """The application has every message up to ``through_seq``.

        Returns:
            number and bytes of the messages that this took.

        Raises:
            MisuseError: a number that was not delivered.
        """
        if through_seq > self.received_through:
            raise MisuseError("that message was not delivered yet", received=self.received_through, taken=through_seq)
        count = size = 0
        while self._untaken and self._untaken[0].seq <= through_seq:
            size += self._untaken[0].size
            count += 1
            self._pop()
        self._skip_service()
        return count, size

    def _skip_service(self) -> None:
        while self._untaken and self._untaken[0].is_service:
            self._pop()

    def _pop(self) -> None:
        taken = self._untaken.popleft()
        self.taken_through = taken.seq
        self.taken_timestamp_ns = taken.timestamp_ns

    def _check_age(self, message: CanisterMessage, ic_now: int) -> None:
        retained = message.sequence_num < self._retained_below
        limit = self._max_retained_age_ns if retained else self._max_age_ns
        # [ICWS-CLT-031]
        if ic_now - message.timestamp_ns > limit:
            raise StallError(
                "the message is too old",
                reason=Reason.MESSAGE_TOO_OLD,
                requirement="ICWS-CLT-031",
                age_ns=ic_now - message.timestamp_ns,
                limit_ns=limit,
            )

    def _check_same(self, message: CanisterMessage, content_sha256: bytes) -> None:
        # Delivered and not taken: these are contiguous. What was taken meanwhile is not kept, and not compared.
        place = message.sequence_num - self.resume_from
        if not 0 <= place < len(self._untaken) or self._untaken[place].content_sha256 == content_sha256:
            return
        # [ICWS-CLT-062]
        raise StateViolation(
            "a message comes again with another content",
            reason=Reason.STATE_ROLLBACK,
            requirement="ICWS-CLT-062",
            sequence_num=message.sequence_num,
        )
