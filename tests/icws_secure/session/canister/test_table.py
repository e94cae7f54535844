"""The transition tables: every pair is in them or refused."""

from __future__ import annotations

import itertools

import pytest

from icws_secure.errors import MisuseError, Reason
from icws_secure.session.canister.table import OMNIA_TABLE, SECURE_TABLE, Cause, transition
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import SessionCloseReason


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(("state", "cause"), [*itertools.product(SessionState, Cause)])
def test_every_pair_is_a_transition_or_refused(secure: bool, state: SessionState, cause: Cause) -> None:
    expected = (SECURE_TABLE if secure else OMNIA_TABLE).get((state, cause))
    if expected is not None:
        assert transition(secure, state, cause) == expected
        return
    with pytest.raises(MisuseError) as raised:
        transition(secure, state, cause)
    assert raised.value.reason is Reason.WRONG_STATE


@pytest.mark.parametrize(("pair", "rule"), [*SECURE_TABLE.items(), *OMNIA_TABLE.items()])
def test_a_code_is_given_exactly_when_the_session_is_over(pair: object, rule: object) -> None:
    assert (rule.to is SessionState.CLOSED) == (rule.code is not None)  # type: ignore[attr-defined]


def test_over_means_over() -> None:
    assert {(cause, rule.to) for (state, cause), rule in SECURE_TABLE.items() if state is SessionState.CLOSED} == {
        (Cause.ATTACH, SessionState.CLOSED),
        (Cause.REVOKE, SessionState.CLOSED),
    }
    assert all(state is not SessionState.CLOSED for state, _ in OMNIA_TABLE)


@pytest.mark.req("ICWS-CAN-040", "ICWS-CAN-063")
def test_no_gateway_and_no_silence_ends_a_secure_session() -> None:
    for cause in (Cause.GATEWAY_CLOSE, Cause.SILENT_OPEN, Cause.NO_KEEP_ALIVE):
        assert SECURE_TABLE[SessionState.OPEN, cause].to is SessionState.DETACHED


def test_codes_of_secure_sessions_are_those_of_close_messages() -> None:
    codes = {rule.code for rule in SECURE_TABLE.values() if rule.code is not None}
    assert codes <= set(SessionCloseReason)
