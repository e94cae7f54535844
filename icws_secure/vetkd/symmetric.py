"""Symmetric keys from vetKeys, and AES-256-GCM messages in the format of the ``vetkeys`` libraries.

A message is ``"IC GCMv2"`` (8 bytes), nonce (12), ciphertext, tag (16). Its key is derived for one domain, its
associated data are the header and the caller's. The libraries' older format without header is refused: to accept it
would let whoever carries a message choose it, and with it the key and the missing associated data.

Messages of one domain share a key: bind sender, receiver and position by the domain or the associated data.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..errors import MisuseError, PayloadViolation, Reason

__all__ = ["GCM_OVERHEAD_BYTES", "DerivedKeyMaterial", "derive_symmetric_key"]

_HEADER: Final = b"IC GCMv2"
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 32
_MAX_DERIVED_BYTES: Final = 255 * 32  # HKDF's limit
_MATERIAL: Final = b"ic-vetkd-bls12-381-g2-derived-key-material"
_GCM: Final = b"ic-vetkd-bls12-381-g2-aes-gcm-v2-"

GCM_OVERHEAD_BYTES: Final = len(_HEADER) + _NONCE_BYTES + _TAG_BYTES
"""What a message is longer than its plaintext: 36 bytes."""


def derive_symmetric_key(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA-256 without salt, as the vetKeys libraries use it.

    Args:
        key: input key material: the 48 bytes of a vetKey, or 32 bytes derived from one.
        info: what the result is for.
        length: bytes of the result.

    Raises:
        MisuseError: the length is out of range.
    """
    if not 0 < length <= _MAX_DERIVED_BYTES:
        raise MisuseError("length of a derived key is out of range", limit=_MAX_DERIVED_BYTES, received=length)
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(key)


class DerivedKeyMaterial:
    """Encrypts and decrypts messages, under a key for each domain.

    Args:
        raw: 32 bytes, derived from a vetKey.

    Raises:
        MisuseError: another length.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        if len(raw) != _KEY_BYTES:
            raise MisuseError("derived key material has 32 bytes", expected=_KEY_BYTES)
        self._raw = raw

    @classmethod
    def of_vetkey(cls, vetkey: bytes) -> DerivedKeyMaterial:
        """The material of a vetKey's 48 bytes."""
        return cls(derive_symmetric_key(vetkey, _MATERIAL, _KEY_BYTES))

    def encrypt_message(self, message: bytes, domain: bytes, associated_data: bytes, *, nonce: bytes) -> bytes:
        """Encrypts ``message``.

        Args:
            message: the plaintext.
            domain: what messages of this kind are for; it selects the key.
            associated_data: what is authenticated along with the message; may be empty.
            nonce: 12 uniformly random bytes, never used twice.

        Raises:
            MisuseError: the nonce has another length.
        """
        if len(nonce) != _NONCE_BYTES:
            raise MisuseError("a nonce has 12 bytes", expected=_NONCE_BYTES)
        return _HEADER + nonce + self._cipher(domain).encrypt(nonce, message, _HEADER + associated_data)

    def decrypt_message(self, data: bytes, domain: bytes, associated_data: bytes) -> bytes:
        """Decrypts what :meth:`encrypt_message` made with the same domain and associated data.

        Raises:
            PayloadViolation: MALFORMED for another format, OPEN_FAILED for another key, domain, data or text.
        """
        if len(data) < GCM_OVERHEAD_BYTES:
            raise PayloadViolation("the message is too short", reason=Reason.MALFORMED, received=len(data))
        # [ICWS-PAY-015]
        if not data.startswith(_HEADER):
            raise PayloadViolation("the message lacks its header", reason=Reason.MALFORMED, requirement="ICWS-PAY-015")
        nonce, sealed = data[len(_HEADER) :][:_NONCE_BYTES], data[len(_HEADER) + _NONCE_BYTES :]
        try:
            return self._cipher(domain).decrypt(nonce, sealed, _HEADER + associated_data)
        except InvalidTag as error:
            raise PayloadViolation("the message does not open", reason=Reason.OPEN_FAILED) from error

    def export_secret(self) -> bytes:
        """The 32 bytes."""
        return self._raw

    def _cipher(self, domain: bytes) -> AESGCM:
        return AESGCM(derive_symmetric_key(self._raw, _GCM + domain, _KEY_BYTES))

    def __repr__(self) -> str:
        return "DerivedKeyMaterial(...)"
