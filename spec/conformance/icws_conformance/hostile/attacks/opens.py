"""Attacks on the handshake and the open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.proxy import Wire
from icws_secure.wire.envelope import CallContent
from icws_secure.wire.frames import ClientFrame, GatewayFrame, Handshake
from icws_secure.wire.interface import OpenArgument, decode_open_argument, encode_open_argument
from icws_secure.wire.principal import Principal

__all__ = ["AlteredOpen", "ForgedOpen", "LyingPrincipal", "WithheldOpen", "downgraded"]


class LyingPrincipal(Attack):
    """Names another gateway, or nobody, in the handshake.

    Args:
        principal: whom it names.
    """

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
    """Opens in the victim's name, with another nonce under the victim's signature, in place of the true open."""

    name = "forged open"

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if wire.calls == 1 and isinstance(frame.envelope.content, CallContent):
            self.struck += 1
            content = replace(frame.envelope.content, nonce=bytes(16))
            frame = ClientFrame(replace(frame.envelope, content=content))
        await wire.to_gateway(frame)


class AlteredOpen(Attack):
    """Changes the argument of the open.

    Args:
        change: gives the argument that is passed on.
    """

    name = "altered open"

    def __init__(self, change: Callable[[OpenArgument], OpenArgument]) -> None:
        super().__init__()
        self.change = change

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        content = frame.envelope.content
        if wire.calls == 1 and isinstance(content, CallContent):
            self.struck += 1
            argument = encode_open_argument(self.change(decode_open_argument(content.arg)))
            frame = ClientFrame(replace(frame.envelope, content=replace(content, arg=argument)))
        await wire.to_gateway(frame)


def downgraded(argument: OpenArgument) -> OpenArgument:
    """An open without the secure fields, to make an ``omnia/1`` session of it."""
    return replace(argument, secure=None)


class WithheldOpen(Attack):
    """Keeps the first open and hangs up; :meth:`hand_in` submits it to the IC later."""

    name = "withheld open"

    def __init__(self) -> None:
        super().__init__()
        self.kept: ClientFrame | None = None
        self.answer: tuple[int, bytes] | None = None
        self._wire: Wire | None = None

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if self.kept is not None:
            await wire.to_gateway(frame)
            return
        self.kept, self._wire = frame, wire
        self.struck += 1
        await wire.hang_up(1001, "GoingAway: withheld")

    async def hand_in(self) -> None:
        """Submit the kept open; what the IC says is in ``answer``."""
        if self.kept is not None and self._wire is not None:
            self.answer = await self._wire.hostile.submit(self.kept.envelope)
