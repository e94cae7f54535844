"""Keys in PEM files, as dfx, icp-cli, quill and OpenSSL write them.

Read: PKCS #8 ``PRIVATE KEY`` (Ed25519 in version 1, in version 2 of RFC 8410 and in the older form that ring writes;
secp256k1; P-256), SEC1 ``EC PRIVATE KEY`` with or without a block of ``EC PARAMETERS`` before it, and, with a
password, ``ENCRYPTED PRIVATE KEY`` and SEC1 in OpenSSL's older encryption. Other blocks, or more than one key, are
refused.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ..errors import MisuseError, Reason
from .identity import Ed25519Identity, P256Identity, Secp256k1Identity

__all__ = ["identity_from_pem", "identity_to_pem"]

_MAX_PEM_BYTES: Final = 64 << 10
_BLOCK: Final = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----"
    rb"(?:\s{1,4}(?:Proc-Type|DEK-Info): [^\n]{1,100}){0,2}"  # of OpenSSL's older encryption
    rb"(?P<body>[^-]{1,65536})-----END (?P=label)-----",
    re.DOTALL,
)
_KEY_LABELS: Final = frozenset({b"PRIVATE KEY", b"EC PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"})

# PKCS #8 version 2 has the public key after the secret; the library reads version 1 only. (before the seed, before the
# key)
_ED25519_V2: Final = (
    (bytes.fromhex("3051020101300506032b657004220420"), bytes.fromhex("812100")),
    (bytes.fromhex("3053020101300506032b657004220420"), bytes.fromhex("a123032100")),
)


def identity_from_pem(
    data: bytes | str, password: bytes | None = None
) -> Ed25519Identity | Secp256k1Identity | P256Identity:
    """Reads the one private key of a PEM file.

    Args:
        data: the file's content, at most 64 KiB.
        password: for an encrypted key.

    Raises:
        MisuseError: no key or several, a wrong or missing password, or a scheme that the IC does not have.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")  # what is no Unicode is no PEM either
    if len(data) > _MAX_PEM_BYTES:
        raise MisuseError("PEM file is too large", reason=Reason.TOO_LARGE, limit=_MAX_PEM_BYTES, received=len(data))
    blocks = [(match["label"], match["body"], match[0]) for match in _BLOCK.finditer(data)]
    keys = [block for block in blocks if block[0] in _KEY_LABELS]
    if len(keys) != 1 or any(label not in _KEY_LABELS and label != b"EC PARAMETERS" for label, _, _ in blocks):
        raise MisuseError("a PEM file has exactly one private key and nothing else", reason=Reason.MALFORMED)
    label, body, block = keys[0]
    if label == b"PRIVATE KEY" and (identity := _ed25519_version_2(body)) is not None:
        return identity
    try:
        key = load_pem_private_key(block, password)
    except TypeError as error:
        words = "and a password is needed" if password is None else "yet a password was given"
        is_it = "encrypted" if password is None else "not encrypted"
        raise MisuseError(f"the private key is {is_it}, {words}", reason=Reason.INVALID_ARGUMENT) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise MisuseError("cannot read the private key: wrong password or format", reason=Reason.MALFORMED) from error
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519Identity(key.private_bytes_raw())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        for curve, identity_class in ((ec.SECP256K1, Secp256k1Identity), (ec.SECP256R1, P256Identity)):
            if isinstance(key.curve, curve):
                return identity_class(key.private_numbers().private_value.to_bytes(32, "big"))
    raise MisuseError("the key's scheme is not Ed25519, secp256k1 or P-256", reason=Reason.UNSUPPORTED)


def identity_to_pem(
    identity: Ed25519Identity | Secp256k1Identity | P256Identity, password: bytes | None = None
) -> bytes:
    """Writes an identity's key: SEC1 for an ECDSA key without password, as dfx wants it, PKCS #8 version 1 otherwise.

    Raises:
        MisuseError: the password is empty.
    """
    if password is not None and not password:
        raise MisuseError("the password is empty")
    encryption: KeySerializationEncryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
    if isinstance(identity, Ed25519Identity):
        key = ed25519.Ed25519PrivateKey.from_private_bytes(identity.export_secret())
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    curve = ec.SECP256K1() if isinstance(identity, Secp256k1Identity) else ec.SECP256R1()
    key = ec.derive_private_key(int.from_bytes(identity.export_secret(), "big"), curve)
    form = PrivateFormat.TraditionalOpenSSL if password is None else PrivateFormat.PKCS8
    return key.private_bytes(Encoding.PEM, form, encryption)


def _ed25519_version_2(body: bytes) -> Ed25519Identity | None:
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except ValueError as error:
        raise MisuseError("a PEM block is not base64", reason=Reason.MALFORMED) from error
    for before_seed, before_key in _ED25519_V2:
        if der.startswith(before_seed):
            seed = der[len(before_seed) :][:32]
            identity = Ed25519Identity(seed) if len(seed) == 32 else None
            if identity is None or der != before_seed + seed + before_key + identity.public_key_der[-32:]:
                raise MisuseError("public and secret key do not belong together", reason=Reason.BAD_PUBLIC_KEY)
            return identity
    return None
