"""The world that a client under test lives in: a local IC whose keys the suite holds, a canister, honest gateways."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.replica import Replica, ReplicaConfig, serve_replica
from icws_canister_mock.replica.forge import ReplicaForge, forge_for
from icws_conformance.hostile.wrapping import unwrapped
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.session.canister import SealedSuites
from icws_secure.wire.principal import Principal

__all__ = ["CLOSE", "Recorder", "World", "open_world"]

#: The message after which the canister closes the session.
CLOSE = b"close"


class Recorder(WebSocketCanister):
    """Echoes, and remembers what it was told by whom, in order."""

    def on_init(self, arg: bytes) -> None:
        """Nobody has said anything."""
        self.heard: dict[Principal, list[bytes]] = {}

    def on_message(self, client: Client, data: bytes) -> None:
        """Remember and echo; the word :data:`CLOSE` ends the session."""
        content = unwrapped(data)
        self.heard.setdefault(client.key.client_principal, []).append(content)
        if content == CLOSE:
            self.ws.close(client)
        else:
            self.ws.send(client, data)


@dataclass
class World:
    """What the cases share.

    Attributes:
        replica: the IC.
        ic_url: its address.
        canister: the canister of both profiles that the client talks to.
        other_canister: another one of the same subnet.
        omnia_canister: one that knows only the older protocol.
        sealed_canister: one that offers payload protection.
        gateways: honest gateways.
        forge: certificates that were never the canister's.
    """

    replica: Replica
    ic_url: str
    canister: Principal
    other_canister: Principal
    omnia_canister: Principal
    sealed_canister: Principal
    gateways: list[Gateway]
    forge: ReplicaForge

    def heard(self, session: Principal) -> list[bytes]:
        """What the canister heard of a session, in order."""
        for id_ in (self.canister, self.omnia_canister, self.sealed_canister):
            recorder = self.replica.canister(id_)
            if isinstance(recorder, Recorder) and session in recorder.heard:
                return list(recorder.heard[session])
        return []


@contextlib.asynccontextmanager
async def open_world(gateways: int = 2) -> AsyncIterator[World]:
    """Build the world, and take it down again."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="icws-conformance-")))
        replica = Replica(ReplicaConfig(idle_block_ms=500))
        server = await stack.enter_async_context(serve_replica(replica))
        canister, other = replica.install(Recorder()), replica.install(Recorder())
        omnia = replica.install(Recorder.configured(profiles=frozenset({"omnia"}))())
        sealed = replica.install(Recorder.configured(suites=SealedSuites())())
        running = [
            await stack.enter_async_context(
                serve_gateway(
                    GatewayConfig(
                        ic_url=server.url,
                        listen="127.0.0.1:0",
                        identity=folder / f"gateway-{number}.pem",
                        drain_seconds=0.2,
                        poll_interval_ms=20,
                        poll_idle_interval_ms=100,
                        head_interval_seconds=0.5,
                        opens_per_second_per_address=10_000,
                        log_level="error",
                    )
                )
            )
            for number in range(gateways)
        ]
        yield World(replica, server.url, canister, other, omnia, sealed, running, forge_for(replica))
