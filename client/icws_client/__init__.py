"""Client of IC WebSocket: sessions with canisters over gateways that need not be trusted.

::

    from icws_client import connect

    async with connect("wss://gateway.example", canister_id="bkyz2-fmaaa-aaaaa-qaaaq-cai") as ws:
        await ws.send(b"hello")  # returns when the canister has provably executed the message
        async for message in ws:  # verified, in order, exactly once
            print(message)
            break

:mod:`icws_client.sync` has the same for programs without an event loop, :mod:`icws_client.callbacks` the manner of a
browser's WebSocket. :class:`Agent` makes ordinary calls, :mod:`icws_client.sessions` lists and ends a user's sessions,
:mod:`icws_client.identities` reads keys.
"""

from icws_client.addresses import MAINNET_URL
from icws_client.agent import Agent
from icws_client.callbacks import IcWebSocket
from icws_client.client import connect
from icws_client.codec import Codec
from icws_client.connection import Connection, Received
from icws_client.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    NoMessage,
    OutcomeUnknown,
)
from icws_client.root_key import MAINNET_ROOT_KEY, fetch_root_key
from icws_secure.session.client import ClientConfig, GatewayTarget

__all__ = [
    "MAINNET_ROOT_KEY",
    "MAINNET_URL",
    "Agent",
    "ClientConfig",
    "Codec",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "GatewayTarget",
    "IcWebSocket",
    "NoMessage",
    "OutcomeUnknown",
    "Received",
    "connect",
    "fetch_root_key",
]
