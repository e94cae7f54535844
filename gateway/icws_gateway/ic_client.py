"""The gateway's requests to the IC: one HTTP client, endpoint versions with fallback, typed failures.

Nothing here retries: callers know what a failure means to them. Redirects are not followed, bodies are bounded, and
whatever the other side sends becomes a value or one of the project's errors.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, cast

from icws_secure.errors import IcwsError, Reason, TransportError
from icws_secure.limits import MAX_REPLY_BYTES, NS_PER_S
from icws_secure.sign.identity import Identity
from icws_secure.sign.request import sign_query
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.http import (
    CONTENT_TYPE,
    STATUS_PATH,
    CallResponse,
    QueryResponse,
    ReplicaStatus,
    call_path,
    parse_call_response,
    parse_query_response,
    parse_read_state_response,
    parse_status_response,
    query_path,
    read_state_path,
)
from icws_secure.wire.principal import Principal

from .config import GatewayConfig
from .descriptors import Descriptors
from .endpoints import EndpointVersions
from .http_client import HttpClient
from .http_reply import HttpFault, HttpReply, ReplyTooLarge
from .metrics import GatewayMetrics

__all__ = ["IcClient", "error_kind"]

_OVERHEAD: Final = 128 << 10  # bytes of an answer around its reply or certificate
_MAX_BODY: Final = MAX_REPLY_BYTES + _OVERHEAD
_QUERY_TTL_NS: Final = 240 * NS_PER_S
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_HEADERS: Final = {"Content-Type": CONTENT_TYPE, "Accept": CONTENT_TYPE, "Accept-Encoding": "identity"}


class IcClient:
    """Requests to one IC.

    Args:
        config: its URL, timeouts and bounds.
        identity: who polls.
        metrics: failures are counted there.

    Attributes:
        answered_at: when the IC last answered with anything but a failure of its own, seconds of the monotonic clock;
            None before the first time.
    """

    def __init__(self, config: GatewayConfig, identity: Identity, metrics: GatewayMetrics) -> None:
        self._url = config.ic_url
        self._identity = identity
        self._metrics = metrics
        self._call_timeout = config.call_timeout_seconds
        self._poll_timeout = config.poll_timeout_seconds
        self._most_connections = Descriptors.divided(config).ic_connections
        self._calls = EndpointVersions((4, 3, 2), config.endpoint_reprobe_seconds)
        self._queries = EndpointVersions((3, 2), config.endpoint_reprobe_seconds)
        self._reads = EndpointVersions((3, 2), config.endpoint_reprobe_seconds)
        self._http: HttpClient | None = None
        self.answered_at: float | None = None

    async def start(self) -> None:
        """Makes the HTTP client, in the running loop."""
        self._http = HttpClient(
            self._url, headers=_HEADERS, most_connections=self._most_connections, max_body_bytes=_MAX_BODY
        )

    async def stop(self) -> None:
        """Closes its connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    async def status(self) -> ReplicaStatus:
        """What the replica says about itself.

        Raises:
            IcwsError: it cannot be reached, or its answer is malformed.
        """
        status, body = await self._request("GET", STATUS_PATH, None, self._poll_timeout)
        return parse_status_response(status, body)

    async def call(self, canister: Principal, body: bytes) -> CallResponse:
        """Submits a call to the newest call endpoint that the IC has.

        Raises:
            TransportError: no answer, or an HTTP error; ``facts["status"]`` has its number.
            DecodeError: the answer is malformed.
        """
        status, answer, _ = await self._newest(
            self._calls, lambda version: call_path(canister, version), body, self._call_timeout
        )
        return parse_call_response(status, answer)

    async def query(
        self, canister: Principal, method: str, arg: bytes, *, prefer: int | None = None
    ) -> tuple[QueryContent, QueryResponse, int]:
        """Asks as the gateway.

        Args:
            canister: who is asked.
            method: which method.
            arg: its Candid argument.
            prefer: version of the endpoint that suits; None for the newest.

        Returns:
            What was asked (to check node signatures with), the answer, and the version that gave it.

        Raises:
            TransportError: no answer, or an HTTP error.
            DecodeError: the answer is malformed.
        """
        envelope = sign_query(
            self._identity,
            canister_id=canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=time.time_ns() + _QUERY_TTL_NS,
            nonce=secrets.token_bytes(16),
        )
        status, answer, version = await self._newest(
            self._queries, lambda v: query_path(canister, v), envelope.encode(), self._poll_timeout, prefer
        )
        return cast(QueryContent, envelope.content), parse_query_response(status, answer), version

    async def read_state(self, canister: Principal, body: bytes) -> bytes:
        """Asks for a certificate; ``body`` is the encoded envelope.

        Raises:
            TransportError: no answer, or an HTTP error.
            DecodeError: the answer is malformed.
        """
        status, answer, _ = await self._newest(
            self._reads, lambda version: read_state_path(canister, version), body, self._poll_timeout
        )
        return parse_read_state_response(status, answer)

    async def _newest(
        self,
        versions: EndpointVersions,
        path: Callable[..., str],
        body: bytes,
        timeout: float,  # noqa: ASYNC109 - handed on to the HTTP client, which measures more than this coroutine
        prefer: int | None = None,
    ) -> tuple[int, bytes, int]:
        """Posts to one version after another until one is there."""
        loop = asyncio.get_running_loop()
        tried: tuple[int, ...] = ()
        status, answer, version = 0, b"", 0
        for version in versions.order(loop.time(), prefer):
            status, answer = await self._request("POST", path(version), body, timeout)
            if status not in _GONE:
                versions.answered(version, tried, loop.time())
                break
            tried = (*tried, version)
        return status, answer, version

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout: float,  # noqa: ASYNC109 - as above
    ) -> HttpReply:
        if self._http is None:
            raise TransportError("the client is not started", reason=Reason.WRONG_STATE)
        try:
            reply = await self._http.request(method, path, body, timeout)
        except TimeoutError as error:
            raise TransportError("no answer in time", reason=Reason.CONNECTION_FAILED, detail="timeout") from error
        except ReplyTooLarge as error:
            raise TransportError("the answer is too large", reason=Reason.TOO_LARGE) from error
        except (HttpFault, OSError) as error:
            raise TransportError(
                "the request failed", reason=Reason.CONNECTION_FAILED, detail=type(error).__name__
            ) from error
        if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            self.answered_at = time.monotonic()
        return reply


def error_kind(error: IcwsError) -> str:
    """Label of a failure for the metric: a closed list."""
    if isinstance(error, TransportError):
        status = error.facts.get("status")
        if isinstance(status, int):
            return "429" if status == HTTPStatus.TOO_MANY_REQUESTS else f"{status // 100}xx"
        return "timeout" if error.facts.get("detail") == "timeout" else "connection"
    return "malformed"
