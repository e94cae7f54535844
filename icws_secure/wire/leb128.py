"""LEB128: the variable length integers of Candid, of request ids and of values in the state tree.

Little-endian groups of seven bits, the top bit of each byte says that another follows. The encoders give the
shortest form. The decoders accept longer ones, because nothing here is compared by its encoding, but never more than
``max_bytes``.
"""

from __future__ import annotations

from typing import Final

from ..errors import DecodeError, MisuseError, Reason

__all__ = ["decode_signed", "decode_unsigned", "decode_unsigned_exact", "encode_signed", "encode_unsigned"]

_MAX_BYTES: Final = 19  # 133 bits: above every integer of the protocol (64) and of cycle balances (128)


def encode_unsigned(value: int) -> bytes:
    """Encode a natural number in its shortest form.

    Raises:
        MisuseError: ``value`` is negative.
    """
    if 0 <= value < 0x80:
        return bytes((value,))
    if value < 0:
        raise MisuseError("unsigned LEB128 holds no negative number", reason=Reason.INVALID_ARGUMENT, value=value)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_signed(value: int) -> bytes:
    """Encode an integer in its shortest two's complement form."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value & 0x7F)
    return bytes(out)


def decode_unsigned(
    data: bytes, offset: int = 0, *, max_bytes: int = _MAX_BYTES, requirement: str | None = None
) -> tuple[int, int]:
    """Decode a natural number that starts at ``offset``.

    Args:
        data: what holds the number.
        offset: where it starts, 0 or more.
        max_bytes: the longest encoding to accept.
        requirement: the requirement to name in errors.

    Returns:
        The number and the offset of the byte after it.

    Raises:
        DecodeError: the number is cut short (``Malformed``) or too long (``TooLarge``).
    """
    value, _, end = _groups(data, offset, max_bytes, requirement)
    return value, end


def decode_signed(
    data: bytes, offset: int = 0, *, max_bytes: int = _MAX_BYTES, requirement: str | None = None
) -> tuple[int, int]:
    """Decode an integer that starts at ``offset``; see :func:`decode_unsigned`."""
    value, bits, end = _groups(data, offset, max_bytes, requirement)
    if data[end - 1] & 0x40:
        value -= 1 << bits
    return value, end


def decode_unsigned_exact(
    data: bytes, *, what: str, max_bytes: int = _MAX_BYTES, requirement: str | None = None
) -> int:
    """Decode a natural number that fills ``data``, as the leaves of the state tree hold them.

    Args:
        data: the encoding and nothing else.
        what: a name for error messages, such as ``/time``.
        max_bytes: the longest encoding to accept.
        requirement: the requirement to name in errors.

    Raises:
        DecodeError: ``data`` is empty, cut short or too long, or something follows.
    """
    value, end = decode_unsigned(data, max_bytes=max_bytes, requirement=requirement)
    if end != len(data):
        raise DecodeError(
            f"bytes follow the number of {what}",
            reason=Reason.TRAILING_BYTES,
            requirement=requirement,
            excess=len(data) - end,
        )
    return value


def _groups(data: bytes, offset: int, max_bytes: int, requirement: str | None) -> tuple[int, int, int]:
    """Return the unsigned value, how many bits it was written with, and the offset after it."""
    value = 0
    shift = 0
    for byte in data[offset : offset + max_bytes]:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, shift, offset + shift // 7
    if len(data) - offset < max_bytes:
        raise DecodeError(
            "a LEB128 number is cut short", reason=Reason.MALFORMED, requirement=requirement, offset=offset
        )
    raise DecodeError("a LEB128 number is too long", reason=Reason.TOO_LARGE, requirement=requirement, limit=max_bytes)
