"""How canisters run: rollback, awaits, calls between canisters, timers, certified data."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_canister_mock.replica import (
    CallRejected,
    Canister,
    ErrorCode,
    ManualClock,
    RejectCode,
    Rejected,
    Replica,
    Replied,
    query,
    update,
)
from icws_canister_mock.replica.limits import MAX_OUTSTANDING_CALLS, MAX_UPDATE_REPLY_BYTES
from icws_secure.errors import MisuseError
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal

SECOND_NS = 1_000_000_000
USER = Principal.self_authenticating(b"a user's key")


class Ledger(Canister):
    """Keeps a list, in all the ways in which an execution can go wrong."""

    def init(self, arg: bytes) -> None:
        self.entries: list[str] = []
        self.peer: Principal | None = None

    def put(self, entry: str) -> None:
        self.entries = [*self.entries, entry]

    @update("add")
    def add(self, arg: bytes) -> bytes:
        self.put(arg.decode())
        return b"ok"

    @update("add_and_trap")
    def add_and_trap(self, arg: bytes) -> bytes:
        self.put(arg.decode())
        self.ic.set_certified_data(b"never")
        self.ic.set_timer_at(1)
        self.ic.notify(self.ic.id, "add", b"never sent")
        self.ic.trap("as asked")

    @update("add_and_reject")
    def add_and_reject(self, arg: bytes) -> bytes:
        self.put(arg.decode())
        self.ic.reject("no, thank you")

    @update("bug")
    def bug(self, arg: bytes) -> bytes:
        self.put("bug")
        return bytes([1 // len(arg)])

    @update("silent")
    def silent(self, arg: bytes) -> Any:
        self.put("silent")

    @update("not_bytes")
    def not_bytes(self, arg: bytes) -> Any:
        self.put("not bytes")
        return "text"

    @update("long")
    def long(self, arg: bytes) -> bytes:
        return bytes(MAX_UPDATE_REPLY_BYTES + 1)

    @update("around")
    async def around(self, arg: bytes) -> bytes:
        self.put("before")
        reply = await self.ic.call(self.ic.id, "add", b"inner")
        self.put("after")
        if arg == b"trap":
            self.ic.trap("after the await")
        return reply

    @update("await_other")
    async def await_other(self, arg: bytes) -> bytes:
        self.put("before")
        await asyncio.sleep(0)
        return b""

    @update("catch")
    async def catch(self, arg: bytes) -> bytes:
        try:
            return await self.ic.call(self.ic.id, arg.decode(), b"x")
        except CallRejected as error:
            return b"%d %s" % (error.code, error.message.encode())

    @update("forward")
    async def forward(self, arg: bytes) -> bytes:
        return await self.ic.call(Principal(arg), "whoami", b"")

    @update("whoami")
    def whoami(self, arg: bytes) -> bytes:
        return self.ic.caller.raw

    @update("caller_around_await")
    async def caller_around_await(self, arg: bytes) -> bytes:
        before = self.ic.caller
        await self.ic.raw_rand()
        return b"same" if self.ic.caller == before else b"different"

    @update("flood")
    def flood(self, arg: bytes) -> bytes:
        sent = 0
        try:
            while True:
                self.ic.notify(self.ic.id, "add", b"flood")
                sent += 1
        except CallRejected as error:
            return b"%d %d" % (sent, error.code)

    @query("read")
    def read(self, arg: bytes) -> bytes:
        self.put("read by a query")
        return ",".join(self.entries).encode()

    @query("certify")
    def certify(self, arg: bytes) -> bytes:
        self.ic.set_certified_data(b"x")
        return b""

    @query("call_out")
    def call_out(self, arg: bytes) -> bytes:
        self.ic.notify(self.ic.id, "add", b"x")
        return b""

    @query("has_certificate")
    def has_certificate(self, arg: bytes) -> bytes:
        return b"no" if self.ic.data_certificate() is None else b"yes"


@pytest.fixture
def ledger(replica: Replica) -> Principal:
    return replica.install(Ledger())


def entries(replica: Replica, ledger: Principal) -> list[str]:
    canister = replica.canister(ledger)
    assert isinstance(canister, Ledger)
    return canister.entries


def rejected(replica: Replica, ledger: Principal, method: str, arg: bytes = b"") -> Rejected:
    result = replica.call(ledger, method, arg)
    assert isinstance(result, Rejected)
    return result


def test_trap_undoes_everything_the_execution_did(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "add", b"a") == Replied(b"ok")
    result = rejected(replica, ledger, "add_and_trap", b"b")
    assert (result.code, result.error) == (RejectCode.CANISTER_ERROR, ErrorCode.TRAPPED_EXPLICITLY)
    assert "as asked" in result.message
    replica.run_until_idle()
    assert entries(replica, ledger) == ["a"]
    slot = replica.subnets["app"].canisters[ledger]
    assert (slot.certified_data, slot.timer_ns) == (b"", None)


def test_exception_is_a_trap(replica: Replica, ledger: Principal) -> None:
    result = rejected(replica, ledger, "bug")
    assert result.error is ErrorCode.TRAPPED
    assert "ZeroDivisionError" in result.message
    assert entries(replica, ledger) == []


def test_rejection_keeps_the_state(replica: Replica, ledger: Principal) -> None:
    result = rejected(replica, ledger, "add_and_reject", b"a")
    assert (result.code, result.error) == (RejectCode.CANISTER_REJECT, ErrorCode.REJECTED_BY_CANISTER)
    assert result.message == "no, thank you"
    assert entries(replica, ledger) == ["a"]


def test_method_without_reply_is_rejected(replica: Replica, ledger: Principal) -> None:
    assert rejected(replica, ledger, "silent").error is ErrorCode.DID_NOT_REPLY


@pytest.mark.parametrize("method", ["not_bytes", "long"])
def test_reply_that_is_not_bytes_or_too_long_is_a_trap(replica: Replica, ledger: Principal, method: str) -> None:
    assert rejected(replica, ledger, method).error is ErrorCode.CONTRACT_VIOLATION
    assert entries(replica, ledger) == []


def test_method_that_does_not_exist(replica: Replica, ledger: Principal) -> None:
    result = rejected(replica, ledger, "nothing")
    assert (result.code, result.error) == (RejectCode.CANISTER_ERROR, ErrorCode.METHOD_NOT_FOUND)


def test_canister_that_does_not_exist(replica: Replica) -> None:
    result = replica.call(Principal(bytes.fromhex("800000000010ffff0101")), "x", b"")
    assert isinstance(result, Rejected)
    assert (result.code, result.error) == (RejectCode.DESTINATION_INVALID, ErrorCode.CANISTER_NOT_FOUND)


def test_self_call_runs_between_the_halves_of_its_caller(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "around", b"") == Replied(b"ok")
    assert entries(replica, ledger) == ["before", "inner", "after"]


def test_trap_after_an_await_keeps_what_was_committed_at_it(replica: Replica, ledger: Principal) -> None:
    assert rejected(replica, ledger, "around", b"trap").error is ErrorCode.TRAPPED_EXPLICITLY
    assert entries(replica, ledger) == ["before", "inner"]


def test_awaiting_anything_but_a_call_is_a_trap(replica: Replica, ledger: Principal) -> None:
    assert rejected(replica, ledger, "await_other").error is ErrorCode.CONTRACT_VIOLATION
    assert entries(replica, ledger) == []


def test_rejected_call_can_be_caught(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "catch", b"add_and_reject") == Replied(b"4 no, thank you")
    trapped = replica.call(ledger, "catch", b"add_and_trap")
    assert isinstance(trapped, Replied)
    assert trapped.arg.startswith(b"5 ")


def test_callee_sees_the_calling_canister(replica: Replica, ledger: Principal) -> None:
    for subnet in ("app", "app2", "root"):
        peer = replica.install(Ledger(), subnet=subnet)
        assert replica.call(ledger, "forward", peer.raw, sender=USER) == Replied(ledger.raw)


def test_caller_is_the_same_before_and_after_an_await(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "caller_around_await", b"", sender=USER) == Replied(b"same")


def test_call_to_an_unknown_management_method_is_rejected(replica: Replica, ledger: Principal) -> None:
    class Asker(Canister):
        @update("ask")
        async def ask(self, arg: bytes) -> bytes:
            return await self.ic.call(MANAGEMENT, "no_such_method", b"")

    assert isinstance(replica.call(replica.install(Asker()), "ask", b""), Rejected)


def test_number_of_outstanding_calls_is_bounded(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "flood", b"") == Replied(b"%d %d" % (MAX_OUTSTANDING_CALLS, RejectCode.SYS_TRANSIENT))
    assert len(entries(replica, ledger)) == MAX_OUTSTANDING_CALLS
    assert replica.call(ledger, "flood", b"") == Replied(b"%d %d" % (MAX_OUTSTANDING_CALLS, RejectCode.SYS_TRANSIENT))


def test_query_keeps_nothing(replica: Replica, ledger: Principal) -> None:
    replica.call(ledger, "add", b"a")
    for _ in range(2):
        assert replica.query(ledger, "read", b"") == Replied(b"a,read by a query")
    assert entries(replica, ledger) == ["a"]


@pytest.mark.parametrize("method", ["certify", "call_out"])
def test_query_can_neither_certify_nor_call(replica: Replica, ledger: Principal, method: str) -> None:
    result = replica.query(ledger, method, b"")
    assert isinstance(result, Rejected)
    assert result.error is ErrorCode.CONTRACT_VIOLATION


def test_update_method_cannot_be_queried(replica: Replica, ledger: Principal) -> None:
    result = replica.query(ledger, "add", b"a")
    assert isinstance(result, Rejected)
    assert result.error is ErrorCode.METHOD_NOT_FOUND


def test_query_method_called_as_update_keeps_nothing_and_has_no_certificate(
    replica: Replica, ledger: Principal
) -> None:
    assert replica.call(ledger, "read", b"") == Replied(b"read by a query")
    assert entries(replica, ledger) == []
    assert replica.call(ledger, "has_certificate", b"") == Replied(b"no")
    assert replica.query(ledger, "has_certificate", b"") == Replied(b"yes")


class Bank(Canister):
    @update("take")
    def take(self, arg: bytes) -> bytes:
        taken = self.ic.accept_cycles(int(arg))
        return b"%d %d" % (taken, self.ic.cycles_available)

    @update("take_and_trap")
    def take_and_trap(self, arg: bytes) -> bytes:
        self.ic.accept_cycles(int(arg))
        self.ic.trap("no")

    @update("pay")
    async def pay(self, arg: bytes) -> bytes:
        method, canister, cycles, wanted = arg.split(b" ")
        try:
            return await self.ic.call(Principal.from_text(canister.decode()), method.decode(), wanted, int(cycles))
        except CallRejected:
            return b"rejected"


def test_cycles_that_are_not_accepted_come_back(replica: Replica) -> None:
    payer, payee = replica.install(Bank()), replica.install(Bank(), subnet="app2")
    replica.set_cycles(payer, 1_000)
    replica.set_cycles(payee, 0)

    def balances() -> tuple[int, int]:
        return replica.subnets["app"].canisters[payer].cycles, replica.subnets["app2"].canisters[payee].cycles

    name = payee.to_text().encode()
    assert replica.call(payer, "pay", b"take %s 100 30" % name) == Replied(b"30 70")
    assert balances() == (970, 30)
    assert replica.call(payer, "pay", b"take_and_trap %s 100 30" % name) == Replied(b"rejected")
    assert balances() == (970, 30)
    overdrawn = replica.call(payer, "pay", b"take %s 971 30" % name)
    assert isinstance(overdrawn, Rejected)
    assert balances() == (970, 30)


class Alarm(Canister):
    def init(self, arg: bytes) -> None:
        self.fired: list[int] = []
        self.traps = arg == b"traps"
        self.ic.set_timer_at(self.ic.time_ns + SECOND_NS)

    def on_timer(self) -> Any:
        if self.ic.caller != MANAGEMENT:
            self.ic.trap("a timer runs for nobody else")
        self.fired.append(self.ic.time_ns)
        self.ic.set_timer_at(self.ic.time_ns + SECOND_NS)
        if self.traps:
            self.ic.trap("in the timer")

    @update("set")
    def set_timer(self, arg: bytes) -> bytes:
        previous = self.ic.set_timer_at(int(arg) if arg else None)
        return b"" if previous is None else b"%d" % previous


class AsyncAlarm(Alarm):
    async def on_timer(self) -> None:
        await self.ic.raw_rand()
        self.fired.append(self.ic.time_ns)


def test_timer_fires_once_when_its_time_has_come(replica: Replica, clock: ManualClock) -> None:
    alarm = replica.install(Alarm())
    canister = replica.canister(alarm)
    assert isinstance(canister, Alarm)
    replica.run_until_idle()
    assert canister.fired == []
    clock.advance(SECOND_NS + 1_000)
    replica.run_until_idle()
    replica.make_blocks()
    assert len(canister.fired) == 1
    clock.advance(2 * SECOND_NS)
    replica.run_until_idle()
    assert len(canister.fired) == 2


def test_timer_that_traps_is_disarmed(replica: Replica, clock: ManualClock) -> None:
    alarm = replica.install(Alarm(), arg=b"traps")
    clock.advance(2 * SECOND_NS)
    replica.run_until_idle()
    canister = replica.canister(alarm)
    assert isinstance(canister, Alarm)
    assert canister.fired == []
    assert replica.subnets["app"].canisters[alarm].timer_ns is None


def test_timer_may_wait_for_calls(replica: Replica, clock: ManualClock) -> None:
    alarm = replica.install(AsyncAlarm())
    clock.advance(2 * SECOND_NS)
    replica.run_until_idle()
    canister = replica.canister(alarm)
    assert isinstance(canister, AsyncAlarm)
    assert len(canister.fired) == 1


def test_setting_a_timer_gives_the_previous_setting(replica: Replica) -> None:
    alarm = replica.install(Alarm())
    armed = replica.subnets["app"].canisters[alarm].timer_ns
    assert replica.call(alarm, "set", b"99999999999999999999") == Replied(b"%d" % (armed or 0))
    assert replica.call(alarm, "set", b"") == Replied(b"99999999999999999999")
    assert replica.call(alarm, "set", b"") == Replied(b"")


def test_time_stands_still_in_an_execution_and_never_repeats(replica: Replica) -> None:
    class Watch(Canister):
        @update("now")
        async def now(self, arg: bytes) -> bytes:
            first = self.ic.time_ns
            await self.ic.raw_rand()
            return b"%d %d" % (first, self.ic.time_ns)

    watch = replica.install(Watch())
    times: list[int] = []
    for _ in range(3):
        result = replica.call(watch, "now", b"")
        assert isinstance(result, Replied)
        times += [int(part) for part in result.arg.split()]
    assert times == sorted(times)
    assert len(set(times)) >= 3


def test_random_bytes_differ_from_draw_to_draw_and_follow_from_the_seed(replica: Replica) -> None:
    class Dice(Canister):
        @update("roll")
        async def roll(self, arg: bytes) -> bytes:
            return await self.ic.raw_rand()

    def rolls(of: Replica) -> list[Any]:
        dice = of.install(Dice())
        return [of.call(dice, "roll", b"") for _ in range(3)]

    first = rolls(replica)
    assert len({result.arg for result in first}) == 3
    assert all(len(result.arg) == 32 for result in first)
    assert rolls(Replica(replica.config)) == first


def test_canisters_that_never_come_to_rest_are_noticed(replica: Replica) -> None:
    class Restless(Canister):
        @update("again")
        def again(self, arg: bytes) -> bytes:
            self.ic.notify(self.ic.id, "again", b"")
            return b""

    restless = replica.install(Restless())
    # each block is bounded, so that others get their turn
    with pytest.raises(MisuseError):
        _run_few_blocks(replica, restless)


def _run_few_blocks(replica: Replica, canister: Principal) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("icws_canister_mock.replica.replica._MAX_BLOCKS_TO_IDLE", 3)
        replica.call(canister, "again", b"")


def test_anonymous_caller_is_seen_as_such(replica: Replica, ledger: Principal) -> None:
    assert replica.call(ledger, "whoami", b"") == Replied(ANONYMOUS.raw)
