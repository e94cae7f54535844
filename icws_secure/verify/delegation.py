"""Delegation chains of users: from the key that a sender is made of to the key that signed.

:func:`verify_delegations` takes these steps, in the replica's order, so that cheap checks come before signatures:

1. At most 20 links.
2. No link has expired; a link that expires just now has not.
3. No key occurs twice, the root key included.
4. No link has more than 1,000 targets.
5. The canister is among the targets of every link that has any.
6. No link has a permission that is not known; "queries" anywhere forbids calls.
7. Every link's signature verifies under the key before it.

Source: IC interface specification, "Authentication"; the replica's ingress validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from ..errors import Reason, SignatureError
from ..limits import MAX_DELEGATION_TARGETS, MAX_DELEGATIONS
from ..wire import domain
from ..wire.der import PublicKey
from ..wire.envelope import Delegation, SignedDelegation
from ..wire.principal import Principal
from .certificate import CertificateVerifier
from .signature import verify_user_signature

__all__ = ["RequestType", "verify_delegations"]

RequestType: TypeAlias = Literal["call", "query", "read_state"]
"""The three kinds of request."""

_PERMISSIONS: Final = frozenset({None, "all", "queries"})


def verify_delegations(
    sender_pubkey: bytes,
    delegations: Sequence[SignedDelegation],
    *,
    now: int | None,
    canister: Principal | None,
    request_type: RequestType,
    certificates: CertificateVerifier | None = None,
) -> PublicKey:
    """Verifies a chain, by the steps in this module's docstring.

    Args:
        sender_pubkey: DER of the key at the root of the chain.
        delegations: the links, the root's first; none is a chain as well.
        now: the caller's clock, nanoseconds since the Unix epoch; None only to look at recorded chains, skips step 2.
        canister: the canister that the request is for. Where it is None, a chain with targets is refused.
        request_type: what the chain is to be used for.
        certificates: the verifier that canister signatures need.

    Returns:
        The key that signs in the end: the last link's, or the root's if there is no link.

    Raises:
        SignatureError: a step failed; its ``reason`` says which.
        CertificateError: the certificate inside a canister signature is not acceptable.
        DecodeError: a key or a signature is malformed.
    """
    chain = [link.delegation for link in delegations]
    # 1. [ICWS-LIB-018]
    if len(chain) > MAX_DELEGATIONS:
        raise _bad(
            "delegation chain is too long", Reason.DELEGATION_TOO_LONG, limit=MAX_DELEGATIONS, received=len(chain)
        )
    # 2. [ICWS-LIB-018]
    if now is not None and any(delegation.expiration_ns < now for delegation in chain):
        raise _bad("a delegation has expired", Reason.DELEGATION_EXPIRED, now=now)
    # 3. [ICWS-LIB-018]
    if len({sender_pubkey, *(delegation.pubkey for delegation in chain)}) != len(chain) + 1:
        raise _bad("a key occurs twice in a delegation chain", Reason.DELEGATION_CYCLE)
    for delegation in chain:
        _check_targets(delegation, canister)
        _check_permissions(delegation, request_type)
    # 7.
    key = PublicKey.from_der(sender_pubkey)
    for link in delegations:
        # [ICWS-LIB-018]
        verify_user_signature(
            key, domain.DELEGATION + link.delegation.hash(), link.signature, certificates=certificates
        )
        key = PublicKey.from_der(link.delegation.pubkey)
    return key


def _check_targets(delegation: Delegation, canister: Principal | None) -> None:
    if delegation.targets is None:
        return
    # 4. [ICWS-LIB-018]
    if len(delegation.targets) > MAX_DELEGATION_TARGETS:
        raise _bad(
            "a delegation has too many targets",
            Reason.DELEGATION_TARGET,
            limit=MAX_DELEGATION_TARGETS,
            received=len(delegation.targets),
        )
    # 5. [ICWS-LIB-018]
    if canister is None or canister not in delegation.targets:
        raise _bad("a delegation is for other canisters", Reason.DELEGATION_TARGET, canister=canister)


def _check_permissions(delegation: Delegation, request_type: RequestType) -> None:
    # 6. [ICWS-LIB-018]
    if delegation.permissions not in _PERMISSIONS:
        raise _bad("a delegation has a permission that is not known", Reason.DELEGATION_PERMISSION)
    # 6. [ICWS-LIB-018]
    if delegation.permissions == "queries" and request_type == "call":
        raise _bad("a delegation is for queries only", Reason.DELEGATION_PERMISSION)


def _bad(message: str, reason: Reason, **facts: object) -> SignatureError:
    return SignatureError(message, reason=reason, requirement="ICWS-LIB-018", **facts)
