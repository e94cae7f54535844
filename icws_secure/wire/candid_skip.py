"""Passing over Candid values that nobody asked for.

Subtyping lets peers send more than we know: fields, arguments, cases of an ``opt`` that does not fit. Such values are
checked like those that are decoded, and cost no more than a constant times their size: runs of fixed size are passed
over in one step, values without bytes are counted, nesting is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ..errors import Reason
from ..limits import MAX_CANDID_NUMBER_BYTES, MAX_CANDID_VALUES
from .candid_table import REQUIREMENT, Kind, Row, checked_text, length, need, violation
from .leb128 import decode_unsigned
from .principal import MAX_PRINCIPAL_BYTES

__all__ = ["Budget", "Skipper", "Skippers"]

_NULL, _BOOL, _NAT, _INT, _TEXT, _RESERVED, _EMPTY, _PRINCIPAL = -1, -2, -3, -4, -15, -16, -17, -24
_SIZES: Final = {
    _NULL: 0, _RESERVED: 0, -5: 1, -6: 2, -7: 4, -8: 8, -9: 1, -10: 2, -11: 4, -12: 8, -13: 4, -14: 8,
}  # fmt: skip


class Budget:
    """How many values a message may still hold.

    It grows with the size of the message, so that values without bytes (``null``, empty records) cannot make a small
    message dear.

    Args:
        size: bytes of the message.
    """

    __slots__ = ("_left",)

    def __init__(self, size: int) -> None:
        self._left = min(MAX_CANDID_VALUES, 4096 + 8 * size)

    def spend(self, values: int) -> None:
        """Take account of values.

        Raises:
            DecodeError: there are too many.
        """
        self._left -= values
        # [ICWS-LIB-021]
        if self._left < 0:
            raise violation("too many values", Reason.TOO_MANY)


Skipper = Callable[[bytes, int, Budget, int], int]
"""Given data, offset, budget and the levels of nesting still allowed: the offset behind a checked value.

Raises DecodeError if the value is malformed, and IndexError if the data ends inside."""


class Skippers:
    """Makes the functions that pass over values of one type table. What they pass over is checked like what is
    decoded."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._rows = rows
        self._made: dict[int, Skipper] = dict(_PRIMITIVE_SKIPPERS)
        self._sizes: dict[int, tuple[int, int] | None] = {code: (size, 1) for code, size in _SIZES.items()}

    def __getitem__(self, reference: int) -> Skipper:
        made = self._made.get(reference)
        if made is None:
            made = self._made[reference] = self._make(reference)
        return made

    def _late(self, reference: int) -> Skipper:
        """Like ``self[reference]``, but not before it is used: the type may be under construction, being recursive."""
        if reference < 0:
            return self[reference]

        def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
            return self[reference](data, offset, budget, depth)

        return skip

    def _make(self, reference: int) -> Skipper:
        size = self._fixed_size(reference)
        if size is not None:
            return _skip_fixed(*size)
        row = self._rows[reference]
        if row.kind is Kind.RECORD:
            return _skip_record(self._record_steps(row))
        if row.kind is Kind.VARIANT:
            return _skip_variant([self._late(part) for _, part in row.parts])
        if row.kind is Kind.OPT:
            return _skip_opt(self._late(row.parts[0][1]))
        if row.kind is Kind.VEC:
            element = row.parts[0][1]
            fixed = self._fixed_size(element)
            return _skip_fixed_vec(*fixed) if fixed else _skip_vec(self._late(element))
        return {Kind.FUNC: _skip_func, Kind.SERVICE: _skip_principal, Kind.FUTURE: _skip_future}[row.kind]

    def _fixed_size(self, reference: int) -> tuple[int, int] | None:
        """Bytes and number of values, if all values of the type have the same and none can be malformed."""
        if reference < 0 or reference in self._sizes:
            return self._sizes.get(reference)
        self._sizes[reference] = None  # what is met again below itself is recursive: it has no fixed size
        row = self._rows[reference]
        if row.kind is Kind.RECORD:
            size, values = 0, 1
            for _, part in row.parts:
                fixed = self._fixed_size(part)
                if fixed is None:
                    return None
                # Sizes multiply from row to row; past these bounds they only have to stay refusable.
                size, values = min(size + fixed[0], 1 << 32), min(values + fixed[1], 1 << 32)
            self._sizes[reference] = size, values
        return self._sizes[reference]

    def _record_steps(self, row: Row) -> Iterable[Skipper]:
        """One step for each run of fields of fixed size, and one for each other field."""
        size = values = 0
        for _, part in row.parts:
            fixed = self._fixed_size(part)
            if fixed is not None:
                size, values = size + fixed[0], values + fixed[1]
                continue
            if values:
                yield _skip_fixed(size, values)
                size = values = 0
            yield self._late(part)
        if values:
            yield _skip_fixed(size, values)


def _level(depth: int) -> int:
    # [ICWS-LIB-021]
    if depth <= 0:
        raise violation("values nested too deeply", Reason.TOO_DEEP)
    return depth - 1


def _skip_empty(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    raise violation("a value of type empty")


def _skip_bool(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    budget.spend(1)
    if data[offset] > 1:
        raise violation("a bool that is neither 0 nor 1")
    return offset + 1


def _skip_number(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    budget.spend(1)
    return decode_unsigned(data, offset, max_bytes=MAX_CANDID_NUMBER_BYTES, requirement=REQUIREMENT)[1]


def _skip_text(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    budget.spend(1)
    size, offset = length(data, offset)
    checked_text(data, offset, size)
    return offset + size


def _skip_principal(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    budget.spend(1)
    if data[offset] != 1:
        raise violation("a reference that is not transparent")
    size, offset = length(data, offset + 1)
    need(data, offset + size)
    if size > MAX_PRINCIPAL_BYTES:
        raise violation("a principal is too long", received=size)
    return offset + size


def _skip_func(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    if data[offset] != 1:
        raise violation("a reference that is not transparent")
    return _skip_text(data, _skip_principal(data, offset + 1, budget, depth), budget, depth)


def _skip_future(data: bytes, offset: int, budget: Budget, depth: int) -> int:
    budget.spend(1)
    size, offset = length(data, offset)
    references, offset = length(data, offset)
    need(data, offset + size)
    if references:
        raise violation("a value of an unknown type with references")
    return offset + size


def _skip_fixed(size: int, values: int) -> Skipper:
    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        budget.spend(values)
        need(data, offset + size)
        return offset + size

    return skip


def _skip_fixed_vec(size: int, values: int) -> Skipper:
    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        count, offset = length(data, offset)
        # Bytes of a blob are not counted one by one: they cost what a text costs.
        budget.spend(1 if size == values == 1 else 1 + count * values)
        need(data, offset + count * size)
        return offset + count * size

    return skip


def _skip_vec(element: Skipper) -> Skipper:
    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        depth = _level(depth)
        count, offset = length(data, offset)
        budget.spend(count)
        for _ in range(count):
            offset = element(data, offset, budget, depth)
        return offset

    return skip


def _skip_record(steps: Iterable[Skipper]) -> Skipper:
    fields = tuple(steps)

    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        depth = _level(depth)
        budget.spend(1)
        for field in fields:
            offset = field(data, offset, budget, depth)
        return offset

    return skip


def _skip_opt(inner: Skipper) -> Skipper:
    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        depth = _level(depth)
        budget.spend(1)
        present = data[offset]
        if present > 1:
            raise violation("an opt that is neither absent nor present")
        return inner(data, offset + 1, budget, depth) if present else offset + 1

    return skip


def _skip_variant(cases: list[Skipper]) -> Skipper:
    def skip(data: bytes, offset: int, budget: Budget, depth: int) -> int:
        depth = _level(depth)
        budget.spend(1)
        index, offset = length(data, offset)
        if index >= len(cases):
            raise violation("no such case", index=index)
        return cases[index](data, offset, budget, depth)

    return skip


_PRIMITIVE_SKIPPERS: Final[dict[int, Skipper]] = {
    _BOOL: _skip_bool,
    _NAT: _skip_number,
    _INT: _skip_number,
    _TEXT: _skip_text,
    _EMPTY: _skip_empty,
    _PRINCIPAL: _skip_principal,
    **{code: _skip_fixed(size, 1) for code, size in _SIZES.items()},
}
