"""HTTP to one origin, lean: kept connections, one request at a time on each, timeouts, bounded replies.

A poll is one request, and in a process that sleeps between polls a general HTTP client costs more than all that is done
with the messages of the answer (ADR 23). Redirects, cookies, proxies and compressed bodies are not for the IC and not
here. Grammar is :mod:`.http_reply`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from typing import Final, cast
from urllib.parse import urlsplit

import aiohappyeyeballs

from .http_reply import HttpFault, HttpReply, ReplyReader
from .slots import Slots

__all__ = ["HttpClient"]

_IDLE_SECONDS: Final = 60.0  # for which a connection is kept that nobody uses
_ADDRESS_SECONDS: Final = 60.0  # for which an address is believed
_NEXT_ADDRESS_SECONDS: Final = 0.25  # after which another address is tried, too (RFC 8305)


class HttpClient:
    """Requests to the origin of ``url``.

    Args:
        url: ``http`` or ``https``, host, maybe port and path; paths of requests are appended to it.
        headers: of every request.
        most_connections: at the same time; further requests wait for one.
        max_body_bytes: of one reply.
    """

    def __init__(self, url: str, *, headers: Mapping[str, str], most_connections: int, max_body_bytes: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = parts.scheme == "https"
        self._port = parts.port or (443 if self._tls else 80)
        self._prefix = parts.path.rstrip("/")
        host = {"Host": parts.netloc.rpartition("@")[2]}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in {**host, **headers}.items())
        self._max_body = max_body_bytes
        self._slots = Slots(most_connections)
        self._idle: deque[_Connection] = deque()  # the one used last is at the end
        self._busy: set[_Connection] = set()
        self._addresses: list[aiohappyeyeballs.AddrInfoType] = []
        self._addresses_until = 0.0
        self._context = _tls_context() if self._tls else None

    async def request(self, method: str, path: str, body: bytes | None, timeout: float) -> HttpReply:  # noqa: ASYNC109
        """One request and its reply, whatever its status.

        Args:
            method: GET or POST.
            path: of printable ASCII without spaces, below the URL's own.
            body: what to post, None for nothing.
            timeout: seconds for all of it, a free connection included.

        Raises:
            TimeoutError: there was no whole reply in time.
            OSError: no connection, or one that broke.
            HttpFault: what came is not an HTTP reply, or is too large.
        """
        head = f"{method} {self._prefix}{path} HTTP/1.1\r\n{self._headers}"
        data = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body if body else f"{head}\r\n".encode()
        async with asyncio.timeout(timeout), self._slots:
            kept = self._kept()
            if kept is not None:
                with contextlib.suppress(_Stale):
                    return await self._exchange(kept, data)
            # a kept connection may have been closed while the request was under way; the IC takes equal ones as one
            return await self._exchange(await self._connect(), data)

    async def close(self) -> None:
        """Closes all connections; what is under way fails."""
        connections = [*self._idle, *self._busy]
        self._idle.clear()
        for connection in connections:
            connection.transport.abort()
        await asyncio.gather(*(connection.lost for connection in connections))

    def _kept(self) -> _Connection | None:
        oldest_allowed = time.monotonic() - _IDLE_SECONDS
        while self._idle and self._idle[0].used_at < oldest_allowed:
            self._idle.popleft().transport.abort()
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    async def _exchange(self, connection: _Connection, data: bytes) -> HttpReply:
        self._busy.add(connection)
        try:
            reply = await connection.exchange(data)
        except BaseException:
            connection.transport.abort()  # its reply may still come, and must not be taken for another's
            raise
        finally:
            self._busy.discard(connection)
        if connection.reusable:
            connection.used_at = time.monotonic()
            self._idle.append(connection)
        else:
            connection.transport.abort()
        return reply

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            sock = await aiohappyeyeballs.start_connection(
                await self._resolve(), happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1, loop=loop
            )
        except OSError:
            self._addresses = []
            raise
        try:
            _, protocol = await loop.create_connection(
                lambda: _Connection(self._max_body),
                sock=sock,
                ssl=self._context,
                server_hostname=self._host if self._tls else None,
            )
        except BaseException:
            sock.close()
            raise
        return protocol

    async def _resolve(self) -> list[aiohappyeyeballs.AddrInfoType]:
        now = time.monotonic()
        if not self._addresses or now >= self._addresses_until:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            self._addresses = [(*entry[:3], "", entry[4]) for entry in found]
            self._addresses_until = now + _ADDRESS_SECONDS
        return self._addresses


class _Stale(ConnectionError):  # noqa: N818 - named for what it is
    """The connection was closed before anything of a reply came."""


class _Connection(asyncio.Protocol):
    """One connection; at most one request is under way on it."""

    transport: asyncio.Transport

    def __init__(self, max_body_bytes: int) -> None:
        self._reader = ReplyReader(max_body_bytes)
        self._reply: asyncio.Future[HttpReply] | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.used_at = 0.0
        self._fresh = True

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""
        return self._reader.reusable and not self.transport.is_closing()

    async def exchange(self, data: bytes) -> HttpReply:
        """Sends a request, gives its reply."""
        self._reply = asyncio.get_running_loop().create_future()
        self._reader.expect()
        self.transport.write(data)
        try:
            return await self._reply
        finally:
            self._reply, self._fresh = None, False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes of a reply."""
        try:
            self._settle(self._reader.feed(data))
        except HttpFault as error:
            self._fail(error)

    def eof_received(self) -> None:
        """The other side sends no more."""
        try:
            self._settle(self._reader.end())
        except HttpFault as error:
            self._fail(self._ended(error))

    def connection_lost(self, error: Exception | None) -> None:
        """It is over."""
        self._fail(self._ended(error or ConnectionResetError("the connection was closed")))
        self.lost.set_result(None)

    def _ended(self, error: Exception) -> Exception:
        if self._reader.untouched and not self._fresh:
            return _Stale(str(error))
        return error

    def _settle(self, reply: HttpReply | None) -> None:
        if reply is not None and self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)
        self.transport.abort()


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
