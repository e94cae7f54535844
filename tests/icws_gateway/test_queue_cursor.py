"""Order of a queue, whatever the replies do."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_gateway.poll_pace import PollPace
from icws_gateway.queue_cursor import TOMBSTONE_LEAF, CursorConflict, QueueCursor

pytestmark = pytest.mark.req("ICWS-GWY-006")


@dataclass(frozen=True)
class Entry:
    nonce: int
    leaf: object = "same"
    size: int = 100


def entries(*nonces: int) -> list[Entry]:
    return [Entry(nonce) for nonce in nonces]


def delivered(runs) -> list[int]:
    return [entry.nonce for run in runs for entry in run.entries]


class Driver:
    """A cursor and what it delivered."""

    def __init__(self, most_ahead: int = 16) -> None:
        self.cursor = QueueCursor(most_ahead)
        self.out: list[int] = []

    def poll(self, nonce: int, found: list[Entry], *, more: bool = False) -> list[int]:
        self.cursor.started(nonce)
        out = delivered(self.cursor.received(nonce, object(), found, more=more))
        self.out += out
        return out


@pytest.fixture
def driver() -> Driver:
    return Driver()


def test_first_reply_decides_where_the_queue_begins(driver):
    assert driver.poll(0, entries(1_000, 1_001)) == [1_000, 1_001]
    assert driver.cursor.position == 1_002


def test_empty_reply_decides_nothing(driver):
    driver.poll(0, [])
    assert driver.cursor.position == 0
    driver.poll(0, entries(5, 6))
    driver.poll(7, [])
    assert driver.cursor.position == 7
    driver.poll(57, [])
    assert driver.cursor.position == 7


def test_reply_that_is_ahead_waits_for_its_predecessor(driver):
    driver.poll(0, entries(0, 1), more=True)
    assert driver.poll(4, entries(4, 5)) == []
    assert driver.poll(2, entries(2, 3)) == [2, 3, 4, 5]


def test_overlap_is_delivered_once(driver):
    driver.poll(0, entries(0, 1, 2))
    assert driver.poll(2, entries(2, 3)) == [3]
    assert driver.out == [0, 1, 2, 3]


def test_other_content_under_a_known_nonce_is_a_conflict_and_changes_nothing(driver):
    driver.poll(0, entries(0, 1, 2))
    with pytest.raises(CursorConflict):
        driver.poll(2, [Entry(2, "other"), Entry(3)])
    assert driver.cursor.position == 3
    assert driver.poll(3, entries(3)) == [3]


def test_a_message_that_the_canister_took_away_is_no_conflict(driver):
    driver.poll(0, entries(0, 1, 2))
    assert driver.poll(2, [Entry(2, TOMBSTONE_LEAF), Entry(3, TOMBSTONE_LEAF)]) == [3]
    # a replica that is behind still shows it
    assert driver.poll(3, entries(3, 4)) == [4]


def test_waiting_replies_that_contradict_each_other_are_a_conflict(driver):
    driver.poll(0, entries(0), more=True)
    driver.poll(2, entries(2, 3))
    with pytest.raises(CursorConflict):
        driver.poll(3, [Entry(3, "other")])
    assert driver.poll(1, entries(1)) == [1, 2, 3]


@pytest.mark.parametrize("found", [entries(3, 2), entries(2, 2), entries(1)])
def test_nonces_must_increase_from_the_one_asked_for(driver, found):
    driver.poll(0, entries(0, 1))
    with pytest.raises(CursorConflict):
        driver.poll(2, found)
    assert driver.out == [0, 1]


def test_gap_is_asked_again_and_believed_when_said_twice(driver):
    driver.poll(0, entries(0, 1))
    assert driver.poll(2, entries(5, 6)) == []
    assert driver.cursor.position == 2
    assert driver.poll(2, entries(5, 6, 7)) == [5, 6, 7]


def test_gap_that_the_next_reply_fills_is_not_skipped(driver):
    driver.poll(0, entries(0, 1))
    assert driver.poll(2, entries(5, 6)) == []
    assert driver.poll(2, entries(2, 3, 4)) == [2, 3, 4, 5, 6]


def test_two_different_gaps_are_not_believed(driver):
    driver.poll(0, entries(0, 1))
    driver.poll(2, entries(5))
    assert driver.poll(2, entries(4)) == []
    assert driver.cursor.position == 2


def test_hole_inside_a_reply_is_asked_for(driver):
    assert driver.poll(0, entries(0, 1, 3, 4)) == [0, 1]
    assert driver.cursor.position == 2
    assert driver.poll(2, entries(2)) == [2, 3, 4]


def test_no_polls_ahead_before_the_queue_is_known_to_be_long(driver):
    driver.poll(0, entries(*range(50)), more=True)
    assert driver.cursor.next_ahead() is None


def test_polls_ahead_grow_with_full_replies_up_to_the_bound():
    driver = Driver(most_ahead=4)
    position = 0
    for _ in range(6):
        driver.poll(position, entries(*range(position, position + 50)), more=True)
        position += 50
    cursor = driver.cursor
    cursor.started(cursor.position)
    ahead = []
    while (nonce := cursor.next_ahead()) is not None:
        cursor.started(nonce)
        ahead.append(nonce)
    assert ahead == [position + 50, position + 100, position + 150]


def test_polls_ahead_stop_at_the_end_of_the_queue(driver):
    driver.poll(0, entries(*range(50)), more=True)
    driver.poll(50, entries(*range(50, 100)), more=True)
    assert driver.cursor.window > 1
    driver.poll(100, entries(100))
    driver.cursor.started(101)
    assert driver.cursor.next_ahead() is None


def test_what_waits_is_bounded_but_the_due_message_is_always_kept(driver):
    driver.poll(0, entries(0), more=True)
    big = 3 << 20
    driver.poll(2, [Entry(nonce, size=big) for nonce in range(2, 8)])
    assert driver.poll(1, [Entry(1, size=big)]) == [1, 2, 3]
    assert driver.cursor.position == 4


def test_failed_poll_leaves_the_place_to_be_asked_again(driver):
    cursor = driver.cursor
    cursor.started(0)
    assert cursor.asked_at(0) == 1
    cursor.failed(0)
    assert (cursor.asked_at(0), cursor.position, cursor.in_flight) == (0, 0, 0)


def test_restart_forgets_the_old_queue(driver):
    driver.poll(0, entries(7, 8))
    driver.cursor.restart()
    assert driver.cursor.position == 0
    assert driver.poll(0, [Entry(0, "new"), Entry(1, "new")]) == [0, 1]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_replicas_say_delivery_is_in_order_and_once(data):
    """A queue of true messages, replicas of different heights, any order of answers, some of them lies."""
    length = data.draw(st.integers(0, 60))
    page = data.draw(st.integers(1, 8))
    driver = Driver(most_ahead=data.draw(st.integers(1, 6)))
    cursor = driver.cursor
    pending: list[int] = []
    for _ in range(data.draw(st.integers(1, 80))):
        if not pending or data.draw(st.booleans()):
            ahead = cursor.next_ahead() if pending else None
            nonce = cursor.position if ahead is None else ahead
            cursor.started(nonce)
            pending.append(nonce)
            continue
        nonce = pending.pop(data.draw(st.integers(0, len(pending) - 1)))
        height = data.draw(st.integers(0, length))
        found = list(range(nonce, height))[:page]
        lie = data.draw(st.sampled_from(["no", "no", "no", "fail", "reorder"]))
        if lie == "fail":
            cursor.failed(nonce)
            continue
        if lie == "reorder" and len(found) > 1:
            with pytest.raises(CursorConflict):
                cursor.received(nonce, object(), entries(*reversed(found)), more=False)
            continue
        runs = cursor.received(nonce, object(), entries(*found), more=bool(found) and found[-1] + 1 < height)
        driver.out += delivered(runs)
    assert driver.out == list(range(len(driver.out)))
    for nonce in pending:
        cursor.failed(nonce)
    while len(driver.out) < length:
        driver.poll(cursor.position, entries(*list(range(cursor.position, length))[:page]))
    assert driver.out == list(range(length))


def messages_in(seconds: float, *, most_ahead: int, round_trip: float = 0.15, page: int = 50) -> int:
    """Polls a queue without end in virtual time, as the poller does; gives how many messages were delivered."""
    driver = Driver(most_ahead)
    cursor = driver.cursor
    for _ in range(3):
        driver.poll(0, [])  # it was silent before
    under_way: list[tuple[float, int]] = []
    now = 0.0
    while now < seconds:
        wanted = [] if cursor.asked_at(cursor.position) else [cursor.position]
        for nonce in wanted:
            cursor.started(nonce)
            under_way.append((now + round_trip, nonce))
        while (ahead := cursor.next_ahead()) is not None:
            cursor.started(ahead)
            under_way.append((now + round_trip, ahead))
        under_way.sort()
        now, nonce = under_way.pop(0)
        runs = cursor.received(nonce, object(), entries(*range(nonce, nonce + page)), more=True)
        driver.out += delivered(runs)
    assert driver.out == list(range(len(driver.out)))
    return len(driver.out)


def test_polls_ahead_carry_ten_times_what_a_serial_poller_does():
    serial = messages_in(5.0, most_ahead=1)
    assert 1_500 <= serial <= 1_700
    assert messages_in(5.0, most_ahead=16) >= 10 * serial


def delays_of(rate: float, *, round_trip: float, seconds: float = 20.0, page: int = 50) -> tuple[list[float], float]:
    """A queue that grows steadily, in virtual time: how long each message waited, and polls a page."""
    driver = Driver(16)
    cursor = driver.cursor
    pace = PollPace(interval=0.1, idle_interval=0.4, idle_after=10, min_gap=0.01, longest_backoff=8, now=0.0)
    under_way: list[tuple[float, int, int]] = []  # when it is answered, where, how long the queue is when it is
    now, polls, waits = 0.0, 0, []

    def start(nonce: int) -> None:
        cursor.started(nonce)
        under_way.append((now + round_trip, nonce, int((now + round_trip / 2) * rate)))

    while now < seconds:
        due = pace.due_at(cursor.asked_at(cursor.position))
        if due <= now:
            pace.started(now)
            start(cursor.position)
            polls += 1
            continue
        while (ahead := cursor.next_ahead()) is not None:
            start(ahead)
            polls += 1
        under_way.sort()
        if not under_way or due < under_way[0][0]:
            now = due
            continue
        now, nonce, height = under_way.pop(0)
        at_position = nonce == cursor.position
        found = range(nonce, min(nonce + page, height))
        new = delivered(cursor.received(nonce, object(), entries(*found), more=nonce + page < height))
        pace.brought(now, len(new))
        if at_position:
            pace.replied(now, messages=len(found), more=nonce + page < height)
        driver.out += new
        waits += [now - place / rate for place in new]
    assert driver.out == list(range(len(driver.out)))
    return sorted(waits[len(waits) // 2 :]), polls * page / len(driver.out)


@pytest.mark.parametrize(
    ("rate", "round_trip", "p99", "polls"),
    [(1_000, 0.02, 0.1, 1.3), (5_000, 0.02, 0.05, 1.5), (5_000, 0.1, 0.3, 1.3), (2_500, 0.1, 0.3, 1.3)],
)
def test_a_queue_that_grows_steadily_is_followed_closely_with_few_polls(rate, round_trip, p99, polls):
    waits, polls_a_page = delays_of(rate, round_trip=round_trip)
    assert waits[len(waits) * 99 // 100] <= p99
    assert polls_a_page <= polls


def test_polls_ahead_end_soon_when_the_queue_has():
    driver = Driver(most_ahead=16)
    cursor = driver.cursor
    for position in range(0, 1_000, 50):
        driver.poll(position, entries(*range(position, position + 50)), more=True)
    assert cursor.window == 16
    polls = 0
    for _ in range(20):  # rounds in which nothing comes
        asked = [cursor.position]
        cursor.started(cursor.position)
        while (ahead := cursor.next_ahead()) is not None:
            cursor.started(ahead)
            asked.append(ahead)
        polls += len(asked)
        for nonce in asked:
            cursor.received(nonce, object(), [], more=False)
    assert cursor.window == 1
    assert polls < 20 + 80
