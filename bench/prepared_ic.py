"""An IC that has every answer ready: a process of its own, so that it is never what a benchmark measures.

    python bench/prepared_ic.py          (bench/stage.py starts it and speaks to it in JSON lines)

It answers over HTTP as a replica would: status, calls, and polls of prepared queues after a chosen round trip. Messages
become visible when they are released. Requests are not verified; that the gateway signs them is for its own tests.

Commands, one JSON object a line, each answered by one line:

* the first line: ``gateway`` (principal, hex), ``queues`` (specifications), ``round_trip`` (seconds)
* ``{"release": {canister: [pages, messages a second]}}``: the next pages become visible; 0 a second: all at once
* ``{"round_trip": seconds}``, ``{"stop": canister}``, ``{"counts": null}``
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any, Final, cast

from queues import EMPTY_REPLY, PAGE, PreparedCanister, PreparedIc, QueueSpec, Signer, client_key

from icws_secure.wire import cbor
from icws_secure.wire.envelope import Envelope, QueryContent
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.head import SessionHead, encode_epoch
from icws_secure.wire.interface import decode_get_messages_argument
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Audit, SessionState, decode_audit_argument, encode_audit_result

_IRREGULAR: Final = 0.8  # of the time between two pages
_STOPPED: Final = cbor.encode_self_described(
    {"status": "rejected", "reject_code": 5, "reject_message": "Canister is stopped", "error_code": "IC0508"}
)


def _http(body: bytes, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/cbor\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _replied(arg: bytes) -> bytes:
    return _http(cbor.encode_self_described({"status": "replied", "reply": {"arg": arg}, "signatures": []}))


class Queue:
    """What is visible of one canister's queue, and when the rest will be."""

    def __init__(self, canister: PreparedCanister) -> None:
        self.stopped = False
        self.released = 0  # pages
        self.polls = 0
        self.first_poll_at: float | None = None
        self._ready: dict[int, float] = {}
        self._answers = {first: tuple(map(_replied, pair)) for first, pair in canister.replies.items()}
        self._next_to_come = _replied(EMPTY_REPLY)

    def release(self, pages: int, per_second: float, now: float) -> list[tuple[int, float]]:
        """The next pages become visible one after another; gives the first place and time of each. They come a little
        irregularly: such as come in a beat fall into step with the polls, by chance in a good or a bad one.

        Raises:
            ValueError: there are not so many left.
        """
        first = self.released
        if (first + pages - 1) * PAGE not in self._answers:
            raise ValueError("so many pages were not prepared")
        gap = PAGE / per_second if per_second else 0.0
        chance = random.Random(first)  # noqa: S311
        times = [(PAGE * (first + n), now + gap * (n + _IRREGULAR * chance.random())) for n in range(pages)]
        self._ready |= dict(times)
        self.released += pages
        return times

    def answer(self, nonce: int, now: float) -> bytes:
        """The answer to a poll.

        Raises:
            ValueError: nothing was prepared for that place.
        """
        self.polls += 1
        if self._ready.get(nonce, now + 1) > now:
            if nonce % PAGE:
                raise ValueError(f"a poll at {nonce}, which is inside a page")
            return self._next_to_come
        if self.first_poll_at is None:
            self.first_poll_at = now
        more, end = self._answers[nonce]
        return more if self._ready.get(nonce + PAGE, now + 1) <= now else end


class Heads:
    """Certified heads of a canister's sessions, all alike."""

    def __init__(self, canister: PreparedCanister, ic: PreparedIc) -> None:
        self._canister, self._ic = canister, ic
        self._made: tuple[MerkleMap, bytes] | None = None

    def answer(self, arg: bytes) -> bytes:
        """The answer to an audit."""
        sessions = decode_audit_argument(arg)
        if self._made is None:
            self._made = self._make()
        whole, certificate = self._made
        paths = [(b"icws", b"epoch"), *((b"icws", b"head", session.raw) for session in sessions)]
        tree = encode_tree(whole.witness(paths))
        head = self._head()
        return _replied(encode_audit_result(Audit(7, tuple(head for _ in sessions), certificate, tree)))

    def _head(self) -> bytes:
        return SessionHead(bytes(16), 1, SessionState.OPEN, 1, 1, 0, 0, 1, 1, 1 << 62).encode()

    def _make(self) -> tuple[MerkleMap, bytes]:
        spec = self._canister.spec
        keys = (client_key(spec.first_client + n).client_principal.raw for n in range(spec.clients))
        heads = MerkleMap.from_items(dict.fromkeys(keys, self._head()))
        icws = MerkleMap.from_items({b"epoch": encode_epoch(7), b"head": heads})
        whole = MerkleMap.from_items({b"icws": icws})
        certificate = self._ic.forge.certificate(
            canister_id=self._canister.id,
            certified_data=whole.digest(),
            time_ns=self._ic.forge.now(),
            subnet=Signer.OWN,
        )
        return whole, certificate


class Server:
    """All answers."""

    def __init__(self, order: dict[str, Any]) -> None:
        specs = tuple(QueueSpec(**spec) for spec in order["queues"])
        ic = PreparedIc(Principal(bytes.fromhex(order["gateway"])), specs)
        self.root_key = ic.root_key_der
        self.round_trip = float(order["round_trip"])
        self.ids = [canister.id for canister in ic.canisters]
        self.queues = {canister.id.to_text(): Queue(canister) for canister in ic.canisters}
        self._heads = {canister.id.to_text(): Heads(canister, ic) for canister in ic.canisters}
        self._status = _http(
            cbor.encode_self_described({"root_key": ic.root_key_der, "replica_health_status": "healthy"})
        )
        certificate = ic.forge.receipt(
            canister_id=ic.canisters[0].id,
            request_id=bytes(32),
            status={"status": b"replied", "reply": b"DIDL\x00\x00"},
            time_ns=ic.forge.now(),
            subnet=Signer.OWN,
        )
        self._call = _http(cbor.encode_self_described({"status": "replied", "certificate": certificate}))
        self.calls = 0
        self.audits = 0
        self.wrong: list[str] = []

    def answer(self, path: str, body: bytes) -> bytes:
        """The answer to a request."""
        parts = path.split("/")
        if len(parts) < 6:
            return self._status
        kind, queue = parts[5], self.queues[parts[4]]
        if kind == "call":
            self.calls += 1
            return self._call
        content = Envelope.decode(body).content
        if not isinstance(content, QueryContent):
            return _http(b"", "400 Bad Request")
        if queue.stopped:
            return _http(_STOPPED)
        if content.method_name == "ws_audit":
            self.audits += 1
            return self._heads[parts[4]].answer(content.arg)
        try:
            return queue.answer(decode_get_messages_argument(content.arg), time.monotonic())
        except ValueError as error:
            self.wrong.append(str(error))
            return _http(b"", "400 Bad Request")

    def command(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out a command."""
        queues = list(self.queues.values())
        if "release" in order:
            now = time.monotonic()
            return {
                "released": {
                    name: queues[int(name)].release(pages, per_second, now)
                    for name, (pages, per_second) in order["release"].items()
                }
            }
        if "round_trip" in order:
            self.round_trip = float(order["round_trip"])
        elif "stop" in order:
            queues[order["stop"]].stopped = True
        return {
            "calls": self.calls,
            "audits": self.audits,
            "polls": [queue.polls for queue in queues],
            "wrong": self.wrong,
        }


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection of the gateway."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].decode("latin-1")
            length = 0
            for line in head.split("\r\n")[1:]:
                name, _, value = line.partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            path = head.split(" ", 2)[1]
            # what was asked for is looked up in the middle of the round trip
            half = self._server.round_trip / 2
            loop = asyncio.get_running_loop()
            if half:
                loop.call_later(half, self._look_up, path, body, half)
            else:
                self._send(self._server.answer(path, body))

    def _look_up(self, path: str, body: bytes, half: float) -> None:
        answer = self._server.answer(path, body)
        asyncio.get_running_loop().call_later(half, self._send, answer)

    def _send(self, answer: bytes) -> None:
        self._transport.write(answer)


async def serve(line: Callable[[], str]) -> None:
    """Serve until stdin ends."""
    server = Server(json.loads(line()))
    gc.collect()
    gc.freeze()
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: Connection(server), "127.0.0.1", 0, backlog=1_024)
    port = listener.sockets[0].getsockname()[1]
    _say({"url": f"http://127.0.0.1:{port}", "canisters": [i.raw.hex() for i in server.ids],
          "root_key": server.root_key.hex()})  # fmt: skip
    while text := await loop.run_in_executor(None, line):
        _say(server.command(json.loads(text)))


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(sys.stdin.readline))
