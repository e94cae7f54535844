"""Hash trees for the tests of this folder: drawn at random, well formed, and read by code that is as plain as the
specification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import pairwise

import pytest
from hypothesis import strategies as st

from icws_secure.wire.hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, Pruned

LABELS = st.binary(max_size=2) | st.sampled_from([b"time", b"websocket"])

ENDS: list[HashTree] = [EMPTY, Leaf(b""), Leaf(b"value"), Pruned(bytes(32)), Fork(EMPTY, Leaf(b"x"))]
FILLINGS: list[HashTree] = [EMPTY, Pruned(bytes(32)), Pruned(sha256(b"hidden").digest())]


@st.composite
def trees(draw: st.DrawFn, depth: int = 3) -> HashTree:
    """A well-formed tree, with pruned and empty nodes here and there."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from(ENDS))
    labels = sorted(draw(st.sets(LABELS, max_size=5)))
    nodes: list[HashTree] = [Labeled(label, draw(trees(depth=depth - 1))) for label in labels]
    for at in draw(st.lists(st.integers(0, 5), max_size=2)):
        nodes.insert(at, draw(st.sampled_from(FILLINGS)))
    while len(nodes) > 1:
        at = draw(st.integers(0, len(nodes) - 2))
        nodes[at : at + 2] = [Fork(nodes[at], nodes[at + 1])]
    return nodes[0] if nodes else EMPTY


@pytest.fixture(scope="session")
def plain_digest() -> Callable[[HashTree], bytes]:
    def digest(tree: HashTree) -> bytes:
        def separated(name: str, content: bytes) -> bytes:
            return sha256(bytes((len(name),)) + name.encode() + content).digest()

        if isinstance(tree, Fork):
            return separated("ic-hashtree-fork", digest(tree.left) + digest(tree.right))
        if isinstance(tree, Labeled):
            return separated("ic-hashtree-labeled", tree.label + digest(tree.tree))
        if isinstance(tree, Leaf):
            return separated("ic-hashtree-leaf", tree.value)
        return tree.digest if isinstance(tree, Pruned) else separated("ic-hashtree-empty", b"")

    return digest


@pytest.fixture(scope="session")
def plain_lookup() -> Callable[[HashTree, Sequence[bytes]], bytes | str]:
    """The value at a path, or the name of the miss."""

    def flatten(tree: HashTree) -> list[HashTree]:
        if isinstance(tree, Fork):
            return flatten(tree.left) + flatten(tree.right)
        return [] if tree is EMPTY else [tree]

    def find(label: bytes, nodes: list[HashTree]) -> HashTree | str:
        for node in nodes:
            if isinstance(node, Labeled) and node.label == label:
                return node.tree
        for one, two in pairwise(nodes):
            if isinstance(one, Labeled) and isinstance(two, Labeled) and one.label < label < two.label:
                return "absent"
        if not nodes or (len(nodes) == 1 and isinstance(nodes[0], Leaf)):
            return "absent"
        if isinstance(nodes[0], Labeled) and label < nodes[0].label:
            return "absent"
        if isinstance(nodes[-1], Labeled) and nodes[-1].label < label:
            return "absent"
        return "unknown"

    def lookup(tree: HashTree, path: Sequence[bytes]) -> bytes | str:
        if path:
            below = find(path[0], flatten(tree))
            return below if isinstance(below, str) else lookup(below, path[1:])
        if isinstance(tree, Leaf):
            return tree.value
        if tree is EMPTY:
            return "absent"
        return "unknown" if isinstance(tree, Pruned) else "error"

    return lookup


@pytest.fixture(scope="session")
def well_formed_trees() -> st.SearchStrategy[HashTree]:
    return trees()
