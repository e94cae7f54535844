"""Sealed rooms: what a member says is read by the other members, and by nobody on the way.

::

    async with connect(gateway, canister_id=canister, identity=alice, payload="vetkd") as ws:
        rooms = Rooms(ws, agent, label=b"sealed-room", master_key=MAINNET_MASTER_KEYS["key_1"])
        await rooms.join(b"kitchen")
        await rooms.send(b"kitchen", b"hello")
        message = await rooms.recv()

The canister decides who is a member and hands members the room's vetKey, encrypted for a transport key made here. It is
verified against a public key that is derived from the pinned master key, so no answer is taken on trust. Gateways, the
canister and the replicas see sealed content, lengths, times, and who talks in which room.

Members of a room share its key: who has said something is the word of the canister, in the certified message around it.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from icws_client.agent import Agent
from icws_client.connection import Connection
from icws_client.exceptions import ConnectionClosed, ConnectionClosedOK
from icws_secure.errors import CanisterRejected, MisuseError, PayloadViolation, Reason, Refused
from icws_secure.payload import (
    Room,
    RoomDelivery,
    RoomEpoch,
    RoomKeys,
    RoomMessage,
    RoomPost,
    RoomReceiver,
    RoomRefusal,
    RoomSender,
    decode_room_message,
    room_context,
    room_input,
)
from icws_secure.vetkd import DerivedPublicKey, EncryptedVetKey, MasterPublicKey, TransportSecretKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.rooms import (
    RoomKeyReply,
    decode_room_key_result,
    decode_room_result,
    encode_room_create,
    encode_room_key,
    encode_room_member,
)

__all__ = ["RoomText", "RoomUpdate", "Rooms"]

_TRANSPORT_ENTROPY: Final = 48


@dataclass(frozen=True, slots=True)
class RoomText:
    """What a member has said.

    Attributes:
        room: where.
        sender: the member's session principal, by the canister's certified word.
        data: what; opened here.
        epoch: the room's epoch.
    """

    room: bytes
    sender: Principal
    data: bytes = field(repr=False)
    epoch: int


RoomUpdate: TypeAlias = RoomText | RoomEpoch | RoomRefusal
"""What :meth:`Rooms.recv` gives: a message; a new epoch, whose key is at hand already; or one's own message refused."""


@dataclass(slots=True)
class _Joined:
    sender: RoomSender
    receiver: RoomReceiver


class Rooms:
    """The rooms that one connection is in.

    Args:
        ws: an open connection, of which nothing else is received.
        agent: makes the calls; its identity is the member's, normally the owner of the session.
        label: the application's own label, which the canister uses too.
        master_key: the vetKD master key to pin: of :data:`icws_secure.vetkd.MAINNET_MASTER_KEYS`, or a local replica's.
    """

    def __init__(self, ws: Connection[bytes], agent: Agent, *, label: bytes, master_key: MasterPublicKey) -> None:
        if ws.parameters is None:
            raise MisuseError("rooms need a session of the secure profile", reason=Reason.UNSUPPORTED)
        self._ws = ws
        self._agent = agent
        self._canister = ws.canister_id
        self._canister_epoch = ws.parameters.epoch
        # [ICWS-PAY-011] derived here, from the pinned key alone
        self._public_key: DerivedPublicKey = master_key.derive_canister_key(self._canister).derive_sub_key(
            room_context(label)
        )
        self._transport_key = TransportSecretKey.from_entropy(os.urandom(_TRANSPORT_ENTROPY))
        self._joined: dict[bytes, _Joined] = {}

    def __repr__(self) -> str:
        return f"<Rooms {sorted(self._joined)}>"

    def __aiter__(self) -> AsyncIterator[RoomUpdate]:
        return self._updates()

    # members

    async def create(self, room: bytes, *members: Principal) -> None:
        """Make a room with these members, the caller among them and its administrator.

        Raises:
            Refused: the canister's refusal.
        """
        await self._administer("room_create", encode_room_create(room, members))

    async def add(self, room: bytes, member: Principal) -> None:
        """Let a member in, who can read what was said in this epoch before.

        Raises:
            Refused: the canister's refusal.
        """
        await self._administer("room_add", encode_room_member(room, member))

    async def remove(self, room: bytes, member: Principal) -> None:
        """Put a member out: the room moves to a new epoch, whose key the member cannot get.

        Raises:
            Refused: the canister's refusal.
        """
        await self._administer("room_remove", encode_room_member(room, member))

    # talking

    async def join(self, room: bytes) -> None:
        """Get the room's key; again after an epoch that could not be followed.

        Raises:
            Refused: the canister's refusal, such as ``NotMember`` or ``Budget``.
            CanisterRejected: the same without words: a canister need not execute what strangers ask.
            PayloadViolation: what it answered is not the room's vetKey.
        """
        reply = decode_room_key_result(
            await self._agent.call(
                self._canister, "room_key", encode_room_key(room, self._transport_key.public_key.raw)
            )
        )
        if not isinstance(reply, RoomKeyReply):
            raise _refused(reply)
        known = self._joined.get(room)
        if known is not None and reply.epoch < known.sender.keys.room.epoch:
            # [ICWS-PAY-010]
            raise PayloadViolation(
                "the room's epoch went back", reason=Reason.STALE_ROOM_EPOCH, requirement="ICWS-PAY-010"
            )
        if known is not None and reply.epoch == known.sender.keys.room.epoch:
            return
        # [ICWS-PAY-009] [ICWS-PAY-011]
        vetkey = EncryptedVetKey.from_bytes(reply.encrypted_key).decrypt_and_verify(
            self._transport_key, self._public_key, room_input(self._canister_epoch, room, reply.epoch)
        )
        keys = RoomKeys(vetkey, Room(self._canister, room, reply.epoch))
        # Counters have gaps, so the time makes one that a resumed session has not used before.
        sender = RoomSender(keys, self._ws.session_principal, time.time_ns())
        self._joined[room] = _Joined(sender, RoomReceiver(keys))

    def leave(self, room: bytes) -> None:
        """Forget the room's keys; the canister is told nothing."""
        self._joined.pop(room, None)

    async def send(self, room: bytes, data: bytes) -> None:
        """Say something; returns when the canister has provably taken it. It is passed on unless :meth:`recv` gives a
        :class:`~icws_secure.payload.RoomRefusal`, after the room has moved to another epoch.

        Raises:
            MisuseError: the room was not joined.
            IcwsError: as :meth:`icws_client.Connection.send`.
        """
        joined = self._room(room)
        joined.sender, content = joined.sender.seal(data)
        await self._ws.send(RoomPost(room, content).encode())

    async def recv(self) -> RoomUpdate:
        """Return the next message of a room that was joined.

        A new epoch's key is fetched before :class:`~icws_secure.payload.RoomEpoch` is returned. The canister gives the
        key of the present epoch alone: who was away for two epochs cannot read what was said in the first.

        Raises:
            PayloadViolation: a message that does not open, which is over with this; the next call gives the next.
            Refused, CanisterRejected: a new epoch's key was refused: the room is left.
            ConnectionClosed: the session is over.
        """
        while True:
            try:
                data = await self._ws.recv()
            except ConnectionClosed:
                self._joined.clear()  # keys go with the session
                raise
            update = await self._update(decode_room_message(data))
            if update is not None:
                return update

    async def _updates(self) -> AsyncIterator[RoomUpdate]:
        while True:
            try:
                yield await self.recv()
            except ConnectionClosedOK:
                return

    async def _update(self, message: RoomMessage) -> RoomUpdate | None:
        joined = self._joined.get(message.room)
        if joined is None:
            return None
        match message:
            case RoomDelivery(room, epoch, sender, content):
                joined.receiver, data = joined.receiver.open(room, epoch, sender, content)
                return RoomText(room, sender, data, epoch)
            case RoomEpoch(room, epoch) if epoch > joined.sender.keys.room.epoch:
                try:
                    await self.join(room)
                except (Refused, CanisterRejected):
                    self.leave(room)
                    raise
        return message

    async def _administer(self, method: str, arg: bytes) -> None:
        result = decode_room_result(await self._agent.call(self._canister, method, arg))
        if isinstance(result, Refusal):
            raise _refused(result)

    def _room(self, room: bytes) -> _Joined:
        joined = self._joined.get(room)
        if joined is None:
            raise MisuseError("the room was not joined", reason=Reason.WRONG_STATE)
        return joined


def _refused(refusal: Refusal) -> Refused:
    return Refused(refusal.words, code=refusal.code, certified=True)
