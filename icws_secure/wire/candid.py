"""Candid, hardened, for the protocol's own types.

Application payloads are bytes to this project; bring any Candid library for them. This codec encodes and decodes
values of types that are fixed in code (:mod:`~icws_secure.wire.candid_types`), refuses whatever is malformed, and
never spends more than a constant times the size of its input.

An :class:`Arguments` object stands for the argument or result list of a method and remembers the type tables it has
met, so that decoding costs one walk over the values::

    POLL = Arguments(Record({"nonce": Nat64}))
    POLL.decode(POLL.encode({"nonce": 7})) == ({"nonce": 7},)
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from ..errors import DecodeError, Reason
from ..limits import MAX_CANDID_BYTES
from .candid_decode import Plan, make_plan
from .candid_encode import compile_encoder
from .candid_types import (
    Blob,
    Bool,
    Empty,
    Float32,
    Float64,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Nat,
    Nat8,
    Nat16,
    Nat32,
    Nat64,
    Null,
    Opt,
    PrincipalType,
    Record,
    Reserved,
    Text,
    Type,
    Variant,
    Vec,
    field_hash,
)

__all__ = [
    "Arguments",
    "Blob",
    "Bool",
    "Empty",
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
    "PrincipalType",
    "Record",
    "Reserved",
    "Text",
    "Type",
    "Variant",
    "Vec",
    "decode",
    "encode",
    "field_hash",
]

_PLANS: Final = 8  # type tables remembered for each list of types: peers of one kind send one
_PLAN_HEADER_BYTES: Final = 1024  # longer headers are not worth remembering


class Arguments:
    """A list of types: the arguments or the results of a method.

    Args:
        types: the expected types.
    """

    __slots__ = ("_encode", "_plans", "types")

    def __init__(self, *types: Type) -> None:
        self.types: Final = types
        self._encode = compile_encoder(types)
        self._plans: tuple[Plan, ...] = ()

    def encode(self, *values: Any) -> bytes:
        """Encode one value for each type.

        Raises:
            MisuseError: a value does not fit its type, or there are too many or too few.
        """
        return self._encode(values)

    def decode(self, data: bytes, *, max_bytes: int = MAX_CANDID_BYTES) -> tuple[Any, ...]:
        """Decode one value for each type; what the peer sent beyond is checked and dropped.

        Args:
            data: a whole Candid message.
            max_bytes: the largest message to look at.

        Raises:
            DecodeError: ``reason`` is ``TooLarge``, ``TooMany``, ``TooDeep``, ``TrailingBytes``, ``WrongType``,
                ``MissingField`` or ``Malformed``.
        """
        # [ICWS-LIB-021]
        if len(data) > max_bytes:
            raise DecodeError(
                "Candid message too large",
                reason=Reason.TOO_LARGE,
                requirement="ICWS-LIB-021",
                limit=max_bytes,
                received=len(data),
            )
        data = bytes(data)
        return tuple(self._plan(data).decode(data)[: len(self.types)])

    def values_at(self, data: bytes) -> int | None:
        """Offset of the first value of a message whose header declares exactly these types, None if it declares others.

        For readers of a single layout: the values follow each other as the types say, fields by ascending hash.

        Raises:
            DecodeError: the header is malformed or over a limit.
        """
        plan = self._plan(data)
        return len(plan.header) if plan.exact else None

    def _plan(self, data: bytes) -> Plan:
        # No header is the beginning of another, so the first that fits is the message's own.
        for plan in self._plans:
            if data.startswith(plan.header):
                return plan
        plan = make_plan(self.types, data)
        if len(plan.header) <= _PLAN_HEADER_BYTES:
            self._plans = (plan, *self._plans[: _PLANS - 1])
        return plan


@lru_cache(maxsize=64)
def _arguments(types: tuple[Type, ...]) -> Arguments:
    return Arguments(*types)


def encode(types: Sequence[Type], values: Sequence[Any]) -> bytes:
    """Encode values of the given types; see :meth:`Arguments.encode`."""
    return _arguments(tuple(types)).encode(*values)


def decode(types: Sequence[Type], data: bytes, *, max_bytes: int = MAX_CANDID_BYTES) -> tuple[Any, ...]:
    """Decode values of the given types; see :meth:`Arguments.decode`."""
    return _arguments(tuple(types)).decode(data, max_bytes=max_bytes)
