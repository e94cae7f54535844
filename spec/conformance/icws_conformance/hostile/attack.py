"""What an attack is: a decision about each frame of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icws_conformance.hostile.target import CertifiedMessage, split
from icws_secure.wire.frames import ClientFrame, GatewayFrame

if TYPE_CHECKING:
    from icws_conformance.hostile.proxy import Wire

__all__ = ["Attack", "MessageAttack", "PassThrough"]


class Attack:
    """Base of all attacks: passes everything on. One object serves all connections of a hostile gateway, or of several
    that work together.

    An override calls ``wire.to_client`` or ``wire.to_gateway`` with what the victim is to see: nothing, the frame,
    another, several. ``struck`` counts how often the attack really did something, so that a test can tell a survived
    attack from one that never was.
    """

    name = "pass-through"

    def __init__(self) -> None:
        self.struck = 0

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        """See a frame of the real gateway before the decision, and also while the attack is not armed."""

    async def connected(self, wire: Wire) -> None:
        """A victim has connected; the real gateway's handshake has not been passed on yet."""

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        """A frame of the real gateway for the victim."""
        await wire.to_client(frame)

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        """A frame of the victim for the real gateway."""
        await wire.to_gateway(frame)


class MessageAttack(Attack):
    """Base of attacks that decide about each message of the canister; frames without one are passed on."""

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            await self.from_canister(wire, frame, message)

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        """A message of the canister for the victim; what is shown instead goes in a frame like the one it came in."""
        await wire.to_client(message.frame(frame))


class PassThrough(Attack):
    """No attack: shows that the middle itself is invisible."""
