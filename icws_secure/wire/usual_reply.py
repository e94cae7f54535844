"""The answer to a poll as deployed canisters encode it, read without a value for each field.

Candid lets a peer declare its types in many ways. Where the header declares exactly those of the interface, the values
follow each other in one order, and a relay, which looks at little of them, can take them from there: in half of the
time of the general decoder. Whatever is not of this form to the last byte is none of this module's business, and the
general decoder's verdict on it counts; a test holds the two together.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..errors import DecodeError
from ..limits import MAX_CANDID_BYTES
from .candid_table import length
from .interface import POLL_RESULT
from .principal import MAX_PRINCIPAL_BYTES, Principal

__all__ = ["UsualReply", "read_usual_client", "usual_reply"]

_OK: Final = 0  # the case's place in the declaration
_MOST_MESSAGES: Final = 1_000  # canisters send 50; more are for the general decoder, which bounds the values of all
_TRANSPARENT: Final = bytes((1, MAX_PRINCIPAL_BYTES))  # before a principal of full length
_CLIENT_BYTES: Final = MAX_PRINCIPAL_BYTES + 8


class UsualReply(NamedTuple):
    """What a canister answered.

    Attributes:
        messages: key in ASCII, content and client key (see :func:`read_usual_client`) of each.
        cert: the certificate, CBOR.
        tree: the witness of all keys, CBOR.
        is_end_of_queue: whether nothing follows.
    """

    messages: list[tuple[bytes, bytes, bytes]]
    cert: bytes
    tree: bytes
    is_end_of_queue: bool


def usual_reply(data: bytes) -> UsualReply | None:
    """The result of ``ws_get_messages``, or None if it is not of the usual form, malformed ones among them.

    Args:
        data: a Candid message, of any length and content.
    """
    if len(data) > MAX_CANDID_BYTES:
        return None
    try:
        offset = POLL_RESULT.values_at(data)
        if offset is None or data[offset] != _OK:
            return None
        count, offset = length(data, offset + 1)
        if count > _MOST_MESSAGES:
            return None
        messages = []
        for _ in range(count):
            size = data[offset]
            start = offset + 1 + size
            key = data[offset + 1 : start]
            if size >= 0x80 or not key.isascii():
                return None
            content, stop = _blob(data, start)
            if not data.startswith(_TRANSPARENT, stop):
                return None
            stop += len(_TRANSPARENT)
            offset = stop + _CLIENT_BYTES
            messages.append((key, content, data[stop:offset]))
        cert, offset = _blob(data, offset)
        tree, offset = _blob(data, offset)
        last = data[offset]
    except (IndexError, DecodeError):
        return None
    # bytes that were not there would show here
    if last > 1 or offset + 1 != len(data):
        return None
    return UsualReply(messages, cert, tree, last == 1)


def read_usual_client(data: bytes) -> tuple[Principal, int]:
    """Principal and nonce of a client key in a :class:`UsualReply`."""
    return Principal(data[:MAX_PRINCIPAL_BYTES]), int.from_bytes(data[MAX_PRINCIPAL_BYTES:], "little")


def _blob(data: bytes, offset: int) -> tuple[bytes, int]:
    size = data[offset]
    if size < 0x80:
        offset += 1
    else:
        size, offset = length(data, offset)
    stop = offset + size
    return data[offset:stop], stop
