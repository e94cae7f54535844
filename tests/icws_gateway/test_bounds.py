"""Every bound closes with a code that says so, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import time

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import ClientFrame

pytestmark = [pytest.mark.req("ICWS-GWY-018"), pytest.mark.req("ICWS-GWY-011")]


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


@pytest.fixture
async def witness(ic, make_gateway, connect_peer, eventually):
    """Checks that somebody else is served as ever."""

    async def check(gateway) -> None:
        peer = await connect_peer(gateway, ic.install())
        await peer.open()
        await peer.say(b"well?")
        await eventually(lambda: b"well?" in peer.contents)
        assert metric(gateway, "internal_errors_total") == 0

    return check


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"max_connections": 3}, "connections"),
        ({"max_connections_per_address": 3}, "address_connections"),
    ],
)
async def test_too_many_connections(ic, make_gateway, connect_peer, settings, limit):
    gateway = await make_gateway(**settings)
    canister = ic.install()
    kept = [await connect_peer(gateway, canister) for _ in range(3)]
    refused = await connect_peer(gateway, canister)
    assert await refused.wait_closed() == CloseCode.TOO_MANY_CONNECTIONS
    assert metric(gateway, "limits_total", limit=limit) == 1
    for peer in kept:
        await peer.open()


async def test_too_many_clients_of_a_canister_and_too_many_canisters(ic, make_gateway, connect_peer):
    gateway = await make_gateway(max_connections_per_canister=1, max_canisters=1)
    canister = ic.install()
    first = await connect_peer(gateway, canister)
    await first.open()
    second = await connect_peer(gateway, canister)
    await second.open(wait=False)
    assert await second.wait_closed() == CloseCode.TOO_MANY_CONNECTIONS
    third = await connect_peer(gateway, ic.install())
    await third.open(wait=False)
    assert await third.wait_closed() == CloseCode.TOO_MANY_CONNECTIONS
    assert metric(gateway, "limits_total", limit="canister_connections") == 1
    assert metric(gateway, "limits_total", limit="canisters") == 1
    assert first.closed is None


async def test_too_many_new_connections(ic, make_gateway, connect_peer):
    gateway = await make_gateway(opens_per_second_per_address=0.01, open_burst_per_address=2)
    canister = ic.install()
    for _ in range(2):
        await (await connect_peer(gateway, canister)).open()
    refused = await connect_peer(gateway, canister)
    assert await refused.wait_closed() == CloseCode.RATE_LIMITED
    assert metric(gateway, "limits_total", limit="address_opens") == 1


async def test_signatures_are_charged_before_they_are_checked(ic, make_gateway, connect_peer, monkeypatch):
    from icws_gateway import connection
    from icws_secure.sign.identity import DelegatedIdentity, Ed25519Identity
    from icws_secure.sign.request import sign_delegation
    from icws_secure.wire.envelope import Delegation

    checked = []
    monkeypatch.setattr(connection, "verify_open", lambda *a, **k: checked.append(a))
    gateway = await make_gateway(opens_per_second_per_address=0.01, open_burst_per_address=5)
    outer, inner = Ed25519Identity(bytes(31) + b"o"), Ed25519Identity(bytes(31) + b"i")
    link = sign_delegation(outer, Delegation(inner.public_key_der, time.time_ns() + 10**12, None, None))
    identity = DelegatedIdentity(inner, public_key_der=outer.public_key_der, delegations=(link,))
    peer = await connect_peer(gateway, ic.install(), identity=identity)
    await peer.open(wait=False)
    assert await peer.wait_closed() == CloseCode.RATE_LIMITED
    assert checked == []


@pytest.mark.parametrize(
    ("settings", "limit"),
    [
        ({"message_burst_per_client": 10, "messages_per_second_per_client": 0.01}, "client_frames"),
        ({"byte_burst_per_client": 5_000, "bytes_per_second_per_client": 1}, "client_bytes"),
        ({"message_burst_per_address": 10, "messages_per_second_per_address": 0.01}, "address_frames"),
        ({"byte_burst_per_address": 5_000, "bytes_per_second_per_address": 1}, "address_bytes"),
    ],
)
async def test_client_that_sends_too_much(ic, make_gateway, connect_peer, settings, limit):
    gateway = await make_gateway(**settings)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    with contextlib.suppress(ConnectionClosed):
        for number in range(20):
            await peer.say(b"%d" % number)
    assert await peer.wait_closed() == CloseCode.RATE_LIMITED
    assert metric(gateway, "limits_total", limit=limit) == 1


async def test_ping_flood(ic, make_gateway, connect_peer, witness):
    gateway = await make_gateway(message_burst_per_client=50, messages_per_second_per_client=1)
    peer = await connect_peer(gateway, ic.install())
    with contextlib.suppress(ConnectionClosed):
        for _ in range(200):
            await peer.socket.ping()
    assert await peer.wait_closed() == CloseCode.RATE_LIMITED
    await witness(gateway)


async def test_frames_of_a_refused_client_are_not_worked_through(ic, make_gateway, connect_peer, monkeypatch):
    from websockets.protocol import Protocol

    gateway = await make_gateway(message_burst_per_client=50, messages_per_second_per_client=1)
    peer = await connect_peer(gateway, ic.install())
    parsed = 0
    recv_frame = Protocol.recv_frame

    def count(protocol, frame):
        nonlocal parsed
        parsed += protocol is server.protocol
        return recv_frame(protocol, frame)

    (server,) = gateway._hub.sockets
    monkeypatch.setattr(Protocol, "recv_frame", count)
    # as much as the event loop reads at once
    server.data_received(b"\x89\x80\x00\x00\x00\x00" * 43_000)
    assert await peer.wait_closed() == CloseCode.RATE_LIMITED
    # what was in the piece that crossed the bound, and what is looked through for the close frame
    assert 50 < parsed < 13_000


async def test_answers_to_pings_that_nobody_reads_do_not_pile_up(ic, make_gateway, connect_peer, eventually):
    plenty = {"per_client": 1e9, "per_address": 1e9}
    rates = {f"messages_per_second_{of}": rate for of, rate in plenty.items()}
    bursts = {f"message_burst_{of}": rate for of, rate in plenty.items()}
    gateway = await make_gateway(queue_frames=500, open_timeout_seconds=600, **rates, **bursts)
    peer = await connect_peer(gateway, ic.install())
    (server,) = gateway._hub.sockets
    for end, option in ((server, socket.SO_SNDBUF), (peer.socket, socket.SO_RCVBUF)):
        end.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, 4_096)
    peer.socket.transport.pause_reading()
    ping = b"\x89\xfd\x00\x00\x00\x00" + bytes(125)
    most = 0

    def refused() -> float:
        nonlocal most
        most = max(most, server.transport.get_write_buffer_size())
        if peer.socket.transport.get_write_buffer_size() < 1 << 20:
            peer.socket.transport.write(ping * 500)
        return metric(gateway, "limits_total", limit="queue_frames")

    await eventually(refused, 120)
    assert most < 1 << 20
    assert metric(gateway, "closes_total", code=str(int(CloseCode.SLOW_CONSUMER))) == 1
    peer.socket.transport.abort()


async def test_fragment_flood(ic, make_gateway, connect_peer, witness):
    gateway = await make_gateway(message_burst_per_client=50, messages_per_second_per_client=1)
    peer = await connect_peer(gateway, ic.install())

    async def fragments():
        for _ in range(500):
            yield b"x"

    with contextlib.suppress(ConnectionClosed):
        await peer.socket.send(fragments())
    assert await peer.wait_closed() == CloseCode.RATE_LIMITED
    await witness(gateway)


async def test_huge_frame(ic, make_gateway, connect_peer, eventually, witness):
    gateway = await make_gateway(max_frame_bytes=100_000)
    peer = await connect_peer(gateway, ic.install())
    with contextlib.suppress(ConnectionClosed):
        await peer.socket.send(bytes(200_000))
    assert await peer.wait_closed() == CloseCode.TOO_BIG
    assert peer.close_reason.startswith("TooBig:")
    await eventually(lambda: metric(gateway, "limits_total", limit="frame_bytes") == 1)
    await witness(gateway)


async def test_large_open(ic, make_gateway, connect_peer):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.send(peer.envelope("ws_open", bytes(100_000)))
    assert await peer.wait_closed() == CloseCode.ENVELOPE_TOO_LARGE
    assert metric(gateway, "limits_total", limit="open_bytes") == 1


@pytest.mark.parametrize("bomb", [b"\x81" * 60_000, b"\xa1\x68envelope" + b"\xa1\x61a" * 20_000, b"\x9b" + b"\xff" * 8])
async def test_deep_or_wide_cbor(ic, make_gateway, connect_peer, witness, bomb):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.socket.send(bomb)
    assert await peer.wait_closed() == CloseCode.MALFORMED_FRAME
    await witness(gateway)


@pytest.mark.parametrize("settings", [{"queue_bytes": 300_000}, {"queue_frames": 5}, {"queue_total_bytes": 300_000}])
async def test_client_that_does_not_read(ic, make_gateway, connect_peer, eventually, witness, settings):
    gateway = await make_gateway(**settings)
    canister = ic.install()
    stalled = await connect_peer(gateway, canister, max_queue=1)
    other = await connect_peer(gateway, canister)
    await other.open()
    await stalled.open()
    stalled.socket.transport.pause_reading()
    for number in range(12):
        big = b"%d" % number + bytes(800_000)
        await ic.push(canister, (stalled.key, big), (other.key, b"small %d" % number))
        await eventually(lambda n=number: b"small %d" % n in other.contents)
    limit = next(iter(settings))
    await eventually(lambda: metric(gateway, "limits_total", limit=limit) == 1)
    assert metric(gateway, "closes_total", code=str(int(CloseCode.SLOW_CONSUMER))) == 1
    await eventually(lambda: len(gateway._hub.sockets) == 1)
    assert gateway._hub.queues.used == 0
    assert other.closed is None
    stalled.socket.transport.abort()


@pytest.mark.parametrize(
    ("setting", "limit"),
    [("held_bytes_per_address", "address_held_bytes"), ("held_total_bytes", "held_total_bytes")],
)
async def test_calls_that_wait_for_a_canister_are_bounded_in_bytes(
    ic, make_gateway, connect_peer, eventually, setting, limit
):
    gateway = await make_gateway(**{setting: 3_000_000})
    stuck = [await connect_peer(gateway, ic.install(), modern=True) for _ in range(3)]
    for peer in stuck:
        await peer.open(attach=1)
    await eventually(lambda: gateway._services.admission.held.used == 0)
    held = asyncio.Event()

    async def hang(seen):
        if seen.method == "ws_message" and len(seen.body) > 100_000:
            await held.wait()

    ic.fault = hang
    kept = gateway._services.admission.held
    for number, peer in enumerate(stuck):
        await peer.say(bytes(1_400_000))
        if number < 2:
            await eventually(lambda n=number: kept.used > 1_400_000 * (n + 1))
    assert await stuck[2].wait_closed() == CloseCode.RATE_LIMITED
    assert metric(gateway, "limits_total", limit=limit) == 1
    assert 2_800_000 < kept.used < 3_000_000
    # what is small goes on, and when the canister answers there is room again
    await stuck[0].say(b"small")
    await eventually(lambda: b"small" in stuck[0].contents)
    held.set()
    await eventually(lambda: kept.used == 0)
    await stuck[2].stop()
    await stuck[0].say(bytes(1_400_000))
    await eventually(lambda: [len(content) for content in stuck[0].contents].count(1_400_000) == 2)
    assert metric(gateway, "limits_total", limit=limit) == 1


async def test_what_a_client_left_behind_is_not_held(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(call_timeout_seconds=1, call_retry_seconds=1)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()

    async def hang(seen):
        if seen.method == "ws_message":
            await asyncio.Event().wait()

    ic.fault = hang
    for number in range(3):
        await peer.say(b"%d" % number)
    await eventually(lambda: gateway._services.admission.held.used > 500)
    peer.socket.transport.abort()
    await gateway.stop()
    assert gateway._services.admission.held.used == 0
    assert sum(found.held for found in gateway._services.admission._addresses.values()) == 0


async def test_bytes_in_the_transport_count_and_whoever_has_most_waiting_goes(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway(queue_total_bytes=4 << 20)
    canister = ic.install()
    await ic.update(canister, "control", {"page": 2})
    stalled = await connect_peer(gateway, canister, max_queue=1)
    other = await connect_peer(gateway, canister)
    await stalled.open()
    await other.open()
    stalled.socket.transport.pause_reading()
    for number in range(16):
        await ic.push(canister, (stalled.key, bytes(800_000)), (other.key, b"%d" % number + bytes(300_000)))
    await eventually(lambda: metric(gateway, "limits_total", limit="queue_total_bytes") == 1, 60)
    await eventually(lambda: len(other.contents) == 17, 60)
    assert other.closed is None
    await eventually(lambda: len(gateway._hub.sockets) == 1)
    assert gateway._hub.queues.used == 0
    stalled.socket.transport.abort()


async def test_client_that_reads_slowly_gets_everything_in_order(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), max_queue=1)
    await peer.open()
    await ic.update(peer.canister, "control", {"page": 2})
    peer.socket.transport.pause_reading()
    for number in range(8):
        await ic.push(peer.canister, (peer.key, b"%d" % number + bytes(600_000)))
    await eventually(lambda: metric(gateway, "messages_delivered_total") == 9)
    assert gateway._hub.queues.used > 0
    peer.socket.transport.resume_reading()
    await eventually(lambda: len(peer.contents) == 9)
    assert [content[:1] for content in peer.contents[1:]] == [b"%d" % number for number in range(8)]
    assert gateway._hub.queues.used == 0


@pytest.mark.req("ICWS-GWY-002")
@pytest.mark.parametrize("attack", ["forged opens", "expired opens", "opens of others", "forged calls", "nothing"])
async def test_flood_of_connections_disturbs_nobody_and_costs_no_call(ic, make_gateway, connect_peer, witness, attack):
    gateway = await make_gateway(opens_per_second_per_address=10_000, open_burst_per_address=10_000)
    canister = ic.install()
    flooding, rounds = True, 0

    async def flood():
        nonlocal rounds
        while flooding:
            peer = await connect_peer(gateway, canister)
            match attack:
                case "forged opens":
                    data = bytearray(ClientFrame(peer.envelope("ws_open", peer.open_arg())).encode())
                    data[-1] ^= 1
                    await peer.socket.send(bytes(data))
                case "expired opens":
                    await peer.send(peer.envelope("ws_open", peer.open_arg(), ingress_expiry_ns=time.time_ns() - 1))
                case "opens of others":
                    await peer.send(peer.envelope("ws_open", peer.open_arg(gateway_principal=peer.identity.principal)))
                case "forged calls":
                    await peer.send(peer.message_envelope(b"without an open"))
                case "nothing":
                    await peer.stop()
            await peer.wait_closed()
            rounds += 1

    floods = [asyncio.create_task(flood()) for _ in range(4)]
    await witness(gateway)
    flooding = False
    await asyncio.gather(*floods)
    assert rounds >= 4
    assert len(ic.named("ws_open")) == len(ic.named("ws_message")) == 1  # those of the witness
    assert {seen.canister for seen in ic.named("ws_get_messages")} == {ic.named("ws_open")[0].canister}


@pytest.mark.req("ICWS-GWY-021")
async def test_replayed_call_is_relayed_once_while_it_is_under_way_and_closes_once_expired(
    ic, make_gateway, connect_peer, eventually
):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    held = asyncio.Event()

    async def hold(seen):
        if seen.method == "ws_message":
            await held.wait()

    ic.fault = hold
    envelope = peer.message_envelope(b"again and again", ingress_expiry_ns=time.time_ns() + 60 * 10**9)
    for _ in range(20):
        await peer.send(envelope)
    await eventually(lambda: metric(gateway, "drops_total", reason="duplicate") == 19)
    held.set()
    await eventually(lambda: b"again and again" in peer.contents)
    assert len(ic.named("ws_message")) == 1
    await peer.send(peer.message_envelope(b"too late", ingress_expiry_ns=time.time_ns() - 1))
    assert await peer.wait_closed() == CloseCode.INGRESS_EXPIRY
    assert len(ic.named("ws_message")) == 1


async def test_silent_connection_is_pinged_and_closed(ic, make_gateway, eventually):
    gateway = await make_gateway(ping_interval_seconds=0.2, ping_timeout_seconds=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    received = b""
    async with asyncio.timeout(60):
        while b"IdleTimeout" not in received:
            received += await reader.read(4_096)
    assert b"\x89\x04icws" in received
    assert metric(gateway, "limits_total", limit="idle") == 1
    assert struct.pack("!H", CloseCode.IDLE_TIMEOUT) in received
    await eventually(lambda: len(gateway._hub.sockets) == 0)
    writer.close()


async def test_connection_that_answers_pings_stays(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(ping_interval_seconds=0.05, ping_timeout_seconds=60)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    (socket_,) = gateway._hub.sockets
    for _ in range(5):  # it is asked, and answers, again and again
        heard_at = socket_.heard_at
        await eventually(lambda before=heard_at: socket_.heard_at > before)
    assert peer.closed is None


class Clock:
    """A loop whose clock is set by the test."""

    def __init__(self, loop):
        self._loop = loop
        self.now = loop.time()

    def time(self):
        return self.now

    def __getattr__(self, name):
        return getattr(self._loop, name)


async def test_answer_to_a_ping_in_the_same_tick_of_the_clock_counts(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    (socket_,) = gateway._hub.sockets
    clock = socket_.loop = Clock(socket_.loop)
    for _ in range(3):
        clock.now += 40
        socket_.check_silence(gateway.config)
        await eventually(lambda: socket_.heard_at == clock.now)
    assert metric(gateway, "limits_total", limit="idle") == 0
    assert peer.closed is None


async def test_slow_handshake_is_cut(ic, make_gateway, eventually, witness):
    gateway = await make_gateway(handshake_timeout_seconds=2)  # enough for the witness
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    await eventually(lambda: metric(gateway, "limits_total", limit="handshake_time") == 1)
    assert len(gateway._hub.sockets) == 0
    writer.close()
    await witness(gateway)


async def test_slow_tls_handshake_is_cut(ic, make_gateway, tmp_path, write_certificate):
    chain, secret = write_certificate(tmp_path, "gateway")
    gateway = await make_gateway(handshake_timeout_seconds=0.3, tls_certificate=chain, tls_key=secret)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"\x16\x03\x01")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


async def test_peer_that_never_finishes_closing_is_cut(ic, make_gateway, eventually):
    gateway = await make_gateway(close_timeout_seconds=0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"gateway_principal")
    writer.write(b"\x88\x80\x00\x00\x00\x00")  # a close frame, and then nothing
    await eventually(lambda: len(gateway._hub.sockets) == 0)
    await eventually(lambda: metric(gateway, "connections") == 0)
    assert metric(gateway, "limits_total", limit="close_time") == 1
    writer.close()


async def test_sockets_before_the_handshake_are_bounded(ic, make_gateway, eventually):
    gateway = await make_gateway(max_connections_per_address=1, max_waiting_sockets=2)
    writers = [(await asyncio.open_connection("127.0.0.1", gateway.port))[1] for _ in range(6)]
    await eventually(lambda: metric(gateway, "limits_total", limit="address_sockets") == 3)
    assert len(gateway._hub.sockets) == 3
    for writer in writers:
        writer.close()
    await eventually(lambda: len(gateway._hub.sockets) == 0)
    assert gateway._hub._peers == {}


async def test_hanging_canister_takes_no_calls_of_others(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(calls_in_flight_per_canister=2, calls_in_flight=3, calls_in_flight_per_client=8)
    stuck = await connect_peer(gateway, ic.install(), modern=True)
    fine = await connect_peer(gateway, ic.install())
    await stuck.open(attach=1)
    await fine.open()
    waiting, never = 0, asyncio.Event()

    async def hang(seen):
        nonlocal waiting
        if seen.method == "ws_message" and seen.canister == stuck.canister.to_text():
            waiting += 1
            await never.wait()

    ic.fault = hang
    for number in range(6):
        await stuck.say(b"%d" % number)
    await eventually(lambda: waiting == 2 and metric(gateway, "waits_total", limit="canister_calls") == 4)
    await fine.say(b"through")
    await eventually(lambda: b"through" in fine.contents)
    assert waiting == 2
    assert metric(gateway, "waits_total", limit="canister_calls") == 4


async def test_garbage_on_the_socket_disturbs_nobody(ic, make_gateway, witness):
    gateway = await make_gateway()
    for data in (
        b"",
        b"\x00" * 100,
        b"\x16\x03\x01" + bytes(200),
        b"GET /\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"A" * 70_000,
    ):
        _reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(data)
        with contextlib.suppress(OSError):
            await writer.drain()
            writer.close()
            await writer.wait_closed()
    async with connect(gateway.url) as socket:
        socket.transport.abort()
    await witness(gateway)


@pytest.mark.req("ICWS-GWY-012")
async def test_mistake_inside_the_gateway_ends_one_client_with_a_code(
    ic, make_gateway, connect_peer, monkeypatch, eventually
):
    from icws_gateway import connection

    gateway = await make_gateway()
    other = await connect_peer(gateway, ic.install())
    await other.open()

    def broken(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(connection, "read_open", broken)
    peer = await connect_peer(gateway, ic.install())
    await peer.open(wait=False)
    assert await peer.wait_closed() == CloseCode.INTERNAL
    assert metric(gateway, "internal_errors_total") == 1
    await other.say(b"fine")
    await eventually(lambda: b"fine" in other.contents)
