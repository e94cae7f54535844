"""The kit for canisters that speak WebSocket::

    class Echo(WebSocketCanister):
        def on_message(self, client: Client, data: bytes) -> None:
            self.ws.send(client, data)

Both profiles, resume, audit and the rest are the kit's; the canister has its handlers, its own update and query methods
beside them (:func:`update`, :func:`query`), and its state in ordinary attributes.
"""

from __future__ import annotations

from icws_canister_mock.replica.canister_api import query, update
from icws_secure.session.canister import OMNIA, SECURE, CanisterConfig

from .kit import WebSocketCanister
from .sockets import Client, WebSockets

__all__ = ["OMNIA", "SECURE", "CanisterConfig", "Client", "WebSocketCanister", "WebSockets", "query", "update"]
