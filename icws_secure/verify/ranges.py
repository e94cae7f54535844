"""Which canisters a subnet may speak for: the ranges in its delegation's certificate.

Two forms are in use. The newer one has shards at ``/canister_ranges/<subnet>/<first canister of the shard>``, the
older one a single list at ``/subnet/<subnet>/canister_ranges``. Where the newer one is shown it alone decides, and
only its shard with the greatest label not above the canister. Nothing shown, or an empty list, authorises nobody.

Source: IC interface specification, "Certification", delegations; "The system state tree".
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import CertificateError, DecodeError, Reason
from ..limits import MAX_CANISTER_RANGES
from ..wire import cbor
from ..wire.hashtree import ABSENT, UNKNOWN, Found, HashTree, find_subtree, list_labels, lookup
from ..wire.principal import Principal

__all__ = ["CanisterRanges", "read_canister_ranges"]

#: Closed intervals of canister ids as byte strings, compared lexicographically.
Ranges: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class CanisterRanges:
    """The ranges of one subnet, as far as they are shown.

    Attributes:
        labels: the first canister of each shard, increasing; one empty label for the older form; none if nothing is
        shown.
        shards: the ranges of each, in the same order.
    """

    labels: tuple[bytes, ...] = ()
    shards: tuple[Ranges, ...] = ()

    def __contains__(self, canister_id: Principal) -> bool:
        """Whether the ranges shown authorise the subnet for ``canister_id``."""
        covering = bisect_right(self.labels, canister_id.raw) - 1
        if covering < 0:
            return False
        return any(low <= canister_id.raw <= high for low, high in self.shards[covering])


def read_canister_ranges(tree: HashTree, subnet_id: Principal) -> CanisterRanges:
    """Reads the ranges of ``subnet_id`` from the tree of its delegation's certificate, whose signature has been
    verified.

    Raises:
        CertificateError: CANISTER_NOT_IN_RANGES, what is shown cannot be read.
    """
    path = (b"canister_ranges", subnet_id.raw)
    shards = find_subtree(tree, path)
    # [ICWS-LIB-013] The older form counts only where the newer one is not shown.
    if shards is ABSENT or shards is UNKNOWN:
        return _read_single(tree, subnet_id)
    labels, ranges = [], []
    for label in list_labels(tree, path):
        value = lookup(tree, (*path, label))
        if isinstance(value, Found):
            labels.append(label)
            ranges.append(_parse(value.value))
    return CanisterRanges(tuple(labels), tuple(ranges))


def _read_single(tree: HashTree, subnet_id: Principal) -> CanisterRanges:
    value = lookup(tree, (b"subnet", subnet_id.raw, b"canister_ranges"))
    if not isinstance(value, Found):
        return CanisterRanges()
    return CanisterRanges((b"",), (_parse(value.value),))


def _parse(data: bytes) -> Ranges:
    try:
        pairs = cbor.decode(data, what="canister ranges")
    except DecodeError as error:
        raise _unreadable() from error
    if not isinstance(pairs, list) or len(pairs) > MAX_CANISTER_RANGES:
        raise _unreadable()
    ranges: list[tuple[bytes, bytes]] = []
    for pair in pairs:
        if not isinstance(pair, list) or len(pair) != 2:
            raise _unreadable()
        low, high = pair
        if not isinstance(low, bytes) or not isinstance(high, bytes):
            raise _unreadable()
        ranges.append((low, high))
    return tuple(ranges)


def _unreadable() -> CertificateError:
    return CertificateError(
        "canister ranges cannot be read", reason=Reason.CANISTER_NOT_IN_RANGES, requirement="ICWS-LIB-013"
    )
