"""The replica's HTTPS interface over HTTP, with a task that makes blocks.

::

    async with serve_replica(replica) as server:
        print(server.url)

Browsers may use it from any page (CORS), as they may the Internet Computer.

Source: IC interface specification, "HTTPS interface".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Literal

from aiohttp import web

from icws_canister_mock.replica.block_maker import BlockMaker
from icws_canister_mock.replica.endpoint import Endpoint, HttpError
from icws_canister_mock.replica.limits import MAX_INGRESS_BYTES
from icws_canister_mock.replica.rejects import Rejected
from icws_canister_mock.replica.replica import Replica
from icws_canister_mock.replica.requests import Answer, Pending, Requests

__all__ = ["ReplicaServer", "serve_replica"]

_log: Final = logging.getLogger("icws.replica")
_MAX_BODY: Final = MAX_INGRESS_BYTES + 1024  # bytes; above it, aiohttp stops reading
_CBOR: Final = "application/cbor"
_FLAT_RANGES: Final = {"call": ("v2", "v3"), "query": ("v2",), "read_state": ("v2",)}
_CORS: Final = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "600",
}

Operation = Literal["call", "query", "read_state"]
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ReplicaServer:
    """A replica behind HTTP; :func:`serve_replica` makes it.

    Attributes:
        replica: the replica.
        url: where it is reached, without a slash at the end.
        rtt_ms: round-trip time to add to each request, milliseconds; may be changed while it runs.
        withdrawn: endpoints such as ``v3/query`` that answer 404, as if they did not exist; may be changed while it
        runs. sync_call_timeout_ms: how long synchronous call endpoints wait, milliseconds; may be changed while it
        runs.
    """

    def __init__(self, replica: Replica, *, rtt_ms: float) -> None:
        self.replica = replica
        self.url = ""
        self.rtt_ms = rtt_ms
        self.withdrawn: set[str] = set()
        self.sync_call_timeout_ms: float = replica.config.sync_call_timeout_ms
        self._requests = Requests(replica)
        self._blocks = BlockMaker(replica)

    def application(self) -> web.Application:
        """The aiohttp application, without the task that makes blocks."""
        application = web.Application(middlewares=[self._around], client_max_size=_MAX_BODY)
        add = application.router.add_route
        add("GET", "/api/v2/status", self._status)
        for version in ("v2", "v3", "v4"):
            add("POST", f"/api/{version}/canister/{{id}}/call", self._call)
        for version in ("v2", "v3"):
            add("POST", f"/api/{version}/canister/{{id}}/query", self._query)
            add("POST", f"/api/{version}/canister/{{id}}/read_state", self._read_state)
            add("POST", f"/api/{version}/subnet/{{id}}/read_state", self._read_state)
        return application

    @web.middleware
    async def _around(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Round-trip time, CORS, and errors as sentences."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=_CORS)
        delay = self.rtt_ms / 2_000
        if delay:
            await asyncio.sleep(delay)
        try:
            response = await handler(request)
        except HttpError as error:
            response = web.Response(status=error.status, text=error.text)
        except web.HTTPRequestEntityTooLarge:
            response = web.Response(
                status=413, text=f"The request is too large, the limit is {MAX_INGRESS_BYTES} bytes."
            )
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=f"{error.reason}: {request.method} {request.path}"[:200])
        response.headers.update(_CORS)
        if delay:
            await asyncio.sleep(delay)
        return response

    async def _status(self, request: web.Request) -> web.Response:
        return _response(self._requests.status())

    async def _call(self, request: web.Request) -> web.Response:
        version, endpoint, body = await self._read(request, "call")
        taken = self._requests.call(endpoint, body)
        if isinstance(taken, Rejected):
            return _response(self._requests.rejection(taken, with_status=version != "v2"))
        self._blocks.wake()
        answer = None
        if version != "v2":
            answer = await self._outcome(taken, endpoint)
        return _response(answer or self._requests.accepted())

    async def _outcome(self, pending: Pending, endpoint: Endpoint) -> Answer | None:
        """Wait for a call's outcome, up to the limit."""
        answer = self._requests.outcome(pending, endpoint.form)
        if answer is None and await self._blocks.wait_for(pending.request_id, self.sync_call_timeout_ms / 1_000):
            answer = self._requests.outcome(pending, endpoint.form)
        return answer

    async def _query(self, request: web.Request) -> web.Response:
        _, endpoint, body = await self._read(request, "query")
        return _response(self._requests.query(endpoint, body))

    async def _read_state(self, request: web.Request) -> web.Response:
        _, endpoint, body = await self._read(request, "read_state")
        return _response(self._requests.read_state(endpoint, body))

    async def _read(self, request: web.Request, operation: Operation) -> tuple[str, Endpoint, bytes]:
        _, _, version, kind, text, _ = request.path.split("/")
        if f"{version}/{operation}" in self.withdrawn:
            raise HttpError(404, "This endpoint has been withdrawn.")
        flat_ranges = version in _FLAT_RANGES[operation]
        endpoint = Endpoint.parse("subnet" if kind == "subnet" else "canister", text, flat_ranges=flat_ranges)
        if request.content_type != _CBOR:
            raise HttpError(400, f"The content type must be {_CBOR}, this is {request.content_type[:80]}.")
        return version, endpoint, await request.read()


def _response(answer: Answer) -> web.Response:
    if not answer.body:
        return web.Response(status=answer.status)
    return web.Response(status=answer.status, body=answer.body, content_type=_CBOR)


@asynccontextmanager
async def serve_replica(
    replica: Replica, host: str = "127.0.0.1", port: int = 0, *, rtt_ms: float = 0
) -> AsyncIterator[ReplicaServer]:
    """Serve a replica and make blocks while the context is open.

    Args:
        replica: the replica; it may be used directly at the same time, in this event loop.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        rtt_ms: round-trip time to add to each request, milliseconds.

    Raises:
        OSError: the address cannot be listened on.
    """
    server = ReplicaServer(replica, rtt_ms=rtt_ms)
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        server.url = f"http://{f'[{host}]' if ':' in host else host}:{bound[1]}"
        async with server._blocks.running():
            _log.info("replica at %s", server.url)
            yield server
    finally:
        await runner.cleanup()
