"""The deployed JavaScript client, ``ic-websocket-js`` 0.5, through our gateway with our canisters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from icws_canister_mock.canister import Client, WebSocketCanister
from icws_canister_mock.canister.samples import Echo
from icws_canister_mock.replica import ReplicaServer
from icws_canister_mock.replica.forge import forge_for
from icws_client import connect
from icws_conformance.hostile import CATALOGUE, HostileGateway
from icws_conformance.hostile.catalogue import Scene
from icws_conformance.hostile.target import Target
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.limits import NS_PER_S
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Text
from icws_secure.wire.interface import decode_get_messages_result, encode_get_messages_argument

pytestmark = pytest.mark.node

OMNIA = {"profiles": frozenset({"omnia"})}
BURST = 50


class Burst(WebSocketCanister):
    """Answers the text of a number with as many messages at once."""

    def on_message(self, client: Client, data: bytes) -> None:
        (text,) = decode([Text], data)
        for n in range(int(text)):
            self.ws.send(client, encode([Text], [f"message {n}"]))


@pytest.fixture
async def gateway(server: ReplicaServer, tmp_path: Path) -> AsyncIterator[Gateway]:
    config = GatewayConfig(ic_url=server.url, listen="127.0.0.1:0", identity=tmp_path / "gateway.pem")
    async with serve_gateway(config) as running:
        yield running


class Leaver(WebSocketCanister):
    """Ends every session at its first message."""

    def on_message(self, client: Client, data: bytes) -> None:
        self.ws.close(client)


class Peer:
    """Clients of one canister behind one gateway."""

    def __init__(self, node: Any, server: ReplicaServer, canister: WebSocketCanister, url: str) -> None:
        self.server = server
        self.canister = server.replica.install(canister)
        self._node = node
        self._url = url

    async def run(self, *clients: dict[str, Any], url: str | None = None) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = await self._node(
            "websocket.mjs",
            url=url or self._url,
            icUrl=self.server.url,
            canister=self.canister.to_text(),
            clients=list(clients),
        )
        return told


def texts(*values: object) -> list[str]:
    return [str(value) for value in values]


@pytest.mark.parametrize("profiles", [{"omnia"}, {"omnia", "secure"}], ids=["omnia", "both"])
async def test_it_opens_sends_receives_and_closes(
    node: Any, server: ReplicaServer, gateway: Gateway, profiles: set[str]
) -> None:
    peer = Peer(node, server, Echo.configured(profiles=frozenset(profiles))(), gateway.url)
    (client,) = await peer.run({"send": texts("one", "two", "three"), "expect": 3})
    assert client["errors"] == []
    assert client["opened"]
    assert client["received"] == ["one", "two", "three"]
    assert client["close"]["code"] == 1000


async def test_several_clients_at_once_hear_only_themselves(node: Any, server: ReplicaServer, gateway: Gateway) -> None:
    peer = Peer(node, server, Echo.configured(**OMNIA)(), gateway.url)
    wishes = [{"send": texts(*(f"{name}{n}" for n in range(4))), "expect": 4} for name in "abcde"]
    for wish, client in zip(wishes, await peer.run(*wishes), strict=True):
        assert client["errors"] == []
        assert client["received"] == wish["send"]


@pytest.mark.alone
async def test_it_keeps_alive(node: Any, server: ReplicaServer, gateway: Gateway) -> None:
    canister = Echo.configured(**OMNIA, ack_interval_ns=NS_PER_S, keep_alive_timeout_ns=4 * NS_PER_S)()
    peer = Peer(node, server, canister, gateway.url)
    (client,) = await peer.run({"send": ["hello"], "expect": 1, "lingerMs": 7_000, "ackIntervalMs": 1_000})
    assert client["errors"] == []
    assert client["received"] == ["hello"]
    assert client["close"]["code"] == 1000, "the canister took it for dead"


async def test_it_accepts_the_pruned_witness_at_every_place_of_a_full_poll(
    node: Any, server: ReplicaServer, gateway: Gateway
) -> None:
    peer = Peer(node, server, Burst.configured(**OMNIA)(), gateway.url)
    (client,) = await peer.run({"send": [str(BURST)], "expect": BURST})
    assert client["errors"] == []
    assert client["received"] == [f"message {n}" for n in range(BURST)]
    # the messages are one poll's: the open message is number 0, and a poll holds fifty
    answer: Any = server.replica.query(
        peer.canister, "ws_get_messages", encode_get_messages_argument(1), sender=gateway.principal
    )
    poll = decode_get_messages_result(answer.arg)
    assert len(poll.messages) == BURST


async def test_it_learns_that_the_application_has_closed(node: Any, server: ReplicaServer, gateway: Gateway) -> None:
    peer = Peer(node, server, Leaver.configured(**OMNIA)(), gateway.url)
    (client,) = await peer.run({"send": ["bye"], "expect": 1})
    assert client["errors"] == []
    assert client["received"] == []
    assert client["close"]["code"] == 4001


async def test_it_works_beside_a_secure_client_of_the_same_canister(
    node: Any, server: ReplicaServer, gateway: Gateway
) -> None:
    peer = Peer(node, server, Echo(), gateway.url)
    messages = [b"%d" % n for n in range(100)]

    async def secure() -> list[bytes]:
        options: dict[str, Any] = {"ic_url": server.url, "root_key": server.replica.root_key_der}
        async with connect(gateway.url, canister_id=peer.canister, **options) as ws:
            received = []
            for message in messages:
                await ws.send(message)
                received.append(await ws.recv())
                await asyncio.sleep(0.02)  # long enough for the other to come and go meanwhile
            assert ws.attach == 1
            return received

    wishes = [{"send": texts(*range(n, n + 5)), "expect": 5} for n in (0, 5)]
    received, told = await asyncio.gather(secure(), peer.run(*wishes))
    assert received == messages
    assert [client["errors"] for client in told] == [[], []]
    assert [client["received"] for client in told] == [wish["send"] for wish in wishes]


@pytest.mark.parametrize(
    "attack",
    [
        "altered-content",
        "altered-witness",
        "certificate-of-another-canister",
        "certificate-from-another-subnet",
        "forged-certificate",
        "stale-certificate",
        "reorder",
        "replay",
        "drop",
    ],
)
async def test_it_refuses_what_a_hostile_gateway_alters(
    node: Any, server: ReplicaServer, gateway: Gateway, attack: str
) -> None:
    peer = Peer(node, server, Echo.configured(**OMNIA)(), gateway.url)
    other = server.replica.install(Echo())
    scene = Scene(peer.canister, other, forge_for(server.replica), lambda: Target(skip=1))
    hostile_attack = CATALOGUE[attack].make(scene)
    async with HostileGateway(gateway.url, hostile_attack) as hostile:
        (client,) = await peer.run({"send": texts(1, 2, 3, 4), "expect": 4}, url=hostile.url)
    assert hostile_attack.struck
    assert client["opened"]
    assert client["close"]["code"] == 4000
    assert client["errors"]
    # a message is shown only with all before it: what was struck is the second
    assert client["received"] in (["1"], ["1", "2"])
