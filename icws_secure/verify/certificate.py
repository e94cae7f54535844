"""Verification of the Internet Computer's certificates. Everything else that this library believes rests on this
module.

:meth:`CertificateVerifier.verify` takes these steps, in this order:

1. Decode the certificate: bounded, exact shape.
2. Find the key that must have signed. Without a delegation it is the root key. With one:

   a. decode the delegation's certificate;
   b. it must not have a delegation itself;
   c. its signature must verify under the root key, before anything in it is looked at;
   d. the key is the one it shows for exactly the delegation's subnet, in the DER form of BLS12-381 keys;
   e. read its time and the subnet's canister ranges.

3. The signature must verify under that key, over the domain-separated digest of the tree.
4. Only now look into the tree: it must show ``/time``.
5. The scope: the canister asked for must lie in the delegation's ranges, the subnet asked for must be the one that
   signed. The root subnet may speak for every canister.
6. The ages of certificate and delegation must be within the policy, by the caller's clock.

Steps 1 to 4 depend on nothing but the bytes and the root key: their positive results are kept (delegations and
certificates apart), in bounded caches that belong to one verifier, hence to one root key. Steps 5 and 6 are taken at
every use.

Source: IC interface specification, "Certification".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ..bls import Backend, backend
from ..errors import CertificateError, DecodeError, MisuseError, Reason
from ..limits import (
    CERTIFICATE_CACHE_BYTES,
    CERTIFICATE_CACHE_ENTRIES,
    MAX_CERTIFICATE_AGE_NS,
    MAX_CERTIFICATE_AHEAD_NS,
    MAX_DELEGATION_AGE_NS,
    MAX_DELEGATION_AHEAD_NS,
)
from ..wire import domain
from ..wire.certificate import Certificate, CertificateDelegation, decode_certificate
from ..wire.der import KeyScheme, PublicKey
from ..wire.hashtree import Found, HashTree, LookupResult, digest, lookup
from ..wire.leb128 import decode_unsigned_exact
from ..wire.principal import Principal
from .cache import BoundedCache
from .ranges import CanisterRanges, read_canister_ranges
from .root_key import RootKey

__all__ = ["CertificatePolicy", "CertificateVerifier", "VerifiedCertificate"]

_MAX_UINT64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class CertificatePolicy:
    """How far certified times may lie from the caller's clock; all in nanoseconds, all inclusive.

    Attributes:
        max_age_ns: a certificate behind the clock.
        max_ahead_ns: a certificate ahead of the clock.
        max_delegation_age_ns: a delegation behind the clock; subnets renew theirs about once a week.
        max_delegation_ahead_ns: a delegation ahead of the clock.
    """

    max_age_ns: int = MAX_CERTIFICATE_AGE_NS
    max_ahead_ns: int = MAX_CERTIFICATE_AHEAD_NS
    max_delegation_age_ns: int = MAX_DELEGATION_AGE_NS
    max_delegation_ahead_ns: int = MAX_DELEGATION_AHEAD_NS


@dataclass(frozen=True, slots=True)
class _Delegation:
    """What a delegation whose signature verified says (step 2)."""

    subnet_id: Principal
    public_key: bytes
    time_ns: int
    ranges: CanisterRanges
    tree: HashTree


@dataclass(frozen=True, slots=True)
class _Statement:
    """What a certificate whose signatures verified says (steps 1 to 4): true whenever, for whatever canister it is
    used."""

    sha256: bytes
    tree: HashTree
    time_ns: int
    subnet_id: Principal
    delegation: _Delegation | None


class VerifiedCertificate:
    """A certificate that has passed every step; only :class:`CertificateVerifier` makes them.

    Attributes:
        canister_id: the canister it was verified for (step 5), or None.
        raw_sha256: SHA-256 of its bytes.
        tree: its tree.
        time_ns: its ``/time``, nanoseconds since the Unix epoch.
        subnet_id: the subnet that signed it.
        is_scoped: whether it was verified for a canister or a subnet at all.
    """

    __slots__ = ("_statement", "canister_id", "is_scoped", "raw_sha256", "subnet_id", "time_ns", "tree")

    def __init__(self, statement: _Statement, *, canister_id: Principal | None = None, is_scoped: bool = False) -> None:
        if not isinstance(statement, _Statement):
            raise MisuseError("only a CertificateVerifier makes verified certificates")
        self._statement = statement
        self.canister_id = canister_id
        self.is_scoped = is_scoped
        self.raw_sha256 = statement.sha256
        self.tree = statement.tree
        self.time_ns = statement.time_ns
        self.subnet_id = statement.subnet_id

    @property
    def has_delegation(self) -> bool:
        """Whether a subnet other than the root subnet signed."""
        return self._statement.delegation is not None

    @property
    def delegation_time_ns(self) -> int | None:
        """``/time`` of the delegation's certificate, nanoseconds since the Unix epoch; None without a delegation."""
        delegation = self._statement.delegation
        return None if delegation is None else delegation.time_ns

    def lookup(self, path: Sequence[bytes]) -> LookupResult:
        """Looks a path up in the tree: found with its value, absent, unknown, or an error."""
        return lookup(self._statement.tree, path)

    def lookup_in_delegation(self, path: Sequence[bytes]) -> LookupResult | None:
        """Looks a path up in the tree of the delegation's certificate; None without a delegation."""
        delegation = self._statement.delegation
        return None if delegation is None else lookup(delegation.tree, path)

    def require_canister(self, canister_id: Principal) -> None:
        """Step 5 for a canister.

        Raises:
            CertificateError: CANISTER_NOT_IN_RANGES.
        """
        delegation = self._statement.delegation
        # [ICWS-LIB-013]
        if delegation is not None and canister_id not in delegation.ranges:
            raise CertificateError(
                "the subnet that signed is not shown to hold the canister",
                reason=Reason.CANISTER_NOT_IN_RANGES,
                requirement="ICWS-LIB-013",
                canister=canister_id,
                subnet=delegation.subnet_id,
            )

    def require_subnet(self, subnet_id: Principal) -> None:
        """Step 5 for a subnet.

        Raises:
            CertificateError: SUBNET_MISMATCH.
        """
        # [ICWS-LIB-012]
        if subnet_id != self.subnet_id:
            raise CertificateError(
                "another subnet signed",
                reason=Reason.SUBNET_MISMATCH,
                requirement="ICWS-LIB-012",
                expected=subnet_id,
                received=self.subnet_id,
            )

    def require_fresh(self, policy: CertificatePolicy, now: int) -> None:
        """Step 6.

        Args:
            policy: the bounds.
            now: the caller's clock, nanoseconds since the Unix epoch.

        Raises:
            CertificateError: CERTIFICATE_STALE, CERTIFICATE_FROM_FUTURE or DELEGATION_STALE.
        """
        # [ICWS-LIB-014]
        if now - self.time_ns > policy.max_age_ns:
            raise _out_of_time("certificate is too old", Reason.CERTIFICATE_STALE, self.time_ns, now)
        # [ICWS-LIB-014]
        if self.time_ns - now > policy.max_ahead_ns:
            raise _out_of_time("certificate is from the future", Reason.CERTIFICATE_FROM_FUTURE, self.time_ns, now)
        delegation_time_ns = self.delegation_time_ns
        if delegation_time_ns is None:
            return
        # [ICWS-LIB-014]
        if now - delegation_time_ns > policy.max_delegation_age_ns:
            raise _out_of_time("delegation is too old", Reason.DELEGATION_STALE, delegation_time_ns, now)
        # [ICWS-LIB-014]
        if delegation_time_ns - now > policy.max_delegation_ahead_ns:
            raise _out_of_time("delegation is from the future", Reason.DELEGATION_STALE, delegation_time_ns, now)

    def __repr__(self) -> str:
        return f"VerifiedCertificate(time_ns={self.time_ns}, subnet_id={self.subnet_id.to_text()!r})"


class CertificateVerifier:
    """Verifies certificates under one root key, by the steps in this module's docstring.

    May be shared between threads; a verification may then be made twice, never be skipped.

    Args:
        root_key: the pinned root key.
        policy: bounds of step 6.
        backend: the pairing library; the preferred one that is installed if None.
        cache_entries: how many certificates, and as many delegations, to remember; 0 remembers none.

    Raises:
        CertificateError: BAD_BLS_POINT, the root key is not a point of the subgroup.
    """

    __slots__ = ("_backend", "_certificates", "_delegations", "policy", "root_key")

    def __init__(
        self,
        root_key: RootKey,
        *,
        policy: CertificatePolicy | None = None,
        backend: Backend | None = None,
        cache_entries: int = CERTIFICATE_CACHE_ENTRIES,
    ) -> None:
        self.root_key = root_key
        self.policy = policy if policy is not None else CertificatePolicy()
        self._backend = backend if backend is not None else _default_backend()
        self._backend.check_public_key(root_key.raw)
        self._certificates: BoundedCache[bytes, _Statement] = BoundedCache(cache_entries, CERTIFICATE_CACHE_BYTES)
        self._delegations: BoundedCache[tuple[Principal, bytes], _Delegation] = BoundedCache(
            cache_entries, CERTIFICATE_CACHE_BYTES
        )

    @property
    def forgotten(self) -> int:
        """How many verified certificates and delegations had to make room for others in the caches."""
        return self._certificates.dropped + self._delegations.dropped

    def verify(
        self,
        certificate: bytes,
        *,
        now: int,
        canister_id: Principal | None = None,
        subnet_id: Principal | None = None,
    ) -> VerifiedCertificate:
        """Takes all steps.

        Args:
            certificate: the CBOR bytes.
            now: the caller's clock, nanoseconds since the Unix epoch.
            canister_id: the canister that the certificate must be allowed to speak for.
            subnet_id: the subnet that must have signed. With neither, step 5 is left to the user of the result.

        Raises:
            CertificateError: a step failed; its ``reason`` says which.
            DecodeError: step 1 failed.
        """
        verified = self.verify_ignoring_age(certificate, canister_id=canister_id, subnet_id=subnet_id)
        # 6.
        verified.require_fresh(self.policy, now)
        return verified

    def verify_ignoring_age(
        self, certificate: bytes, *, canister_id: Principal | None = None, subnet_id: Principal | None = None
    ) -> VerifiedCertificate:
        """Takes all steps but the last, for what stays true however old it is: receipts, canister signatures.

        Raises:
            CertificateError: a step failed; its ``reason`` says which.
            DecodeError: step 1 failed.
        """
        # [ICWS-LIB-015] The hash of the bytes stands for steps 1 to 4, and for nothing of 5 and 6.
        key = sha256(certificate).digest()
        statement = self._certificates.get(key)
        if statement is None:
            statement = self._read(certificate, key)
            self._certificates.put(key, statement, _weight(certificate))
        verified = VerifiedCertificate(
            statement, canister_id=canister_id, is_scoped=canister_id is not None or subnet_id is not None
        )
        # 5.
        if canister_id is not None:
            verified.require_canister(canister_id)
        if subnet_id is not None:
            verified.require_subnet(subnet_id)
        return verified

    def _read(self, data: bytes, key: bytes) -> _Statement:
        # 1.
        certificate = decode_certificate(data)
        # 2.
        delegation = None if certificate.delegation is None else self._delegation(certificate.delegation)
        public_key = self.root_key.raw if delegation is None else delegation.public_key
        # 3.
        self._check_signature(certificate, public_key)
        # 4.
        return _Statement(
            sha256=key,
            tree=certificate.tree,
            time_ns=_time(certificate.tree),
            subnet_id=self.root_key.subnet_id if delegation is None else delegation.subnet_id,
            delegation=delegation,
        )

    def _delegation(self, delegation: CertificateDelegation) -> _Delegation:
        key = (delegation.subnet_id, sha256(delegation.certificate).digest())
        known = self._delegations.get(key)
        if known is None:
            known = self._read_delegation(delegation)
            self._delegations.put(key, known, _weight(delegation.certificate))
        return known

    def _read_delegation(self, delegation: CertificateDelegation) -> _Delegation:
        # 2a.
        inner = decode_certificate(delegation.certificate)
        # 2b. [ICWS-LIB-011]
        if inner.delegation is not None:
            raise CertificateError(
                "a delegation has a delegation", reason=Reason.NESTED_DELEGATION, requirement="ICWS-LIB-011"
            )
        # 2c. [ICWS-LIB-012]
        self._check_signature(inner, self.root_key.raw)
        # 2d. and 2e.
        return _Delegation(
            subnet_id=delegation.subnet_id,
            public_key=_subnet_key(inner.tree, delegation.subnet_id),
            time_ns=_time(inner.tree),
            ranges=read_canister_ranges(inner.tree, delegation.subnet_id),
            tree=inner.tree,
        )

    def _check_signature(self, certificate: Certificate, public_key: bytes) -> None:
        # [ICWS-LIB-010]
        self._backend.verify(public_key, domain.STATE_ROOT + digest(certificate.tree), certificate.signature)


def _default_backend() -> Backend:
    return backend()


def _subnet_key(tree: HashTree, subnet_id: Principal) -> bytes:
    shown = lookup(tree, (b"subnet", subnet_id.raw, b"public_key"))
    # [ICWS-LIB-012]
    if not isinstance(shown, Found):
        raise CertificateError(
            "the delegation does not show a key for its subnet",
            reason=Reason.SUBNET_KEY_MISSING,
            requirement="ICWS-LIB-012",
            subnet=subnet_id,
        )
    try:
        key = PublicKey.from_der(shown.value)
    except DecodeError as error:
        raise _not_a_subnet_key() from error
    # [ICWS-LIB-012]
    if key.scheme is not KeyScheme.BLS12_381:
        raise _not_a_subnet_key()
    return key.raw


def _not_a_subnet_key() -> CertificateError:
    return CertificateError(
        "the subnet's key is not a BLS12-381 key", reason=Reason.SUBNET_KEY_MISSING, requirement="ICWS-LIB-012"
    )


def _time(tree: HashTree) -> int:
    shown = lookup(tree, (b"time",))
    # [ICWS-LIB-014]
    if not isinstance(shown, Found):
        raise _no_time()
    try:
        time_ns = decode_unsigned_exact(shown.value, what="/time")
    except DecodeError as error:
        raise _no_time() from error
    # [ICWS-LIB-014]
    if time_ns > _MAX_UINT64:
        raise _no_time()
    return time_ns


def _no_time() -> CertificateError:
    return CertificateError(
        "the certificate does not show its time", reason=Reason.TIME_MISSING, requirement="ICWS-LIB-014"
    )


def _out_of_time(message: str, reason: Reason, time_ns: int, now: int) -> CertificateError:
    return CertificateError(message, reason=reason, requirement="ICWS-LIB-014", certified=time_ns, now=now)


def _weight(data: bytes) -> int:
    # A tree in memory takes several times the room of its encoding.
    return 8 * len(data)
