"""Attacks with frames that are not frames, that may not come, or that only claim something."""

from __future__ import annotations

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_secure.wire.frames import DrainFrame, GatewayFrame, Handshake, MessageFrame, MessagesFrame

__all__ = ["Garbage", "InventedDrain", "SecondHandshake"]


class Garbage(Attack):
    """Shows fixed bytes, or a text, in place of a message of the canister.

    Args:
        name: what the bytes are.
        data: the bytes or the text.
    """

    def __init__(self, name: str, data: bytes | str) -> None:
        super().__init__()
        self.name = name
        self.data = data

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessageFrame | MessagesFrame):
            self.struck += 1
            await wire.to_client(self.data)
        else:
            await wire.to_client(frame)


class SecondHandshake(Attack):
    """Presents itself again in the middle of the conversation."""

    name = "second handshake"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        again = wire.notes.get("handshake")
        if isinstance(frame, MessageFrame | MessagesFrame) and isinstance(again, Handshake):
            self.struck += 1
            await wire.to_client(again)
        await wire.to_client(frame)

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, Handshake):
            wire.notes["handshake"] = frame


class InventedDrain(Attack):
    """Says with every message that it is about to close."""

    name = "invented drain"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessagesFrame):
            self.struck += 1
            await wire.to_client(DrainFrame(0))
        await wire.to_client(frame)
