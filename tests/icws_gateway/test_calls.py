"""Calls of open clients: order, bounds, receipts, failures."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiohttp import web

from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.request_status import Rejected, Replied, read_request_status
from icws_secure.verify.root_key import RootKey
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope


@pytest.mark.req("ICWS-GWY-009")
async def test_omnia_calls_go_one_at_a_time_in_order(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    under_way, most, order = 0, 0, []

    async def slow(seen):
        nonlocal under_way, most
        if seen.method == "ws_message":
            under_way += 1
            most = max(most, under_way)
            order.append(Envelope.decode(seen.body).content.arg)
            await asyncio.sleep(0.02 if len(order) % 2 else 0)
            answer = await ic.call(seen)
            under_way -= 1
            return answer
        return None

    ic.fault = slow
    sent = [await peer.say(b"%d" % number) for number in range(12)]
    await eventually(lambda: len(peer.contents) == 13)
    assert most == 1
    assert order == [envelope.content.arg for envelope in sent]
    assert peer.contents[1:] == [b"%d" % number for number in range(12)]


async def test_secure_calls_go_in_parallel_up_to_the_bound(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(calls_in_flight_per_client=4)
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    held = asyncio.Event()
    waiting = []

    async def hold(seen):
        if seen.method == "ws_message":
            waiting.append(seen)
            await held.wait()

    ic.fault = hold
    for number in range(10):
        await peer.say(b"%d" % number)
    await eventually(lambda: len(waiting) == 4)
    await asyncio.sleep(0.1)
    assert len(waiting) == 4
    held.set()
    await eventually(lambda: len(peer.receipts) == 11)


@pytest.mark.req("ICWS-GWY-010")
async def test_receipt_is_the_certificate_of_the_call(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    bodies = {}

    def keep(seen, status, body):
        bodies[seen.method] = body
        return status, body

    ic.rewrite = keep
    good = await peer.say(b"fine")
    await eventually(lambda: len(peer.receipts) == 2)
    bad = await peer.say(b"trap")
    await eventually(lambda: len(peer.receipts) == 3)
    verifier = CertificateVerifier(RootKey.from_der(ic.replica.root_key_der))
    for envelope, receipt, kind in zip((good, bad), peer.receipts[1:], (Replied, Rejected), strict=True):
        assert receipt.request_id == envelope.content.request_id
        certificate = verifier.verify_ignoring_age(receipt.certificate, canister_id=peer.canister)
        assert isinstance(read_request_status(certificate, receipt.request_id), kind)
    assert peer.receipts[2].certificate in bodies["ws_message"]  # byte for byte


@pytest.mark.req("ICWS-GWY-010")
async def test_call_without_an_answer_yet_is_reported_as_pending(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    ic.server.sync_call_timeout_ms = 0
    envelope = await peer.say(b"later")
    await eventually(lambda: len(peer.receipts) == 2)
    assert (peer.receipts[1].request_id, peer.receipts[1].status) == (envelope.content.request_id, "pending")
    await eventually(lambda: b"later" in peer.contents)
    await asyncio.sleep(0.2)
    assert len(peer.receipts) == 2  # and nothing after it, which the client might not expect any more


@pytest.mark.req("ICWS-GWY-010")
async def test_receipts_are_for_our_subprotocol_only(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open(attach=1)
    await peer.say(b"hello")
    await eventually(lambda: b"hello" in peer.contents)
    assert peer.receipts == []


@pytest.mark.req("ICWS-GWY-010")
async def test_rejection_by_a_node_is_passed_on_as_such(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    ic.replica.stop(peer.canister)
    await peer.say(b"hello")
    await eventually(lambda: len(peer.receipts) == 2)
    receipt = peer.receipts[1]
    assert receipt.status in ("rejected", "certificate")


@pytest.mark.req("ICWS-GWY-004", "ICWS-GWY-011")
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"canister_id": True}, CloseCode.WRONG_CANISTER),
        ({"identity": True}, CloseCode.SENDER_MISMATCH),
        ({"method": "push"}, CloseCode.METHOD_NOT_ALLOWED),
        ({"method": "ws_open"}, CloseCode.METHOD_NOT_ALLOWED),
        ({"ingress_expiry_ns": 1}, CloseCode.INGRESS_EXPIRY),
        ({"frame": b"\x00"}, CloseCode.MALFORMED_FRAME),
    ],
)
async def test_call_that_is_not_the_sessions_own_is_refused(
    ic, make_gateway, connect_peer, eventually, gateway_identity, change, code
):
    gateway = await make_gateway()
    canister, other = ic.install(), ic.install()
    peer = await connect_peer(gateway, canister)
    await peer.open()
    ic.seen.clear()
    change = dict(change)
    if "frame" in change:
        await peer.socket.send(change["frame"])
    else:
        if "canister_id" in change:
            change["canister_id"] = other
        if "identity" in change:
            change["identity"] = gateway_identity
        await peer.send(peer.envelope(change.pop("method", "ws_message"), b"", **change))
    assert await peer.wait_closed() == code
    assert [seen for seen in ic.seen if seen.kind == "call" and seen.method != "ws_close"] == []


@pytest.mark.req("ICWS-GWY-021")
async def test_duplicate_of_a_call_under_way_is_dropped(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    held = asyncio.Event()

    async def hold(seen):
        if seen.method == "ws_message":
            await held.wait()

    ic.fault = hold
    envelope = peer.message_envelope(b"once")
    for _ in range(3):
        await peer.send(envelope)
    drops = lambda: gateway.metrics.registry.get_sample_value("icws_gateway_drops_total", {"reason": "duplicate"})  # noqa: E731
    await eventually(lambda: drops() == 2)
    held.set()
    await eventually(lambda: len(peer.receipts) == 2)
    assert len(ic.named("ws_message")) == 1
    # once it is answered it may be submitted again, as a client does whose receipt was lost
    await peer.send(envelope)
    await eventually(lambda: len(peer.receipts) == 3)
    await eventually(lambda: b"once" in peer.contents)
    assert peer.contents.count(b"once") == 1


@pytest.mark.req("ICWS-GWY-021")
async def test_call_that_expires_while_it_waits_is_not_relayed(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(calls_in_flight_per_client=1)
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    held = asyncio.Event()

    async def hold(seen):
        if seen.method == "ws_message":
            await held.wait()

    ic.fault = hold
    await peer.say(b"first")
    expiry = time.time_ns() + 300_000_000
    await peer.send(peer.message_envelope(b"second", ingress_expiry_ns=expiry))
    await eventually(lambda: len(ic.named("ws_message")) == 1 and time.time_ns() > expiry)
    held.set()
    # it is refused with its code when its turn to be read comes, or failed when its turn to be sent does
    await eventually(lambda: peer.closed is not None or len(peer.receipts) == 3)
    assert len(ic.named("ws_message")) == 1


@pytest.mark.parametrize("trouble", [429, 500, 503, "garbage", "cut"])
async def test_call_is_tried_again_after_trouble(ic, make_gateway, connect_peer, eventually, trouble):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    left = 2

    async def fail(seen):
        nonlocal left
        if seen.method == "ws_message" and left:
            left -= 1
            if trouble == "cut":
                raise web.HTTPServiceUnavailable
            if trouble == "garbage":
                return web.Response(body=b"\xff\xff")
            return web.Response(status=trouble)
        return None

    ic.fault = fail
    await peer.say(b"patience")
    await eventually(lambda: b"patience" in peer.contents)
    await eventually(lambda: len(peer.receipts) == 2)
    assert peer.receipts[1].status == "certificate"


async def test_call_that_the_ic_refuses_is_reported_and_not_tried_again(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    modern = await connect_peer(gateway, ic.install(), modern=True)
    legacy = await connect_peer(gateway, modern.canister)
    await modern.open(attach=1)
    await legacy.open()

    async def refuse(seen):
        return web.Response(status=400, text="no") if seen.method == "ws_message" else None

    ic.fault = refuse
    refused = await modern.say(b"x")
    await eventually(lambda: len(modern.receipts) == 2)
    statuses = {receipt.request_id: receipt.status for receipt in modern.receipts}
    assert statuses[refused.content.request_id] == "failed"
    assert len(ic.named("ws_message")) == 1
    await legacy.say(b"x")
    assert await legacy.wait_closed() == CloseCode.REPLICA_ERROR
    assert modern.closed is None


@pytest.mark.parametrize(("gone", "version"), [((), "v4"), (("v4/call",), "v3"), (("v4/call", "v3/call"), "v2")])
async def test_calls_go_to_the_newest_endpoint_that_is_there(ic, make_gateway, connect_peer, eventually, gone, version):
    ic.server.withdrawn |= set(gone)
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    ic.seen.clear()
    await peer.say(b"hello")
    await eventually(lambda: len(peer.receipts) == 2)
    assert [seen.version for seen in ic.named("ws_message")] == [version]
    assert peer.receipts[1].status == ("pending" if version == "v2" else "certificate")


async def test_calls_on_their_way_are_finished_before_the_canister_hears_that_the_client_left(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()

    async def slow(seen):
        if seen.method == "ws_message":
            await asyncio.sleep(0.2)

    ic.fault = slow
    for number in range(3):
        await peer.say(b"%d" % number)
    await peer.socket.close()
    await eventually(lambda: ic.named("ws_close"))
    await eventually(lambda: ic.canister(peer.canister).received[-1][0] == "ws_close")
    assert [what for what, _ in ic.canister(peer.canister).received] == [
        "ws_open", "ws_message", "ws_message", "ws_message", "ws_close"
    ]  # fmt: skip
