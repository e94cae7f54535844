"""What proves that a message was not executed, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import CanisterRejected, Reason
from icws_secure.limits import MAX_CARRIERS, NS_PER_S
from icws_secure.session.client import SendExecuted, SendRejected, SendUnknown
from icws_secure.wire.interface import decode_message_argument

from .sends import quiet


def holding(kit: Any, **options: Any) -> Any:
    """A world whose gateway keeps calls to itself, with two messages under way: ``one`` and ``two``."""
    world = quiet(kit, **{"receipt_timeout_ns": 3_600 * NS_PER_S, **options})
    world.gateways[0].relays_calls = False
    world.ids = [world.send(b"one"), world.send(b"two")]
    world.run(1)
    assert len(world.gateways[0].held) == 2
    return world


@pytest.mark.req("ICWS-CLT-046")
def test_what_the_ic_has_forgotten_is_not_absent(kit: Any) -> None:
    world = holding(kit, send_timeout_ns=310 * NS_PER_S)
    world.run(30)
    world.ic.call(world.gateways[0].held[1])  # accepted behind the gap, and the client is not told
    world.ic.is_reachable = False
    world.run(275)
    world.ic.is_reachable = True
    world.ic.statuses.clear()
    assert [world.outcome(item) for item in world.ids] == [None, None]
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in world.ids))
    assert [type(world.outcome(item)) for item in world.ids] == [SendUnknown, SendUnknown]
    # the number of the first is given up, and so the second is executed after all
    world.gateways[0].relays_calls = True
    world.break_connection()
    assert world.run_until(lambda: world.ic.heard == [b"two"])
    assert world.ended is None


@pytest.mark.req("ICWS-CLT-042", "ICWS-CLT-046")
def test_absence_that_was_seen_in_time_proves_it_long_after(kit: Any) -> None:
    world = holding(kit, send_timeout_ns=400 * NS_PER_S, receipt_timeout_ns=15 * NS_PER_S, direct_fallback=False)
    world.run(100)
    world.ic.statuses.clear()
    world.run(295)
    assert [world.outcome(item) for item in world.ids] == [None, None]
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in world.ids), 100)
    for item in world.ids:
        assert isinstance(world.outcome(item), SendRejected)
        assert world.outcome(item).error.reason is Reason.NOT_EXECUTED
    assert world.ic.heard == []


@pytest.mark.req("ICWS-CLT-042")
def test_a_rejection_says_nothing_about_what_the_canister_keeps_behind_a_gap(kit: Any) -> None:
    world = holding(kit)
    gateway = world.gateways[0]
    gateway.relay(gateway.held[1])  # accepted behind the gap, and the client is told
    world.carry(gateway)
    world.run(2)
    honest, stopped = world.ic.execute, True

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if stopped and method == "ws_message" and decode_message_argument(arg).content == b"two":
            raise kit.Trap("stopped")
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    gateway.relays_calls = True
    world.run(90)  # ``two`` is sent again, and rejected each time
    assert any(status.get(b"status") == b"rejected" for status in world.ic.statuses.values())
    assert world.outcome(world.ids[1]) is None
    world.break_connection()
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in world.ids))
    assert [type(world.outcome(item)) for item in world.ids] == [SendExecuted, SendExecuted]
    assert world.ic.heard == [b"one", b"two"]


@pytest.mark.req("ICWS-CLT-042")
def test_a_rejection_of_one_call_says_nothing_about_another_that_may_have_been_executed(kit: Any) -> None:
    world = holding(kit)
    gateway = world.gateways[0]
    first = gateway.held[1]
    world.run(10)
    honest, stopped = world.ic.execute, True

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if stopped and method.startswith("ws_message"):
            raise kit.Trap("stopped")
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.run(38)
    world.ic.call(first)  # accepted behind the gap, and the client is not told
    world.ic.execute = execute
    gateway.relays_calls = True
    world.break_connection()  # both go out again, in new envelopes, and are rejected
    assert world.run_until(lambda: world.outcome(world.ids[0]) is not None, 120)
    assert isinstance(world.outcome(world.ids[0]).error, CanisterRejected)
    assert not isinstance(world.outcome(world.ids[1]), SendRejected)
    stopped = False
    world.break_connection()
    assert world.run_until(lambda: world.outcome(world.ids[1]) is not None, 120)
    assert world.outcome(world.ids[1]) == SendExecuted(world.ids[1])
    assert world.ic.heard == [b"two"]


@pytest.mark.req("ICWS-CLT-042")
def test_a_number_that_is_given_again_is_not_given_up_early(kit: Any) -> None:
    world = kit.World(profile="omnia", gateways=0, send_timeout_ns=5 * NS_PER_S).attached()
    honest, stopped = world.ic.execute, True

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if stopped and method == "ws_message":
            raise kit.Trap("stopped")
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    world.ic.is_reachable = False
    first = world.send(b"one")
    world.run(20)
    world.ic.is_reachable = True
    assert world.run_until(lambda: world.outcome(first) is not None, 120)
    assert isinstance(world.outcome(first), SendRejected)
    world.run(200)
    stopped = False
    world.ic.is_reachable = False
    second = world.send(b"two")  # takes the same number
    world.run(10)
    assert world.outcome(second) is None
    world.ic.is_reachable = True
    assert world.run_until(lambda: world.outcome(second) is not None, 120)


@pytest.mark.req("ICWS-CLT-042")
def test_the_calls_of_one_message_are_remembered_up_to_a_bound_and_then_nothing_is_proven(kit: Any) -> None:
    world = quiet(kit, send_timeout_ns=3_600 * NS_PER_S, direct_fallback=False, receipt_timeout_ns=1 * NS_PER_S)
    world.gateways[0].relays_calls = False
    item = world.send(b"one")
    world.run(1)
    entry = next(entry for entry in world.client._core.outbox.entries.values() if entry.send_id == item)
    carrier = next(iter(entry.calls.values()))
    for number in range(MAX_CARRIERS + 1):
        world.client._core.outbox.sent(entry, b"%032d" % number, carrier)
    assert len(entry.calls) == MAX_CARRIERS
    assert entry.beyond_proof
    assert not entry.is_void
