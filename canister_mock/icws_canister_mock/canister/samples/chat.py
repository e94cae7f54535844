"""A chat room: what one says, all hear, and whoever comes later hears the last of it."""

from __future__ import annotations

import json
from typing import Final

from ..kit import WebSocketCanister
from ..sockets import Client

__all__ = ["Chat"]

_HISTORY: Final = 20  # lines kept for newcomers
_MAX_TEXT: Final = 2_000  # characters of one line


class Chat(WebSocketCanister):
    """Messages are JSON: a client sends ``{"text": ...}``, and gets ``{"from": ..., "text": ..., "number": ...}``.

    ``from`` is the owner's principal, which nobody can borrow; lines of the room itself have none.
    """

    def on_init(self, arg: bytes) -> None:
        """An empty room."""
        self.lines: list[str] = []
        self.number = 0

    def on_save(self) -> bytes:
        """Lines and their count."""
        return json.dumps({"lines": self.lines, "number": self.number}).encode()

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        """The room as it was."""
        self.on_init(arg)
        if saved:
            state = json.loads(saved)
            self.lines, self.number = state["lines"], state["number"]

    def on_open(self, client: Client) -> None:
        """Tell the newcomer the last lines, and the others that somebody came."""
        for line in self.lines:
            self.ws.send(client, line.encode())
        self._say(None, f"{client.owner} has come")

    def on_message(self, client: Client, data: bytes) -> None:
        """Tell it to all; what is not a line of text is answered with a word to its sender."""
        try:
            text = json.loads(data)["text"]
        except (ValueError, TypeError, LookupError):
            text = None
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT:
            self.ws.send(client, json.dumps({"error": 'send {"text": ...}'}).encode())
            return
        self._say(client, text)

    def on_close(self, client: Client, code: str) -> None:
        """Tell the others."""
        self._say(None, f"{client.owner} has left")

    def _say(self, client: Client | None, text: str) -> None:
        self.number += 1
        line = {"number": self.number, "text": text}
        if client is not None:
            line["from"] = client.owner.to_text()
        encoded = json.dumps(line, ensure_ascii=False)
        self.lines = [*self.lines, encoded][-_HISTORY:]
        # who has too much to acknowledge hears the rest after it has; this line it misses, which the room accepts
        failed = self.ws.broadcast(encoded.encode())
        if failed:
            self.ic.log(f"line {self.number} did not reach {len(failed)} clients")
