from __future__ import annotations

import threading

import pytest

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
