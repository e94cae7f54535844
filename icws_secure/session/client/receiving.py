"""Receiving: from verified messages to what the application is told.

A message goes through :func:`icws_secure.verify.message.verify_messages` (steps of its own, then step 9), then
through the stream (:mod:`.inbound`), and only then is its content read: opened by the payload channel, or taken as a
service message. Whatever fails ends the attachment, and nothing after it is delivered. [ICWS-CLT-032]
"""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import MessageViolation, OrderViolation, Reason
from ...verify.message import MessageSource, VerifiedMessage, verify_messages
from ...wire.frames import KeyedContent
from ...wire.message import CanisterMessage
from ...wire.service import AckMessage, AttachMessage, CloseMessage, ServiceMessage, SkipMessage, decode_service_message
from .attachment import Attachment
from .core import SessionCore
from .endings import end_of_close_message
from .events import Message
from .inbound import Incoming
from .opening import Opener
from .table import Phase

__all__ = ["Receiver"]


class Receiver:
    """Takes the canister's messages of one session, from gateways and from polls alike.

    Args:
        core: the session.
        opener: takes messages while the attachment is opening.
    """

    def __init__(self, core: SessionCore, opener: Opener) -> None:
        self._core = core
        self._opener = opener
        self.last_ack = 0
        """Highest number that the canister acknowledged."""
        self.last_ack_at: int | None = None
        """Session time of the last acknowledgement."""

    def messages(self, attachment: Attachment, messages: Sequence[KeyedContent], cert: bytes, tree: bytes) -> None:
        """Verify messages under one certificate and take them in order.

        Raises:
            DecodeError, CertificateError, MessageViolation, OrderViolation, AttachViolation, StallError,
                PayloadViolation: the attachment is to end.
            StateViolation, SessionEnded: the session is over.
        """
        core = self._core
        if attachment.gateway is None or attachment.phase not in (Phase.OPENING, Phase.ATTACHED):
            raise MessageViolation("a message before the open", reason=Reason.UNEXPECTED_FRAME)
        source = MessageSource(core.config.canister_id, attachment.gateway, core.client_key)
        # [ICWS-CLT-021] [ICWS-CLT-033] the frame is verified whole before any of it is used
        verified = verify_messages(messages, cert, tree, verifier=core.verifier, source=source, now=core.ic)
        if core.certified is not None:
            core.certified.saw_time(verified[0].certificate_time_ns)
        for item in verified:
            if attachment.phase is Phase.OPENING:
                self._opener.opening_message(item)
            else:
                self._message(item)

    def _message(self, verified: VerifiedMessage) -> None:
        core = self._core
        message = verified.message
        if message is not None and core.is_secure and message.sequence_num == 0:
            self._attach_message_again(message, verified)
            return
        incoming = core.inbound.check(verified, core.ic)
        if incoming is None:
            return
        if incoming.message.is_service_message:
            self._service(incoming, decode_service_message(incoming.message.content))
            return
        channel = core.config.channel
        data = incoming.message.content
        if channel is not None and incoming.is_new:
            data = channel.open(incoming.message.sequence_num, data)
        self._commit(incoming)
        if incoming.is_new:
            core.tell(Message(incoming.message.sequence_num, data, incoming.message.timestamp_ns))

    def _commit(self, incoming: Incoming) -> None:
        core = self._core
        if core.certified is not None:
            core.certified.at_least("next_out", incoming.message.sequence_num + 1, incoming.certificate_time_ns)
        core.inbound.commit(incoming)

    def _attach_message_again(self, message: CanisterMessage, verified: VerifiedMessage) -> None:
        service = decode_service_message(message.content) if message.is_service_message else None
        if isinstance(service, AttachMessage):
            self._opener.check_not_taken(service)
            # [ICWS-CLT-027] of an earlier attachment through the same gateway
            if self._core.inbound.is_earlier(verified.nonce):
                return
        # [ICWS-CLT-036]
        raise _misplaced(message)

    def _service(self, incoming: Incoming, service: ServiceMessage) -> None:
        core = self._core
        if isinstance(service, AckMessage):
            self._check_ack(service, incoming.is_new)
            self._commit(incoming)
            if incoming.is_new:
                self._acknowledged(service, incoming)
        elif isinstance(service, CloseMessage):
            self._commit(incoming)
            # [ICWS-CLT-035]
            raise end_of_close_message(service)
        elif isinstance(service, SkipMessage) and core.is_secure:
            self._commit(incoming)
        else:
            # [ICWS-CLT-036]
            raise _misplaced(incoming.message)

    def _check_ack(self, ack: AckMessage, is_new: bool) -> None:
        sent_through = self._core.outbox.next_seq - 1
        # [ICWS-CLT-034]
        if ack.last_incoming_sequence_num > sent_through:
            raise OrderViolation(
                "the canister acknowledges what was never sent",
                reason=Reason.ACK_OUT_OF_RANGE,
                requirement="ICWS-CLT-034",
                sent=sent_through,
                acknowledged=ack.last_incoming_sequence_num,
            )
        # [ICWS-CLT-034]
        if is_new and ack.last_incoming_sequence_num < self.last_ack:
            raise OrderViolation(
                "the canister acknowledges less than before",
                reason=Reason.ACK_DECREASING,
                requirement="ICWS-CLT-034",
                before=self.last_ack,
                acknowledged=ack.last_incoming_sequence_num,
            )

    def _acknowledged(self, ack: AckMessage, incoming: Incoming) -> None:
        core = self._core
        through = ack.last_incoming_sequence_num
        self.last_ack = through
        self.last_ack_at = core.now
        if core.certified is not None:
            core.certified.at_least("next_in", through + 1, incoming.certificate_time_ns)
            core.settlement.progress(through, 0)
        else:
            core.settlement.acknowledged(through)
        # [ICWS-CLT-051] the keep-alive's number is taken when it is sent, and covers what the application took
        core.outbox.put_keep_alive()


def _misplaced(message: CanisterMessage) -> MessageViolation:
    return MessageViolation(
        "a service message that may not come here",
        reason=Reason.UNEXPECTED_SERVICE_MESSAGE,
        requirement="ICWS-CLT-036",
        sequence_num=message.sequence_num,
    )
