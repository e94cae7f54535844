"""The header of a Candid message: magic, type table, argument types.

A type is referred to by an int, as on the wire: negative for a primitive's code, else the number of a row of the
table. Tables may be recursive, so nothing here follows references.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..errors import DecodeError, Reason
from ..limits import MAX_CANDID_FIELDS, MAX_CANDID_TYPES
from .leb128 import decode_signed, decode_unsigned

__all__ = ["REQUIREMENT", "Header", "Kind", "Row", "checked_text", "length", "need", "parse_header", "violation"]

REQUIREMENT: Final = "ICWS-LIB-021"

_MAGIC: Final = b"DIDL"
_PRIMITIVES: Final = frozenset([*range(-17, 0), -24])
_OPT, _VEC, _RECORD, _VARIANT, _FUNC, _SERVICE = -18, -19, -20, -21, -22, -23
_LAST_KNOWN: Final = -24  # principal; what is below belongs to later versions of Candid
_FUNC_ANNOTATIONS: Final = frozenset([1, 2, 3])  # query, oneway, composite query


def violation(message: str, reason: Reason = Reason.MALFORMED, **facts: object) -> DecodeError:
    """The error that says what is wrong with a Candid message."""
    return DecodeError(message, reason=reason, requirement=REQUIREMENT, **facts)


def length(data: bytes, offset: int) -> tuple[int, int]:
    """An unsigned number that counts or numbers something, and the offset behind it.

    Raises:
        DecodeError: too long for any count.
        IndexError: the data ends before the number does.
    """
    byte = data[offset]
    if byte < 0x80:  # nearly always
        return byte, offset + 1
    second = data[offset + 1]
    if 0 < second < 0x80:  # nearly always the rest: contents of some hundred bytes
        return byte & 0x7F | second << 7, offset + 2
    return decode_unsigned(data, offset, requirement=REQUIREMENT)


# Header ---------------------------------------------------------------------------------------------------------------


class Kind(Enum):
    """What a row of the type table makes."""

    OPT = "opt"
    VEC = "vec"
    RECORD = "record"
    VARIANT = "variant"
    FUNC = "func"
    SERVICE = "service"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the type table.

    Attributes:
        kind: the constructor.
        parts: ``(number, type)`` for each field or case, by ascending number; one part numbered 0 for ``opt`` and
            ``vec``; empty else.
    """

    kind: Kind
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header.

    Attributes:
        rows: the type table.
        arguments: the types of the values that follow.
        end: the offset of the first value.
    """

    rows: tuple[Row, ...]
    arguments: tuple[int, ...]
    end: int


def parse_header(data: bytes) -> Header:
    """Parse and check all that comes before the values.

    Raises:
        DecodeError: not Candid, malformed, or over a limit.
        IndexError: the data ends inside.
    """
    if data[:4] != _MAGIC:
        raise violation("does not start with DIDL")
    count, offset = _count(data, 4, MAX_CANDID_TYPES, "types")
    reader = _RowReader(data, count)
    rows = []
    for _ in range(count):
        row, offset = reader.row(offset)
        rows.append(row)
    reader.check_methods(rows)
    wanted, offset = _count(data, offset, MAX_CANDID_FIELDS, "arguments")
    arguments = []
    for _ in range(wanted):
        argument, offset = reader.reference(offset)
        arguments.append(argument)
    return Header(tuple(rows), tuple(arguments), offset)


def _count(data: bytes, offset: int, limit: int, what: str) -> tuple[int, int]:
    count, offset = length(data, offset)
    # [ICWS-LIB-021]
    if count > limit:
        raise violation(f"too many {what}", Reason.TOO_MANY, limit=limit, received=count)
    return count, offset


class _RowReader:
    """Reads rows of a table of known size."""

    def __init__(self, data: bytes, count: int) -> None:
        self._data = data
        self._count = count
        self._methods: list[int] = []  # types named by services, which must turn out to be functions

    def reference(self, offset: int) -> tuple[int, int]:
        byte = self._data[offset]
        if byte < 0x40:
            value, offset = byte, offset + 1
        elif byte < 0x80:
            value, offset = byte - 0x80, offset + 1
        else:
            value, offset = decode_signed(self._data, offset, requirement=REQUIREMENT)
        if value >= self._count or (value < 0 and value not in _PRIMITIVES):
            raise violation("reference to a type that is not there", type=value)
        return value, offset

    def row(self, offset: int) -> tuple[Row, int]:
        opcode, offset = decode_signed(self._data, offset, requirement=REQUIREMENT)
        if opcode in (_OPT, _VEC):
            inner, offset = self.reference(offset)
            return Row(Kind.OPT if opcode == _OPT else Kind.VEC, ((0, inner),)), offset
        if opcode in (_RECORD, _VARIANT):
            parts, offset = self._fields(offset)
            return Row(Kind.RECORD if opcode == _RECORD else Kind.VARIANT, parts), offset
        if opcode == _FUNC:
            return Row(Kind.FUNC), self._func(offset)
        if opcode == _SERVICE:
            return Row(Kind.SERVICE), self._service(offset)
        if opcode < _LAST_KNOWN:
            size, offset = length(self._data, offset)
            need(self._data, offset + size)
            return Row(Kind.FUTURE), offset + size
        raise violation("type table row is no composite type", opcode=opcode)

    def _fields(self, offset: int) -> tuple[tuple[tuple[int, int], ...], int]:
        count, offset = _count(self._data, offset, MAX_CANDID_FIELDS, "fields")
        fields = []
        previous = -1
        for _ in range(count):
            number, offset = length(self._data, offset)
            if not previous < number < 1 << 32:
                raise violation("fields unsorted, repeated or out of range", previous=previous, received=number)
            previous = number
            reference, offset = self.reference(offset)
            fields.append((number, reference))
        return tuple(fields), offset

    def _func(self, offset: int) -> int:
        for what in ("arguments", "results"):
            count, offset = _count(self._data, offset, MAX_CANDID_FIELDS, what)
            for _ in range(count):
                _, offset = self.reference(offset)
        count, offset = _count(self._data, offset, len(_FUNC_ANNOTATIONS), "annotations")
        annotations = self._data[offset : offset + count]
        need(self._data, offset + count)
        if not _FUNC_ANNOTATIONS.issuperset(annotations):
            raise violation("unknown annotation of a function")
        return offset + count

    def _service(self, offset: int) -> int:
        count, offset = _count(self._data, offset, MAX_CANDID_FIELDS, "methods")
        previous: bytes | None = None
        for _ in range(count):
            size, offset = length(self._data, offset)
            name = checked_text(self._data, offset, size)
            if previous is not None and name <= previous:
                raise violation("methods unsorted or repeated")
            previous = name
            reference, offset = self.reference(offset + size)
            self._methods.append(reference)
        return offset

    def check_methods(self, rows: list[Row]) -> None:
        if any(method < 0 or rows[method].kind is not Kind.FUNC for method in self._methods):
            raise violation("a service's method is no function")


def need(data: bytes, end: int) -> None:
    """Check that the data reaches to ``end``.

    Raises:
        DecodeError: it does not.
    """
    if end > len(data):
        raise violation("data ends inside a value", needed=end, size=len(data))


def checked_text(data: bytes, offset: int, size: int) -> bytes:
    """The bytes of a text of ``size`` bytes.

    Raises:
        DecodeError: the data ends before, or is not UTF-8.
    """
    need(data, offset + size)
    raw = data[offset : offset + size]
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise violation("text is not UTF-8") from error
    return raw
