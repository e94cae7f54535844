"""OpenTelemetry spans: what they say, what they never say, and that there are none unless they are wanted."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from aiohttp import web
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from icws_gateway import Gateway, GatewayConfig
from icws_gateway.traces import NO_TRACE, Traces
from icws_secure.errors import MisuseError
from icws_secure.wire.close_codes import CloseCode


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter) -> TracerProvider:
    found = TracerProvider(shutdown_on_exit=False)
    found.add_span_processor(SimpleSpanProcessor(exporter))
    return found


def named(exporter, name):
    return [span for span in exporter.get_finished_spans() if span.name == name]


def facts(span):
    return {name.removeprefix("icws."): value for name, value in span.attributes.items()}


@pytest.mark.parametrize("modern", [True, False])
async def test_a_message_is_followed_from_the_open_to_the_delivery(
    ic, make_gateway, connect_peer, eventually, provider, exporter, modern
):
    gateway = await make_gateway(traces=provider)
    peer = await connect_peer(gateway, ic.install(), modern=modern)
    await peer.open(attach=1 if modern else None)
    await peer.say(b"secret words")
    await eventually(lambda: b"secret words" in peer.contents and len(named(exporter, "call")) == 2)
    (opened,) = named(exporter, "open")
    canister = peer.canister.to_text()
    connection = facts(opened)["connection"]
    profile = "secure" if modern else "omnia"
    assert facts(opened) == {
        "canister": canister,
        "connection": connection,
        "profile": profile,
        "attach": 1 if modern else 0,
        "outcome": "answered",
    }
    of_open, of_message = named(exporter, "call")
    assert of_open.parent.span_id == opened.context.span_id
    assert of_message.parent is None
    for call in (of_open, of_message):
        assert facts(call) == {
            "canister": canister,
            "connection": connection,
            "profile": profile,
            "attempts": 1,
            "outcome": "certificate",
        }
    polls, deliveries = named(exporter, "poll"), named(exporter, "deliver")
    assert min(facts(poll)["messages"] for poll in polls) >= 1
    assert {facts(poll)["outcome"] for poll in polls} == {"messages"}  # those that found nothing leave no trace
    assert sum(facts(delivery)["messages"] for delivery in deliveries) == 2
    assert {delivery.parent.span_id for delivery in deliveries} <= {poll.context.span_id for poll in polls}
    assert all(facts(delivery)["lag_ms"] >= 0 for delivery in deliveries)


async def test_spans_hold_no_payloads_keys_or_clients(ic, make_gateway, connect_peer, eventually, provider, exporter):
    gateway = await make_gateway(traces=provider)
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await peer.say(b"secret words")
    await eventually(lambda: b"secret words" in peer.contents and len(named(exporter, "call")) == 2)
    text = "".join(span.to_json() for span in exporter.get_finished_spans())
    for word in ("secret words", b"secret words".hex(), peer.identity.principal.to_text(), "127.0.0.1"):
        assert word not in text
    assert str(peer.key.client_nonce) not in text
    assert peer.identity.public_key_der.hex() not in text


async def test_failures_are_marked(ic, make_gateway, connect_peer, eventually, provider, exporter):
    gateway = await make_gateway(traces=provider, call_retry_seconds=2)
    peer = await connect_peer(gateway, ic.install())

    async def fail(seen):
        return web.Response(status=503)

    ic.fault = fail
    await peer.open(wait=False)
    assert await peer.wait_closed() == CloseCode.REPLICA_ERROR
    await eventually(lambda: named(exporter, "open") and named(exporter, "poll"))
    for name in ("open", "call", "poll"):
        span = named(exporter, name)[0]
        assert not span.status.is_ok
        assert facts(span)["outcome"] == "failed"
    assert facts(named(exporter, "call")[0])["attempts"] > 1


async def test_what_strangers_send_leaves_no_span(ic, make_gateway, connect_peer, provider, exporter):
    gateway = await make_gateway(traces=provider)
    peer = await connect_peer(gateway, ic.install())
    await peer.send(peer.envelope("ws_open", peer.open_arg(gateway_principal=peer.identity.principal)))
    assert await peer.wait_closed() == CloseCode.GATEWAY_MISMATCH
    garbage = await connect_peer(
        gateway, ic.install(), additional_headers={"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    )
    await garbage.socket.send(b"garbage")
    await garbage.wait_closed()
    assert exporter.get_finished_spans() == ()


@pytest.fixture
async def collector():
    """An OTLP collector that keeps what it is sent."""
    received: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        received.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    application = web.Application()
    application.router.add_post("/v1/traces", take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1/traces", received
    await runner.cleanup()


async def test_spans_are_sent_where_the_settings_say(ic, make_gateway, connect_peer, collector):
    url, received = collector
    gateway = await make_gateway(traces_endpoint=url, traces_ratio=1)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    await gateway.stop()  # sends what is left
    data = b"".join(received)
    for words in (b"icws-gateway", gateway.principal.to_text().encode(), b"icws.connection", b"deliver"):
        assert words in data


async def test_part_of_the_work_is_traced(ic, make_gateway, connect_peer, collector):
    url, received = collector
    gateway = await make_gateway(traces_endpoint=url, traces_ratio=0)
    await (await connect_peer(gateway, ic.install())).open()
    await gateway.stop()
    assert received == []


async def test_collector_that_is_not_there_hurts_nobody(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(traces_endpoint="http://127.0.0.1:9/v1/traces", traces_ratio=1)
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    await peer.say(b"hello")
    await eventually(lambda: b"hello" in peer.contents)
    async with asyncio.timeout(30):
        await gateway.stop()


def test_without_the_extra_the_error_says_what_to_install(gateway_identity, monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    config = GatewayConfig(traces_endpoint="http://127.0.0.1:4318/v1/traces")
    with pytest.raises(MisuseError, match=r"traces_endpoint: needs the extra 'traces'"):
        Gateway(config, gateway_identity)


def test_by_default_nothing_is_traced_or_loaded():
    assert not Traces().on
    assert Traces().begin("open", connection="x") is NO_TRACE
    assert NO_TRACE.child("call") is NO_TRACE
    NO_TRACE.note(a=1)
    NO_TRACE.end("done")
    code = (
        "import sys; from icws_gateway import Gateway, GatewayConfig; from icws_secure.sign.identity import "
        "Ed25519Identity; Gateway(GatewayConfig(), Ed25519Identity(bytes(32))); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603 - our own program
