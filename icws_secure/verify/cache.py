"""A bounded cache of what has been verified; the least recently used goes first.

May be shared between threads: a lock is held for the few steps of one :meth:`~BoundedCache.get` or
:meth:`~BoundedCache.put`, and while nothing else is done. Each takes the same time however much is kept; what drops
out is paid for by what came in.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Generic, TypeVar

__all__ = ["BoundedCache"]

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """Keeps at most ``max_entries`` values that together weigh at most ``max_bytes``.

    Args:
        max_entries: number of values; 0 keeps nothing.
        max_bytes: sum of the weights given to :meth:`put`.

    Attributes:
        dropped: how many values had to make room for others.
        weight: sum of the weights of what is kept.
    """

    __slots__ = ("_entries", "_lock", "_max_bytes", "_max_entries", "dropped", "weight")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.dropped = 0
        self.weight = 0
        # In order of use, the latest last.
        self._entries: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """The value kept under ``key``, or None."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: Key, value: Value, weight: int) -> None:
        """Keeps ``value``, which weighs ``weight`` bytes, and drops what no longer fits."""
        with self._lock:
            replaced = self._entries.pop(key, None)
            if replaced is not None:
                self.weight -= replaced[1]
            self._entries[key] = (value, weight)
            self.weight += weight
            # [ICWS-LIB-015]
            while len(self._entries) > self._max_entries or self.weight > self._max_bytes:
                _, (_, freed) = self._entries.popitem(last=False)
                self.weight -= freed
                self.dropped += 1

    def __len__(self) -> int:
        return len(self._entries)
