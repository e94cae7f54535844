"""What a fuzz target is fed: bytes of any kind, and real documents with something wrong in them."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

__all__ = ["inputs"]

# Bytes that mean something to CBOR, Candid, DER or LEB128 at many places.
_TELLING = (0x00, 0x01, 0x40, 0x5F, 0x7F, 0x80, 0x82, 0x9F, 0xA1, 0xBF, 0xD9, 0xF6, 0xF7, 0xFB, 0xFF)
_BYTE = st.sampled_from(_TELLING) | st.integers(0, 255)


def inputs(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes for a target whose real inputs are like ``seeds``."""
    if not seeds:
        return st.binary(max_size=200)
    return st.one_of(_damaged(seeds), _damaged(seeds), _damaged(seeds), st.binary(max_size=200))


@st.composite
def _damaged(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 6))
        if kind <= 1 and at < len(data):
            data[at] = draw(_BYTE)
        elif kind == 2:
            data[at:at] = draw(st.binary(max_size=8))
        elif kind == 3:
            del data[at : at + draw(st.integers(1, 40))]
        elif kind == 4:
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == 5:
            other = draw(st.sampled_from(seeds))
            data[at:] = other[draw(st.integers(0, len(other))) :]
        elif at < len(data):
            del data[at:]
    return bytes(data)
