"""Every bit and every length of what is sealed matters, in both suites and in what rooms say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, PayloadViolation, Reason
from icws_secure.payload import (
    HopChannel,
    HopEnd,
    HopSession,
    Room,
    RoomDelivery,
    RoomKeys,
    RoomPost,
    RoomReceiver,
    RoomRefusal,
    RoomSender,
    decode_room_message,
    decode_room_post,
)
from icws_secure.payload.room_messages import ROOM_MESSAGE_OVERHEAD_BYTES
from icws_secure.vetkd import VetKey
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

CANISTER, ALICE, BOB = Principal(b"\x01"), Principal(b"\x0a" * 29), Principal(b"\x0b" * 29)
VETKEY = VetKey(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
KEYS = RoomKeys(VETKEY, Room(CANISTER, b"kitchen", 3))
SESSION = HopSession(CANISTER, ClientKey(ALICE, 1), bytes(16))


def hop() -> tuple[bytes, Callable[[bytes], object]]:
    client, canister = (
        HopChannel(SESSION, end).attached(1, secret=bytes(32), key_id=None, next_in=1, next_out=1) for end in HopEnd
    )
    return client.seal(1, b"hello")[1], lambda content: canister.open(1, content)


def room() -> tuple[bytes, Callable[[bytes], object]]:
    content = RoomSender(KEYS, ALICE).seal(b"hello")[1]
    return content, lambda content: RoomReceiver(KEYS).open(b"kitchen", 3, ALICE, content)


def post() -> tuple[bytes, Callable[[bytes], object]]:
    content = RoomPost(b"kitchen", RoomSender(KEYS, ALICE).seal(b"hello")[1])

    def read(data: bytes) -> object:
        found = decode_room_post(data)
        return RoomReceiver(KEYS).open(found.room, 3, ALICE, found.content)

    return content.encode(), read


def delivery() -> tuple[bytes, Callable[[bytes], object]]:
    content = RoomDelivery(b"kitchen", 3, ALICE, RoomSender(KEYS, ALICE).seal(b"hello")[1])

    def read(data: bytes) -> object:
        found = decode_room_message(data)
        assert isinstance(found, RoomDelivery)
        return RoomReceiver(KEYS).open(found.room, found.epoch, found.sender, found.content)

    return content.encode(), read


@pytest.fixture(params=[hop, room, post, delivery], ids=lambda make: str(make.__name__))
def sealed(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-007", "ICWS-PAY-008")
def test_no_bit_may_change(sealed: Any) -> None:
    content, read = sealed
    read(content)
    for position in range(8 * len(content)):
        changed = bytearray(content)
        changed[position // 8] ^= 1 << position % 8
        with pytest.raises(PayloadViolation):
            read(bytes(changed))


@pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-003")
def test_nothing_may_be_cut_off_or_added(sealed: Any) -> None:
    content, read = sealed
    for end in range(len(content)):
        with pytest.raises(PayloadViolation):
            read(content[:end])
    for more in (content + b"\x00", b"\xd0" + content, content + content):
        with pytest.raises(PayloadViolation):
            read(more)


@pytest.mark.req("ICWS-PAY-003")
@pytest.mark.parametrize("read", [decode_room_post, decode_room_message])
@pytest.mark.parametrize(
    "data",
    [b"", b"hello", b"\x80", b"\x83\x64post\x41r\x45hello", b"\x83\x65epoch\x41r\xf5", b"\x83\x65epoch\x41r\x20"],
)
def test_what_is_no_message_of_a_room_is_unsealed(read: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(PayloadViolation) as caught:
        read(data)
    assert caught.value.reason is Reason.UNSEALED


def test_refusal_has_a_code_of_the_list() -> None:
    assert decode_room_message(RoomRefusal(b"r", 1, 2, "NotMember").encode()) == RoomRefusal(b"r", 1, 2, "NotMember")
    with pytest.raises(PayloadViolation):
        decode_room_message(RoomRefusal(b"r", 1, 2, "Because").encode())


def test_overhead_of_a_delivery_is_as_stated() -> None:
    content = bytes(70_000)
    encoded = RoomDelivery(bytes(64), (1 << 64) - 1, Principal(bytes(29)), content).encode()
    assert len(encoded) - 64 - len(content) == ROOM_MESSAGE_OVERHEAD_BYTES


@pytest.mark.req("ICWS-LIB-026")
def test_contents_do_not_show() -> None:
    assert "hello" not in repr(RoomPost(b"r", b"hello"))
    assert "hello" not in repr(RoomDelivery(b"r", 1, ALICE, b"hello"))


@pytest.mark.req("ICWS-PAY-005")
def test_an_attach_is_expected_upwards_only() -> None:
    channel = HopChannel(SESSION, HopEnd.CLIENT).attached(2, secret=bytes(32), key_id=None, next_in=1, next_out=1)
    with pytest.raises(MisuseError):
        channel.expecting(2, secret=bytes(32), key_id=None)
    with pytest.raises(DecodeError):
        HopChannel.from_bytes(SESSION, channel.to_bytes()[:-1])
