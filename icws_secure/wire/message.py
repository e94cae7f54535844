"""What a canister certifies: its messages, and the keys under which their hashes stand in its tree.

A message is CBOR; the SHA-256 of those bytes is the leaf at ``["websocket", key]``. The same in both profiles; the salt
is an addition of ``icws-secure/1`` that other clients pass over.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, cast

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_CONTENT_BYTES
from . import cbor
from .interface import ClientKey
from .principal import MANAGEMENT, Principal
from .usual_message import SALT_BYTES, usual_fields

__all__ = [
    "NONCE_DIGITS",
    "SALT_BYTES",
    "TOMBSTONE_CLIENT_KEY",
    "CanisterMessage",
    "decode_message",
    "message_key",
    "message_path",
    "parse_message_key",
]

NONCE_DIGITS: Final = 20
"""Decimal digits of a nonce in a message key."""

TOMBSTONE_CLIENT_KEY: Final = ClientKey(MANAGEMENT, 0)
"""Client key of a queue entry that was removed: its content is empty, the leaf the SHA-256 of nothing [R13]."""

_KEY_REQUIREMENT: Final = "ICWS-LIB-025"
_REQUIREMENT: Final = "ICWS-LIB-024"
_LABEL: Final = b"websocket"
_MAX_MESSAGE_BYTES: Final = MAX_CONTENT_BYTES + 1024  # the other fields have some 200
_MAX_U64: Final = (1 << 64) - 1


def message_path(key: str) -> tuple[bytes, bytes]:
    """Where the hash of the message with this key stands in its canister's tree."""
    return _LABEL, key.encode("ascii")


# Keys -----------------------------------------------------------------------------------------------------------------


def message_key(gateway: Principal, nonce: int) -> str:
    """The key of a gateway's message: ``<principal>_<nonce in 20 digits>``.

    Args:
        gateway: whose queue.
        nonce: number in that queue, 64 bits.

    Raises:
        MisuseError: the nonce is out of range.
    """
    if not 0 <= nonce <= _MAX_U64:
        raise MisuseError("a nonce has 64 bits", nonce=nonce)
    return f"{gateway.to_text()}_{nonce:020}"


def parse_message_key(key: str) -> tuple[Principal, int]:
    """Gateway and nonce of a message key.

    Raises:
        DecodeError: the key is not exactly what :func:`message_key` gives (``WrongKeyForm``).
    """
    gateway, separator, digits = key.rpartition("_")
    # [ICWS-LIB-025]
    if not separator or len(digits) != NONCE_DIGITS or not (digits.isascii() and digits.isdigit()):
        raise _bad_key()
    nonce = int(digits)
    if nonce > _MAX_U64:
        raise _bad_key()
    try:
        principal = _canonical(gateway)
    except DecodeError as error:
        raise _bad_key() from error
    return principal, nonce


@lru_cache(maxsize=256)
def _canonical(text: str) -> Principal:
    """A principal from its text in lower case, which is the only form in keys."""
    principal = Principal.from_text(text)
    # [ICWS-LIB-025] two texts for one key would be two leaves for one message
    if principal.to_text() != text:
        raise _bad_key()
    return principal


def _bad_key() -> DecodeError:
    return DecodeError("this is not the key of a message", reason=Reason.WRONG_KEY_FORM, requirement=_KEY_REQUIREMENT)


# Messages -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, init=False)
class CanisterMessage:
    """A message from canister to client.

    Attributes:
        client_key: whose session.
        sequence_num: place in the session's stream, from 1; 0 for attach messages.
        timestamp_ns: when the canister made it, ns since 1970.
        is_service_message: whether ``content`` is a service message rather than the application's.
        content: the message.
        salt: 16 bytes that nobody can guess, in secure sessions [R36].

    Raises:
        MisuseError: the salt has another length.
    """

    client_key: ClientKey
    sequence_num: int
    timestamp_ns: int
    is_service_message: bool
    content: bytes = field(repr=False)
    salt: bytes | None = None

    def __init__(
        self,
        client_key: ClientKey,
        sequence_num: int,
        timestamp_ns: int,
        is_service_message: bool,
        content: bytes,
        salt: bytes | None = None,
    ) -> None:
        if salt is not None and len(salt) != SALT_BYTES:
            raise MisuseError("salt has the wrong length", expected=SALT_BYTES, received=len(salt))
        # the slots themselves, as in ClientKey: one is made for every message of a poll
        _set_client_key(self, client_key)
        _set_sequence_num(self, sequence_num)
        _set_timestamp(self, timestamp_ns)
        _set_is_service_message(self, is_service_message)
        _set_content(self, content)
        _set_salt(self, salt)

    def encode(self) -> bytes:
        """The bytes whose hash is certified: CBOR with the self-describe tag, fields in the order of deployed
        canisters."""
        value: dict[str, object] = {
            "client_key": {
                "client_principal": self.client_key.client_principal.raw,
                "client_nonce": self.client_key.client_nonce,
            },
            "sequence_num": self.sequence_num,
            "timestamp": self.timestamp_ns,
            "is_service_message": self.is_service_message,
            "content": self.content,
        }
        if self.salt is not None:
            value["salt"] = self.salt
        return cbor.encode_self_described(value)


_set_client_key: Callable[[CanisterMessage, ClientKey], None] = vars(CanisterMessage)["client_key"].__set__
_set_sequence_num: Callable[[CanisterMessage, int], None] = vars(CanisterMessage)["sequence_num"].__set__
_set_timestamp: Callable[[CanisterMessage, int], None] = vars(CanisterMessage)["timestamp_ns"].__set__
_set_is_service_message: Callable[[CanisterMessage, bool], None] = vars(CanisterMessage)["is_service_message"].__set__
_set_content: Callable[[CanisterMessage, bytes], None] = vars(CanisterMessage)["content"].__set__
_set_salt: Callable[[CanisterMessage, bytes | None], None] = vars(CanisterMessage)["salt"].__set__


@lru_cache(maxsize=256)
def _client_key(principal: bytes, nonce: int) -> ClientKey:
    """Of the few sessions that one has to do with at a time."""
    return ClientKey(Principal(principal), nonce)


_FIELDS: Final[dict[str, type]] = {
    "client_key": dict,
    "sequence_num": int,
    "timestamp": int,
    "is_service_message": bool,
    "content": bytes,
}
_OPTIONAL: Final[dict[str, type]] = {"salt": bytes}
_KEY_FIELDS: Final[dict[str, type]] = {"client_principal": bytes, "client_nonce": int}


def decode_message(data: bytes) -> CanisterMessage:
    """Decode a canister's message, best after its hash has been found certified. Unknown fields are passed over [R33].

    Raises:
        DecodeError: not CBOR, too large, or a field missing or of another type.
    """
    # [ICWS-LIB-024] the usual layout has every field once, of its type
    usual = usual_fields(data) if len(data) <= _MAX_MESSAGE_BYTES else None
    if usual is not None:
        principal, nonce, sequence_num, timestamp_ns, is_service_message, content, salt = usual
        client_key = _client_key(principal, nonce)
        return CanisterMessage(client_key, sequence_num, timestamp_ns, is_service_message, content, salt)
    # [ICWS-LIB-023]
    value = cbor.decode(data, what="a canister message", max_bytes=_MAX_MESSAGE_BYTES)
    message = cbor.fields(
        value,
        what="a canister message",
        required=_FIELDS,
        optional=_OPTIONAL,
        allow_unknown=True,
        requirement=_REQUIREMENT,
    )
    key = cbor.fields(
        message["client_key"],
        what="a client key",
        required=_KEY_FIELDS,
        allow_unknown=True,
        requirement=_REQUIREMENT,
    )
    salt = cast("bytes | None", message.get("salt"))
    if salt is not None and len(salt) != SALT_BYTES:
        raise DecodeError(
            "the salt has the wrong length", requirement=_REQUIREMENT, expected=SALT_BYTES, received=len(salt)
        )
    return CanisterMessage(
        ClientKey(Principal(cast(bytes, key["client_principal"])), cast(int, key["client_nonce"])),
        cast(int, message["sequence_num"]),
        cast(int, message["timestamp"]),
        cast(bool, message["is_service_message"]),
        cast(bytes, message["content"]),
        salt,
    )
