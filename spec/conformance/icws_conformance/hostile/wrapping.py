"""The application's bytes as deployed clients wrap them: a vector of bytes in Candid.

Forged words must come in the form that the victim expects. Otherwise it stumbles over the form, and looks as if it had
noticed the forgery.
"""

from __future__ import annotations

from typing import Final

from icws_secure.wire.leb128 import decode_unsigned, encode_unsigned

__all__ = ["in_the_form_of", "unwrapped"]

_CANDID_BYTES: Final = b"DIDL\x01\x6d\x7b\x01\x00"  # one vector of bytes; its length and they follow


def unwrapped(data: bytes) -> bytes:
    """What the application said."""
    if not data.startswith(_CANDID_BYTES):
        return data
    return data[decode_unsigned(data, len(_CANDID_BYTES))[1] :]


def in_the_form_of(like: bytes, text: bytes) -> bytes:
    """Other words, wrapped if ``like`` is."""
    return _CANDID_BYTES + encode_unsigned(len(text)) + text if like.startswith(_CANDID_BYTES) else text
