"""One WebSocket to one gateway, from the attempt to connect to its end.

A link reports to whoever made it by four calls: ``connected`` or ``failed`` once, then ``frame`` for each binary
frame, then ``closed`` once. After :meth:`Link.close` it reports nothing more, whatever still arrives, and is gone
within :data:`CLOSE_TIMEOUT_S`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Final, Protocol
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI, WebSocketException
from websockets.typing import Subprotocol

from icws_client.http import is_loopback, plain_words
from icws_secure.errors import TransportError
from icws_secure.limits import MAX_FRAME_BYTES, NS_PER_S
from icws_secure.session.client import Connect

__all__ = ["Link", "Reports"]

CLOSE_TIMEOUT_S: Final = 2.0  # seconds for the closing handshake; a gateway that stalls may not hold a failover up
PING_INTERVAL_S: Final = 20.0  # keeps middleboxes awake; whether the gateway is alive is for the session to find out
BACKLOG_BYTES: Final = 1 << 20  # bytes handed to a link and not yet to its socket, above which senders wait
ABNORMAL_CLOSURE: Final = 1006


class Reports(Protocol):
    """What a link tells its owner."""

    def connected(self, link: Link, subprotocol: str | None) -> None: ...

    def failed(self, link: Link, error: TransportError) -> None: ...

    def frame(self, link: Link, data: bytes | str) -> None: ...

    def closed(self, link: Link, code: int, reason: str) -> None: ...


class _Opening(connect):
    """The handshake, without redirects: a gateway may not send its clients to addresses that they did not name."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Link:
    """One WebSocket.

    Args:
        action: where to connect, which subprotocols to offer, how long it may take.
        reports: who is told.
        readable: the link reads from its socket only while this is set, so that an application that does not keep up
            slows the gateway down and not the memory up.
        ssl_context: for ``wss``; None for the system's certificates.

    Attributes:
        action: what asked for it.
        task: ends when nothing of the link is left, in bounded time after :meth:`close`.
    """

    def __init__(
        self, action: Connect, reports: Reports, readable: asyncio.Event, ssl_context: ssl.SSLContext | None
    ) -> None:
        self.action = action
        self._reports = reports
        self._readable = readable
        self._ssl = ssl_context
        self._socket: ClientConnection | None = None
        self._outbox: deque[bytes] = deque()
        self._backlog = 0
        self._written = asyncio.Event()
        self._written.set()
        self._wanted = asyncio.Event()
        self._closing: tuple[int, str] | None = None
        self.task = asyncio.create_task(self._live(), name=f"icws link {action.target.url}")

    def send(self, data: bytes) -> None:
        """Queue a frame; it is dropped where the link is closed."""
        if self._closing is not None:
            return
        self._outbox.append(data)
        self._backlog += len(data)
        if self._backlog > BACKLOG_BYTES:
            self._written.clear()
        self._wanted.set()

    async def written(self) -> None:
        """Wait until the socket has taken most of what was sent, or the link is closed."""
        await self._written.wait()

    def close(self, code: int, reason: str) -> None:
        """Say goodbye and go, in the background. What was queued is not waited for."""
        if self._closing is None:
            self._closing = (code, reason)
            self._written.set()
            self.task.cancel()

    async def _live(self) -> None:
        try:
            await self._connect_and_read()
        except asyncio.CancelledError:
            if self._closing is None:  # not by close(): somebody wants the whole program to stop
                raise
        finally:
            self._written.set()
            if self._socket is not None:
                await self._say_goodbye(self._socket)

    async def _connect_and_read(self) -> None:
        try:
            self._socket = await self._connect()
        except TransportError as error:
            self._reports.failed(self, error)
            return
        self._reports.connected(self, self._socket.subprotocol)
        writer = asyncio.create_task(self._write(self._socket), name="icws link writer")
        try:
            code, reason = await self._read(self._socket)
        finally:
            writer.cancel()
            await asyncio.wait((writer,))
        self._reports.closed(self, code, reason)

    async def _connect(self) -> ClientConnection:
        url = self.action.target.url
        seconds = self.action.timeout_ns / NS_PER_S
        try:
            # The limit is for the whole of it: name, TCP, TLS and upgrade.
            async with asyncio.timeout(seconds):
                return await _Opening(
                    url,
                    subprotocols=[Subprotocol(name) for name in self.action.subprotocols] or None,
                    compression=None,  # frames are ciphertext and hashes: compression would only cost memory
                    max_size=MAX_FRAME_BYTES,
                    ping_interval=PING_INTERVAL_S,
                    ping_timeout=None,
                    open_timeout=None,
                    close_timeout=CLOSE_TIMEOUT_S,
                    proxy=None if is_loopback(url) else True,
                    ssl=_tls(url, self._ssl),
                )
        except TimeoutError as error:
            raise TransportError("no connection in time", url=url, seconds=seconds) from error
        except (OSError, InvalidHandshake, InvalidURI, WebSocketException, ValueError, EOFError) as error:
            raise TransportError(f"no connection: {plain_words(error)}", url=url) from error

    async def _read(self, socket: ClientConnection) -> tuple[int, str]:
        """Report frames until the socket closes; return the code and reason of its end."""
        try:
            while True:
                await self._readable.wait()
                self._reports.frame(self, await socket.recv())
        except ConnectionClosed as error:
            received = error.rcvd
            return (received.code, received.reason) if received is not None else (ABNORMAL_CLOSURE, "")

    async def _write(self, socket: ClientConnection) -> None:
        try:
            while True:
                while self._outbox:
                    data = self._outbox.popleft()
                    await socket.send(data)
                    self._backlog -= len(data)
                    if self._backlog <= BACKLOG_BYTES:
                        self._written.set()
                self._wanted.clear()
                await self._wanted.wait()
        except ConnectionClosed:
            self._written.set()  # the reader reports it

    async def _say_goodbye(self, socket: ClientConnection) -> None:
        code, reason = self._closing if self._closing is not None else (1000, "")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await socket.close(code, reason)
        except (TimeoutError, OSError, WebSocketException):
            pass
        finally:
            socket.transport.abort()


def _tls(url: str, context: ssl.SSLContext | None) -> ssl.SSLContext | bool | None:
    """Return what the transport wants: True stands for the system's certificates, None for no TLS."""
    if urlsplit(url).scheme != "wss":
        return None
    return True if context is None else context
