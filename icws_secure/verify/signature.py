"""Signatures of users: Ed25519, ECDSA on secp256k1 and P-256, WebAuthn, canister signatures.

Source: IC interface specification, "Signatures".
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ..errors import Reason, SignatureError
from ..wire.der import KeyScheme, PublicKey
from .canister_signature import verify_canister_signature
from .certificate import CertificateVerifier
from .ed25519 import verify_ed25519
from .webauthn import verify_webauthn

__all__ = ["verify_user_signature"]

_CURVES: Final[dict[KeyScheme, ec.EllipticCurve]] = {
    KeyScheme.SECP256K1: ec.SECP256K1(),
    KeyScheme.P256: ec.SECP256R1(),
}
_ECDSA: Final = ec.ECDSA(hashes.SHA256())


def verify_user_signature(
    key: PublicKey, message: bytes, signature: bytes, *, certificates: CertificateVerifier | None = None
) -> None:
    """Verifies ``signature`` over ``message`` under a user's key.

    Args:
        key: the key; its scheme says how to verify.
        message: what was signed, domain separator included.
        signature: 64 bytes for Ed25519 and ECDSA (r then s, big-endian), CBOR for WebAuthn and canister signatures.
        certificates: the verifier, with the IC's root key, that canister signatures need. Without it they are refused.

    Raises:
        SignatureError: the signature does not verify, or its key is not one that users may have.
        CertificateError: the certificate inside a canister signature is not acceptable.
        DecodeError: a part of a WebAuthn or canister signature is malformed.
    """
    # [ICWS-LIB-016]
    if key.scheme is KeyScheme.ED25519:
        verify_ed25519(key.raw, message, signature)
    elif key.scheme in _CURVES:
        _verify_ecdsa(key, message, signature)
    elif key.scheme is KeyScheme.WEBAUTHN:
        verify_webauthn(key.raw, message, signature)
    elif key.scheme is KeyScheme.CANISTER_SIGNATURE:
        # [ICWS-LIB-019]
        if certificates is None:
            raise _bad("canister signatures are not accepted here: no root key", Reason.BAD_PUBLIC_KEY)
        verify_canister_signature(key, message, signature, certificates=certificates)
    else:
        raise _bad("users do not sign with such keys", Reason.BAD_PUBLIC_KEY)


def _verify_ecdsa(key: PublicKey, message: bytes, signature: bytes) -> None:
    if len(signature) != 64:
        raise _bad("an ECDSA signature has 64 bytes", Reason.BAD_SIGNATURE)
    asn1 = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    try:
        _ecdsa_key(key.scheme, key.raw).verify(asn1, message, _ECDSA)
    except InvalidSignature as error:
        raise _bad("ECDSA signature does not verify", Reason.BAD_SIGNATURE) from error


@lru_cache(maxsize=256)
def _ecdsa_key(scheme: KeyScheme, point: bytes) -> ec.EllipticCurvePublicKey:
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[scheme], point)
    except (ValueError, UnsupportedAlgorithm) as error:
        # [ICWS-LIB-003]
        raise SignatureError(
            "ECDSA key is not a point of its curve", reason=Reason.BAD_PUBLIC_KEY, requirement="ICWS-LIB-003"
        ) from error


def _bad(message: str, reason: Reason) -> SignatureError:
    return SignatureError(message, reason=reason, requirement="ICWS-LIB-016")
