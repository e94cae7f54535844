"""Every attack of the hostile gateway, at every stage of a session and in every profile where its answer is promised."""

from __future__ import annotations

from typing import Any

import pytest

from icws_conformance.hostile import CATALOGUE, AttackEntry
from icws_conformance.hostile.catalogue import Profile, Stage
from icws_secure.errors import ProtocolViolation, StallError, TransportError
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.wire.close_codes import SessionCloseCode

pytestmark = pytest.mark.asyncio(loop_scope="module")

# An acknowledgement comes once a minute: see test_acknowledgements.py.
ELSEWHERE = {"another-clients-acknowledgement"}
SETTINGS = {"held-message": {"max_message_age_ns": 1 * NS_PER_S, "withhold_grace_ns": 8 * NS_PER_S}}


def plays() -> list[Any]:
    found = []
    for entry in CATALOGUE.values():
        if entry.name in ELSEWHERE:
            continue
        for profile in Profile:
            for stage in entry.stages:
                if profile in entry.profiles and not (profile is Profile.OMNIA and stage is Stage.RESUMED):
                    found.append(
                        pytest.param(
                            entry,
                            stage,
                            profile,
                            id=f"{entry.name}-{stage.value}-{profile.value}",
                            marks=pytest.mark.req(*entry.requirements),
                        )
                    )
    return found


@pytest.mark.parametrize(("entry", "stage", "profile"), plays())
async def test_attack_gains_nothing(theatre: Any, entry: AttackEntry, stage: Stage, profile: Profile) -> None:
    result = await theatre.play(entry, stage, profile, **SETTINGS.get(entry.name, {}))

    assert result.attack.struck > 0
    opened = stage is not Stage.OPEN or entry.name in ()
    if profile is Profile.OMNIA and opened:
        # one attachment is one session: it ends, and nothing that came before the end was false
        assert result.delivered == result.expected[: len(result.delivered)]
        assert result.heard == result.sent[: len(result.heard)]
        assert [end.error.code for end in result.ends] == [SessionCloseCode.VERIFICATION_FAILED] or not entry.reasons
    else:
        assert result.error is None
        assert result.delivered == result.expected
        assert result.heard == result.sent == result.executed
    reasons = entry.reasons
    if stage is Stage.OPEN and entry.reasons_at_open is not None:
        reasons = entry.reasons_at_open
    if reasons:
        loss = result.losses[0]
        assert loss.error.reason in reasons
        assert isinstance(loss.error, ProtocolViolation | StallError | TransportError)
        assert loss.error.requirement is None or loss.error.requirement in entry.requirements
        assert (loss.evidence is not None) == isinstance(loss.error, ProtocolViolation)
