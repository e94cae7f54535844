"""Service messages: what client and canister say to each other beside the application, in Candid.

They travel as ``content`` of messages with ``is_service_message``. The four cases of ``omnia/1`` are encoded with the
type of exactly these four, since deployed peers refuse a type with a case they do not know; attach, skip and close
codes exist in secure sessions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from ..errors import DecodeError
from ..limits import MAX_CONTENT_BYTES
from .candid import Arguments, Blob, Nat64, Null, Opt, Record, Text, Variant
from .interface import CLIENT_KEY, REGISTRATION_ID_BYTES, ClientKey, check_bytes

__all__ = [
    "OPEN_HASH_BYTES",
    "AckMessage",
    "AttachMessage",
    "CloseMessage",
    "CloseReason",
    "KeepAliveMessage",
    "OpenMessage",
    "ServiceMessage",
    "SessionCloseReason",
    "SkipMessage",
    "decode_service_message",
    "encode_service_message",
]

OPEN_HASH_BYTES: Final = 32
"""Bytes of the hash of a ``ws_open`` argument in an attach message: SHA-256."""


class CloseReason(StrEnum):
    """Why the canister closes, in ``omnia/1``."""

    WRONG_SEQUENCE_NUMBER = "WrongSequenceNumber"
    INVALID_SERVICE_MESSAGE = "InvalidServiceMessage"
    KEEP_ALIVE_TIMEOUT = "KeepAliveTimeout"
    CLOSED_BY_APPLICATION = "ClosedByApplication"


class SessionCloseReason(StrEnum):
    """Why a secure session is over: the ``code`` of a close message."""

    APPLICATION_CLOSED = "ApplicationClosed"
    CLIENT_CLOSED = "ClientClosed"
    EXPIRED = "Expired"
    REVOKED = "Revoked"
    RESUME_WINDOW = "ResumeWindow"
    INVALID_SERVICE_MESSAGE = "InvalidServiceMessage"


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """Canister to client in ``omnia/1``, as number 1: the session is open."""

    client_key: ClientKey


@dataclass(frozen=True, slots=True)
class AckMessage:
    """Canister to client: your messages up to this number are here."""

    last_incoming_sequence_num: int


@dataclass(frozen=True, slots=True)
class KeepAliveMessage:
    """Client to canister: I am here, and have your messages up to this number."""

    last_incoming_sequence_num: int


@dataclass(frozen=True, slots=True)
class CloseMessage:
    """The session is over; from the client too in secure sessions.

    Attributes:
        reason: in the words of ``omnia/1``.
        code: in those of secure sessions.
    """

    reason: CloseReason
    code: SessionCloseReason | None = None


@dataclass(frozen=True, slots=True)
class AttachMessage:
    """Canister to client, first after each attach of a secure session, as number 0 [R9].

    Attributes:
        client_key: of the session.
        registration_id: 16 bytes, of the session.
        attach: number of the attach.
        epoch: of the canister.
        resume_from: as asked in the open.
        next_in: next number the canister takes.
        next_out: next number the canister gives.
        oldest_retained: lowest number the canister can still send again.
        open_hash: SHA-256 of the argument of ``ws_open`` as the canister received it.

    Raises:
        MisuseError: a value of fixed length has another.
    """

    client_key: ClientKey
    registration_id: bytes
    attach: int
    epoch: int
    resume_from: int
    next_in: int
    next_out: int
    oldest_retained: int
    open_hash: bytes

    def __post_init__(self) -> None:
        check_bytes("registration_id", self.registration_id, REGISTRATION_ID_BYTES)
        check_bytes("open_hash", self.open_hash, OPEN_HASH_BYTES)


@dataclass(frozen=True, slots=True)
class SkipMessage:
    """Nothing: it takes the place of a number that will not be used [R25]."""


ServiceMessage: TypeAlias = OpenMessage | AckMessage | KeepAliveMessage | CloseMessage | AttachMessage | SkipMessage
"""Any service message."""

_REASON: Final = Variant({str(reason): Null for reason in CloseReason})
_LAST: Final = {"last_incoming_sequence_num": Nat64}
_SHARED: Final = {
    "OpenMessage": Record({"client_key": CLIENT_KEY}, of=OpenMessage),
    "AckMessage": Record(_LAST, of=AckMessage),
    "KeepAliveMessage": Record(_LAST, of=KeepAliveMessage),
}
_LEGACY: Final = Arguments(Variant({**_SHARED, "CloseMessage": Record({"reason": _REASON})}))
_ATTACH: Final = Record(
    {
        "client_key": CLIENT_KEY,
        "registration_id": Blob,
        "attach": Nat64,
        "epoch": Nat64,
        "resume_from": Nat64,
        "next_in": Nat64,
        "next_out": Nat64,
        "oldest_retained": Nat64,
        "open_hash": Blob,
    },
    of=AttachMessage,
)
_SECURE: Final = Arguments(
    Variant(
        {
            **_SHARED,
            "CloseMessage": Record({"reason": _REASON, "code": Opt(Text)}),
            "AttachMessage": _ATTACH,
            "SkipMessage": Null,
        }
    )
)


def encode_service_message(message: ServiceMessage) -> bytes:
    """Encode a service message; exactly as ``omnia/1`` has it if it has it.

    Raises:
        MisuseError: a number has more than 64 bits, or ``message`` is no service message.
    """
    if isinstance(message, CloseMessage):
        value: dict[str, Any] = {"reason": (str(message.reason), None)}
        if message.code is None:
            return _LEGACY.encode(("CloseMessage", value))
        return _SECURE.encode(("CloseMessage", {**value, "code": str(message.code)}))
    if isinstance(message, AttachMessage):
        return _SECURE.encode(("AttachMessage", message))
    if isinstance(message, SkipMessage):
        return _SECURE.encode(("SkipMessage", None))
    return _LEGACY.encode((type(message).__name__, message))


def decode_service_message(data: bytes) -> ServiceMessage:
    """Decode a service message of either profile. Whether it may come now is for the session to say.

    Raises:
        DecodeError: not one of the service messages.
    """
    # [ICWS-LIB-023]
    label, value = _SECURE.decode(data, max_bytes=MAX_CONTENT_BYTES)[0]
    if label == "SkipMessage":
        return SkipMessage()
    if label == "CloseMessage":
        return CloseMessage(CloseReason(value["reason"][0]), _close_code(value["code"]))
    message: OpenMessage | AckMessage | KeepAliveMessage | AttachMessage = value
    return message


def _close_code(text: str | None) -> SessionCloseReason | None:
    try:
        return None if text is None else SessionCloseReason(text)
    except ValueError as error:
        raise DecodeError("unknown code of a close message", requirement="ICWS-LIB-024", code=text) from error
