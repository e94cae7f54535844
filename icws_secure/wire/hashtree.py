"""Hash trees as a verifier reads them (interface specification, "Certification"): what a path leads to.

A lookup has four answers, and the difference between two of them matters: ``ABSENT`` is proof that nothing is there,
``UNKNOWN`` says that whoever made the tree left out what would tell. Look up only after the root hash was compared
with a signed one, and call :func:`check_well_formed` first on a tree that does not come from the Internet Computer
itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, Literal, TypeAlias

from ..errors import CertificateError, Reason
from .tree_codec import decode_tree, encode_tree, parse_tree, tree_from_value, tree_to_value
from .tree_nodes import EMPTY, Empty, Fork, HashTree, Labeled, Leaf, Pruned, level_of
from .tree_prune import merge, prune

__all__ = [
    "ABSENT",
    "EMPTY",
    "ERROR",
    "UNKNOWN",
    "Empty",
    "Fork",
    "Found",
    "FoundSubtree",
    "HashTree",
    "Labeled",
    "Leaf",
    "LookupResult",
    "Miss",
    "Pruned",
    "SubtreeResult",
    "check_well_formed",
    "decode_tree",
    "digest",
    "encode_tree",
    "find_subtree",
    "list_labels",
    "lookup",
    "merge",
    "parse_tree",
    "prune",
    "tree_from_value",
    "tree_to_value",
]


class Miss(Enum):
    """Why a path leads to no value."""

    ABSENT = "absent"
    UNKNOWN = "unknown"
    ERROR = "error"


ABSENT: Final = Miss.ABSENT
"""The tree proves that nothing is at the path."""
UNKNOWN: Final = Miss.UNKNOWN
"""The tree does not show whether something is at the path."""
ERROR: Final = Miss.ERROR
"""There is more than a value at the path: a labelled subtree or a fork."""


@dataclass(frozen=True, slots=True)
class Found:
    """The path leads to a leaf.

    Attributes:
        value: what the leaf holds.
    """

    value: bytes


@dataclass(frozen=True, slots=True)
class FoundSubtree:
    """The labels of the path are all there.

    Attributes:
        tree: what is below them; it may be empty or pruned.
    """

    tree: HashTree


LookupResult: TypeAlias = Found | Miss
"""What :func:`lookup` returns; compare misses with ``is``."""

SubtreeResult: TypeAlias = FoundSubtree | Literal[Miss.ABSENT, Miss.UNKNOWN]
"""What :func:`find_subtree` returns; compare misses with ``is``."""


def digest(tree: HashTree) -> bytes:
    """The root hash of a tree, 32 bytes."""
    return tree.digest


def lookup(tree: HashTree, path: Sequence[bytes]) -> LookupResult:
    """Look up the value at a path.

    Args:
        tree: a tree whose root hash was verified.
        path: labels from the root; none stands for the root itself.

    Returns:
        ``Found`` for a leaf; ``ABSENT`` if the tree proves that the path leads nowhere or to an empty node;
        ``UNKNOWN`` if something that was pruned could be there; ``ERROR`` for a fork or a labelled node.

    Raises:
        CertificateError: a level on the way is not well formed.
    """
    # [ICWS-LIB-007]
    for label in path:
        below = _find_label(tree, label)
        if isinstance(below, Miss):
            return below
        tree = below.tree
    if isinstance(tree, Leaf):
        return Found(tree.value)
    if isinstance(tree, Empty):
        return ABSENT
    return UNKNOWN if isinstance(tree, Pruned) else ERROR


def find_subtree(tree: HashTree, path: Sequence[bytes]) -> SubtreeResult:
    """Look up what is below a path, whatever it is.

    Returns:
        ``FoundSubtree`` if every label of the path is there, ``ABSENT`` or ``UNKNOWN`` as :func:`lookup` does
        otherwise.

    Raises:
        CertificateError: a level on the way is not well formed.
    """
    for label in path:
        below = _find_label(tree, label)
        if isinstance(below, Miss):
            return below
        tree = below.tree
    return FoundSubtree(tree)


def list_labels(tree: HashTree, path: Sequence[bytes] = ()) -> tuple[bytes, ...]:
    """The labels that can be seen directly below a path, in order; pruned nodes may hide others.

    Raises:
        CertificateError: the path is absent or unknown (``PathAbsent``, ``PathUnknown``), or a level is not well
            formed.
    """
    found = find_subtree(tree, path)
    if not isinstance(found, FoundSubtree):
        reason = Reason.PATH_ABSENT if found is ABSENT else Reason.PATH_UNKNOWN
        raise CertificateError("a path is not in the hash tree", reason=reason, requirement="ICWS-LIB-007")
    return tuple(level_of(found.tree).labels)


def check_well_formed(tree: HashTree) -> None:
    """Check every level of a tree that is in sight.

    Raises:
        CertificateError: labels of a level do not strictly increase, or a leaf is beside other nodes
            (``TreeNotWellFormed``).
    """
    ahead = [tree]
    while ahead:
        for item in level_of(ahead.pop()).items:
            # a node without children is well formed by itself
            if isinstance(item, Labeled) and isinstance(item.tree, Fork | Labeled):
                ahead.append(item.tree)


def _find_label(tree: HashTree, label: bytes) -> Labeled | Literal[Miss.ABSENT, Miss.UNKNOWN]:
    """Find a label in the level of ``tree``."""
    if isinstance(tree, Labeled):
        return tree if tree.label == label else Miss.ABSENT
    if isinstance(tree, Pruned):
        return Miss.UNKNOWN
    if not isinstance(tree, Fork):
        return Miss.ABSENT
    level = level_of(tree)
    at = bisect_left(level.labels, label)
    if at < len(level.labels) and level.labels[at] == label:
        item = level.items[level.positions[at]]
        if isinstance(item, Labeled):
            return item
    # The label would stand between these two positions. Nothing but a pruned node can hide it there.
    before = level.positions[at - 1] if at > 0 else -1
    after = level.positions[at] if at < len(level.labels) else len(level.items)
    hidden = any(isinstance(item, Pruned) for item in level.items[before + 1 : after])
    return Miss.UNKNOWN if hidden else Miss.ABSENT
