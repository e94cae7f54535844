"""What the Candid encoder writes, and what it refuses to write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError
from icws_secure.wire import candid as c
from icws_secure.wire.principal import Principal


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    label: str | None


POINT = c.Record({"x": c.Nat64, "y": c.Opt(c.Text)}, of=Point)


def test_fields_are_sorted_by_hash_and_types_written_once() -> None:
    data = c.encode([c.Vec(c.Vec(c.Nat8)), c.Vec(c.Nat8), c.Vec(c.Vec(c.Nat8))], [(), b"", ()])

    assert data.hex() == "4449444c" + "02" + "6d7b" + "6d00" + "03" + "010001" + "000000"
    assert [c.field_hash(name) for name in ("Ok", "Err")] == [17724, 3456837]


def test_dataclass_stands_for_a_record_whatever_its_attributes_are_called() -> None:
    data = c.encode([POINT], [Point(1, "é")])

    assert data == c.encode([c.Record({"x": c.Nat64, "y": c.Opt(c.Text)})], [{"x": 1, "y": "é"}])
    assert c.decode([POINT], data) == (Point(1, "é"),)
    assert c.decode([POINT], c.encode([c.Record({"x": c.Nat64})], [{"x": 1}])) == (Point(1, None),)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (c.Nat8, 256),
        (c.Nat8, -1),
        (c.Nat64, 1 << 64),
        (c.Nat64, True),
        (c.Nat64, 1.0),
        (c.Int8, 128),
        (c.Nat, -1),
        (c.Nat, "1"),
        (c.Int, None),
        (c.Bool, 1),
        (c.Null, 0),
        (c.Empty, None),
        (c.Text, b"x"),
        (c.Text, "\ud800"),
        (c.PrincipalType, b"\x04"),
        (c.Float32, 1e300),
        (c.Float64, 1),
        (c.Blob, "x"),
        (c.Blob, [1, 2]),
        (c.Vec(c.Nat), 5),
        (c.Vec(c.Nat), (1, "x")),
        (c.Opt(c.Nat), "x"),
        (c.Record({"a": c.Nat}), {}),
        (c.Record({"a": c.Nat}), {"a": 1, "b": 2}),
        (c.Record({"a": c.Nat}), 5),
        (POINT, {"x": 1, "y": None}),
        (c.Variant({"a": c.Nat}), ("b", 1)),
        (c.Variant({"a": c.Nat}), ("a",)),
        (c.Variant({"a": c.Nat}), (["a"], 1)),
        (c.Variant({"a": c.Nat}), "a"),
    ],
)
def test_value_that_does_not_fit_is_refused(type_: c.Type, value: object) -> None:
    with pytest.raises(MisuseError):
        c.encode([type_], [value])


def test_number_of_values_must_be_that_of_the_types() -> None:
    with pytest.raises(MisuseError):
        c.encode([c.Nat], [])
    with pytest.raises(MisuseError):
        c.encode([], [1])


@pytest.mark.parametrize("inner", [c.Null, c.Reserved, c.Opt(c.Nat)])
def test_opt_that_could_not_be_told_from_none_is_refused(inner: c.Type) -> None:
    with pytest.raises(MisuseError):
        c.Opt(inner)


@pytest.mark.parametrize("fields", [{1 << 32: c.Nat}, {-1: c.Nat}, dict.fromkeys(range(257), c.Nat)])
def test_fields_that_cannot_be_written_are_refused(fields: dict[int, c.Type]) -> None:
    with pytest.raises(MisuseError):
        c.Record(fields)
    with pytest.raises(MisuseError):
        c.Variant(fields)


def test_dataclass_of_another_shape_is_refused() -> None:
    with pytest.raises(MisuseError):
        c.Record({"x": c.Nat64}, of=Point)


# Any type, any value --------------------------------------------------------------------------------------------------

_NUMBERS = {
    c.Nat8: (0, 2**8 - 1),
    c.Nat16: (0, 2**16 - 1),
    c.Nat32: (0, 2**32 - 1),
    c.Nat64: (0, 2**64 - 1),
    c.Int8: (-(2**7), 2**7 - 1),
    c.Int16: (-(2**15), 2**15 - 1),
    c.Int32: (-(2**31), 2**31 - 1),
    c.Int64: (-(2**63), 2**63 - 1),
    c.Nat: (0, 2**200),
    c.Int: (-(2**200), 2**200),
}
_LEAVES: st.SearchStrategy[c.Type] = st.sampled_from(
    [*_NUMBERS, c.Bool, c.Null, c.Reserved, c.Text, c.PrincipalType, c.Float64, c.Blob]
)


def _containers(inner: st.SearchStrategy[c.Type]) -> st.SearchStrategy[c.Type]:
    labels = st.text(max_size=3) | st.integers(0, 2**32 - 1)
    fields = st.dictionaries(labels, inner, max_size=4).filter(
        lambda found: len({c.field_hash(key) if isinstance(key, str) else key for key in found}) == len(found)
    )
    plain = inner.filter(lambda type_: not isinstance(type_, c.Opt) and type_ not in (c.Null, c.Reserved))
    return st.one_of(inner.map(c.Vec), plain.map(c.Opt), fields.map(c.Record), fields.filter(len).map(c.Variant))


TYPES: st.SearchStrategy[c.Type] = st.recursive(_LEAVES, _containers, max_leaves=8)


def values_of(type_: c.Type) -> st.SearchStrategy[Any]:
    if type_ == c.Blob:
        return st.binary(max_size=40)
    if isinstance(type_, c.Vec):
        return st.lists(values_of(type_.element), max_size=4).map(tuple)
    if isinstance(type_, c.Opt):
        return st.none() | values_of(type_.inner)
    if isinstance(type_, c.Record):
        return st.fixed_dictionaries({field.label: values_of(field.type) for field in type_.fields})
    if isinstance(type_, c.Variant):
        return st.one_of(*(st.tuples(st.just(case.label), values_of(case.type)) for case in type_.cases))
    if type_ in _NUMBERS:
        return st.integers(*_NUMBERS[type_])
    if type_ == c.Bool:
        return st.booleans()
    if type_ == c.Text:
        return st.text(max_size=20)
    if type_ == c.Float64:
        return st.floats(allow_nan=False)
    return st.binary(max_size=29).map(Principal) if type_ == c.PrincipalType else st.none()


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_encoded_is_decoded(data: st.DataObject) -> None:
    types = data.draw(st.lists(TYPES, max_size=3))
    values = tuple(data.draw(values_of(type_)) for type_ in types)

    encoded = c.encode(types, values)

    assert c.decode(types, encoded) == values
    assert c.decode([], encoded) == ()  # and what nobody asks for is passed over


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_encoded_as_one_type_decodes_as_another_or_is_refused(data: st.DataObject) -> None:
    sent, expected = data.draw(TYPES), data.draw(TYPES)
    encoded = c.encode([sent], [data.draw(values_of(sent))])
    try:
        (value,) = c.decode([expected], encoded)
    except DecodeError:
        return
    assert c.decode([expected], c.encode([expected], [value])) == (value,)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60), TYPES)
def test_bytes_of_any_kind_are_a_value_or_refused(data: bytes, expected: c.Type) -> None:
    for candidate in (data, b"DIDL" + data, b"DIDL\x01" + data):
        try:
            c.decode([expected], candidate)
        except DecodeError as error:
            assert type(error) is DecodeError  # noqa: PT017  either outcome is right
