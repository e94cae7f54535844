"""Sockets before their handshake, descriptors, and how much may be under way: bounds below the WebSocket layer."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
from aiohttp import web
from structlog.testing import capture_logs
from websockets.asyncio.client import connect

from icws_gateway.client_socket import SocketHub
from icws_gateway.config import GatewayConfig
from icws_gateway.descriptors import Descriptors
from icws_gateway.logs import configure_logs
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.slots import Slots

pytestmark = pytest.mark.req("ICWS-GWY-018")


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


@pytest.fixture
def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@pytest.fixture
async def make_tls_gateway(make_gateway, tmp_path, write_certificate):
    chain, secret = write_certificate(tmp_path, "gateway")

    async def make(**settings):
        return await make_gateway(tls_certificate=chain, tls_key=secret, **settings)

    return make


async def silent(gateway) -> asyncio.StreamWriter:
    return (await asyncio.open_connection("127.0.0.1", gateway.port))[1]


async def test_sockets_that_never_shake_hands_are_bounded_by_address(ic, make_tls_gateway, eventually, trusting):
    gateway = await make_tls_gateway(max_connections_per_address=2, max_waiting_sockets=1)
    writers = [await silent(gateway) for _ in range(9)]
    await eventually(lambda: metric(gateway, "limits_total", limit="address_sockets") == 6)
    assert len(gateway._hub.doors) == 3
    for writer in writers:
        writer.close()
    await eventually(lambda: not gateway._hub.doors)
    assert gateway._hub._peers == {}
    async with connect(gateway.url, ssl=trusting) as socket:
        await socket.recv()
        assert (len(gateway._hub.doors), len(gateway._hub.sockets)) == (0, 1)
        assert sum(gateway._hub._peers.values()) == 1
    await eventually(lambda: gateway._hub._peers == {})


async def test_slow_tls_handshake_is_counted_and_cut(ic, make_tls_gateway, eventually, trusting):
    gateway = await make_tls_gateway()
    gateway._hub.config = gateway.config.model_copy(update={"handshake_timeout_seconds": 0.2})
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"\x16\x03\x01")
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            assert await reader.read() == b""
    await eventually(lambda: metric(gateway, "limits_total", limit="handshake_time") == 1)
    assert not gateway._hub.doors
    writer.close()
    gateway._hub.config = gateway.config  # a busy machine may take longer for a handshake without delay
    async with connect(gateway.url, ssl=trusting) as socket:
        await socket.recv()


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 400, b"\x16\x03\x01\x00\x05hello"])
async def test_what_is_no_tls_is_cut(ic, make_tls_gateway, eventually, trusting, hello):
    gateway = await make_tls_gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(hello)
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(60):
            await reader.read()
    writer.close()
    await eventually(lambda: metric(gateway, "drops_total", reason="tls_handshake") == 1)
    assert not gateway._hub.doors
    assert metric(gateway, "internal_errors_total") == 0
    async with connect(gateway.url, ssl=trusting) as socket:
        await socket.recv()


async def test_sockets_in_their_handshake_do_not_hold_up_the_end(ic, make_tls_gateway):
    gateway = await make_tls_gateway(handshake_timeout_seconds=600)
    writer = await silent(gateway)
    async with asyncio.timeout(60):
        await gateway.stop()
    assert not gateway._hub.doors
    writer.close()


async def test_page_over_tls_is_whole(ic, make_tls_gateway, trusting):
    gateway = await make_tls_gateway()
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port, ssl=trusting)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"200 OK" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"icws_gateway_tls_certificate_expiry_timestamp_seconds 1" in body
    writer.close()


# proxies


def test_only_trusted_proxies_may_hold_more_sockets_than_an_address():
    config = GatewayConfig(max_connections_per_address=1, max_waiting_sockets=1, trusted_proxies=("10.0.0.0/8",))
    hub = SocketHub(config, GatewayMetrics())
    assert [hub.enter(object(), "::ffff:10.1.2.3") for _ in range(4)] == [True] * 4
    assert [hub.enter(object(), "192.0.2.1") for _ in range(4)] == [True, True, False, False]


# descriptors


def test_descriptors_leave_the_ic_its_share():
    config = GatewayConfig()
    wished = config.calls_in_flight + config.polls_in_flight
    plenty = Descriptors.divided(config, 100_000)
    assert plenty.ic_connections == wished
    assert plenty.sockets >= config.max_connections + config.max_waiting_sockets
    few = Descriptors.divided(config, 1_024)
    assert few.ic_connections == 256
    assert few.sockets + few.ic_connections < 1_024


def test_sockets_beyond_what_the_system_allows_are_cut():
    metrics = GatewayMetrics()
    hub = SocketHub(GatewayConfig(), metrics, Descriptors(sockets=2, ic_connections=1))
    assert [hub.enter(object(), f"192.0.2.{number}") for number in range(4)] == [True, True, False, False]
    assert metrics.registry.get_sample_value("icws_gateway_limits_total", {"limit": "descriptors"}) == 2


def test_gateway_with_few_descriptors_says_so(monkeypatch):
    from icws_gateway import descriptors
    from icws_gateway.cli import warn_of_few_descriptors

    monkeypatch.setattr(descriptors, "_limit", lambda: 1_024)
    configure_logs(GatewayConfig())  # whatever another test has set up
    with capture_logs() as lines:
        warn_of_few_descriptors(GatewayConfig())
    assert [line["log_level"] for line in lines if "fewer open files" in line["event"]] == ["warning"]


# slots


async def test_slots_let_in_as_many_as_there_are_and_the_rest_in_order(eventually):
    slots, inside, order = Slots(2), set(), []
    doors = [asyncio.Event() for _ in range(5)]

    async def visit(number):
        async with slots:
            order.append(number)
            inside.add(number)
            await doors[number].wait()
            inside.discard(number)

    visits = [asyncio.create_task(visit(number)) for number in range(5)]
    await eventually(lambda: inside == {0, 1})
    assert slots.locked()
    slots.change(3)
    await eventually(lambda: inside == {0, 1, 2})
    slots.change(1)
    doors[0].set()
    doors[1].set()
    await eventually(lambda: inside == {2})
    await asyncio.sleep(0)
    assert order == [0, 1, 2]
    for door in doors:
        door.set()
    await asyncio.gather(*visits)
    assert order == [0, 1, 2, 3, 4]
    assert not slots.locked()


async def test_slots_lose_no_place_to_those_who_give_up(eventually):
    slots = Slots(1)
    held = asyncio.Event()

    async def visit(event):
        async with slots:
            await event.wait()

    first = asyncio.create_task(visit(held))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(visit(held))
    chosen = asyncio.create_task(visit(held))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)  # its place is given to the next one ...
    chosen.cancel()  # ... who gives up before it hears of that
    await asyncio.gather(chosen, return_exceptions=True)
    assert not slots.locked()
    async with asyncio.timeout(60):
        held.set()
        await visit(held)


async def test_gateway_is_not_ready_while_the_ic_is_silent(ic, make_gateway, eventually):
    gateway = await make_gateway(ic_silence_seconds=0.3)

    async def fail(seen):
        return web.Response(status=503)

    await eventually(lambda: metric(gateway, "ic_up") == 1)
    ic.fault = fail
    await eventually(lambda: not gateway.is_ready)
    await eventually(lambda: metric(gateway, "ic_up") == 0)
    ic.fault = None
    await eventually(lambda: gateway.is_ready)
