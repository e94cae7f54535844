"""When polls are due."""

from __future__ import annotations

import pytest

from icws_gateway.poll_pace import PollPace

NEVER = float("inf")


@pytest.fixture
def pace() -> PollPace:
    return PollPace(interval=0.1, idle_interval=0.4, idle_after=10, min_gap=0.01, longest_backoff=8, now=100.0)


def poll(pace: PollPace, now: float, *, messages: int = 1, more: bool = False) -> None:
    pace.started(now)
    pace.brought(now, messages)
    pace.replied(now, messages=messages, more=more)


def test_first_poll_is_due_at_once(pace):
    assert pace.due_at(0) == 100.0


def test_polls_follow_the_interval(pace):
    poll(pace, 100.0)
    assert pace.due_at(0) == pytest.approx(100.1)


def test_silence_slows_polls_down_and_a_message_speeds_them_up(pace):
    poll(pace, 100.0, messages=0)
    assert pace.due_at(0) == pytest.approx(100.1)
    poll(pace, 111.0, messages=0)
    assert pace.due_at(0) == pytest.approx(111.4)
    poll(pace, 111.4, messages=1)
    assert pace.due_at(0) == pytest.approx(111.5)


def test_more_is_polled_at_once(pace):
    poll(pace, 100.0, more=True)
    assert pace.due_at(0) == 100.0


def test_executed_call_is_followed_at_once_and_twice_more(pace):
    poll(pace, 100.0, messages=0)
    due = []
    pace.executed(100.02)
    now = 100.02
    for _ in range(3):
        at = max(pace.due_at(0), now)
        due.append(round(at - 100.02, 2))
        now = at
        poll(pace, now, messages=0)
    assert due[0] == 0.0
    assert 0.1 <= due[1] <= 0.12
    assert due[2] <= 0.23  # the regular one
    pace.started(now)
    assert pace.due_at(0) <= 100.02 + 0.3 + 0.02


def test_any_number_of_calls_needs_few_entries(pace):
    for number in range(5_000):
        pace.executed(100.0 + number / 10_000)
    assert len(pace._slots) < 100
    now = 100.5
    polls = 0
    while pace.due_at(2 - 2) < 101.0 and polls < 1_000:
        now = max(now, pace.due_at(0))
        poll(pace, now, messages=0)
        polls += 1
    assert polls < 60


def test_a_second_poll_may_overtake_one_under_way_but_not_a_third(pace):
    pace.started(100.0)
    assert pace.due_at(1) == NEVER
    pace.executed(100.05)
    assert pace.due_at(1) == pytest.approx(100.01)
    assert pace.due_at(2) == NEVER


def test_polls_keep_a_least_gap(pace):
    pace.started(100.0)
    pace.executed(100.001)
    assert pace.due_at(0) == pytest.approx(100.01)


def test_executed_call_ends_the_pause_after_failures(pace):
    for _ in range(6):
        pace.started(100.0)
        pace.failed(100.0, 1.0)
    assert pace.due_at(0) == pytest.approx(108)
    pace.executed(100.05)
    assert pace.due_at(0) == pytest.approx(100.1)


def test_failures_back_off_with_jitter(pace):
    waits = []
    now = 100.0
    for _ in range(8):
        pace.started(now)
        pace.failed(now, 1.0)
        waits.append(pace.due_at(0) - now)
        now = pace.due_at(0)
    assert waits == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 8, 8])
    pace.started(now)
    pace.failed(now, 0.0)
    assert pace.due_at(0) - now == pytest.approx(4)
    now = pace.due_at(0)
    poll(pace, now)
    assert pace.failures == 0
    assert pace.due_at(0) <= now + 0.1


def rate(pace: PollPace, per_second: float, page: int, *, seconds: float) -> list[float]:
    """Polls of a queue that grows steadily; gives the times between them."""
    now, started, taken, gaps = 100.0, 100.0, 0, []
    while now < started + seconds:
        there = int((now - started) * per_second)
        brought = min(page, there - taken)
        taken += brought
        poll(pace, now, messages=brought, more=taken < there)
        due = max(now, pace.due_at(0))
        gaps.append(due - now)
        now = due
    return gaps


def test_a_busy_queue_is_polled_when_a_reply_is_likely_to_be_full(pace):
    gaps = rate(pace, 2_500, 50, seconds=10)
    assert gaps[0] == pytest.approx(0.1)
    late = [gap for gap in gaps[len(gaps) // 2 :] if gap]
    assert all(0.01 <= gap <= 0.04 for gap in late)
    assert len(gaps) < 1.5 * 10 * 2_500 / 50


def test_a_queue_whose_replies_are_never_full_is_polled_at_the_interval(pace):
    assert {round(gap, 6) for gap in rate(pace, 400, 50, seconds=5)} == {0.1}


def test_a_poll_that_finds_nothing_makes_the_next_one_later(pace):
    rate(pace, 5_000, 50, seconds=3)
    now, gaps = 110.0, []
    pace.brought(now, 5_000)
    for _ in range(6):
        poll(pace, now, messages=0)
        gaps.append(pace.due_at(0) - now)
        now = pace.due_at(0)
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.04
    assert gaps[-1] == pytest.approx(0.1)
