"""The WebSocket frame of a binary message, as a server sends it: whole, not masked, no extension (RFC 6455, 5.2)."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["binary_frame"]

_FINAL_BINARY: Final = 0x82
_SHORT: Final = 126  # bytes from which the length takes two more
_LONG: Final = 1 << 16  # bytes from which it takes eight

_two = struct.Struct("!BBH").pack
_eight = struct.Struct("!BBQ").pack


def binary_frame(payload: bytes) -> bytes:
    """The frame, ready for the transport."""
    size = len(payload)
    if size < _SHORT:
        return bytes((_FINAL_BINARY, size)) + payload
    if size < _LONG:
        return _two(_FINAL_BINARY, 126, size) + payload
    return _eight(_FINAL_BINARY, 127, size) + payload
