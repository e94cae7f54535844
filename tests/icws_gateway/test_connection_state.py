"""Every pair of state and event is either in the table or refused."""

from __future__ import annotations

import itertools

import pytest

from icws_gateway.connection_state import TRANSITIONS, ConnectionEvent, ConnectionMachine, ConnectionState
from icws_secure.errors import MisuseError, Reason

PATHS = {
    ConnectionState.AWAITING_OPEN: (),
    ConnectionState.OPENING: (ConnectionEvent.OPEN_VERIFIED,),
    ConnectionState.OPEN: (ConnectionEvent.OPEN_VERIFIED, ConnectionEvent.OPEN_ANSWERED),
    ConnectionState.CLOSED: (ConnectionEvent.ENDED,),
}


def machine_in(state: ConnectionState) -> ConnectionMachine:
    machine = ConnectionMachine()
    for event in PATHS[state]:
        machine.handle(event)
    assert machine.state is state
    return machine


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ConnectionState, ConnectionEvent)))
def test_every_pair_is_a_transition_or_refused(state, event):
    machine = machine_in(state)
    expected = TRANSITIONS.get((state, event))
    if expected is not None:
        assert machine.handle(event) == expected
        assert machine.state is expected.state
        return
    with pytest.raises(MisuseError) as error:
        machine.handle(event)
    assert error.value.reason is Reason.WRONG_STATE
    assert machine.state is state


def test_closed_is_final():
    assert {transition.state for (state, _), transition in TRANSITIONS.items() if state is ConnectionState.CLOSED} == {
        ConnectionState.CLOSED
    }


@pytest.mark.req("ICWS-GWY-013")
@pytest.mark.parametrize("state", [ConnectionState.OPENING, ConnectionState.OPEN])
def test_canister_is_told_when_a_client_that_may_be_open_leaves(state):
    assert machine_in(state).handle(ConnectionEvent.ENDED).ws_close


@pytest.mark.req("ICWS-GWY-013")
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (ConnectionState.AWAITING_OPEN, ConnectionEvent.ENDED),
        (ConnectionState.OPENING, ConnectionEvent.OPEN_REFUSED),
        (ConnectionState.OPENING, ConnectionEvent.SUPERSEDED),
        (ConnectionState.OPEN, ConnectionEvent.SUPERSEDED),
    ],
)
def test_canister_is_not_told_about_what_was_never_open_or_was_taken_over(state, event):
    assert not machine_in(state).handle(event).ws_close
