"""Encodings and constants of BLS12-381 as the Internet Computer uses it ("minimal signature size").

A signature is a point of G1 (48 bytes), a public key a point of G2 (96 bytes, imaginary part of x first), both
compressed: the three highest bits of the first byte are flags (compressed, infinity, larger y), the rest is x,
big-endian.

The checks here need no curve arithmetic: length, flags, coordinates below the field's modulus, no point at infinity.
They come before every backend, because backends differ in what they forgive: all of them take infinity for a valid
point, and with the key at infinity a signature at infinity "verifies" for every message. That a point lies on the
curve and in the subgroup of prime order is the backend's check, on decompression.

Source: IC interface specification, "Certification"; the ZCash serialization of BLS12-381;
draft-irtf-cfrg-bls-signature-04.
"""

from __future__ import annotations

from typing import Final

from ..errors import CertificateError, Reason

__all__ = [
    "DST",
    "FIELD_MODULUS",
    "GROUP_ORDER",
    "PUBLIC_KEY_BYTES",
    "SIGNATURE_BYTES",
    "check_public_key_encoding",
    "check_signature_encoding",
    "outside_subgroup",
]

SIGNATURE_BYTES: Final = 48
PUBLIC_KEY_BYTES: Final = 96

#: Domain separation tag of the basic scheme with hashing to G1.
DST: Final = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

#: The modulus p of the field that coordinates are taken from.
FIELD_MODULUS: Final = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)

#: The prime order r of the groups G1, G2 and GT.
GROUP_ORDER: Final = int("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001", 16)

_COORDINATE_BYTES: Final = 48
_COMPRESSED: Final = 0x80
_INFINITY: Final = 0x40
_FLAGS: Final = 0xE0


def check_signature_encoding(signature: bytes) -> None:
    """Checks the bytes of a compressed point of G1 that is not the identity.

    Raises:
        CertificateError: BAD_BLS_POINT.
    """
    _check(signature, SIGNATURE_BYTES, "signature")


def check_public_key_encoding(public_key: bytes) -> None:
    """Checks the bytes of a compressed point of G2 that is not the identity.

    Raises:
        CertificateError: BAD_BLS_POINT.
    """
    _check(public_key, PUBLIC_KEY_BYTES, "public key")


def outside_subgroup(what: str) -> CertificateError:
    """The error of a backend that cannot decompress a point: it is not on the curve, or not in the subgroup."""
    return _bad(f"BLS {what} is not a point of the prime-order subgroup")


def _check(point: bytes, length: int, what: str) -> None:
    # [ICWS-LIB-009]
    if len(point) != length:
        raise _bad(f"BLS {what} has the wrong length", expected=length, received=len(point))
    # [ICWS-LIB-009]
    if not point[0] & _COMPRESSED:
        raise _bad(f"BLS {what} is not a compressed point")
    # [ICWS-LIB-009]
    if point[0] & _INFINITY:
        raise _bad(f"BLS {what} is the point at infinity")
    for start in range(0, length, _COORDINATE_BYTES):
        coordinate = point[start : start + _COORDINATE_BYTES]
        if start == 0:
            coordinate = bytes((coordinate[0] & ~_FLAGS,)) + coordinate[1:]
        # [ICWS-LIB-009]
        if int.from_bytes(coordinate, "big") >= FIELD_MODULUS:
            raise _bad(f"BLS {what} has a coordinate that is not below the modulus")


def _bad(message: str, **facts: object) -> CertificateError:
    return CertificateError(message, reason=Reason.BAD_BLS_POINT, requirement="ICWS-LIB-009", **facts)
