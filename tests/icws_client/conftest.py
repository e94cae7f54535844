"""A session machine that follows a script, and servers on loopback that do as they are told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from icws_client.codec import BYTES, Codec
from icws_client.connection import Connection
from icws_client.http import HttpClient
from icws_secure.errors import MisuseError, Reason, SessionEnded, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import (
    Action,
    ClientSession,
    Connect,
    Disconnect,
    Ended,
    Event,
    GatewayTarget,
    Message,
    Opened,
    SendExecuted,
    SessionState,
)
from icws_secure.wire.principal import Principal


class FakeSession:
    """The surface of a session machine: records its inputs, gives out what the test puts into it.

    It opens at ``start``, confirms what is sent when ``confirming``, ends when it is closed, and otherwise does
    nothing by itself.
    """

    def __init__(self) -> None:
        self.state = SessionState.NEW
        self.inputs: list[tuple[Any, ...]] = []
        self.pending_actions: list[Action] = []
        self.pending_events: list[Event] = []
        self.deadline: int | None = None
        self.queue_limit = 1_000
        self.confirming = True
        self.opening = True
        self.ending = True
        self.sent: dict[int, bytes] = {}
        self.on_input: Callable[[], None] = lambda: None
        self.session_principal = Principal.self_authenticating(b"session")
        self.gateway = None
        self.target = None
        self.parameters = None
        self.attach = 0

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [entry[1:] for entry in self.inputs if entry[0] == name]

    def _input(self, *entry: Any) -> None:
        self.inputs.append(entry)
        self.on_input()

    def start(self, now: int) -> None:
        self._input("start")
        if self.opening:
            self.state = SessionState.ATTACHED
            self.pending_events.append(Opened(1))

    def send(self, data: bytes, now: int, *, confirm: str = "executed") -> int:
        if self.state in (SessionState.CLOSING, SessionState.ENDED):
            raise MisuseError("closing", reason=Reason.WRONG_STATE)
        if len(self.sent) >= self.queue_limit:
            raise MisuseError("full", reason=Reason.LIMIT_EXCEEDED)
        send_id = len(self.named("send")) + 1
        self._input("send", data, confirm)
        self.sent[send_id] = data
        if self.confirming:
            self.confirm(send_id)
        return send_id

    def confirm(self, send_id: int) -> None:
        del self.sent[send_id]
        self.pending_events.append(SendExecuted(send_id))

    def message(self, seq: int, data: bytes = b"m") -> None:
        self.pending_events.append(Message(seq, data, seq * NS_PER_S))

    def end(self, code: int = 1000, reason: str = "ClientClosed") -> None:
        self.state = SessionState.ENDED
        self.pending_events.append(Ended(SessionEnded("over", code=code, close_reason=reason)))

    def close(self, now: int, code: int = 1000, reason: str = "") -> None:
        self._input("close", code, reason)
        self.state = SessionState.CLOSING
        if self.ending:
            self.end()

    def export_state(self) -> bytes:
        return b"exported"

    def actions(self) -> list[Action]:
        actions, self.pending_actions = self.pending_actions, []
        return actions

    def events(self) -> list[Event]:
        events, self.pending_events = self.pending_events, []
        return events

    def next_deadline(self) -> int | None:
        return self.deadline

    def tick(self, now: int) -> None:
        self.deadline = None
        self._input("tick")

    def taken(self, seq: int, now: int) -> None:
        self._input("taken", seq)

    def audit(self, now: int) -> None:
        self._input("audit")

    def reading_paused(self, now: int) -> None:
        self._input("reading_paused")

    def reading_resumed(self, now: int) -> None:
        self._input("reading_resumed")

    def connected(self, now: int, subprotocol: str | None = None) -> None:
        self._input("connected", subprotocol)

    def connect_failed(self, error: TransportError, now: int) -> None:
        self._input("connect_failed", error)

    def receive_frame(self, data: bytes | str, now: int) -> None:
        self._input("frame", data)

    def disconnected(self, code: int, reason: str, now: int) -> None:
        self._input("disconnected", code, reason)

    def http_response(self, request_id: int, status: int, body: bytes, now: int) -> None:
        self._input("http_response", request_id, status, body)

    def http_failed(self, request_id: int, error: TransportError, now: int) -> None:
        self._input("http_failed", request_id, error)


class Rig:
    """A connection over a fake session."""

    def __init__(self, codec: Codec[Any] = BYTES, **options: Any) -> None:
        self.session = FakeSession()
        self._codec = codec
        self._options: dict[str, Any] = {
            "close_timeout_ns": 0,
            "on_event": None,
            "evidence": None,
            "file": None,
            "ssl_context": None,
        } | options
        self.connection: Connection[Any] = cast("Connection[Any]", None)
        self._ic_url = options.pop("ic_url", "http://127.0.0.1:9")
        self._options.pop("ic_url", None)

    async def open(self) -> Connection[Any]:
        self.connection = Connection(
            cast(ClientSession, self.session), HttpClient(self._ic_url), self._codec, **self._options
        )
        if self.session.opening:
            await self.connection.wait_open()
        return self.connection

    def do(self, *actions: Action) -> None:
        """Let the machine ask for something."""
        self.session.pending_actions += actions
        self.step()

    def step(self) -> None:
        self.connection._driver.wake()

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that the machine is told or that the connection does, at most a minute."""
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the fake has nothing to wait for
                await asyncio.sleep(0)

    def connect(self, url: str, timeout_ns: int = 5 * NS_PER_S) -> None:
        self.do(Connect(GatewayTarget(url), ("icws-secure.1",), timeout_ns))

    def disconnect(self, code: int = 1000, reason: str = "") -> None:
        self.do(Disconnect(code, reason))


@pytest.fixture
async def make_rig() -> AsyncIterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def make(*arguments: Any, **options: Any) -> Rig:
        rigs.append(Rig(*arguments, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        if rig.connection is not None:
            await rig.connection.abandon()


@pytest.fixture
async def rig(make_rig: Callable[..., Rig]) -> Rig:
    made = make_rig()
    await made.open()
    return made


@pytest.fixture
def echoing(monkeypatch: pytest.MonkeyPatch) -> list[FakeSession]:
    """Let ``connect`` make fake sessions, which answer each message with itself; the list shows those that were
    made."""
    made: list[FakeSession] = []

    def make(*arguments: Any, **options: Any) -> FakeSession:
        session = FakeSession()
        session.on_input = lambda: _answer(session)
        made.append(session)
        return session

    monkeypatch.setattr("icws_client.client.ClientSession", make)
    return made


def _answer(session: FakeSession) -> None:
    name, *values = session.inputs[-1]
    if name == "send":
        session.message(len(session.named("send")), values[0])


class Gateway:
    """A WebSocket server that records frames and does what a test says."""

    def __init__(self) -> None:
        self.url = ""
        self.frames: list[bytes | str] = []
        self.sockets: list[ServerConnection] = []
        self.closed: list[tuple[int | None, str | None]] = []
        self.reading = asyncio.Event()
        self.reading.set()

    async def handle(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        await self.reading.wait()
        with contextlib.suppress(ConnectionClosedError):
            async for frame in socket:
                self.frames.append(frame)
                await self.reading.wait()
        self.closed.append((socket.close_code, socket.close_reason))


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway()
    async with serve(
        made.handle,
        "127.0.0.1",
        0,
        select_subprotocol=lambda socket, offered: offered[0] if offered else None,
        compression=None,
    ) as server:
        made.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made
        made.reading.set()
        for socket in made.sockets:
            socket.transport.abort()
