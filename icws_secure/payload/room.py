"""The suite ``vetkd-bls12-381``: content between the members of a room, hidden from gateways and replicas.

The canister gives each member the room's vetKey, encrypted on its way, by its own access rule; it computes what the
key is for::

    context   = "icws-room/1" || length of label (1 byte) || label of the application
    input     = CBOR [epoch of the canister, room, epoch of the room]
    keys      = HKDF-SHA-256(vetKey, info = "icws/room/1" || CBOR [room, epoch, sender], 64)     (AEAD key, nonce key)
    kid       = epoch (8 bytes big-endian) || counter (8 bytes big-endian)
    external  = CBOR ["icws-secure/1", canister, room, epoch, sender, counter]

A content is sealed once and delivered to every member. Removing a member moves the room to a new epoch, whose key the
member cannot get. Members share the key: any of them, and the subnet, can make a content that seems to come from
another. Who sent it is said by the canister, in the certified message around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

from ..errors import MisuseError, PayloadViolation, Reason
from ..limits import MAX_ROOM_SENDERS
from ..vetkd import VetKey
from ..wire import cbor
from ..wire.principal import Principal
from .container import Algorithm, Encrypt0
from .sealing import MessageKey, open_sealed, seal

__all__ = [
    "ROOM_OVERHEAD_BYTES",
    "Room",
    "RoomKeys",
    "RoomReceiver",
    "RoomSender",
    "room_context",
    "room_external",
    "room_input",
    "room_position",
]

_VERSION: Final = "icws-secure/1"
_ALGORITHM: Final = Algorithm.AES_256_GCM
_CONTEXT: Final = b"icws-room/1"
_KEY_INFO: Final = b"icws/room/1"
_MAX_LABEL_BYTES: Final = 255
_MAX_UINT64: Final = (1 << 64) - 1

ROOM_OVERHEAD_BYTES: Final = 59
"""What a sealed content is longer than its text, at most: array 1, headers 22, nonce 15, tag 16, length 1 to 5."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room in one epoch.

    Attributes:
        canister: the canister that keeps the room.
        room: its name there, any bytes.
        epoch: grows by one whenever a member leaves.
    """

    canister: Principal
    room: bytes
    epoch: int


def room_context(label: bytes) -> bytes:
    """vetKD's ``context`` of an application's rooms.

    Args:
        label: up to 255 bytes, the application's own.

    Raises:
        MisuseError: the label is too long.
    """
    if len(label) > _MAX_LABEL_BYTES:
        raise MisuseError("the label of an application is too long", reason=Reason.TOO_LARGE, limit=_MAX_LABEL_BYTES)
    # [ICWS-PAY-009]
    return _CONTEXT + bytes((len(label),)) + label


def room_input(canister_epoch: int, room: bytes, room_epoch: int) -> bytes:
    """vetKD's ``input`` of a room's key; the canister computes it, no client chooses it."""
    # [ICWS-PAY-009]
    return cbor.encode([canister_epoch, room, room_epoch])


def room_external(room: Room, sender: Principal, counter: int) -> bytes:
    """The place of a content, which its seal is bound to."""
    # [ICWS-PAY-008]
    return cbor.encode([_VERSION, room.canister.raw, room.room, room.epoch, sender.raw, counter])


def room_position(content: bytes) -> tuple[int, int]:
    """Room epoch and counter that a sealed content claims, for those who cannot open it, such as the canister.

    Raises:
        PayloadViolation: UNSEALED.
    """
    return _position(Encrypt0.decode(content, _ALGORITHM))


@dataclass(frozen=True, slots=True, repr=False)
class RoomKeys:
    """The keys of a room in one epoch, one for each sender.

    Args:
        vetkey: the room's vetKey, verified for :func:`room_context` and :func:`room_input`.
        room: the room and epoch it is for.
    """

    vetkey: VetKey
    room: Room

    def of(self, sender: Principal) -> MessageKey:
        """The key that ``sender`` seals with."""
        info = _KEY_INFO + cbor.encode([self.room.room, self.room.epoch, sender.raw])
        keys = self.vetkey.derive_symmetric_key(info, 64)
        return MessageKey(keys[:32], keys[32:])

    def __repr__(self) -> str:
        return f"RoomKeys({self.room!r})"


@dataclass(frozen=True, slots=True, repr=False)
class RoomSender:
    """Seals one member's contents. Immutable: sealing gives the sender to go on with.

    Attributes:
        keys: of the room.
        sender: who seals: the principal that the canister will name as the sender.
        counter: the counter of the last content, 0 before the first. Keep it as long as the epoch: what was used is
        not used again.
    """

    keys: RoomKeys
    sender: Principal
    counter: int = 0

    def seal(self, data: bytes) -> tuple[RoomSender, bytes]:
        """Seals the next content.

        Raises:
            MisuseError: the counter is used up.
        """
        # [ICWS-PAY-008]
        counter = self.counter + 1
        if not 0 < counter <= _MAX_UINT64:
            raise MisuseError("the counter of a room is used up", reason=Reason.LIMIT_EXCEEDED)
        room = self.keys.room
        content = seal(
            _ALGORITHM,
            self.keys.of(self.sender),
            data,
            kid=room.epoch.to_bytes(8, "big") + counter.to_bytes(8, "big"),
            external=room_external(room, self.sender, counter),
        )
        return replace(self, counter=counter), content

    def __repr__(self) -> str:
        return f"RoomSender({self.keys.room!r}, sender={self.sender.to_text()!r}, counter={self.counter})"


@dataclass(frozen=True, slots=True, repr=False)
class RoomReceiver:
    """Opens the contents of a room's members. Immutable: opening gives the receiver to go on with.

    Attributes:
        keys: of the room.
        counters: the highest counter of each sender so far. Keep them as long as the epoch: a content opens once.
    """

    keys: RoomKeys
    counters: Mapping[Principal, int] = field(default_factory=lambda: MappingProxyType({}))

    def open(self, room: bytes, epoch: int, sender: Principal, content: bytes) -> tuple[RoomReceiver, bytes]:
        """Opens a content.

        Args:
            room: the room that the certified message around the content names.
            epoch: the room epoch it names.
            sender: the sender it names.
            content: the sealed content.

        Raises:
            PayloadViolation: UNSEALED, STALE_ROOM_EPOCH, UNKNOWN_KEY, REPLAYED or OPEN_FAILED. Nothing has changed
            then.
        """
        container = Encrypt0.decode(content, _ALGORITHM)
        sealed_epoch, counter = _position(container)
        self._check_epoch(room, epoch, sealed_epoch)
        # [ICWS-PAY-008]
        if counter <= self.counters.get(sender, 0):
            raise PayloadViolation(
                "a sender's counter did not grow", reason=Reason.REPLAYED, requirement="ICWS-PAY-008", counter=counter
            )
        external = room_external(self.keys.room, sender, counter)
        data = open_sealed(container, self.keys.of(sender), external=external)
        counters = {**self.counters, sender: counter}
        if len(counters) > MAX_ROOM_SENDERS:
            raise PayloadViolation("a room has too many senders", reason=Reason.TOO_MANY, limit=MAX_ROOM_SENDERS)
        return replace(self, counters=MappingProxyType(counters)), data

    def _check_epoch(self, room: bytes, epoch: int, sealed_epoch: int) -> None:
        ours = self.keys.room
        # [ICWS-PAY-008]
        if room != ours.room:
            raise PayloadViolation("content of another room", reason=Reason.UNKNOWN_KEY, requirement="ICWS-PAY-008")
        # [ICWS-PAY-010]
        if min(epoch, sealed_epoch) < ours.epoch:
            raise PayloadViolation(
                "content of an older epoch of the room",
                reason=Reason.STALE_ROOM_EPOCH,
                requirement="ICWS-PAY-010",
                expected=ours.epoch,
                received=min(epoch, sealed_epoch),
            )
        # [ICWS-PAY-008]
        if epoch != ours.epoch or sealed_epoch != ours.epoch:
            raise PayloadViolation(
                "content of an epoch whose key is not at hand",
                reason=Reason.UNKNOWN_KEY,
                requirement="ICWS-PAY-008",
                expected=ours.epoch,
                received=max(epoch, sealed_epoch),
            )

    def __repr__(self) -> str:
        return f"RoomReceiver({self.keys.room!r}, senders={len(self.counters)})"


def _position(container: Encrypt0) -> tuple[int, int]:
    # [ICWS-PAY-001]
    if len(container.kid) != 16:
        raise PayloadViolation(
            "content names no room epoch and counter", reason=Reason.UNSEALED, requirement="ICWS-PAY-001"
        )
    return int.from_bytes(container.kid[:8], "big"), int.from_bytes(container.kid[8:], "big")
