"""Candid interface of canisters with sealed rooms: making one, letting members in and out, and the room's key.

::

    room_create : (record { room : blob; members : vec principal }) -> (variant { Ok : nat64; Err : text });
    room_add    : (record { room : blob; member : principal })      -> (variant { Ok : nat64; Err : text });
    room_remove : (record { room : blob; member : principal })      -> (variant { Ok : nat64; Err : text });
    room_key    : (record { room : blob; transport_public_key : blob })
               -> (variant { Ok : record { epoch : nat64; encrypted_key : blob }; Err : text });

``Ok`` of the first three is the room's epoch. ``Err`` is ``<Code>: <words>``, as everywhere. Callers are owners, or
session principals, which stand for the owner of their session.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from .candid import decode, encode
from .candid_types import Blob, Nat64, PrincipalType, Record, Text, Variant, Vec
from .principal import Principal
from .refusal import Refusal

__all__ = [
    "RoomKeyReply",
    "decode_room_create",
    "decode_room_key",
    "decode_room_key_result",
    "decode_room_member",
    "decode_room_result",
    "encode_room_create",
    "encode_room_key",
    "encode_room_key_result",
    "encode_room_member",
    "encode_room_result",
]

_CREATE: Final = Record({"room": Blob, "members": Vec(PrincipalType)})
_MEMBER: Final = Record({"room": Blob, "member": PrincipalType})
_KEY: Final = Record({"room": Blob, "transport_public_key": Blob})
_RESULT: Final = Variant({"Ok": Nat64, "Err": Text})
_KEY_RESULT: Final = Variant({"Ok": Record({"epoch": Nat64, "encrypted_key": Blob}), "Err": Text})


@dataclass(frozen=True, slots=True)
class RoomKeyReply:
    """Answer of ``room_key``.

    Attributes:
        epoch: the room's epoch that the key is for.
        encrypted_key: 192 bytes, for the holder of the transport key.
    """

    epoch: int
    encrypted_key: bytes = field(repr=False)


def encode_room_create(room: bytes, members: tuple[Principal, ...]) -> bytes:
    """Argument of ``room_create``."""
    return encode([_CREATE], [{"room": room, "members": list(members)}])


def decode_room_create(arg: bytes) -> tuple[bytes, tuple[Principal, ...]]:
    """Room and members.

    Raises:
        DecodeError: malformed.
    """
    (value,) = decode([_CREATE], arg)
    return value["room"], tuple(value["members"])


def encode_room_member(room: bytes, member: Principal) -> bytes:
    """Argument of ``room_add`` and ``room_remove``."""
    return encode([_MEMBER], [{"room": room, "member": member}])


def decode_room_member(arg: bytes) -> tuple[bytes, Principal]:
    """Room and member.

    Raises:
        DecodeError: malformed.
    """
    (value,) = decode([_MEMBER], arg)
    return value["room"], value["member"]


def encode_room_key(room: bytes, transport_public_key: bytes) -> bytes:
    """Argument of ``room_key``."""
    return encode([_KEY], [{"room": room, "transport_public_key": transport_public_key}])


def decode_room_key(arg: bytes) -> tuple[bytes, bytes]:
    """Room and transport public key.

    Raises:
        DecodeError: malformed.
    """
    (value,) = decode([_KEY], arg)
    return value["room"], value["transport_public_key"]


def encode_room_result(result: int | Refusal) -> bytes:
    """Result of ``room_create``, ``room_add``, ``room_remove``: the epoch, or why not."""
    return encode([_RESULT], [_refused(result) if isinstance(result, Refusal) else ("Ok", result)])


def decode_room_result(reply: bytes) -> int | Refusal:
    """The epoch, or why not.

    Raises:
        DecodeError: malformed.
    """
    ((label, value),) = decode([_RESULT], reply)
    return value if label == "Ok" else Refusal.from_text(value)


def encode_room_key_result(result: RoomKeyReply | Refusal) -> bytes:
    """Result of ``room_key``."""
    if isinstance(result, Refusal):
        return encode([_KEY_RESULT], [_refused(result)])
    return encode([_KEY_RESULT], [("Ok", {"epoch": result.epoch, "encrypted_key": result.encrypted_key})])


def decode_room_key_result(reply: bytes) -> RoomKeyReply | Refusal:
    """The key, or why not.

    Raises:
        DecodeError: malformed.
    """
    ((label, value),) = decode([_KEY_RESULT], reply)
    return RoomKeyReply(value["epoch"], value["encrypted_key"]) if label == "Ok" else Refusal.from_text(value)


def _refused(refusal: Refusal) -> tuple[str, str]:
    return "Err", refusal.text
