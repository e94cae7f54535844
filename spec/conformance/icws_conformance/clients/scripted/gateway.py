"""A gateway of a scripted case: it relays to the canister of the case, and shows what the case wants shown."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from icws_conformance.clients.scripted.canister import Proof, Queued
from icws_secure.errors import IcwsError
from icws_secure.limits import MAX_FRAME_BYTES
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    GatewayFrame,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessagesFrame,
    ReceiptFrame,
    ReceiptStatus,
    decode_client_frame,
)

if TYPE_CHECKING:
    from icws_conformance.clients.scripted.stage import Stage

__all__ = ["ScriptedGateway"]

_SEED: Final = b"a gateway of the conformance sui"


class ScriptedGateway:
    """``async with ScriptedGateway(stage, 0) as gateway: gateway.url``.

    Attributes:
        principal: what it presents.
        url: where it listens.
        gives_receipts: whether it tells what became of calls.
        delivers: whether it passes on what the canister queues.
        connections: how often a client has connected.
    """

    def __init__(self, stage: Stage, number: int) -> None:
        self._stage = stage
        self.name = f"gateway {number + 1}"
        self.principal = Ed25519Identity(_SEED[:-1] + bytes((number,))).principal
        self.url = ""
        self.gives_receipts = True
        self.delivers = True
        self.greets = True
        self.connections = 0
        self._ended = 0
        self._hung_up = 0
        self._peer: ServerConnection | None = None
        self._server: Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle,
            "127.0.0.1",
            0,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,
            max_size=MAX_FRAME_BYTES,
        )
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    @property
    def was_left(self) -> bool:
        """Whether a client has ended a connection."""
        return self._ended > self._hung_up

    async def hang_up(self, code: int = 1001, reason: str = "GoingAway") -> None:
        """Close the client's connection."""
        if self._peer is not None:
            self._hung_up += 1
            await self._peer.close(code, reason)

    async def deliver(self) -> None:
        """Pass on what the canister has queued, if this gateway does."""
        if self._peer is None or not self.delivers:
            return
        entries = self._stage.canister.take_queue(self.principal)
        for start in range(0, len(entries), 50):
            await self.show(*entries[start : start + 50])

    async def show(self, *entries: Queued, proof: Proof | None = None) -> None:
        """Show messages under one certificate."""
        found = proof or self._stage.canister.proof(*entries)
        messages = tuple(KeyedContent(entry.key, entry.content) for entry in entries)
        await self.frame(MessagesFrame(messages, found.cert, found.tree))

    async def head(self, proof: Proof | None = None) -> None:
        """Show the session's head."""
        found = proof or self._stage.canister.proof()
        await self.frame(HeadFrame(found.cert, found.tree))

    async def receipt(self, request_id: bytes, leaves: dict[str, bytes]) -> None:
        """Show what became of a call, if this gateway does."""
        if self.gives_receipts:
            certificate = self._stage.canister.receipt(request_id, leaves)
            await self.frame(ReceiptFrame(request_id, ReceiptStatus.CERTIFICATE, certificate))

    async def pending(self, request_id: bytes) -> None:
        """Say that a call has no answer yet."""
        await self.frame(ReceiptFrame(request_id, ReceiptStatus.PENDING))

    async def frame(self, frame: GatewayFrame | bytes) -> None:
        """Send a frame to the client, if there is one."""
        data = frame if isinstance(frame, bytes) else frame.encode()
        self._stage.log.sent(self.name, "client", "frame", data)
        if self._peer is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._peer.send(data)

    async def _handle(self, peer: ServerConnection) -> None:
        self.connections += 1
        self._peer = peer
        try:
            if self.greets:
                version = SUBPROTOCOL if peer.subprotocol == SUBPROTOCOL else None
                await self.frame(Handshake(self.principal, version))
            async for data in peer:
                raw = data if isinstance(data, bytes) else data.encode()
                self._stage.log.sent("client", self.name, "frame", raw)
                with contextlib.suppress(IcwsError):
                    await self._stage.relayed(self, decode_client_frame(raw).envelope)
        except ConnectionClosed:
            pass
        finally:
            self._ended += 1
            if self._peer is peer:
                self._peer = None
