"""The layout that deployed canisters give their messages, recognised as a whole.

A message is CBOR of a map whose fields may stand in any order. Every kit that is in use writes them in one order, with
a principal of 29 bytes: such a message is read by one match, in a third of the time of the general decoder. Whatever
does not match to the last byte is none of this module's business, and the general decoder's verdict on it counts. What
matches is read as that decoder would read it; a test holds the two together.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["SALT_BYTES", "UsualFields", "usual_fields"]

SALT_BYTES: Final = 16
"""Bytes of a message's salt [R36]."""

UsualFields = tuple[bytes, int, int, int, bool, bytes, bytes | None]
"""Principal and nonce of the client key, sequence number, timestamp, whether a service message, content, salt."""

_NUMBER: Final = rb"([\x00-\x17]|\x18.|\x19.{2}|\x1a.{4}|\x1b.{8})"  # every length that CBOR has for it
_LENGTH: Final = rb"([\x40-\x57]|\x58.|\x59.{2}|\x5a.{4})"
_USUAL: Final = re.compile(
    rb"\xd9\xd9\xf7([\xa5\xa6])"
    rb"\x6aclient_key\xa2\x70client_principal\x58\x1d(.{29})\x6cclient_nonce" + _NUMBER + rb"\x6csequence_num" + _NUMBER
    + rb"\x69timestamp" + _NUMBER + rb"\x72is_service_message([\xf4\xf5])\x67content" + _LENGTH,
    re.DOTALL,
)  # fmt: skip
_SALT: Final = b"\x64salt\x50"
_SALTED: Final = b"\xa6"
_TRUE: Final = b"\xf5"


def usual_fields(data: bytes) -> UsualFields | None:
    """The fields of a message in the usual layout, or None if it has another.

    Args:
        data: the message, of any length and content.
    """
    found = _USUAL.match(data)
    if found is None:
        return None
    entries, principal, nonce, sequence_num, timestamp, service, length = found.groups()
    start = found.end()
    stop = start + (length[0] & 0x1F if len(length) == 1 else int.from_bytes(length[1:], "big"))
    salt = None
    if entries == _SALTED:
        if data[stop : stop + 6] != _SALT or len(data) != stop + 6 + SALT_BYTES:
            return None
        salt = data[stop + 6 :]
    elif len(data) != stop:
        return None
    return (
        principal,
        _number(nonce),
        _number(sequence_num),
        _number(timestamp),
        service == _TRUE,
        data[start:stop],
        salt,
    )


def _number(item: bytes) -> int:
    return item[0] if len(item) == 1 else int.from_bytes(item[1:], "big")
