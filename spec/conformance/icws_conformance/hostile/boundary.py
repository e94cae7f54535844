"""A hostile boundary node: an HTTP relay before the IC that changes, refuses or withholds what it is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import ClientSession, web

__all__ = ["Answer", "Hook", "HostileBoundary"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, body and content type."""

    status: int
    body: bytes
    content_type: str = "application/cbor"


Fetch = Callable[[], Awaitable[Answer]]
Hook = Callable[[str, bytes, Fetch], Awaitable[Answer]]
"""(path, request body, fetch) -> answer; ``fetch`` asks the real IC."""


async def _honest(path: str, body: bytes, fetch: Fetch) -> Answer:
    del path, body
    return await fetch()


class HostileBoundary:
    """``async with HostileBoundary(ic_url, hook) as node: node.url``."""

    def __init__(self, ic_url: str, hook: Hook = _honest, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.ic_url = ic_url.rstrip("/")
        self.hook = hook
        self._host = host
        self._port = port
        self.url = ""
        self._session: ClientSession | None = None
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession()
        app = web.Application(client_max_size=4 << 20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{self._host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _handle(self, request: web.Request) -> web.Response:
        body = await request.read()

        async def fetch() -> Answer:
            if self._session is None:
                return Answer(503, b"closed", "text/plain")
            async with self._session.request(
                request.method,
                self.ic_url + request.path,
                data=body or None,
                headers={"Content-Type": request.content_type},
            ) as answer:
                return Answer(answer.status, await answer.read(), answer.content_type)

        answer = await self.hook(request.path, body, fetch)
        return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)
