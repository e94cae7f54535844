"""Rooms whose messages only their members can read: neither gateways nor this canister.

The canister says who is a member, hands the members the room's vetKey, which it never sees in the clear itself, and
passes sealed messages on. Removing a member moves the room to a new epoch, whose key the member cannot get.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final

from icws_canister_mock.replica.canister_api import CallRejected
from icws_secure.errors import DecodeError, PayloadViolation
from icws_secure.limits import NS_PER_S
from icws_secure.payload import (
    MAX_ROOM_NAME_BYTES,
    RoomDelivery,
    RoomEpoch,
    RoomMessage,
    RoomRefusal,
    SuiteName,
    decode_room_post,
    room_context,
    room_input,
    room_position,
)
from icws_secure.session.canister import RefusalError, SealedSuites, refuse
from icws_secure.vetkd import TransportPublicKey
from icws_secure.wire import cbor
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob, Null, Record, Text, Variant
from icws_secure.wire.principal import MANAGEMENT, Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.rooms import (
    RoomKeyReply,
    decode_room_create,
    decode_room_key,
    decode_room_member,
    encode_room_key_result,
    encode_room_result,
)

from .. import SECURE, CanisterConfig, Client, WebSocketCanister, update

__all__ = ["SealedRoom"]

_DERIVE_KEY: Final = Record(
    {
        "input": Blob,
        "context": Blob,
        "transport_public_key": Blob,
        "key_id": Record({"curve": Variant({"bls12_381_g2": Null}), "name": Text}),
    }
)
_DERIVED: Final = Record({"encrypted_key": Blob})
_METHODS: Final = frozenset({"room_create", "room_add", "room_remove", "room_key"})
_MAX_ROOMS: Final = 1_000
_MAX_MEMBERS: Final = 1_000
_HOUR_NS: Final = 3_600 * NS_PER_S


@dataclass(frozen=True)
class _Room:
    admin: Principal
    members: frozenset[Principal]
    epoch: int = 1


@dataclass(frozen=True)
class _Derivation:
    """A derivation that was paid for: repeated with the same transport key it is answered again."""

    time_ns: int
    transport_key: bytes
    encrypted_key: bytes | None = None  # while it is under way


class SealedRoom(WebSocketCanister):
    """See :mod:`icws_secure.wire.rooms` for the methods and :mod:`icws_secure.payload.room_messages` for the messages.

    Attributes:
        label: the application's own part of the vetKD context.
        key_name: the vetKD key.
        cycles: sent with a derivation, what is too much comes back.
        cycle_floor: below this balance nothing is derived.
        pause_ns: between two derivations for one owner, room and epoch.
        hourly: derivations an hour, for all.
    """

    config = CanisterConfig(profiles=frozenset({SECURE}), suites=SealedSuites(frozenset({SuiteName.VETKD})))
    candid: ClassVar[str] = """
// The room's epoch, or "<Code>: <words>".
room_create : (record { room : blob; members : vec principal }) -> (variant { Ok : nat64; Err : text });
room_add : (record { room : blob; member : principal }) -> (variant { Ok : nat64; Err : text });
room_remove : (record { room : blob; member : principal }) -> (variant { Ok : nat64; Err : text });

// The room's vetKey, for members, encrypted under their transport key.
room_key : (record { room : blob; transport_public_key : blob }) -> (variant {
  Ok : record { epoch : nat64; encrypted_key : blob };
  Err : text;
});
"""
    label: ClassVar[bytes] = b"sealed-room"
    key_name: ClassVar[str] = "test_key_1"
    cycles: ClassVar[int] = 30_000_000_000
    cycle_floor: ClassVar[int] = 300_000_000_000
    pause_ns: ClassVar[int] = 600 * NS_PER_S
    hourly: ClassVar[int] = 1_000

    def on_init(self, arg: bytes) -> None:
        """No rooms."""
        self.rooms: dict[bytes, _Room] = {}
        self.derivations: dict[tuple[Principal, bytes, int], _Derivation] = {}
        self.hour = (0, 0)  # its start, and derivations in it

    def on_save(self) -> bytes:
        """The rooms."""
        rows = [
            [name, room.admin.raw, sorted(member.raw for member in room.members), room.epoch]
            for name, room in self.rooms.items()
        ]
        return cbor.encode(rows)

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        """The rooms as they were."""
        self.on_init(arg)
        rows = cbor.decode(saved, what="rooms", max_bytes=1 << 30, max_items=1 << 24) if saved else []
        if not isinstance(rows, list):
            raise DecodeError("these are no rooms")
        for name, admin, members, epoch in rows:
            self.rooms[name] = _Room(Principal(admin), frozenset(map(Principal, members)), epoch)

    def on_inspect(self, caller: Principal, method: str, arg: bytes) -> bool:
        """Calls of strangers are not worth an execution; every method checks again."""
        if method not in _METHODS or caller.is_anonymous:
            return False
        if method == "room_create":
            return True
        try:
            name = (decode_room_key if method == "room_key" else decode_room_member)(arg)[0]
        except DecodeError:
            return False
        room = self.rooms.get(name)
        return room is not None and self._owner(caller) in room.members | {room.admin}

    # Messages ---------------------------------------------------------------------------------------------------------

    def on_message(self, client: Client, data: bytes) -> None:
        """Pass a member's message on to the sessions of all members."""
        post = decode_room_post(data)
        epoch, counter = room_position(post.content)
        room = self.rooms.get(post.room)
        # [ICWS-PAY-010]
        if room is None or client.owner not in room.members:
            self.ws.send(client, RoomRefusal(post.room, 0, counter, "NotMember").encode())
        elif epoch != room.epoch:
            self.ws.send(client, RoomRefusal(post.room, room.epoch, counter, "StaleRoomEpoch").encode())
        else:
            self._tell(room, RoomDelivery(post.room, room.epoch, client.principal, post.content), besides=client)

    def _tell(self, room: _Room, message: RoomMessage, *, besides: Client | None = None) -> None:
        clients = [client for client in self.ws.clients if client.owner in room.members and client != besides]
        failed = self.ws.broadcast(message.encode(), clients)
        if failed:
            # who does not acknowledge what it has misses this one, and sees it by the sender's counter
            self.ic.log(f"a message did not reach {len(failed)} of {len(clients)} clients")

    # Members ----------------------------------------------------------------------------------------------------------

    @update("room_create")
    def room_create(self, arg: bytes) -> bytes:
        """Make a room; the caller is its administrator and first member."""

        def rule() -> int:
            name, members = decode_room_create(arg)
            owner = self._user()
            if name in self.rooms or not 0 < len(name) <= MAX_ROOM_NAME_BYTES:
                refuse(RefusalCode.MALFORMED_ARGUMENT, "the room exists, or its name is too long or empty")
            if len(self.rooms) >= _MAX_ROOMS or len(members) >= _MAX_MEMBERS:
                refuse(RefusalCode.TOO_MANY, "too many rooms or members")
            self.rooms[name] = _Room(owner, frozenset(members) | {owner})
            return self.rooms[name].epoch

        return self._answer(rule)

    @update("room_add")
    def room_add(self, arg: bytes) -> bytes:
        """Let a member in, who can read what was said in this epoch before; a new epoch would hide it."""

        def rule() -> int:
            name, member = decode_room_member(arg)
            room = self._administered(name)
            if len(room.members) >= _MAX_MEMBERS:
                refuse(RefusalCode.TOO_MANY, "too many members")
            self.rooms[name] = replace(room, members=room.members | {member})
            return room.epoch

        return self._answer(rule)

    @update("room_remove")
    def room_remove(self, arg: bytes) -> bytes:
        """Put a member out; in the same message the room moves to an epoch whose key the member cannot get."""

        def rule() -> int:
            name, member = decode_room_member(arg)
            room = self._administered(name)
            if member not in room.members:
                refuse(RefusalCode.NOT_MEMBER, "this is no member")
            # [ICWS-PAY-010]
            room = replace(room, members=room.members - {member}, epoch=room.epoch + 1)
            self.rooms[name] = room
            self._tell(room, RoomEpoch(name, room.epoch))
            return room.epoch

        return self._answer(rule)

    def _answer(self, rule: Callable[[], int]) -> bytes:
        try:
            with self.ws.batch():
                return encode_room_result(rule())
        except RefusalError as error:
            return encode_room_result(error.refusal)

    def _administered(self, name: bytes) -> _Room:
        room = self.rooms.get(name)
        if room is None or room.admin != self._user():
            refuse(RefusalCode.NOT_MEMBER, "the caller does not administer such a room")
        return room

    def _user(self) -> Principal:
        if self.ic.caller.is_anonymous:
            refuse(RefusalCode.ANONYMOUS_CALLER, "rooms are for users")
        return self._owner(self.ic.caller)

    def _owner(self, caller: Principal) -> Principal:
        """A session principal stands for the owner of its session."""
        client = self.ws.of_principal(caller)
        return caller if client is None else client.owner

    # The key ----------------------------------------------------------------------------------------------------------

    @update("room_key")
    async def room_key(self, arg: bytes) -> bytes:
        """The room's vetKey, encrypted for the member who asks."""
        try:
            return encode_room_key_result(await self._key(arg))
        except RefusalError as error:
            return encode_room_key_result(error.refusal)

    async def _key(self, arg: bytes) -> RoomKeyReply:
        name, transport_key = decode_room_key(arg)
        owner = self._user()
        epoch = self._member(name, owner).epoch
        try:
            # [ICWS-PAY-014] under the identity the key would travel in the clear
            TransportPublicKey(transport_key)
        except PayloadViolation as error:
            raise RefusalError(RefusalCode.MALFORMED_ARGUMENT, "this is not a transport key") from error
        slot = owner, name, epoch
        known = self.derivations.get(slot)
        if known is not None and known.transport_key == transport_key and known.encrypted_key is not None:
            return RoomKeyReply(epoch, known.encrypted_key)
        self._pay(slot, transport_key)
        # [ICWS-PAY-009] nothing of this comes from the caller but the room that it is a member of
        question = {
            "input": room_input(self.ws.epoch, name, epoch),
            "context": room_context(self.label),
            "transport_public_key": transport_key,
            "key_id": {"curve": ("bls12_381_g2", None), "name": self.key_name},
        }
        try:
            reply = await self.ic.call(MANAGEMENT, "vetkd_derive_key", encode([_DERIVE_KEY], [question]), self.cycles)
        except CallRejected as error:
            self.derivations.pop(slot, None)
            self.ic.log(f"no key: {error}")
            raise RefusalError(RefusalCode.BUDGET, "the key could not be derived") from error
        # [ICWS-PAY-010] things may have changed meanwhile
        if self._member(name, owner).epoch != epoch:
            refuse(RefusalCode.STALE_ROOM_EPOCH, "the room has moved on meanwhile")
        (derived,) = decode([_DERIVED], reply)
        self.derivations[slot] = _Derivation(self.ic.time_ns, transport_key, derived["encrypted_key"])
        return RoomKeyReply(epoch, derived["encrypted_key"])

    def _member(self, name: bytes, owner: Principal) -> _Room:
        room = self.rooms.get(name)
        # [ICWS-PAY-010]
        if room is None or owner not in room.members:
            refuse(RefusalCode.NOT_MEMBER, "the caller is no member of such a room")
        return room

    def _pay(self, slot: tuple[Principal, bytes, int], transport_key: bytes) -> None:
        """Take note of a derivation before it is asked for, unless there were too many."""
        now = self.ic.time_ns
        self.derivations = {key: one for key, one in self.derivations.items() if now < one.time_ns + self.pause_ns}
        start, count = self.hour if now < self.hour[0] + _HOUR_NS else (now, 0)
        # [ICWS-PAY-010] each costs cycles
        if slot in self.derivations or count >= self.hourly:
            refuse(RefusalCode.BUDGET, "too many keys were derived; ask again later")
        if self.ic.cycles < self.cycle_floor + self.cycles:
            refuse(RefusalCode.CYCLE_FLOOR, "the canister is short of cycles")
        self.hour = start, count + 1
        self.derivations[slot] = _Derivation(now, transport_key)
