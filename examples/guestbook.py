"""A canister of one's own: a guest book that greets whoever comes and answers ordinary queries too.

PYTHONPATH=examples icws dev --canister guestbook=guestbook:Guestbook
"""

import json

from icws_canister_mock.canister import Client, WebSocketCanister, query


class Guestbook(WebSocketCanister):
    """Each message is a line in the book; everybody who is there is told."""

    def on_init(self, arg: bytes) -> None:
        self.lines: list[str] = []

    def on_open(self, client: Client) -> None:
        self.ws.send(client, f"Welcome. {len(self.lines)} people were here before you.".encode())

    def on_message(self, client: Client, data: bytes) -> None:
        if not data.strip():
            self.ic.trap("an empty line is no entry")  # undoes this message's changes, and on_error is told
        # who wrote it is certain: the client's library and the IC have checked the signature
        self.lines.append(f"{client.owner}: {data.decode('utf-8', 'replace')}")
        self.ws.broadcast(self.lines[-1].encode())

    def on_error(self, client: Client, error: str) -> None:
        self.ws.send(client, f"Not written: {error}".encode())

    def on_save(self) -> bytes:
        return json.dumps(self.lines).encode()

    def on_restore(self, arg: bytes, saved: bytes) -> None:
        self.lines = json.loads(saved) if saved else []

    @query()
    def pages(self, arg: bytes) -> bytes:
        return json.dumps(self.lines).encode()
