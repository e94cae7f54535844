"""One attachment: a way to the canister through one gateway (or by direct calls), from the connection to its end.

What a gateway must answer for before any message counts is checked here: its handshake, and the certified attach
message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest

from ...errors import AttachViolation, MessageViolation, Reason, StateViolation
from ...wire.close_codes import SessionCloseCode
from ...wire.envelope import Envelope
from ...wire.frames import SUBPROTOCOL, Handshake
from ...wire.interface import ClientKey, OpenArgument, SecureOpen, encode_open_argument
from ...wire.principal import Principal
from ...wire.service import AttachMessage, OpenMessage
from .allowance import Allowance
from .channel import PayloadOffer
from .config import GatewayTarget
from .endings import ended_by
from .table import AttachmentPhases, Phase

__all__ = [
    "Attachment",
    "Expected",
    "check_attach_message",
    "check_gateway",
    "check_open_message",
    "hash_of",
    "negotiated",
    "open_argument",
]


@dataclass(frozen=True, slots=True)
class Expected:
    """What the attach message must show; fixed when ``ws_open`` is sent.

    Attributes:
        client_key: the session's own.
        registration_id: 16 bytes.
        epoch: certified at registration.
        attach: number of this attachment.
        resume_from: next message that the application was not given.
        resumed_after_ns: timestamp of the one before.
        open_hash: SHA-256 of the raw argument.
        next_in_floor: lowest ``next_in`` that is not below what was certified before the open.
        next_out_floor: lowest ``next_out`` likewise.
    """

    client_key: ClientKey
    registration_id: bytes
    epoch: int
    attach: int
    resume_from: int
    resumed_after_ns: int
    open_hash: bytes
    next_in_floor: int
    next_out_floor: int


@dataclass(slots=True)
class Attachment:
    """State of one attachment. Times are session time.

    Attributes:
        serial: tells attachments of one session apart.
        target: the gateway; None for a direct attachment.
        deadline: when the present phase must be over; None while attached.
        phases: its phase.
        has_subprotocol: whether receipts and heads are to be expected.
        gateway: principal of the gateway, once known.
        attach: number used; 0 in the omnia profile.
        expected: what the attach message must show (secure profile).
        open_envelope: the call of ``ws_open``, once sent.
        is_polling: direct: whether the open was answered, so that polls make sense.
        attached_at: when it was verified.
        idle: how many certificates that bring nothing are still borne.
    """

    serial: int
    target: GatewayTarget | None
    deadline: int | None
    phases: AttachmentPhases = field(default_factory=AttachmentPhases)
    has_subprotocol: bool = False
    gateway: Principal | None = None
    attach: int = 0
    expected: Expected | None = None
    open_envelope: Envelope | None = None
    is_polling: bool = False
    attached_at: int = 0
    idle: Allowance = field(default_factory=Allowance)

    @property
    def phase(self) -> Phase:
        """Where it is."""
        return self.phases.state

    @property
    def is_direct(self) -> bool:
        """Whether the client is its own gateway."""
        return self.target is None


def check_gateway(handshake: Handshake, target: GatewayTarget, own: frozenset[Principal]) -> Principal:
    """Check the principal that a gateway presents.

    Args:
        handshake: its first frame.
        target: which gateway was meant.
        own: the client's own principals, which no gateway has.

    Raises:
        AttachViolation: not self-authenticating or the client's own (``GatewayPrincipalInvalid``), or not the pinned
            one (``GatewayNotPinned``).
    """
    gateway = handshake.gateway_principal
    # [ICWS-CLT-010]
    if not gateway.is_self_authenticating or gateway in own:
        raise AttachViolation(
            "the gateway presents a principal that is not a gateway's",
            reason=Reason.GATEWAY_PRINCIPAL_INVALID,
            requirement="ICWS-CLT-010",
            received=gateway,
        )
    # [ICWS-CLT-011]
    if target.principal is not None and gateway != target.principal:
        raise AttachViolation(
            "the gateway is not the pinned one",
            reason=Reason.GATEWAY_NOT_PINNED,
            requirement="ICWS-CLT-011",
            expected=target.principal,
            received=gateway,
        )
    return gateway


def negotiated(subprotocol: str | None) -> bool:
    """Whether a connection speaks our subprotocol.

    Raises:
        AttachViolation: the gateway has chosen one that was not offered.
    """
    if subprotocol is not None and subprotocol != SUBPROTOCOL:
        raise AttachViolation("the gateway has chosen another subprotocol", reason=Reason.UNEXPECTED_FRAME)
    return subprotocol is not None


def open_argument(
    client_key: ClientKey,
    gateway: Principal,
    *,
    registration_id: bytes | None = None,
    attach: int = 0,
    resume_from: int = 1,
    offer: PayloadOffer | None = None,
) -> bytes:
    """The Candid argument of ``ws_open``; that of ``omnia/1`` without ``registration_id``."""
    secure = None
    if registration_id is not None:
        offer = offer or PayloadOffer()
        secure = SecureOpen(registration_id, attach, resume_from, offer.suite, offer.key_id, offer.enc)
    return encode_open_argument(OpenArgument(client_key.client_nonce, gateway, secure))


def check_attach_message(message: AttachMessage, expected: Expected, *, next_seq: int) -> None:
    """Check that an attach message answers the open that was sent.

    Args:
        message: certified, for our client key, number 0, with our attach number.
        expected: what the open said.
        next_seq: first number that the client never used.

    Raises:
        AttachViolation: it answers another open.
        StateViolation: the epoch is another, or certified state went back or forked.
        SessionEnded: what is missing is no longer kept (``ResumeGap``).
    """
    # [ICWS-CLT-063]
    if message.epoch != expected.epoch:
        raise StateViolation(
            "the canister has lost its state",
            reason=Reason.EPOCH_CHANGED,
            requirement="ICWS-CLT-063",
            expected=expected.epoch,
            received=message.epoch,
        )
    _check_echo(message, expected)
    _check_progress(message, expected, next_seq)
    # [ICWS-CLT-071]
    if message.oldest_retained > expected.resume_from:
        raise ended_by(
            SessionCloseCode.RESUME_GAP,
            requirement="ICWS-CLT-071",
            resume_from=expected.resume_from,
            oldest_retained=message.oldest_retained,
        )
    # [ICWS-CLT-015]
    if message.next_out < expected.resume_from:
        raise AttachViolation(
            "the attach message starts before the messages that were asked for",
            reason=Reason.ATTACH_MISMATCH,
            requirement="ICWS-CLT-015",
            next_out=message.next_out,
            resume_from=expected.resume_from,
        )


def _check_echo(message: AttachMessage, expected: Expected) -> None:
    """That the canister has received the open that was sent, and no other."""
    for name, received, wanted in (
        ("client key", message.client_key, expected.client_key),
        ("registration", message.registration_id, expected.registration_id),
        ("attach number", message.attach, expected.attach),
        ("resume_from", message.resume_from, expected.resume_from),
    ):
        # [ICWS-CLT-015]
        if received != wanted:
            raise AttachViolation(
                f"the attach message has another {name}",
                reason=Reason.ATTACH_MISMATCH,
                requirement="ICWS-CLT-015",
            )
    # [ICWS-CLT-016]
    if not compare_digest(message.open_hash, expected.open_hash):
        raise AttachViolation(
            "the canister has received another open than was sent",
            reason=Reason.OPEN_HASH_MISMATCH,
            requirement="ICWS-CLT-016",
        )


def _check_progress(message: AttachMessage, expected: Expected, next_seq: int) -> None:
    """That the canister knows no less than it has certified, and no more than was sent."""
    # [ICWS-CLT-062]
    if message.next_in < expected.next_in_floor or message.next_out < expected.next_out_floor:
        raise StateViolation(
            "the canister knows less than it has certified",
            reason=Reason.STATE_ROLLBACK,
            requirement="ICWS-CLT-062",
            next_in=message.next_in,
            next_in_floor=expected.next_in_floor,
            next_out=message.next_out,
            next_out_floor=expected.next_out_floor,
        )
    # [ICWS-CLT-072]
    if message.next_in > next_seq:
        raise StateViolation(
            "the canister has messages that this client never sent",
            reason=Reason.STATE_FORKED,
            requirement="ICWS-CLT-072",
            next_in=message.next_in,
            next_seq=next_seq,
        )


def check_open_message(message: OpenMessage, client_key: ClientKey, sequence_num: int) -> None:
    """Check the open message of an ``omnia/1`` canister.

    Raises:
        MessageViolation: it is for another client key, or not the first message.
    """
    # [ICWS-CLT-015]
    if message.client_key != client_key or sequence_num != 1:
        raise MessageViolation(
            "the open message does not answer our open",
            reason=Reason.ATTACH_MISMATCH,
            requirement="ICWS-CLT-015",
            sequence_num=sequence_num,
        )


def hash_of(argument: bytes) -> bytes:
    """``open_hash`` of an open: SHA-256 of its raw argument."""
    return sha256(argument).digest()
