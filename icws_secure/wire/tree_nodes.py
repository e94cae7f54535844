"""The nodes of a hash tree, and its levels.

Every node knows its digest from the moment it is made, so a tree cannot change under its root hash. Nothing
recurses: a tree may be 1024 levels of nodes deep, and is hostile until its root hash is compared with a signed one.

A *level* is what remains of a subtree after its forks are flattened and empty nodes dropped. In a well-formed tree
the labels of each level strictly increase and a leaf is alone in its level. Only then has a path one reading, so a
level that is not so is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import ClassVar, Final, TypeAlias

from ..errors import CertificateError, DecodeError, Reason

__all__ = ["EMPTY", "Empty", "Fork", "HashTree", "Labeled", "Leaf", "Level", "Pruned", "level_of"]

DIGEST_BYTES: Final = 32
_FORK: Final = b"\x10ic-hashtree-fork"
_LABELED: Final = b"\x13ic-hashtree-labeled"
_LEAF: Final = b"\x10ic-hashtree-leaf"
_EMPTY_DIGEST: Final = sha256(b"\x11ic-hashtree-empty").digest()


class _Node:
    """What all nodes share: comparison and printing that do not recurse."""

    __slots__ = ()
    digest: bytes

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Node):
            return NotImplemented
        pairs: list[tuple[_Node, _Node]] = [(self, other)]
        while pairs:
            a, b = pairs.pop()
            if a is b:
                continue
            if type(a) is not type(b) or a.digest != b.digest:
                return False
            if isinstance(a, Fork) and isinstance(b, Fork):
                pairs.append((a.left, b.left))
                pairs.append((a.right, b.right))
            elif isinstance(a, Labeled) and isinstance(b, Labeled):
                pairs.append((a.tree, b.tree))
        return True

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.digest.hex()[:16]}>"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Empty(_Node):
    """No content; use :data:`EMPTY`.

    Attributes:
        digest: 32 bytes.
        width: how many nodes this is in its level.
    """

    digest: bytes = field(default=_EMPTY_DIGEST, init=False)
    width: ClassVar[int] = 0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Pruned(_Node):
    """A subtree of which only the digest is shown.

    Attributes:
        digest: 32 bytes.
        width: how many nodes this is in its level, as far as one can see.

    Raises:
        DecodeError: the digest has another length. Labels and digests are hashed side by side without lengths, so a
            longer one could take over the end of a label.
    """

    digest: bytes
    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        # [ICWS-LIB-005]
        if len(self.digest) != DIGEST_BYTES:
            raise DecodeError(
                "a pruned node is not a digest",
                reason=Reason.MALFORMED,
                requirement="ICWS-LIB-005",
                expected=DIGEST_BYTES,
                received=len(self.digest),
            )


# Every witness has these nodes by the hundred. Their initialisers fill the slots themselves: what those of a frozen
# dataclass do takes as long as the hash.


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Leaf(_Node):
    """A value.

    Attributes:
        value: any bytes.
        digest: 32 bytes.
        width: how many nodes this is in its level.
    """

    value: bytes
    digest: bytes = field(init=False)
    width: ClassVar[int] = 1

    def __init__(self, value: bytes) -> None:
        _set_value(self, value)
        _set_leaf_digest(self, sha256(_LEAF + value).digest())


_set_value: Callable[[Leaf, bytes], None] = vars(Leaf)["value"].__set__
_set_leaf_digest: Callable[[Leaf, bytes], None] = vars(Leaf)["digest"].__set__


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Labeled(_Node):
    """A subtree with a name.

    Attributes:
        label: the name, any bytes.
        tree: the subtree.
        digest: 32 bytes.
        width: how many nodes this is in its level.
    """

    label: bytes
    tree: HashTree
    digest: bytes = field(init=False)
    width: ClassVar[int] = 1

    def __init__(self, label: bytes, tree: HashTree) -> None:
        _set_label(self, label)
        _set_tree(self, tree)
        _set_labeled_digest(self, sha256(_LABELED + label + tree.digest).digest())


_set_label: Callable[[Labeled, bytes], None] = vars(Labeled)["label"].__set__
_set_tree: Callable[[Labeled, HashTree], None] = vars(Labeled)["tree"].__set__
_set_labeled_digest: Callable[[Labeled, bytes], None] = vars(Labeled)["digest"].__set__


@dataclass(frozen=True, slots=True, eq=False, repr=False, init=False)
class Fork(_Node):
    """Two subtrees, side by side in one level.

    Attributes:
        left: what comes first.
        right: what comes after it.
        digest: 32 bytes.
        width: how many nodes both are in their level.
    """

    left: HashTree
    right: HashTree
    digest: bytes = field(init=False)
    width: int = field(init=False)
    _level: Level | None = field(init=False)  # filled by the first lookup

    def __init__(self, left: HashTree, right: HashTree) -> None:
        _set_left(self, left)
        _set_right(self, right)
        _set_fork_digest(self, sha256(_FORK + left.digest + right.digest).digest())
        _set_width(self, left.width + right.width)
        _set_level(self, None)


_set_left: Callable[[Fork, HashTree], None] = vars(Fork)["left"].__set__
_set_right: Callable[[Fork, HashTree], None] = vars(Fork)["right"].__set__
_set_fork_digest: Callable[[Fork, bytes], None] = vars(Fork)["digest"].__set__
_set_width: Callable[[Fork, int], None] = vars(Fork)["width"].__set__
_set_level: Callable[[Fork, Level | None], None] = vars(Fork)["_level"].__set__


HashTree: TypeAlias = Empty | Fork | Labeled | Leaf | Pruned
"""Any node, which is a tree."""

EMPTY: Final = Empty()
"""The tree without content."""


@dataclass(frozen=True, slots=True)
class Level:
    """The nodes of one level, indexed.

    Attributes:
        items: leaves, labelled and pruned nodes from left to right.
        labels: labels of the labelled ones, strictly increasing.
        positions: where in ``items`` each of them stands.
    """

    items: tuple[Leaf | Labeled | Pruned, ...]
    labels: list[bytes]
    positions: list[int]


def level_of(tree: HashTree) -> Level:
    """The level that a tree starts; kept for the next time where there is something to keep.

    Raises:
        CertificateError: labels do not strictly increase, or a leaf is beside other nodes (``TreeNotWellFormed``).
    """
    if isinstance(tree, Fork) and tree._level is not None:
        return tree._level
    items: list[Leaf | Labeled | Pruned] = []
    labels: list[bytes] = []
    positions: list[int] = []
    ahead: list[HashTree] = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, Fork):
            ahead += (node.right, node.left)
        elif not isinstance(node, Empty):
            if isinstance(node, Labeled):
                # [ICWS-LIB-008]
                if labels and labels[-1] >= node.label:
                    raise _not_well_formed("labels are out of order, or one stands twice")
                labels.append(node.label)
                positions.append(len(items))
            items.append(node)
    # [ICWS-LIB-008]
    if len(items) > 1 and any(isinstance(item, Leaf) for item in items):
        raise _not_well_formed("a leaf stands beside other nodes")
    level = Level(tuple(items), labels, positions)
    if isinstance(tree, Fork):
        _set_level(tree, level)
    return level


def _not_well_formed(why: str) -> CertificateError:
    return CertificateError(
        f"a hash tree is not well formed: {why}", reason=Reason.TREE_NOT_WELL_FORMED, requirement="ICWS-LIB-008"
    )
