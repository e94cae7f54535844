"""Attacks on what the client says: its signed calls, changed, dropped, kept, repeated, or made up."""

from __future__ import annotations

from dataclasses import replace

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.wrapping import in_the_form_of
from icws_secure.wire.envelope import CallContent
from icws_secure.wire.frames import ClientFrame
from icws_secure.wire.interface import decode_message_argument, encode_message_argument

__all__ = ["AlteredCall", "DroppedCall", "HeldCalls", "ReorderedCalls", "RepeatedCall"]


class AlteredCall(Attack):
    """Changes what the first message after it was armed says, and hands it in with the signature of the true one.

    The IC is asked first: its refusal is in ``answer``. Then the real gateway is.
    """

    name = "altered call"

    def __init__(self) -> None:
        super().__init__()
        self.answer: tuple[int, bytes] | None = None

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        content = frame.envelope.content
        if wire.calls > 1 and not self.struck and isinstance(content, CallContent):
            self.struck += 1
            message = decode_message_argument(content.arg)
            argument = encode_message_argument(replace(message, content=in_the_form_of(message.content, b"forged")))
            frame = ClientFrame(replace(frame.envelope, content=replace(content, arg=argument)))
            if wire.hostile.ic_url is not None:
                self.answer = await wire.hostile.submit(frame.envelope)
        await wire.to_gateway(frame)


class DroppedCall(Attack):
    """Swallows one message of the victim."""

    name = "dropped call"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if wire.calls > 1 and not self.struck:
            self.struck += 1
            return
        await wire.to_gateway(frame)


class RepeatedCall(Attack):
    """Hands every message of the victim in twice, once past the real gateway."""

    name = "repeated call"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        await wire.to_gateway(frame)
        if wire.calls > 1:
            self.struck += 1
            await wire.hostile.submit(frame.envelope)


class ReorderedCalls(Attack):
    """Hands in the second of two messages before the first."""

    name = "reordered calls"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        held = wire.notes.pop("held call", None)
        if held is None and wire.calls > 1 and not self.struck:
            wire.notes["held call"] = frame
            return
        await wire.to_gateway(frame)
        if isinstance(held, ClientFrame):
            self.struck += 1
            await wire.to_gateway(held)


class HeldCalls(Attack):
    """Keeps the victim's messages after the open; :meth:`hand_in` submits them to the IC, when it hurts most."""

    name = "held calls"

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[Wire, ClientFrame]] = []
        self.answers: list[tuple[int, bytes]] = []

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if wire.calls > 1:
            self.struck += 1
            self.held.append((wire, frame))
            return
        await wire.to_gateway(frame)

    async def hand_in(self) -> None:
        """Submit everything that was kept; what the IC says is in ``answers``."""
        for wire, frame in self.held:
            self.answers.append(await wire.hostile.submit(frame.envelope))
        self.held.clear()
