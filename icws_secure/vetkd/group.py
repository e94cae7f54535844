"""The groups of BLS12-381 as vetKD uses them: checked decoding, hashing, pairing equations.

Points travel compressed (G1 48 bytes, G2 96). Decoding refuses whatever :mod:`icws_secure.bls.points` refuses, points
outside the subgroup of prime order, and the point at infinity: as a transport key it would leave a vetKey in the
clear, as a public key it would fit the key at infinity.

Source: RFC 9380; vetKD in the IC's management canister interface; the ``vetkeys`` libraries.
"""

from __future__ import annotations

from functools import reduce
from hashlib import sha256
from operator import mul
from typing import Any, Final

import pyblst

from ..bls import points
from ..errors import CertificateError, PayloadViolation, Reason

__all__ = ["G1", "G2", "Point", "augmented_hash", "decode_g1", "decode_g2", "hash_to_scalar", "is_pairing_product"]

Point = Any
"""A point of either group, of the library that computes with it."""

G1: Final[Point] = pyblst.BlstP1Element.uncompress(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
"""The generator of G1."""

G2: Final[Point] = pyblst.BlstP2Element.uncompress(
    bytes.fromhex(
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )
)
"""The generator of G2."""

_AUGMENTED_DST: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_AUG_"
_SCALAR_BYTES: Final = 48  # uniform bytes that make the bias of the reduction negligible (RFC 9380, 5)


def decode_g1(data: bytes, what: str) -> Point:
    """Decodes a point of G1 other than infinity.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """
    try:
        points.check_signature_encoding(data)
        return pyblst.BlstP1Element.uncompress(data)
    except (CertificateError, ValueError) as error:
        # [ICWS-PAY-014]
        raise _bad_point(what) from error


def decode_g2(data: bytes, what: str) -> Point:
    """Decodes a point of G2 other than infinity.

    Raises:
        PayloadViolation: BAD_BLS_POINT.
    """
    try:
        points.check_public_key_encoding(data)
        return pyblst.BlstP2Element.uncompress(data)
    except (CertificateError, ValueError) as error:
        # [ICWS-PAY-014]
        raise _bad_point(what) from error


def augmented_hash(public_key: bytes, message: bytes) -> Point:
    """Hashes ``message`` to G1, prefixed by the 96-byte ``public_key`` it is to be signed under."""
    return pyblst.BlstP1Element.hash_to_group(public_key + message, _AUGMENTED_DST)


def hash_to_scalar(message: bytes, domain_separator: bytes) -> int:
    """Hashes ``message`` to a number below the group order (RFC 9380: hash_to_field, one element, SHA-256)."""
    return int.from_bytes(_expand(message, domain_separator, _SCALAR_BYTES), "big") % points.GROUP_ORDER


def is_pairing_product(left: tuple[Point, Point], *right: tuple[Point, Point]) -> bool:
    """Whether the pairing of ``left`` is the product of the pairings of ``right``; in each, G1 comes first."""
    product = reduce(mul, (pyblst.miller_loop(*pair) for pair in right))
    return bool(pyblst.final_verify(pyblst.miller_loop(*left), product))


def _expand(message: bytes, domain_separator: bytes, length: int) -> bytes:
    """expand_message_xmd of RFC 9380, 5.3.1, for separators below 256 bytes."""
    suffix = domain_separator + bytes((len(domain_separator),))
    first = sha256(bytes(64) + message + length.to_bytes(2, "big") + b"\x00" + suffix).digest()
    block = sha256(first + b"\x01" + suffix).digest()
    out = block
    for counter in range(2, -(-length // 32) + 1):
        mixed = bytes(a ^ b for a, b in zip(first, block, strict=True))
        block = sha256(mixed + bytes((counter,)) + suffix).digest()
        out += block
    return out[:length]


def _bad_point(what: str) -> PayloadViolation:
    return PayloadViolation(f"{what} is not a usable point", reason=Reason.BAD_BLS_POINT, requirement="ICWS-PAY-014")
