"""The Candid interface of canisters with sealed rooms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from icws_secure.errors import DecodeError
from icws_secure.wire import rooms
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal

ALICE, BOB = Principal(b"\x0a" * 29), Principal(b"\x0b" * 29)
REFUSED = Refusal("NotMember", "the caller is no member")


def test_arguments_come_back() -> None:
    assert rooms.decode_room_create(rooms.encode_room_create(b"r", (ALICE, BOB))) == (b"r", (ALICE, BOB))
    assert rooms.decode_room_member(rooms.encode_room_member(b"r", ALICE)) == (b"r", ALICE)
    assert rooms.decode_room_key(rooms.encode_room_key(b"r", bytes(48))) == (b"r", bytes(48))


@pytest.mark.parametrize("result", [7, REFUSED])
def test_results_come_back(result: int | Refusal) -> None:
    assert rooms.decode_room_result(rooms.encode_room_result(result)) == result


@pytest.mark.parametrize("result", [rooms.RoomKeyReply(3, bytes(192)), REFUSED])
def test_keys_come_back(result: rooms.RoomKeyReply | Refusal) -> None:
    assert rooms.decode_room_key_result(rooms.encode_room_key_result(result)) == result


@pytest.mark.parametrize(
    "decode",
    [
        rooms.decode_room_create,
        rooms.decode_room_member,
        rooms.decode_room_key,
        rooms.decode_room_result,
        rooms.decode_room_key_result,
    ],
)
@pytest.mark.parametrize("data", [b"", b"DIDL\x00\x00", b"hello"])
def test_other_bytes_are_refused(decode: Callable[[bytes], object], data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data)


def test_encrypted_key_does_not_show() -> None:
    assert "encrypted_key" not in repr(rooms.RoomKeyReply(3, bytes(192)))
