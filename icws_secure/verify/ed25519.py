"""Ed25519 verification by libsodium, which refuses keys of small order, points that are not canonical, and s over the
order."""

from __future__ import annotations

from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from ..errors import Reason, SignatureError

__all__ = ["verify_ed25519"]


def verify_ed25519(public_key: bytes, message: bytes, signature: bytes, *, requirement: str = "ICWS-LIB-016") -> None:
    """Verifies ``signature`` (64 bytes) over ``message`` under ``public_key`` (32 bytes).

    Raises:
        SignatureError: BAD_SIGNATURE, whatever is wrong; it names ``requirement``.
    """
    if len(public_key) != 32 or len(signature) != 64:
        raise SignatureError(
            "an Ed25519 key has 32 bytes and a signature 64", reason=Reason.BAD_SIGNATURE, requirement=requirement
        )
    try:
        crypto_sign_open(signature + message, public_key)
    except CryptoError as error:
        raise SignatureError(
            "Ed25519 signature does not verify", reason=Reason.BAD_SIGNATURE, requirement=requirement
        ) from error
