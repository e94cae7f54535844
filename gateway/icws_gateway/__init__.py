"""The gateway: an untrusted relay between WebSocket clients and canisters of the Internet Computer.

It speaks ``omnia/1`` as deployed and ``icws-secure/1``. Nothing rests on its honesty: clients verify what it delivers,
canisters what it relays. Its own checks protect the gateway, its other clients, and the IC from strangers.
"""

from __future__ import annotations

from .config import GatewayConfig
from .server import Gateway, serve_gateway

__all__ = ["Gateway", "GatewayConfig", "serve_gateway"]
