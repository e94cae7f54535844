"""The few pages that the gateway serves over plain HTTP: health, readiness, metrics."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from .config import GatewayConfig

__all__ = ["PageSource", "plain_page"]

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class PageSource(Protocol):
    """What the pages show."""

    async def figures(self) -> bytes:
        """The metrics in Prometheus' text format."""

    @property
    def config(self) -> GatewayConfig:
        """The settings in effect."""

    @property
    def is_ready(self) -> bool:
        """Whether new clients are welcome."""


async def plain_page(gateway: PageSource, request: Request, peer: str) -> Response | None:
    """The answer to a plain HTTP request, or None for a WebSocket's.

    ``/health``: the process serves. ``/ready``: it takes new clients, otherwise 503. ``/metrics``: Prometheus' format,
    for whom the settings say.
    """
    path = request.path.partition("?")[0]
    if path == "/health":
        return _page(HTTPStatus.OK, b"ok\n")
    if path == "/ready":
        if gateway.is_ready:
            return _page(HTTPStatus.OK, b"ready\n")
        return _page(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")
    if path == "/metrics":
        if _may_read_metrics(gateway.config.metrics, request.headers, peer):
            return _page(HTTPStatus.OK, await gateway.figures(), _METRICS)
        return _page(HTTPStatus.NOT_FOUND, b"not here\n")
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        return _page(HTTPStatus.UPGRADE_REQUIRED, b"this is an IC WebSocket gateway\n")
    return None


def _may_read_metrics(who: str, headers: Headers, peer: str) -> bool:
    if who != "loopback":
        return who == "public"
    # a proxy on this machine makes everybody look local; it says so
    if "X-Forwarded-For" in headers or "Forwarded" in headers:
        return False
    try:
        return ip_address(peer).is_loopback
    except ValueError:
        return False


def _page(status: HTTPStatus, body: bytes, kind: str = _TEXT) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    if status is HTTPStatus.UPGRADE_REQUIRED:
        headers["Upgrade"] = "websocket"
    return Response(status.value, status.phrase, headers, body)
