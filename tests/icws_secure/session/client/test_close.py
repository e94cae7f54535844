"""How a session ends: each way has its code, and each outcome is told before."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError, Reason, SessionEnded, StateViolation
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Disconnect, Ended, HttpRequest, SendExecuted, SessionState
from icws_secure.session.client.endings import end_of_close_code, end_of_close_message, end_of_violation, ended_by
from icws_secure.wire.close_codes import CloseCode, SessionCloseCode
from icws_secure.wire.interface import decode_message_argument, decode_message_batch_argument
from icws_secure.wire.registration import SessionState as HeadState
from icws_secure.wire.service import CloseMessage, CloseReason, SessionCloseReason, decode_service_message


def goodbye(world: Any) -> Disconnect:
    found = [action for action in world.log if isinstance(action, Disconnect)]
    return found[-1]


def messages_of(world: Any) -> list[Any]:
    found = []
    for content in world.ic.calls:
        if content.method_name == "ws_message":
            found.append(decode_message_argument(content.arg))
        elif content.method_name == "ws_message_batch":
            found += decode_message_batch_argument(content.arg)
    return found


def test_a_close_sends_what_is_queued_first_and_is_confirmed(kit: Any) -> None:
    world = kit.World().attached()
    ids = [world.send(b"%d" % n) for n in range(20)]
    world.close()
    assert world.client.state is SessionState.CLOSING
    error = world.end(5)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.CLIENT_CLOSED
    assert world.ic.heard == [b"%d" % n for n in range(20)]
    assert all(isinstance(world.outcome(item), SendExecuted) for item in ids)
    last = messages_of(world)[-1]
    assert decode_service_message(last.content) == CloseMessage(
        CloseReason.CLOSED_BY_APPLICATION, SessionCloseReason.CLIENT_CLOSED
    )
    assert world.ic.canister.find(world.client.client_key).state is HeadState.CLOSED
    assert goodbye(world).code == CloseCode.NORMAL


@pytest.mark.parametrize(
    ("code", "reason"), [(5, ""), (1001, ""), (1006, ""), (2999, ""), (5000, ""), (1000, "ä" * 62)]
)
def test_a_close_that_no_websocket_can_carry_is_refused(kit: Any, code: int, reason: str) -> None:
    world = kit.World().attached()
    with pytest.raises(MisuseError):
        world.client.close(world.client_now, code, reason)
    assert world.client.state is SessionState.ATTACHED


def test_a_confirmation_that_there_is_not_is_refused(kit: Any) -> None:
    world = kit.World().attached()
    wished: Any = "yes"
    with pytest.raises(MisuseError, match="executed or accepted or relayed"):
        world.client.send(b"x", world.client_now, confirm=wished)
    assert world.send(b"x") == 1


def test_a_close_that_nobody_confirms_ends_at_its_limit(kit: Any) -> None:
    world = kit.World(close_timeout_ns=3 * NS_PER_S).attached()
    world.run(1)
    world.connection.relays_calls = False
    start = world.now
    world.close()
    error = world.end(10)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.CLIENT_CLOSED
    assert world.now - start < 4 * NS_PER_S


def test_a_close_without_an_attachment_revokes_by_direct_call(kit: Any) -> None:
    world = kit.World(1, direct_fallback=False).attached()
    world.kill(world.gateways[0])
    world.close()
    error = world.end(5)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.CLIENT_CLOSED
    assert world.ic.calls[-1].method_name == "ws_revoke"
    assert world.ic.canister.find(world.client.client_key).state is HeadState.CLOSED


@pytest.mark.parametrize("started", [False, True])
def test_a_close_before_the_session_is_open_ends_at_once(kit: Any, started: bool) -> None:
    world = kit.World(1, start=started)
    world.close()
    assert isinstance(world.ended, SessionEnded)
    assert world.client.state is SessionState.ENDED


def test_a_close_twice_is_one(kit: Any) -> None:
    world = kit.World().attached()
    world.close()
    world.close()
    world.end(5)
    world.close()
    world.run(5)
    assert len(world.of(Ended)) == 1


def test_the_applications_code_goes_to_the_gateway(kit: Any) -> None:
    world = kit.World().attached()
    world.client.close(world.client_now, 4001, "bye")
    world.drain()
    world.end(5)
    assert goodbye(world) == Disconnect(4001, "bye")


@pytest.mark.req("ICWS-CLT-035")
def test_the_canisters_close_comes_after_its_last_messages(kit: Any) -> None:
    world = kit.World().attached()
    world.canister_sends(b"last words")
    world.ic.canister.disconnect(world.client.client_key, world.now)
    error = world.end(5)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.APPLICATION_CLOSED
    assert world.received == [b"last words"]
    assert goodbye(world).code == CloseCode.CLOSED_BY_APPLICATION


@pytest.mark.req("ICWS-CLT-035")
def test_last_messages_are_fetched_where_the_gateway_dies_before(kit: Any) -> None:
    world = kit.World(2).attached()
    world.run(1)
    world.connection.relays_messages = False
    world.canister_sends(b"last words")
    world.ic.canister.disconnect(world.client.client_key, world.now)
    world.kill(world.connection)
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.APPLICATION_CLOSED
    assert world.received == [b"last words"]


def test_nothing_happens_after_the_end(kit: Any) -> None:
    world = kit.World().attached()
    world.close()
    world.end(5)
    log, events = len(world.log), len(world.events)
    world.client.receive_frame(b"\xa0", world.client_now)
    world.client.disconnected(1000, "", world.client_now)
    world.client.http_response(1, 200, b"", world.client_now)
    world.client.audit(world.client_now)
    world.client.tick(world.client_now + 10**12)
    world.drain()
    assert (len(world.log), len(world.events)) == (log, events)
    assert world.client.next_deadline() is None


def test_requests_end_with_the_session(kit: Any) -> None:
    world = kit.World().attached()
    world.close()
    world.end(5)
    before = len([action for action in world.log if isinstance(action, HttpRequest)])
    world.run(600)
    assert len([action for action in world.log if isinstance(action, HttpRequest)]) == before


@pytest.mark.parametrize("code", list(SessionCloseReason))
def test_each_certified_code_has_its_end(code: SessionCloseReason) -> None:
    by_message = end_of_close_message(CloseMessage(CloseReason.CLOSED_BY_APPLICATION, code))
    by_head = end_of_close_code(str(code))
    assert by_message.close_reason == by_head.close_reason == str(code)


@pytest.mark.parametrize("reason", list(CloseReason))
def test_each_omnia_reason_has_its_end(reason: CloseReason) -> None:
    assert end_of_close_message(CloseMessage(reason)).code in set(SessionCloseCode)


def test_an_unknown_code_counts_as_the_applications() -> None:
    assert end_of_close_code("SomethingNew").code == SessionCloseCode.APPLICATION_CLOSED
    assert end_of_close_code(None).code == SessionCloseCode.APPLICATION_CLOSED


@pytest.mark.parametrize("code", list(SessionCloseCode))
def test_every_end_says_what_it_is(code: SessionCloseCode) -> None:
    error = ended_by(code)
    assert (error.code, error.close_reason) == (code, code.label)


def test_a_violation_of_state_becomes_an_end_with_its_facts() -> None:
    violation = StateViolation("x", reason=Reason.STATE_FORKED, requirement="ICWS-CLT-072", sent=1)
    end = end_of_violation(violation)
    assert end.code == SessionCloseCode.STATE_FORKED
    assert end.facts["sent"] == 1
    assert end.__cause__ is violation
