from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.wire import cbor

# RFC 8949, appendix A: what this dialect reads, and what it refuses.
READ: list[tuple[str, object]] = [
    ("00", 0),
    ("17", 23),
    ("1818", 24),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1bffffffffffffffff", 2**64 - 1),
    ("c249010000000000000000", 2**64),
    ("3bffffffffffffffff", -(2**64)),
    ("20", -1),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\1\2\3\4"),
    ("60", ""),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "ü"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    ("98190102030405060708090a0b0c0d0e0f101112131415161718181819", list(range(1, 26))),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
]
REFUSED = {
    "half float": "f90000",
    "single float": "fa47c35000",
    "double float": "fb3ff199999999999a",
    "undefined": "f7",
    "simple value": "f0",
    "simple value in a byte": "f8ff",
    "true in a byte": "f815",
    "negative bignum": "c349010000000000000000",
    "date": "c074323031332d30332d32315432303a30343a30305a",
    "time": "c11a514b67b0",
    "decimal fraction": "c48221196ab3",
    "shared value": "d81c80",
    "bignum of a text": "c26161",
    "bignum of nothing": "c2",
    "encoded CBOR": "d818456449455446",
    "second self-describe tag": "d9d9f7d9d9f700",
    "self-describe tag inside": "81d9d9f700",
    "indefinite bytes": "5f42010243030405ff",
    "indefinite text": "7f657374726561646d696e67ff",
    "indefinite array": "9fff",
    "indefinite map": "bf61610161629f0203ffff",
    "break alone": "ff",
    "reserved length": "1c",
    "nothing": "",
    "tag and nothing": "d9d9f7",
    "head cut short": "19ff",
    "bytes cut short": "44010203",
    "text cut short": "62c3",
    "array cut short": "820a",
    "map cut short": "a10a",
    "text that is not UTF-8": "62c328",
    "text with a surrogate": "63eda080",
    "array as a key": "a18001",
    "empty map as a key": "a1a001",
    "true as a key": "a1f501",
    "null as a key": "a1f601",
    "big integer as a key": "a11a0001000001",
}
ITEMS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**128 - 1) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=8) | st.binary(max_size=4) | st.integers(-9, 9), inner, max_size=5)
    ),
    max_leaves=20,
)


def reason_of(data: bytes, **limits: int) -> Reason:
    with pytest.raises(DecodeError) as caught:
        cbor.decode(data, what="a document", **limits)
    assert caught.value.requirement == "ICWS-LIB-001"
    return caught.value.reason


@pytest.mark.parametrize(("encoded", "value"), READ)
def test_value_of_the_standard_is_read_and_written(encoded: str, value: object) -> None:
    read = cbor.decode(bytes.fromhex(encoded), what="a document")
    assert read == value
    assert type(read) is type(value)
    assert cbor.encode(value).hex() == encoded


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize("encoded", REFUSED.values(), ids=REFUSED.keys())
def test_what_could_be_read_in_two_ways_is_refused(encoded: str) -> None:
    assert reason_of(bytes.fromhex(encoded)) is Reason.MALFORMED


@pytest.mark.parametrize("encoded", ["1800", "190000", "1a00000000", "1b0000000000000000"])
def test_longer_forms_of_a_number_are_read(encoded: str) -> None:
    assert cbor.decode(bytes.fromhex(encoded), what="a document") == 0


@pytest.mark.parametrize("encoded", ["5803010203", "780161", "980101", "b8010102"])
def test_longer_forms_of_a_length_are_read(encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert cbor.decode(data, what="a document") == cbor2.loads(data)


@pytest.mark.req("ICWS-LIB-001")
def test_one_self_describe_tag_may_stand_in_front() -> None:
    assert cbor.has_self_describe_tag(b"\xd9\xd9\xf7\x00")
    assert not cbor.has_self_describe_tag(b"\x00")
    assert cbor.decode(b"\xd9\xd9\xf7\xa1\x61a\x01", what="a document") == {"a": 1}
    assert cbor.encode_self_described({"a": 1}) == b"\xd9\xd9\xf7\xa1\x61a\x01"


@pytest.mark.req("ICWS-LIB-001")
def test_duplicate_keys_are_refused_at_any_depth() -> None:
    assert reason_of(bytes.fromhex("a2616101616102")) is Reason.DUPLICATE_KEY
    assert reason_of(bytes.fromhex("81a2410001410002")) is Reason.DUPLICATE_KEY
    assert reason_of(bytes.fromhex("a20001180002")) is Reason.DUPLICATE_KEY


@pytest.mark.req("ICWS-LIB-001")
def test_bytes_after_the_document_are_refused() -> None:
    assert reason_of(b"\x00\x00") is Reason.TRAILING_BYTES
    assert reason_of(b"\x80\xf6") is Reason.TRAILING_BYTES


@pytest.mark.req("ICWS-LIB-001")
def test_size_is_bounded() -> None:
    assert cbor.decode(b"\x42ab", what="a document", max_bytes=3) == b"ab"
    assert reason_of(b"\x42ab", max_bytes=2) is Reason.TOO_LARGE


@pytest.mark.req("ICWS-LIB-001")
def test_depth_is_bounded_before_anything_is_nested() -> None:
    assert cbor.decode(b"\x81\x81\x80", what="a document", max_depth=3) == [[[]]]
    assert reason_of(b"\x81\x81\x80", max_depth=2) is Reason.TOO_DEEP
    assert reason_of(b"\x81" * 3_000_000) is Reason.TOO_DEEP
    assert reason_of(b"\xa1\x00" * 1_000_000) is Reason.TOO_DEEP


@pytest.mark.req("ICWS-LIB-001")
def test_number_of_items_is_bounded() -> None:
    assert cbor.decode(b"\x83\x00\x00\x00", what="a document", max_items=4) == [0, 0, 0]
    assert reason_of(b"\x83\x00\x00\x00", max_items=3) is Reason.TOO_MANY
    assert reason_of(b"\xa2\x00\x00\x01\x00", max_items=4) is Reason.TOO_MANY
    assert reason_of(b"\x9a\x00\x10\x00\x00" + b"\x80" * (1 << 20)) is Reason.TOO_MANY


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize("head", ["5b", "7b", "9b", "bb"])
def test_length_that_cannot_be_true_is_refused(head: str) -> None:
    assert reason_of(bytes.fromhex(head) + b"\xff" * 8 + b"\x00" * 100) is Reason.MALFORMED


@pytest.mark.req("ICWS-LIB-001")
def test_big_numbers_are_bounded() -> None:
    assert cbor.decode(b"\xc2\x50" + b"\xff" * 16, what="a document") == 2**128 - 1
    assert reason_of(b"\xc2\x51" + b"\xff" * 17) is Reason.TOO_LARGE


INDEFINITE: list[tuple[str, object]] = [
    ("9fff", []),
    ("bfff", {}),
    ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
    ("9f01820203820405ff", [1, [2, 3], [4, 5]]),
    ("83018202039f0405ff", [1, [2, 3], [4, 5]]),
    ("83019f0203ff820405", [1, [2, 3], [4, 5]]),
    ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}),
    ("826161bf61626163ff", ["a", {"b": "c"}]),
    ("a1616180", {"a": []}),
    ("bf61619fff6162bfffff", {"a": [], "b": {}}),
    ("d9d9f7bf616100ff", {"a": 0}),
]


@pytest.mark.req("ICWS-LIB-027")
@pytest.mark.parametrize(("encoded", "value"), INDEFINITE)
def test_indefinite_arrays_and_maps_are_read_where_they_are_allowed(encoded: str, value: object) -> None:
    data = bytes.fromhex(encoded)
    assert cbor.decode(data, what="a document", allow_indefinite=True) == value
    if "ff" in encoded:
        assert reason_of(data) is Reason.MALFORMED


@pytest.mark.req("ICWS-LIB-027")
@pytest.mark.parametrize(
    "encoded",
    {
        "5f42010243030405ff": "bytes in chunks",
        "7f657374726561646d696e67ff": "text in chunks",
        "1fff": "a number",
        "3fff": "a negative number",
        "dfff": "a tag",
        "ff": "a break alone",
        "81ff": "a break in an array that tells its length",
        "a1ff": "a break for a key of a map that tells its length",
        "a16161ff": "a break for its value",
        "9f82ff": "a break in an array inside",
        "bf6161ff": "a key without a value",
        "bf61610161ff": "a text cut short by the end",
        "9f": "an array without an end",
        "9f00": "an array without an end",
        "bf616100": "a map without an end",
        "9fffff": "two breaks",
        "bf9fff00ff": "an array as a key",
        "bff500ff": "true as a key",
    },
)
def test_nothing_else_is_of_indefinite_length(encoded: str) -> None:
    with pytest.raises(DecodeError) as caught:
        cbor.decode(bytes.fromhex(encoded), what="a document", allow_indefinite=True)
    assert caught.value.reason in (Reason.MALFORMED, Reason.TRAILING_BYTES)


@pytest.mark.req("ICWS-LIB-001")
def test_what_is_indefinite_is_bounded_too() -> None:
    def reason(data: bytes, **limits: int) -> Reason:
        with pytest.raises(DecodeError) as caught:
            cbor.decode(data, what="a document", allow_indefinite=True, **limits)
        return caught.value.reason

    assert cbor.decode(b"\x9f\0\0\xff", what="a document", max_items=3, allow_indefinite=True) == [0, 0]
    assert reason(b"\x9f\0\0\xff", max_items=2) is Reason.TOO_MANY
    assert reason(b"\xbf\0\0\1\0\xff", max_items=4) is Reason.TOO_MANY
    assert reason(b"\x9f\x9f\x9f\xff\xff\xff", max_depth=2) is Reason.TOO_DEEP
    assert reason(b"\x9f" * 1_000_000) is Reason.TOO_DEEP
    assert reason(b"\x9f" + b"\x9f\xff" * 1_000_000 + b"\xff") is Reason.TOO_MANY
    assert reason(bytes.fromhex("bf616101616102ff")) is Reason.DUPLICATE_KEY


def write_indefinite(value: object) -> bytes:
    if isinstance(value, list):
        return b"\x9f" + b"".join(map(write_indefinite, value)) + b"\xff"
    if isinstance(value, dict):
        return b"\xbf" + b"".join(cbor.encode(k) + write_indefinite(v) for k, v in value.items()) + b"\xff"
    return cbor.encode(value)


@given(ITEMS)
def test_indefinite_values_are_read_as_definite_ones(value: object) -> None:
    data = write_indefinite(value)
    assert cbor.decode(data, what="a document", allow_indefinite=True) == value == cbor2.loads(data)


@given(ITEMS)
def test_what_was_written_is_read(value: object) -> None:
    assert cbor.decode(cbor.encode(value), what="a document") == value


@given(ITEMS)
def test_another_decoder_agrees(value: object) -> None:
    assert cbor2.loads(cbor.encode(value)) == value


@given(ITEMS)
def test_another_encoder_agrees(value: object) -> None:
    assert cbor.decode(cbor2.dumps(value), what="a document") == value


@pytest.mark.req("ICWS-LIB-001", "ICWS-LIB-023")
@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes_are_read_as_another_decoder_does_or_refused(data: bytes) -> None:
    try:
        value = cbor.decode(data, what="a document", max_depth=8, max_items=100)
    except DecodeError:
        return
    assert cbor2.loads(data.removeprefix(cbor.SELF_DESCRIBE_TAG)) == value


def test_keys_are_written_in_the_order_given() -> None:
    assert cbor.encode({"b": 1, "a": (2,)}).hex() == "a2616201616181" + "02"


@pytest.mark.parametrize("value", [1.0, object(), {1, 2}, bytearray(b"x"), [2**128], -(2**64) - 1, {(1,): 2}, "\ud800"])
def test_value_without_a_form_is_not_written(value: object) -> None:
    with pytest.raises(MisuseError):
        cbor.encode(value)


def test_depth_of_what_is_written_is_bounded() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(MisuseError) as caught:
        cbor.encode(value)
    assert caught.value.reason is Reason.TOO_DEEP


@given(st.integers(0, 7), st.integers(0, 2**64 - 1))
def test_head_is_read_where_it_stands(major: int, argument: int) -> None:
    head = cbor.encode_head(major, argument)
    assert cbor.read_head(b"x" + head, 1, what="a document") == (major, argument, 1 + len(head))


@pytest.mark.req("ICWS-LIB-001")
@pytest.mark.parametrize("head", ["", "5c", "5f", "ff", "58", "5900", "5a000000", "5b00000000000000"])
def test_head_without_an_argument_is_refused(head: str) -> None:
    with pytest.raises(DecodeError) as caught:
        cbor.read_head(bytes.fromhex(head), 0, what="a document")
    assert caught.value.reason is Reason.MALFORMED
    if head in ("5c", "5f", "ff"):
        with pytest.raises(DecodeError):
            cbor.read_head(bytes.fromhex(head) + bytes(200), 0, what="a document")


class TestFields:
    def read(self, value: object, *, allow_unknown: bool = False, null_is_absent: bool = False) -> dict[str, object]:
        return cbor.fields(
            value,
            what="a frame",
            required={"n": int, "b": bytes},
            optional={"t": str, "any": object},
            allow_unknown=allow_unknown,
            null_is_absent=null_is_absent,
        )

    def reason_of(self, value: object, *, null_is_absent: bool = False) -> Reason:
        with pytest.raises(DecodeError) as caught:
            self.read(value, null_is_absent=null_is_absent)
        return caught.value.reason

    def test_fields_that_are_there_are_returned(self) -> None:
        assert self.read({"n": 1, "b": b""}) == {"n": 1, "b": b""}
        assert self.read({"n": 1, "b": b"", "t": "", "any": None}) == {"n": 1, "b": b"", "t": "", "any": None}

    def test_other_values_than_maps_are_refused(self) -> None:
        assert self.reason_of([]) is Reason.WRONG_TYPE
        assert self.reason_of(None) is Reason.WRONG_TYPE

    def test_missing_field_is_refused(self) -> None:
        assert self.reason_of({"n": 1}) is Reason.MISSING_FIELD

    @pytest.mark.req("ICWS-LIB-001")
    def test_unknown_field_is_refused_unless_allowed(self) -> None:
        value = {"n": 1, "b": b"", "x": 1.5}
        assert self.reason_of(value) is Reason.UNKNOWN_FIELD
        assert self.read(value, allow_unknown=True) == value

    @pytest.mark.parametrize("value", [{"n": True, "b": b""}, {"n": "1", "b": b""}, {"n": 1, "b": "x"}, {1: 2}])
    def test_other_types_are_refused(self, value: object) -> None:
        assert self.reason_of(value) is Reason.WRONG_TYPE

    @pytest.mark.parametrize("number", [-1, 2**64])
    def test_numbers_are_natural_and_of_64_bits(self, number: int) -> None:
        assert self.read({"n": 2**64 - 1, "b": b""})
        assert self.reason_of({"n": number, "b": b""}) is Reason.TOO_LARGE

    def test_null_is_a_missing_field_only_on_request(self) -> None:
        value = {"n": 1, "b": b"", "t": None}
        assert self.reason_of(value) is Reason.WRONG_TYPE
        assert self.read(value, null_is_absent=True) == {"n": 1, "b": b""}
        assert self.reason_of({"n": None, "b": b""}, null_is_absent=True) is Reason.WRONG_TYPE
