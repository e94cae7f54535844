"""Installing, upgrading, stopping canisters, and returning them to snapshots."""

from __future__ import annotations

from typing import Any

import pytest

from icws_canister_mock.replica import (
    Canister,
    ErrorCode,
    ManualClock,
    Rejected,
    Replica,
    Replied,
    query,
    update,
)
from icws_canister_mock.replica.messages import Ingress
from icws_canister_mock.replica.slot import Status
from icws_secure.errors import MisuseError
from icws_secure.limits import MAX_INGRESS_TTL_NS
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal

SECOND_NS = 1_000_000_000


class Counter(Canister):
    def init(self, arg: bytes) -> None:
        if arg == b"trap":
            self.ic.trap("not here")
        self.count = 0
        self.ic.set_certified_data(b"v1")
        self.ic.set_timer_at(self.ic.time_ns + 3600 * SECOND_NS)

    @update("add")
    def add(self, arg: bytes) -> bytes:
        self.count += 1
        self.ic.set_certified_data(b"count %d" % self.count)
        return b"%d" % self.count

    @update("slow_add")
    async def slow_add(self, arg: bytes) -> bytes:
        self.count += 1
        await self.ic.call(Principal(arg), "wait", b"")
        self.count += 1
        return b"%d" % self.count

    @query("read")
    def read(self, arg: bytes) -> bytes:
        return b"%d" % self.count

    def pre_upgrade(self) -> bytes:
        if self.count == 13:
            self.count = 0
            self.ic.trap("superstition")
        return b"%d" % self.count


class BetterCounter(Counter):
    def post_upgrade(self, arg: bytes, stable: bytes) -> None:
        if arg == b"trap":
            self.ic.trap("not ready")
        self.count = int(stable) + 1000


class Waiter(Canister):
    """Answers when it is told to."""

    @update("wait")
    async def wait(self, arg: bytes) -> bytes:
        await self.ic.call(self.ic.id, "hold", b"")
        return b""

    @update("hold")
    def hold(self, arg: bytes) -> bytes:
        return b""


@pytest.fixture
def counter(replica: Replica) -> Principal:
    return replica.install(Counter())


def submit(replica: Replica, canister: Principal, method: str, arg: bytes = b"") -> bytes:
    """Put a call into the pool without making blocks until it has ended; gives its request id."""
    subnet = replica.subnet_of(canister)
    assert subnet is not None
    request_id = bytes([len(method)]) * 32
    expiry = replica.time_ns + MAX_INGRESS_TTL_NS
    subnet.accept(Ingress(request_id, ANONYMOUS, canister, method, arg, expiry, 100))
    return request_id


def status(replica: Replica, canister: Principal) -> Status:
    subnet = replica.subnet_of(canister)
    assert subnet is not None
    return subnet.canisters[canister].status


def test_init_that_traps_installs_nothing(replica: Replica) -> None:
    with pytest.raises(MisuseError, match="not here"):
        replica.install(Counter(), arg=b"trap")
    assert replica.subnets["app"].canisters == {}


def test_canister_with_an_id_of_ones_own(replica: Replica) -> None:
    wanted = Principal.from_text("em77e-bvlzu-aq")
    assert replica.install(Counter(), canister_id=wanted, subnet="app2") == wanted
    assert replica.subnet_of(wanted) is replica.subnets["app2"]
    assert replica.call(wanted, "add", b"") == Replied(b"1")
    with pytest.raises(MisuseError):
        replica.install(Counter(), canister_id=wanted)


@pytest.mark.parametrize("canister_id", [ANONYMOUS, MANAGEMENT])
def test_unusable_id_is_refused_and_leaves_nothing(replica: Replica, canister_id: Principal) -> None:
    with pytest.raises(MisuseError):
        replica.install(Counter(), canister_id=canister_id)
    assert all(not subnet.canisters for subnet in replica.subnets.values())


def test_unknown_subnet_is_refused(replica: Replica) -> None:
    with pytest.raises(MisuseError):
        replica.install(Counter(), subnet="moon")


def test_upgrade_hands_over_stable_bytes_and_keeps_certified_data(replica: Replica, counter: Principal) -> None:
    replica.call(counter, "add", b"")
    replica.upgrade(counter, BetterCounter())
    assert replica.query(counter, "read", b"") == Replied(b"1001")
    slot = replica.subnets["app"].canisters[counter]
    assert slot.certified_data == b"count 1"
    assert slot.timer_ns is None


def test_upgrade_that_traps_changes_nothing(replica: Replica, counter: Principal) -> None:
    replica.call(counter, "add", b"")
    timer = replica.subnets["app"].canisters[counter].timer_ns
    with pytest.raises(MisuseError, match="not ready"):
        replica.upgrade(counter, BetterCounter(), b"trap")
    assert type(replica.canister(counter)) is Counter
    assert replica.call(counter, "add", b"") == Replied(b"2")
    assert replica.subnets["app"].canisters[counter].timer_ns == timer


def test_pre_upgrade_that_traps_changes_nothing(replica: Replica, counter: Principal) -> None:
    for _ in range(13):
        replica.call(counter, "add", b"")
    with pytest.raises(MisuseError, match="superstition"):
        replica.upgrade(counter, BetterCounter())
    assert replica.query(counter, "read", b"") == Replied(b"13")


def test_upgrade_rejects_calls_that_wait(replica: Replica, counter: Principal) -> None:
    waiter = replica.install(Waiter(), subnet="app2")
    request_id = submit(replica, counter, "slow_add", waiter.raw)
    replica.make_block(replica.subnets["app"])
    subnet = replica.subnets["app"]
    entry = subnet.history.get(request_id)
    assert entry is not None
    assert entry.status == "processing"
    replica.upgrade(counter, BetterCounter())
    assert entry.status == "rejected"
    replica.run_until_idle()
    assert replica.query(counter, "read", b"") == Replied(b"1001")
    assert subnet.canisters[counter].outstanding == {}


def test_reinstall_forgets_state_and_certified_data(replica: Replica, counter: Principal) -> None:
    class Empty(Canister):
        pass

    replica.reinstall(counter, Empty())
    slot = replica.subnets["app"].canisters[counter]
    assert (slot.certified_data, slot.timer_ns) == (b"", None)
    result = replica.call(counter, "add", b"")
    assert isinstance(result, Rejected)


def test_stopped_canister_answers_nothing(replica: Replica, counter: Principal) -> None:
    replica.stop(counter)
    for result in (replica.call(counter, "add", b""), replica.query(counter, "read", b"")):
        assert isinstance(result, Rejected)
        assert result.error is ErrorCode.STOPPED
    replica.start(counter)
    assert replica.call(counter, "add", b"") == Replied(b"1")


def test_stopping_canister_still_gets_its_answers(replica: Replica, counter: Principal) -> None:
    waiter = replica.install(Waiter(), subnet="app2")
    request_id = submit(replica, counter, "slow_add", waiter.raw)
    replica.make_block(replica.subnets["app"])
    replica.stop(counter)
    assert status(replica, counter) is Status.STOPPING
    late = replica.query(counter, "read", b"")
    assert isinstance(late, Rejected)
    assert late.error is ErrorCode.STOPPING
    replica.run_until_idle()
    entry = replica.subnets["app"].history.get(request_id)
    assert entry is not None
    assert entry.result == Replied(b"2")
    assert status(replica, counter) is Status.STOPPED


def test_stopped_canister_has_no_timers(replica: Replica, clock: ManualClock) -> None:
    class Alarm(Canister):
        def init(self, arg: bytes) -> None:
            self.fired = 0
            self.ic.set_timer_at(self.ic.time_ns + SECOND_NS)

        def on_timer(self) -> Any:
            self.fired += 1

    alarm = replica.install(Alarm())
    replica.stop(alarm)
    clock.advance(2 * SECOND_NS)
    replica.run_until_idle()
    canister = replica.canister(alarm)
    assert isinstance(canister, Alarm)
    assert canister.fired == 0
    replica.start(alarm)
    replica.run_until_idle()
    assert canister.fired == 1


def test_snapshot_brings_back_state_and_certified_data_without_running_code(
    replica: Replica, counter: Principal
) -> None:
    replica.call(counter, "add", b"")
    snapshot = replica.snapshot_canister(counter)
    replica.call(counter, "add", b"")
    replica.load_snapshot(counter, snapshot)
    assert replica.query(counter, "read", b"") == Replied(b"1")
    assert replica.subnets["app"].canisters[counter].certified_data == b"count 1"


def test_snapshot_of_another_canister_is_refused(replica: Replica, counter: Principal) -> None:
    other = replica.install(Counter())
    with pytest.raises(MisuseError):
        replica.load_snapshot(counter, replica.snapshot_canister(other))


def test_operations_on_a_canister_that_does_not_exist_are_refused(replica: Replica) -> None:
    missing = Principal(bytes.fromhex("80000000001000ff0101"))
    for operation in (
        replica.stop,
        replica.start,
        replica.snapshot_canister,
        replica.canister,
        lambda canister: replica.upgrade(canister, Counter()),
        lambda canister: replica.set_cycles(canister, 1),
    ):
        with pytest.raises(MisuseError):
            operation(missing)
