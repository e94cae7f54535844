"""BLS verification with ``pyblst`` (bindings of supranational's blst): two Miller loops, one final exponentiation."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import pyblst

from ..errors import CertificateError, Reason
from ..limits import BLS_KEY_CACHE_ENTRIES
from . import points

__all__ = ["BACKEND"]

# The generator of G2, by the specification of the curve.
_G2: Final = pyblst.BlstP2Element.uncompress(
    bytes.fromhex(
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )
)


class _PyblstBackend:
    @property
    def name(self) -> str:
        return "pyblst"

    def check_public_key(self, public_key: bytes) -> None:
        _public_key(public_key)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        key = _public_key(public_key)
        points.check_signature_encoding(signature)
        try:
            point = pyblst.BlstP1Element.uncompress(signature)
        except ValueError as error:
            # [ICWS-LIB-009]
            raise points.outside_subgroup("signature") from error
        hashed = pyblst.BlstP1Element.hash_to_group(message, points.DST)
        # [ICWS-LIB-010] e(signature, g2) = e(H(message), key)
        if not pyblst.final_verify(pyblst.miller_loop(point, _G2), pyblst.miller_loop(hashed, key)):
            raise CertificateError(
                "BLS signature does not verify", reason=Reason.BAD_BLS_SIGNATURE, requirement="ICWS-LIB-010"
            )


@lru_cache(maxsize=BLS_KEY_CACHE_ENTRIES)
def _public_key(public_key: bytes) -> Any:
    points.check_public_key_encoding(public_key)
    try:
        return pyblst.BlstP2Element.uncompress(public_key)
    except ValueError as error:
        # [ICWS-LIB-009]
        raise points.outside_subgroup("public key") from error


BACKEND: Final = _PyblstBackend()
