"""Processes with one principal that share polls over a real Redis: who polls, who is served, what if it is gone."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from icws_gateway import GatewayConfig
from icws_gateway.cluster.claims import Superseded
from icws_gateway.cluster.link import RedisLink
from icws_gateway.cluster.sharing import SharedReply
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.workers import share
from icws_secure.errors import DecodeError, MisuseError
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

SERVER = shutil.which("redis-server") or shutil.which("valkey-server")

pytestmark = [
    pytest.mark.redis,
    pytest.mark.skipif(SERVER is None, reason="needs Redis (Debian: apt-get install redis-server)"),
]


@dataclass
class RedisServer:
    """A server of our own, on a socket in a folder of its own."""

    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    def start(self) -> None:
        assert SERVER is not None
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(  # noqa: S603 - a server of our own
            [SERVER, *options, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def ask(self, *words: str) -> object:
        from redis import Redis

        with Redis.from_url(self.url) as client:
            return client.execute_command(*words)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    # a short path: sockets have names of 108 bytes at the most
    with tempfile.TemporaryDirectory(prefix="icws-redis-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture
async def make_process(redis, make_gateway, eventually) -> AsyncIterator[object]:
    """Starts processes of one gateway: the same identity, each with its own state."""
    await eventually(redis.socket.exists)

    async def make(**settings):
        gateway = await make_gateway(**{"redis_url": redis.url, "redis_stale_seconds": 0.6} | settings)
        # Redis names its socket before it listens there
        await eventually(lambda: metric(gateway, "cluster_up") == 1)
        return gateway

    return make


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


def leads(gateway) -> bool:
    return metric(gateway, "cluster_leases") == 1


def polls(gateway) -> float:
    return metric(gateway, "polls_total", outcome="messages") + metric(gateway, "polls_total", outcome="empty")


def taken(gateway) -> float:
    return metric(gateway, "shared_replies_total", outcome="taken")


async def two_with_clients(ic, make_process, connect_peer, eventually, *, modern: bool = True, **settings):
    """A process that polls, one that follows, and a client at each, of one canister."""
    canister = ic.install()
    first, second = await make_process(**settings), await make_process(**settings)
    one = await connect_peer(first, canister, modern=modern)
    await one.open(attach=1 if modern else None)
    await eventually(lambda: leads(first))
    two = await connect_peer(second, canister, modern=modern)
    await two.open(attach=1 if modern else None)
    return first, second, one, two


async def test_one_process_polls_and_both_deliver(ic, make_process, connect_peer, eventually, verify):
    patient = {"redis_stale_seconds": 60}
    _first, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually, **patient)
    await ic.push(one.canister, (one.key, b"start"), (two.key, b"start"))
    await eventually(lambda: b"start" in one.contents and b"start" in two.contents)
    await eventually(lambda: taken(second) > 0)
    before = polls(second)
    for number in range(20):
        await ic.push(one.canister, *((peer.key, b"%d" % number) for peer in (one, two)))
    for peer in (one, two):
        await eventually(lambda peer=peer: b"19" in peer.contents)
        assert peer.contents[-20:] == [b"%d" % number for number in range(20)]
    assert not leads(second)
    # it may have helped itself once, if it had to wait; it did not poll for each
    assert polls(second) - before <= 5
    for delivery in two.deliveries:
        verify(two.canister, delivery)


async def test_each_message_arrives_once_and_in_order_while_much_is_polled_ahead(
    ic, make_process, connect_peer, eventually
):
    _, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    await ic.push(one.canister, *((peer.key, b"%d" % number) for number in range(1_000) for peer in (one, two)))
    for peer in (one, two):
        await eventually(lambda peer=peer: len(peer.contents) == 1_001)
        assert peer.contents[1:] == [b"%d" % number for number in range(1_000)]
    assert taken(second) > 10


async def test_a_call_at_one_process_hurries_the_one_that_polls(ic, make_process, connect_peer, eventually):
    slow = {"poll_interval_ms": 60_000, "poll_idle_interval_ms": 60_000, "redis_stale_seconds": 60}
    canister = ic.install()
    first, second = await make_process(**slow), await make_process(**slow)
    one = await connect_peer(first, canister, modern=True)
    await one.open(attach=1)
    await eventually(lambda: leads(first))
    two = await connect_peer(second, canister, modern=True)
    await two.open(attach=1)
    said = 0
    while not taken(second):  # until the second relies on the first
        await one.say(b"something to hand on")
        said += 1
        await asyncio.sleep(0.3)
    # every call is answered, and both have polled again after it
    await eventually(lambda: len(one.receipts) == 1 + said and len(one.contents) == 1 + said)
    await asyncio.sleep(0.5)
    await eventually(lambda: not any(metric(gateway, "polls_in_flight") for gateway in (first, second)))
    before = polls(second)
    await two.say(b"hurry")
    await eventually(lambda: b"hurry" in two.contents)
    assert polls(second) - before <= 1


async def test_another_takes_over_when_the_one_that_polls_is_gone(ic, make_process, connect_peer, eventually):
    first, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    await first.stop()
    await ic.push(two.canister, (two.key, b"after"))
    await eventually(lambda: b"after" in two.contents)
    await eventually(lambda: leads(second))
    assert one.closed is not None


async def test_silence_of_the_one_that_polls_is_noticed(ic, make_process, connect_peer, eventually, monkeypatch):
    first, second, _, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    await eventually(lambda: taken(second) > 0)
    monkeypatch.setattr(first._services.cluster._link, "publish", lambda channel, message: None)
    await ic.push(two.canister, (two.key, b"in silence"))
    await eventually(lambda: b"in silence" in two.contents)
    assert leads(first)


async def test_without_redis_each_process_polls(ic, redis, make_process, connect_peer, eventually):
    first, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    redis.stop()
    for number in range(5):
        await ic.push(one.canister, *((peer.key, b"%d" % number) for peer in (one, two)))
    for peer in (one, two):
        await eventually(lambda peer=peer: b"4" in peer.contents)
        assert peer.contents[-5:] == [b"%d" % number for number in range(5)]
    await eventually(lambda: not metric(first, "cluster_up") and not metric(second, "cluster_up"))
    assert first.is_ready
    assert second.is_ready
    redis.start()
    await eventually(lambda: metric(first, "cluster_up") and metric(second, "cluster_up"))
    await eventually(lambda: leads(first) != leads(second))
    before = taken(first) + taken(second)
    await ic.push(one.canister, (one.key, b"again"), (two.key, b"again"))
    for peer in (one, two):
        await eventually(lambda peer=peer: b"again" in peer.contents)
    await eventually(lambda: taken(first) + taken(second) > before)


async def test_old_clients_at_one_process_have_the_other_ask_for_what_they_can_read(
    ic, make_process, connect_peer, eventually
):
    canister = ic.install()
    first, second = await make_process(), await make_process()
    one = await connect_peer(first, canister, modern=True)
    await one.open(attach=1)
    await eventually(lambda: leads(first))
    two = await connect_peer(second, canister)
    await two.open()
    await eventually(lambda: first._services.cluster._queues[canister].wants_legacy)
    await eventually(lambda: taken(second) > 0)
    # none that began before
    await eventually(lambda: not any(metric(gateway, "polls_in_flight") for gateway in (first, second)))
    ic.seen.clear()
    await ic.push(canister, (two.key, b"old"), (one.key, b"new"))
    await eventually(lambda: b"old" in two.contents and b"new" in one.contents)
    assert {seen.version for seen in ic.named("ws_get_messages")} == {"v2"}


@pytest.mark.req("ICWS-GWY-003")
async def test_a_later_attach_at_another_process_takes_the_place(ic, make_process, connect_peer, eventually):
    canister = ic.install()
    first, second = await make_process(), await make_process()
    identity = Ed25519Identity(bytes(31) + b"\x07")
    old = await connect_peer(first, canister, modern=True, identity=identity)
    await old.open(attach=9)
    new = await connect_peer(second, canister, modern=True, identity=identity)
    new.key = old.key
    await new.open(attach=10)
    assert await old.wait_closed() == CloseCode.SUPERSEDED
    # the later one is not touched when the place of the old one is cleaned up
    await ic.push(canister, (new.key, b"still here"))
    await eventually(lambda: b"still here" in new.contents)


@pytest.mark.req("ICWS-GWY-003")
@pytest.mark.parametrize(
    ("first_attach", "then", "code"),
    [(10, 10, CloseCode.STALE_ATTACH), (10, 9, CloseCode.STALE_ATTACH), (None, None, CloseCode.CLIENT_KEY_CONNECTED)],
)
async def test_what_is_connected_at_another_process_is_not_opened_over(
    ic, redis, make_process, connect_peer, eventually, first_attach, then, code
):
    canister = ic.install()
    first, second = await make_process(), await make_process()
    identity = Ed25519Identity(bytes(31) + b"\x08")
    standing = await connect_peer(first, canister, modern=True, identity=identity)
    await standing.open(attach=first_attach)
    late = await connect_peer(second, canister, modern=True, identity=identity)
    late.key = standing.key
    await late.open(attach=then, wait=False)
    assert await late.wait_closed() == code
    assert standing.closed is None
    # once the first has left, nothing stands in the way
    await standing.stop()
    await eventually(lambda: not redis.ask("KEYS", "*:claim:*"))  # claims are given up once a second
    again = await connect_peer(second, canister, modern=True, identity=identity)
    again.key = standing.key
    await again.open(attach=None if then is None else 10, wait=False)
    await eventually(lambda: ic.canister(canister).received[-1][0] == "ws_open")
    await eventually(lambda: metric(second, "opens_total", outcome="answered") == 1)


async def test_what_redis_says_is_believed_no_more_than_a_replica(
    ic, redis, make_process, connect_peer, eventually, gateway_identity
):
    from redis.asyncio import Redis

    first, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    await eventually(lambda: taken(second) > 0)
    prefix = f"icws:{{{gateway_identity.principal}}}:"
    captured = []
    async with Redis.from_url(redis.url) as client:
        channel = f"{prefix}replies:{one.canister}"
        async with client.pubsub() as listening:
            await listening.subscribe(channel)
            await ic.push(one.canister, (two.key, b"captured"))
            while not captured:
                message = await listening.get_message(ignore_subscribe_messages=True, timeout=1)
                if message is not None and b"captured" in message["data"]:
                    captured.append(message["data"])
        await eventually(lambda: b"captured" in two.contents)
        seen = len(two.contents)
        genuine = SharedReply.decode(captured[0])
        for lie in (
            b"",
            b"\xff" * 100,
            SharedReply(genuine.nonce, genuine.arg.replace(b"captured", b"forged!!")).encode(),
            SharedReply(genuine.nonce + 1_000, genuine.arg).encode(),
            SharedReply(1 << 63, b"").encode(),
            captured[0],
        ):
            assert await client.publish(channel, lie) >= 1
        await client.publish(f"{prefix}notes:nobody", b"x")
        refused = lambda: sum(  # noqa: E731
            metric(gateway, "shared_replies_total", outcome=outcome)
            for gateway in (first, second)
            for outcome in ("refused", "unreadable")
        )
        await eventually(lambda: refused() >= 4)
    await ic.push(one.canister, (two.key, b"and on"))
    await eventually(lambda: b"and on" in two.contents)
    assert two.contents[seen:] == [b"and on"]
    assert metric(second, "internal_errors_total") == 0


async def test_lost_answers_are_polled_for(ic, redis, make_process, connect_peer, eventually, monkeypatch):
    first, second, one, two = await two_with_clients(ic, make_process, connect_peer, eventually)
    await eventually(lambda: taken(second) > 0)
    link = first._services.cluster._link
    publish = link.publish
    lost = []

    def lose(channel, message):
        if b"lost" in message:
            lost.append(channel)
        else:
            publish(channel, message)

    monkeypatch.setattr(link, "publish", lose)
    await ic.push(one.canister, (two.key, b"lost"))
    await eventually(lambda: lost)
    await eventually(lambda: b"lost" in two.contents)


@pytest.mark.req("ICWS-GWY-018")
async def test_answers_that_wait_for_redis_are_bounded(redis, eventually) -> None:
    metrics = GatewayMetrics()
    link = RedisLink(redis.url, timeout=1, most_waiting_bytes=100, metrics=metrics)
    for _ in range(3):
        link.publish("channel", bytes(40))
    assert metrics.registry.get_sample_value("icws_gateway_limits_total", {"limit": "redis_queue_bytes"}) == 1
    await eventually(redis.socket.exists)
    link.start()
    await eventually(lambda: not link.waiting_bytes)
    await link.stop()


def test_messages_between_processes_are_read_strictly() -> None:
    note = Superseded(Principal.self_authenticating(b"c"), ClientKey(Principal.self_authenticating(b"s"), 7), 3)
    assert Superseded.decode(note.encode()) == note
    for data in (b"", b"\xa0", note.encode() + b"x", note.encode()[:-1]):
        with pytest.raises(DecodeError):
            Superseded.decode(data)
        with pytest.raises(DecodeError):
            SharedReply.decode(data)


def test_workers_share_a_key_only_where_they_share_polls() -> None:
    alone = GatewayConfig(workers=2)
    together = GatewayConfig(workers=2, redis_url="redis://:secret@127.0.0.1:6379")
    assert share(alone, 1).identity != share(alone, 0).identity
    assert share(together, 1).identity == share(together, 0).identity
    assert "secret" not in repr(together)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "127.0.0.1:6379", ""])
def test_an_address_that_is_not_of_redis_is_refused(url) -> None:
    with pytest.raises(MisuseError, match="redis_url"):
        GatewayConfig.load(flags={"redis_url": url})
