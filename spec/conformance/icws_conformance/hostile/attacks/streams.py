"""Attacks on the stream: genuine messages that come again, late, in another order, to another client, or not at all."""

from __future__ import annotations

import asyncio

from icws_conformance.hostile.attack import Attack, MessageAttack
from icws_conformance.hostile.proxy import HostileGateway, Wire
from icws_conformance.hostile.target import CertifiedMessage, Kind, Target, split
from icws_secure.wire.frames import (
    ClientFrame,
    GatewayFrame,
    Handshake,
    HeadFrame,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
)

__all__ = ["Collusion", "Crossed", "Deaf", "Delay", "Drop", "Duplicate", "Mute", "Reorder", "Replay", "Silence"]


class Drop(MessageAttack):
    """Keeps struck messages for itself.

    Args:
        target: which messages.
        heads: whether certified heads are passed on.
    """

    name = "drop"

    def __init__(self, target: Target, *, heads: bool = True) -> None:
        super().__init__()
        self.target = target
        self.heads = heads

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame) and not self.heads:
            return
        await super().from_gateway(wire, frame)

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        if self.target.hit(message):
            self.struck += 1
        else:
            await wire.to_client(message.frame(frame))


class Delay(Attack):
    """Keeps every message from the first struck one on for a while, then shows all of them, in order.

    Args:
        target: where it begins.
        seconds: how long.
    """

    name = "delay"

    def __init__(self, target: Target, seconds: float) -> None:
        super().__init__()
        self.target = target
        self.seconds = seconds

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame):
            return  # it would tell of the message before its time
        if any(self.target.hit(message) for message in split(frame)):
            self.struck += 1
            await asyncio.sleep(self.seconds)
        await wire.to_client(frame)


class Replay(MessageAttack):
    """Shows a struck message, and later shows it again in place of the next one."""

    name = "replay"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        kept = wire.notes.pop("replay", None)
        if isinstance(kept, CertifiedMessage):
            self.struck += 1
            await wire.to_client(kept.frame(frame))
            return
        if self.target.hit(message):
            wire.notes["replay"] = message
        await wire.to_client(message.frame(frame))


class Duplicate(MessageAttack):
    """Shows a struck message twice in a row."""

    name = "duplicate"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        await wire.to_client(message.frame(frame))
        if self.target.hit(message):
            self.struck += 1
            await wire.to_client(message.frame(frame))


class Reorder(MessageAttack):
    """Holds a struck message back until the one after it has been shown."""

    name = "reorder"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        held = wire.notes.pop("held", None)
        if held is None and self.target.hit(message):
            wire.notes["held"] = message
            return
        await wire.to_client(message.frame(frame))
        if isinstance(held, CertifiedMessage):
            self.struck += 1
            await wire.to_client(held.frame(frame))


class Crossed(MessageAttack):
    """Shows the second victim the first one's messages of a kind, genuine and certified, in place of its own.

    Where it can, it takes the one with the sequence number that the second victim waits for.
    """

    name = "another client's message"

    def __init__(self, kind: Kind = Kind.APPLICATION) -> None:
        super().__init__()
        self.kind = kind
        self.stolen: list[CertifiedMessage] = []

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        if wire.number == 0:
            self.stolen += [message for message in split(frame) if message.kind is self.kind]

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        if message.kind is self.kind and wire.number > 0 and self.stolen:
            self.struck += 1
            message = self._same_number(message)
        await wire.to_client(message.frame(frame))

    def _same_number(self, wanted: CertifiedMessage) -> CertifiedMessage:
        number = wanted.decoded.sequence_num if wanted.decoded is not None else None
        for message in self.stolen:
            if message.decoded is not None and message.decoded.sequence_num == number:
                return message
        return self.stolen[-1]


class Collusion(MessageAttack):
    """Two gateways work together: what one was given for the victim, the other shows it after the failover.

    Use one object for both hostile gateways.
    """

    name = "collusion"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target
        self._first: HostileGateway | None = None
        self._captured: list[CertifiedMessage] = []

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        self._first = self._first or wire.hostile
        if wire.hostile is self._first:
            self._captured += [message for message in split(frame) if message.kind is self.target.kind]

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        if wire.hostile is not self._first and self._captured and self.target.hit(message):
            self.struck += 1
            message = self._captured[-1]
        await wire.to_client(message.frame(frame))


class Silence(Attack):
    """Shows nothing more of the canister; the socket stays open.

    Args:
        handshake: whether the handshake still passes.
        after_open: whether everything still passes until the open was answered.
        acks: whether acknowledgements still pass.
        receipts: whether receipts still pass.
    """

    name = "silence"

    def __init__(
        self, *, handshake: bool = True, after_open: bool = False, acks: bool = False, receipts: bool = False
    ) -> None:
        super().__init__()
        self.handshake = handshake
        self.after_open = after_open
        self.acks = acks
        self.receipts = receipts

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if self._passes(wire, frame):
            await wire.to_client(frame)
            return
        self.struck += 1
        for message in split(frame):
            if self.acks and message.kind is Kind.ACK:
                await wire.to_client(message.frame(frame))

    def _passes(self, wire: Wire, frame: GatewayFrame) -> bool:
        if self.after_open and not wire.opened:
            return True
        return (isinstance(frame, Handshake) and self.handshake) or (isinstance(frame, ReceiptFrame) and self.receipts)


class Deaf(Attack):
    """Takes the victim's messages and relays none of them after the open."""

    name = "one direction: nothing reaches the canister"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if wire.calls > 1:
            self.struck += 1
            return
        await wire.to_gateway(frame)


class Mute(Attack):
    """Relays the victim's messages and shows receipts and heads, but no message of the canister after the first."""

    name = "one direction: nothing reaches the client"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessageFrame | MessagesFrame) and wire.opened:
            self.struck += 1
            return
        await wire.to_client(frame)
