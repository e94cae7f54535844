"""Frames that the gateway writes itself are those that the WebSocket library would write."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode

from icws_gateway.binary_frame import binary_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1 << 20])
def test_frame_is_that_of_the_library(size: int) -> None:
    payload = bytes(size)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)
