"""The hostile gateway's sockets: a WebSocket server in front of a real gateway."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from aiohttp import ClientSession
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.protocol import State
from websockets.typing import Subprotocol

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.target import Kind, split
from icws_secure.errors import IcwsError, MisuseError, Reason
from icws_secure.limits import MAX_FRAME_BYTES
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import SUBPROTOCOL, ClientFrame, GatewayFrame, decode_client_frame, decode_gateway_frame
from icws_secure.wire.http import call_path

__all__ = ["HostileGateway", "Wire"]

_INTERNAL_ERROR: Final = 1011
_NO_CODE: Final = (1005, 1006)


class Wire:
    """One victim's connection, as an attack sees it.

    Attributes:
        hostile: the hostile gateway that it belongs to.
        number: counts the victims of this hostile gateway from 0.
        calls: frames of the victim so far, the present one included.
        opened: whether the canister's answer to the open came before the present frame.
        notes: place for an attack to keep what belongs to this connection.
    """

    def __init__(
        self, hostile: HostileGateway, number: int, victim: ServerConnection, upstream: ClientConnection
    ) -> None:
        self.hostile = hostile
        self.number = number
        self.calls = 0
        self.opened = False
        self.notes: dict[str, object] = {}
        self._victim = victim
        self._upstream = upstream

    async def to_client(self, frame: GatewayFrame | bytes | str) -> None:
        """Show the victim a frame, or any bytes or text."""
        shown = frame if isinstance(frame, bytes | str) else frame.encode()
        self._tap("gateway", shown)
        with contextlib.suppress(ConnectionClosed):
            await self._victim.send(shown)

    async def to_gateway(self, frame: ClientFrame | bytes) -> None:
        """Give the real gateway a frame, or any bytes."""
        with contextlib.suppress(ConnectionClosed):
            await self._upstream.send(frame if isinstance(frame, bytes) else frame.encode())

    async def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Close the victim's connection."""
        await self._victim.close(code, reason)

    @property
    def was_left(self) -> bool:
        """Whether the victim's connection is over and it was the victim that ended it."""
        protocol = self._victim.protocol
        return protocol.state is not State.OPEN and (protocol.close_sent is None or bool(protocol.close_rcvd_then_sent))

    @property
    def is_over(self) -> bool:
        """Whether the victim's connection is over, whoever ended it."""
        return self._victim.protocol.state is not State.OPEN

    def _tap(self, source: str, data: bytes | str) -> None:
        if self.hostile.tap is not None:
            self.hostile.tap(source, data if isinstance(data, bytes) else data.encode())

    async def run(self) -> None:
        """Relay by way of the attack until one side is gone."""
        await self.hostile.attack.connected(self)
        pumps = [asyncio.create_task(self._from_gateway()), asyncio.create_task(self._from_client())]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            results = await asyncio.gather(*pumps, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionClosed):
                raise result  # a mistake in an attack must not look like a gateway that died
        upstream, victim = self._upstream, self._victim
        if upstream.close_code is not None:
            await victim.close(_sendable(upstream.close_code), upstream.close_reason or "")

    async def _from_gateway(self) -> None:
        async for data in self._upstream:
            raw = data if isinstance(data, bytes) else data.encode()
            try:
                frame = decode_gateway_frame(raw)
            except IcwsError:
                await self.to_client(data)
                continue
            attack = self.hostile.attack
            attack.observe(self, frame)
            if self.hostile.armed:
                await attack.from_gateway(self, frame)
            else:
                await self.to_client(frame)
            self.opened = self.opened or any(message.kind is Kind.OPEN for message in split(frame))

    async def _from_client(self) -> None:
        async for data in self._victim:
            raw = data if isinstance(data, bytes) else data.encode()
            self._tap("client", raw)
            try:
                frame = decode_client_frame(raw)
            except IcwsError:
                await self.to_gateway(raw)
                continue
            self.calls += 1
            if self.hostile.armed:
                await self.hostile.attack.from_client(self, frame)
            else:
                await self.to_gateway(frame)


class HostileGateway:
    """``async with HostileGateway(upstream, attack) as hostile: hostile.url``.

    Args:
        upstream: WebSocket address of the real gateway.
        attack: decides about every frame; may be replaced while running.
        armed: whether the attack is on; may be changed while running. Meanwhile everything passes.
        subprotocol: whether it lets victims speak the subprotocol with the real gateway.
        ic_url: address of the IC, for attacks that submit calls themselves.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        tap: told of all that victims are shown ("gateway") and of all that they say ("client"), for a log.
    """

    def __init__(
        self,
        upstream: str,
        attack: Attack,
        *,
        armed: bool = True,
        subprotocol: bool = True,
        ic_url: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tap: Callable[[str, bytes], None] | None = None,
    ) -> None:
        self.tap = tap
        self.upstream = upstream
        self.attack = attack
        self.armed = armed
        self.subprotocol = subprotocol
        self.ic_url = ic_url
        self.wires: list[Wire] = []
        self.mistakes: list[Exception] = []
        self.url = ""
        self._host = host
        self._port = port
        self._numbers = itertools.count()
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            self._host,
            self._port,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            select_subprotocol=self._select,
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

    async def hang_up(self, code: int = 1001, reason: str = "GoingAway: hostile") -> None:
        """Close the connections of all victims."""
        await asyncio.gather(*(wire.hang_up(code, reason) for wire in self.wires))

    async def submit(self, envelope: Envelope) -> tuple[int, bytes]:
        """Hand a call in at the IC, past every gateway.

        Args:
            envelope: of an update call.

        Returns:
            HTTP status and body of the answer.

        Raises:
            MisuseError: it is no call, or no address of an IC was given.
        """
        if self.ic_url is None or not isinstance(envelope.content, CallContent):
            raise MisuseError("only calls can be submitted, and only to a known IC", reason=Reason.INVALID_ARGUMENT)
        url = self.ic_url.rstrip("/") + call_path(envelope.content.canister_id)
        async with (
            ClientSession() as session,
            session.post(url, data=envelope.encode(), headers={"Content-Type": "application/cbor"}) as answer,
        ):
            return answer.status, await answer.read()

    async def _handle(self, victim: ServerConnection) -> None:
        subprotocols = [victim.subprotocol] if victim.subprotocol is not None else None
        try:
            async with connect(
                self.upstream, subprotocols=subprotocols, compression=None, max_size=MAX_FRAME_BYTES
            ) as upstream:
                wire = Wire(self, next(self._numbers), victim, upstream)
                self.wires.append(wire)
                await wire.run()
        except (OSError, WebSocketException):
            await victim.close(_INTERNAL_ERROR, "")
        except Exception as error:
            self.mistakes.append(error)
            raise

    def _select(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        del connection
        wanted = Subprotocol(SUBPROTOCOL)
        return wanted if self.subprotocol and wanted in offered else None


def _sendable(code: int) -> int:
    # These tell that no code was sent, and must not be sent themselves (RFC 6455, 7.4.1).
    return 1000 if code in _NO_CODE else code
