"""Rooms: one sealing for all members, and everything that must not open."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import MisuseError, PayloadViolation, Reason
from icws_secure.payload import (
    ROOM_OVERHEAD_BYTES,
    Room,
    RoomKeys,
    RoomReceiver,
    RoomSender,
    room_context,
    room_input,
    room_position,
)
from icws_secure.payload.container import Algorithm
from icws_secure.payload.room import room_external
from icws_secure.payload.sealing import seal
from icws_secure.vetkd import VetKey
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

CANISTER = Principal(bytes.fromhex("00000000003002100101"))
ALICE, BOB = Principal(b"\x0a" * 28 + b"\x02"), Principal(b"\x0b" * 28 + b"\x02")
ROOM = Room(CANISTER, b"kitchen", 3)
VETKEY = VetKey(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
KEYS = RoomKeys(VETKEY, ROOM)


def sealed(data: bytes = b"data", sender: Principal = ALICE, room: Room = ROOM, counter: int = 0) -> bytes:
    return RoomSender(RoomKeys(VETKEY, room), sender, counter).seal(data)[1]


def refuse(receiver: RoomReceiver, content: bytes, **named: Any) -> Reason:
    defaults: dict[str, Any] = {"room": b"kitchen", "epoch": 3, "sender": ALICE}
    with pytest.raises(PayloadViolation) as caught:
        receiver.open(content=content, **(defaults | named))
    return caught.value.reason


def test_every_member_opens_one_content() -> None:
    content = sealed(b"hello")
    for _ in range(3):
        assert RoomReceiver(KEYS).open(b"kitchen", 3, ALICE, content)[1] == b"hello"


@pytest.mark.parametrize("size", [0, 100, 1 << 16, 1 << 20])
def test_overhead_is_as_stated(size: int) -> None:
    overhead = len(sealed(bytes(size))) - size
    assert ROOM_OVERHEAD_BYTES - 4 <= overhead <= ROOM_OVERHEAD_BYTES


def test_position_shows_without_keys() -> None:
    assert room_position(sealed(counter=41)) == (3, 42)
    with pytest.raises(PayloadViolation):
        room_position(b"hello")


@pytest.mark.req("ICWS-PAY-008")
class TestCounters:
    def test_grow_with_each_content(self) -> None:
        sender, receiver = RoomSender(KEYS, ALICE), RoomReceiver(KEYS)
        for number in range(1, 5):
            sender, content = sender.seal(bytes([number]))
            assert sender.counter == number
            receiver, data = receiver.open(b"kitchen", 3, ALICE, content)
            assert data == bytes([number])

    def test_may_have_gaps(self) -> None:
        receiver, _ = RoomReceiver(KEYS).open(b"kitchen", 3, ALICE, sealed(counter=10))
        receiver.open(b"kitchen", 3, ALICE, sealed(counter=99))

    @pytest.mark.parametrize("counter", [0, 9, 10])
    def test_that_do_not_grow_are_refused(self, counter: int) -> None:
        receiver, _ = RoomReceiver(KEYS).open(b"kitchen", 3, ALICE, sealed(counter=10))
        assert refuse(receiver, sealed(counter=counter)) is Reason.REPLAYED

    def test_are_kept_for_each_sender(self) -> None:
        receiver, _ = RoomReceiver(KEYS).open(b"kitchen", 3, ALICE, sealed(counter=10))
        receiver, data = receiver.open(b"kitchen", 3, BOB, sealed(sender=BOB))
        assert data == b"data"

    def test_are_not_changed_by_what_does_not_open(self) -> None:
        receiver = RoomReceiver(KEYS)
        forged = bytearray(sealed(counter=100))
        forged[-1] ^= 1
        assert refuse(receiver, bytes(forged)) is Reason.OPEN_FAILED
        receiver.open(b"kitchen", 3, ALICE, sealed())

    def test_of_zero_and_beyond_64_bits_are_not_used(self) -> None:
        with pytest.raises(MisuseError):
            RoomSender(KEYS, ALICE, (1 << 64) - 1).seal(b"")
        with pytest.raises(MisuseError):
            RoomSender(KEYS, ALICE, -1).seal(b"")


class TestBinding:
    @pytest.mark.req("ICWS-PAY-008")
    def test_content_of_another_sender_does_not_open(self) -> None:
        assert refuse(RoomReceiver(KEYS), sealed(sender=BOB)) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-008")
    def test_content_of_another_room_or_canister_does_not_open(self) -> None:
        assert refuse(RoomReceiver(KEYS), sealed(room=replace(ROOM, room=b"hall"))) is Reason.OPEN_FAILED
        assert refuse(RoomReceiver(KEYS), sealed(room=replace(ROOM, canister=BOB))) is Reason.OPEN_FAILED

    @pytest.mark.req("ICWS-PAY-008")
    def test_other_names_in_the_certified_message_are_refused(self) -> None:
        receiver = RoomReceiver(KEYS)
        assert refuse(receiver, sealed(), room=b"hall") is Reason.UNKNOWN_KEY
        assert refuse(receiver, sealed(), sender=BOB) is Reason.OPEN_FAILED
        assert refuse(receiver, sealed(), epoch=4) is Reason.UNKNOWN_KEY

    @pytest.mark.req("ICWS-PAY-010")
    @pytest.mark.parametrize(("named", "inside"), [(2, 2), (3, 2), (2, 3)])
    def test_older_epoch_is_refused_as_such(self, named: int, inside: int) -> None:
        content = sealed(room=replace(ROOM, epoch=inside))
        assert refuse(RoomReceiver(KEYS), content, epoch=named) is Reason.STALE_ROOM_EPOCH

    @pytest.mark.req("ICWS-PAY-008")
    @pytest.mark.parametrize(("named", "inside"), [(4, 4), (3, 4), (4, 3)])
    def test_newer_epoch_needs_its_key(self, named: int, inside: int) -> None:
        content = sealed(room=replace(ROOM, epoch=inside))
        assert refuse(RoomReceiver(KEYS), content, epoch=named) is Reason.UNKNOWN_KEY

    @pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-008")
    def test_every_changed_byte_is_refused(self) -> None:
        content = sealed()
        for position in range(len(content)):
            changed = content[:position] + bytes((content[position] ^ 1,)) + content[position + 1 :]
            refuse(RoomReceiver(KEYS), changed)

    @pytest.mark.req("ICWS-PAY-001")
    @pytest.mark.parametrize("kid", [b"", bytes(7) + b"\x03", bytes(7) + b"\x03" + bytes(8) + b"\x01"])
    def test_position_in_another_form_is_refused(self, kid: bytes) -> None:
        external = room_external(ROOM, ALICE, 1)
        content = seal(Algorithm.AES_256_GCM, KEYS.of(ALICE), b"data", kid=kid, external=external)
        assert refuse(RoomReceiver(KEYS), content) is Reason.UNSEALED

    @pytest.mark.req("ICWS-PAY-008")
    def test_keys_differ_by_room_epoch_and_sender(self) -> None:
        rooms = [ROOM, replace(ROOM, room=b"hall"), replace(ROOM, epoch=4)]
        keys = {RoomKeys(VETKEY, room).of(sender).key for room in rooms for sender in (ALICE, BOB)}
        assert len(keys) == 6

    @pytest.mark.req("ICWS-PAY-003")
    @pytest.mark.parametrize("content", [b"", b"hello", b"\x83\x40\xa0\x40"])
    def test_unsealed_content_is_refused(self, content: bytes) -> None:
        assert refuse(RoomReceiver(KEYS), content) is Reason.UNSEALED


class TestDerivationInputs:
    @pytest.mark.req("ICWS-PAY-009")
    def test_context_is_prefixed_by_its_length(self) -> None:
        assert room_context(b"chat") == b"icws-room/1\x04chat"
        with pytest.raises(MisuseError):
            room_context(bytes(256))

    @pytest.mark.req("ICWS-PAY-009")
    def test_input_has_canister_epoch_room_and_room_epoch(self) -> None:
        assert cbor.decode(room_input(7, b"kitchen", 3), what="input") == [7, b"kitchen", 3]
        inputs = {room_input(e, r, n) for e in (1, 2) for r in (b"a", b"ab") for n in (1, 2)}
        assert len(inputs) == 8

    @pytest.mark.req("ICWS-PAY-008")
    def test_external_data_is_the_specified_array(self) -> None:
        expected = ["icws-secure/1", CANISTER.raw, b"kitchen", 3, ALICE.raw, 9]
        assert cbor.decode(room_external(ROOM, ALICE, 9), what="external") == expected


@pytest.mark.req("ICWS-LIB-026")
def test_keys_do_not_show() -> None:
    secret = VETKEY.export_secret()
    shown = f"{KEYS!r} {RoomSender(KEYS, ALICE)!r} {RoomReceiver(KEYS)!r}"
    assert secret.hex() not in shown
    assert repr(secret) not in shown
