"""What the client machine tells the application.

Events are values; those that carry data of a canister exist only after the verifier accepted it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...errors import IcwsError
from ...wire.principal import Principal
from .config import GatewayTarget
from .evidence import Evidence

__all__ = [
    "Attached",
    "Ended",
    "Event",
    "GatewayLost",
    "Message",
    "Opened",
    "Registered",
    "SendAccepted",
    "SendExecuted",
    "SendRejected",
    "SendRelayed",
    "SendUnknown",
]


@dataclass(frozen=True, slots=True)
class Registered:
    """The certified registration reply was accepted (secure profile only).

    Args:
        registration_id: 16 bytes.
        epoch: the canister's epoch, nanoseconds since 1970 of its state's creation.
        expires_at_ns: end of the session, nanoseconds since 1970.
    """

    registration_id: bytes
    epoch: int
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class Opened:
    """The session is open for the first time; messages may flow. Once a session.

    Args:
        attach: number of the attachment; 0 in the omnia profile.
    """

    attach: int


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment is verified, the first one included. The session goes on where it was.

    Args:
        target: the gateway, or None when the client is its own gateway.
        gateway: the gateway's principal.
        attach: number of the attachment; 0 in the omnia profile.
    """

    target: GatewayTarget | None
    gateway: Principal
    attach: int


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the canister's application, verified, in order, exactly once.

    Call :meth:`ClientSession.taken` with its number once the application has it.

    Args:
        seq: number in the canister's stream; service messages use numbers too, so there are gaps here.
        data: the application's bytes.
        timestamp_ns: certified canister time at which it was queued.
    """

    seq: int
    data: bytes = field(repr=False)
    timestamp_ns: int


@dataclass(frozen=True, slots=True)
class SendExecuted:
    """It is proven that the canister has executed the message."""

    send_id: int


@dataclass(frozen=True, slots=True)
class SendAccepted:
    """It is proven that the canister has accepted the message; asked for by ``confirm="accepted"``."""

    send_id: int


@dataclass(frozen=True, slots=True)
class SendRelayed:
    """The message was handed over; asked for by ``confirm="relayed"``. A :class:`SendRejected` may still follow."""

    send_id: int


@dataclass(frozen=True, slots=True)
class SendRejected:
    """The message was not executed, or its handler trapped.

    Args:
        send_id: what ``send`` returned.
        error: :class:`Refused` or :class:`CanisterRejected` with the canister's own words (reason ``HandlerTrapped``
            when the handler trapped and consumed the number), or :class:`StallError` with reason ``NotExecuted`` when
            it is proven, or certain, that it never ran.
    """

    send_id: int
    error: IcwsError


@dataclass(frozen=True, slots=True)
class SendUnknown:
    """Nothing can be proven about the message: it may or may not have been executed.

    Args:
        send_id: what ``send`` returned.
        error: why no proof came.
    """

    send_id: int
    error: IcwsError


@dataclass(frozen=True, slots=True)
class GatewayLost:
    """An attachment, or an attempt at one, is over; the session is not.

    Args:
        target: the gateway, or None for the direct attachment.
        error: what ended it: a ProtocolViolation (somebody misbehaved), a StallError, or a TransportError.
        evidence: for a violation, what was caught; None otherwise.
    """

    target: GatewayTarget | None
    error: IcwsError
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; nothing follows.

    Args:
        error: :class:`SessionEnded` with close code and reason; for a session that never came to be, the error that
            prevented it (RegistrationViolation, Refused, CanisterRejected, TrustUnavailable, TransportError) is its
            ``__cause__`` where there is one.
    """

    error: IcwsError


Event = (
    Registered
    | Opened
    | Attached
    | Message
    | SendExecuted
    | SendAccepted
    | SendRelayed
    | SendRejected
    | SendUnknown
    | GatewayLost
    | Ended
)
"""Everything that the machine may tell."""
