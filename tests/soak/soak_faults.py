"""A proxy before the replica that fails now and then, as boundary nodes do."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import aiohttp
from aiohttp import web

__all__ = ["FaultyIc"]

_HANG_SECONDS = 3.0
_KINDS = ("500", "429", "garbage", "hang", "cut", "answer lost")


class FaultyIc:
    """Forwards to a replica; ``async with`` it.

    Args:
        replica: its URL.
        rate: part of the requests that fail; may be changed at any time.
        rng: chooses.
    """

    def __init__(self, replica: str, rate: float, rng: random.Random) -> None:
        self._replica = replica
        self.rate = rate
        self._rng = rng
        self.faults: Counter[str] = Counter()
        self.url = ""

    @property
    def connections(self) -> int:
        """Connections that the gateway keeps open."""
        server = self._runner.server
        return len(server.connections) if server is not None else 0

    async def __aenter__(self) -> FaultyIc:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        application = web.Application(client_max_size=8 << 20)
        application.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        fault = self._rng.choice(_KINDS) if self._rng.random() < self.rate else None
        if fault is not None:
            self.faults[fault] += 1
        match fault:
            case "500":
                return web.Response(status=500)
            case "429":
                return web.Response(status=429)
            case "garbage":
                return web.Response(body=self._rng.randbytes(200), content_type="application/cbor")
            case "hang":
                await asyncio.sleep(_HANG_SECONDS)
            case "cut":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response(status=500)
        async with self._session.request(
            request.method, self._replica + request.path, data=body, headers={"Content-Type": "application/cbor"}
        ) as answer:
            data = await answer.read()
        if fault == "answer lost":
            return web.Response(status=503)
        return web.Response(status=answer.status, body=data, content_type="application/cbor")
