"""Attacks with bytes that are no frames at all."""

from __future__ import annotations

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_secure.wire.frames import GatewayFrame, MessageFrame, MessagesFrame

__all__ = ["Garbage"]


class Garbage(Attack):
    """Shows fixed bytes in place of the canister's messages after the first.

    Args:
        name: what the bytes are.
        data: the bytes.
    """

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__()
        self.name = name
        self.data = data

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessageFrame | MessagesFrame) and wire.notes.get("open"):
            self.struck += 1
            await wire.to_client(self.data)
            return
        if isinstance(frame, MessageFrame | MessagesFrame):
            wire.notes["open"] = True
        await wire.to_client(frame)
