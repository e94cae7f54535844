"""Clients that cost as little as a client can, a process of their own: raw sockets, one loop, nothing is decoded.

    python bench/light_clients.py          (bench/stage.py starts it and speaks to it in JSON lines)

They find where one message begins and note when it came. That what they are sent is genuine is shown on samples, which
the stage verifies as a client would, outside of what is measured.

Commands, one JSON object a line, each answered by one line:

* the first line: ``port``, ``gateway`` and ``canisters`` (principals, hex), ``queues`` (specifications), ``modern``,
  ``tls``
* ``{"open": null}``: connects all, a few at a time; answered when every open was sent
* ``{"expect": n}``: counts anew; ``{"collect": seconds}`` is answered when so many messages have come, or not in time
* ``{"stall": client}``: it stops to read
* ``{"call": [n, calls a second]}``: clients take turns; answered when every receipt has come (with our subprotocol)
* ``{"samples": n}``: the last frame of each of so many clients
"""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from processes import any_certificate
from queues import QueueSpec, client_identity, client_key

from icws_secure.sign.request import sign_call
from icws_secure.wire.frames import SUBPROTOCOL, ClientFrame
from icws_secure.wire.interface import (
    OpenArgument,
    SecureOpen,
    WebsocketMessage,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.principal import Principal

_AT_A_TIME: Final = 100  # clients that are on their way from connecting to their open
_CHUNK: Final = 1 << 18  # bytes read at once
_LOOK: Final = 0.001  # seconds between looks; see turn()
_TTL_NS: Final = 120 * 10**9
_KEY: Final = b"\x63key\x78\x54"  # before the 84 characters of a message's key
_RECEIPT: Final = b"\xd9\xd9\xf7\xa1\x67receipt"
_BINARY, _CLOSE, _PING, _PONG = 0x82, 0x88, 0x89, 0x8A
_TLS, _HTTP, _HANDSHAKE, _OPEN = range(4)


def _masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame; the mask is zero, which is one like any other."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB4x", opcode, 0x80 | size) + payload
    return struct.pack("!BBH4x", opcode, 0xFE, size) + payload


class Client:
    """One client."""

    __slots__ = ("canister", "close_code", "data", "last", "number", "sample", "socket", "state")

    def __init__(self, number: int, canister: int) -> None:
        self.number = number
        self.canister = canister
        self.state = _HTTP
        self.data = b""
        self.last = -1  # nonce of its newest message
        self.sample: bytes | None = None
        self.close_code: int | None = None
        self.socket = socket.socket()
        self.socket.setblocking(False)

    def secure(self, context: ssl.SSLContext) -> None:
        """The connection stands; TLS comes next."""
        self.socket = context.wrap_socket(self.socket, do_handshake_on_connect=False)
        self.state = _TLS

    def shake_hands(self) -> bool:
        """One step of TLS's handshake; whether it was the last."""
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self.state = _HTTP
        return True

    def frames(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Opcode (with the final bit) and payload of each frame that is complete."""
        if self.data:
            data = self.data + data
        offset, end = 0, len(data)
        while offset + 2 <= end:
            size, start = data[offset + 1], offset + 2
            if size == 126:
                size, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif size == 127:
                size, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            if start > end or start + size > end:
                break
            yield data[offset], data[start : start + size]
            offset = start + size
        self.data = data[offset:]


class Crowd:
    """All clients."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._port = order["port"]
        self._gateway = Principal(bytes.fromhex(order["gateway"]))
        self._canisters = [Principal(bytes.fromhex(text)) for text in order["canisters"]]
        self._modern = bool(order["modern"])
        self._tls = any_certificate() if order["tls"] else None
        self._poll = select.epoll()
        self._by_fd: dict[int, Client] = {}
        self.clients = [
            Client(spec.first_client + n, index)
            for index, spec in enumerate(QueueSpec(**queue) for queue in order["queues"])
            for n in range(spec.clients)
        ]
        self._waiting = deque(self.clients)
        self._opening = 0
        self._opened = 0
        self._sequence = dict.fromkeys((client.number for client in self.clients), 0)
        self.receipts = 0
        self.closed: dict[int, int] = {}
        self._expect(0)
        self._poll.register(0, select.EPOLLIN)

    def _expect(self, count: int) -> None:
        self.expected = count
        self.messages = self.bytes = self.frames = 0
        self.in_order = True
        self.arrivals: list[tuple[list[int], list[float], list[int]]] = [([], [], []) for _ in self._canisters]

    # connecting

    def open_all(self) -> None:
        """Connects everybody and sends their opens."""
        while self._opened < len(self.clients):
            while self._waiting and self._opening < _AT_A_TIME:
                self._connect(self._waiting.popleft())
            self.turn(1.0)

    def _connect(self, client: Client) -> None:
        self._opening += 1
        client.socket.connect_ex(("127.0.0.1", self._port))
        self._by_fd[client.socket.fileno()] = client
        self._poll.register(client.socket.fileno(), select.EPOLLOUT)

    def _connected(self, client: Client) -> None:
        self._poll.modify(client.socket.fileno(), select.EPOLLIN)
        if self._tls is not None:
            client.secure(self._tls)
            self._shake_hands(client)
        else:
            self._upgrade(client)

    def _shake_hands(self, client: Client) -> None:
        if client.shake_hands():
            self._upgrade(client)

    def _upgrade(self, client: Client) -> None:
        offer = f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n" if self._modern else ""
        request = (
            f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
        )
        client.socket.send(request.encode())

    def _send_open(self, client: Client) -> None:
        secure = SecureOpen(bytes(16), 1, 1, "none") if self._modern else None
        argument = OpenArgument(client.number, self._gateway, secure)
        client.socket.send(_masked(_BINARY, self._call(client, "ws_open", encode_open_argument(argument))))
        client.state = _OPEN
        self._opening -= 1
        self._opened += 1

    def _call(self, client: Client, method: str, arg: bytes) -> bytes:
        envelope = sign_call(
            client_identity(client.number),
            canister_id=self._canisters[client.canister],
            method_name=method,
            arg=arg,
            ingress_expiry_ns=time.time_ns() + _TTL_NS,
            nonce=os.urandom(16),
        )
        return ClientFrame(envelope).encode()

    # reading

    def turn(self, seconds: float) -> bool:
        """Handles what is there, or what comes in time; says whether there is a command.

        It looks now and then and does not wait in the kernel: a process that waits is woken by each frame, at a cost to
        the sender, the gateway, that no client at the other end of a network causes.
        """
        command = False
        deadline = time.monotonic() + seconds
        while not (events := self._poll.poll(0)) and time.monotonic() < deadline:
            time.sleep(_LOOK)
        for fd, event in events:
            if fd == 0:
                command = True
                continue
            client = self._by_fd[fd]
            if event & select.EPOLLOUT:
                self._connected(client)
            elif client.state == _TLS:
                self._shake_hands(client)
            else:
                self._read(client)
        return command

    def _read(self, client: Client) -> None:
        try:
            data = client.socket.recv(_CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        now = time.monotonic()
        if not data:
            self._poll.unregister(client.socket.fileno())
            return
        if client.state == _HTTP:
            head, found, data = (client.data + data).partition(b"\r\n\r\n")
            if not found:
                client.data = head
                return
            if b" 101 " not in head:
                raise SystemExit(f"the gateway refuses a client: {head[:200]!r}")
            client.data, client.state = b"", _HANDSHAKE
        self.bytes += len(data)
        for opcode, payload in client.frames(data):
            if opcode == _BINARY:
                self._frame(client, payload, now)
            elif opcode == _PING:
                client.socket.send(_masked(_PONG, payload))
            elif opcode == _CLOSE:
                client.close_code = self.closed[client.number] = int.from_bytes(payload[:2], "big")

    def _frame(self, client: Client, frame: bytes, now: float) -> None:
        if client.state == _HANDSHAKE:
            self._send_open(client)
            return
        place = frame.find(_KEY)
        if place < 0:
            self.receipts += frame.startswith(_RECEIPT)
            return
        self.frames += 1
        client.sample = frame
        nonces, times, numbers = self.arrivals[client.canister]
        while place >= 0:
            place += len(_KEY)
            nonce = int(frame[place + 64 : place + 84])
            if nonce <= client.last:
                self.in_order = False
            client.last = nonce
            nonces.append(nonce)
            times.append(now)
            numbers.append(client.number)
            self.messages += 1
            place = frame.find(_KEY, place)

    # commands

    def command(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carries out a command."""
        (name, value), *_ = order.items()
        if name == "open":
            self.open_all()
        elif name == "expect":
            self._expect(value)
        elif name == "collect":
            return self._collect(value)
        elif name == "stall":
            self._stall(value)
        elif name == "call":
            return self._calls(*value)
        elif name == "samples":
            with_one = [client for client in self.clients if client.sample is not None][-value:]
            return {"samples": [(client.number, client.canister, (client.sample or b"").hex()) for client in with_one]}
        return {"closed": self.closed}

    def _collect(self, seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while self.messages < self.expected and (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        return {
            "messages": self.messages,
            "frames": self.frames,
            "bytes": self.bytes,
            "in_order": self.in_order,
            "arrivals": self.arrivals,
            "closed": self.closed,
        }

    def _stall(self, number: int) -> None:
        for client in self.clients:
            if client.number == number:
                self._poll.unregister(client.socket.fileno())

    def _calls(self, count: int, per_second: float) -> dict[str, Any]:
        frames = [self._message(self.clients[n % len(self.clients)]) for n in range(count)]
        self.receipts = 0
        started = time.monotonic()
        for number, (client, frame) in enumerate(frames):
            while (early := started + number / per_second - time.monotonic()) > 0:
                self.turn(early)
            client.socket.send(frame)
        deadline = time.monotonic() + 30
        while self.receipts < count and self._modern and (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        return {"receipts": self.receipts, "seconds": time.monotonic() - started}

    def _message(self, client: Client) -> tuple[Client, bytes]:
        number = self._sequence[client.number] = self._sequence[client.number] + 1
        message = WebsocketMessage(client_key(client.number), number, time.time_ns(), False, bytes(200))
        return client, _masked(_BINARY, self._call(client, "ws_message", encode_message_argument(message)))


def _lines() -> Iterator[str]:
    """Commands, read without a buffer: whether one waits is for epoll to say."""
    data = b""
    while True:
        line, found, rest = data.partition(b"\n")
        if found:
            data = rest
            yield line.decode()
            continue
        more = os.read(0, 1 << 16)
        if not more:
            return
        data += more


def main() -> None:
    """Serve commands until stdin ends."""
    lines = _lines()
    crowd = Crowd(json.loads(next(lines)))
    _say({"clients": len(crowd.clients)})
    while True:
        while not crowd.turn(60.0):
            pass
        line = next(lines, None)
        if line is None:
            return
        _say(crowd.command(json.loads(line)))


def _say(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
