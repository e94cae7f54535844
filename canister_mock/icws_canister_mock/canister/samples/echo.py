"""Says back what it is told."""

from __future__ import annotations

from ..kit import WebSocketCanister
from ..sockets import Client

__all__ = ["Echo"]


class Echo(WebSocketCanister):
    """Sends every message back. The message ``trap`` makes its handler fail, ``close`` ends the session."""

    def on_message(self, client: Client, data: bytes) -> None:
        """Send it back."""
        if data == b"trap":
            self.ic.trap("as you wish")
        if data == b"close":
            self.ws.close(client)
            return
        self.ws.send(client, data)
