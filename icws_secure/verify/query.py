"""Node signatures on query responses: one node of the canister's subnet says that it gave this answer.

That is less than certification: no other node was asked. What matters is read from certified data.

:func:`verify_query_response` takes these steps, in this order:

1. There is a signature, and there are not more signatures than nodes, and no node signs twice.
2. Each signer is a known node of the subnet.
3. Each signature's time is within the bounds around the caller's clock.
4. Each signature verifies under its node's key, over the domain-separated hash of the response, the request id and
   the time.

Source: IC interface specification, "Query".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..errors import CertificateError, DecodeError, MisuseError, Reason, SignatureError
from ..limits import MAX_CERTIFICATE_AGE_NS, MAX_CERTIFICATE_AHEAD_NS
from ..wire import domain
from ..wire.der import KeyScheme, PublicKey
from ..wire.envelope import QueryContent
from ..wire.hashtree import Found, FoundSubtree, find_subtree, list_labels
from ..wire.http import NodeSignature, QueryRejected, QueryReplied
from ..wire.principal import Principal
from ..wire.request_id import Value, hash_of_map
from .certificate import VerifiedCertificate
from .ed25519 import verify_ed25519

__all__ = ["node_keys_from_certificate", "verify_query_response"]

_REQUIREMENT: Final = "ICWS-LIB-020"


def node_keys_from_certificate(
    certificate: VerifiedCertificate, subnet_id: Principal | None = None
) -> dict[Principal, PublicKey]:
    """Reads the keys of a subnet's nodes from a certificate that was asked for with the path ``/subnet``.

    Args:
        certificate: verified for the canister that is to be queried, or for its subnet.
        subnet_id: the subnet that must have signed; None for whichever did.

    Returns:
        Ed25519 keys by node id.

    Raises:
        MisuseError: the certificate was verified for no canister and no subnet.
        CertificateError: another subnet signed, no node is shown, or a key is not an Ed25519 key.
    """
    if not certificate.is_scoped:
        raise MisuseError("the certificate was not verified for a canister or a subnet", reason=Reason.WRONG_STATE)
    # [ICWS-LIB-020]
    if subnet_id is not None:
        certificate.require_subnet(subnet_id)
    path = (b"subnet", certificate.subnet_id.raw, b"node")
    keys: dict[Principal, PublicKey] = {}
    if isinstance(find_subtree(certificate.tree, path), FoundSubtree):
        for node_id in list_labels(certificate.tree, path):
            shown = certificate.lookup((*path, node_id, b"public_key"))
            if isinstance(shown, Found):
                keys[_node_id(node_id)] = _node_key(shown.value)
    # [ICWS-LIB-020]
    if not keys:
        raise CertificateError(
            "the certificate shows no node of the subnet", reason=Reason.PATH_ABSENT, requirement=_REQUIREMENT
        )
    return keys


def verify_query_response(
    content: QueryContent,
    response: QueryReplied | QueryRejected,
    *,
    node_keys: Mapping[Principal, PublicKey],
    now: int,
    max_age_ns: int = MAX_CERTIFICATE_AGE_NS,
) -> None:
    """Verifies the node signatures of a response, by the steps in this module's docstring.

    Args:
        content: the query that was sent.
        response: what came back.
        node_keys: keys of the nodes of the canister's subnet, by node id.
        now: the caller's clock, nanoseconds since the Unix epoch.
        max_age_ns: how far behind the clock a signature may be; ahead it may be 5 minutes.

    Raises:
        SignatureError: a step failed; UNKNOWN_NODE asks for fresh node keys, once.
    """
    _check_signers(response.signatures, node_keys)
    for signature in response.signatures:
        # 3. [ICWS-LIB-020]
        if not -MAX_CERTIFICATE_AHEAD_NS <= now - signature.timestamp_ns <= max_age_ns:
            raise _bad("a node's signature is too old or from the future", timestamp=signature.timestamp_ns, now=now)
        # 4. [ICWS-LIB-020]
        signed = domain.QUERY_RESPONSE + hash_of_map(_signed_map(content, response, signature.timestamp_ns))
        key = node_keys[signature.identity]
        verify_ed25519(key.raw, signed, signature.signature, requirement=_REQUIREMENT)


def _check_signers(signatures: Sequence[NodeSignature], node_keys: Mapping[Principal, PublicKey]) -> None:
    # 1. [ICWS-LIB-020]
    if not signatures:
        raise _bad("no node signed the response", Reason.SIGNATURE_MISSING)
    # 1. [ICWS-LIB-020]
    if len(signatures) > len(node_keys):
        raise _bad("more signatures than nodes", Reason.TOO_MANY)
    # 1. [ICWS-LIB-020]
    if len({signature.identity for signature in signatures}) != len(signatures):
        raise _bad("a node signed twice")
    for signature in signatures:
        # 2. [ICWS-LIB-020]
        if signature.identity not in node_keys:
            raise _bad("a signer is not a known node of the subnet", Reason.UNKNOWN_NODE, node=signature.identity)


def _signed_map(
    content: QueryContent, response: QueryReplied | QueryRejected, timestamp_ns: int
) -> Mapping[str, Value]:
    fields: dict[str, Value] = {"request_id": content.request_id, "timestamp": timestamp_ns}
    if isinstance(response, QueryReplied):
        return fields | {"status": "replied", "reply": {"arg": response.arg}}
    fields |= {
        "status": "rejected",
        "reject_code": response.reject_code,
        "reject_message": response.reject_message,
    }
    if response.error_code is not None:
        fields["error_code"] = response.error_code
    return fields


def _node_id(label: bytes) -> Principal:
    try:
        return Principal(label)
    except DecodeError as error:
        raise CertificateError(
            "a node's id is not a principal", reason=Reason.MALFORMED, requirement=_REQUIREMENT
        ) from error


def _node_key(der: bytes) -> PublicKey:
    try:
        key = PublicKey.from_der(der)
    except DecodeError as error:
        raise _not_a_node_key() from error
    # [ICWS-LIB-020]
    if key.scheme is not KeyScheme.ED25519:
        raise _not_a_node_key()
    return key


def _not_a_node_key() -> CertificateError:
    return CertificateError(
        "a node's key is not an Ed25519 key", reason=Reason.BAD_PUBLIC_KEY, requirement=_REQUIREMENT
    )


def _bad(message: str, reason: Reason = Reason.BAD_SIGNATURE, **facts: object) -> SignatureError:
    return SignatureError(message, reason=reason, requirement=_REQUIREMENT, **facts)
