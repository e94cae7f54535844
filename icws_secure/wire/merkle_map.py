"""A growing hash tree, as a canister or a replica keeps it: a persistent map from labels to values.

The map is a balanced search tree (AVL). Every operation returns a new map and copies only the way from the root to what
changed, so old versions stay valid: an answer and its witness can be made from the state that was certified. Digests
are computed when first asked for and kept in the nodes; after a change only the copied ones are computed anew.

This is the producer's side. It hashes with code of its own, and the verifier's side never sees more of it than the
:mod:`~icws_secure.wire.hashtree` tree that :meth:`MerkleMap.witness` makes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias, Union

from ..errors import MisuseError, Reason
from ..limits import MAX_LABEL_BYTES
from .hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, Pruned

__all__ = ["MerkleMap", "Subtree"]

Subtree: TypeAlias = Union[bytes, "MerkleMap"]
"""What a label leads to: a value, or labels of its own."""

_Rest: TypeAlias = Sequence[bytes] | None  # what is left of a path below a label; None shows everything there
_Shown: TypeAlias = dict[bytes, list[_Rest]]  # labels to show; below one without a rest, nothing is

_EMPTY_DIGEST: Final = sha256(b"\x11ic-hashtree-empty").digest()
_MAX_LEVELS: Final = 16  # maps in maps; ours: the state tree of the Internet Computer has 5 levels


class _Entry:
    """A node of the search tree. It never changes, but for the digests that it keeps once they are computed."""

    __slots__ = ("_digest", "_labelled", "height", "key", "left", "levels", "right", "size", "value")

    def __init__(self, left: _Entry | None, key: bytes, value: Subtree, right: _Entry | None) -> None:
        self.left = left
        self.key = key
        self.value = value
        self.right = right
        self.height: int = 1 + max(_height(left), _height(right))
        self.size: int = 1 + _size(left) + _size(right)
        self.levels: int = max(
            _levels(left), _levels(right), 1 + _levels(value._root) if isinstance(value, MerkleMap) else 1
        )
        self._digest: bytes | None = None
        self._labelled: bytes | None = None

    def labelled(self) -> bytes:
        """Digest of the label with what it leads to."""
        known = self._labelled
        if known is None:
            value = self.value
            below = value.digest() if isinstance(value, MerkleMap) else _leaf_digest(value)
            known = self._labelled = sha256(b"\x13ic-hashtree-labeled" + self.key + below).digest()
        return known

    def digest(self) -> bytes:
        """Digest of ``fork(left, fork(entry, right))``, where sides that are missing are left out."""
        known = self._digest
        if known is None:
            known = self.labelled()
            if self.right is not None:
                known = sha256(b"\x10ic-hashtree-fork" + known + self.right.digest()).digest()
            if self.left is not None:
                known = sha256(b"\x10ic-hashtree-fork" + self.left.digest() + known).digest()
            self._digest = known
        return known


class MerkleMap:
    """A persistent ordered map from labels to values or further maps; ``MerkleMap()`` is empty.

    Two maps with the same content need not have the same root hash: the shape depends on the order of the changes,
    and on nothing else.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root: _Entry | None = None

    @classmethod
    def from_items(cls, items: Mapping[bytes, Subtree]) -> MerkleMap:
        """A map of many labels at once, of the least height; its shape depends on the labels only.

        Raises:
            MisuseError: as :meth:`insert` does.
        """
        for key, subtree in items.items():
            _demand_insertable(key, subtree)
        return cls._of(_built(sorted(items.items(), key=lambda item: item[0]), 0, len(items)))

    @classmethod
    def _of(cls, root: _Entry | None) -> MerkleMap:
        new = cls()
        new._root = root
        return new

    def __len__(self) -> int:
        return _size(self._root)

    def __bool__(self) -> bool:
        return self._root is not None

    def __iter__(self) -> Iterator[bytes]:
        """The labels, in order."""
        return (entry.key for entry in _entries(self._root))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, bytes) and self.get(key) is not None

    def __repr__(self) -> str:
        return f"<MerkleMap of {len(self)}>"

    def items(self) -> Iterator[tuple[bytes, Subtree]]:
        """Labels and what they lead to, in order."""
        return ((entry.key, entry.value) for entry in _entries(self._root))

    def get(self, key: bytes) -> Subtree | None:
        """What a label leads to, or None."""
        entry = self._root
        while entry is not None and entry.key != key:
            entry = entry.left if key < entry.key else entry.right
        return None if entry is None else entry.value

    def insert(self, key: bytes, subtree: Subtree) -> MerkleMap:
        """A map in which ``key`` leads to ``subtree``, whatever it led to before.

        Args:
            key: the label, up to 256 bytes.
            subtree: a value or a map.

        Raises:
            MisuseError: the label is longer than a verifier accepts, or maps are nested too deeply.
        """
        _demand_insertable(key, subtree)
        return self._of(_insert(self._root, key, subtree))

    def remove(self, key: bytes) -> MerkleMap:
        """A map without ``key``; this map itself if it has no such label."""
        return self._of(_remove(self._root, key)) if key in self else self

    def digest(self) -> bytes:
        """The root hash, 32 bytes: that of the hash tree in which nothing is pruned."""
        return _EMPTY_DIGEST if self._root is None else self._root.digest()

    def witness(self, paths: Iterable[Sequence[bytes]]) -> HashTree:
        """The hash tree that shows what is at some paths, and hides what it can of the rest.

        What a path leads to is shown whole. If it leads nowhere, the labels on either side of the gap are shown,
        which proves it.

        Args:
            paths: sequences of labels; one without labels shows everything.
        """
        return self._show(list(paths), None)

    def witness_range(self, prefix_path: Sequence[bytes], first_key: bytes, last_key: bytes) -> HashTree:
        """The hash tree that shows everything from ``first_key`` to ``last_key``, both included, below a path.

        The labels next to the range are shown too, without what they lead to, which proves that nothing is missing
        between them. If the path leads nowhere, or to a value, that is shown.

        Args:
            prefix_path: labels to the map that has the keys; none for this map itself.
            first_key: the lowest label to show.
            last_key: the highest label to show.
        """
        return self._show([prefix_path], (first_key, last_key))

    def _show(self, paths: list[Sequence[bytes]], keys: tuple[bytes, bytes] | None) -> HashTree:
        """The witness for some paths; ``keys`` is the range to show where they end, None shows everything there."""
        shown: _Shown = {}
        for path in paths:
            if path:
                first = last = path[0]
            elif keys is not None:
                first, last = keys
            else:
                return _whole(self._root)
            for entry in _neighbours(self._root, first, last):
                rests = shown.setdefault(entry.key, [])
                if first <= entry.key <= last:
                    rests.append(path[1:] if path else None)
        return _witness(self._root, sorted(shown), shown, keys)


def _demand_insertable(key: bytes, subtree: Subtree) -> None:
    if len(key) > MAX_LABEL_BYTES:
        raise MisuseError("a label is too long", reason=Reason.TOO_LARGE, limit=MAX_LABEL_BYTES, received=len(key))
    if isinstance(subtree, MerkleMap) and _levels(subtree._root) >= _MAX_LEVELS:
        raise MisuseError("maps are nested too deeply", reason=Reason.TOO_DEEP, limit=_MAX_LEVELS)


def _witness(
    entry: _Entry | None,
    labels: list[bytes],
    shown: _Shown,
    keys: tuple[bytes, bytes] | None,
) -> HashTree:
    """The tree of an entry and its sides, in which ``labels``, sorted keys of ``shown``, can be seen."""
    if entry is None:
        return EMPTY
    if not labels:
        return Pruned(entry.digest())
    at = bisect_left(labels, entry.key)
    rests = shown.get(entry.key)
    if rests is None:
        after = labels[at:]
        tree: HashTree = Pruned(entry.labelled())
    else:
        after = labels[at + 1 :]
        tree = Labeled(entry.key, _below(entry.value, rests, keys))
    if entry.right is not None:
        tree = _join(tree, _witness(entry.right, after, shown, keys))
    if entry.left is not None:
        tree = _join(_witness(entry.left, labels[:at], shown, keys), tree)
    return tree


def _below(value: Subtree, rests: list[_Rest], keys: tuple[bytes, bytes] | None) -> HashTree:
    if isinstance(value, MerkleMap):
        if not rests:
            return Pruned(value.digest()) if value else EMPTY
        paths = [rest for rest in rests if rest is not None]
        return value._show(paths, keys) if len(paths) == len(rests) else _whole(value._root)
    return Leaf(value) if rests else Pruned(_leaf_digest(value))


def _join(left: HashTree, right: HashTree) -> HashTree:
    fork = Fork(left, right)
    return Pruned(fork.digest) if isinstance(left, Pruned) and isinstance(right, Pruned) else fork


def _whole(entry: _Entry | None) -> HashTree:
    if entry is None:
        return EMPTY
    value = entry.value
    tree: HashTree = Labeled(entry.key, _whole(value._root) if isinstance(value, MerkleMap) else Leaf(value))
    if entry.right is not None:
        tree = Fork(tree, _whole(entry.right))
    if entry.left is not None:
        tree = Fork(_whole(entry.left), tree)
    return tree


def _leaf_digest(value: bytes) -> bytes:
    return sha256(b"\x10ic-hashtree-leaf" + value).digest()


def _height(entry: _Entry | None) -> int:
    return 0 if entry is None else entry.height


def _size(entry: _Entry | None) -> int:
    return 0 if entry is None else entry.size


def _levels(entry: _Entry | None) -> int:
    return 0 if entry is None else entry.levels


def _entries(root: _Entry | None) -> Iterator[_Entry]:
    """All entries, in order."""
    above: list[_Entry] = []
    entry = root
    while above or entry is not None:
        while entry is not None:
            above.append(entry)
            entry = entry.left
        found = above.pop()
        yield found
        entry = found.right


def _neighbours(root: _Entry | None, first: bytes, last: bytes) -> list[_Entry]:
    """The entries from ``first`` to ``last``, and where one of the two is no key, the entry next to it outside."""
    found: list[_Entry] = []
    before: _Entry | None = None
    after: _Entry | None = None
    above: list[_Entry] = []
    entry = root
    while entry is not None:  # to the first key, or where it would be
        if entry.key < first:
            before = entry
            entry = entry.right
        else:
            above.append(entry)
            entry = entry.left
    while above:  # from there in order, until the last key is passed
        entry = above.pop()
        if entry.key > last:
            after = entry
            break
        found.append(entry)
        entry = entry.right
        while entry is not None:
            above.append(entry)
            entry = entry.left
    if before is not None and not (found and found[0].key == first):
        found.insert(0, before)
    if after is not None and not (found and found[-1].key == last):
        found.append(after)
    return found


def _insert(entry: _Entry | None, key: bytes, value: Subtree) -> _Entry:
    if entry is None:
        return _Entry(None, key, value, None)
    if key < entry.key:
        return _balanced(_insert(entry.left, key, value), entry, entry.right)
    if key > entry.key:
        return _balanced(entry.left, entry, _insert(entry.right, key, value))
    return _Entry(entry.left, key, value, entry.right)


def _remove(entry: _Entry | None, key: bytes) -> _Entry | None:
    if entry is None:
        return None
    if key < entry.key:
        return _balanced(_remove(entry.left, key), entry, entry.right)
    if key > entry.key:
        return _balanced(entry.left, entry, _remove(entry.right, key))
    if entry.right is None:
        return entry.left
    successor, rest = _without_first(entry.right)
    return _balanced(entry.left, successor, rest)


def _without_first(entry: _Entry) -> tuple[_Entry, _Entry | None]:
    """The first entry, and what remains without it."""
    if entry.left is None:
        return entry, entry.right
    first, rest = _without_first(entry.left)
    return first, _balanced(rest, entry, entry.right)


def _balanced(left: _Entry | None, middle: _Entry, right: _Entry | None) -> _Entry:
    """``middle`` between two sides whose heights differ by 2 at most, rotated until they differ by 1 at most."""
    difference = _height(left) - _height(right)
    if left is not None and difference > 1:
        if left.right is not None and _height(left.right) > _height(left.left):
            inner = left.right
            return _copy(_copy(left.left, left, inner.left), inner, _copy(inner.right, middle, right))
        return _copy(left.left, left, _copy(left.right, middle, right))
    if right is not None and difference < -1:
        if right.left is not None and _height(right.left) > _height(right.right):
            inner = right.left
            return _copy(_copy(left, middle, inner.left), inner, _copy(inner.right, right, right.right))
        return _copy(_copy(left, middle, right.left), right, right.right)
    return _copy(left, middle, right)


def _copy(left: _Entry | None, middle: _Entry, right: _Entry | None) -> _Entry:
    """``middle`` between other sides; the digest of the entry alone stays known."""
    new = _Entry(left, middle.key, middle.value, right)
    new._labelled = middle._labelled
    return new


def _built(items: list[tuple[bytes, Subtree]], start: int, stop: int) -> _Entry | None:
    if start >= stop:
        return None
    middle = (start + stop) // 2
    key, value = items[middle]
    return _Entry(_built(items, start, middle), key, value, _built(items, middle + 1, stop))
