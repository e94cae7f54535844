"""RFC 9180 once more, for the suite that is used, in order to hold the library against the RFC's vectors."""

from __future__ import annotations

import hmac
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEM_ID = b"KEM\x00\x20"
SUITE_ID = b"HPKE\x00\x20\x00\x01\x00\x03"


def extract(salt: bytes, label: bytes, key: bytes, suite: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + key, "sha256")


def expand(prk: bytes, label: bytes, info: bytes, length: int, suite: bytes) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labeled + b"\x01", "sha256")[:length]


def schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of base mode."""
    context = b"\x00" + extract(b"", b"psk_id_hash", b"", SUITE_ID) + extract(b"", b"info_hash", info, SUITE_ID)
    secret = extract(shared, b"secret", b"", SUITE_ID)
    return expand(secret, b"key", context, 32, SUITE_ID), expand(secret, b"base_nonce", context, 12, SUITE_ID)


def encapsulate(ephemeral: bytes, receiver: bytes) -> tuple[bytes, bytes]:
    """Shared secret and encapsulated key for a given ephemeral key."""
    key = X25519PrivateKey.from_private_bytes(ephemeral)
    enc = key.public_key().public_bytes_raw()
    dh = key.exchange(X25519PublicKey.from_public_bytes(receiver))
    prk = extract(b"", b"eae_prk", dh, KEM_ID)
    return expand(prk, b"shared_secret", enc + receiver, 32, KEM_ID), enc


def seal(ephemeral: bytes, receiver: bytes, info: bytes, aad: bytes, plaintext: bytes) -> bytes:
    shared, enc = encapsulate(ephemeral, receiver)
    key, nonce = schedule(shared, info)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


@pytest.fixture(scope="session")
def rfc9180_seal() -> Callable[[bytes, bytes, bytes, bytes, bytes], bytes]:
    """``seal(ephemeral private key, receiver's public key, info, aad, plaintext)``, encapsulated key in front."""
    return seal
