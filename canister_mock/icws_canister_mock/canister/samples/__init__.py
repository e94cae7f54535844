"""Canisters to try things with, and to read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from icws_canister_mock.replica.canister_api import Canister

from .chat import Chat
from .counter import Counter
from .echo import Echo
from .relay import Relay
from .sealed_room import SealedRoom
from .ticker import Ticker

__all__ = ["SAMPLES", "Chat", "Counter", "Echo", "Relay", "SealedRoom", "Ticker"]

SAMPLES: Final[Mapping[str, type[Canister]]] = MappingProxyType(
    {
        "echo": Echo,
        "echo-omnia": Echo.configured(profiles=frozenset({"omnia"})),
        "chat": Chat,
        "sealed-room": SealedRoom,
        "ticker": Ticker,
        "relay": Relay,
        "counter": Counter,
    }
)
"""The samples by name, as ``icws replica --canister NAME`` knows them."""
