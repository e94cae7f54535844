"""The persistent schedule against a sorted list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from icws_secure.session.canister.schedule import Schedule


def drain(schedule: Schedule) -> list[tuple[int, object]]:
    found = []
    while (due := schedule.first()) is not None:
        found.append((due.when_ns, due.key))
        schedule = schedule.without_first()
    return found


@given(st.lists(st.integers(0, 20), max_size=60))
def test_entries_come_by_time_and_then_in_the_order_added(times: list[int]) -> None:
    schedule = Schedule()
    for place, when in enumerate(times):
        schedule = schedule.add(when, "session", place)
    assert drain(schedule) == sorted((when, place) for place, when in enumerate(times))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30))
def test_an_old_schedule_is_not_changed_by_what_follows(times: list[int]) -> None:
    schedule = Schedule()
    for place, when in enumerate(times):
        schedule = schedule.add(when, "session", place)
    before = drain(schedule)
    schedule.add(-1, "session", "later")
    drain(schedule.without_first())
    assert drain(schedule) == before


def test_a_schedule_of_many_ordered_entries_is_not_deep() -> None:
    schedule = Schedule()
    for when in range(20_000):
        schedule = schedule.add(when, "session", when)
    assert drain(schedule)[-1] == (19_999, 19_999)


def test_an_empty_schedule_has_no_first() -> None:
    assert Schedule().first() is None
    assert Schedule().without_first() == Schedule()
