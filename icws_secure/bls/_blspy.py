"""BLS verification with ``blspy``, from its parts: its schemes put keys in G1, the IC puts them in G2."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import blspy

from ..errors import CertificateError, Reason
from ..limits import BLS_KEY_CACHE_ENTRIES
from . import points

__all__ = ["BACKEND"]

_G2: Final[Any] = blspy.G2Element.generator()


class _BlspyBackend:
    @property
    def name(self) -> str:
        return "blspy"

    def check_public_key(self, public_key: bytes) -> None:
        _public_key(public_key)

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        key = _public_key(public_key)
        points.check_signature_encoding(signature)
        try:
            point = blspy.G1Element.from_bytes(signature)
        except (ValueError, RuntimeError) as error:
            # [ICWS-LIB-009]
            raise points.outside_subgroup("signature") from error
        hashed = blspy.G1Element.from_message(message, points.DST)
        # [ICWS-LIB-010] e(signature, g2) = e(H(message), key)
        if point.pair(_G2) != hashed.pair(key):
            raise CertificateError(
                "BLS signature does not verify", reason=Reason.BAD_BLS_SIGNATURE, requirement="ICWS-LIB-010"
            )


@lru_cache(maxsize=BLS_KEY_CACHE_ENTRIES)
def _public_key(public_key: bytes) -> Any:
    points.check_public_key_encoding(public_key)
    try:
        return blspy.G2Element.from_bytes(public_key)
    except (ValueError, RuntimeError) as error:
        # [ICWS-LIB-009]
        raise points.outside_subgroup("public key") from error


BACKEND: Final = _BlspyBackend()
