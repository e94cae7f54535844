"""Sealed content over the whole loop: HPKE to a canister, and rooms that only members read."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_canister_mock.canister import SECURE, CanisterConfig, Client, WebSocketCanister
from icws_canister_mock.canister.samples import SealedRoom
from icws_canister_mock.replica import Replica
from icws_client import Agent
from icws_client.identities import generate
from icws_client.rooms import Rooms, RoomText
from icws_secure.errors import CanisterRejected, MisuseError, PayloadViolation, Reason, Refused
from icws_secure.payload import RoomDelivery, RoomEpoch, RoomPost, RoomRefusal
from icws_secure.session.canister import SealedSuites
from icws_secure.vetkd import MasterPublicKey

ROOM = b"kitchen"


class Safe(WebSocketCanister):
    """Echoes what it opens."""

    config = CanisterConfig(profiles=frozenset({SECURE}), suites=SealedSuites())

    def on_init(self, arg: bytes) -> None:
        self.heard: list[bytes] = []

    def on_message(self, client: Client, data: bytes) -> None:
        self.heard.append(data)
        self.ws.send(client, data)


def queued(replica: Replica, canister: Any) -> bytes:
    """All that gateways can see of a canister's messages."""
    installed: Any = next(
        subnet.canisters[canister] for subnet in replica.subnets.values() if canister in subnet.canisters
    )
    queues = installed.canister.ws._sessions.state.queues.values()
    return b"".join(entry.content for queue in queues for entry in queue.entries.values())


async def test_hpke_hides_content_from_gateways(network: Any) -> None:
    gateway = await network.gateway()
    safe = network.install(Safe())
    async with network.connect(gateway.url, canister_id=safe, payload="hpke") as ws:
        assert ws.suite == "hpke-x25519"
        await ws.send(b"a secret word")
        assert await ws.recv() == b"a secret word"
        assert b"a secret" not in queued(network.replica, safe)


async def test_hpke_survives_the_death_of_a_gateway(network: Any) -> None:
    first, wire = await network.wire()
    second = await network.gateway()
    safe = network.install(Safe())
    async with network.connect([wire.url, second.url], canister_id=safe, payload="hpke") as ws:
        await ws.send(b"one")
        assert await ws.recv() == b"one"
        wire.cut()
        await ws.send(b"two")
        assert await ws.recv() == b"two"
        assert ws.attach > 1
    assert first is not second


async def test_hpke_without_a_gateway(network: Any) -> None:
    safe = network.install(Safe())
    async with network.connect(None, canister_id=safe, payload="hpke") as ws:
        await ws.send(b"direct")
        assert await ws.recv() == b"direct"


@pytest.mark.req("ICWS-PAY-012")
async def test_weaker_than_asked_for_is_refused(network: Any) -> None:
    gateway = await network.gateway()
    with pytest.raises(Refused) as caught:
        await network.connect(gateway.url, payload="hpke")  # the echo offers none
    assert caught.value.code == "SuiteTooWeak"
    async with network.connect(gateway.url, payload="hpke", minimum="none") as ws:
        assert ws.suite == "none"
    wrong = ({"payload": "none", "minimum": "hpke"}, {"payload": "rot13"}, {"payload": "hpke", "profile": "omnia"})
    for options in wrong:
        with pytest.raises(MisuseError):
            network.connect(gateway.url, **options)


async def test_suspended_session_goes_on_sealed(network: Any, tmp_path: Any) -> None:
    gateway = await network.gateway()
    safe = network.install(Safe())
    options = {"canister_id": safe, "payload": "hpke", "state_file": tmp_path / "s", "state_key": bytes(32)}
    ws = await network.connect(gateway.url, **options)
    await ws.send(b"one")
    await ws.ready()
    await ws.suspend()
    async with network.connect(gateway.url, **options) as ws:
        assert await ws.recv() == b"one"
        await ws.send(b"two")
        assert await ws.recv() == b"two"


# rooms ----------------------------------------------------------------------------------------------------------------


class People:
    """Members of rooms, each with a connection and an agent."""

    def __init__(self, network: Any, gateway: Any) -> None:
        self.network = network
        self.gateway = gateway
        self.canister = network.install(SealedRoom())
        self.master_key = MasterPublicKey(network.replica.vetkd.master_public_key("test_key_1"))

    def join(self) -> Person:
        return Person(self)


class Person:
    def __init__(self, people: People) -> None:
        self.people = people
        self.identity = generate()

    @property
    def principal(self) -> Any:
        return self.identity.principal

    async def __aenter__(self) -> Person:
        people, network = self.people, self.people.network
        self.agent = Agent(network.ic_url, identity=self.identity, root_key=network.root_key)
        self.ws = await network.connect(
            people.gateway.url, canister_id=people.canister, identity=self.identity, payload="vetkd"
        )
        self.rooms = self.make_rooms()
        return self

    def make_rooms(self, *, label: bytes = b"sealed-room", master_key: MasterPublicKey | None = None) -> Rooms:
        return Rooms(self.ws, self.agent, label=label, master_key=master_key or self.people.master_key)

    async def hears(self) -> Any:
        return await asyncio.wait_for(self.rooms.recv(), 60)

    async def __aexit__(self, *error: Any) -> None:
        await self.ws.close()
        await self.agent.close()


@pytest.fixture
async def people(network: Any) -> People:
    return People(network, await network.gateway())


@pytest.mark.req("ICWS-PAY-009", "ICWS-PAY-010", "ICWS-PAY-011")
async def test_members_talk_and_nobody_else_reads(people: People) -> None:
    async with people.join() as alice, people.join() as bob, people.join() as carol:
        await alice.rooms.create(ROOM, bob.principal, carol.principal)
        for person in (alice, bob, carol):
            await person.rooms.join(ROOM)
        await alice.rooms.send(ROOM, b"a secret word")
        for person in (bob, carol):
            assert await person.hears() == RoomText(ROOM, alice.ws.session_principal, b"a secret word", 1)
        assert b"a secret" not in queued(people.network.replica, people.canister)

        # Carol is put out: the others follow to a key that she cannot have.
        await alice.rooms.remove(ROOM, carol.principal)
        for person in (alice, bob):
            assert await person.hears() == RoomEpoch(ROOM, 2)
        await bob.rooms.send(ROOM, b"without her")
        assert (await alice.hears()).data == b"without her"
        with pytest.raises(CanisterRejected):
            await carol.rooms.join(ROOM)
        await carol.rooms.send(ROOM, b"still here?")
        refusal = await carol.hears()
        assert isinstance(refusal, RoomRefusal)
        assert refusal.code == "NotMember"


@pytest.mark.req("ICWS-PAY-010")
async def test_message_under_an_older_epoch_is_refused(people: People) -> None:
    async with people.join() as alice, people.join() as bob, people.join() as carol:
        await alice.rooms.create(ROOM, bob.principal, carol.principal)
        await bob.rooms.join(ROOM)
        stale = bob.rooms._joined[ROOM].sender.seal(b"late")[1]
        await alice.rooms.remove(ROOM, carol.principal)
        await bob.ws.send(RoomPost(ROOM, stale).encode())
        heard = [await bob.hears() for _ in range(2)]
        assert heard[0] == RoomEpoch(ROOM, 2)
        assert isinstance(heard[1], RoomRefusal)
        assert (heard[1].code, heard[1].epoch) == ("StaleRoomEpoch", 2)
        await bob.rooms.send(ROOM, b"in time")


@pytest.mark.req("ICWS-PAY-009", "ICWS-PAY-011")
async def test_key_of_another_context_or_master_key_is_refused(people: People) -> None:
    replica = people.network.replica
    async with people.join() as alice:
        await alice.rooms.create(ROOM)
        for rooms in (
            alice.make_rooms(label=b"another"),
            alice.make_rooms(master_key=MasterPublicKey(replica.vetkd.master_public_key("key_1"))),
        ):
            rooms._transport_key = alice.rooms._transport_key  # one derivation does for all
            with pytest.raises(PayloadViolation) as caught:
                await rooms.join(ROOM)
            assert caught.value.reason is Reason.BAD_BLS_SIGNATURE
        await alice.rooms.join(ROOM)


@pytest.mark.req("ICWS-PAY-008")
async def test_content_under_another_name_does_not_open(people: People) -> None:
    """A canister that puts words into somebody's mouth, or passes a message on twice, is found out."""
    async with people.join() as alice, people.join() as bob:
        await alice.rooms.create(ROOM, bob.principal)
        await alice.rooms.join(ROOM)
        await bob.rooms.join(ROOM)
        joined = alice.rooms._joined[ROOM]
        joined.sender, content = joined.sender.seal(b"hello")
        sent = RoomDelivery(ROOM, 1, alice.ws.session_principal, content)
        forged = RoomDelivery(ROOM, 1, bob.ws.session_principal, content)
        assert (await bob.rooms._update(sent)).data == b"hello"  # type: ignore[union-attr]
        for message, reason in ((sent, Reason.REPLAYED), (forged, Reason.OPEN_FAILED)):
            with pytest.raises(PayloadViolation) as caught:
                await bob.rooms._update(message)
            assert caught.value.reason is reason
