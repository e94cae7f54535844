"""Which subnet a canister lives on, as canister ranges: those of each subnet, cut where a canister was put elsewhere.

Canister ids are handed out as on the IC: eight bytes big-endian, then ``01 01``. A range is closed, and principals
compare as byte strings (interface specification, "Subnet information").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from icws_secure.errors import MisuseError, Reason
from icws_secure.wire.principal import Principal

__all__ = ["CanisterRange", "RoutingTable", "canister_id"]

_SUFFIX: Final = b"\x01\x01"
_ID_BYTES: Final = 10


def canister_id(index: int) -> Principal:
    """The canister id with a number.

    Args:
        index: 0 to 2^64 - 1.
    """
    return Principal(index.to_bytes(8, "big") + _SUFFIX)


@dataclass(frozen=True, slots=True, order=True)
class CanisterRange:
    """A closed range of canister ids."""

    low: Principal
    high: Principal

    def __contains__(self, canister: Principal) -> bool:
        return self.low <= canister <= self.high


@dataclass(frozen=True, slots=True)
class _Block:
    """The numbers that a subnet hands out: ``first`` to ``last``."""

    first: int
    last: int
    subnet: Principal


class RoutingTable:
    """Assigns canister ids to subnets. ``version`` counts the changes."""

    def __init__(self) -> None:
        self.version = 0
        self._blocks: list[_Block] = []
        self._placed: dict[Principal, Principal] = {}  # ids that do not follow from the blocks
        self._next: dict[Principal, int] = {}

    def add_subnet(self, subnet: Principal, first: int, last: int) -> None:
        """Give a subnet the ids with numbers ``first`` to ``last``."""
        self._blocks.append(_Block(first, last, subnet))
        self._blocks.sort(key=lambda block: block.first)
        self._next[subnet] = first
        self.version += 1

    def subnet_of(self, canister: Principal) -> Principal | None:
        """The subnet whose ranges hold the id, or None."""
        placed = self._placed.get(canister)
        return placed if placed is not None else self._block_of(canister)

    def new_id(self, subnet: Principal) -> Principal:
        """The next id of the subnet's own numbers that was not asked for by name."""
        while True:
            candidate = canister_id(self._next[subnet])
            self._next[subnet] += 1
            if candidate not in self._placed and self.subnet_of(candidate) == subnet:
                return candidate

    def place(self, canister: Principal, subnet: Principal) -> None:
        """Make the subnet's ranges hold an id.

        Raises:
            MisuseError: it is not the id of a canister, or it lies in another subnet's numbers without being one of
            them,
                so that no ranges could tell it from its neighbours.
        """
        if not canister.is_opaque:
            raise MisuseError("this is not the id of a canister", reason=Reason.INVALID_ARGUMENT, id=canister)
        if self.subnet_of(canister) == subnet:
            return
        block = self._block_of(canister)
        if block is not None and not _is_numbered(canister):
            raise MisuseError(
                "an id of this form cannot be cut out of another subnet's ranges",
                reason=Reason.INVALID_ARGUMENT,
                id=canister,
            )
        if block == subnet:
            del self._placed[canister]
        else:
            self._placed[canister] = subnet
        self.version += 1

    def ranges_of(self, subnet: Principal) -> list[CanisterRange]:
        """The subnet's ranges: sorted, disjoint."""
        found = [piece for block in self._blocks if block.subnet == subnet for piece in self._pieces(block)]
        for canister, owner in self._placed.items():
            if owner == subnet:
                found.append(CanisterRange(canister, canister))
        return sorted(found)

    def _block_of(self, canister: Principal) -> Principal | None:
        for block in self._blocks:
            if canister_id(block.first) <= canister <= canister_id(block.last):
                return block.subnet
        return None

    def _pieces(self, block: _Block) -> Iterator[CanisterRange]:
        """The block's range without the ids that were placed elsewhere."""
        first = block.first
        moved = (
            int.from_bytes(canister.raw[:8], "big")
            for canister, owner in self._placed.items()
            if owner != block.subnet and _is_numbered(canister)
        )
        for number in sorted(moved):
            if first <= number <= block.last:
                if first < number:
                    yield CanisterRange(canister_id(first), canister_id(number - 1))
                first = number + 1
        if first <= block.last:
            yield CanisterRange(canister_id(first), canister_id(block.last))


def _is_numbered(canister: Principal) -> bool:
    return len(canister.raw) == _ID_BYTES and canister.raw.endswith(_SUFFIX)
