from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import CertificateError
from icws_secure.wire.hashtree import (
    ABSENT,
    EMPTY,
    Fork,
    Found,
    HashTree,
    Labeled,
    Leaf,
    Pruned,
    check_well_formed,
    encode_tree,
    lookup,
    merge,
    prune,
)

PATHS = st.lists(
    st.lists(st.binary(max_size=2) | st.sampled_from([b"time", b"websocket"]), max_size=3).map(tuple), max_size=3
)


def row(*labels: bytes) -> HashTree:
    """A level of leaves, each with its label as its value."""
    nodes: list[HashTree] = [Labeled(label, Leaf(label)) for label in labels]
    while len(nodes) > 1:
        nodes = [Fork(*nodes[at : at + 2]) if at + 1 < len(nodes) else nodes[at] for at in range(0, len(nodes), 2)]
    return nodes[0]


def hidden(tree: HashTree) -> int:
    """How many subtrees are shown by their hash alone."""
    match tree:
        case Pruned():
            return 1
        case Fork(left, right):
            return hidden(left) + hidden(right)
        case Labeled(_, inner):
            return hidden(inner)
        case _:
            return 0


TREE = Labeled(b"websocket", row(*(bytes((number,)) for number in range(0, 200, 2))))


@given(data=st.data())
def test_kept_paths_read_as_before(data: st.DataObject, well_formed_trees: st.SearchStrategy[HashTree]) -> None:
    tree = data.draw(well_formed_trees)
    paths = data.draw(PATHS)
    pruned = prune(tree, paths)
    assert pruned.digest == tree.digest
    check_well_formed(pruned)
    # a hash may be longer than what it hides: 36 bytes instead of 2 at least
    assert len(encode_tree(pruned)) <= len(encode_tree(tree)) + 34 * hidden(pruned)
    for path in paths:
        assert lookup(pruned, path) == lookup(tree, path)


def test_other_paths_are_hidden() -> None:
    pruned = prune(TREE, [(b"websocket", b"\x08")])
    assert lookup(pruned, (b"websocket", b"\x08")) == Found(b"\x08")
    shown = [
        number for number in range(0, 200, 2) if isinstance(lookup(pruned, (b"websocket", bytes((number,)))), Found)
    ]
    assert shown == [8]


def test_absence_stays_proven_and_values_of_neighbours_are_hidden() -> None:
    pruned = prune(TREE, [(b"websocket", b"\x09")])
    assert lookup(pruned, (b"websocket", b"\x09")) is ABSENT
    assert Leaf(b"\x08").digest in encode_tree(pruned)
    assert not any(isinstance(lookup(pruned, (b"websocket", bytes((number,)))), Found) for number in range(0, 200, 2))


def test_no_path_leaves_the_root_hash() -> None:
    assert prune(TREE, []) == Pruned(TREE.digest)
    assert prune(EMPTY, []) is EMPTY


def test_empty_nodes_that_prove_absence_stay() -> None:
    tree = Labeled(b"a", Fork(EMPTY, Fork(EMPTY, EMPTY)))
    assert lookup(tree, (b"a", b"b")) is ABSENT
    assert lookup(prune(tree, [(b"a", b"b")]), (b"a", b"b")) is ABSENT


def test_path_without_labels_keeps_everything() -> None:
    assert prune(TREE, [()]) is TREE
    assert prune(TREE, [(b"websocket",)]) == TREE


def test_deep_trees_are_not_recursed_into() -> None:
    tree: HashTree = Leaf(b"x")
    for _ in range(5_000):
        tree = Labeled(b"a", tree)
    for _ in range(5_000):
        tree = Fork(EMPTY, tree)
    pruned = prune(tree, [[b"a"] * 5_000])
    assert lookup(pruned, [b"a"] * 5_000) == Found(b"x")
    assert merge(pruned, tree) == tree


def test_tree_that_is_not_well_formed_is_not_pruned() -> None:
    with pytest.raises(CertificateError):
        prune(Fork(Labeled(b"b", EMPTY), Labeled(b"a", EMPTY)), [(b"a",)])


@given(data=st.data())
def test_two_views_together_show_what_either_shows(
    data: st.DataObject, well_formed_trees: st.SearchStrategy[HashTree]
) -> None:
    tree = data.draw(well_formed_trees)
    one, two = data.draw(PATHS), data.draw(PATHS)
    merged = merge(prune(tree, one), prune(tree, two))
    assert merged.digest == tree.digest
    assert merged == merge(prune(tree, two), prune(tree, one))
    for path in one + two:
        assert lookup(merged, path) == lookup(tree, path)
    assert merge(merged, tree) == tree


def test_views_of_other_trees_are_not_merged() -> None:
    with pytest.raises(CertificateError):
        merge(TREE, row(b"a"))
    with pytest.raises(CertificateError):
        merge(Pruned(TREE.digest), Pruned(bytes(32)))
