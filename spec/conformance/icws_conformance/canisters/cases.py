"""All cases of this target; what they are about is in the modules that put them on the list."""

from __future__ import annotations

from icws_conformance.canisters import (
    certified,
    handling,
    incoming,
    liveness,
    methods,
    omnia,
    opening,
    outgoing,
    payload,
    registration,
    resume,
    revocation,
    service,
)
from icws_conformance.canisters.stage import listed
from icws_conformance.canisters.tested import CanisterUnderTest
from icws_conformance.case import Case

__all__ = ["canister_cases"]

_PARTS = (
    registration,
    revocation,
    opening,
    outgoing,
    incoming,
    handling,
    service,
    liveness,
    certified,
    resume,
    methods,
    omnia,
    payload,
)


def canister_cases(tested: CanisterUnderTest | None) -> list[Case]:
    """The cases of this target."""
    return listed(tested)
