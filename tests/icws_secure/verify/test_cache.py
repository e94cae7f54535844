from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.verify.cache import BoundedCache

pytestmark = pytest.mark.req("ICWS-LIB-015")


def test_least_recently_used_goes_first() -> None:
    cache: BoundedCache[str, int] = BoundedCache(2, 100)
    cache.put("a", 1, 1)
    cache.put("b", 2, 1)
    assert cache.get("a") == 1
    cache.put("c", 3, 1)
    assert cache.get("b") is None
    assert (cache.get("a"), cache.get("c")) == (1, 3)


def test_weight_is_bounded() -> None:
    cache: BoundedCache[int, int] = BoundedCache(100, 10)
    for number in range(20):
        cache.put(number, number, 4)
        assert cache.weight <= 10
    assert len(cache) == 2


def test_replacing_does_not_count_twice() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10, 10)
    for number in range(5):
        cache.put("a", number, 8)
    assert (cache.weight, len(cache), cache.get("a")) == (8, 1, 4)


def test_what_is_too_heavy_is_not_kept() -> None:
    cache: BoundedCache[str, int] = BoundedCache(10, 10)
    cache.put("a", 1, 11)
    assert (len(cache), cache.weight) == (0, 0)


class CountedWeight(int):
    """A weight that counts how often any is looked at."""

    looks = 0

    def __radd__(self, other: int) -> int:
        CountedWeight.looks += 1
        return int(self) + other

    __add__ = __radd__

    def __rsub__(self, other: int) -> int:
        CountedWeight.looks += 1
        return other - int(self)


@pytest.mark.parametrize(("max_entries", "max_bytes"), [(1000, 10**9), (10**9, 1000)])
def test_what_is_kept_is_not_gone_through_to_keep_more(
    max_entries: int, max_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountedWeight, "looks", 0)
    cache: BoundedCache[int, int] = BoundedCache(max_entries, max_bytes)
    for number in range(5000):
        cache.put(number, number, CountedWeight(1))
    assert (len(cache), cache.weight, cache.dropped) == (1000, 1000, 4000)
    assert 5000 <= CountedWeight.looks <= 2 * 5000


@given(
    max_entries=st.integers(0, 5),
    max_bytes=st.integers(0, 20),
    steps=st.lists(st.tuples(st.sampled_from("gp"), st.integers(0, 7), st.integers(0, 9)), max_size=60),
)
def test_it_keeps_what_a_plain_list_in_order_of_use_would_keep(
    max_entries: int, max_bytes: int, steps: list[tuple[str, int, int]]
) -> None:
    cache: BoundedCache[int, int] = BoundedCache(max_entries, max_bytes)
    kept: list[tuple[int, int]] = []  # key and weight, the latest last
    for step, (verb, key, weight) in enumerate(steps):
        found = [entry for entry in kept if entry[0] == key]
        if verb == "g":
            assert (cache.get(key) is not None) == bool(found)
            kept = [entry for entry in kept if entry[0] != key] + found
        else:
            cache.put(key, step, weight)
            kept = [entry for entry in kept if entry[0] != key] + [(key, weight)]
            while len(kept) > max_entries or sum(weight for _, weight in kept) > max_bytes:
                del kept[0]
        assert (len(cache), cache.weight) == (len(kept), sum(weight for _, weight in kept))


def test_threads_do_not_break_it() -> None:
    cache: BoundedCache[int, int] = BoundedCache(8, 1000)
    failures: list[int] = []

    def work(seed: int) -> None:
        for number in range(2000):
            key = (number * seed) % 20
            cache.put(key, key, 1)
            value = cache.get(key)
            if value not in (None, key):
                failures.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    cache.put(99, 99, 1)
    assert len(cache) == cache.weight <= 8
