"""One content under one key: AEAD with a nonce made of key, text and place.

The nonce is the first 12 bytes of HMAC-SHA-256(nonce key, SHA-256(plaintext) || associated data). Where a key is used
twice in spite of all rules (a state put back from a copy, two processes with one state), two texts get two nonces, and
all that shows is whether the texts were the same. Whoever opens a content checks that its nonce was made so.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from ..errors import PayloadViolation, Reason
from .container import IV_BYTES, Algorithm, Encrypt0, associated_data

__all__ = ["MessageKey", "open_sealed", "seal"]

_CIPHERS: Final[dict[Algorithm, type[AESGCM] | type[ChaCha20Poly1305]]] = {
    Algorithm.AES_256_GCM: AESGCM,
    Algorithm.CHACHA20_POLY1305: ChaCha20Poly1305,
}


@dataclass(frozen=True, slots=True, repr=False)
class MessageKey:
    """What one content, or all of one sender in a room, is sealed with.

    Attributes:
        key: of the AEAD, 32 bytes.
        nonce_key: of the nonces, 32 bytes.
    """

    key: bytes
    nonce_key: bytes

    def __repr__(self) -> str:
        return "MessageKey(...)"


def seal(algorithm: Algorithm, key: MessageKey, plaintext: bytes, *, kid: bytes, external: bytes) -> bytes:
    """Seals ``plaintext``; the same arguments give the same bytes.

    Args:
        algorithm: the suite's.
        key: the key.
        plaintext: what to hide.
        kid: the name of the key, for the receiver.
        external: the place that the content belongs to, which is authenticated but not sent.
    """
    bound = associated_data(algorithm, kid, external)
    iv = _nonce(key, plaintext, bound)
    ciphertext = _CIPHERS[algorithm](key.key).encrypt(iv, plaintext, bound)
    return Encrypt0(algorithm, kid, iv, ciphertext).encode()


def open_sealed(container: Encrypt0, key: MessageKey, *, external: bytes) -> bytes:
    """Opens what :func:`seal` made for the same place with the same key.

    Raises:
        PayloadViolation: OPEN_FAILED.
    """
    bound = container.associated_data(external)
    try:
        plaintext = _CIPHERS[container.algorithm](key.key).decrypt(container.iv, container.ciphertext, bound)
    except InvalidTag as error:
        raise PayloadViolation(
            "sealed content does not open here", reason=Reason.OPEN_FAILED, requirement="ICWS-PAY-007"
        ) from error
    # [ICWS-PAY-006]
    if not compare_digest(_nonce(key, plaintext, bound), container.iv):
        raise PayloadViolation(
            "the nonce of sealed content is not that of its text",
            reason=Reason.OPEN_FAILED,
            requirement="ICWS-PAY-006",
        )
    return plaintext


def _nonce(key: MessageKey, plaintext: bytes, bound: bytes) -> bytes:
    # [ICWS-PAY-006]
    return hmac_digest(key.nonce_key, sha256(plaintext).digest() + bound, "sha256")[:IV_BYTES]
