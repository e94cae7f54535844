"""The few pages that the gateway serves over plain HTTP: health, readiness, metrics, status."""

from __future__ import annotations

from http import HTTPStatus
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from .config import GatewayConfig
from .status_page import HEADERS as STATUS_HEADERS

__all__ = ["PageSource", "plain_page"]

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class PageSource(Protocol):
    """What the pages show."""

    async def figures(self) -> bytes:
        """The metrics in Prometheus' text format."""

    def status(self) -> bytes:
        """The page for people, in HTML."""

    @property
    def config(self) -> GatewayConfig:
        """The settings in effect."""

    @property
    def is_ready(self) -> bool:
        """Whether new clients are welcome."""


async def plain_page(gateway: PageSource, request: Request, peer: str) -> Response | None:
    """The answer to a plain HTTP request, or None for a WebSocket's.

    ``/health``: the process serves. ``/ready``: it takes new clients, otherwise 503. ``/metrics``: Prometheus' format,
    ``/status``: a page for people; both for whom the settings say.
    """
    path = request.path.partition("?")[0]
    if path == "/health":
        return _page(HTTPStatus.OK, b"ok\n")
    if path == "/ready":
        if gateway.is_ready:
            return _page(HTTPStatus.OK, b"ready\n")
        return _page(HTTPStatus.SERVICE_UNAVAILABLE, b"not ready\n")
    if path == "/metrics":
        if _may_read(gateway.config.metrics, request.headers, peer):
            return _page(HTTPStatus.OK, await gateway.figures(), _METRICS)
        return _page(HTTPStatus.NOT_FOUND, b"not here\n")
    if path == "/status":
        if _may_see_status(gateway.config, request.headers, peer):
            response = _page(HTTPStatus.OK, gateway.status(), _HTML)
            response.headers.update(STATUS_HEADERS)
            return response
        return _page(HTTPStatus.NOT_FOUND, b"not here\n")
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        return _page(HTTPStatus.UPGRADE_REQUIRED, b"this is an IC WebSocket gateway\n")
    allowed = gateway.config.allowed_origins
    origins = request.headers.get_all("Origin")
    if allowed and (len(origins) != 1 or origins[0] not in allowed):
        return _page(HTTPStatus.FORBIDDEN, b"this origin may not connect here\n")
    return None


def _may_see_status(config: GatewayConfig, headers: Headers, peer: str) -> bool:
    who = config.status_page
    if who == "auto":
        who = "loopback" if _is_local(config.host) else "off"
    # a page from elsewhere whose name points to this machine must not read it in the browser of somebody here
    if who == "loopback" and not _is_local(urlsplit(f"//{headers.get('Host', '')}").hostname or ""):
        return False
    return _may_read(who, headers, peer)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _may_read(who: str, headers: Headers, peer: str) -> bool:
    if who != "loopback":
        return who == "public"
    # a proxy on this machine makes everybody look local; it says so
    if "X-Forwarded-For" in headers or "Forwarded" in headers:
        return False
    return _is_local(peer)


def _page(status: HTTPStatus, body: bytes, kind: str = _TEXT) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    if status is HTTPStatus.UPGRADE_REQUIRED:
        headers["Upgrade"] = "websocket"
    return Response(status.value, status.phrase, headers, body)
