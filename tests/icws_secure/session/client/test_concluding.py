"""The canister closes while messages have no outcome: the IC tells it, and only then the session is over."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import CanisterRejected, Reason, SessionEnded
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Ended, SendExecuted, SendRejected, SendUnknown, SessionState
from icws_secure.wire.close_codes import SessionCloseCode


def close_when_told(ic: Any, client_key: Any, data: bytes) -> None:
    """A handler that ends the session that says ``bye``."""
    if data == b"bye":
        ic.canister.disconnect(client_key, ic.now)


def leaving(kit: Any, **options: Any) -> Any:
    """An attached world whose gateway brings messages and neither receipts nor heads."""
    world = kit.World(**options).attached()
    world.run(1)
    world.ic.handler = close_when_told
    world.connection.gives_receipts = False
    world.connection.relays_heads = False
    return world


def closed_by_application(error: Any) -> bool:
    return isinstance(error, SessionEnded) and error.code == SessionCloseCode.APPLICATION_CLOSED


@pytest.mark.req("ICWS-CLT-042")
@pytest.mark.parametrize("profile", ["secure", "omnia"])
def test_the_message_that_closes_is_executed_though_its_receipt_comes_after_the_close(kit: Any, profile: str) -> None:
    world = leaving(kit, profile=profile)
    send_id = world.send(b"bye")
    start = world.now
    assert closed_by_application(world.end(60))
    assert world.outcome(send_id) == SendExecuted(send_id)
    assert world.now - start < 10 * NS_PER_S
    assert [type(event) for event in world.events[-2:]] == [SendExecuted, Ended]


@pytest.mark.req("ICWS-CLT-042")
def test_what_an_omnia_canister_refused_after_its_close_was_not_executed(kit: Any) -> None:
    world = leaving(kit, profile="omnia")
    last, late = world.send(b"bye"), world.send(b"late")
    start = world.now
    assert closed_by_application(world.end(60))
    assert world.ic.heard == [b"bye"]
    assert world.outcome(last) == SendExecuted(last)
    assert isinstance(world.outcome(late), SendRejected)
    assert world.outcome(late).error.reason is Reason.NOT_EXECUTED
    assert world.now - start < 5 * NS_PER_S


@pytest.mark.req("ICWS-CLT-042")
def test_the_messages_of_a_batch_are_told_by_the_head(kit: Any) -> None:
    world = leaving(kit)
    ids = [world.send(b"%d" % n) for n in range(20)]
    ids.append(world.send(b"bye"))
    assert closed_by_application(world.end(60))
    assert [type(world.outcome(item)) for item in ids] == [SendExecuted] * 21


@pytest.mark.req("ICWS-CLT-042")
def test_a_trap_before_the_close_is_told(kit: Any) -> None:
    world = leaving(kit)

    def handle(ic: Any, client_key: Any, data: bytes) -> None:
        close_when_told(ic, client_key, data)
        if data == b"trap":
            raise kit.Trap("no")

    world.ic.handler = handle
    trapped, last = world.send(b"trap"), world.send(b"bye")
    assert closed_by_application(world.end(60))
    assert isinstance(world.outcome(trapped).error, CanisterRejected)
    assert world.outcome(trapped).error.reason is Reason.HANDLER_TRAPPED
    assert world.outcome(last) == SendExecuted(last)


@pytest.mark.req("ICWS-CLT-042")
def test_what_a_closed_session_has_not_accepted_is_not_executed(kit: Any) -> None:
    world = leaving(kit)
    world.connection.relays_calls = False
    held = world.send(b"never")
    world.run(1)
    world.ic.canister.disconnect(world.client.client_key, world.now)
    assert closed_by_application(world.end(60))
    assert isinstance(world.outcome(held), SendRejected)
    assert world.outcome(held).error.reason is Reason.NOT_EXECUTED
    for envelope in world.gateways[0].held:  # the proof holds: what is handed in now is refused
        world.ic.call(envelope)
    assert world.ic.heard == []


@pytest.mark.req("ICWS-CLT-042")
def test_a_handler_that_has_not_counted_yet_is_not_taken_for_not_executed(kit: Any) -> None:
    world = leaving(kit)
    world.ic.deliveries = lambda: ()  # accepted, and the handler is still to end
    running = world.send(b"slow")
    world.run(1)
    world.ic.canister.disconnect(world.client.client_key, world.now)
    start = world.now
    assert closed_by_application(world.end(60))
    assert isinstance(world.outcome(running), SendUnknown)
    assert 9 * NS_PER_S < world.now - start < 12 * NS_PER_S


@pytest.mark.req("ICWS-CLT-042")
def test_without_the_ic_the_end_comes_at_its_limit_and_the_outcome_is_unknown(kit: Any) -> None:
    world = leaving(kit)
    send_id = world.send(b"bye")
    world.run(0.01)
    world.ic.is_reachable = False
    assert world.run_until(lambda: world.client.state is SessionState.CLOSING)
    start = world.now
    assert closed_by_application(world.end(60))
    assert isinstance(world.outcome(send_id), SendUnknown)
    assert 9 * NS_PER_S < world.now - start < 11 * NS_PER_S


def test_nobody_waits_where_nothing_is_under_way(kit: Any) -> None:
    world = leaving(kit)
    relayed = world.send(b"relayed", confirm="relayed")
    world.run(5)
    assert world.outcome(relayed) is not None
    world.ic.is_reachable = False
    world.ic.canister.disconnect(world.client.client_key, world.now)
    start = world.now
    assert closed_by_application(world.end(60))
    assert world.now - start < 1 * NS_PER_S


@pytest.mark.req("ICWS-CLT-042")
def test_a_close_by_both_ends_keeps_the_limit_of_the_first(kit: Any) -> None:
    world = leaving(kit)
    world.send(b"bye")
    start = world.now
    world.close()
    world.ic.is_reachable = False
    world.end(60)
    assert world.now - start < 11 * NS_PER_S
