"""Candid bytes to values of expected types.

A decoder is put together for a pair of an expected type and the type the peer declares, after the specification's
coercion rules: unknown fields and arguments are passed over, absent ``opt`` fields are None, and an ``opt`` whose
content does not fit is None. As in the specification's tests a type is held against the values that are there: a case
or element type that does not fit matters only where such a value comes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from ..errors import DecodeError, MisuseError, Reason
from ..limits import MAX_CANDID_DEPTH, MAX_CANDID_NUMBER_BYTES
from . import candid_types as t
from .candid_skip import Budget, Skippers
from .candid_table import REQUIREMENT, Header, Kind, Row, length, need, parse_header, violation
from .leb128 import decode_signed, decode_unsigned
from .principal import Principal

__all__ = ["Plan", "make_plan"]

_Reader = Callable[[bytes, int, Budget], tuple[Any, int]]


class _MismatchError(DecodeError):
    """A value is well formed, but not of the expected type. An ``opt`` around it turns into None."""


class Plan:
    """Decodes messages that start with one header.

    Attributes:
        header: the bytes of magic, type table and argument types.
        exact: whether the peer declares the expected types and nothing else.
    """

    __slots__ = ("_readers", "exact", "header")

    def __init__(self, header: bytes, readers: Sequence[_Reader], *, exact: bool) -> None:
        self.header = header
        self._readers = readers
        self.exact = exact

    def decode(self, data: bytes) -> list[Any]:
        """The values of a message that starts with ``header``; extra arguments give None.

        Raises:
            DecodeError: malformed, over a limit, of another type, or followed by something.
        """
        budget = Budget(len(data))
        offset = len(self.header)
        values = []
        try:
            for read in self._readers:
                value, offset = read(data, offset, budget)
                values.append(value)
        except _MismatchError as error:
            raise DecodeError(error.message, reason=error.reason, requirement=REQUIREMENT, **error.facts) from None
        except (IndexError, struct.error) as error:
            raise violation("data ends inside a value", size=len(data)) from error
        except MisuseError as error:  # a dataclass of ours refuses what it was given
            raise violation(error.message) from error
        if offset != len(data):
            raise violation("bytes after the last value", Reason.TRAILING_BYTES, excess=len(data) - offset)
        return values


def make_plan(types: Sequence[t.Type], data: bytes) -> Plan:
    """Read the header of a message and prepare to decode the rest of it, and of others that start alike, as ``types``.

    Raises:
        DecodeError: the header is malformed or over a limit, or an argument that is not optional is missing.
    """
    try:
        header = parse_header(data)
    except IndexError as error:
        raise violation("data ends inside the header", size=len(data)) from error
    exact = len(types) == len(header.arguments) and all(
        _is_exactly(header, sent, expected) for expected, sent in zip(types, header.arguments, strict=True)
    )
    return Plan(data[: header.end], _Compiler(header).arguments(types), exact=exact)


def _is_exactly(header: Header, sent: int, expected: t.Type) -> bool:
    """Whether a declared type is the expected one. Expected types are not recursive, so this ends."""
    if isinstance(expected, t.Primitive):
        return sent == expected.code
    if sent < 0:
        return False
    row = header.rows[sent]
    kind, parts = _declaration(expected)
    return (
        row.kind is kind
        and len(row.parts) == len(parts)
        and all(
            number == wanted and _is_exactly(header, part, type_)
            for (number, part), (wanted, type_) in zip(row.parts, parts, strict=True)
        )
    )


def _declaration(expected: t.Opt | t.Vec | t.Record | t.Variant) -> tuple[Kind, list[tuple[int, t.Type]]]:
    """The row that declares a type, as :class:`Row` has it."""
    if isinstance(expected, t.Opt):
        return Kind.OPT, [(0, expected.inner)]
    if isinstance(expected, t.Vec):
        return Kind.VEC, [(0, expected.element)]
    kind, fields = (Kind.RECORD, expected.fields) if isinstance(expected, t.Record) else (Kind.VARIANT, expected.cases)
    return kind, [(field.number, field.type) for field in sorted(fields, key=lambda field: field.number)]


class _Compiler:
    """Puts decoders together for the types of one header."""

    def __init__(self, header: Header) -> None:
        self._arguments = header.arguments
        self._rows = header.rows
        self._skippers = Skippers(header.rows)

    def arguments(self, types: Sequence[t.Type]) -> list[_Reader]:
        readers = [self._reader(expected, sent) for expected, sent in zip(types, self._arguments, strict=False)]
        readers += [self._skip(sent) for sent in self._arguments[len(types) :]]
        for expected in types[len(self._arguments) :]:
            if not _may_be_absent(expected):
                raise DecodeError("an argument is missing", reason=Reason.MISSING_FIELD, requirement=REQUIREMENT)
            readers.append(_read_nothing)
        return readers

    def _row(self, reference: int, kind: Kind) -> Row | None:
        if reference < 0 or self._rows[reference].kind is not kind:
            return None
        return self._rows[reference]

    def _reader(self, expected: t.Type, sent: int) -> _Reader:
        if sent == t.Empty.code or expected == t.Reserved:
            return self._skip(sent)
        if isinstance(expected, t.Primitive):
            return self._primitive(expected, sent)
        if isinstance(expected, t.Opt):
            return self._opt(expected, sent)
        if isinstance(expected, t.Vec):
            return self._vec(expected, sent)
        return self._record(expected, sent) if isinstance(expected, t.Record) else self._variant(expected, sent)

    def _skip(self, sent: int) -> _Reader:
        skip = self._skippers[sent]
        return lambda data, offset, budget: (None, skip(data, offset, budget, MAX_CANDID_DEPTH))

    def _primitive(self, expected: t.Primitive, sent: int) -> _Reader:
        if sent == expected.code:
            return _PRIMITIVES[sent]
        if expected is t.Int and sent == t.Nat.code:
            return _read_nat
        return _mismatch(expected)

    def _opt(self, expected: t.Opt, sent: int) -> _Reader:
        if sent in (t.Null.code, t.Reserved.code):
            return _read_nothing
        row = self._row(sent, Kind.OPT)
        if row is None:
            return self._or_none(expected.inner, sent)
        inner = self._or_none(expected.inner, row.parts[0][1])

        def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
            present = data[offset]
            if present == 0:
                return None, offset + 1
            if present != 1:
                raise violation("an opt that is neither absent nor present")
            return inner(data, offset + 1, budget)

        return read

    def _or_none(self, expected: t.Type, sent: int) -> _Reader:
        reader = self._reader(expected, sent)
        skip = self._skippers[sent]

        def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
            try:
                return reader(data, offset, budget)
            except _MismatchError:
                return None, skip(data, offset, budget, MAX_CANDID_DEPTH)

        return read

    def _vec(self, expected: t.Vec, sent: int) -> _Reader:
        row = self._row(sent, Kind.VEC)
        if row is None:
            return _mismatch(expected)
        element = row.parts[0][1]
        if expected.element == t.Nat8:
            return _read_blob if element == t.Nat8.code else _only_empty(b"", expected)
        reader = self._reader(expected.element, element)
        cost = _values(expected.element)

        def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
            count, offset = length(data, offset)
            budget.spend(count * cost)
            items = []
            for _ in range(count):
                item, offset = reader(data, offset, budget)
                items.append(item)
            return tuple(items), offset

        return read

    def _record(self, expected: t.Record, sent: int) -> _Reader:
        row = self._row(sent, Kind.RECORD)
        if row is None:
            return _mismatch(expected)
        slots = {field.number: slot for slot, field in enumerate(expected.fields)}
        steps = [
            (slots[number], self._reader(expected.fields[slots[number]].type, part))
            if number in slots
            else (-1, self._skip(part))
            for number, part in row.parts
        ]
        sent_numbers = {number for number, _ in row.parts}
        for field in expected.fields:
            if field.number not in sent_numbers and not _may_be_absent(field.type):
                return _mismatch(expected, Reason.MISSING_FIELD, field=field.label)
        count = len(expected.fields)
        build = expected.build or _dict_of([field.label for field in expected.fields])

        def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
            values = [None] * (count + 1)  # the last is of fields that nobody asked for
            for slot, reader in steps:
                values[slot], offset = reader(data, offset, budget)
            values.pop()
            return build(*values), offset

        return read

    def _variant(self, expected: t.Variant, sent: int) -> _Reader:
        row = self._row(sent, Kind.VARIANT)
        if row is None:
            return _mismatch(expected)
        known = {case.number: case for case in expected.cases}
        cases: list[tuple[str | int, _Reader]] = [
            (known[number].label, self._reader(known[number].type, part))
            if number in known
            else (number, _mismatch(expected))
            for number, part in row.parts
        ]

        def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
            index, offset = length(data, offset)
            if index >= len(cases):
                raise violation("no such case", index=index)
            label, reader = cases[index]
            value, offset = reader(data, offset, budget)
            return (label, value), offset

        return read


def _may_be_absent(expected: t.Type) -> bool:
    return isinstance(expected, t.Opt) or expected == t.Reserved


def _values(expected: t.Type) -> int:
    """How many values one value of a type is made of, at least."""
    if isinstance(expected, t.Record):
        return 1 + sum(_values(field.type) for field in expected.fields)
    return 1


def _dict_of(labels: Sequence[str | int]) -> Callable[..., dict[str | int, Any]]:
    return lambda *values: dict(zip(labels, values, strict=True))


def _mismatch(expected: t.Type, reason: Reason = Reason.WRONG_TYPE, **facts: str | int) -> _Reader:
    name = repr(expected)[:80]  # made once: a message may hold many values that do not fit

    def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
        raise _MismatchError("not of the expected type", reason=reason, requirement=None, expected=name, **facts)

    return read


def _only_empty(value: Any, expected: t.Vec) -> _Reader:
    """An empty sequence is of every sequence type."""
    mismatch = _mismatch(expected)

    def read(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
        count, end = length(data, offset)
        return mismatch(data, offset, budget) if count else (value, end)

    return read


# Values without components --------------------------------------------------------------------------------------------


def _read_nothing(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    return None, offset


def _read_bool(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    value = data[offset]
    if value > 1:
        raise violation("a bool that is neither 0 nor 1")
    return value == 1, offset + 1


def _read_nat(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    return decode_unsigned(data, offset, max_bytes=MAX_CANDID_NUMBER_BYTES, requirement=REQUIREMENT)


def _read_int(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    return decode_signed(data, offset, max_bytes=MAX_CANDID_NUMBER_BYTES, requirement=REQUIREMENT)


def _fixed(code: str) -> _Reader:
    layout = struct.Struct(code)
    unpack, size = layout.unpack_from, layout.size
    return lambda data, offset, budget: (unpack(data, offset)[0], offset + size)


def _read_blob(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    size = data[offset]
    if size < 0x80:  # as in ``length``, without the call
        offset += 1
    else:
        size, offset = length(data, offset)
    end = offset + size
    if end > len(data):
        need(data, end)
    return data[offset:end], end


def _read_text(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    raw, end = _read_blob(data, offset, budget)
    try:
        return raw.decode("utf-8"), end
    except UnicodeDecodeError as error:
        raise violation("text is not UTF-8") from error


_principal = lru_cache(maxsize=16_384)(Principal)  # the same ones come with message after message


def _read_principal(data: bytes, offset: int, budget: Budget) -> tuple[Any, int]:
    if data[offset] != 1:
        raise violation("a reference that is not transparent")
    raw, end = _read_blob(data, offset + 1, budget)
    return _principal(raw), end


_PRIMITIVES: dict[int, _Reader] = {
    t.Null.code: _read_nothing,
    t.Bool.code: _read_bool,
    t.Nat.code: _read_nat,
    t.Int.code: _read_int,
    t.Nat8.code: _fixed("<B"),
    t.Nat16.code: _fixed("<H"),
    t.Nat32.code: _fixed("<I"),
    t.Nat64.code: _fixed("<Q"),
    t.Int8.code: _fixed("<b"),
    t.Int16.code: _fixed("<h"),
    t.Int32.code: _fixed("<i"),
    t.Int64.code: _fixed("<q"),
    t.Float32.code: _fixed("<f"),
    t.Float64.code: _fixed("<d"),
    t.Text.code: _read_text,
    t.PrincipalType.code: _read_principal,
}
