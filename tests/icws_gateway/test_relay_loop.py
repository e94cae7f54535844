"""Clients, gateway, canister: what both profiles count on."""

from __future__ import annotations

import pytest

from icws_secure.wire.frames import SUBPROTOCOL, MessageFrame, MessagesFrame


@pytest.mark.req("ICWS-GWY-001")
async def test_handshake_with_principal_comes_at_once(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    legacy = await connect_peer(gateway, ic.install())
    modern = await connect_peer(gateway, legacy.canister, modern=True)
    await eventually(lambda: legacy.frames and modern.frames)
    assert (legacy.handshake.gateway_principal, legacy.handshake.version) == (gateway.principal, None)
    assert (modern.handshake.gateway_principal, modern.handshake.version) == (gateway.principal, SUBPROTOCOL)
    assert ic.named("ws_get_messages") == []


async def test_legacy_client_opens_sends_and_receives(ic, make_gateway, connect_peer, eventually, verify):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    for number in range(5):
        await peer.say(b"hello %d" % number)
    await eventually(lambda: len(peer.contents) == 6)
    assert peer.contents == [b"opened", *(b"hello %d" % number for number in range(5))]
    assert all(isinstance(frame, MessageFrame) for frame in peer.frames[1:])
    for delivery in peer.deliveries:
        verify(peer.canister, delivery)


async def test_secure_client_gets_shared_frames_and_receipts(ic, make_gateway, connect_peer, eventually, verify):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await ic.push(peer.canister, *((peer.key, b"news %d" % number) for number in range(20)))
    await eventually(lambda: len(peer.contents) == 21)
    shared = [frame for frame in peer.frames if isinstance(frame, MessagesFrame)]
    assert max(len(frame.messages) for frame in shared) == 20
    for delivery in peer.deliveries:
        verify(peer.canister, delivery)
    await eventually(lambda: [str(receipt.status) for receipt in peer.receipts] == ["certificate"])


async def test_answer_to_a_call_is_polled_for_at_once(ic, make_gateway, connect_peer, eventually):
    # the next regular poll is due long after the test has given up: only the call brings the answer
    gateway = await make_gateway(poll_interval_ms=600_000, poll_idle_interval_ms=600_000)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    await peer.say(b"quick")
    await eventually(lambda: b"quick" in peer.contents)
