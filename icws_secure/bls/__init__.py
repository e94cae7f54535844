"""BLS12-381 signatures of the Internet Computer: encodings, and verification by an installed pairing library."""

from .backend import Backend, available_backends, backend
from .points import PUBLIC_KEY_BYTES, SIGNATURE_BYTES

__all__ = ["PUBLIC_KEY_BYTES", "SIGNATURE_BYTES", "Backend", "available_backends", "backend"]
