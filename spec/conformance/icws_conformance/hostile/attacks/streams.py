"""Attacks on the stream: genuine messages that come again, late, in another order, to another client, or not at all."""

from __future__ import annotations

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.target import CertifiedMessage, Kind, Target, split
from icws_secure.wire.frames import ClientFrame, GatewayFrame, HeadFrame, MessageFrame, MessagesFrame, ReceiptFrame

__all__ = ["Crossed", "Deaf", "Drop", "Duplicate", "Mute", "Reorder", "Replay", "SilentAfter"]


class Drop(Attack):
    """Keeps struck messages for itself."""

    name = "drop"

    def __init__(self, target: Target, *, heads: bool = True) -> None:
        super().__init__()
        self.target = target
        self.heads = heads  # whether certified heads are passed on

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame) and not self.heads:
            return
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            if self.target.hit(message):
                self.struck += 1
            else:
                await wire.to_client(message.frame(frame))


class Replay(Attack):
    """Shows a struck message, and later shows it again in place of the next one."""

    name = "replay"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            kept = wire.notes.get("replay")
            if isinstance(kept, CertifiedMessage):
                self.struck += 1
                del wire.notes["replay"]
                await wire.to_client(kept.frame(frame))
            elif self.target.hit(message):
                wire.notes["replay"] = message
                await wire.to_client(message.frame(frame))
            else:
                await wire.to_client(message.frame(frame))


class Duplicate(Attack):
    """Shows a struck message twice in a row."""

    name = "duplicate"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            await wire.to_client(message.frame(frame))
            if self.target.hit(message):
                self.struck += 1
                await wire.to_client(message.frame(frame))


class Reorder(Attack):
    """Holds a struck message back until the one after it has been shown."""

    name = "reorder"

    def __init__(self, target: Target) -> None:
        super().__init__()
        self.target = target

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            held = wire.notes.pop("held", None)
            if held is None and self.target.hit(message):
                wire.notes["held"] = message
                continue
            await wire.to_client(message.frame(frame))
            if isinstance(held, CertifiedMessage):
                self.struck += 1
                await wire.to_client(held.frame(frame))


class Crossed(Attack):
    """Shows the second victim the first one's messages of a kind, genuine and certified, in place of its own."""

    name = "another client's message"

    def __init__(self, kind: Kind = Kind.APPLICATION) -> None:
        super().__init__()
        self.kind = kind
        self._stolen: list[CertifiedMessage] = []

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            if message.kind is self.kind and wire.number == 0:
                self._stolen.append(message)
                await wire.to_client(message.frame(frame))
            elif message.kind is self.kind and self._stolen:
                self.struck += 1
                await wire.to_client(self._same_number(message).frame(frame))
            else:
                await wire.to_client(message.frame(frame))

    def _same_number(self, wanted: CertifiedMessage) -> CertifiedMessage:
        """The stolen message with the sequence number that the victim waits for, else the newest."""
        number = wanted.decoded.sequence_num if wanted.decoded is not None else None
        for message in self._stolen:
            if message.decoded is not None and message.decoded.sequence_num == number:
                return message
        return self._stolen[-1]


class SilentAfter(Attack):
    """Shows nothing more of the canister after so many of its messages; the socket stays open."""

    name = "silence"

    def __init__(self, messages: int = 0, *, acks: bool = False, receipts: bool = False) -> None:
        super().__init__()
        self.messages = messages
        self.acks = acks  # whether acknowledgements still pass
        self.receipts = receipts  # whether receipts still pass

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame):
            return
        if isinstance(frame, ReceiptFrame) and self._shown(wire) >= self.messages and not self.receipts:
            self.struck += 1
            return
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            if self._shown(wire) < self.messages or (self.acks and message.kind is Kind.ACK):
                wire.notes["shown"] = self._shown(wire) + 1
                await wire.to_client(message.frame(frame))
            else:
                self.struck += 1

    @staticmethod
    def _shown(wire: Wire) -> int:
        shown = wire.notes.get("shown", 0)
        return shown if isinstance(shown, int) else 0


class Deaf(Attack):
    """Takes the victim's messages and relays none of them after the open."""

    name = "one direction: nothing reaches the canister"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if len(wire.sent) > 1:
            self.struck += 1
            return
        await wire.to_gateway(frame)


class Mute(Attack):
    """Relays the victim's messages and shows receipts and heads, but no message of the canister after the first."""

    name = "one direction: nothing reaches the client"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, MessageFrame | MessagesFrame) and wire.notes.get("open"):
            self.struck += 1
            return
        if isinstance(frame, MessageFrame | MessagesFrame):
            wire.notes["open"] = True
        await wire.to_client(frame)
