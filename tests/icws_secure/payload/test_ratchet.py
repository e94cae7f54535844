"""One-way keys: every number once, in any order within the window."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, PayloadViolation, Reason
from icws_secure.limits import MAX_RATCHET_STEPS
from icws_secure.payload.ratchet import Ratchet
from icws_secure.payload.sealing import MessageKey

CHAIN = bytes(range(32))
START = Ratchet(CHAIN, 5)

pytestmark = pytest.mark.req("ICWS-PAY-005")


def expected(number: int) -> MessageKey:
    chain = CHAIN
    for _ in range(5, number):
        chain = hmac.digest(chain, b"\x03", "sha256")
    return MessageKey(hmac.digest(chain, b"\x01", "sha256"), hmac.digest(chain, b"\x02", "sha256"))


def refuse(ratchet: Ratchet, number: int) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        ratchet.take(number)
    return caught.value.reason


def test_keys_come_of_the_chain_as_specified() -> None:
    ratchet = START
    for number in range(5, 10):
        ratchet, key = ratchet.take(number)
        assert key == expected(number)
    assert ratchet.position == 10


@given(st.sets(st.integers(5, 200), min_size=1))
@settings(max_examples=50, deadline=None)
def test_passed_numbers_do_not_matter(numbers: set[int]) -> None:
    ratchet = START
    for number in sorted(numbers):
        ratchet, key = ratchet.take(number)
        assert key == expected(number)


@pytest.mark.req("ICWS-PAY-002")
def test_key_is_given_once() -> None:
    ratchet, _ = START.take(8)
    assert refuse(ratchet, 8) is Reason.REPLAYED
    assert refuse(ratchet, 6) is Reason.REPLAYED
    assert refuse(START, 4) is Reason.REPLAYED


def test_ratchet_without_place_starts_at_the_first_number_taken() -> None:
    ratchet, key = Ratchet(CHAIN, 0).take(5)
    assert (ratchet, key) == START.take(5)


def test_taking_changes_nothing() -> None:
    before = START.to_value()
    assert START.take(100) == START.take(100)
    assert START.to_value() == before


def test_later_state_does_not_hold_earlier_chains() -> None:
    ratchet, key = START.take(5)
    assert CHAIN not in (ratchet.chain, key.key, key.nonce_key)


def test_number_too_far_ahead_is_refused() -> None:
    START.take(5 + MAX_RATCHET_STEPS)
    assert refuse(START, 6 + MAX_RATCHET_STEPS) is Reason.TOO_MANY


def test_storage() -> None:
    ratchet, _ = START.take(12)
    assert Ratchet.from_value(ratchet.to_value()) == ratchet


@pytest.mark.parametrize("value", [None, [], [CHAIN], [b"", 1], [CHAIN, -1], [CHAIN, 1, []]])
def test_other_stored_values_are_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        Ratchet.from_value(value)


@pytest.mark.req("ICWS-LIB-026")
def test_keys_do_not_show() -> None:
    assert repr(START) == "Ratchet(position=5)"
