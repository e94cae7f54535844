"""A witness that is shown in parts, quickly: each client of a poll gets the path of its own messages only.

Pruning a tree anew for every client costs more than everything else that the gateway does for a message. Here the tree
is walked once; after that a part of it is put together from encoded pieces, in a few steps. What it gives is the
encoding of what :func:`icws_secure.wire.hashtree.prune` gives for the same paths.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode_head
from icws_secure.wire.hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, Pruned

__all__ = ["NOTHING", "PrunedWitness"]

_BYTES: Final = 2  # CBOR's major type of byte strings
_FORK: Final = b"\x83\x01"
_LABELED: Final = b"\x83\x02"
_LEAF: Final = b"\x82\x03"
_PRUNED: Final = b"\x82\x04\x58\x20"
_EMPTY: Final = b"\x81\x00"
_MOST_JOINED: Final = 4_096  # bytes of head and tail up to which pieces are joined; keeps the work linear in the tree

Path = tuple[bytes, ...]


class _Piece:
    """A node, or a run of nodes on the way to one, with what encoding a part of it needs.

    Attributes:
        first: index of its first leaf.
        hidden: its encoding when nothing of it is shown.
        head: its encoding otherwise, up to its children.
        tail: what follows its children.
        children: one, or the two sides of a fork that both have leaves; a leaf has none.
    """

    __slots__ = ("children", "first", "has_leaf", "head", "hidden", "tail")

    def __init__(
        self, first: int, hidden: bytes, head: bytes, tail: bytes = b"", children: tuple[_Piece, ...] = ()
    ) -> None:
        self.first = first
        self.hidden = hidden
        self.head = head
        self.tail = tail
        self.children = children
        self.has_leaf = head is not hidden


class PrunedWitness:
    """The parts of a witness.

    Args:
        tree: well formed, and of a root hash that was compared.
    """

    __slots__ = ("_indexes", "_root", "_values")

    def __init__(self, tree: HashTree) -> None:
        self._indexes: dict[Path, int] = {}
        self._values: list[bytes] = []
        self._root = self._walk(tree)

    def value(self, path: Path) -> bytes | None:
        """The leaf at a path, None if the witness shows none there."""
        index = self._indexes.get(path)
        return None if index is None else self._values[index]

    def show(self, paths: Iterable[Path]) -> bytes:
        """The encoded tree with the leaves at these paths and digests for the rest. Paths without a leaf are left
        out."""
        indexes = self._indexes
        return self._encode(sorted(indexes[path] for path in paths if path in indexes))

    def _encode(self, wanted: Sequence[int]) -> bytes:
        out = [SELF_DESCRIBE_TAG]
        ahead: list[bytes | tuple[_Piece, int, int]] = [(self._root, 0, len(wanted))]
        while ahead:
            step = ahead.pop()
            if isinstance(step, bytes):
                out.append(step)
                continue
            piece, start, stop = step
            if start == stop:
                out.append(piece.hidden)
                continue
            out.append(piece.head)
            children = piece.children
            if children:
                ahead.append(piece.tail)
                if len(children) == 2:
                    middle = bisect_left(wanted, children[1].first, start, stop)
                    ahead.append((children[1], middle, stop))
                    stop = middle
                ahead.append((children[0], start, stop))
        return b"".join(out)

    def _walk(self, tree: HashTree) -> _Piece:
        """Numbers the leaves from left to right and makes the pieces from the leaves up."""
        done: list[_Piece] = []
        # each fork and label comes twice: first its children are put ahead of it, then they are done
        ahead: list[tuple[HashTree, Path, bool]] = [(tree, (), False)]
        while ahead:
            node, path, below_done = ahead.pop()
            if isinstance(node, Fork):
                if below_done:
                    right = done.pop()
                    left = done.pop()
                    done.append(_fork(node, left, right))
                else:
                    ahead += ((node, path, True), (node.right, path, False), (node.left, path, False))
            elif isinstance(node, Labeled):
                if below_done:
                    head = _LABELED + encode_head(_BYTES, len(node.label)) + node.label
                    done.append(_around(_PRUNED + node.digest, head, done.pop(), b""))
                else:
                    ahead += ((node, path, True), (node.tree, (*path, node.label), False))
            elif isinstance(node, Leaf):
                done.append(self._leaf(node, path))
            else:
                hidden = _PRUNED + node.digest if isinstance(node, Pruned) else _EMPTY
                done.append(_Piece(len(self._values), hidden, hidden))
        return done[0]

    def _leaf(self, node: Leaf, path: Path) -> _Piece:
        index = len(self._values)
        self._indexes[path] = index
        self._values.append(node.value)
        return _Piece(index, _PRUNED + node.digest, _LEAF + encode_head(_BYTES, len(node.value)) + node.value)


def _fork(node: Fork, left: _Piece, right: _Piece) -> _Piece:
    hidden = _PRUNED + node.digest
    if not right.has_leaf:
        return _around(hidden, _FORK, left, right.hidden)
    if not left.has_leaf:
        return _around(hidden, _FORK + left.hidden, right, b"")
    return _Piece(left.first, hidden, _FORK, b"", (left, right))


def _around(hidden: bytes, head: bytes, below: _Piece, tail: bytes) -> _Piece:
    """What encloses one piece, joined with it unless that gets long."""
    if not below.has_leaf:
        return _Piece(below.first, hidden, hidden)
    if len(head) + len(below.head) + len(below.tail) + len(tail) > _MOST_JOINED:
        return _Piece(below.first, hidden, head, tail, (below,))
    if not below.children:
        return _Piece(below.first, hidden, head + below.head + tail)
    return _Piece(below.first, hidden, head + below.head, below.tail + tail, below.children)


NOTHING: Final = PrunedWitness(EMPTY)
"""The witness of an answer without messages."""
