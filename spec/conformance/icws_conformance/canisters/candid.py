"""Candid, written and read with nothing of the library: values with any type, right or wrong, and answers in full.

A type is a name of a primitive or a tuple: ``("opt", T)``, ``("vec", T)``, ``("record", {name: T})``,
``("variant", {name: T})``. Records are dictionaries, variants :class:`Case`, principals and blobs byte strings. Fields
whose name is not known when they are read are called ``#hash``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

__all__ = ["BLOB", "CandidError", "Case", "Type", "decode", "encode", "field_hash", "opt", "record", "variant", "vec"]

Type: TypeAlias = "str | tuple[str, Any]"

_PRIMITIVES: Final = {
    "null": -1,
    "bool": -2,
    "nat": -3,
    "int": -4,
    "nat8": -5,
    "nat16": -6,
    "nat32": -7,
    "nat64": -8,
    "int8": -9,
    "int16": -10,
    "int32": -11,
    "int64": -12,
    "text": -15,
    "reserved": -16,
    "empty": -17,
    "principal": -24,
}
_NAMES_OF: Final = {number: name for name, number in _PRIMITIVES.items()}
_OPT, _VEC, _RECORD, _VARIANT = -18, -19, -20, -21
_FIXED: Final = {"nat8": 1, "nat16": 2, "nat32": 4, "nat64": 8}
_SIGNED: Final = {"int8": 1, "int16": 2, "int32": 4, "int64": 8}
_MAX_VALUES: Final = 1_000_000


class CandidError(ValueError):
    """Bytes that are no Candid of the protocol's types; the text says what is wrong."""


@dataclass(frozen=True, slots=True)
class Case:
    """A value of a variant.

    Attributes:
        name: which case.
        value: what it holds; None for null.
    """

    name: str
    value: Any = None


def opt(inner: Type) -> Type:
    """An optional value; None or the value itself."""
    return "opt", inner


def vec(inner: Type) -> Type:
    """A list."""
    return "vec", inner


def record(**fields: Type) -> Type:
    """A record."""
    return "record", fields


def variant(**cases: Type) -> Type:
    """A variant."""
    return "variant", cases


BLOB: Final[Type] = vec("nat8")


def field_hash(name: str) -> int:
    """The number of a field; names such as ``#7`` give it directly."""
    if name.startswith("#"):
        return int(name[1:])
    number = 0
    for byte in name.encode():
        number = (number * 223 + byte) % (1 << 32)
    return number


# Writing --------------------------------------------------------------------------------------------------------------


def encode(*values: tuple[Type, Any]) -> bytes:
    """The Candid of some values, each with its type."""
    table: list[bytes] = []
    numbers = [_reference(kind, table) for kind, _ in values]
    body = b"".join(_value(kind, value) for kind, value in values)
    return b"DIDL" + _leb(len(table)) + b"".join(table) + _leb(len(values)) + b"".join(map(_sleb, numbers)) + body


def _reference(kind: Type, table: list[bytes]) -> int:
    if isinstance(kind, str):
        return _PRIMITIVES[kind]
    name, inner = kind
    if name in ("opt", "vec"):
        entry = _sleb(_OPT if name == "opt" else _VEC) + _sleb(_reference(inner, table))
    else:
        fields = sorted((field_hash(field), _reference(each, table)) for field, each in inner.items())
        entry = _sleb(_RECORD if name == "record" else _VARIANT) + _leb(len(fields))
        entry += b"".join(_leb(number) + _sleb(each) for number, each in fields)
    if entry not in table:
        table.append(entry)
    return table.index(entry)


def _value(kind: Type, value: Any) -> bytes:
    if isinstance(kind, str):
        return _primitive(kind, value)
    name, inner = kind
    if name == "opt":
        return b"\x00" if value is None else b"\x01" + _value(inner, value)
    if name == "vec":
        items = bytes(value) if inner == "nat8" else b"".join(_value(inner, item) for item in value)
        return _leb(len(value)) + items
    fields = sorted(inner, key=field_hash)
    if name == "record":
        return b"".join(_value(inner[field], value[field]) for field in fields)
    return _leb(fields.index(value.name)) + _value(inner[value.name], value.value)


def _primitive(kind: str, value: Any) -> bytes:
    if kind in ("null", "reserved"):
        return b""
    if kind == "bool":
        return b"\x01" if value else b"\x00"
    if kind in ("text", "principal"):
        data = value.encode() if kind == "text" else bytes(value)
        return (b"" if kind == "text" else b"\x01") + _leb(len(data)) + bytes(data)
    if kind in _FIXED:
        return int(value).to_bytes(_FIXED[kind], "little")
    return _leb(value) if kind == "nat" else _sleb(value)


def _leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _sleb(number: int) -> bytes:
    out = bytearray()
    while not -64 <= number < 64:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number & 0x7F)
    return bytes(out)


# Reading --------------------------------------------------------------------------------------------------------------


def decode(data: bytes, names: Sequence[str]) -> tuple[list[Any], list[Type]]:
    """All values of a document, and their types as the document tells them.

    Args:
        data: the document.
        names: names of fields and cases that may come.

    Raises:
        CandidError: it is no document, or it does not end where it should.
    """
    try:
        reader = _Reader(data, {field_hash(name): name for name in names})
        return reader.document()
    except (IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
        raise CandidError(f"no Candid: {type(error).__name__}") from error


class _Reader:
    def __init__(self, data: bytes, names: Mapping[int, str]) -> None:
        self._data = data
        self._at = 0
        self._names = names
        self._table: list[tuple[int, Any]] = []
        self._left = _MAX_VALUES

    def document(self) -> tuple[list[Any], list[Type]]:
        if self._take(4) != b"DIDL":
            raise CandidError("no Candid: it does not begin with DIDL")
        for _ in range(self._leb()):
            self._table.append(self._entry())
        numbers = [self._sleb() for _ in range(self._leb())]
        values = [self._value(number, 0) for number in numbers]
        if self._at != len(self._data):
            raise CandidError(f"{len(self._data) - self._at} bytes after the last value")
        return values, [self._type(number, 0) for number in numbers]

    def _entry(self) -> tuple[int, Any]:
        kind = self._sleb()
        if kind in (_OPT, _VEC):
            return kind, self._sleb()
        if kind not in (_RECORD, _VARIANT):
            raise CandidError(f"a type {kind} that the protocol does not have")
        fields = [(self._leb(), self._sleb()) for _ in range(self._leb())]
        if fields != sorted(fields) or len(dict(fields)) != len(fields):
            raise CandidError("fields out of order")
        return kind, fields

    def _type(self, number: int, depth: int) -> Type:
        if number < 0:
            return _NAMES_OF[number]
        if depth > 16:
            raise CandidError("a type without end")
        kind, inner = self._table[number]
        if kind in (_OPT, _VEC):
            return ("opt" if kind == _OPT else "vec"), self._type(inner, depth + 1)
        fields = {self._names.get(name, f"#{name}"): self._type(each, depth + 1) for name, each in inner}
        return ("record" if kind == _RECORD else "variant"), fields

    def _value(self, number: int, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > 64:
            raise CandidError("too many values")
        if number < 0:
            return self._primitive(_NAMES_OF[number])
        kind, inner = self._table[number]
        if kind == _OPT:
            return self._value(inner, depth + 1) if self._flag() else None
        if kind == _VEC:
            count = self._leb()
            if inner == _PRIMITIVES["nat8"]:
                return self._take(count)
            return [self._value(inner, depth + 1) for _ in range(count)]
        if kind == _RECORD:
            return {self._names.get(name, f"#{name}"): self._value(each, depth + 1) for name, each in inner}
        place = self._leb()
        name, each = inner[place]
        return Case(self._names.get(name, f"#{name}"), self._value(each, depth + 1))

    def _primitive(self, kind: str) -> Any:
        if kind in ("null", "reserved"):
            return None
        if kind == "bool":
            return self._flag()
        if kind == "text":
            return self._take(self._leb()).decode()
        if kind == "principal":
            if not self._flag():
                raise CandidError("a principal that is only a reference")
            return self._take(self._leb())
        if kind in _FIXED:
            return int.from_bytes(self._take(_FIXED[kind]), "little")
        if kind in _SIGNED:
            return int.from_bytes(self._take(_SIGNED[kind]), "little", signed=True)
        return self._leb() if kind == "nat" else self._sleb()

    def _flag(self) -> bool:
        value = self._take(1)
        if value not in (b"\x00", b"\x01"):
            raise CandidError("a flag that is neither 0 nor 1")
        return value == b"\x01"

    def _take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise CandidError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def _leb(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
            if shift > 140:
                raise CandidError("a number without end")

    def _sleb(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self._take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number - (1 << shift) if byte & 0x40 else number
            if shift > 140:
                raise CandidError("a number without end")
