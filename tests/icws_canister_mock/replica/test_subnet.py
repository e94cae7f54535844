"""Blocks: what fits into one, and what they leave in the state tree."""

from __future__ import annotations

import pytest

from icws_canister_mock.replica import Canister, ManualClock, Replica, update
from icws_canister_mock.replica.limits import MAX_BLOCK_INGRESS_BYTES, MAX_BLOCK_INGRESS_MESSAGES, MAX_ROUND_EXECUTIONS
from icws_canister_mock.replica.messages import Ingress
from icws_secure.wire.leb128 import decode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import ANONYMOUS, Principal

FAR_NS = 10**12


class Sink(Canister):
    def init(self, arg: bytes) -> None:
        self.seen: tuple[bytes, ...] = ()

    def snapshot(self) -> object:
        return self.seen

    def restore(self, snapshot: object) -> None:
        assert isinstance(snapshot, tuple)
        self.seen = snapshot

    @update("put")
    def put(self, arg: bytes) -> bytes:
        self.seen = (*self.seen, arg)
        return b""

    @update("fan_out")
    def fan_out(self, arg: bytes) -> bytes:
        for _ in range(400):
            self.ic.notify(self.ic.id, "put", b"x")
        return b""


@pytest.fixture
def sink(replica: Replica) -> Principal:
    return replica.install(Sink())


def accept(replica: Replica, canister: Principal, number: int, *, method: str = "put", size: int = 100) -> bytes:
    request_id = number.to_bytes(32, "big")
    arg = number.to_bytes(4, "big")
    replica.subnets["app"].accept(Ingress(request_id, ANONYMOUS, canister, method, arg, replica.time_ns + FAR_NS, size))
    return request_id


def seen(replica: Replica, canister: Principal) -> tuple[bytes, ...]:
    instance = replica.canister(canister)
    assert isinstance(instance, Sink)
    return instance.seen


def test_calls_are_executed_in_the_order_in_which_they_came(replica: Replica, sink: Principal) -> None:
    numbers = [5, 3, 9, 1]
    for number in numbers:
        accept(replica, sink, number)
    replica.run_until_idle()
    assert seen(replica, sink) == tuple(number.to_bytes(4, "big") for number in numbers)


def test_block_takes_a_bounded_number_of_calls(replica: Replica, sink: Principal) -> None:
    for number in range(MAX_BLOCK_INGRESS_MESSAGES + 1):
        accept(replica, sink, number)
    assert len(replica.make_block(replica.subnets["app"]).ended) == MAX_BLOCK_INGRESS_MESSAGES
    assert len(replica.make_block(replica.subnets["app"]).ended) == 1


def test_block_takes_a_bounded_number_of_bytes_but_at_least_one_call(replica: Replica, sink: Principal) -> None:
    accept(replica, sink, 1, size=MAX_BLOCK_INGRESS_BYTES + 1)
    accept(replica, sink, 2, size=MAX_BLOCK_INGRESS_BYTES)
    accept(replica, sink, 3, size=1)
    ended = [len(replica.make_block(replica.subnets["app"]).ended) for _ in range(3)]
    assert ended == [1, 1, 1]


def test_block_executes_a_bounded_number_of_messages(replica: Replica, sink: Principal) -> None:
    calls = MAX_ROUND_EXECUTIONS // 400 + 2
    for number in range(calls):
        # one outstanding call more would be refused: let a block pass in between
        accept(replica, sink, number, method="fan_out")
        replica.make_block(replica.subnets["app"])
    replica.run_until_idle()
    assert len(seen(replica, sink)) == 400 * calls


def test_call_that_expires_in_the_pool_leaves_no_trace(replica: Replica, sink: Principal, clock: ManualClock) -> None:
    request_id = accept(replica, sink, 1)
    clock.advance(FAR_NS + 1)
    replica.run_until_idle()
    assert seen(replica, sink) == ()
    assert not replica.subnets["app"].knows(request_id)


def test_state_tree_shows_time_and_status_and_certified_data(replica: Replica, sink: Principal) -> None:
    request_id = accept(replica, sink, 1)
    block = replica.make_block(replica.subnets["app"])
    tree = replica.subnets["app"].state.tree
    time = tree.get(b"time")
    assert isinstance(time, bytes)
    assert decode_unsigned(time) == (block.time_ns, len(time))
    statuses = tree.get(b"request_status")
    assert isinstance(statuses, MerkleMap)
    assert list(statuses) == [request_id]
    canisters = tree.get(b"canister")
    assert isinstance(canisters, MerkleMap)
    assert list(canisters) == [sink.raw]


def test_block_times_increase_while_the_clock_stands_still(replica: Replica) -> None:
    app = replica.subnets["app"]
    times = [replica.make_block(app).time_ns for _ in range(3)]
    assert times == sorted(set(times))


def test_replicas_of_one_seed_agree_on_every_state(replica: Replica) -> None:
    def history(of: Replica) -> list[bytes]:
        canister = of.install(Sink())
        for number in range(3):
            accept(of, canister, number)
            of.make_blocks()
        return [subnet.state.signature for subnet in of.subnets.values()]

    assert history(replica) == history(Replica(replica.config))


def test_past_calls_do_not_make_the_tree_deeper_than_their_logarithm(replica: Replica, sink: Principal) -> None:
    for number in range(2_000):
        accept(replica, sink, number)
    replica.run_until_idle()
    request_id = accept(replica, sink, 5_000)
    replica.run_until_idle()
    certificate = replica.subnets["app"].state.certificate([(b"request_status", request_id)], None)
    assert len(certificate) < 1_500
