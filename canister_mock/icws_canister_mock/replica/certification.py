"""Certified states, and the root subnet's delegations to the others.

A block's state is signed when somebody first asks for a certificate of it, and then once: all certificates of a block
carry the same signature and differ in what they show.

Source: IC interface specification, "Certification" and "Delegation".
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from icws_canister_mock.replica.keys import SubnetKey
from icws_canister_mock.replica.routing import RoutingTable
from icws_canister_mock.replica.state_tree import shard_labels
from icws_secure.limits import NS_PER_S
from icws_secure.wire.certificate import CertificateDelegation, encode_certificate
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["CertifiedState", "Delegations", "RangesForm"]

_DOMAIN: Final = b"\x0dic-state-root"
_DELEGATION_TTL_NS: Final = 86_400 * NS_PER_S  # then it is made anew; agents accept 30 days


class RangesForm(enum.Enum):
    """Where a delegation shows the subnet's canister ranges, which depends on the endpoint that was asked."""

    FLAT = "/subnet/<id>/canister_ranges: read_state v2, query v2, call v3"
    SHARDED = "/canister_ranges/<id>/<shard>: read_state v3, query v3, call v4"
    NONE = "nowhere: the endpoints of a subnet"


class CertifiedState:
    """The state tree after a block.

    Args:
        height: the block's number.
        time_ns: the block's time, which the tree shows at ``/time``.
        tree: the state tree.
        key: the subnet's key.
    """

    def __init__(self, height: int, time_ns: int, tree: MerkleMap, key: SubnetKey) -> None:
        self.height = height
        self.time_ns = time_ns
        self.tree = tree
        self._key = key
        self._signature: bytes | None = None
        self._data_certificates: dict[tuple[Principal, CertificateDelegation | None], bytes] = {}

    @property
    def signature(self) -> bytes:
        """The subnet's signature on the root hash, 48 bytes; made when first asked for."""
        if self._signature is None:
            self._signature = self._key.sign(_DOMAIN + self.tree.digest())
        return self._signature

    def certificate(self, paths: Iterable[Sequence[bytes]], delegation: CertificateDelegation | None) -> bytes:
        """A certificate that shows the time and what is at some paths, or that nothing is there."""
        witness = self.tree.witness([(b"time",), *paths])
        return encode_certificate(witness, self.signature, delegation)

    def data_certificate(self, canister: Principal, delegation: CertificateDelegation | None) -> bytes:
        """The certificate that a canister's queries get; made once, because many queries come between two blocks."""
        known = self._data_certificates.get((canister, delegation))
        if known is None:
            known = self.certificate([(b"canister", canister.raw, b"certified_data")], delegation)
            self._data_certificates[canister, delegation] = known
        return known


class Delegations:
    """The root subnet's word for the other subnets' keys and canister ranges.

    Args:
        root: the root subnet's id, which needs no delegation.
        root_state: gives the root subnet's newest state.
        routing: whose ranges are shown.
    """

    def __init__(self, root: Principal, root_state: Callable[[], CertifiedState], routing: RoutingTable) -> None:
        self._root = root
        self._root_state = root_state
        self._routing = routing
        self._version = -1  # of the routing table that the two below belong to
        self._labels: dict[Principal, list[bytes]] = {}
        self._issued: dict[tuple[Principal, RangesForm, bytes], tuple[int, CertificateDelegation]] = {}

    def issue(self, subnet: Principal, form: RangesForm, canister: Principal | None) -> CertificateDelegation | None:
        """The delegation for certificates of a subnet.

        Args:
            subnet: whose certificates.
            form: where it shows the ranges.
            canister: the canister that the certificate is about: of the sharded ranges its shard is shown.

        Returns:
            The delegation, or None for the root subnet.
        """
        if subnet == self._root:
            return None
        if self._version != self._routing.version:
            self._labels.clear()
            self._issued.clear()
            self._version = self._routing.version
        shard = self._shard(subnet, canister) if form is RangesForm.SHARDED else b""
        state = self._root_state()
        issued_ns, delegation = self._issued.get((subnet, form, shard), (0, None))
        if delegation is None or state.time_ns > issued_ns + _DELEGATION_TTL_NS:
            paths: list[Sequence[bytes]] = [(b"subnet", subnet.raw, b"public_key"), (b"subnet", subnet.raw, b"type")]
            if form is RangesForm.FLAT:
                paths.append((b"subnet", subnet.raw, b"canister_ranges"))
            elif form is RangesForm.SHARDED:
                paths.append((b"canister_ranges", subnet.raw, shard))
            delegation = CertificateDelegation(subnet, state.certificate(paths, None))
            self._issued[subnet, form, shard] = (state.time_ns, delegation)
        return delegation

    def _shard(self, subnet: Principal, canister: Principal | None) -> bytes:
        """The label of the shard that covers a canister; that of the first one where none does."""
        labels = self._labels.get(subnet)
        if labels is None:
            labels = self._labels[subnet] = shard_labels(self._routing.ranges_of(subnet))
        raw = b"" if canister is None else canister.raw
        return labels[max(0, bisect_right(labels, raw) - 1)]
