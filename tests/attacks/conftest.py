"""A theatre for attacks: a replica that can lie, real gateways, hostile ones before them, and real clients."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.replica import Clock, Replica, ReplicaConfig, SystemClock, serve_replica, update
from icws_canister_mock.replica.forge import forge_for
from icws_client import ClientConfig, Connection, connect
from icws_client.driver import Driver
from icws_conformance.hostile import Attack, HostileGateway, PassThrough
from icws_conformance.hostile.catalogue import Play, Profile, Scene, Stage
from icws_conformance.hostile.target import Kind, Target
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.errors import IcwsError, Reason
from icws_secure.limits import MIN_ACK_INTERVAL_NS, NS_PER_MS, NS_PER_S
from icws_secure.session.client import Attached, Ended, GatewayLost
from icws_secure.wire.principal import Principal

BEFORE, AFTER = 3, 4  # messages before an attack that begins later, and from then on
LIMIT_S = 120.0
STRIKE_S = 60.0
AHEAD = 5  # plays begun before their test
IMPATIENCE: dict[Reason, dict[str, Any]] = {
    Reason.HANDSHAKE_TIMEOUT: {"handshake_timeout_ns": 1 * NS_PER_S},
    Reason.OPEN_TIMEOUT: {"attach_timeout_ns": 2 * NS_PER_S},
    Reason.RECEIPT_TIMEOUT: {"receipt_timeout_ns": 2 * NS_PER_S},
    Reason.MESSAGES_WITHHELD: {
        "head_interval_ns": 2 * NS_PER_S,
        "audit_interval_ns": 2 * NS_PER_S,
        "withhold_grace_ns": 1 * NS_PER_S,
    },
    Reason.MESSAGE_TOO_OLD: {"max_message_age_ns": 1 * NS_PER_S, "withhold_grace_ns": 20 * NS_PER_S},
}


LATE_ENOUGH = {"receipt_timeout_ns", "head_interval_ns", "audit_interval_ns", "withhold_grace_ns"}
"""Impatience that can begin with the attack: before that, a gateway that is slow on a busy machine must not be left."""


class Memory(dict[Principal, list[bytes]]):
    """What a canister heard, beside its state: the replica does not copy it before each execution."""

    def __deepcopy__(self, memo: object) -> Memory:
        return self


class Recorder(WebSocketCanister):
    """Echoes, and remembers what it was told by whom, in order."""

    def on_init(self, arg: bytes) -> None:
        self.heard = Memory()

    def on_message(self, client: Client, data: bytes) -> None:
        self.heard.setdefault(client.key.client_principal, []).append(data)
        self.ws.send(client, b"echo " + data)

    @update("push")
    def push(self, arg: bytes) -> bytes:
        """Send every client, without having been asked."""
        for client in self.ws.clients:
            self.ws.send(client, arg)
        return b""


@dataclass
class Performance:
    """What came of an attack.

    Attributes:
        attack: it.
        hostile: the address of the gateway that attacked.
        sent: what the victim's application gave to ``send``.
        delivered: what it was given.
        executed: what ``send`` said was executed.
        sends: the calls of ``send``.
        heard: what the canister heard of the victim.
        events: of the victim's session.
        error: what ended the victim's session before its time.
        gateway: through whom the victim spoke last.
    """

    attack: Attack
    hostile: str
    sent: list[bytes] = field(default_factory=list)
    delivered: list[bytes] = field(default_factory=list)
    executed: list[bytes] = field(default_factory=list)
    sends: list[asyncio.Task[None]] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)
    events: list[Any] = field(default_factory=list)
    error: IcwsError | None = None
    gateway: Principal | None = None

    @property
    def losses(self) -> list[GatewayLost]:
        """How often and why the victim left the hostile gateway."""
        return [
            event
            for event in self.events
            if isinstance(event, GatewayLost) and event.target is not None and event.target.url == self.hostile
        ]

    @property
    def was_opened_by_the_attacker(self) -> bool:
        """Whether the victim was attached through the hostile gateway."""
        return any(
            isinstance(event, Attached) and event.target is not None and event.target.url == self.hostile
            for event in self.events
        )

    @property
    def ends(self) -> list[Ended]:
        """The end of the session, if it ended before its time."""
        return [event for event in self.events if isinstance(event, Ended)]

    @property
    def expected(self) -> list[bytes]:
        """What the canister answers to what was sent."""
        return [b"echo " + message for message in self.sent]


def settings_of(play: Play) -> dict[str, Any]:
    """What the victim's client is told: to be quick where only time tells, else to be in no hurry on a busy machine."""
    settings: dict[str, Any] = {}
    for reason in play.reasons:
        settings |= IMPATIENCE.get(reason, {})
    return settings


class Theatre:
    """One replica with its canisters, and honest gateways that stay for all attacks."""

    def __init__(self, replica: Replica, ic_url: str, gateways: list[Gateway]) -> None:
        self.replica = replica
        self.ic_url = ic_url
        self.gateways = gateways
        self.canister = replica.install(Recorder.configured(ack_interval_ns=MIN_ACK_INTERVAL_NS, ack_jitter=0.0)())
        self.other_canister = replica.install(Recorder())
        self.forge = forge_for(replica)
        self._plays: dict[str, asyncio.Task[Performance]] = {}

    def heard(self, session: Principal) -> list[bytes]:
        """What the canister heard of a session, in order."""
        recorder = self.replica.canister(self.canister)
        assert isinstance(recorder, Recorder)
        return list(recorder.heard.get(session, []))

    def push(self, data: bytes) -> None:
        """Have the canister send to all of its clients."""
        self.replica.call(self.canister, "push", data)

    def scene(self, stage: Stage) -> Scene:
        """Where an attack of a stage is played, and which messages it strikes."""
        kind = Kind.OPEN if stage is Stage.OPEN else Kind.APPLICATION
        return Scene(self.canister, self.other_canister, self.forge, lambda: Target(kind))

    def hostile(
        self, attack: Attack, *, gateway: int = 0, armed: bool = True, subprotocol: bool = True
    ) -> HostileGateway:
        """A hostile gateway before an honest one."""
        return HostileGateway(
            self.gateways[gateway].url, attack, armed=armed, subprotocol=subprotocol, ic_url=self.ic_url
        )

    def hostile_pass(self, gateway: int) -> HostileGateway:
        """A middle that does nothing but hang up when it is told to."""
        return self.hostile(PassThrough(), gateway=gateway)

    def connect(self, urls: list[str] | None, *, profile: Profile = Profile.SECURE, **options: Any) -> connect[bytes]:
        """A client of the recorder: in no mood to wait."""
        settings: dict[str, Any] = {
            "backoff_initial_ns": 10 * NS_PER_MS,
            "retry_initial_ns": 50 * NS_PER_MS,
            "poll_interval_ns": 20 * NS_PER_MS,
            "poll_interval_max_ns": 50 * NS_PER_MS,
            "direct_fallback": False,
        }
        settings |= options.pop("settings", {})
        given: dict[str, Any] = {
            "canister_id": self.canister,
            "ic_url": self.ic_url,
            "root_key": self.replica.root_key_der,
            "profile": "omnia" if profile is Profile.OMNIA else "secure",
            "open_timeout": 30.0,
            "close_timeout": 2.0,
            "config": ClientConfig(canister_id=self.canister, **settings),
        }
        made: connect[bytes] = connect(urls, **given | options)
        return made

    async def calm(self, *sockets: Connection[bytes]) -> None:
        """Wait until nothing of these clients is under way: what a leap of the clock would make late at once."""
        async with asyncio.timeout(LIMIT_S):
            while not all(_is_calm(ws) for ws in sockets):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)

    async def performance(self, wanted: Play, ahead: list[Play]) -> Performance:
        """What came of a play. Those that follow are begun meanwhile, since most of the time is spent in waiting."""
        for play in (wanted, *ahead):
            if play.id not in self._plays:
                self._plays[play.id] = asyncio.create_task(self.play(play, **settings_of(play)), name=play.id)
        return await self._plays[wanted.id]

    async def cancel(self) -> None:
        """Stop the plays that were begun and that nobody wants to see."""
        for play in self._plays.values():
            play.cancel()
        await asyncio.gather(*self._plays.values(), return_exceptions=True)

    async def play(self, play: Play, **settings: Any) -> Performance:
        """Play an attack of the catalogue: through a hostile gateway, with an honest one to turn to."""
        entry, stage, profile = play.entry, play.stage, play.profile
        attack = entry.make(self.scene(stage))
        at_once = stage in (Stage.OPEN, Stage.FIRST, Stage.RESUMED)
        subprotocol = profile is not Profile.BARE
        async with contextlib.AsyncExitStack() as stack:
            hostile = await stack.enter_async_context(
                self.hostile(attack, armed=at_once and entry.victims == 1, subprotocol=subprotocol)
            )
            urls = [hostile.url, self.gateways[1].url]
            first = None
            if stage is Stage.RESUMED:
                shared = attack if entry.name == "collusion" else PassThrough()
                first = await stack.enter_async_context(self.hostile(shared, gateway=2, subprotocol=subprotocol))
                urls.insert(0, first.url)
            for _ in range(entry.victims - 1):
                bystander = await stack.enter_async_context(self.connect([hostile.url], profile=profile))
                for n in range(BEFORE + AFTER):
                    await bystander.send(b"bystander %d" % n)
                    await bystander.recv()
            result = Performance(attack, hostile.url)
            if entry.victims > 1 and at_once:
                hostile.armed = True
            try:
                async with asyncio.timeout(LIMIT_S):
                    await self._visit(result, urls, play, hostile, first, settings)
            except IcwsError as error:
                result.error = error
            assert hostile.mistakes == []
        return result

    async def _visit(
        self,
        result: Performance,
        urls: list[str],
        play: Play,
        hostile: HostileGateway,
        first: HostileGateway | None,
        settings: dict[str, Any],
    ) -> None:
        stage, profile = play.stage, play.profile
        confirm = "relayed" if profile is Profile.OMNIA else "executed"
        at_first = settings
        if stage in (Stage.LATER, Stage.RESUMED, Stage.IN_FLIGHT):
            at_first = {name: value for name, value in settings.items() if name not in LATE_ENOUGH}
        async with self.connect(urls, profile=profile, on_event=result.events.append, settings=at_first) as ws:
            try:
                if stage in (Stage.LATER, Stage.RESUMED):
                    for _ in range(BEFORE):
                        await _talk(ws, result, 1, confirm)
                    await asyncio.gather(*result.sends)  # or the attack may strike what has succeeded already
                core = ws._session._core
                core.config = replace(core.config, **settings)
                if first is not None:
                    await first.hang_up()
                if stage is Stage.IN_FLIGHT:
                    await _talk(ws, result, BEFORE, confirm, answers=1)
                hostile.armed = True
                await _talk(ws, result, AFTER, confirm)
                if not result.attack.struck:  # it waits for a head, say; then the conversation goes on
                    await _until(lambda: result.attack.struck > 0)
                    await _talk(ws, result, 1, confirm)
                await asyncio.gather(*result.sends)
                if play.reasons:
                    await _until(lambda: bool(result.losses))  # what struck may still be on its way to the client
            finally:
                result.heard = self.heard(ws.session_principal)
                result.gateway = ws.gateway
                for send in result.sends:
                    send.cancel()
                await asyncio.gather(*result.sends, return_exceptions=True)
        result.events = [event for event in result.events if not isinstance(event, Ended)]


def _is_calm(ws: Connection[bytes]) -> bool:
    session = ws._session
    calls = session._core.calls
    receipts = [submission.receipt_due for submission in session._submissions]
    return not calls._calls and not calls._exchanges and receipts.count(None) == len(receipts)


async def _talk(
    ws: Connection[bytes], result: Performance, count: int, confirm: Any, *, answers: int | None = None
) -> None:
    """Send messages, all at once, and take the answers: as many as are told, or all that are missing."""
    for _ in range(count):
        message = b"%d" % len(result.sent)
        result.sent.append(message)
        result.sends.append(asyncio.create_task(_send(ws, result, message, confirm)))
    wanted = len(result.sent) if answers is None else len(result.delivered) + answers
    while len(result.delivered) < wanted:
        result.delivered.append(await ws.recv())


async def _until(condition: Callable[[], bool]) -> None:
    """Wait for something that tells nobody, for a while."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STRIKE_S):
            while not condition():  # noqa: ASYNC110 - an attack counts, it tells nobody
                await asyncio.sleep(0.02)


async def _send(ws: Connection[bytes], result: Performance, message: bytes, confirm: Any) -> None:
    await ws.send(message, confirm=confirm)
    result.executed.append(message)


_time_ns = time.time_ns


class LeapingClock:
    """The machine's clock, until it is told to leap."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since 1970, and all leaps."""
        return _time_ns() + self._ahead_ns

    def leap(self, seconds: float) -> None:
        """Go forward at once."""
        self._ahead_ns += int(seconds * NS_PER_S)


@contextlib.asynccontextmanager
async def theatre_in(folder: Path, clock: Clock | None = None, gateways: int = 3) -> AsyncIterator[Theatre]:
    """Build a theatre."""
    async with contextlib.AsyncExitStack() as stack:
        replica = Replica(ReplicaConfig(clock=clock or SystemClock(), idle_block_ms=100))
        server = await stack.enter_async_context(serve_replica(replica))
        running = [
            await stack.enter_async_context(
                serve_gateway(
                    GatewayConfig(
                        ic_url=server.url,
                        listen="127.0.0.1:0",
                        identity=folder / f"gateway-{number}.pem",
                        drain_seconds=0.2,
                        poll_interval_ms=20,
                        poll_idle_interval_ms=50,
                        head_interval_seconds=0.2,
                        opens_per_second_per_address=10_000,
                        log_level="error",
                    )
                )
            )
            for number in range(gateways)
        ]
        yield Theatre(replica, server.url, running)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> LeapingClock:
    """The clock of everybody."""
    made = LeapingClock()
    monkeypatch.setattr(time, "time_ns", made.now_ns)
    defaults = Driver.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "now", made.now_ns)
    return made


@pytest.fixture
async def own_theatre(tmp_path: Path, clock: LeapingClock) -> AsyncIterator[Theatre]:
    """A theatre for one test, whose canister may be put back, lost, or taken ahead in time."""
    async with theatre_in(tmp_path, clock) as built:
        yield built


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    async with theatre_in(tmp_path_factory.mktemp("theatre")) as built:
        yield built
        await built.cancel()


@pytest_asyncio.fixture(loop_scope="module")
async def performance(request: pytest.FixtureRequest, theatre: Theatre) -> Performance:
    """What came of the test's play."""
    items = request.session.items
    place = items.index(request.node)
    ahead: list[Any] = [
        item.callspec.params["play"]
        for item in items[place + 1 : place + 1 + AHEAD]
        if isinstance(item, pytest.Function) and item.originalname == request.node.originalname
    ]
    return await theatre.performance(request.getfixturevalue("play"), ahead)
