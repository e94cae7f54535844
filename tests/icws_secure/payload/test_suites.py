"""The choice of a suite, and the refusal of weaker ones."""

from __future__ import annotations

import pytest

from icws_secure.errors import MisuseError, PayloadViolation, Reason
from icws_secure.payload import SuiteName, choose_suite, is_weaker, require_minimum
from icws_secure.wire.registration import Suite

NONE, HPKE, VETKD = (Suite(name) for name in ("none", "hpke-x25519", "vetkd-bls12-381"))
ALL = [name.value for name in SuiteName]

pytestmark = pytest.mark.req("ICWS-PAY-012")


@pytest.mark.parametrize(
    ("suite", "minimum", "weaker"),
    [
        ("none", "none", False),
        ("hpke-x25519", "none", False),
        ("vetkd-bls12-381", "hpke-x25519", False),
        ("none", "hpke-x25519", True),
        ("hpke-x25519", "vetkd-bls12-381", True),
        ("unheard-of", "none", True),
        ("vetkd-bls12-381", "unheard-of", True),
        ("", "", True),
    ],
)
def test_strength(suite: str, minimum: str, weaker: bool) -> None:
    assert is_weaker(suite, minimum) is weaker
    if weaker:
        with pytest.raises(PayloadViolation) as caught:
            require_minimum(suite, minimum)
        assert caught.value.reason is Reason.SUITE_TOO_WEAK
    else:
        require_minimum(suite, minimum)


@pytest.mark.parametrize(
    ("offered", "minimum", "supported", "chosen"),
    [
        ([NONE, HPKE, VETKD], "none", ALL, VETKD),
        ([VETKD, HPKE, NONE], "none", ["none", "hpke-x25519"], HPKE),
        ([NONE], "none", ALL, NONE),
        ([NONE, HPKE], "hpke-x25519", ALL, HPKE),
        ([Suite("newer"), HPKE], "none", [*ALL, "newer"], HPKE),
    ],
)
def test_strongest_in_common_is_chosen(offered: list[Suite], minimum: str, supported: list[str], chosen: Suite) -> None:
    assert choose_suite(offered, minimum=minimum, supported=supported) is chosen


@pytest.mark.parametrize(
    ("offered", "minimum", "supported"),
    [
        ([NONE], "hpke-x25519", ALL),
        ([NONE, HPKE], "vetkd-bls12-381", ALL),
        ([VETKD, NONE], "hpke-x25519", ["none", "hpke-x25519"]),
        ([], "none", ALL),
        ([VETKD], "none", ["none"]),
    ],
)
def test_nothing_as_strong_as_the_minimum_is_refused(offered: list[Suite], minimum: str, supported: list[str]) -> None:
    with pytest.raises(PayloadViolation) as caught:
        choose_suite(offered, minimum=minimum, supported=supported)
    assert caught.value.reason is Reason.SUITE_TOO_WEAK


def test_minimum_that_is_no_suite_is_misuse() -> None:
    with pytest.raises(MisuseError):
        choose_suite([NONE], minimum="strong", supported=ALL)
