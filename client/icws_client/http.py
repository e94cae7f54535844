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

__all__ = ["HttpClient", "check_address", "is_loopback", "plain_words"]

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


def check_address(url: str) -> None:
    """Check that *url* is the address of an IC.

    Raises:
        MisuseError: it is not one of HTTP, has no host or an impossible port, or has a user, a query or a fragment.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except (ValueError, AttributeError, TypeError):  # no address at all, or no text
        usable = False
    if not usable or parts.query or parts.fragment:
        raise MisuseError("the address of the IC must be like https://host[:port]", reason=Reason.INVALID_ARGUMENT)


def plain_words(error: Exception) -> str:
    """One line of an error, without what could hold headers or bodies of an answer."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


class HttpClient:
    """HTTP to one base address.

    Args:
        base_url: ``https://icp-api.io`` or ``http://127.0.0.1:4943``: scheme, host and port.
        ssl_context: for certificates that the system does not know; None for the usual ones.

    Raises:
        MisuseError: the address is not one of HTTP or has a query or a fragment.
    """

    def __init__(self, base_url: str, *, ssl_context: ssl.SSLContext | None = None) -> None:
        check_address(base_url)
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise MisuseError("ssl_context is an ssl.SSLContext or None", reason=Reason.WRONG_TYPE)
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
            raise TransportError(
                "the IC did not answer in time", url=self.base_url, method=method, path=path, seconds=timeout_s
            ) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise TransportError(
                f"the IC cannot be reached: {plain_words(error)}", url=self.base_url, method=method, path=path
            ) from error

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
