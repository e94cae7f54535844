"""Replica, canister, gateway and client together, in both profiles and by every way there is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_client import ConnectionClosedOK, IcWebSocket
from icws_client.callbacks import CLOSED
from icws_client.identities import generate
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Attached, GatewayLost, SessionState

PROFILES = ["secure", "omnia"]


@pytest.mark.parametrize("profile", PROFILES)
async def test_messages_are_echoed_through_a_gateway(network: Any, profile: str) -> None:
    gateway = await network.gateway()
    async with network.connect(gateway.url, profile=profile) as ws:
        assert ws.gateway == gateway.principal
        for n in range(5):
            await ws.send(b"%d" % n)
        assert [await ws.recv() for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]
    assert ws.state is SessionState.ENDED


@pytest.mark.req("ICWS-CLT-073")
@pytest.mark.parametrize("profile", PROFILES)
async def test_messages_are_echoed_without_a_gateway(network: Any, profile: str) -> None:
    async with network.connect(None, profile=profile) as ws:
        assert ws.gateway == ws.session_principal
        await ws.send(b"direct")
        assert await ws.recv() == b"direct"


@pytest.mark.parametrize("profile", PROFILES)
async def test_messages_may_go_by_direct_call_and_come_through_the_gateway(network: Any, profile: str) -> None:
    gateway = await network.gateway()
    async with network.connect(gateway.url, profile=profile, send_via="direct") as ws:
        assert ws.gateway == gateway.principal
        await ws.send(b"around")
        assert await ws.recv() == b"around"


@pytest.mark.parametrize("confirm", ["executed", "accepted", "relayed"])
async def test_many_messages_in_flight_keep_their_order(network: Any, confirm: Any) -> None:
    gateway = await network.gateway()
    async with network.connect(gateway.url) as ws:
        messages = [b"%d" % n for n in range(60)]
        async with asyncio.TaskGroup() as group:
            for message in messages:
                group.create_task(ws.send(message, confirm=confirm))
            received = [await ws.recv() for _ in messages]
        assert received == messages


async def test_large_and_empty_messages_pass(network: Any) -> None:
    gateway = await network.gateway()
    async with network.connect(gateway.url) as ws:
        for message in (b"", bytes(range(256)) * 1_024):
            await ws.send(message)
            assert await ws.recv() == message


@pytest.mark.parametrize("profile", PROFILES)
async def test_clients_of_one_gateway_do_not_hear_each_other(network: Any, profile: str) -> None:
    gateway = await network.gateway()

    async def talk(name: bytes) -> None:
        async with network.connect(gateway.url, profile=profile) as ws:
            for n in range(3):
                await ws.send(name + b"%d" % n)
                assert await ws.recv() == name + b"%d" % n

    await asyncio.gather(*(talk(name) for name in (b"a", b"b", b"c", b"d")))


@pytest.mark.req("ICWS-CLT-070")
async def test_a_session_outlives_its_gateway(network: Any) -> None:
    first, second = await network.wire(), await network.wire()
    events: list[Any] = []
    async with network.connect([first[1].url, second[1].url], on_event=events.append) as ws:
        assert ws.gateway == first[0].principal
        await ws.send(b"before")
        assert await ws.recv() == b"before"
        first[1].cut()
        await ws.send(b"after")
        assert await ws.recv() == b"after"
        assert ws.gateway == second[0].principal
        assert ws.attach > 1
    assert [type(event) for event in events if isinstance(event, Attached | GatewayLost)][:3] == [
        Attached,
        GatewayLost,
        Attached,
    ]


@pytest.mark.req("ICWS-CLT-070")
async def test_nothing_is_lost_or_doubled_while_connections_break(network: Any) -> None:
    wires = [(await network.wire())[1] for _ in range(2)]
    messages = [b"%d" % n for n in range(60)]
    received = []

    async def disturb() -> None:
        for n in range(4):
            await asyncio.sleep(0.3)
            wires[n % 2].drop()

    async with network.connect([wire.url for wire in wires]) as ws, asyncio.TaskGroup() as group:
        group.create_task(disturb())
        for message in messages:
            group.create_task(ws.send(message))
        for _ in messages:
            received.append(await ws.recv())
    assert received == messages


async def test_a_gateway_that_falls_silent_is_left(network: Any) -> None:
    first, second = await network.wire(), await network.wire()
    impatient = {"receipt_timeout_ns": 2 * NS_PER_S}
    async with network.connect([first[1].url, second[1].url], settings=impatient) as ws:
        await ws.send(b"before")
        first[1].stall()
        await ws.send(b"after")
        assert [await ws.recv(), await ws.recv()] == [b"before", b"after"]


@pytest.mark.req("ICWS-CLT-073")
async def test_without_any_gateway_left_the_client_goes_on_directly(network: Any) -> None:
    _gateway, wire = await network.wire()
    async with network.connect(wire.url) as ws:
        await ws.send(b"before")
        assert await ws.recv() == b"before"
        wire.cut()
        await ws.send(b"after")
        assert await ws.recv() == b"after"
        assert ws.gateway == ws.session_principal


@pytest.mark.req("ICWS-CLT-011")
async def test_a_pinned_gateway_principal_is_demanded(network: Any) -> None:
    gateway = await network.gateway()
    async with network.connect(gateway.url, gateway_principal=gateway.principal.to_text()) as ws:
        await ws.send(b"x")
    lost = await network.refused(gateway.url, gateway_principal=generate().principal, profile="omnia")
    assert lost.reason is Reason.GATEWAY_NOT_PINNED


@pytest.mark.parametrize("profile", PROFILES)
async def test_callbacks_serve_too(network: Any, profile: Any) -> None:
    gateway = await network.gateway()
    messages: list[bytes] = []
    socket = IcWebSocket(gateway.url, **network.options(profile=profile))

    def on_message(data: bytes) -> None:
        messages.append(data)
        socket.close()

    socket.on_open = lambda: socket.send(b"hello")
    socket.on_message = on_message
    async with asyncio.timeout(60):
        await socket.closed()
    assert messages == [b"hello"]
    assert socket.ready_state == CLOSED


@pytest.mark.parametrize("profile", PROFILES)
async def test_synchronous_programs_are_served_too(network: Any, profile: str) -> None:
    gateway = await network.gateway()
    opening = network.connect_sync(gateway.url, profile=profile)

    def program() -> list[bytes]:
        with opening() as ws:
            ws.send(b"one")
            ws.send(b"two")
            return [ws.recv(timeout=60), ws.recv(timeout=60)]

    assert await asyncio.to_thread(program) == [b"one", b"two"]


async def test_two_sessions_of_one_owner_live_side_by_side(network: Any) -> None:
    gateway = await network.gateway()
    owner = generate()
    async with (
        network.connect(gateway.url, identity=owner) as first,
        network.connect(gateway.url, identity=owner) as second,
    ):
        await first.send(b"1")
        await second.send(b"2")
        assert (await first.recv(), await second.recv()) == (b"1", b"2")
        assert first.session_principal != second.session_principal


@pytest.mark.req("ICWS-CLT-074")
async def test_a_saved_session_is_resumed_where_it_was(network: Any, tmp_path: Any) -> None:
    gateway = await network.gateway()
    saved = {"state_file": tmp_path / "session", "state_key": bytes(32)}
    async with network.connect(gateway.url, **saved) as ws:
        await ws.send(b"one")
        await ws.send(b"two")
        assert await ws.recv() == b"one"
        session = ws.session_principal
        await ws.suspend()
    async with network.connect(gateway.url, **saved) as ws:
        assert ws.session_principal == session
        assert await ws.recv() == b"two"
        await ws.send(b"three")
        assert await ws.recv() == b"three"
    assert not (tmp_path / "session").exists()  # closed for good


async def test_a_closed_session_is_over_for_both(network: Any) -> None:
    gateway = await network.gateway()
    ws = await network.connect(gateway.url)
    await ws.close()
    with pytest.raises(ConnectionClosedOK) as caught:
        await ws.send(b"x")
    assert (caught.value.code, caught.value.close_reason) == (1000, "ClientClosed")
