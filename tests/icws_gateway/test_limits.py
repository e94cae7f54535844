"""Every setting that bounds something has a metric and a test that crosses it; the table below says which."""

from __future__ import annotations

import ast
import asyncio
import re
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from icws_gateway.admission import Admission
from icws_gateway.closer import Closer
from icws_gateway.config import GatewayConfig
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.node_keys import NodeSignatures
from icws_gateway.open_check import OpenedSession
from icws_gateway.queue_cursor import QueueCursor
from icws_gateway.refusal import ClientRefused
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

pytestmark = pytest.mark.req("ICWS-GWY-018")

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "gateway" / "icws_gateway"
OPERATOR = HERE.parents[1] / "docs" / "operator.md"

BOUNDS = {
    "max_connections": ("limits", "connections", "test_too_many_connections"),
    "max_connections_per_address": ("limits", "address_connections", "test_too_many_connections"),
    "max_connections_per_canister": (
        "limits",
        "canister_connections",
        "test_too_many_clients_of_a_canister_and_too_many_canisters",
    ),
    "max_waiting_sockets": ("limits", "address_sockets", "test_sockets_before_the_handshake_are_bounded"),
    "max_addresses": ("limits", "addresses", "test_addresses_that_are_remembered_are_bounded"),
    "max_canisters": ("limits", "canisters", "test_too_many_clients_of_a_canister_and_too_many_canisters"),
    "handshake_timeout_seconds": ("limits", "handshake_time", "test_slow_handshake_is_cut"),
    "open_timeout_seconds": ("limits", "open_time", "test_client_that_never_opens_is_closed"),
    "close_timeout_seconds": ("limits", "close_time", "test_peer_that_never_finishes_closing_is_cut"),
    "ping_interval_seconds": ("limits", "idle", "test_silent_connection_is_pinged_and_closed"),
    "ping_timeout_seconds": ("limits", "idle", "test_silent_connection_is_pinged_and_closed"),
    "max_open_frame_bytes": ("limits", "open_bytes", "test_large_open"),
    "client_lines_per_second": ("limits", "client_lines", "test_lines_about_clients_are_bounded"),
    "traces_ratio": (None, None, "test_part_of_the_work_is_traced"),
    "max_frame_bytes": ("limits", "frame_bytes", "test_huge_frame"),
    "opens_per_second_per_address": ("limits", "address_opens", "test_too_many_new_connections"),
    "open_burst_per_address": ("limits", "address_opens", "test_too_many_new_connections"),
    "messages_per_second_per_client": ("limits", "client_frames", "test_client_that_sends_too_much"),
    "message_burst_per_client": ("limits", "client_frames", "test_client_that_sends_too_much"),
    "bytes_per_second_per_client": ("limits", "client_bytes", "test_client_that_sends_too_much"),
    "byte_burst_per_client": ("limits", "client_bytes", "test_client_that_sends_too_much"),
    "messages_per_second_per_address": ("limits", "address_frames", "test_client_that_sends_too_much"),
    "message_burst_per_address": ("limits", "address_frames", "test_client_that_sends_too_much"),
    "bytes_per_second_per_address": ("limits", "address_bytes", "test_client_that_sends_too_much"),
    "byte_burst_per_address": ("limits", "address_bytes", "test_client_that_sends_too_much"),
    "held_bytes_per_address": (
        "limits",
        "address_held_bytes",
        "test_calls_that_wait_for_a_canister_are_bounded_in_bytes",
    ),
    "held_total_bytes": ("limits", "held_total_bytes", "test_calls_that_wait_for_a_canister_are_bounded_in_bytes"),
    "calls_in_flight": ("waits", "calls", "test_calls_in_total_wait_for_their_turn"),
    "calls_in_flight_per_canister": ("waits", "canister_calls", "test_hanging_canister_takes_no_calls_of_others"),
    "calls_in_flight_per_client": ("waits", "client_calls", "test_secure_calls_go_in_parallel_up_to_the_bound"),
    "closes_waiting": ("limits", "closes_waiting", "test_closes_that_wait_are_bounded"),
    "call_timeout_seconds": ("ic_errors", "call", "test_call_without_answer_ends_in_time"),
    "call_retry_seconds": ("ic_errors", "call", "test_call_without_answer_ends_in_time"),
    "poll_timeout_seconds": ("ic_errors", "query", "test_canister_in_trouble_hurts_nobody_else"),
    "polls_ahead": ("polls_in_flight", None, "test_long_queue_is_polled_ahead_and_delivered_in_order"),
    "poll_ahead_bytes": ("limits", "poll_ahead_bytes", "test_messages_that_come_too_early_are_kept_within_bounds"),
    "polls_in_flight": ("waits", "polls", "test_polls_in_total_wait_for_their_turn"),
    "redis_queue_bytes": ("limits", "redis_queue_bytes", "test_answers_that_wait_for_redis_are_bounded"),
    "redis_timeout_seconds": ("cluster_errors", None, "test_without_redis_each_process_polls"),
    "redis_stale_seconds": ("shared_replies", None, "test_silence_of_the_one_that_polls_is_noticed"),
    "heads_in_flight": ("limits", "heads", "test_questions_for_heads_are_bounded"),
    "heads_in_flight_per_canister": ("limits", "canister_heads", "test_questions_for_heads_are_bounded"),
    "certificate_cache_entries": ("limits", "certificate_cache", "test_certificates_that_are_remembered_are_bounded"),
    "node_key_cache_entries": ("limits", "node_key_cache", "test_node_keys_that_are_remembered_are_bounded"),
    "queue_frames": ("limits", "queue_frames", "test_client_that_does_not_read"),
    "queue_bytes": ("limits", "queue_bytes", "test_client_that_does_not_read"),
    "queue_total_bytes": ("limits", "queue_total_bytes", "test_client_that_does_not_read"),
    "ic_silence_seconds": ("ic_up", None, "test_gateway_is_not_ready_while_the_ic_is_silent"),
    "drain_seconds": ("draining", None, "test_drain_takes_a_bounded_time"),
}
"""Setting: metric, its label's value, and the test that crosses the bound."""

NOT_BOUNDS = {
    *("ic_url", "listen", "identity", "root_key", "verify_queries", "canisters_allow", "canisters_deny"),
    *(
        "allowed_origins",
        "trusted_proxies",
        "tls_certificate",
        "tls_key",
        "workers",
        "metrics",
        "traces_endpoint",
        "log_level",
        "log_format",
    ),
    *("endpoint_reprobe_seconds", "poll_interval_ms", "poll_idle_interval_ms", "poll_idle_after_seconds"),
    "redis_url",
    *("poll_min_gap_ms", "poll_backoff_seconds", "head_interval_seconds", "status_page"),
}


def metric(gateway, name, **labels):
    return gateway.metrics.registry.get_sample_value(f"icws_gateway_{name}", labels) or 0


def test_every_setting_is_a_bound_with_a_metric_and_a_test_or_none_at_all():
    assert set(GatewayConfig.model_fields) == {*BOUNDS, *NOT_BOUNDS}
    trees = [ast.parse(path.read_text()) for path in HERE.glob("test_*.py")]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = {node.name for tree in trees for node in tree.body if isinstance(node, functions)}
    assert {test for _, _, test in BOUNDS.values()} - tests == set()


def test_names_of_bounds_are_those_that_the_code_counts():
    code = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    metrics = vars(GatewayMetrics())
    for name, label, _ in BOUNDS.values():
        assert name is None or name in metrics
        assert label is None or f'"{label}"' in code


def test_operators_are_told_what_each_count_means():
    text = OPERATOR.read_text()
    labels = {label for name, label, _ in BOUNDS.values() if name in ("limits", "waits")}
    assert {label for label in labels if f"`{label}`" not in text} == set()


def test_operators_are_told_why_something_is_dropped():
    code = "\n".join(path.read_text() for path in SOURCES.glob("*.py"))
    reasons = set(re.findall(r'drops\.labels\("(\w+)"\)', code))
    assert reasons
    assert {reason for reason in reasons if f"`{reason}`" not in OPERATOR.read_text()} == set()


def test_addresses_that_are_remembered_are_bounded():
    admission = Admission(GatewayConfig(max_addresses=3))
    for number in range(3):
        admission.enter(str(number), 0.0)
    with pytest.raises(ClientRefused) as refused:
        admission.enter("another", 0.0)
    assert (refused.value.code, refused.value.limit) == (CloseCode.TOO_MANY_CONNECTIONS, "addresses")
    admission.enter("1", 0.0)


async def test_calls_in_total_wait_for_their_turn(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(calls_in_flight=2)
    peers = [await connect_peer(gateway, ic.install(), modern=True) for _ in range(4)]
    for peer in peers:
        await peer.open(attach=1)
    before = metric(gateway, "waits_total", limit="calls")
    held, under_way = asyncio.Event(), []

    async def hold(seen):
        if seen.method == "ws_message":
            under_way.append(seen)
            await held.wait()

    ic.fault = hold
    for peer in peers:
        await peer.say(b"hello")
    await eventually(lambda: metric(gateway, "waits_total", limit="calls") == before + 2 and len(under_way) >= 2)
    assert len(under_way) == 2
    held.set()
    await eventually(lambda: all(b"hello" in peer.contents for peer in peers))


async def test_polls_in_total_wait_for_their_turn(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(polls_in_flight=2, poll_timeout_seconds=60)
    peers = [await connect_peer(gateway, ic.install()) for _ in range(4)]
    for peer in peers:
        await peer.open()
    held, under_way, most = asyncio.Event(), 0, 0

    async def hold(seen):
        nonlocal under_way, most
        if seen.method == "ws_get_messages":
            under_way += 1
            most = max(most, under_way)
            await held.wait()
            under_way -= 1

    ic.fault = hold
    for peer in peers:
        await ic.push(peer.canister, (peer.key, b"news"))
    await eventually(lambda: metric(gateway, "waits_total", limit="polls") >= 2 and most >= 2)
    held.set()
    await eventually(lambda: all(b"news" in peer.contents for peer in peers))
    assert most == 2


async def test_call_without_answer_ends_in_time(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(call_timeout_seconds=0.1, call_retry_seconds=2)
    peer = await connect_peer(gateway, ic.install(), modern=True)

    async def hang(seen):
        if seen.kind == "call":
            await asyncio.Event().wait()

    ic.fault = hang
    await peer.open(attach=1, wait=False)
    assert await peer.wait_closed() == CloseCode.REPLICA_ERROR
    assert metric(gateway, "ic_errors_total", endpoint="call", kind="timeout") >= 2


async def test_closes_that_wait_are_bounded(gateway_identity, eventually):
    held, asked = asyncio.Event(), []

    async def call(canister, body):
        asked.append(body)
        await held.wait()

    metrics = GatewayMetrics()
    closer = Closer(SimpleNamespace(call=call), gateway_identity, 5, metrics)
    session = OpenedSession(Principal(b"canister"), ClientKey(gateway_identity.principal, 1), False, 0)
    workers = 16
    for _ in range(workers):
        closer.close(session)
        await asyncio.sleep(0)
    await eventually(lambda: len(asked) == workers)
    for _ in range(8):
        closer.close(session)
    count = metrics.registry.get_sample_value
    assert count("icws_gateway_limits_total", {"limit": "closes_waiting"}) == 3
    held.set()
    await closer.finish(5)
    assert len(asked) == workers + 5


def test_messages_that_come_too_early_are_kept_within_bounds():
    cursor: QueueCursor = QueueCursor(8, 700)

    def reply(*nonces: int) -> list[int]:
        cursor.started(nonces[0])
        entries = [SimpleNamespace(nonce=nonce, size=300, leaf=nonce) for nonce in nonces]
        runs = cursor.received(nonces[0], object(), entries, more=True)
        return [entry.nonce for run in runs for entry in run.entries]

    assert reply(0, 1) == [0, 1]
    assert reply(3, 4, 5) == []
    assert cursor.let_go == 1
    assert reply(2) == [2, 3, 4]
    assert reply(5) == [5]


@pytest.mark.parametrize(
    ("settings", "limit"), [({"heads_in_flight": 1}, "heads"), ({"heads_in_flight_per_canister": 1}, "canister_heads")]
)
async def test_questions_for_heads_are_bounded(ic, make_gateway, connect_peer, eventually, settings, limit):
    gateway = await make_gateway(head_interval_seconds=0.05, poll_timeout_seconds=60, **settings)
    peer = await connect_peer(gateway, ic.install(), modern=True)
    asked = []

    async def hang(seen):
        if seen.method == "ws_audit":
            asked.append(seen)
            await asyncio.Event().wait()

    ic.fault = hang
    await peer.open(attach=1)
    await eventually(lambda: metric(gateway, "limits_total", limit=limit) >= 3)
    assert len(asked) == 1


async def test_certificates_that_are_remembered_are_bounded(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway(certificate_cache_entries=2)
    certificates = gateway._services.certificates
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    for number in range(3):
        await ic.push(peer.canister, (peer.key, b"news %d" % number))
        await eventually(lambda n=number: b"news %d" % n in peer.contents)
    for _, _, certificate, *_ in peer.deliveries:
        certificates.verify(certificate, now=time.time_ns(), canister_id=peer.canister)
    await gateway.figures()
    # of four certificates two are left; the subnet's one delegation was never dropped
    assert metric(gateway, "limits_total", limit="certificate_cache") == 2
    await gateway.figures()
    assert metric(gateway, "limits_total", limit="certificate_cache") == 2


async def test_node_keys_that_are_remembered_are_bounded(monkeypatch):
    from icws_gateway import node_keys

    async def read_state(canister, body):
        return b""

    monkeypatch.setattr(node_keys, "node_keys_from_certificate", lambda certificate: {})
    certificates = SimpleNamespace(verify=lambda data, **options: None)
    metrics = GatewayMetrics()
    signatures = NodeSignatures(SimpleNamespace(read_state=read_state), certificates, 2, metrics)
    for number in range(5):
        await signatures._read(Principal(bytes([number])))
    assert list(signatures._keys) == [Principal(b"\x03"), Principal(b"\x04")]
    assert metrics.registry.get_sample_value("icws_gateway_limits_total", {"limit": "node_key_cache"}) == 3
