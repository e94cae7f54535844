"""Polls: order, lies, endpoints, forgotten queues, canisters that fail."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter

import pytest
from aiohttp import web

from icws_gateway.reply_check import ReplyChecker
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.interface import decode_get_messages_argument


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


def asked(seen) -> int:
    return decode_get_messages_argument(Envelope.decode(seen.body).content.arg)


@pytest.mark.req("ICWS-GWY-006")
async def test_long_queue_is_polled_ahead_and_delivered_in_order(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(polls_ahead=8, poll_timeout_seconds=60)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    random.seed(4)
    under_way: Counter[int] = Counter()  # by place; one that is due may be asked twice, after a call was executed
    most_places = most_of_one = 0
    several = asyncio.Event()

    async def jitter(seen):
        nonlocal most_places, most_of_one
        if seen.method == "ws_get_messages":
            place = asked(seen)
            under_way[place] += 1
            most_of_one = max(most_of_one, under_way[place])
            most_places = max(most_places, len(under_way))
            if most_places >= 4:
                several.set()
            if place >= 600:  # twelve full replies behind: so many polls may be under way by now
                await several.wait()
            await asyncio.sleep(random.uniform(0.01, 0.06))
            under_way[place] -= 1
            if not under_way[place]:
                del under_way[place]

    ic.fault = jitter
    await ic.push(peer.canister, *((peer.key, b"%d" % number) for number in range(1_500)))
    await eventually(lambda: len(peer.contents) == 1_501)
    assert peer.contents[1:] == [b"%d" % number for number in range(1_500)]
    assert 4 <= most_places <= 8
    assert most_of_one <= 2


@pytest.mark.req("ICWS-GWY-006")
async def test_trimmed_queue_is_followed(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    held = asyncio.Event()

    async def hold(seen):
        if seen.method == "ws_get_messages":
            await held.wait()

    ic.fault = hold
    await ic.push(peer.canister, *((peer.key, b"%d" % number) for number in range(10)))
    await ic.update(peer.canister, "control", {"trim": 6})
    held.set()
    await eventually(lambda: b"9" in peer.contents)
    assert peer.contents[1:] == [b"%d" % number for number in range(5, 10)]
    assert metric(gateway, "queue_gaps_total") == 1


@pytest.mark.req("ICWS-GWY-007", "ICWS-GWY-012")
async def test_replica_that_lies_is_not_forwarded_and_others_are_served(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    lied_to = await connect_peer(gateway, ic.install())
    other = await connect_peer(gateway, ic.install())
    await lied_to.open()
    await other.open()
    lying = True

    def lie(seen, status, body):
        if lying and seen.method == "ws_get_messages" and seen.canister == lied_to.canister.to_text():
            return status, body.replace(b"truth", b"lies!")
        return status, body

    ic.rewrite = lie
    await ic.push(lied_to.canister, (lied_to.key, b"the truth"))
    await ic.push(other.canister, (other.key, b"the truth"))
    await eventually(lambda: metric(gateway, "replica_faults_total", kind="leaf") >= 2)
    await eventually(lambda: other.contents == [b"opened", b"the truth"])
    assert lied_to.contents == [b"opened"]
    lying = False
    await eventually(lambda: b"the truth" in lied_to.contents)


@pytest.mark.req("ICWS-GWY-012")
@pytest.mark.parametrize("trouble", ["garbage", "500", "hang", "huge", "candid", "reset"])
async def test_canister_in_trouble_hurts_nobody_else(ic, make_gateway, connect_peer, eventually, trouble):
    gateway = await make_gateway(poll_timeout_seconds=0.3, poll_backoff_seconds=0.2)
    bad = await connect_peer(gateway, ic.install())
    good = await connect_peer(gateway, ic.install())
    await bad.open()
    await good.open()
    troubled, over = True, asyncio.Event()

    async def fail(seen):
        if not troubled or seen.canister != bad.canister.to_text() or seen.method != "ws_get_messages":
            return None
        match trouble:
            case "garbage":
                return web.Response(body=b"\xa1\x66status\x67replied" + bytes(30))
            case "500":
                return web.Response(status=500)
            case "hang":
                await over.wait()
            case "huge":
                return web.Response(body=bytes(5 << 20))
            case "candid":
                return web.Response(body=b"\xa2fstatusgrepliedereply\xa1cargLDIDL\x00\x00\x00\x00\x00\x00\x00\x00")
        raise ConnectionResetError

    ic.fault = fail
    await ic.push(bad.canister, (bad.key, b"late"))
    for number in range(5):
        await good.say(b"%d" % number)
    await eventually(lambda: len(good.contents) == 6)
    assert good.closed is None
    assert bad.closed is None
    troubled = False
    over.set()
    await eventually(lambda: b"late" in bad.contents)
    assert metric(gateway, "internal_errors_total") == 0


async def test_failing_polls_are_spaced_out(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(poll_interval_ms=10, poll_idle_interval_ms=10)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()

    async def fail(seen):
        return web.Response(status=503) if seen.method == "ws_get_messages" else None

    ic.fault = fail
    ic.seen.clear()
    await eventually(lambda: len(ic.named("ws_get_messages")) >= 4)
    first, _, _, last = [seen.at for seen in ic.named("ws_get_messages")][:4]
    assert last - first > 0.2  # at the interval it would be 0.03


@pytest.mark.req("ICWS-GWY-014")
async def test_polls_use_the_endpoint_that_all_clients_can_read(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    canister = ic.install()
    checker = ReplyChecker(canister, gateway.principal)
    modern = await connect_peer(gateway, canister, modern=True)
    await modern.open(attach=1)
    assert {seen.version for seen in ic.named("ws_get_messages")} == {"v3"}
    assert not checker.readable_by_all(modern.deliveries[0][2])
    legacy = await connect_peer(gateway, canister)
    await legacy.open()
    await ic.push(canister, (legacy.key, b"old"), (modern.key, b"new"))
    await eventually(lambda: b"old" in legacy.contents and b"new" in modern.contents)
    assert all(checker.readable_by_all(delivery[2]) for delivery in legacy.deliveries)
    assert checker.readable_by_all(modern.deliveries[-1][2])
    await legacy.socket.close()
    await eventually(lambda: ic.named("ws_close"))
    await eventually(lambda: metric(gateway, "polls_in_flight") == 0)  # none that began before
    ic.seen.clear()
    await ic.push(canister, (modern.key, b"newer"))
    await eventually(lambda: b"newer" in modern.contents)
    assert ic.named("ws_get_messages")[-1].version == "v3"


@pytest.mark.req("ICWS-GWY-014")
async def test_secure_clients_are_served_when_the_new_endpoint_is_missing(ic, make_gateway, connect_peer):
    ic.server.withdrawn.add("v3/query")
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    assert b"opened" in peer.contents


@pytest.mark.req("ICWS-GWY-014", "ICWS-GWY-011")
async def test_legacy_clients_get_a_typed_refusal_when_the_old_endpoint_is_gone(
    ic, make_gateway, connect_peer, eventually
):
    ic.server.withdrawn.add("v2/query")
    gateway = await make_gateway()
    canister = ic.install()
    modern = await connect_peer(gateway, canister, modern=True)
    await modern.open(attach=1)
    legacy = await connect_peer(gateway, canister)
    await legacy.open(wait=False)
    assert await legacy.wait_closed() == CloseCode.UNSUPPORTED_SUBPROTOCOL
    assert legacy.deliveries == []
    assert modern.closed is None


async def test_legacy_clients_of_the_root_subnet_need_no_old_endpoint(ic, make_gateway, connect_peer):
    ic.server.withdrawn.add("v2/query")
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(subnet="root"))
    await peer.open()
    assert decode_certificate(peer.deliveries[0][2]).delegation is None


@pytest.mark.req("ICWS-GWY-019")
async def test_queue_that_the_canister_forgot_is_followed_from_its_new_start(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway(poll_interval_ms=20)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    await ic.push(peer.canister, *((peer.key, b"old %d" % number) for number in range(20)))
    await eventually(lambda: len(peer.contents) == 21)
    await ic.update(peer.canister, "control", {"forget": True})
    await peer.say(b"after the upgrade")
    await eventually(lambda: b"after the upgrade" in peer.contents)
    assert metric(gateway, "queue_restarts_total") == 1
    assert len(peer.contents) == 22


@pytest.mark.req("ICWS-GWY-019")
async def test_queue_that_is_merely_silent_is_not_restarted(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(poll_interval_ms=10)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    ic.seen.clear()
    await peer.say(b"trap")  # executed, and leaves nothing
    await eventually(lambda: any(asked(seen) == 0 for seen in ic.named("ws_get_messages")))
    await peer.say(b"hello")
    await eventually(lambda: b"hello" in peer.contents)
    assert peer.contents == [b"opened", b"hello"]
    assert metric(gateway, "queue_restarts_total") == 0


@pytest.mark.req("ICWS-GWY-016")
async def test_node_signatures_are_verified_where_that_is_on(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(verify_queries=True, poll_backoff_seconds=0.1)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    assert [seen.kind for seen in ic.seen].count("read_state") == 1
    stripped = True

    def strip(seen, status, body):
        if stripped and seen.kind == "query":
            at = body.index(b"isignature") + 12
            return status, body[:at] + bytes((body[at] ^ 1,)) + body[at + 1 :]
        return status, body

    ic.rewrite = strip
    await ic.push(peer.canister, (peer.key, b"signed"))
    await eventually(lambda: metric(gateway, "replica_faults_total", kind="node_signature") >= 2)
    assert peer.contents == [b"opened"]
    stripped = False
    await eventually(lambda: b"signed" in peer.contents)


@pytest.mark.req("ICWS-GWY-016")
def test_node_signatures_are_verified_exactly_against_the_main_network_by_default():
    from icws_gateway import Gateway, GatewayConfig

    async def signatures(**settings) -> bool:
        gateway = Gateway(GatewayConfig(**settings), Ed25519Identity(bytes(32)))
        return gateway._services.pollers.signatures is not None

    assert asyncio.run(signatures(ic_url="https://icp-api.io"))
    assert not asyncio.run(signatures(ic_url="https://icp-api.io", verify_queries=False))
    assert not asyncio.run(signatures(ic_url="http://127.0.0.1:1"))


async def test_canister_without_clients_is_not_polled(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    begun = []
    query = gateway._services.pollers._ic.query

    async def count(*args, **options):
        begun.append(args)
        return await query(*args, **options)

    gateway._services.pollers._ic.query = count
    await eventually(lambda: begun)
    await peer.socket.close()
    await eventually(lambda: metric(gateway, "canisters") == 0)
    await eventually(lambda: not gateway._services.pollers._stopping)
    begun.clear()
    await asyncio.sleep(0.3)
    assert begun == []


async def test_next_client_of_a_canister_starts_at_the_beginning(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    canister = ic.install()
    first = await connect_peer(gateway, canister)
    await first.open()
    await first.socket.close()
    await eventually(lambda: metric(gateway, "canisters") == 0)
    await ic.update(canister, "control", {"forget": True})
    second = await connect_peer(gateway, canister)
    await second.open()
    assert second.contents == [b"opened"]


async def test_poll_is_signed_by_the_gateway(ic, make_gateway, connect_peer, gateway_identity):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    assert {seen.sender for seen in ic.named("ws_get_messages")} == {gateway_identity.principal}


async def test_idle_canister_is_polled_less(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(poll_interval_ms=20, poll_idle_interval_ms=500, poll_idle_after_seconds=0.2)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    polls = lambda: [seen.at for seen in ic.named("ws_get_messages")]  # noqa: E731
    await eventually(lambda: len(polls()) > 3 and polls()[-1] - polls()[-4] > 1.2)  # three times 0.5
    early = [later - earlier for earlier, later in itertools.pairwise(polls()[:6])]
    assert min(early) < 0.4
