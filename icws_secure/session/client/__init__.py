"""The client's session: registration, attachments, order, receipts, watchdog, audit, resume and failover."""

from __future__ import annotations

from icws_secure.session.client.actions import Action, Connect, Disconnect, HttpRequest, SaveState, SendFrame
from icws_secure.session.client.channel import PayloadChannel, PayloadOffer
from icws_secure.session.client.config import SUBPROTOCOL, ClientConfig, Confirm, GatewayTarget, Profile, SendVia
from icws_secure.session.client.events import (
    Attached,
    Ended,
    Event,
    GatewayLost,
    Message,
    Opened,
    Registered,
    SendAccepted,
    SendExecuted,
    SendRejected,
    SendRelayed,
    SendUnknown,
)
from icws_secure.session.client.evidence import Evidence, recheck
from icws_secure.session.client.machine import ClientSession
from icws_secure.session.client.table import SessionState

__all__ = [
    "SUBPROTOCOL",
    "Action",
    "Attached",
    "ClientConfig",
    "ClientSession",
    "Confirm",
    "Connect",
    "Disconnect",
    "Ended",
    "Event",
    "Evidence",
    "GatewayLost",
    "GatewayTarget",
    "HttpRequest",
    "Message",
    "Opened",
    "PayloadChannel",
    "PayloadOffer",
    "Profile",
    "Registered",
    "SaveState",
    "SendAccepted",
    "SendExecuted",
    "SendFrame",
    "SendRejected",
    "SendRelayed",
    "SendUnknown",
    "SendVia",
    "SessionState",
    "recheck",
]
