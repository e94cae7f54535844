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
WINDOW = 32

pytestmark = pytest.mark.req("ICWS-PAY-005")


def expected(number: int) -> MessageKey:
    chain = CHAIN
    for _ in range(5, number):
        chain = hmac.digest(chain, b"\x03", "sha256")
    return MessageKey(hmac.digest(chain, b"\x01", "sha256"), hmac.digest(chain, b"\x02", "sha256"))


def refuse(ratchet: Ratchet, number: int) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        ratchet.take(number, window=WINDOW)
    return caught.value.reason


def test_keys_come_of_the_chain_as_specified() -> None:
    ratchet = START
    for number in range(5, 10):
        ratchet, key = ratchet.take(number)
        assert key == expected(number)
    assert ratchet.position == 10


@given(st.permutations(range(5, 5 + WINDOW)))
@settings(max_examples=50, deadline=None)
def test_any_order_within_the_window_gives_the_same_keys(order: list[int]) -> None:
    ratchet = START
    for number in order:
        ratchet, key = ratchet.take(number, window=WINDOW)
        assert key == expected(number)
        assert len(ratchet.skipped) < WINDOW
    assert ratchet.skipped == ()


@pytest.mark.req("ICWS-PAY-002")
def test_key_is_given_once() -> None:
    ratchet, _ = START.take(8, window=WINDOW)
    assert refuse(ratchet, 8) is Reason.REPLAYED
    ratchet, _ = ratchet.take(6, window=WINDOW)
    assert refuse(ratchet, 6) is Reason.REPLAYED
    assert refuse(START, 4) is Reason.REPLAYED


def test_keys_below_the_window_are_forgotten() -> None:
    ratchet, _ = START.take(5 + WINDOW, window=WINDOW)
    assert refuse(ratchet, 5) is Reason.REPLAYED
    ratchet.take(6, window=WINDOW)
    assert len(ratchet.skipped) == WINDOW - 1


def test_sender_keeps_no_passed_keys() -> None:
    ratchet, _ = START.take(20)
    assert ratchet.skipped == ()


def test_taking_changes_nothing() -> None:
    ratchet, _ = START.take(8, window=WINDOW)
    before = ratchet.to_value()
    ratchet.take(6, window=WINDOW)
    ratchet.take(100, window=WINDOW)
    assert ratchet.to_value() == before


def test_later_state_does_not_hold_earlier_chains() -> None:
    ratchet, key = START.take(5)
    assert CHAIN not in (ratchet.chain, key.key, key.nonce_key)


def test_number_too_far_ahead_is_refused() -> None:
    START.take(5 + MAX_RATCHET_STEPS)
    assert refuse(START, 6 + MAX_RATCHET_STEPS) is Reason.TOO_MANY


def test_storage() -> None:
    ratchet, _ = START.take(12, window=WINDOW)
    assert Ratchet.from_value(ratchet.to_value()) == ratchet


@pytest.mark.parametrize(
    "value", [None, [], [CHAIN, 1], [b"", 1, []], [CHAIN, -1, []], [CHAIN, 1, [5]], [CHAIN, 1, [[1, b"x"]]]]
)
def test_other_stored_values_are_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        Ratchet.from_value(value)


@pytest.mark.req("ICWS-LIB-026")
def test_keys_do_not_show() -> None:
    assert repr(START) == "Ratchet(position=5, skipped=0)"
