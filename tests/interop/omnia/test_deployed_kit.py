"""Our gateway and our client with a canister of the deployed kit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_canister_mock.replica import ReplicaServer
from icws_client import connect
from icws_gateway import Gateway
from icws_secure.limits import NS_PER_S
from icws_secure.wire.principal import Principal


class Network:
    """One canister of the deployed kit, and how to reach it."""

    def __init__(self, server: ReplicaServer, gateway: Gateway, kit: type[Any]) -> None:
        self.replica = server.replica
        self.canister: Principal = server.replica.install(kit())
        self._ic_url = server.url
        self._gateway = gateway

    @property
    def kit(self) -> Any:
        """The canister's state."""
        return self.replica.canister(self.canister)

    def connect(self, *, direct: bool = False, **options: Any) -> connect[bytes]:
        return connect(
            None if direct else self._gateway.url,
            canister_id=self.canister,
            ic_url=self._ic_url,
            root_key=self.replica.root_key_der,
            profile="omnia",
            open_timeout=15.0,
            close_timeout=2.0,
            **options,
        )


@pytest.fixture
def network(server: ReplicaServer, gateway: Gateway, deployed_kit: type[Any]) -> Network:
    return Network(server, gateway, deployed_kit)


async def eventually(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a canister tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("direct", [False, True], ids=["gateway", "direct"])
async def test_messages_are_echoed(network: Network, direct: bool) -> None:
    async with network.connect(direct=direct) as ws:
        for message in (b"one", b"two", b"three"):
            await ws.send(message, confirm="relayed")
            assert await ws.recv() == message
    assert network.kit.refused == []


async def test_messages_longer_than_a_poll_come_in_order(network: Network) -> None:
    async with network.connect() as ws:
        await ws.send(b"120", confirm="relayed")
        assert [await ws.recv() for _ in range(120)] == [b"message %d" % n for n in range(120)]


@pytest.mark.req("ICWS-GWY-009")
async def test_calls_sent_at_once_keep_their_order(network: Network) -> None:
    messages = [b"m%d" % n for n in range(40)]
    async with network.connect() as ws:
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(ws.send(message, confirm="relayed"))
        assert [await ws.recv() for _ in messages] == messages
    assert network.kit.refused == []


@pytest.mark.req("ICWS-GWY-013")
async def test_the_canister_hears_that_a_client_left(network: Network) -> None:
    async with network.connect() as ws:
        await ws.send(b"x", confirm="relayed")
        await ws.recv()
        assert len(network.kit.clients) == 1
    await eventually(lambda: not network.kit.clients)


async def test_two_clients_hear_only_themselves(network: Network) -> None:
    async with network.connect() as first, network.connect() as second:
        for n in range(5):
            await first.send(b"first %d" % n, confirm="relayed")
            await second.send(b"second %d" % n, confirm="relayed")
        assert [await first.recv() for _ in range(5)] == [b"first %d" % n for n in range(5)]
        assert [await second.recv() for _ in range(5)] == [b"second %d" % n for n in range(5)]


async def test_acknowledgements_are_answered(server: ReplicaServer, gateway: Gateway, deployed_kit: type[Any]) -> None:
    class Eager(deployed_kit):  # type: ignore[misc] # a fixture's class
        ack_interval_ns = NS_PER_S

    network = Network(server, gateway, Eager)
    async with network.connect() as ws:
        await ws.send(b"before", confirm="relayed")
        for _ in range(3):  # again and again, so that the canister does not take the client for dead
            (heard_at,) = (client.last_keep_alive for client in network.kit.clients.values())
            await eventually(
                lambda before=heard_at: all(client.last_keep_alive > before for client in network.kit.clients.values())
            )
        assert len(network.kit.clients) == 1
        await ws.send(b"after", confirm="relayed")
        assert [await ws.recv(), await ws.recv()] == [b"before", b"after"]


@pytest.mark.req("ICWS-GWY-019")
async def test_a_canister_that_forgot_its_queue_in_an_upgrade_is_followed(
    network: Network, deployed_kit: type[Any]
) -> None:
    async with network.connect() as ws:
        await ws.send(b"30", confirm="relayed")
        for _ in range(30):
            await ws.recv()
        network.replica.upgrade(network.canister, deployed_kit())
        # the first client's session is gone, and it keeps the gateway polling where the old queue ended
        async with network.connect() as second:
            await second.send(b"hello", confirm="relayed")
            assert await second.recv() == b"hello"


async def test_a_queue_that_was_dropped_while_nobody_was_there_is_found_again(
    server: ReplicaServer, gateway: Gateway, deployed_kit: type[Any]
) -> None:
    class Impatient(deployed_kit):  # type: ignore[misc] # a fixture's class
        ack_interval_ns = NS_PER_S  # after which the queue of nobody is dropped

    network = Network(server, gateway, Impatient)
    async with network.connect() as ws:
        await ws.send(b"10", confirm="relayed")
        for _ in range(10):
            await ws.recv()
    await eventually(lambda: not network.kit.queues)
    async with network.connect() as ws:
        await ws.send(b"again", confirm="relayed")
        assert await ws.recv() == b"again"
