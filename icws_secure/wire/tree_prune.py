"""Showing less of a hash tree, or putting two partial views of one tree together. The root hash stays the same."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias, cast

from ..errors import CertificateError, Reason
from .tree_nodes import Empty, Fork, HashTree, Labeled, Pruned, level_of

__all__ = ["merge", "prune"]

_Rest: TypeAlias = Sequence[bytes]  # what is left of a path
_Shown: TypeAlias = list[tuple[int, list[_Rest]]]  # positions in a level to show, each with the paths that go on there

_DESCEND: Final = 0  # a tree, and the paths to keep in it
_SELECT: Final = 1  # a part of a level, and the positions to keep in it
_JOIN: Final = 2  # two results into a fork
_NAME: Final = 3  # one result under a label


def prune(tree: HashTree, paths: Iterable[Sequence[bytes]]) -> HashTree:
    """Keep what the paths lead to, whole, and what proves that a path is absent; replace the rest by digests.

    Looking up a kept path in the result gives what it gave in ``tree``.

    Raises:
        CertificateError: a level on the way is not well formed.
    """
    done: list[HashTree] = []
    work: list[tuple[int, HashTree, object]] = [(_DESCEND, tree, list(paths))]
    while work:
        step, node, wanted = work.pop()
        if step == _DESCEND:
            rests = cast("list[_Rest]", wanted)
            # A level of nothing but empty nodes is shown as it is: that proves that there are no labels.
            if any(len(rest) == 0 for rest in rests) or (rests and node.width == 0):
                done.append(node)
            else:
                work.append((_SELECT, node, _positions(node, rests)))
        elif step == _SELECT:
            shown = cast(_Shown, wanted)
            if not shown:
                done.append(_hidden(node))
            elif isinstance(node, Fork):
                middle = node.left.width
                left = [entry for entry in shown if entry[0] < middle]
                right = [(position - middle, rests) for position, rests in shown[len(left) :]]
                work += ((_JOIN, node, None), (_SELECT, node.right, right), (_SELECT, node.left, left))
            elif isinstance(node, Labeled):
                work.append((_NAME, node, None))
                work.append((_DESCEND, node.tree, shown[0][1]) if shown[0][1] else (_SELECT, node.tree, []))
            else:
                done.append(node)
        elif step == _JOIN:
            second = done.pop()
            first = done.pop()
            hidden = isinstance(first, Pruned | Empty) and isinstance(second, Pruned | Empty)
            done.append(Pruned(node.digest) if hidden else Fork(first, second))
        else:
            done.append(Labeled(cast(Labeled, node).label, done.pop()))
    return done[0]


def merge(a: HashTree, b: HashTree) -> HashTree:
    """Show what either of two views of one tree shows.

    Raises:
        CertificateError: they are not views of one tree (``CertifiedDataMismatch``).
    """
    done: list[HashTree] = []
    work: list[tuple[Literal[0, 2, 3], HashTree, HashTree]] = [(_DESCEND, a, b)]
    while work:
        step, first, second = work.pop()
        if step == _JOIN:
            right = done.pop()
            done.append(Fork(done.pop(), right))
        elif step == _NAME:
            done.append(Labeled(cast(Labeled, first).label, done.pop()))
        elif first.digest != second.digest:
            raise CertificateError(
                "two hash trees have other root hashes",
                reason=Reason.CERTIFIED_DATA_MISMATCH,
                requirement="ICWS-LIB-006",
            )
        elif first is second or isinstance(second, Pruned):
            done.append(first)
        elif isinstance(first, Fork) and isinstance(second, Fork):
            work += (
                (_JOIN, first, second),
                (_DESCEND, first.right, second.right),
                (_DESCEND, first.left, second.left),
            )
        elif isinstance(first, Labeled) and isinstance(second, Labeled):
            work += ((_NAME, first, second), (_DESCEND, first.tree, second.tree))
        else:
            # Equal digests: only a pruned node can be of another kind than what it stands for.
            done.append(second)
    return done[0]


def _hidden(node: HashTree) -> HashTree:
    return node if isinstance(node, Pruned | Empty) else Pruned(node.digest)


def _positions(tree: HashTree, rests: list[_Rest]) -> _Shown:
    """Which nodes of the level of ``tree`` to show for these paths, none of which is used up."""
    level = level_of(tree)
    shown: dict[int, list[_Rest]] = {}
    for rest in rests:
        at = bisect_left(level.labels, rest[0])
        if at < len(level.labels) and level.labels[at] == rest[0]:
            shown.setdefault(level.positions[at], []).append(rest[1:])
            continue
        if at > 0:
            shown.setdefault(level.positions[at - 1], [])
        if at < len(level.labels):
            shown.setdefault(level.positions[at], [])
        if not level.labels and len(level.items) == 1:
            shown.setdefault(0, [])  # a lone leaf proves that there are no labels
    return sorted(shown.items(), key=lambda entry: entry[0])
