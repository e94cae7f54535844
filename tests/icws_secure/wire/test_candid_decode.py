"""What the Candid decoder takes, what it makes of it, and what it refuses.

Messages are written as hex after ``DIDL``; a comment says what they are where the name does not.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from icws_secure.errors import DecodeError, Reason
from icws_secure.limits import (
    MAX_CANDID_DEPTH,
    MAX_CANDID_FIELDS,
    MAX_CANDID_NUMBER_BYTES,
    MAX_CANDID_TYPES,
    MAX_CANDID_VALUES,
)
from icws_secure.wire import candid as c
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

BILLION = "8094ebdc03"
POINT = c.Record({"x": c.Nat64, "y": c.Opt(c.Text)})


def message(hex_after_magic: str) -> bytes:
    return b"DIDL" + bytes.fromhex(hex_after_magic)


def decode(hex_after_magic: str, *types: c.Type) -> tuple[Any, ...]:
    return c.decode(types, message(hex_after_magic))


def refuse(hex_after_magic: str, *types: c.Type) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(hex_after_magic, *types)
    assert type(caught.value) is DecodeError
    assert caught.value.requirement in ("ICWS-LIB-021", "ICWS-LIB-002", None)
    return caught.value


# Values ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "type_", "expected"),
    [
        ("00017f", c.Null, None),
        ("00017e01", c.Bool, True),
        ("00017d8001", c.Nat, 128),
        ("00017d8000", c.Nat, 0),  # longer than need be
        ("00017c40", c.Int, -64),
        ("00017cff00", c.Int, 127),
        ("00017cff7f", c.Int, -1),
        ("00017d2a", c.Int, 42),  # every nat is an int
        ("00017bff", c.Nat8, 255),
        ("00017a0001", c.Nat16, 256),
        ("000179ff000000", c.Nat32, 255),
        ("000178ffffffffffffffff", c.Nat64, 2**64 - 1),
        ("000177ff", c.Int8, -1),
        ("000176ffff", c.Int16, -1),
        ("00017500000080", c.Int32, -(2**31)),
        ("000174ffffffffffffffff", c.Int64, -1),
        ("000173000000bf", c.Float32, -0.5),
        ("000172000000000000e03f", c.Float64, 0.5),
        ("00017103e29883", c.Text, "☃"),
        ("00017186004d6f746f6b6f", c.Text, "Motoko"),  # length longer than need be
        ("0001680103caffee", c.PrincipalType, Principal(b"\xca\xff\xee")),
        ("000170", c.Reserved, None),
        ("00017e01", c.Reserved, None),
        ("016d7b0100020102", c.Blob, b"\x01\x02"),
        ("016d7c0100020102", c.Vec(c.Int), (1, 2)),
        ("016d7c010000", c.Vec(c.Int8), ()),  # nothing in it that does not fit
        ("016d7c010000", c.Blob, b""),
        ("016d7f0100e807", c.Vec(c.Null), (None,) * 1000),
        ("016e7c0100012a", c.Opt(c.Int), 42),
        ("016e7c010000", c.Opt(c.Int), None),
        ("026e016e7e0100010101", c.Opt(c.Nat), None),  # opt opt bool
        ("00017e01", c.Opt(c.Bool), True),  # a value alone will do for opt
        ("00017e01", c.Opt(c.Nat), None),
        ("000170", c.Opt(c.Nat), None),
        ("016e7e01000101", c.Opt(c.Nat), None),
        ("016c02007c017e01002a01", c.Record({0: c.Int, 1: c.Bool}), {0: 42, 1: True}),
        ("016c01017c01002a", c.Record({1: c.Opt(c.Int), 2: c.Opt(c.Int)}), {1: 42, 2: None}),
        ("016c01017c01002a", c.Record({3: c.Reserved}), {3: None}),
        ("016c000100", c.Record({}), {}),
        ("016b02007f017f010001", c.Variant({0: c.Null, 1: c.Null, 2: c.Null}), (1, None)),
        ("016b02007f017f010000", c.Variant({0: c.Null}), (0, None)),  # the case that does not fit is not there
        ("026e016b02007f017f01000101", c.Opt(c.Variant({0: c.Null})), None),  # here it is
        ("016b02bc8a0171c5fed2017101000004676f6f64", c.Variant({"Ok": c.Text, "Err": c.Text}), ("Ok", "good")),
        ("016b029cc20171e58eb4026f01000004676f6f64", c.Variant({"ok": c.Text, "err": c.Empty}), ("ok", "good")),
    ],
)
def test_value_is_decoded(data: str, type_: c.Type, expected: object) -> None:
    assert decode(data, type_) == (expected,)


def test_not_a_number_is_a_float() -> None:
    (value,) = decode("000172010000000000f07f", c.Float64)

    assert math.isnan(value)


def test_arguments_nobody_asked_for_are_passed_over() -> None:
    assert decode("000a7f7e7d7c7f707f7b7a79012a2a2a2a002a000000", c.Null, c.Bool, c.Nat) == (None, True, 42)


def test_missing_argument_is_none_only_if_optional() -> None:
    assert decode("0000", c.Opt(c.Nat), c.Reserved) == (None, None)
    assert refuse("0000", c.Null).reason is Reason.MISSING_FIELD
    assert refuse("0000", c.Nat).reason is Reason.MISSING_FIELD


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("016d71", "02026162026364"),  # vec text
        ("016d7d", "03808001ff0100"),  # vec nat
        ("016d7e", "020001"),  # vec bool
        ("016d68", "01" + "0104caffee01"),  # vec principal
        ("016e71", "0102c3a9"),  # opt text
        ("016e00", "010100"),  # μ opt
        ("016d00", "020000"),  # μ vec
        ("026c02007c01016b02007f0100", "01" + "2a" + "00"),  # a list: variant {nil; cons}
        ("016a0171017d0101", "010103caffee03666f6f"),  # func (text) -> (nat) query
        ("026a000000690103666f6f00", "0103caffee"),  # service {foo}, second row
        ("016702ffff", "0400deadbeef"),  # of a later version of Candid: 4 bytes, no references
        ("016c0300780171027e", "0000000000000000" + "0161" + "01"),  # record of fixed and other parts
    ],
)  # fmt: skip
def test_values_of_any_well_formed_type_are_passed_over(header: str, value: str) -> None:
    last_row = int(header[:2], 16) - 1
    data = f"{header}02{last_row:02x}79{value}07000000"

    assert decode(data, c.Opt(c.Nat64), c.Nat32) == (None, 7)
    assert decode(data, c.Reserved, c.Nat32) == (None, 7)
    assert decode(data, c.Reserved) == (None,)


# Refusals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"DADL\x00\x00", b"DIDL", b"DIDL\x00", b"DID"])
def test_what_is_not_candid_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        c.decode([], data)


@pytest.mark.parametrize(
    "data",
    [
        "010000",  # row that is a reference
        "026e010000",
        "016e0100",  # reference beyond the table
        "000100",  # argument beyond the table
        "00037f7f",  # argument missing
        "00016e7f00",  # constructor among arguments
        "00015e",  # no such type
        "017f00",  # primitive as a row
        "016800",
        "016c02007c007e01002a01",  # field twice
        "016c02017c007e01002a01",  # fields unsorted
        "016c0180e497d0127c01002a",  # field number over 32 bits
        "016b02007f007f010000",
        "016b02017f007f010000",
        "026a0171017d00690204666f6f320003666f6f0001010103caffee",  # methods unsorted
        "026a0171017d00690203666f6f0003666f6f0001010103caffee",  # method twice
        "026a0171017d00690103e228a10001010103caffee",  # method's name is not UTF-8
        "01690103666f6f6801000103caffee",  # method that is a principal
        "026e7e690103666f6f0001010103caffee",  # method that is an opt
        "016a0171017d01040100" + "010103caffee03666f6f",  # unknown annotation
        "016a0169017d00",  # service outside the table
        "0167ff01",  # later type whose description is cut short
    ],
)  # fmt: skip
@pytest.mark.req("ICWS-LIB-023")
def test_malformed_header_is_refused(data: str) -> None:
    refuse(data, c.Reserved)


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ("00017e02", c.Bool),
        ("00017e02", c.Opt(c.Bool)),
        ("00017e02", c.Reserved),
        ("00017e", c.Bool),
        ("00017d80", c.Nat),
        ("00017d80", c.Reserved),
        ("000178000000", c.Nat64),
        ("000178000000", c.Reserved),
        ("000171074d6f746f6b6f", c.Text),
        ("000171074d6f746f6b6f", c.Reserved),
        ("00017103e228a1", c.Text),  # not UTF-8
        ("00017103e228a1", c.Reserved),
        ("00017103eda080", c.Text),  # a surrogate
        ("00016803caffee", c.PrincipalType),  # reference that is not transparent
        ("0001680003caffee", c.PrincipalType),
        ("00016800", c.Reserved),
        ("0001680103caff", c.PrincipalType),
        ("000168011e" + "00" * 30, c.PrincipalType),  # longer than any principal
        ("000168011e" + "00" * 30, c.Reserved),
        ("00016f", c.Empty),
        ("00016f", c.Reserved),
        ("00016f", c.Opt(c.Nat)),
        ("016e6f010001", c.Opt(c.Nat)),
        ("016e7c0100022a", c.Opt(c.Int)),
        ("016e7c0100022a", c.Reserved),
        ("016e7c01008000", c.Opt(c.Int)),  # presence is one byte
        ("016e7c01008000", c.Reserved),
        ("016e7c010001", c.Opt(c.Int)),
        ("016d7c01000201", c.Vec(c.Int)),
        ("016d7b01000301", c.Blob),
        ("016b00010000", c.Variant({})),
        ("016b01007f010001", c.Variant({0: c.Null})),
        ("016b01007f010001", c.Reserved),
        ("016c0100000100", c.Reserved),  # μ record: no value ends
        ("016c0100000100", c.Opt(c.Record({0: c.Opt(c.Nat)}))),
        ("026d016c010001010001", c.Reserved),
        ("016b0100000100" + "00" * 12, c.Reserved),  # μ variant
        ("016a000000010000", c.Reserved),  # function that is not transparent
        ("01670001000001", c.Reserved),  # of a later type, with a reference
    ],
)
@pytest.mark.req("ICWS-LIB-023")
def test_malformed_value_is_refused_whether_it_is_wanted_or_not(data: str, type_: c.Type) -> None:
    refuse(data, type_)


@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ("00017e00", c.Null),
        ("00017c2a", c.Nat),
        ("00017b2a", c.Nat),
        ("00017d2a", c.Nat8),
        ("016e7c010000", c.Int),  # opt where none is expected
        ("016d7c01000101", c.Vec(c.Nat)),
        ("016d7c01000101", c.Blob),
        ("000171024142", c.Blob),
        ("016b01007f010000", c.Variant({1: c.Null})),
        ("016b01007f0100002a", c.Variant({0: c.Int})),
        ("016c02007c017e01002a01", c.Record({0: c.Bool, 1: c.Int})),
        ("00017f", c.Record({})),
        ("00017f", c.Variant({0: c.Null})),
    ],
)
def test_value_of_another_type_is_refused(data: str, type_: c.Type) -> None:
    assert refuse(data, type_).reason is Reason.WRONG_TYPE


def test_record_without_a_field_is_refused() -> None:
    error = refuse("016c01017c01002a", c.Record({2: c.Int}))

    assert error.reason is Reason.MISSING_FIELD
    assert error.facts["field"] == 2


def test_optional_record_without_a_field_is_none() -> None:
    assert decode("026e016c01017c0100012a", c.Opt(c.Record({2: c.Int}))) == (None,)


@pytest.mark.parametrize("extra", ["00", "4449444c0000"])
def test_bytes_after_the_last_value_are_refused(extra: str) -> None:
    assert refuse("00017f" + extra, c.Null).reason is Reason.TRAILING_BYTES
    assert refuse("0000" + extra).reason is Reason.TRAILING_BYTES


# Bounds ---------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-LIB-021")
@pytest.mark.parametrize("data", [BILLION + "00", "00" + BILLION, "016c" + BILLION + "007f", "016b" + BILLION + "007f"])
def test_count_in_the_header_is_bounded(data: str) -> None:
    assert refuse(data).reason is Reason.TOO_MANY


@pytest.mark.req("ICWS-LIB-021")
def test_types_and_fields_are_bounded_exactly() -> None:
    types = encode_unsigned(MAX_CANDID_TYPES) + b"\x6e\x7d" * MAX_CANDID_TYPES + b"\x00"
    fields = b"".join(encode_unsigned(number) + b"\x7f" for number in range(MAX_CANDID_FIELDS))
    record = b"\x01\x6c" + encode_unsigned(MAX_CANDID_FIELDS) + fields + b"\x01\x00"

    assert decode(types.hex()) == ()
    assert decode(record.hex()) == ()
    assert refuse((encode_unsigned(MAX_CANDID_TYPES + 1) + b"\x6e\x7d" * 999).hex()).reason is Reason.TOO_MANY
    assert refuse((b"\x01\x6c" + encode_unsigned(MAX_CANDID_FIELDS + 1) + fields).hex()).reason is Reason.TOO_MANY


@pytest.mark.req("ICWS-LIB-021")
def test_message_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(DecodeError) as caught:
        c.decode([c.Blob], bytes(101), max_bytes=100)

    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.req("ICWS-LIB-021")
@pytest.mark.parametrize(
    ("data", "type_"),
    [
        ("016d7f0100" + BILLION, c.Vec(c.Opt(c.Nat))),  # vec null
        ("016d7f0100" + BILLION, c.Vec(c.Null)),
        ("016d700100" + BILLION, c.Vec(c.Reserved)),
        ("026d016c000100" + BILLION, c.Vec(c.Record({}))),
        ("026d016d7f0100" + "05" + "ffff3f" * 5, c.Vec(c.Vec(c.Null))),
        ("026d016c02007001700100" + BILLION, c.Vec(POINT)),
        ("016d6f0100" + BILLION, c.Vec(c.Nat)),  # vec empty
    ],
)
def test_values_without_bytes_are_bounded(data: str, type_: c.Type) -> None:
    for expected in (type_, c.Reserved, c.Opt(c.Nat)):
        assert refuse(data, expected).reason in (Reason.TOO_MANY, Reason.MALFORMED, Reason.MISSING_FIELD)
    assert refuse(data).reason in (Reason.TOO_MANY, Reason.MALFORMED)


@pytest.mark.req("ICWS-LIB-021")
def test_records_that_double_from_row_to_row_cost_nothing() -> None:
    # row 0 is record {null; null}, row n two of row n - 1: two to the 200th values without a byte
    rows = bytes.fromhex("6c02007f017f") + b"".join(
        b"\x6c\x02\x00" + signed + b"\x01" + signed for signed in map(_signed, range(199))
    )
    data = (encode_unsigned(200) + rows + b"\x01" + _signed(199)).hex()

    assert refuse(data, c.Reserved).reason is Reason.TOO_MANY
    assert refuse(data).reason is Reason.TOO_MANY
    assert refuse(data, c.Record({0: c.Reserved, 1: c.Reserved})).reason is Reason.TOO_MANY


def _signed(value: int) -> bytes:
    return bytes([value]) if value < 0x40 else bytes([value & 0x7F | 0x80, value >> 7])


@pytest.mark.req("ICWS-LIB-021")
def test_number_of_values_is_bounded_though_each_has_bytes() -> None:
    count = MAX_CANDID_VALUES + 1
    data = (b"\x01\x6d\x7e\x01\x00" + encode_unsigned(count) + bytes(count)).hex()

    assert refuse(data, c.Vec(c.Bool)).reason is Reason.TOO_MANY
    assert refuse(data, c.Reserved).reason is Reason.TOO_MANY


@pytest.mark.req("ICWS-LIB-021")
def test_a_blob_of_many_bytes_is_one_value() -> None:
    size = 10 * MAX_CANDID_VALUES
    data = (b"\x01\x6d\x7b\x01\x00" + encode_unsigned(size) + bytes(size)).hex()

    assert decode(data, c.Blob) == (bytes(size),)
    assert decode(data, c.Reserved) == (None,)


@pytest.mark.req("ICWS-LIB-021")
@pytest.mark.parametrize("row", ["016e00", "016d00"])
def test_nesting_is_bounded(row: str) -> None:
    def nested(levels: int) -> str:
        return row + "0100" + "01" * (levels - 1) + "00"

    assert decode(nested(MAX_CANDID_DEPTH), c.Reserved) == (None,)
    assert refuse(nested(MAX_CANDID_DEPTH + 1), c.Reserved).reason is Reason.TOO_DEEP
    assert refuse(nested(100_000), c.Opt(c.Nat)).reason is Reason.TOO_DEEP


@pytest.mark.req("ICWS-LIB-021")
@pytest.mark.parametrize("type_", [c.Nat, c.Reserved])
def test_numbers_are_bounded(type_: c.Type) -> None:
    longest = "00017d" + "ff" * (MAX_CANDID_NUMBER_BYTES - 1)

    decode(longest + "00", type_)
    assert refuse(longest + "ff00", type_).reason is Reason.TOO_LARGE


@pytest.mark.req("ICWS-LIB-023")
def test_every_truncation_and_every_changed_byte_is_a_value_or_an_error_of_ours() -> None:
    types: list[c.Type] = [
        c.Record({"k": POINT, "v": c.Vec(c.Variant({"Ok": c.Blob, "Err": c.Text}))}),
        c.Opt(c.PrincipalType),
    ]
    value = {"k": {"x": 7, "y": "é"}, "v": (("Ok", b"123"), ("Err", "no"))}
    data = c.encode(types, [value, Principal(b"\x01\x02")])

    for size in range(len(data)):
        with pytest.raises(DecodeError):
            c.decode(types, data[:size])
    for position in range(len(data)):
        for change in (0x01, 0x40, 0x80, 0xFF):
            changed = bytearray(data)
            changed[position] ^= change
            try:
                c.decode(types, bytes(changed))
            except DecodeError as error:
                assert type(error) is DecodeError  # noqa: PT017  either outcome is right


def test_headers_are_remembered_without_mixing_them_up() -> None:
    arguments = c.Arguments(c.Opt(c.Nat))
    for _ in range(2):
        for number in range(20):  # more headers than are remembered
            data = c.encode([c.Record({number: c.Nat})], [{number: 1}])
            assert arguments.decode(data) == (None,)
            assert arguments.decode(c.encode([c.Nat], [number])) == (number,)
