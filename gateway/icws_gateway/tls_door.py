"""TCP connections whose TLS handshake is not done: counted, bounded and cut like all others.

The event loop would show a protocol its connection only after the handshake. Until then a stranger could hold any
number of sockets, past the bounds of addresses and of the process, by saying nothing. This door stands before it.
"""

from __future__ import annotations

import asyncio
import ssl
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from .client_socket import ClientSocket, SocketHub

__all__ = ["TlsDoor"]

_EARLY: Final = 0.01  # seconds that a timer may fire before its time


class TlsDoor(asyncio.Protocol):
    """One TCP connection on its way to become a client's socket.

    Args:
        socket: takes over after the handshake.
        hub: counts both.
        context: of the server's certificate.
    """

    def __init__(self, socket: ClientSocket, hub: SocketHub, context: ssl.SSLContext) -> None:
        self._socket = socket
        self._hub = hub
        self._context = context
        self._peer = ""
        self._early: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._shaking: asyncio.Task[None] | None = None

    @property
    def protocol(self) -> ServerProtocol:
        """Of the socket behind; ``websockets`` looks for it at whatever accepts the connection."""
        return self._socket.protocol

    def abort(self) -> None:
        """Cuts the connection."""
        if self._transport is not None:
            self._transport.abort()

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        address = transport.get_extra_info("peername")
        self._peer = address[0] if isinstance(address, tuple) else ""
        # [ICWS-GWY-018] before anything was read
        if not self._hub.enter(self, self._peer):
            self._transport.abort()
            return
        loop = asyncio.get_running_loop()
        seconds = self._hub.config.handshake_timeout_seconds
        work = loop.start_tls(self._transport, self, self._context, server_side=True, ssl_handshake_timeout=seconds)
        # The first step is taken here and now, not when a task gets its turn: uvloop reads in between, and what it
        # reads is the first of the handshake.
        started = _under_way(work, work.send(None))
        self._shaking = loop.create_task(self._shake(self._transport, started, loop.time() + seconds))

    def data_received(self, data: bytes) -> None:
        self._early.append(data)  # came in one piece with the end of the handshake

    async def _shake(self, raw: asyncio.Transport, started: Awaitable[Any], deadline: float) -> None:
        try:
            # [ICWS-GWY-018]
            transport = await started
        except (OSError, RuntimeError):  # ssl.SSLError is an OSError; a transport that is gone is a RuntimeError
            late = asyncio.get_running_loop().time() >= deadline - _EARLY
            metrics = self._hub.metrics
            (metrics.limits.labels("handshake_time") if late else metrics.drops.labels("tls_handshake")).inc()
            raw.abort()
            return
        finally:
            self._hub.leave(self, self._peer)
        if transport is None or transport.is_closing():
            return
        self._hand_over(transport)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        # no await between these: what is counted as a door a moment ago is counted as a socket now
        self._socket.connection_made(transport)
        transport.set_protocol(self._socket)
        for data in self._early:
            self._socket.data_received(data)
        self._early.clear()


@types.coroutine
def _under_way(work: Coroutine[Any, Any, Any], waits_for: Any) -> Generator[Any, Any, Any]:
    """The rest of a coroutine whose first step has been taken, and gave what it waits for."""
    step: Callable[[Any], Any]
    while True:
        try:
            value, step = (yield waits_for), work.send
        except BaseException as error:  # noqa: BLE001 - handed to the coroutine, which raises it
            value, step = error, work.throw
        try:
            waits_for = step(value)
        except StopIteration as end:
            return end.value
