"""The clients of the soak: those that stay, those that come and go, those that read slowly, those that send garbage."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections import Counter

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import ClientFrame, Handshake, MessageFrame, decode_gateway_frame
from icws_secure.wire.interface import (
    ClientKey,
    OpenArgument,
    WebsocketMessage,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.principal import Principal

__all__ = ["Crowd"]

_TTL_NS = 120 * 10**9
_OPENING = 200  # clients that open at the same time
_MESSAGES_PER_SECOND = 40.0  # of all clients together, so that two cores keep up
_PATIENCE = 240.0  # seconds for an answer: what is lost never comes, and what is merely slow is no mistake
_EXPECTED = frozenset({CloseCode.REPLICA_ERROR})  # the replica fails on purpose, and omnia clients start anew then


class Crowd:
    """All clients.

    Args:
        url: of the gateway.
        canister: which echoes.
        count: how many clients.
        rng: chooses.

    Attributes:
        tally: what happened.
        mistakes: what must not happen.
        settled: is set when those that stay are open.
    """

    def __init__(self, url: str, canister: Principal, count: int, rng: random.Random) -> None:
        self._url = url
        self._canister = canister
        self._count = count
        self._rng = rng
        self._pause = count / _MESSAGES_PER_SECOND
        self._opening = asyncio.Semaphore(_OPENING)
        self._waiting = 0
        self._end = asyncio.Event()
        self.tally: Counter[str] = Counter()
        self.mistakes: Counter[str] = Counter()
        self.settled = asyncio.Event()

    async def run(self) -> None:
        """Everything, until :meth:`stop`."""
        shares = {self._stay: 0.74, self._come_and_go: 0.2, self._read_slowly: 0.05, self._send_garbage: 0.01}
        behaviours = [behaviour for behaviour, part in shares.items() for _ in range(max(1, int(part * self._count)))]
        self._waiting = behaviours.count(self._stay)
        async with asyncio.TaskGroup() as group:
            for behaviour in behaviours:
                group.create_task(self._until_the_end(behaviour))

    def stop(self) -> None:
        """Everybody leaves."""
        self._end.set()

    async def _until_the_end(self, behaviour) -> None:
        first = behaviour == self._stay
        while not self._end.is_set():
            try:
                await behaviour()
            except ConnectionClosed as closed:
                self._closed(closed)
            except (OSError, TimeoutError, InvalidHandshake) as error:
                self.mistakes[type(error).__name__] += 1
            if first:
                first = False
                self._waiting -= 1
                self._settle()
            await self._sleep(0.2)

    def _closed(self, closed: ConnectionClosed) -> None:
        code = closed.rcvd.code if closed.rcvd is not None else None
        if code in _EXPECTED:
            self.tally["closed for a fault of the replica"] += 1
        elif not self._end.is_set():
            self.mistakes[f"closed with {code}"] += 1

    def _settle(self) -> None:
        if self._waiting <= 0:
            self.settled.set()

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._end.wait()

    # what they do

    async def _stay(self) -> None:
        async with await self._open() as client:
            if self._waiting > 0:
                self._waiting -= 1
                self._settle()
            while not self._end.is_set():
                await self._sleep(self._pause * self._rng.uniform(0.5, 1.5))
                await client.echo(b"stay")

    async def _come_and_go(self) -> None:
        client = await self._open()
        async with client:
            for _ in range(self._rng.randrange(4)):
                await client.echo(b"go")
                await self._sleep(self._pause * self._rng.random())
            if self._rng.random() < 0.5:
                client.socket.transport.abort()
                self.tally["broke off"] += 1
            else:
                self.tally["left"] += 1
        await self._sleep(self._rng.uniform(0, 5))

    async def _read_slowly(self) -> None:
        async with await self._open() as client:
            while not self._end.is_set():
                client.socket.transport.pause_reading()
                for _ in range(3):
                    await client.say(bytes(2_000))
                await self._sleep(self._rng.uniform(1, 5))
                client.socket.transport.resume_reading()
                await client.catch_up()
                self.tally["read late"] += 1
                await self._sleep(2 * self._pause)

    async def _send_garbage(self) -> None:
        kind = self._rng.choice(("bytes", "half a handshake", "frames", "deep", "forged", "pings", "nothing"))
        self.tally[f"garbage: {kind}"] += 1
        with contextlib.suppress(OSError, ConnectionClosed, InvalidHandshake):
            if kind in ("bytes", "half a handshake"):
                _, writer = await asyncio.open_connection(*self._url.removeprefix("ws://").split(":"))
                writer.write(self._rng.randbytes(3_000) if kind == "bytes" else b"GET / HTTP/1.1\r\nHost: ")
                await self._sleep(1)
                writer.close()
            else:
                async with connect(self._url, compression=None, open_timeout=_PATIENCE) as socket:
                    await self._send_frames(socket, kind)
        await self._sleep(self._rng.uniform(0.2, 2))

    async def _send_frames(self, socket: ClientConnection, kind: str) -> None:
        if kind == "frames":
            await socket.send(self._rng.randbytes(500))
        elif kind == "deep":
            await socket.send(b"\x81" * 60_000)
        elif kind == "pings":
            for _ in range(1_000):
                await socket.ping()
        elif kind == "forged":
            frame = decode_gateway_frame(await socket.recv())
            assert isinstance(frame, Handshake)
            client = Client(self, socket, Ed25519Identity(self._rng.randbytes(32)), frame.gateway_principal)
            data = bytearray(ClientFrame(client.opening()).encode())
            data[-1] ^= 1
            await socket.send(bytes(data))
        async with asyncio.timeout(_PATIENCE):
            if kind != "nothing":
                await socket.wait_closed()

    async def _open(self) -> Client:
        async with self._opening, asyncio.timeout(_PATIENCE):
            socket = await connect(self._url, compression=None, open_timeout=_PATIENCE, ping_interval=None)
            self.tally["connected"] += 1
            try:
                frame = decode_gateway_frame(await socket.recv())
                assert isinstance(frame, Handshake)
                client = Client(self, socket, Ed25519Identity(self._rng.randbytes(32)), frame.gateway_principal)
                await socket.send(ClientFrame(client.opening()).encode())
                await client.receive()
            except BaseException:
                socket.transport.abort()
                raise
        self.tally["opened"] += 1
        return client

    # what a client needs

    def call(self, identity: Ed25519Identity, method: str, arg: bytes) -> Envelope:
        """A signed call of the canister."""
        return sign_call(
            identity,
            canister_id=self._canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=time.time_ns() + _TTL_NS,
            nonce=self._rng.randbytes(16),
        )


class Client:
    """One session of ``omnia/1`` that counts what comes back. It verifies nothing: others test that."""

    def __init__(self, crowd: Crowd, socket: ClientConnection, identity: Ed25519Identity, gateway: Principal) -> None:
        self.socket = socket
        self._crowd = crowd
        self._identity = identity
        self._gateway = gateway
        self._key = ClientKey(identity.principal, 1)
        self._sent = 0
        self._heard = 0
        self._numbers = 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    def opening(self) -> Envelope:
        """The call of ``ws_open``."""
        return self._crowd.call(
            self._identity, "ws_open", encode_open_argument(OpenArgument(self._key.client_nonce, self._gateway))
        )

    async def say(self, content: bytes) -> None:
        """Sends a message with a number that its echo will have."""
        self._sent += 1
        content = struct.pack("!Q", self._sent) + content
        message = WebsocketMessage(self._key, self._sent, time.time_ns(), False, content)
        await self.socket.send(
            ClientFrame(self._crowd.call(self._identity, "ws_message", encode_message_argument(message))).encode()
        )

    async def catch_up(self) -> None:
        """Waits for the echoes of everything."""
        while self._heard < self._sent:
            async with asyncio.timeout(_PATIENCE):
                content = await self.receive()
            if struct.unpack("!Q", content[:8])[0] != self._heard + 1:
                self._crowd.mistakes["an echo out of order"] += 1
            self._heard += 1
            self._crowd.tally["echoed"] += 1

    async def echo(self, content: bytes) -> None:
        """Says something and waits for its echo."""
        started = time.monotonic()
        await self.say(content)
        await self.catch_up()
        self._crowd.tally["echo milliseconds"] += int(1_000 * (time.monotonic() - started))

    async def receive(self) -> bytes:
        """The content of the next message."""
        data = await self.socket.recv()
        assert isinstance(data, bytes)
        frame = decode_gateway_frame(data)
        assert isinstance(frame, MessageFrame)
        message = cbor.decode(frame.content, what="message")
        assert isinstance(message, dict)
        self._numbers += 1
        if message["sequence_num"] != self._numbers:
            self._crowd.mistakes["a number that does not follow"] += 1
        content = message["content"]
        assert isinstance(content, bytes)
        return content
