"""The three ways a send ends: executed, not executed, unknown."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import (
    Reason,
    SessionEnded,
)
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import (
    SendExecuted,
    SendRejected,
    SendUnknown,
)
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.interface import (
    MessageResult,
    MessageState,
    MessageStatus,
    encode_message_result,
)
from icws_secure.wire.refusal import Refusal

from .sends import quiet, settled


@pytest.mark.req("ICWS-CLT-042")
def test_not_executed_needs_proof(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(40)
    assert world.outcome(send_id) is None  # it could still be executed
    outcome = settled(world, send_id, seconds=60)[0]
    assert isinstance(outcome, SendRejected)
    assert outcome.error.reason is Reason.NOT_EXECUTED
    assert world.now > world.gateways[0].held[0].content.ingress_expiry_ns
    # the number is not left open
    world.gateways[0].relays_calls = True
    second = world.send(b"two")
    assert isinstance(settled(world, second)[0], SendExecuted)
    assert world.ic.heard == [b"two"]


@pytest.mark.req("ICWS-CLT-042")
def test_a_message_that_is_executed_at_the_last_moment_is_told_as_executed(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    gateway = world.gateways[0]
    gateway.relays_calls = False
    send_id = world.send(b"one")
    world.run(45)
    world.ic.call(gateway.held[0])
    assert isinstance(settled(world, send_id, seconds=60)[0], SendExecuted)
    assert world.ic.heard == [b"one"]


@pytest.mark.req("ICWS-CLT-042")
def test_absence_before_the_expiry_proves_nothing(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=2 * NS_PER_S, receipt_timeout_ns=5 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(30)
    assert world.outcome(send_id) is None


@pytest.mark.req("ICWS-CLT-042")
def test_where_nothing_can_be_proven_the_outcome_is_unknown(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(0.1)
    world.ic.is_reachable = False
    outcome = settled(world, send_id, seconds=300)[0]
    assert isinstance(outcome, SendUnknown)


@pytest.mark.req("ICWS-CLT-042")
def test_a_message_that_never_left_is_certainly_not_executed(kit: Any) -> None:
    world = kit.World(gateways=1, send_timeout_ns=5 * NS_PER_S, open_limit_ns=600 * NS_PER_S, direct_fallback=False)
    world.gateways[0].is_alive = False
    send_id = world.send(b"one")
    outcome = settled(world, send_id)[0]
    assert isinstance(outcome, SendRejected)
    assert outcome.error.reason is Reason.NOT_EXECUTED


@pytest.mark.req("ICWS-CLT-042")
def test_the_end_of_the_session_leaves_what_was_sent_unknown(kit: Any) -> None:
    world = quiet(kit, canister=CanisterConfig(window_messages=1))
    world.connection.gives_receipts = False
    world.connection.relays_heads = False
    sent, waiting = world.send(b"one"), None
    waiting = world.send(b"two")
    world.run(0.1)
    world.ic.is_reachable = False
    world.client._end(SessionEnded("over", code=4010, close_reason="Expired"))
    world.end(11)
    outcome = world.outcome(sent)
    assert isinstance(outcome, SendUnknown)
    assert isinstance(outcome.error, SessionEnded)
    assert isinstance(world.outcome(waiting), SendRejected)
    assert world.outcome(waiting).error.reason is Reason.NOT_EXECUTED


@pytest.mark.req("ICWS-CLT-072")
def test_a_sequence_conflict_ends_the_session_as_forked(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message":
            return encode_message_result(MessageResult(Refusal("SequenceConflict", "other content")))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    send_id = world.send(b"one")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED
    assert isinstance(world.outcome(send_id), SendUnknown)


@pytest.mark.req("ICWS-CLT-072")
def test_progress_beyond_what_was_sent_ends_the_session_as_forked(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message":
            return encode_message_result(MessageResult(status=MessageStatus(9, 9, MessageState.EXECUTED)))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    world.send(b"one")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED
