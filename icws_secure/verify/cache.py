"""A bounded cache of what has been verified; the least recently used goes first.

May be shared between threads without a lock: every access to the dictionary is one atomic operation. Where two threads
meet, one may miss what is kept and verify it again; neither finds what was not put there.
"""

from __future__ import annotations

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
    """

    __slots__ = ("_entries", "_max_bytes", "_max_entries", "dropped")

    def __init__(self, max_entries: int, max_bytes: int) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self.dropped = 0
        # In order of use, the latest last.
        self._entries: dict[Key, tuple[Value, int]] = {}

    def get(self, key: Key) -> Value | None:
        """The value kept under ``key``, or None."""
        entry = self._entries.pop(key, None)
        if entry is None:
            return None
        self._entries[key] = entry
        return entry[0]

    def put(self, key: Key, value: Value, weight: int) -> None:
        """Keeps ``value``, which weighs ``weight`` bytes, and drops what no longer fits."""
        self._entries.pop(key, None)
        self._entries[key] = (value, weight)
        # [ICWS-LIB-015]
        entries = list(self._entries.items())
        excess = sum(entry[1] for _, entry in entries) - self._max_bytes
        for position, (old, entry) in enumerate(entries):
            if excess <= 0 and len(entries) - position <= self._max_entries:
                break
            self._entries.pop(old, None)
            excess -= entry[1]
            self.dropped += 1

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def weight(self) -> int:
        """Sum of the weights of what is kept."""
        return sum(entry[1] for entry in list(self._entries.values()))
