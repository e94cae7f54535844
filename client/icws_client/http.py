"""Bounded HTTP to the IC: one POST or GET, a deadline, a limit on the answer, and no surprises.

Redirects are not followed and compressed answers are not asked for, so an answer costs what its bytes cost. Nothing
here trusts an answer; that is for the verifier.
"""

from __future__ import annotations

import asyncio
import ssl
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from icws_secure.errors import MisuseError, Reason, TransportError
from icws_secure.limits import MAX_FRAME_BYTES

__all__ = ["HttpClient", "is_loopback"]

MAX_BODY_BYTES: Final = MAX_FRAME_BYTES  # bytes of an answer: a query's reply and its certificate
CHUNK_BYTES: Final = 64 << 10
CONNECTIONS: Final = 16  # sockets to one IC; several messages may be in flight
HEADERS: Final = {"Content-Type": "application/cbor", "Accept-Encoding": "identity"}


def is_loopback(url: str) -> bool:
    """Whether the host in *url* is this machine by its very name: ``localhost``, 127.0.0.0/8 or ``::1``.

    No name is looked up, so that nobody who answers for names decides.
    """
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class HttpClient:
    """HTTP to one base address.

    Args:
        base_url: ``https://icp-api.io`` or ``http://127.0.0.1:4943``: scheme, host and port.
        ssl_context: for certificates that the system does not know; None for the usual ones.

    Raises:
        MisuseError: the address is not one of HTTP or has a query or a fragment.
    """

    def __init__(self, base_url: str, *, ssl_context: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise MisuseError("the address of the IC must be like https://host[:port]", reason=Reason.INVALID_ARGUMENT)
        self.base_url = base_url.rstrip("/")
        self._ssl = ssl_context
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def post(self, path: str, body: bytes, *, timeout_s: float) -> tuple[int, bytes]:
        """POST *body* to *path* and return status and answer, whatever the status is.

        Raises:
            TransportError: no whole answer arrived in time, or it is too large.
        """
        return await self._request("POST", path, body, timeout_s)

    async def get(self, path: str, *, timeout_s: float) -> tuple[int, bytes]:
        """GET *path* and return status and answer, whatever the status is.

        Raises:
            TransportError: no whole answer arrived in time, or it is too large.
        """
        return await self._request("GET", path, None, timeout_s)

    async def close(self) -> None:
        """Close all sockets. Later requests fail; closing twice is fine."""
        self._closed = True
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _request(self, method: str, path: str, body: bytes | None, timeout_s: float) -> tuple[int, bytes]:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._open().request(
                    method, self.base_url + path, data=body, headers=HEADERS, allow_redirects=False
                ) as response,
            ):
                return response.status, await _bounded_body(response)
        except TimeoutError as error:
            raise TransportError("no answer in time", method=method, path=path, seconds=timeout_s) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(f"request failed: {type(error).__name__}", method=method, path=path) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise TransportError("this HTTP client is closed", reason=Reason.CONNECTION_LOST)
        if self._session is None:
            # The session wants a running loop, which there is at the first request and maybe not before.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS, ssl=self._ssl if self._ssl is not None else True),
                auto_decompress=False,
                trust_env=not is_loopback(self.base_url),
                timeout=aiohttp.ClientTimeout(total=None),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session


async def _bounded_body(response: aiohttp.ClientResponse) -> bytes:
    """Read an answer, but not more than :data:`MAX_BODY_BYTES` of it."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise TransportError("the answer is too large", reason=Reason.TOO_LARGE, limit=MAX_BODY_BYTES)
        chunks.append(chunk)
    return b"".join(chunks)
