"""Identity-based encryption: to whoever gets the vetKey for an ``identity`` (the input), now or later.

A ciphertext is ``"IC IBE" 00 01`` (8 bytes), C1 (96), C2 (32), and as many bytes as the message: 136 bytes more.
Decryption checks that the ciphertext is the one that its seed and message give, so it cannot be changed.

The pairing's target group is needed, which ``py_arkworks_bls12381`` has (extra ``ibe``); it is imported when first
used.

Source: the ``vetkeys`` libraries; Boneh and Franklin with the Fujisaki-Okamoto transform.
"""

from __future__ import annotations

from hashlib import shake_256
from hmac import compare_digest
from typing import Final

from ..errors import MisuseError, PayloadViolation, Reason
from .group import G2, Point, augmented_hash, decode_g2, hash_to_scalar
from .keys import VetKey
from .public_key import DerivedPublicKey
from .symmetric import derive_symmetric_key

__all__ = ["IBE_OVERHEAD_BYTES", "ibe_decrypt", "ibe_encrypt"]

_HEADER: Final = b"IC IBE\x00\x01"
_POINT_BYTES: Final = 96
_SEED_BYTES: Final = 32
_TARGET_BYTES: Final = 576

IBE_OVERHEAD_BYTES: Final = len(_HEADER) + _POINT_BYTES + _SEED_BYTES
"""What a ciphertext is longer than its message: 136 bytes."""


def ibe_encrypt(public_key: DerivedPublicKey, identity: bytes, message: bytes, *, seed: bytes) -> bytes:
    """Encrypts ``message`` to the holder of the vetKey for ``identity`` under ``public_key``.

    Args:
        public_key: the key of the canister and context.
        identity: the input of the vetKey.
        message: the plaintext.
        seed: 32 uniformly random bytes, never used twice.

    Raises:
        MisuseError: the seed has another length, or the library is not installed.
    """
    if len(seed) != _SEED_BYTES:
        raise MisuseError("a seed has 32 bytes", expected=_SEED_BYTES)
    t = _scalar(seed, message)
    c1 = bytes(G2.scalar_mul(t).compress())
    shared = _target(bytes(augmented_hash(public_key.raw, identity).scalar_mul(t).compress()), public_key.raw)
    return _HEADER + c1 + _xor(seed, _seed_mask(shared)) + _xor(message, _message_mask(seed, len(message)))


def ibe_decrypt(vetkey: VetKey, ciphertext: bytes) -> bytes:
    """Decrypts with the vetKey of the identity that the ciphertext is for.

    Raises:
        PayloadViolation: MALFORMED, BAD_BLS_POINT, or OPEN_FAILED: for another identity, or changed.
        MisuseError: the library is not installed.
    """
    if len(ciphertext) < IBE_OVERHEAD_BYTES or not ciphertext.startswith(_HEADER):
        raise PayloadViolation("this is not an identity-based ciphertext", reason=Reason.MALFORMED)
    c1, rest = ciphertext[len(_HEADER) :][:_POINT_BYTES], ciphertext[len(_HEADER) + _POINT_BYTES :]
    # [ICWS-PAY-014]
    decode_g2(c1, "first part of the ciphertext")
    seed = _xor(rest[:_SEED_BYTES], _seed_mask(_target(vetkey.export_secret(), c1)))
    message = _xor(rest[_SEED_BYTES:], _message_mask(seed, len(rest) - _SEED_BYTES))
    again: Point = G2.scalar_mul(_scalar(seed, message))
    if not compare_digest(bytes(again.compress()), c1):
        raise PayloadViolation("the ciphertext does not open", reason=Reason.OPEN_FAILED)
    return message


def _scalar(seed: bytes, message: bytes) -> int:
    return hash_to_scalar(_HEADER + seed + message, b"ic-vetkd-bls12-381-ibe-hash-to-mask")


def _seed_mask(shared: bytes) -> bytes:
    return derive_symmetric_key(shared, b"ic-vetkd-bls12-381-ibe-mask-seed", _SEED_BYTES)


def _message_mask(seed: bytes, length: int) -> bytes:
    info = b"ic-vetkd-bls12-381-ibe-mask-msg-" + f"{length:020d}".encode()
    return shake_256(derive_symmetric_key(seed, info, 32)).digest(length)


def _xor(data: bytes, mask: bytes) -> bytes:
    return (int.from_bytes(data, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(data), "big")


def _target(g1: bytes, g2: bytes) -> bytes:
    """The pairing of two points, as 576 bytes: twelve coefficients big-endian, the highest first."""
    try:
        from py_arkworks_bls12381 import GT, G1Point, G2Point
    except ImportError as error:
        raise MisuseError(
            "identity-based encryption needs py_arkworks_bls12381 (extra ibe)", reason=Reason.UNSUPPORTED
        ) from error
    # Its text form is the little-endian encoding, lowest coefficient first: the same bytes backwards.
    pairing = GT.pairing(G1Point.from_compressed_bytes(g1), G2Point.from_compressed_bytes(g2))
    encoded = bytes.fromhex(str(pairing))[::-1]
    if len(encoded) != _TARGET_BYTES:
        raise MisuseError("py_arkworks_bls12381 encodes the target group otherwise", reason=Reason.UNSUPPORTED)
    return encoded
