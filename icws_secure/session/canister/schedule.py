"""A persistent priority queue of deadlines.

A leftist heap: adding and removing make a new heap that shares all but O(log n) nodes with the old one, so a rolled
back execution costs nothing. Entries are not removed when a deadline moves: whoever takes an entry asks its subject for
the deadline it has now.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Due", "Schedule"]


class Due(NamedTuple):
    """An entry of the schedule.

    Attributes:
        when_ns: not to be looked at before.
        kind: what ``key`` is a key of.
        key: whose deadline it is.
    """

    when_ns: int
    kind: str
    key: Hashable


class _Node(NamedTuple):
    rank: int
    due: Due
    order: int  # of insertion: keys have no order of their own
    left: _Node | None
    right: _Node | None


def _merge(a: _Node | None, b: _Node | None) -> _Node | None:
    if a is None:
        return b
    if b is None:
        return a
    if (b.due.when_ns, b.order) < (a.due.when_ns, a.order):
        a, b = b, a
    # the right spine has at most log2(n) nodes, so the recursion is shallow
    right = _merge(a.right, b)
    left = a.left
    if _rank(left) < _rank(right):
        left, right = right, left
    return _Node(_rank(right) + 1, a.due, a.order, left, right)


def _rank(node: _Node | None) -> int:
    return 0 if node is None else node.rank


@dataclass(frozen=True, slots=True)
class Schedule:
    """Deadlines by time; equal times in the order in which they were added."""

    _root: _Node | None = None
    _added: int = 0

    def add(self, when_ns: int, kind: str, key: Hashable) -> Schedule:
        """The schedule with one more entry."""
        node = _Node(1, Due(when_ns, kind, key), self._added, None, None)
        return Schedule(_merge(self._root, node), self._added + 1)

    def first(self) -> Due | None:
        """The earliest entry, or None."""
        return None if self._root is None else self._root.due

    def without_first(self) -> Schedule:
        """The schedule without its earliest entry; itself if it is empty."""
        if self._root is None:
            return self
        return Schedule(_merge(self._root.left, self._root.right), self._added)


EMPTY_SCHEDULE: Final = Schedule()
