"""Attacks on the handshake and the open."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.target import Kind, split
from icws_secure.wire.envelope import CallContent
from icws_secure.wire.frames import ClientFrame, GatewayFrame, Handshake
from icws_secure.wire.interface import decode_open_argument, encode_open_argument
from icws_secure.wire.principal import Principal

__all__ = ["DowngradedOpen", "ForgedOpen", "LyingPrincipal", "ReplacedOpen", "WithheldOpen"]


class LyingPrincipal(Attack):
    """Names another gateway, or nobody, in the handshake."""

    name = "lies about its principal"

    def __init__(self, principal: Principal) -> None:
        super().__init__()
        self.principal = principal

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, Handshake):
            self.struck += 1
            frame = replace(frame, gateway_principal=self.principal)
        await wire.to_client(frame)


class ForgedOpen(Attack):
    """Opens in the victim's name with a broken signature, then lets the victim's own open through."""

    name = "forged open"

    def __init__(self, *, instead: bool = True) -> None:
        super().__init__()
        self.instead = instead  # whether the victim's own open is kept back

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if len(wire.sent) == 1 and isinstance(frame.envelope.content, CallContent):
            self.struck += 1
            content = replace(frame.envelope.content, nonce=bytes(16))
            await wire.to_gateway(ClientFrame(replace(frame.envelope, content=content)))
            if self.instead:
                return
        await wire.to_gateway(frame)


class DowngradedOpen(Attack):
    """Takes the secure fields out of the open, to make an ``omnia/1`` session of it."""

    name = "downgraded profile"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        content = frame.envelope.content
        if len(wire.sent) == 1 and isinstance(content, CallContent):
            self.struck += 1
            bare = replace(decode_open_argument(content.arg), secure=None)
            changed = replace(content, arg=encode_open_argument(bare))
            await wire.to_gateway(ClientFrame(replace(frame.envelope, content=changed)))
            return
        await wire.to_gateway(frame)


class WithheldOpen(Attack):
    """Keeps the first open, hangs up, and hands it in after the victim has attached elsewhere."""

    name = "withheld open"

    def __init__(self) -> None:
        super().__init__()
        self.kept: ClientFrame | None = None
        self.wire: Wire | None = None

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if self.kept is None:
            self.kept, self.wire = frame, wire
            await asyncio.shield(wire.hang_up(1001, "GoingAway: withheld"))
            return
        await wire.to_gateway(frame)


class ReplacedOpen(Attack):
    """Shows the victim another client's open message in place of its own."""

    name = "another client's open"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            if message.kind is Kind.OPEN and wire.number == 0:
                wire.hostile.wires[0].notes["open"] = message
            elif message.kind is Kind.OPEN:
                stolen = wire.hostile.wires[0].notes.get("open")
                if stolen is not None:
                    self.struck += 1
                    message = stolen  # type: ignore[assignment]  # notes are untyped; only an open is put there
            await wire.to_client(message.frame(frame))
