"""The payload suites, and the choice of one from what a canister certifies that it offers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final

from ..errors import MisuseError, PayloadViolation, Reason
from ..wire.registration import Suite

__all__ = ["STRENGTH", "SuiteName", "choose_suite", "is_weaker", "require_minimum"]


class SuiteName(StrEnum):
    """The suites of ``icws-secure/1``."""

    NONE = "none"
    HPKE = "hpke-x25519"
    VETKD = "vetkd-bls12-381"


STRENGTH: Final = (SuiteName.NONE, SuiteName.HPKE, SuiteName.VETKD)
"""The suites, weakest first: hidden from nobody; from gateways; from gateways and replicas."""


def is_weaker(suite: str, minimum: str) -> bool:
    """Whether ``suite`` protects less than ``minimum``. What is not known protects nothing, and is never enough to ask
    for."""
    names = [name.value for name in STRENGTH]
    if suite not in names or minimum not in names:
        return True
    return names.index(suite) < names.index(minimum)


def require_minimum(suite: str, minimum: str) -> None:
    """Refuses a suite that is weaker than ``minimum``.

    Raises:
        PayloadViolation: SUITE_TOO_WEAK.
    """
    # [ICWS-PAY-012]
    if is_weaker(suite, minimum):
        raise PayloadViolation(
            "the payload suite is weaker than the minimum",
            reason=Reason.SUITE_TOO_WEAK,
            requirement="ICWS-PAY-012",
            minimum=minimum,
            received=suite[:32],
        )


def choose_suite(offered: Iterable[Suite], *, minimum: str, supported: Collection[str]) -> Suite:
    """The strongest suite that both ends have.

    Args:
        offered: the suites of the certified registration reply.
        minimum: the weakest suite that will do.
        supported: the suites that this end has keys and libraries for.

    Raises:
        MisuseError: the minimum is not a suite.
        PayloadViolation: SUITE_TOO_WEAK, nothing in common is as strong as the minimum.
    """
    if minimum not in STRENGTH:
        raise MisuseError("the minimum is not a payload suite", reason=Reason.INVALID_ARGUMENT, minimum=minimum[:32])
    by_name = {suite.name: suite for suite in offered}
    for name in reversed(STRENGTH):
        if name in by_name and name in supported:
            require_minimum(name, minimum)
            return by_name[name]
    raise PayloadViolation(
        "no payload suite in common",
        reason=Reason.SUITE_TOO_WEAK,
        requirement="ICWS-PAY-012",
        minimum=minimum,
    )
