"""What members of rooms and their canister say to each other: the application's content under ``vetkd-bls12-381``.

::

    client to canister      ["post", room, content]
    canister to client      ["message", room, epoch, sender, content]
                            ["epoch", room, epoch]
                            ["refused", room, epoch, counter, code]

``content`` is sealed; nothing else of the application's has a place here. The rest is what a receiver compares with
the seal, and it is authenticated by the certificate around it. CBOR, in one encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..errors import DecodeError, MisuseError, PayloadViolation, Reason
from ..limits import MAX_CONTENT_BYTES
from ..wire import cbor
from ..wire.principal import Principal
from .room import room_position

__all__ = [
    "MAX_ROOM_NAME_BYTES",
    "ROOM_MESSAGE_OVERHEAD_BYTES",
    "RoomDelivery",
    "RoomEpoch",
    "RoomMessage",
    "RoomPost",
    "RoomRefusal",
    "decode_room_message",
    "decode_room_post",
]

MAX_ROOM_NAME_BYTES: Final = 64

ROOM_MESSAGE_OVERHEAD_BYTES: Final = 56
"""What a delivery is longer than the room's name and the sealed content, at most: array 1, kind 8, length of the name
2, epoch 9, sender 31, length of the content 5."""

_MAX_UINT64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class RoomPost:
    """A member's message.

    Attributes:
        room: name of the room, up to 64 bytes.
        content: sealed for its members.
    """

    room: bytes
    content: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The bytes."""
        return cbor.encode(["post", self.room, self.content])


@dataclass(frozen=True, slots=True)
class RoomDelivery:
    """A member's message on its way to the others.

    Attributes:
        room: name of the room.
        epoch: the room's epoch when the canister took the message.
        sender: the session principal that sent it.
        content: as it was posted.
    """

    room: bytes
    epoch: int
    sender: Principal
    content: bytes = field(repr=False)

    def encode(self) -> bytes:
        """The bytes."""
        return cbor.encode(["message", self.room, self.epoch, self.sender.raw, self.content])


@dataclass(frozen=True, slots=True)
class RoomEpoch:
    """The room has moved to another epoch: from here on messages are sealed under its key.

    Attributes:
        room: name of the room.
        epoch: the new epoch.
    """

    room: bytes
    epoch: int

    def encode(self) -> bytes:
        """The bytes."""
        return cbor.encode(["epoch", self.room, self.epoch])


@dataclass(frozen=True, slots=True)
class RoomRefusal:
    """The canister has not passed on the receiver's own message.

    Attributes:
        room: name of the room.
        epoch: its epoch; 0 towards those who are no members, whom it does not concern.
        counter: of the message.
        code: ``StaleRoomEpoch`` or ``NotMember``.
    """

    room: bytes
    epoch: int
    counter: int
    code: str

    def encode(self) -> bytes:
        """The bytes."""
        return cbor.encode(["refused", self.room, self.epoch, self.counter, self.code])


RoomMessage: TypeAlias = RoomDelivery | RoomEpoch | RoomRefusal
"""Anything that a canister says to a member."""


def decode_room_post(data: bytes) -> RoomPost:
    """Reads what a client sent.

    Raises:
        PayloadViolation: UNSEALED, it is no post with sealed content.
    """
    match _decode(data):
        case ["post", bytes(room), bytes(content)]:
            post = RoomPost(room, content)
            _check(post, data)
            room_position(content)
            return post
    raise _unsealed()


def decode_room_message(data: bytes) -> RoomMessage:
    """Reads what a canister sent.

    Raises:
        PayloadViolation: UNSEALED, it is nothing of the kind, or its content is not sealed.
    """
    message: RoomMessage
    match _decode(data):
        case ["message", bytes(room), int(epoch), bytes(sender), bytes(content)]:
            message = RoomDelivery(room, epoch, _principal(sender), content)
            room_position(content)
        case ["epoch", bytes(room), int(epoch)]:
            message = RoomEpoch(room, epoch)
        case ["refused", bytes(room), int(epoch), int(counter), ("StaleRoomEpoch" | "NotMember") as code]:
            message = RoomRefusal(room, epoch, counter, code)
        case _:
            raise _unsealed()
    _check(message, data)
    return message


def _decode(data: bytes) -> object:
    try:
        return cbor.decode(data, what="a room's message", max_bytes=2 * MAX_CONTENT_BYTES, max_depth=2)
    except DecodeError as error:
        # [ICWS-PAY-003]
        raise _unsealed() from error


def _principal(raw: bytes) -> Principal:
    try:
        return Principal(raw)
    except DecodeError as error:
        raise _unsealed() from error


def _check(message: RoomPost | RoomMessage, data: bytes) -> None:
    try:
        is_canonical = message.encode() == data
    except MisuseError as error:
        raise _unsealed() from error
    numbers = (getattr(message, "epoch", 0), getattr(message, "counter", 0))
    in_range = all(type(number) is int and 0 <= number <= _MAX_UINT64 for number in numbers)
    # [ICWS-PAY-003] one encoding only
    if not is_canonical or not in_range or len(message.room) > MAX_ROOM_NAME_BYTES:
        raise _unsealed()


def _unsealed() -> PayloadViolation:
    return PayloadViolation(
        "the content is not a room's sealed message", reason=Reason.UNSEALED, requirement="ICWS-PAY-003"
    )
