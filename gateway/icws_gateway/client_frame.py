"""A client's frame taken apart: the envelope to check, and the bytes of it to relay."""

from __future__ import annotations

from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.limits import MAX_ENVELOPE_BYTES
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import decode_client_frame

from .refusal import ClientRefused, refusal_of

__all__ = ["FRAME_OVERHEAD", "read_call"]

_HEAD: Final = b"\xa1" + encode("envelope")
_TAGGED_HEAD: Final = SELF_DESCRIBE_TAG + _HEAD

FRAME_OVERHEAD: Final = len(_TAGGED_HEAD)
"""Bytes of a frame around its envelope."""


def read_call(frame: bytes | str) -> tuple[Envelope, CallContent, bytes]:
    """Envelope and content of a call, and the body of the request that relays it.

    Raises:
        ClientRefused: not a binary frame, malformed, too large, or the envelope of something else than a call.
    """
    if isinstance(frame, str):
        raise ClientRefused(CloseCode.MALFORMED_FRAME, "frames are binary")
    # [ICWS-GWY-018]
    if len(frame) > MAX_ENVELOPE_BYTES + FRAME_OVERHEAD:
        raise ClientRefused(CloseCode.ENVELOPE_TOO_LARGE, "the IC takes no such envelope", limit="envelope_bytes")
    try:
        envelope = decode_client_frame(frame).envelope
    except IcwsError as error:
        raise refusal_of(error, signature=False) from error
    content = envelope.content
    if not isinstance(content, CallContent):
        raise ClientRefused(CloseCode.METHOD_NOT_ALLOWED, "only calls are relayed")
    return envelope, content, _body(frame, envelope)


def _body(frame: bytes, envelope: Envelope) -> bytes:
    # [ICWS-GWY-004] The client's own bytes: a frame is a map of one entry, so all that follows its key is the envelope.
    for head in (_TAGGED_HEAD, _HEAD):
        if frame.startswith(head):
            return SELF_DESCRIBE_TAG + frame[len(head) :]
    return envelope.encode()  # another way to write the same head
