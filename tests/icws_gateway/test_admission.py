"""Counts and rates of addresses, and which address counts."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from icws_gateway.admission import Admission, FrameBudget, client_address
from icws_gateway.config import GatewayConfig
from icws_gateway.outbox import Outbox, QueueBudget
from icws_gateway.rates import TokenBucket
from icws_gateway.refusal import ClientRefused
from icws_secure.wire.close_codes import CloseCode

pytestmark = pytest.mark.req("ICWS-GWY-018")

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # not a trusted proxy: its word is nothing
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),  # what the client wrote itself is not believed
        ("10.0.0.1", ["1.1.1.1", "198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.1.1.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", [], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("::1", [], "::1"),
        ("local", [], "local"),
    ],
)
def test_address_that_counts(peer, forwarded, address):
    assert client_address(peer, forwarded, PROXIES) == address


def test_bucket_allows_its_burst_and_then_its_rate():
    bucket = TokenBucket(10, 5, now=0.0)
    assert [bucket.take(1, 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert bucket.take(1, 0.1)
    assert not bucket.take(1, 0.1)
    assert [bucket.take(1, 100.0) for _ in range(6)] == [True] * 5 + [False]


def test_bucket_takes_all_or_nothing():
    bucket = TokenBucket(1, 5, now=0.0)
    assert not bucket.take(6, 0.0)
    assert bucket.take(5, 0.0)


def refused(call) -> ClientRefused:
    with pytest.raises(ClientRefused) as error:
        call()
    return error.value


def test_connections_are_bounded_in_total_and_by_address():
    admission = Admission(GatewayConfig(max_connections=3, max_connections_per_address=2))
    first = admission.enter("a", 0.0)
    admission.enter("a", 0.0)
    why = refused(lambda: admission.enter("a", 0.0))
    assert (why.code, why.limit) == (CloseCode.TOO_MANY_CONNECTIONS, "address_connections")
    admission.enter("b", 0.0)
    why = refused(lambda: admission.enter("c", 0.0))
    assert (why.code, why.limit) == (CloseCode.TOO_MANY_CONNECTIONS, "connections")
    admission.leave(first)
    admission.enter("c", 0.0)
    assert admission.connections == 3


def test_new_connections_of_an_address_are_limited_by_rate():
    admission = Admission(GatewayConfig(opens_per_second_per_address=1, open_burst_per_address=2))
    for _ in range(2):
        admission.leave(admission.enter("a", 0.0))
    why = refused(lambda: admission.enter("a", 0.5))
    assert (why.code, why.limit) == (CloseCode.RATE_LIMITED, "address_opens")
    admission.enter("b", 0.5)
    admission.enter("a", 1.5)


def test_idle_addresses_are_forgotten_and_busy_ones_are_not():
    admission = Admission(GatewayConfig())
    kept = admission.enter("kept", 0.0)
    for number in range(3_000):
        admission.leave(admission.enter(str(number), float(number)))
    assert len(admission._addresses) < 1_100
    assert admission._addresses["kept"] is kept


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"message_burst_per_client": 2}, "client_frames"),
        ({"byte_burst_per_client": 20}, "client_bytes"),
        ({"message_burst_per_address": 2}, "address_frames"),
        ({"byte_burst_per_address": 20}, "address_bytes"),
    ],
)
def test_frames_are_limited_by_number_and_bytes(changes, limit):
    config = GatewayConfig(**changes)
    budget = FrameBudget(Admission(config).enter("a", 0.0), config, 0.0)
    assert [budget.take(10, 0.0) for _ in range(3)] == [None, None, limit]


def test_address_shares_its_budget_among_connections():
    config = GatewayConfig(message_burst_per_address=3)
    admission = Admission(config)
    budgets = [FrameBudget(admission.enter("a", 0.0), config, 0.0) for _ in range(2)]
    assert [budgets[n % 2].take(1, 0.0) for n in range(4)] == [None, None, None, "address_frames"]


def test_reload_changes_rates_of_known_addresses():
    admission = Admission(GatewayConfig())
    admission.enter("a", 0.0)
    admission.apply(GatewayConfig(open_burst_per_address=1, opens_per_second_per_address=0.001))
    admission.enter("a", 0.0)
    refused(lambda: admission.enter("a", 0.0))


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ({"queue_frames": 2}, "queue_frames"),
        ({"queue_bytes": 2_048}, "queue_bytes"),
        ({"queue_total_bytes": 2_048}, "queue_total_bytes"),
    ],
)
def test_frames_that_wait_are_bounded(changes, limit):
    outbox = Outbox(QueueBudget(GatewayConfig(**changes)))
    frame = bytes(1_000)
    assert [outbox.put(frame) for _ in range(3)] == [None, None, limit]
    assert len(outbox) == 2


def test_bytes_that_wait_are_given_back():
    budget = QueueBudget(GatewayConfig(queue_total_bytes=2_048))
    first, second = Outbox(budget), Outbox(budget)
    first.put(bytes(1_000))
    second.put(bytes(1_000))
    assert second.put(bytes(1_000)) == "queue_total_bytes"
    assert first.take() == bytes(1_000)
    assert second.put(bytes(1_000)) is None
    second.clear()
    assert budget.used == 0
    assert first.take() is None
