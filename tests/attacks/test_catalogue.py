"""Every attack of the hostile gateway, at every stage of a session and in each profile where it is answered."""

from __future__ import annotations

from typing import Any

import pytest

from icws_conformance.hostile import CATALOGUE
from icws_conformance.hostile.catalogue import Play, Profile, Stage
from icws_secure.errors import ProtocolViolation, Reason, StallError, TransportError
from icws_secure.session.client import Evidence, recheck
from icws_secure.wire.close_codes import SessionCloseCode

pytestmark = pytest.mark.asyncio(loop_scope="module")

# An acknowledgement comes once a minute: see test_acknowledgements.py.
ELSEWHERE = {"another-clients-acknowledgement"}
# What the subprotocol adds changes neither what is verified nor when, so without it one early and one late stage do.
STAGES = {
    Profile.SECURE: tuple(Stage),
    Profile.BARE: (Stage.OPEN, Stage.LATER),
    Profile.OMNIA: (Stage.OPEN, Stage.FIRST, Stage.LATER),
}
PLAYS = [
    Play(entry, stage, profile)
    for entry in CATALOGUE.values()
    for profile in Profile
    for stage in entry.stages
    if entry.name not in ELSEWHERE and profile in entry.profiles and stage in STAGES[profile]
]


@pytest.mark.parametrize(
    "play",
    [pytest.param(play, id=play.id, marks=pytest.mark.req(*play.entry.requirements)) for play in PLAYS],
)
async def test_attack_gains_nothing(performance: Any, play: Play) -> None:
    result = performance

    assert result.attack.struck > 0
    if play.profile is Profile.OMNIA and result.was_opened_by_the_attacker:
        # one attachment is one session: it ends, and what came before the end was true
        assert result.delivered == result.expected[: len(result.delivered)]
        assert result.heard == result.sent[: len(result.heard)]
        assert [end.error.code for end in result.ends] == [SessionCloseCode.VERIFICATION_FAILED]
    else:
        assert result.error is None
        assert result.delivered == result.expected
        assert result.heard == result.sent
        assert sorted(result.executed) == sorted(result.sent)
    if play.reasons:
        loss = result.losses[0]
        assert isinstance(loss.error, ProtocolViolation | StallError | TransportError)
        assert loss.error.reason in play.reasons
        assert loss.error.requirement is None or loss.error.requirement in play.entry.requirements
        if not {Reason.MESSAGES_WITHHELD, Reason.UNEXPECTED_FRAME} & set(play.reasons):
            # withheld messages may come out at the IC itself, and a text is no frame to keep
            assert (loss.evidence is not None) == isinstance(loss.error, ProtocolViolation)
        if loss.evidence is not None:
            again = recheck(Evidence.decode(loss.evidence.encode()))
            assert again is not None
            assert again.reason in play.reasons
