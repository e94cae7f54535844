"""The sealed room: who gets a key, at what price, and what becomes of messages."""

from __future__ import annotations

import os
from typing import Any

import pytest

from icws_canister_mock.canister.samples import SealedRoom
from icws_canister_mock.replica import Replied
from icws_secure.errors import PayloadViolation
from icws_secure.limits import NS_PER_S
from icws_secure.payload import room_context, room_input
from icws_secure.vetkd import EncryptedVetKey, MasterPublicKey, TransportSecretKey
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

ROOM = b"kitchen"


class Cheap(SealedRoom):
    """With a small budget."""

    hourly = 3


class House:
    """A canister with one room, its administrator and a member."""

    def __init__(self, stage: Any, make_user: Any) -> None:
        self.stage = stage
        self.alice, self.bob, self.eve = (make_user(name) for name in ("alice", "bob", "eve"))
        assert self.result(self.alice, "room_create", encode_room_create(ROOM, (self.bob,))) == 1

    def call(self, caller: Principal, method: str, arg: bytes) -> bytes:
        result = self.stage.replica.call(self.stage.id, method, arg, sender=caller)
        assert isinstance(result, Replied), result
        return bytes(result.arg)

    def result(self, caller: Principal, method: str, arg: bytes) -> Any:
        return decode_room_result(self.call(caller, method, arg))

    def remove(self, member: Principal) -> Any:
        return self.result(self.alice, "room_remove", encode_room_member(ROOM, member))

    def key(self, caller: Principal, transport_key: bytes | None = None, room: bytes = ROOM) -> RoomKeyReply | Refusal:
        tpk = fresh().public_key.raw if transport_key is None else transport_key
        return decode_room_key_result(self.call(caller, "room_key", encode_room_key(room, tpk)))


def fresh() -> TransportSecretKey:
    return TransportSecretKey.from_entropy(os.urandom(48))


def code(result: Any) -> str:
    assert isinstance(result, Refusal), result
    return result.code


@pytest.fixture
def house(stage_of: Any, make_user: Any) -> House:
    return House(stage_of(Cheap()), make_user)


@pytest.mark.req("ICWS-PAY-009", "ICWS-PAY-011")
def test_member_gets_the_key_of_canister_room_and_epochs(house: House) -> None:
    secret = fresh()
    reply = house.key(house.bob, secret.public_key.raw)
    assert isinstance(reply, RoomKeyReply)
    master = MasterPublicKey(house.stage.replica.vetkd.master_public_key("test_key_1"))
    public_key = master.derive_canister_key(house.stage.id).derive_sub_key(room_context(b"sealed-room"))
    epoch = house.stage.canister.ws.epoch
    encrypted = EncryptedVetKey.from_bytes(reply.encrypted_key)
    encrypted.decrypt_and_verify(secret, public_key, room_input(epoch, ROOM, 1))
    for other in (room_input(epoch, ROOM, 2), room_input(epoch + 1, ROOM, 1), room_input(epoch, b"hall", 1)):
        with pytest.raises(PayloadViolation):
            encrypted.decrypt_and_verify(secret, public_key, other)


@pytest.mark.req("ICWS-PAY-010")
def test_stranger_and_removed_member_get_none(house: House) -> None:
    assert code(house.key(house.eve)) == "NotMember"
    assert code(house.key(house.bob, room=b"hall")) == "NotMember"
    assert isinstance(house.key(house.bob), RoomKeyReply)
    assert house.remove(house.bob) == 2
    assert code(house.key(house.bob)) == "NotMember"
    reply = house.key(house.alice)
    assert isinstance(reply, RoomKeyReply)
    assert reply.epoch == 2


@pytest.mark.req("ICWS-PAY-010")
@pytest.mark.parametrize(("removed", "refusal"), [("bob", "NotMember"), ("eve", "StaleRoomEpoch")])
def test_what_changes_during_the_derivation_counts(house: House, removed: str, refusal: str) -> None:
    assert house.result(house.alice, "room_add", encode_room_member(ROOM, house.eve)) == 1
    canister = house.stage.canister
    derive = type(canister)._pay

    def pay_and_remove(self: Any, slot: Any, transport_key: bytes) -> None:
        """Between the check before and the check after, the room moves on."""
        derive(self, slot, transport_key)
        room = self.rooms[ROOM]
        members = room.members - {getattr(house, removed)}
        self.rooms[ROOM] = type(room)(room.admin, members, room.epoch + 1)

    type(canister)._pay = pay_and_remove
    try:
        assert code(house.key(house.bob)) == refusal
    finally:
        type(canister)._pay = derive


@pytest.mark.req("ICWS-PAY-014")
@pytest.mark.parametrize("key", [b"\xc0" + bytes(47), bytes(48), b"", b"\xff" * 48])
def test_transport_key_that_would_show_the_key_is_refused(house: House, key: bytes) -> None:
    assert code(house.key(house.bob, key)) == "MalformedArgument"


@pytest.mark.req("ICWS-PAY-010")
def test_derivations_are_budgeted(house: House) -> None:
    stage, transport_key = house.stage, fresh().public_key.raw
    before = stage.replica.subnets["app"].canisters[stage.id].cycles
    first = house.key(house.bob, transport_key)
    spent = before - stage.replica.subnets["app"].canisters[stage.id].cycles
    assert house.key(house.bob, transport_key) == first  # a lost reply costs nothing
    assert before - stage.replica.subnets["app"].canisters[stage.id].cycles == spent
    assert code(house.key(house.bob)) == "Budget"
    stage.sleep(601)
    assert isinstance(house.key(house.bob), RoomKeyReply)
    assert isinstance(house.key(house.alice), RoomKeyReply)
    stage.sleep(601)
    assert code(house.key(house.alice)) == "Budget"  # three in this hour
    stage.sleep(3_600)
    assert isinstance(house.key(house.alice), RoomKeyReply)
    stage.replica.set_cycles(stage.id, Cheap.cycle_floor)
    assert code(house.key(house.bob)) == "CycleFloor"


def test_only_the_administrator_changes_members(house: House) -> None:
    for method in ("room_add", "room_remove"):
        assert code(house.result(house.bob, method, encode_room_member(ROOM, house.bob))) == "NotMember"
    assert code(house.remove(house.eve)) == "NotMember"
    assert code(house.result(house.bob, "room_create", encode_room_create(ROOM, ()))) == "MalformedArgument"
    assert code(house.result(house.bob, "room_create", encode_room_create(bytes(65), ()))) == "MalformedArgument"


@pytest.mark.req("ICWS-PAY-010")
def test_strangers_calls_are_not_worth_an_execution(house: House) -> None:
    canister = house.stage.canister
    key = encode_room_key(ROOM, fresh().public_key.raw)
    assert canister.on_inspect(house.bob, "room_key", key)
    assert not canister.on_inspect(house.eve, "room_key", key)
    assert not canister.on_inspect(house.bob, "room_key", b"no Candid")
    assert not canister.on_inspect(Principal(b"\x04"), "room_create", b"")
    assert not canister.on_inspect(house.bob, "another", b"")


def test_rooms_survive_an_upgrade(house: House) -> None:
    house.remove(house.bob)
    house.stage.replica.upgrade(house.stage.id, Cheap())
    reply = house.key(house.alice)
    assert isinstance(reply, RoomKeyReply)
    assert reply.epoch == 2


def test_price_is_more_than_any_key_costs() -> None:
    assert SealedRoom.cycles >= 26_153_846_153
    assert SealedRoom.pause_ns == 600 * NS_PER_S
