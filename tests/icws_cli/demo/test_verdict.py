from __future__ import annotations

from dataclasses import replace

import pytest

from icws_cli.demo.verdict import Outcome, judge
from icws_secure.errors import CertificateError, IcwsError, Reason, StallError, TransportError

SAID = (b"one", b"two", b"three")
VIOLATION = CertificateError("other", reason=Reason.LEAF_MISMATCH, requirement="ICWS-CLT-025")
CAUGHT = Outcome(struck=1, is_secure=True, expected=SAID, delivered=SAID, executed=3, error=VIOLATION)


def test_an_attack_that_cost_nothing_is_caught() -> None:
    verdict = judge(CAUGHT)
    assert verdict.is_caught
    assert verdict.did == "refused: LeafMismatch"
    assert verdict.requirement == "ICWS-CLT-025"


@pytest.mark.parametrize(
    ("error", "did", "requirement"),
    [
        (None, "was not harmed, and stayed", ""),
        (StallError("late", requirement="ICWS-CLT-050"), "noticed: Silence", "ICWS-CLT-050"),
        (TransportError("cut", reason=Reason.CONNECTION_LOST), "was cut off: ConnectionLost", ""),
        (TransportError("cut", words="InvalidSignature: no"), "was cut off: InvalidSignature", ""),
    ],
)
def test_whoever_ends_it_an_attack_without_effect_is_caught(
    error: IcwsError | None, did: str, requirement: str
) -> None:
    verdict = judge(replace(CAUGHT, error=error))
    assert verdict.is_caught
    assert (verdict.did, verdict.requirement) == (did, requirement)


@pytest.mark.parametrize(
    "change",
    [
        {"struck": 0},
        {"delivered": (b"one", b"TWO", b"three")},
        {"delivered": (b"one", b"one", b"two", b"three")},
        {"delivered": (b"two", b"one", b"three")},
        {"delivered": (b"one", b"three")},
        {"delivered": (b"one", b"two")},
        {"delivered": (*SAID, b"four")},
        {"delivered": ()},
        {"executed": 2},
        {"is_secure": False},
        {"failure": "no end in time"},
    ],
    ids=lambda change: next(iter(f"{name} {value}" for name, value in change.items())),
)
def test_nothing_less_is_caught_even_where_the_client_complained(change: dict[str, object]) -> None:
    verdict = judge(replace(CAUGHT, **change))  # type: ignore[arg-type] # each case has a field's own type
    assert not verdict.is_caught
    assert not verdict.requirement
