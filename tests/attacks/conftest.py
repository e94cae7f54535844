"""A theatre for attacks: a replica that can lie, real gateways, hostile ones before them, and real clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.replica import Replica, ReplicaConfig, serve_replica
from icws_canister_mock.replica.forge import forge_for
from icws_client import ClientConfig, Connection, connect
from icws_conformance.hostile import Attack, AttackEntry, HostileGateway, PassThrough
from icws_conformance.hostile.catalogue import Profile, Scene, Stage
from icws_conformance.hostile.target import Kind, Target
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.client import Ended, GatewayLost
from icws_secure.wire.principal import Principal

BEFORE, AFTER = 3, 4  # messages before an attack that begins later, and from then on
LIMIT_S = 20.0


class Recorder(WebSocketCanister):
    """Echoes, and remembers what it was told by whom, in order."""

    def on_init(self, arg: bytes) -> None:
        self.heard: dict[Principal, list[bytes]] = {}

    def on_message(self, client: Client, data: bytes) -> None:
        self.heard.setdefault(client.key.client_principal, []).append(data)
        self.ws.send(client, b"echo " + data)


@dataclass
class Performance:
    """What came of an attack.

    Attributes:
        attack: it.
        hostile: the address of the gateway that attacked.
        sent: what the victim's application gave to ``send``.
        delivered: what it was given.
        executed: what ``send`` said was executed.
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
    def ends(self) -> list[Ended]:
        """The end of the session, if it ended before its time."""
        return [event for event in self.events if isinstance(event, Ended)]

    @property
    def expected(self) -> list[bytes]:
        """What the canister answers to what was sent."""
        return [b"echo " + message for message in self.sent]


class Theatre:
    """One replica with its canisters, and honest gateways that stay for all attacks."""

    def __init__(self, replica: Replica, ic_url: str, gateways: list[Gateway]) -> None:
        self.replica = replica
        self.ic_url = ic_url
        self.gateways = gateways
        self.canister = replica.install(Recorder())
        self.other_canister = replica.install(Recorder())
        self.forge = forge_for(replica)

    def heard(self, session: Principal) -> list[bytes]:
        """What the canister heard of a session, in order."""
        recorder = self.replica.canister(self.canister)
        assert isinstance(recorder, Recorder)
        return list(recorder.heard.get(session, []))

    def scene(self, stage: Stage) -> Scene:
        """Where an attack of a stage is played, and which messages it strikes."""
        kind = Kind.OPEN if stage is Stage.OPEN else Kind.APPLICATION
        return Scene(self.canister, self.other_canister, self.forge, lambda: Target(kind))

    def hostile(self, attack: Attack, *, gateway: int = 0, armed: bool = True, subprotocol: bool = True) -> HostileGateway:
        """A hostile gateway before an honest one."""
        return HostileGateway(
            self.gateways[gateway].url, attack, armed=armed, subprotocol=subprotocol, ic_url=self.ic_url
        )

    def connect(self, urls: list[str], *, profile: Profile = Profile.SECURE, **options: Any) -> connect[bytes]:
        """A client of the recorder: in no mood to wait."""
        settings = {
            "backoff_initial_ns": 10 * NS_PER_MS,
            "attach_timeout_ns": 1 * NS_PER_S,
            "handshake_timeout_ns": 1 * NS_PER_S,
            "receipt_timeout_ns": 800 * NS_PER_MS,
            "head_interval_ns": 800 * NS_PER_MS,
            "audit_interval_ns": 800 * NS_PER_MS,
            "withhold_grace_ns": 500 * NS_PER_MS,
            "retry_initial_ns": 50 * NS_PER_MS,
            "poll_interval_ns": 20 * NS_PER_MS,
            "poll_interval_max_ns": 50 * NS_PER_MS,
            "direct_fallback": False,
        }
        settings |= options.pop("settings", {})
        return connect(
            urls,
            **{
                "canister_id": self.canister,
                "ic_url": self.ic_url,
                "root_key": self.replica.root_key_der,
                "profile": "omnia" if profile is Profile.OMNIA else "secure",
                "open_timeout": 10.0,
                "close_timeout": 2.0,
                "config": ClientConfig(canister_id=self.canister, **settings),
            }
            | options,
        )

    async def play(self, entry: AttackEntry, stage: Stage, profile: Profile, **settings: Any) -> Performance:
        """Play an attack of the catalogue: through a hostile gateway, with an honest one to turn to."""
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
                    await self._visit(result, urls, stage, profile, hostile, first, settings)
            except IcwsError as error:
                result.error = error
            assert hostile.mistakes == []
        return result

    async def _visit(
        self,
        result: Performance,
        urls: list[str],
        stage: Stage,
        profile: Profile,
        hostile: HostileGateway,
        first: HostileGateway | None,
        settings: dict[str, Any],
    ) -> None:
        confirm = "relayed" if profile is Profile.OMNIA else "executed"
        async with self.connect(urls, profile=profile, on_event=result.events.append, settings=settings) as ws:
            try:
                if stage in (Stage.LATER, Stage.RESUMED):
                    await _talk(ws, result, BEFORE, confirm, at_once=False)
                if first is not None:
                    await first.hang_up()
                if stage is Stage.IN_FLIGHT:
                    hostile.armed = True
                    await _talk(ws, result, BEFORE + AFTER, confirm, at_once=True)
                else:
                    hostile.armed = True
                    await _talk(ws, result, AFTER, confirm, at_once=False)
            finally:
                result.heard = self.heard(ws.session_principal)
                result.gateway = ws.gateway
        result.events = [event for event in result.events if not isinstance(event, Ended)]


async def _talk(ws: Connection[bytes], result: Performance, count: int, confirm: Any, *, at_once: bool) -> None:
    """Send messages, one after the other or all at once, and take the answers."""
    messages = [b"%d" % (len(result.sent) + n) for n in range(count)]
    result.sent += messages

    async def send(message: bytes) -> None:
        await ws.send(message, confirm=confirm)
        result.executed.append(message)

    if at_once:
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(send(message))
            group.create_task(_take(ws, result, count))
        return
    for message in messages:
        async with asyncio.TaskGroup() as group:
            group.create_task(send(message))
            group.create_task(_take(ws, result, 1))


async def _take(ws: Connection[bytes], result: Performance, count: int) -> None:
    for _ in range(count):
        result.delivered.append(await ws.recv())


@contextlib.asynccontextmanager
async def theatre_in(folder: Path, config: ReplicaConfig | None = None, gateways: int = 3) -> AsyncIterator[Theatre]:
    """Build a theatre."""
    async with contextlib.AsyncExitStack() as stack:
        replica = Replica(config or ReplicaConfig())
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


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def theatre(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Theatre]:
    async with theatre_in(tmp_path_factory.mktemp("theatre")) as built:
        yield built
