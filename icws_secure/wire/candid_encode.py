"""Candid values to bytes.

The encoding is the usual one: fields sorted by hash, each composite type once in the table, components before what is
made of them (the order of the JavaScript library). The header of a list of types is made once; a value costs one
walk.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any

from ..errors import MisuseError
from . import candid_types as t
from .leb128 import encode_signed, encode_unsigned
from .principal import Principal

__all__ = ["MAGIC", "compile_encoder"]

MAGIC = b"DIDL"

_Writer = Callable[[bytearray, Any], None]

# opcodes of composite types, as one signed LEB128 byte
_OPT, _VEC, _RECORD, _VARIANT = b"\x6e", b"\x6d", b"\x6c", b"\x6b"

_FIXED = {
    t.Nat8: ("<B", 0, 0xFF),
    t.Nat16: ("<H", 0, 0xFFFF),
    t.Nat32: ("<I", 0, 0xFFFFFFFF),
    t.Nat64: ("<Q", 0, 0xFFFFFFFFFFFFFFFF),
    t.Int8: ("<b", -(1 << 7), (1 << 7) - 1),
    t.Int16: ("<h", -(1 << 15), (1 << 15) - 1),
    t.Int32: ("<i", -(1 << 31), (1 << 31) - 1),
    t.Int64: ("<q", -(1 << 63), (1 << 63) - 1),
}


def compile_encoder(types: Sequence[t.Type]) -> Callable[[Sequence[Any]], bytes]:
    """A function that encodes a list of arguments of these types.

    The function raises:
        MisuseError: a value does not fit its type, or there are more or fewer values than types.
    """
    header = _header(types)
    writers = [_writer(type_) for type_ in types]

    def encode(values: Sequence[Any]) -> bytes:
        if len(values) != len(writers):
            raise MisuseError("wrong number of Candid arguments", expected=len(writers), received=len(values))
        out = bytearray(header)
        for write, value in zip(writers, values, strict=True):
            write(out, value)
        return bytes(out)

    return encode


# Header ---------------------------------------------------------------------------------------------------------------


def _header(types: Sequence[t.Type]) -> bytes:
    """Magic, type table and argument types."""
    rows: dict[bytes, int] = {}  # a row's bytes name a type wholly, since the rows it refers to are unique
    arguments = b"".join([_reference(type_, rows) for type_ in types])
    return b"".join([MAGIC, encode_unsigned(len(rows)), *rows, encode_unsigned(len(types)), arguments])


def _reference(type_: t.Type, rows: dict[bytes, int]) -> bytes:
    """How a type is named where it is used: a primitive's code or the number of a row, which is added if new."""
    if isinstance(type_, t.Primitive):
        return bytes([type_.code & 0x7F])
    if isinstance(type_, t.Vec):
        row = _VEC + _reference(type_.element, rows)
    elif isinstance(type_, t.Opt):
        row = _OPT + _reference(type_.inner, rows)
    else:
        opcode, fields = (_RECORD, type_.fields) if isinstance(type_, t.Record) else (_VARIANT, type_.cases)
        parts = [encode_unsigned(field.number) + _reference(field.type, rows) for field in _sorted(fields)]
        row = opcode + encode_unsigned(len(parts)) + b"".join(parts)
    return encode_signed(rows.setdefault(row, len(rows)))


def _sorted(fields: Sequence[t.Field]) -> list[t.Field]:
    return sorted(fields, key=lambda field: field.number)


def _misfit(type_: t.Type, value: object) -> MisuseError:
    return MisuseError("value does not fit its Candid type", candid_type=repr(type_), python_type=type(value).__name__)


# Values ---------------------------------------------------------------------------------------------------------------


def _writer(type_: t.Type) -> _Writer:
    if isinstance(type_, t.Primitive):
        return _primitive(type_)
    if isinstance(type_, t.Vec):
        return _blob(type_) if type_.element == t.Nat8 else _vec(type_)
    if isinstance(type_, t.Opt):
        return _opt(type_)
    return _record(type_) if isinstance(type_, t.Record) else _variant(type_)


def _primitive(type_: t.Primitive) -> _Writer:
    if type_ in _FIXED:
        return _fixed(type_)
    if type_ in (t.Float32, t.Float64):
        return _float(type_)
    return {
        t.Null: _write_null,
        t.Reserved: _write_reserved,
        t.Empty: _write_empty,
        t.Bool: _write_bool,
        t.Nat: _write_nat,
        t.Int: _write_int,
        t.Text: _write_text,
        t.PrincipalType: _write_principal,
    }[type_]


def _fixed(type_: t.Primitive) -> _Writer:
    code, low, high = _FIXED[type_]
    pack = struct.Struct(code).pack

    def write(out: bytearray, value: Any) -> None:
        if type(value) is not int or not low <= value <= high:
            raise _misfit(type_, value)
        out += pack(value)

    return write


def _float(type_: t.Primitive) -> _Writer:
    pack = struct.Struct("<f" if type_ is t.Float32 else "<d").pack

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, float):
            raise _misfit(type_, value)
        try:
            out += pack(value)
        except OverflowError as error:
            raise _misfit(type_, value) from error

    return write


def _write_null(out: bytearray, value: Any) -> None:
    if value is not None:
        raise _misfit(t.Null, value)


def _write_reserved(out: bytearray, value: Any) -> None:
    """Nothing is written, whatever the value."""


def _write_empty(out: bytearray, value: Any) -> None:
    raise _misfit(t.Empty, value)


def _write_bool(out: bytearray, value: Any) -> None:
    if not isinstance(value, bool):
        raise _misfit(t.Bool, value)
    out.append(value)


def _write_nat(out: bytearray, value: Any) -> None:
    if type(value) is not int or value < 0:
        raise _misfit(t.Nat, value)
    out += encode_unsigned(value)


def _write_int(out: bytearray, value: Any) -> None:
    if type(value) is not int:
        raise _misfit(t.Int, value)
    out += encode_signed(value)


def _write_text(out: bytearray, value: Any) -> None:
    if not isinstance(value, str):
        raise _misfit(t.Text, value)
    try:
        raw = value.encode("utf-8")
    except UnicodeEncodeError as error:  # lone surrogates
        raise _misfit(t.Text, value) from error
    out += encode_unsigned(len(raw))
    out += raw


def _write_principal(out: bytearray, value: Any) -> None:
    if not isinstance(value, Principal):
        raise _misfit(t.PrincipalType, value)
    out.append(1)
    out.append(len(value.raw))
    out += value.raw


def _blob(type_: t.Vec) -> _Writer:
    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise _misfit(type_, value)
        out += encode_unsigned(len(value))
        out += value

    return write


def _vec(type_: t.Vec) -> _Writer:
    element = _writer(type_.element)

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise _misfit(type_, value)
        out += encode_unsigned(len(value))
        for item in value:
            element(out, item)

    return write


def _opt(type_: t.Opt) -> _Writer:
    inner = _writer(type_.inner)

    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(1)
            inner(out, value)

    return write


def _record(type_: t.Record) -> _Writer:
    if type_.build is None or type_.attributes is None:
        return _record_of_dict(type_)
    build = type_.build
    pairs = zip(type_.fields, type_.attributes, strict=True)
    steps = [
        (attrgetter(attribute), _writer(field.type)) for field, attribute in sorted(pairs, key=lambda p: p[0].number)
    ]

    def write(out: bytearray, value: Any) -> None:
        if type(value) is not build:
            raise _misfit(type_, value)
        for read, write_field in steps:
            write_field(out, read(value))

    return write


def _record_of_dict(type_: t.Record) -> _Writer:
    steps = [(field, _writer(field.type)) for field in _sorted(type_.fields)]
    labels = {field.label for field in type_.fields}

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, Mapping) or not labels.issuperset(value):
            raise _misfit(type_, value)
        for field, write_field in steps:
            if field.label not in value and not isinstance(field.type, t.Opt) and field.type != t.Reserved:
                raise MisuseError("record without one of its fields", field=field.label)
            write_field(out, value.get(field.label))

    return write


def _variant(type_: t.Variant) -> _Writer:
    cases = {
        case.label: (encode_unsigned(index), _writer(case.type)) for index, case in enumerate(_sorted(type_.cases))
    }

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], str | int):
            raise _misfit(type_, value)
        if value[0] not in cases:
            raise _misfit(type_, value)
        index, write_case = cases[value[0]]
        out += index
        write_case(out, value[1])

    return write
