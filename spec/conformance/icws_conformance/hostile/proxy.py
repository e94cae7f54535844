"""The hostile gateway's sockets: a WebSocket server in front of a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from icws_conformance.hostile.attack import Attack
from icws_secure.errors import IcwsError
from icws_secure.limits import MAX_FRAME_BYTES
from icws_secure.wire.frames import ClientFrame, GatewayFrame, decode_client_frame, decode_gateway_frame

__all__ = ["HostileGateway", "Wire"]

SUBPROTOCOL = Subprotocol("icws-secure.1")


class Wire:
    """One victim's connection, as an attack sees it.

    Attributes:
        number: counts the victims of this hostile gateway from 0.
        received: frames of the real gateway, in order.
        sent: frames of the victim, in order.
        notes: place for an attack to keep what belongs to this connection.
    """

    def __init__(
        self, hostile: HostileGateway, number: int, victim: ServerConnection, upstream: ClientConnection
    ) -> None:
        self.hostile = hostile
        self.number = number
        self.received: list[GatewayFrame] = []
        self.sent: list[ClientFrame] = []
        self.notes: dict[str, object] = {}
        self._victim = victim
        self._upstream = upstream

    async def to_client(self, frame: GatewayFrame | bytes) -> None:
        """Show the victim a frame, or any bytes."""
        with contextlib.suppress(ConnectionClosed):
            await self._victim.send(frame if isinstance(frame, bytes) else frame.encode())

    async def to_gateway(self, frame: ClientFrame | bytes) -> None:
        """Give the real gateway a frame, or any bytes."""
        with contextlib.suppress(ConnectionClosed):
            await self._upstream.send(frame if isinstance(frame, bytes) else frame.encode())

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Close the victim's connection; the real gateway's stays as it is."""
        await self._victim.close(code, reason)

    async def run(self) -> None:
        """Relay by way of the attack until one side is gone."""
        await self.hostile.attack.connected(self)
        pumps = [asyncio.create_task(self._from_gateway()), asyncio.create_task(self._from_client())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        upstream, victim = self._upstream, self._victim
        if upstream.close_code is not None:
            await victim.close(_sendable(upstream.close_code), upstream.close_reason or "")

    async def _from_gateway(self) -> None:
        async for data in self._upstream:
            try:
                frame = decode_gateway_frame(data if isinstance(data, bytes) else data.encode())
            except IcwsError:
                await self.to_client(data if isinstance(data, bytes) else data.encode())
                continue
            self.received.append(frame)
            await self.hostile.attack.from_gateway(self, frame)

    async def _from_client(self) -> None:
        async for data in self._victim:
            try:
                frame = decode_client_frame(data if isinstance(data, bytes) else data.encode())
            except IcwsError:
                await self.to_gateway(data if isinstance(data, bytes) else data.encode())
                continue
            self.sent.append(frame)
            await self.hostile.attack.from_client(self, frame)


class HostileGateway:
    """``async with HostileGateway(upstream, attack) as hostile: hostile.url``.

    Args:
        upstream: WebSocket address of the real gateway.
        attack: decides about every frame; may be replaced while running.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
    """

    def __init__(self, upstream: str, attack: Attack, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.upstream = upstream
        self.attack = attack
        self.wires: list[Wire] = []
        self._host = host
        self._port = port
        self._numbers = itertools.count()
        self._server: Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            self._host,
            self._port,
            subprotocols=[SUBPROTOCOL],
            select_subprotocol=_select,
            compression=None,
            max_size=MAX_FRAME_BYTES,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self.url = f"ws://{self._host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _handle(self, victim: ServerConnection) -> None:
        subprotocols = [victim.subprotocol] if victim.subprotocol is not None else None
        async with connect(
            self.upstream, subprotocols=subprotocols, compression=None, max_size=MAX_FRAME_BYTES
        ) as upstream:
            wire = Wire(self, next(self._numbers), victim, upstream)
            self.wires.append(wire)
            await wire.run()


def _select(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    del connection
    return SUBPROTOCOL if SUBPROTOCOL in offered else None


def _sendable(code: int) -> int:
    # 1005 and 1006 tell that no code was sent; they must not be sent themselves (RFC 6455, 7.4.1).
    return 1000 if code in (1005, 1006) else code
