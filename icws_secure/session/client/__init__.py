"""The client's session: registration, attachments, order, receipts, watchdog, audit, resume and failover."""

from __future__ import annotations

from .actions import Action, Connect, Disconnect, HttpRequest, SaveState, SendFrame
from .channel import PayloadChannel, PayloadOffer
from .config import SUBPROTOCOL, ClientConfig, Confirm, GatewayTarget, Profile, SendVia
from .events import (
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
from .evidence import Evidence, recheck
from .machine import ClientSession
from .payload import SuiteChannel
from .table import SessionState

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
    "SuiteChannel",
    "recheck",
]
