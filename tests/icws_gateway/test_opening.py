"""The open: nothing before it is checked, everything ready before it is relayed."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import ReceiptFrame


@pytest.mark.req("ICWS-GWY-002", "ICWS-GWY-011")
@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"method": "ws_message"}, CloseCode.METHOD_NOT_ALLOWED),
        ({"gateway": True}, CloseCode.GATEWAY_MISMATCH),
        ({"canister": True}, CloseCode.CANISTER_NOT_ALLOWED),
        ({"signature": True}, CloseCode.INVALID_SIGNATURE),
        ({"frame": b"garbage"}, CloseCode.MALFORMED_FRAME),
        ({"frame": "text"}, CloseCode.MALFORMED_FRAME),
    ],
)
async def test_bad_open_costs_no_call_and_changes_nothing(ic, make_gateway, connect_peer, wrong, code):
    canister, denied = ic.install(), ic.install()
    gateway = await make_gateway(canisters_deny=(denied.to_text(),))
    peer = await connect_peer(gateway, denied if "canister" in wrong else canister)
    ic.seen.clear()
    if "frame" in wrong:
        await peer.socket.send(wrong["frame"])
    else:
        named = Ed25519Identity(bytes(32)).principal if "gateway" in wrong else gateway.principal
        envelope = peer.envelope(wrong.get("method", "ws_open"), peer.open_arg(gateway_principal=named))
        if "signature" in wrong:
            other = peer.envelope("ws_open", peer.open_arg())
            envelope = type(envelope)(envelope.content, envelope.sender_pubkey, other.sender_sig)
        await peer.send(envelope)
    assert await peer.wait_closed() == code
    assert peer.close_reason.startswith(f"{code.label}: ")
    assert ic.seen == []
    assert len(gateway._services.directory) == 0


@pytest.mark.req("ICWS-GWY-005")
async def test_client_is_registered_before_its_open_is_relayed(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    registered = []

    async def watch(seen):
        if seen.method == "ws_open":
            clients = gateway._services.directory.of(peer.canister)
            registered.append(clients is not None and clients.of(peer.key) is not None)

    ic.fault = watch
    await peer.open()
    assert registered == [True]


@pytest.mark.req("ICWS-GWY-005")
async def test_message_polled_before_the_open_returns_is_delivered(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    held = asyncio.Event()

    async def hold(seen):
        if seen.method == "ws_open":
            seen.method = ""
            ic.fault = None
            answer = await ic.call(seen)
            await held.wait()
            return answer
        return None

    ic.fault = hold
    await peer.open(attach=1, wait=False)
    await eventually(lambda: b"opened" in peer.contents)
    assert peer.receipts == []
    held.set()
    await eventually(lambda: peer.receipts)


@pytest.mark.req("ICWS-GWY-003")
async def test_connected_client_key_is_not_opened_over(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister)
    await first.open()
    second = await connect_peer(gateway, canister, identity=first.identity)
    second.key = first.key
    ic.seen.clear()
    await second.open(wait=False)
    assert await second.wait_closed() == CloseCode.CLIENT_KEY_CONNECTED
    assert ic.named("ws_open") == []
    await first.say(b"still here")
    await eventually(lambda: b"still here" in first.contents)


@pytest.mark.req("ICWS-GWY-003")
@pytest.mark.parametrize("attach", [4, 5])
async def test_equal_or_lower_attach_is_refused(ic, make_gateway, connect_peer, eventually, attach):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister, modern=True)
    await first.open(attach=5)
    second = await connect_peer(gateway, canister, modern=True, identity=first.identity)
    second.key = first.key
    await second.open(attach=attach, wait=False)
    assert await second.wait_closed() == CloseCode.STALE_ATTACH
    await first.say(b"still here")
    await eventually(lambda: b"still here" in first.contents)


@pytest.mark.req("ICWS-GWY-003", "ICWS-GWY-013")
async def test_higher_attach_takes_the_connection_over_without_closing_the_session(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister, modern=True)
    await first.open(attach=5)
    second = await connect_peer(gateway, canister, modern=True, identity=first.identity)
    second.key = first.key
    await second.open(attach=6)
    assert await first.wait_closed() == CloseCode.SUPERSEDED
    await second.say(b"mine now")
    await eventually(lambda: b"mine now" in second.contents)
    assert b"mine now" not in first.contents
    assert ic.named("ws_close") == []
    assert gateway.metrics.registry.get_sample_value("icws_gateway_clients", {"profile": "secure"}) == 1


@pytest.mark.req("ICWS-GWY-003")
async def test_secure_open_does_not_replace_an_omnia_client(ic, make_gateway, connect_peer):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister)
    await first.open()
    second = await connect_peer(gateway, canister, modern=True, identity=first.identity)
    second.key = first.key
    await second.open(attach=9, wait=False)
    assert await second.wait_closed() == CloseCode.CLIENT_KEY_CONNECTED


@pytest.mark.req("ICWS-GWY-011", "ICWS-GWY-013")
async def test_refusal_of_the_canister_is_passed_on(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    canister = ic.install()
    await ic.update(canister, "control", {"refuse_opens": "RecentlyRevoked"})
    peer = await connect_peer(gateway, canister, modern=True)
    await peer.open(attach=1, wait=False)
    assert await peer.wait_closed() == CloseCode.OPEN_REFUSED
    assert "RecentlyRevoked" in peer.close_reason
    # the certified reason came before
    assert isinstance(peer.frames[-1], ReceiptFrame)
    await eventually(lambda: len(gateway._services.directory) == 0)
    assert ic.named("ws_close") == []


async def test_canister_without_the_method_refuses_the_open(ic, make_gateway, connect_peer):
    from icws_canister_mock.replica import Canister

    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(Canister()))
    await peer.open(wait=False)
    assert await peer.wait_closed() == CloseCode.OPEN_REFUSED
    assert "IC0536" in peer.close_reason


@pytest.mark.req("ICWS-GWY-018", "ICWS-GWY-011")
async def test_client_that_never_opens_is_closed(ic, make_gateway, connect_peer):
    gateway = await make_gateway(open_timeout_seconds=0.2)
    peer = await connect_peer(gateway, ic.install())
    assert await peer.wait_closed() == CloseCode.OPEN_TIMEOUT
    assert gateway.metrics.registry.get_sample_value("icws_gateway_limits_total", {"limit": "open_time"}) == 1


@pytest.mark.req("ICWS-GWY-011")
async def test_other_subprotocol_is_refused_with_a_code(ic, make_gateway):
    gateway = await make_gateway()
    async with connect(gateway.url, subprotocols=[Subprotocol("chat.1")]) as socket:
        await socket.wait_closed()
        assert socket.close_code == CloseCode.UNSUPPORTED_SUBPROTOCOL
