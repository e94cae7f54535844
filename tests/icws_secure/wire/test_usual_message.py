"""The match for the usual layout of a message says what the general decoder says, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, IcwsError
from icws_secure.limits import MAX_CONTENT_BYTES
from icws_secure.wire import message as messages
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import CanisterMessage, decode_message
from icws_secure.wire.principal import Principal
from icws_secure.wire.usual_message import usual_fields

pytestmark = pytest.mark.req("ICWS-LIB-024")

SESSION = Principal.self_authenticating(b"a session key")
MESSAGE = CanisterMessage(ClientKey(SESSION, 7), 300, 1_700_000_000_000_000_000, False, b"hello", bytes(range(16)))
NUMBERS = st.integers(0, (1 << 64) - 1) | st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536, (1 << 32) - 1, 1 << 32])


def generally(data: bytes) -> CanisterMessage | str:
    """What the general decoder makes of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(messages, "usual_fields", lambda _: None)
        return outcome(data)


def outcome(data: bytes) -> CanisterMessage | str:
    try:
        return decode_message(data)
    except IcwsError as error:
        return repr(error)


@given(
    nonce=NUMBERS,
    sequence_num=NUMBERS,
    timestamp=NUMBERS,
    service=st.booleans(),
    content=st.binary(max_size=300) | st.integers(0, 70_000).map(bytes),
    salt=st.none() | st.binary(min_size=16, max_size=16),
)
def test_every_message_of_a_session_is_usual(
    nonce: int, sequence_num: int, timestamp: int, service: bool, content: bytes, salt: bytes | None
) -> None:
    message = CanisterMessage(ClientKey(SESSION, nonce), sequence_num, timestamp, service, content, salt)
    assert usual_fields(message.encode()) is not None
    assert decode_message(message.encode()) == message == generally(message.encode())


@pytest.mark.parametrize("salt", [None, MESSAGE.salt])
def test_no_other_byte_is_read_in_another_way(salt: bytes | None) -> None:
    data = CanisterMessage(MESSAGE.client_key, 300, MESSAGE.timestamp_ns, False, b"hello", salt).encode()
    for place in range(len(data)):
        for byte in range(256):
            altered = data[:place] + bytes((byte,)) + data[place + 1 :]
            if usual_fields(altered) is not None:
                assert outcome(altered) == generally(altered)


@given(data=st.data())
def test_pieces_that_are_missing_or_too_much_are_not_overlooked(data: st.DataObject) -> None:
    whole = MESSAGE.encode()
    start, stop = sorted((data.draw(st.integers(0, len(whole))), data.draw(st.integers(0, len(whole)))))
    altered = whole[:start] + data.draw(st.binary(max_size=12)) + whole[stop:]
    assert outcome(altered) == generally(altered)


def test_longer_numbers_than_needed_are_read_as_the_general_decoder_reads_them() -> None:
    data = MESSAGE.encode().replace(b"\x19\x01\x2c", b"\x1b" + (300).to_bytes(8, "big"))
    assert usual_fields(data) is not None
    assert decode_message(data) == MESSAGE == generally(data)


@pytest.mark.parametrize("data", [b"", b"\xd9\xd9\xf7\xa5", bytes(300)])
def test_what_is_no_message_is_left_to_the_general_decoder(data: bytes) -> None:
    assert usual_fields(data) is None
    with pytest.raises(DecodeError):
        decode_message(data)


@pytest.mark.req("ICWS-LIB-023")
def test_a_usual_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(DecodeError):
        decode_message(CanisterMessage(MESSAGE.client_key, 1, 1, False, bytes(MAX_CONTENT_BYTES + 2_000)).encode())
