"""Witnesses: trees that a canister certified by their root hash, as a gateway or anybody else hands them over.

:func:`verify_witness` takes these steps, in this order:

1. The certificate's subnet must be shown to hold the canister, whatever the certificate was verified for before.
2. Decode the tree: bounded, exact shape, pruned hashes of 32 bytes.
3. The tree must be well formed: a tree with one label twice has a digest as good as any, and two readings.
4. The digest of the tree must be the canister's ``certified_data``, as the certificate shows it.

Step 1 and the comparison of step 4 are taken at every use; the rest is remembered, bounded, by the hash of the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..errors import CertificateError, MisuseError, Reason
from ..limits import WITNESS_CACHE_BYTES, WITNESS_CACHE_ENTRIES
from ..wire.hashtree import Found, HashTree, LookupResult, check_well_formed, decode_tree, digest, lookup
from ..wire.principal import Principal
from .cache import BoundedCache
from .certificate import VerifiedCertificate

__all__ = ["VerifiedWitness", "verify_decoded_witness", "verify_witness"]


@dataclass(frozen=True, slots=True)
class _WellFormed:
    tree: HashTree
    digest: bytes


class VerifiedWitness:
    """A tree that the canister certified; only :func:`verify_witness` makes them.

    Attributes:
        certificate: the certificate behind it.
        canister_id: the canister whose certified data it is.
        tree: the tree, well formed.
    """

    __slots__ = ("canister_id", "certificate", "tree")

    def __init__(self, well_formed: _WellFormed, certificate: VerifiedCertificate, canister_id: Principal) -> None:
        if not isinstance(well_formed, _WellFormed):
            raise MisuseError("only verify_witness makes verified witnesses")
        self.tree = well_formed.tree
        self.certificate = certificate
        self.canister_id = canister_id

    def lookup(self, path: Sequence[bytes]) -> LookupResult:
        """Looks a path up in the tree: found with its value, absent, unknown, or an error."""
        return lookup(self.tree, path)


def verify_witness(certificate: VerifiedCertificate, canister_id: Principal, tree: bytes) -> VerifiedWitness:
    """Verifies that ``canister_id`` certified the witness ``tree``, by the steps in this module's docstring.

    Args:
        certificate: the certificate that came with the witness, verified.
        canister_id: the canister that is asked about.
        tree: the CBOR bytes of the tree.

    Raises:
        CertificateError: a step failed; its ``reason`` says which.
        DecodeError: step 2 failed.
    """
    # 1. [ICWS-LIB-013]
    certificate.require_canister(canister_id)
    # 2. and 3.
    return _compare(certificate, canister_id, _read(tree))


def verify_decoded_witness(certificate: VerifiedCertificate, canister_id: Principal, tree: HashTree) -> VerifiedWitness:
    """Takes the steps of :func:`verify_witness` for a tree that stands inside another document; nothing is remembered.

    Raises:
        CertificateError: a step failed; its ``reason`` says which.
    """
    # 1. [ICWS-LIB-013]
    certificate.require_canister(canister_id)
    # 3. [ICWS-LIB-008]
    check_well_formed(tree)
    return _compare(certificate, canister_id, _WellFormed(tree, digest(tree)))


def _compare(certificate: VerifiedCertificate, canister_id: Principal, well_formed: _WellFormed) -> VerifiedWitness:
    # 4.
    shown = certificate.lookup((b"canister", canister_id.raw, b"certified_data"))
    # [ICWS-CLT-023]
    if not isinstance(shown, Found):
        raise CertificateError(
            "the certificate does not show the canister's certified data",
            reason=Reason.PATH_ABSENT,
            requirement="ICWS-CLT-023",
            canister=canister_id,
        )
    # [ICWS-CLT-023]
    if shown.value != well_formed.digest:
        raise CertificateError(
            "the witness is not what the canister certified",
            reason=Reason.CERTIFIED_DATA_MISMATCH,
            requirement="ICWS-CLT-023",
            canister=canister_id,
        )
    return VerifiedWitness(well_formed, certificate, canister_id)


# Keyed by bytes alone: what is kept says nothing about any canister or certificate.
_KNOWN: Final[BoundedCache[bytes, _WellFormed]] = BoundedCache(WITNESS_CACHE_ENTRIES, WITNESS_CACHE_BYTES)


def _read(data: bytes) -> _WellFormed:
    key = sha256(data).digest()
    # [ICWS-LIB-015]
    known = _KNOWN.get(key)
    if known is None:
        # 2.
        tree = decode_tree(data)
        # 3. [ICWS-LIB-008]
        check_well_formed(tree)
        known = _WellFormed(tree, digest(tree))
        _KNOWN.put(key, known, 8 * len(data))
    return known
