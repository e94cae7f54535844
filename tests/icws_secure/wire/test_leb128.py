from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.wire import leb128

UNSIGNED = [(0, "00"), (127, "7f"), (128, "8001"), (624485, "e58e26"), (2**64 - 1, "ffffffffffffffffff01")]
SIGNED = [(0, "00"), (-1, "7f"), (63, "3f"), (64, "c000"), (-64, "40"), (-65, "bf7f"), (-123456, "c0bb78")]


@pytest.mark.parametrize(("value", "encoded"), UNSIGNED)
def test_unsigned_has_the_shortest_form(value: int, encoded: str) -> None:
    assert leb128.encode_unsigned(value).hex() == encoded
    assert leb128.decode_unsigned(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@pytest.mark.parametrize(("value", "encoded"), SIGNED)
def test_signed_has_the_shortest_form(value: int, encoded: str) -> None:
    assert leb128.encode_signed(value).hex() == encoded
    assert leb128.decode_signed(bytes.fromhex(encoded)) == (value, len(encoded) // 2)


@given(st.integers(0, 2**130), st.binary(max_size=3), st.binary(max_size=3))
def test_unsigned_is_read_where_it_stands(value: int, before: bytes, after: bytes) -> None:
    encoded = leb128.encode_unsigned(value)
    assert leb128.decode_unsigned(before + encoded + after, len(before)) == (value, len(before) + len(encoded))


@given(st.integers(-(2**130), 2**130), st.binary(max_size=3))
def test_signed_is_read_where_it_stands(value: int, before: bytes) -> None:
    encoded = leb128.encode_signed(value)
    assert leb128.decode_signed(before + encoded, len(before)) == (value, len(before) + len(encoded))


def test_longer_forms_are_read() -> None:
    assert leb128.decode_unsigned(b"\x80\x80\x00") == (0, 3)
    assert leb128.decode_signed(b"\xff\xff\x7f") == (-1, 3)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 18])
def test_number_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        leb128.decode_unsigned(data)
    assert caught.value.reason is Reason.MALFORMED


@pytest.mark.parametrize("data", [b"\x80" * 19 + b"\x00", b"\xff" * 1_000_000])
def test_number_of_more_than_the_bound_is_refused(data: bytes) -> None:
    for decode in (leb128.decode_unsigned, leb128.decode_signed):
        with pytest.raises(DecodeError) as caught:
            decode(data)
        assert caught.value.reason is Reason.TOO_LARGE


def test_bound_can_be_lowered() -> None:
    assert leb128.decode_unsigned(b"\xff\x01", max_bytes=2) == (255, 2)
    with pytest.raises(DecodeError):
        leb128.decode_unsigned(b"\xff\x81\x01", max_bytes=2)


def test_exact_number_fills_its_value() -> None:
    assert leb128.decode_unsigned_exact(b"\xe5\x8e\x26", what="/time") == 624485
    with pytest.raises(DecodeError) as caught:
        leb128.decode_unsigned_exact(b"\x01\x00", what="/time")
    assert caught.value.reason is Reason.TRAILING_BYTES


def test_unsigned_takes_no_negative_number() -> None:
    with pytest.raises(MisuseError):
        leb128.encode_unsigned(-1)
