"""Canister signatures, with which a canister such as Internet Identity signs for its users.

:func:`verify_canister_signature` takes these steps, in this order:

1. The signature must start with tag 55799, and be a map of ``certificate`` and ``tree``.
2. The certificate must be valid for the signing canister, at whatever age: such signatures have no time of their own.
3. If it has a delegation, that must show the subnet's type, which is not ``cloud_engine``, or prove that the subnet had
   none: signatures of before the state had types are still good. A type that is hidden is refused.
4. The tree must be well formed, and its digest the signing canister's certified data.
5. The tree must show the empty leaf at ``["sig", SHA-256(seed), SHA-256(message)]``.

Source: IC interface specification, "Canister signatures".
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, cast

from ..errors import CertificateError, Reason, SignatureError
from ..limits import MAX_CERTIFICATE_BYTES, MAX_TREE_DEPTH, MAX_WITNESS_BYTES
from ..wire import cbor
from ..wire.der import PublicKey
from ..wire.hashtree import ABSENT, Found, tree_from_value
from .certificate import CertificateVerifier, VerifiedCertificate
from .witness import verify_decoded_witness

__all__ = ["verify_canister_signature"]

_CLOUD_ENGINE: Final = b"cloud_engine"


def verify_canister_signature(
    key: PublicKey, message: bytes, signature: bytes, *, certificates: CertificateVerifier
) -> None:
    """Verifies a canister signature over ``message``, by the steps in this module's docstring.

    Args:
        key: a key of scheme ``CANISTER_SIGNATURE``.
        message: what was signed, domain separator included.
        signature: the CBOR bytes.
        certificates: the verifier that holds the IC's root key.

    Raises:
        SignatureError: step 1 or 5 failed.
        CertificateError: step 2, 3 or 4 failed.
        DecodeError: the signature, its certificate or its tree is malformed.
    """
    # 1. [ICWS-LIB-019]
    if not cbor.has_self_describe_tag(signature):
        raise _bad("canister signature lacks tag 55799")
    parts = cbor.fields(
        cbor.decode(
            signature,
            what="canister signature",
            max_bytes=MAX_CERTIFICATE_BYTES + MAX_WITNESS_BYTES,
            max_depth=MAX_TREE_DEPTH,
        ),
        what="canister signature",
        required={"certificate": bytes, "tree": object},
    )
    # 2. [ICWS-LIB-019]
    certificate = certificates.verify_ignoring_age(cast(bytes, parts["certificate"]), canister_id=key.canister_id)
    # 3.
    _check_subnet_type(certificate)
    # 4. [ICWS-LIB-019]
    witness = verify_decoded_witness(certificate, key.canister_id, tree_from_value(parts["tree"]))
    # 5. [ICWS-LIB-019]
    shown = witness.lookup((b"sig", sha256(key.seed).digest(), sha256(message).digest()))
    if not isinstance(shown, Found) or shown.value != b"":
        raise _bad("the canister has not signed this message under this seed")


def _check_subnet_type(certificate: VerifiedCertificate) -> None:
    shown = certificate.lookup_in_delegation((b"subnet", certificate.subnet_id.raw, b"type"))
    # Absent: the root subnet signed that there was no type, which was so before there were cloud engines. Hidden is not
    # absent: whoever presents the signature chose what to hide.
    if shown is None or shown is ABSENT:
        return
    # [ICWS-LIB-019]
    if not isinstance(shown, Found) or shown.value == _CLOUD_ENGINE:
        raise CertificateError(
            "canisters of the subnet may not sign for users",
            reason=Reason.SUBNET_TYPE,
            requirement="ICWS-LIB-019",
            subnet=certificate.subnet_id,
        )


def _bad(message: str) -> SignatureError:
    return SignatureError(message, reason=Reason.BAD_SIGNATURE, requirement="ICWS-LIB-019")
