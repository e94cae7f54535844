"""A canister without the kit, for which the relay speaks WebSocket: it counts each user's messages."""

from __future__ import annotations

from typing import Any

from icws_canister_mock.replica.canister_api import Canister, query, update
from icws_secure.wire import cbor

__all__ = ["Counter"]


class Counter(Canister):
    """Answers a message with the number of its owner's messages; the message ``all`` tells all clients the total."""

    def init(self, arg: bytes) -> None:
        """Nobody has sent anything."""
        self.counts: dict[bytes, int] = {}
        self.clients: list[list[Any]] = []

    @update()
    async def on_event(self, arg: bytes) -> bytes:
        """What the relay calls."""
        event: Any = cbor.decode(arg, what="an event")
        relay = self.ic.caller
        if event["kind"] == "open":
            self.clients = [*self.clients, event["client"]]
        elif event["kind"] == "close":
            self.clients = [client for client in self.clients if client != event["client"]]
        else:
            self.counts[event["owner"]] = self.counts.get(event["owner"], 0) + 1
            if event["data"] == b"all":
                total = str(sum(self.counts.values())).encode()
                for client in self.clients:
                    self.ic.notify(relay, "relay_send", cbor.encode({"client": client, "data": b"total " + total}))
                return b""
            return str(self.counts[event["owner"]]).encode()
        return b""

    @query()
    def total(self, arg: bytes) -> bytes:
        """How many messages there were."""
        return str(sum(self.counts.values())).encode()
