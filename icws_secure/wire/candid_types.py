"""Candid types, as values: what the protocol expects to read and what it writes.

Source: the Candid specification (types, field hashes, type codes). Types are immutable and finite: recursive types
    occur only in
what peers send, never in what we expect.

Python values: ``null`` and ``reserved`` are None; ``bool`` is bool; every number type but the floats is int; ``text``
is str; ``principal`` is :class:`~icws_secure.wire.principal.Principal`; ``vec nat8`` is bytes, any other ``vec`` a
tuple; ``opt`` is None or the value; ``variant`` is ``(label, value)``; ``record`` is an instance of the dataclass the
type names, or else a dict by label.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ..errors import MisuseError
from ..limits import MAX_CANDID_FIELDS

__all__ = [
    "Blob",
    "Bool",
    "Empty",
    "Field",
    "Float32",
    "Float64",
    "Int",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "Nat",
    "Nat8",
    "Nat16",
    "Nat32",
    "Nat64",
    "Null",
    "Opt",
    "Primitive",
    "PrincipalType",
    "Record",
    "Reserved",
    "Text",
    "Type",
    "Variant",
    "Vec",
    "field_hash",
]


def field_hash(label: str) -> int:
    """The 32-bit number that stands for a field's or a case's name on the wire."""
    value = 0
    for byte in label.encode("utf-8"):
        value = (value * 223 + byte) & 0xFFFFFFFF
    return value


@dataclass(frozen=True, slots=True)
class Primitive:
    """A type without components.

    Attributes:
        name: as written in ``.did`` files.
        code: its negative number in type tables.
    """

    name: str
    code: int

    def __repr__(self) -> str:
        return self.name


Null: Final = Primitive("null", -1)
Bool: Final = Primitive("bool", -2)
Nat: Final = Primitive("nat", -3)
Int: Final = Primitive("int", -4)
Nat8: Final = Primitive("nat8", -5)
Nat16: Final = Primitive("nat16", -6)
Nat32: Final = Primitive("nat32", -7)
Nat64: Final = Primitive("nat64", -8)
Int8: Final = Primitive("int8", -9)
Int16: Final = Primitive("int16", -10)
Int32: Final = Primitive("int32", -11)
Int64: Final = Primitive("int64", -12)
Float32: Final = Primitive("float32", -13)
Float64: Final = Primitive("float64", -14)
Text: Final = Primitive("text", -15)
Reserved: Final = Primitive("reserved", -16)
Empty: Final = Primitive("empty", -17)
PrincipalType: Final = Primitive("principal", -24)


@dataclass(frozen=True, slots=True)
class Vec:
    """A sequence. ``Vec(Nat8)`` is bytes."""

    element: Type


Blob: Final = Vec(Nat8)


@dataclass(frozen=True, slots=True)
class Opt:
    """An optional value, None where absent.

    Raises:
        MisuseError: the inner type has a null of its own (``opt``, ``null``, ``reserved``), which None could not tell
            apart.
    """

    inner: Type

    def __post_init__(self) -> None:
        if isinstance(self.inner, Opt) or self.inner in (Null, Reserved):
            raise MisuseError("opt of a type that has null itself is ambiguous in Python", inner=repr(self.inner))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record or one case of a variant.

    Attributes:
        number: the label's hash, or the number that is the label.
        label: the name, or the number where there is none.
        type: the type of the value.
    """

    number: int
    label: str | int
    type: Type


def _fields(declared: Mapping[Any, Type]) -> tuple[Field, ...]:
    """Fields in the order of declaration.

    Raises:
        MisuseError: too many, two labels of one hash, or a number out of range.
    """
    fields = tuple(
        Field(field_hash(label) if isinstance(label, str) else label, label, type_) for label, type_ in declared.items()
    )
    numbers = {field.number for field in fields}
    if len(fields) > MAX_CANDID_FIELDS or len(numbers) != len(fields):
        raise MisuseError("too many fields, or two with one hash", fields=len(fields))
    if any(not 0 <= number < 1 << 32 for number in numbers):
        raise MisuseError("a field's number has 32 bits")
    return fields


class Record:
    """A record.

    Args:
        fields: label to type.
        of: a dataclass whose fields stand for the record's in the same order, whatever their names; values are then
            instances of it. Without it values are dicts by label, in which an absent key stands for an absent
            ``opt``.

    Raises:
        MisuseError: bad fields, or a dataclass with another number of fields.
    """

    __slots__ = ("attributes", "build", "fields")

    def __init__(self, fields: Mapping[Any, Type], of: type[Any] | None = None) -> None:
        self.fields: Final = _fields(fields)
        self.build: Final[Callable[..., Any] | None] = of
        self.attributes: Final[tuple[str, ...] | None] = (
            None if of is None else tuple(field.name for field in dataclasses.fields(of))
        )
        if self.attributes is not None and len(self.attributes) != len(self.fields):
            raise MisuseError("dataclass and record differ in their number of fields", dataclass=repr(of))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and (self.fields, self.build) == (other.fields, other.build)

    def __hash__(self) -> int:
        return hash((self.fields, self.build))

    def __repr__(self) -> str:
        return "record {" + "; ".join(f"{field.label}: {field.type!r}" for field in self.fields) + "}"


class Variant:
    """A variant: one of several labelled cases.

    Args:
        cases: label to type; ``Null`` for a case without a value.

    Raises:
        MisuseError: bad cases.
    """

    __slots__ = ("cases",)

    def __init__(self, cases: Mapping[Any, Type]) -> None:
        self.cases: Final = _fields(cases)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Variant) and self.cases == other.cases

    def __hash__(self) -> int:
        return hash(self.cases)

    def __repr__(self) -> str:
        return "variant {" + "; ".join(f"{case.label}: {case.type!r}" for case in self.cases) + "}"


Type = Primitive | Vec | Opt | Record | Variant
