"""Clients that leave, gateways that shut down."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import DrainFrame


@pytest.mark.req("ICWS-GWY-013")
@pytest.mark.parametrize("attach", [None, 7])
async def test_canister_is_told_with_the_attach_number(
    ic, make_gateway, connect_peer, eventually, gateway_identity, attach
):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=attach is not None)
    await peer.open(attach=attach)
    await peer.socket.close()
    await eventually(lambda: ic.canister(peer.canister).received[-1] == ("ws_close", (peer.key, attach)))
    assert {seen.sender for seen in ic.named("ws_close")} == {gateway_identity.principal}


@pytest.mark.req("ICWS-GWY-013")
async def test_canister_is_told_when_the_connection_breaks(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    peer.socket.transport.abort()
    await eventually(lambda: ic.named("ws_close"))


@pytest.mark.req("ICWS-GWY-013")
async def test_close_is_tried_again_after_trouble(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    left = 1

    async def fail(seen):
        nonlocal left
        if seen.method == "ws_close" and left:
            left -= 1
            return web.Response(status=503)
        return None

    ic.fault = fail
    await peer.socket.close()
    await eventually(lambda: ic.canister(peer.canister).received[-1][0] == "ws_close")


async def test_client_that_never_opened_causes_no_close(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.socket.close()
    await eventually(lambda: gateway.metrics.registry.get_sample_value("icws_gateway_connections") == 0)
    await gateway.stop()  # what it had to tell is told by now
    assert ic.named("ws_close") == []


@pytest.mark.req("ICWS-GWY-022")
async def test_drain_tells_modern_clients_waits_for_them_and_closes_the_rest(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway(drain_seconds=120, close_timeout_seconds=60)
    canister = ic.install()
    modern = await connect_peer(gateway, canister, modern=True)
    legacy = await connect_peer(gateway, canister)
    await modern.open(attach=1)
    await legacy.open()
    draining = asyncio.create_task(gateway.drain())
    await eventually(lambda: isinstance(modern.frames[-1], DrainFrame))
    assert modern.frames[-1] == DrainFrame(120)
    assert not any(isinstance(frame, DrainFrame) for frame in legacy.frames)
    assert not gateway.is_ready
    late = await connect_peer(gateway, canister)
    assert await late.wait_closed() == CloseCode.DRAINING
    # those who are here are served while they prepare to leave
    await modern.say(b"last words")
    await eventually(lambda: b"last words" in modern.contents)
    assert not draining.done()
    await modern.socket.close()
    await asyncio.wait_for(draining, 60)
    await gateway.stop()
    assert await legacy.wait_closed() == CloseCode.GOING_AWAY
    closed = [value for name, value in ic.canister(canister).received if name == "ws_close"]
    assert sorted(closed, key=str) == sorted([(modern.key, 1), (legacy.key, None)], key=str)


@pytest.mark.req("ICWS-GWY-022")
async def test_shutdown_waits_for_the_canisters_to_be_told(ic, make_gateway, connect_peer):
    gateway = await make_gateway(close_timeout_seconds=60)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()

    async def slow(seen):
        if seen.method == "ws_close":
            await asyncio.sleep(0.5)

    ic.fault = slow
    await gateway.stop()
    assert ic.canister(peer.canister).received[-1] == ("ws_close", (peer.key, None))


@pytest.mark.req("ICWS-GWY-022")
async def test_drain_takes_a_bounded_time(ic, make_gateway, connect_peer):
    gateway = await make_gateway(drain_seconds=0.5)
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await peer.say(b"x")

    async def hang(seen):
        await asyncio.sleep(600)

    ic.fault = hang
    await peer.say(b"never answered")
    await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        await gateway.drain()
        await gateway.stop()
    assert await peer.wait_closed() in (CloseCode.GOING_AWAY, None)


async def test_stop_leaves_no_task_behind(ic, make_gateway, connect_peer, eventually):
    before = asyncio.all_tasks()
    gateway = await make_gateway(head_interval_seconds=0.05)
    peers = [await connect_peer(gateway, ic.install(), modern=True) for _ in range(3)]
    for peer in peers:
        await peer.open(attach=1)
    await gateway.stop()
    for peer in peers:
        await peer.stop()
    await eventually(lambda: not [task for task in asyncio.all_tasks() - before if "icws_gateway" in repr(task)])


async def test_gateway_before_its_ic_is_there(ic, make_gateway):
    from icws_gateway import Gateway, GatewayConfig

    gateway = Gateway(GatewayConfig(ic_url="http://127.0.0.1:9", listen="127.0.0.1:0"), Ed25519Identity(bytes(32)))
    await gateway.start()
    assert not gateway.is_ready
    await gateway.stop()
