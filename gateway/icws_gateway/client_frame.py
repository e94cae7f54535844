"""A client's frame taken apart: the envelope to check, and the bytes of it to relay."""

from __future__ import annotations

from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.limits import MAX_ENVELOPE_BYTES
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import CallContent, Envelope

from .refusal import ClientRefused, refusal_of

__all__ = ["FRAME_OVERHEAD", "MAX_ITEMS", "read_call"]

_HEAD: Final = b"\xa1" + cbor.encode("envelope")
_TAGGED_HEAD: Final = cbor.SELF_DESCRIBE_TAG + _HEAD

FRAME_OVERHEAD: Final = len(_TAGGED_HEAD)
"""Bytes of a frame around its envelope."""

MAX_ITEMS: Final = 4_096
"""CBOR data items of a frame; an envelope with the longest chain of delegations and a few targets each has some 500."""


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
        # [ICWS-GWY-018] small items in great number cost far more than their bytes
        value = cbor.decode(frame, what="a client frame", max_bytes=len(frame), max_items=MAX_ITEMS)
        fields = cbor.fields(value, what="a client frame", required={"envelope": dict}, requirement="ICWS-LIB-024")
        envelope = Envelope.from_value(fields["envelope"])
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
            return cbor.SELF_DESCRIBE_TAG + frame[len(head) :]
    return envelope.encode()  # another way to write the same head
