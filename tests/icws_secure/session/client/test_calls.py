"""Requests of one session to the IC: an answer ends what it was asked for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client.actions import HttpRequest
from icws_secure.session.client.calls import IcCalls, Missing
from icws_secure.session.client.clock import SessionClock
from icws_secure.sign.identity import Ed25519Identity

SESSION = Ed25519Identity(b"\x21" * 32)
CALL = b"\x05" * 32


def asking(world: Any) -> tuple[IcCalls[str], list[HttpRequest], Any]:
    """Calls of a session, the requests that they make, and how the IC answers one of them."""
    clock = SessionClock()
    clock.advance(world.ic.now)
    requests: list[HttpRequest] = []
    calls: IcCalls[str] = IcCalls(
        world.ic.canister_id,
        verifier=world.client._core.verifier,
        clock=clock,
        act=requests.append,
        timeout_ns=NS_PER_S,
    )

    def answer(request: HttpRequest) -> Any:
        return calls.responded(request.request_id, *world.ic.http(request.path, request.body))

    return calls, requests, answer


@pytest.mark.req("ICWS-CLT-042")
def test_an_answer_to_a_question_that_was_dropped_does_not_end_the_one_that_took_its_place(world: Any) -> None:
    calls, requests, answer = asking(world)
    expired = world.ic.now - NS_PER_S
    calls.ask("is the receipt withheld?", SESSION, CALL, expires_ns=expired, limit_ns=30 * NS_PER_S)
    calls.drop(CALL)
    calls.ask("was it executed?", SESSION, CALL, expires_ns=expired, limit_ns=30 * NS_PER_S)

    assert answer(requests[0]) is None
    assert calls.is_open(CALL)
    outcome = answer(requests[1])
    assert isinstance(outcome, Missing)
    assert outcome.purpose == "was it executed?"


@pytest.mark.req("ICWS-CLT-042")
@pytest.mark.parametrize("status", [None, 404, 503])
def test_a_failure_of_a_question_that_was_dropped_is_not_one_of_its_successor(world: Any, status: int | None) -> None:
    calls, requests, answer = asking(world)
    calls.ask("first", SESSION, CALL, expires_ns=world.ic.now - NS_PER_S, limit_ns=30 * NS_PER_S)
    calls.drop(CALL)
    calls.ask("second", SESSION, CALL, expires_ns=world.ic.now - NS_PER_S, limit_ns=30 * NS_PER_S)

    if status is None:
        assert calls.failed(requests[0].request_id, TransportError("cut off")) is None
    else:
        assert calls.responded(requests[0].request_id, status, b"") is None
    assert calls.last_error is None
    assert len(requests) == 2
    assert isinstance(answer(requests[1]), Missing)
