"""WebAuthn assertions as signatures: what a browser's authenticator returns for a challenge.

Steps of :func:`verify_webauthn`:

1. The signature is a CBOR map of ``authenticator_data``, ``client_data_json`` and ``signature``.
2. ``client_data_json`` is of type ``webauthn.get``, and its challenge is the message itself, base64url without padding.
3. The COSE key of the signer is P-256 (ES256), RSA (RS256) or Ed25519 (EdDSA).
4. ``signature`` verifies over ``authenticator_data`` followed by SHA-256 of ``client_data_json``.

Origin and relying party are not looked at: the IC does not either, and the challenge is the whole signed message.
Source: IC interface specification, "Web Authentication"; W3C Web Authentication Level 2; RFC 9053.
"""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from typing import Final, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from ..errors import DecodeError, Reason, SignatureError
from ..wire import cbor
from .ed25519 import verify_ed25519

__all__ = ["verify_webauthn"]

_MAX_SIGNATURE_BYTES: Final = 16 << 10
_MAX_COSE_KEY_BYTES: Final = 2 << 10
_MIN_AUTHENTICATOR_DATA: Final = 37  # hash of the relying party, flags, counter
_RSA_BITS: Final = range(2048, 8193)
_RSA_EXPONENT_BITS: Final = 32

# labels and values of COSE keys
_KTY, _ALG, _CRV, _X, _Y, _N, _E = 1, 3, -1, -2, -3, -1, -2
_ES256: Final = {_KTY: 2, _ALG: -7, _CRV: 1}
_EDDSA: Final = {_KTY: 1, _ALG: -8, _CRV: 6}
_RS256: Final = {_KTY: 3, _ALG: -257}


def verify_webauthn(cose_key: bytes, message: bytes, signature: bytes) -> None:
    """Verifies a WebAuthn assertion over ``message``; see the steps above.

    Args:
        cose_key: the signer's public key, CBOR.
        message: what was signed, domain separator included.
        signature: the CBOR map of the assertion.

    Raises:
        SignatureError: BAD_SIGNATURE or BAD_PUBLIC_KEY.
        DecodeError: a part is not CBOR of its type.
    """
    # 1.
    parts = cbor.fields(
        cbor.decode(signature, what="WebAuthn signature", max_bytes=_MAX_SIGNATURE_BYTES),
        what="WebAuthn signature",
        required={"authenticator_data": bytes, "client_data_json": object, "signature": bytes},
    )
    authenticator_data = cast(bytes, parts["authenticator_data"])
    if len(authenticator_data) < _MIN_AUTHENTICATOR_DATA:
        raise _bad("authenticator data is too short")
    client_data = _client_data(parts["client_data_json"])
    # 2.
    _check_challenge(client_data, message)
    # 3. and 4.
    signed = authenticator_data + sha256(client_data).digest()
    _verify(cose_key, signed, cast(bytes, parts["signature"]))


def _client_data(value: object) -> bytes:
    # Deployed clients send text, the specification and others a byte string.
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    raise DecodeError(
        "client_data_json is neither text nor bytes", reason=Reason.WRONG_TYPE, requirement="ICWS-LIB-016"
    )


def _check_challenge(client_data: bytes, message: bytes) -> None:
    try:
        fields = json.loads(client_data)
    except (ValueError, RecursionError) as error:
        raise DecodeError("client_data_json is not JSON", requirement="ICWS-LIB-016") from error
    if not isinstance(fields, dict) or fields.get("type") != "webauthn.get":
        raise _bad("client_data_json is not of type webauthn.get")
    expected = base64.urlsafe_b64encode(message).rstrip(b"=").decode()
    challenge = fields.get("challenge")
    if not isinstance(challenge, str) or challenge.rstrip("=") != expected:
        raise _bad("the challenge is not the message")


def _verify(cose_key: bytes, signed: bytes, signature: bytes) -> None:
    key = cbor.decode(cose_key, what="COSE key", max_bytes=_MAX_COSE_KEY_BYTES)
    if not isinstance(key, dict):
        raise _bad_key("COSE key is not a map")
    try:
        if _has(key, _ES256):
            point = b"\x04" + _blob(key, _X, 32) + _blob(key, _Y, 32)
            curve_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
            curve_key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        elif _has(key, _RS256):
            _rsa_key(key).verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        elif _has(key, _EDDSA):
            verify_ed25519(_blob(key, _X, 32), signed, signature)
        else:
            raise _bad_key("COSE key is not of a scheme that is supported")
    except InvalidSignature as error:
        raise _bad("WebAuthn signature does not verify") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _bad_key("COSE key is not a valid key") from error


def _rsa_key(key: dict[object, object]) -> rsa.RSAPublicKey:
    modulus = int.from_bytes(_blob(key, _N), "big")
    exponent = int.from_bytes(_blob(key, _E), "big")
    if modulus.bit_length() not in _RSA_BITS or exponent.bit_length() > _RSA_EXPONENT_BITS:
        raise _bad_key("RSA key is too small or too large")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _has(key: dict[object, object], wanted: dict[int, int]) -> bool:
    return all(type(key.get(label)) is int and key[label] == value for label, value in wanted.items())


def _blob(key: dict[object, object], label: int, length: int | None = None) -> bytes:
    value = key.get(label)
    if not isinstance(value, bytes) or (length is not None and len(value) != length):
        raise _bad_key("COSE key has a coordinate of the wrong type or length")
    return value


def _bad(message: str) -> SignatureError:
    return SignatureError(message, reason=Reason.BAD_SIGNATURE, requirement="ICWS-LIB-016")


def _bad_key(message: str) -> SignatureError:
    return SignatureError(message, reason=Reason.BAD_PUBLIC_KEY, requirement="ICWS-LIB-016")
