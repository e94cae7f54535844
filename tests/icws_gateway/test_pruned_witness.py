"""Parts of a witness are what pruning it gives."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_gateway.pruned_witness import NOTHING, PrunedWitness
from icws_secure.errors import CertificateError, DecodeError
from icws_secure.wire.hashtree import (
    EMPTY,
    Fork,
    Found,
    HashTree,
    Labeled,
    Leaf,
    Pruned,
    check_well_formed,
    decode_tree,
    encode_tree,
    list_labels,
    lookup,
    prune,
)
from icws_secure.wire.merkle_map import MerkleMap

pytestmark = pytest.mark.req("ICWS-GWY-008")


def witness_of(total: int, shown: range) -> tuple[MerkleMap, list[tuple[bytes, bytes]]]:
    leaves = {b"key %05d" % n: b"leaf %d" % n for n in range(total)}
    tree = MerkleMap.from_items({b"icws": b"epoch", b"websocket": MerkleMap.from_items(leaves)})
    return tree, [(b"websocket", b"key %05d" % n) for n in shown]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_part_is_what_prune_gives(data):
    total = data.draw(st.integers(1, 80))
    first = data.draw(st.integers(0, total - 1))
    tree, paths = witness_of(total, range(first, min(total, first + 50)))
    encoded = encode_tree(tree.witness(paths))
    witness = decode_tree(encoded)
    wanted = data.draw(st.lists(st.sampled_from(paths), min_size=1, unique=True))
    part = PrunedWitness(encoded).show(wanted)
    assert part == encode_tree(prune(witness, wanted))
    assert decode_tree(part).digest == tree.digest()


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_part_of_one_leaf_is_what_prune_gives(data):
    total = data.draw(st.integers(1, 200))
    first = data.draw(st.integers(0, total - 1))
    tree, paths = witness_of(total, range(first, min(total, first + 50)))
    encoded = encode_tree(tree.witness(paths))
    whole, witness = decode_tree(encoded), PrunedWitness(encoded)
    for path in paths:
        assert witness.show((path,)) == encode_tree(prune(whole, [path]))


def test_parts_that_would_be_much_in_all_are_made_one_by_one(monkeypatch):
    tree, paths = witness_of(200, range(50))
    encoded = encode_tree(tree.witness(paths))
    monkeypatch.setattr("icws_gateway.pruned_witness._MOST_ALONE", 1_000)
    witness = PrunedWitness(encoded)
    for path in paths:
        assert witness.show((path,)) == encode_tree(prune(decode_tree(encoded), [path]))
    assert not witness._alone


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_each_leaf_beside_a_common_one_is_what_prune_gives(data):
    total = data.draw(st.integers(1, 80))
    first = data.draw(st.integers(0, total - 1))
    tree, paths = witness_of(total, range(first, min(total, first + 50)))
    paths = [*paths, (b"icws",)]
    encoded = encode_tree(tree.witness(paths))
    whole, witness = decode_tree(encoded), PrunedWitness(encoded)
    common = data.draw(st.sampled_from(paths))
    assert witness.show_each_beside(common) == {path: encode_tree(prune(whole, [common, path])) for path in paths}
    assert witness.show_each_beside((b"websocket", b"no key")) == {}


def test_parts_beside_a_common_leaf_that_would_be_much_in_all_are_made_one_by_one(monkeypatch):
    tree, paths = witness_of(200, range(50))
    witness = PrunedWitness(encode_tree(tree.witness(paths)))
    monkeypatch.setattr("icws_gateway.pruned_witness._MOST_ALONE", 1_000)
    assert witness.show_each_beside(paths[0]) == {}


def test_odd_shapes_are_shown_beside_a_common_leaf():
    deep: HashTree = Labeled(b"m", Leaf(b"v" * 1_000))
    for _ in range(100):
        deep = Fork(Fork(EMPTY, deep), Pruned(bytes(32)))
    tree = Fork(Fork(Labeled(b"a", Leaf(b"x" * 5_000)), EMPTY), Fork(deep, Labeled(b"z", Labeled(b"d", Leaf(b"")))))
    witness, paths = PrunedWitness(encode_tree(tree)), [(b"a",), (b"m",), (b"z", b"d")]
    for common in paths:
        expected = {path: encode_tree(prune(tree, [common, path])) for path in paths}
        assert witness.show_each_beside(common) == expected


def test_part_shows_nothing_but_what_was_asked_for():
    tree, paths = witness_of(60, range(10, 40))
    witness = PrunedWitness(encode_tree(tree.witness([*paths, (b"icws",)])))
    part = decode_tree(witness.show([paths[3], paths[7]]))
    assert list_labels(part, ()) == (b"websocket",)
    assert list_labels(part, (b"websocket",)) == (paths[3][1], paths[7][1])


def test_values_of_messages_are_found_by_key():
    tree, paths = witness_of(20, range(5, 9))
    witness = PrunedWitness(encode_tree(tree.witness(paths)))
    assert witness.messages == {path[1]: (n, b"leaf %d" % (n + 5)) for n, path in enumerate(paths)}
    assert not NOTHING.messages


def test_odd_shapes():
    pruned = Pruned(bytes(32))
    tree = Fork(
        Fork(EMPTY, Fork(EMPTY, Labeled(b"a", Leaf(b"x" * 5_000)))),
        Fork(Labeled(b"b", pruned), Fork(pruned, Labeled(b"c", Labeled(b"d", Leaf(b""))))),
    )
    witness = PrunedWitness(encode_tree(tree))
    for wanted in ([(b"a",)], [(b"c", b"d")], [(b"a",), (b"c", b"d")], []):
        part = decode_tree(witness.show(wanted))
        assert part.digest == tree.digest
        for path in ((b"a",), (b"c", b"d")):
            assert isinstance(lookup(part, path), Found) == (path in wanted)
    assert PrunedWitness(encode_tree(Leaf(b"x"))).show([()]) == encode_tree(Leaf(b"x"))


def test_heads_longer_than_need_be_and_long_labels_are_read_as_the_library_reads_them():
    label = b"/" * 2_000
    tree = Labeled(label, Leaf(b"x"))
    longer = b"\x98\x03\x18\x02" + encode_tree(tree)[5:].replace(b"\x82\x03", b"\x82\x18\x03")
    assert decode_tree(longer) == tree
    witness = PrunedWitness(longer)
    assert witness.show([(label,)]) == encode_tree(tree)


def test_hostile_depth_costs_time_in_proportion_to_size():
    tree = Labeled(b"m", Leaf(b"v" * 1_000))
    for _ in range(1_000):
        tree = Fork(tree, Pruned(bytes(32)))
    encoded = encode_tree(tree)
    started = time.process_time()
    part = PrunedWitness(encoded).show([(b"m",)])
    assert time.process_time() - started < 0.5
    assert part == encode_tree(tree)


TREES = st.recursive(
    st.just(EMPTY) | st.builds(Leaf, st.binary(max_size=3)) | st.builds(Pruned, st.binary(min_size=32, max_size=32)),
    lambda below: st.builds(Fork, below, below) | st.builds(Labeled, st.binary(max_size=2), below),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(TREES)
def test_any_tree_is_judged_as_the_library_judges_it(tree):
    encoded = encode_tree(tree)
    try:
        check_well_formed(tree)
    except CertificateError:
        with pytest.raises(CertificateError, match="TreeNotWellFormed"):
            PrunedWitness(encoded)
    else:
        assert PrunedWitness(encoded).digest == tree.digest
        assert decode_tree(PrunedWitness(encoded).show([])).digest == tree.digest


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_bytes_are_judged_as_the_library_judges_them(data):
    tree, paths = witness_of(30, range(5, 9))
    encoded = encode_tree(tree.witness(paths), self_described=data.draw(st.booleans()))
    at = data.draw(st.integers(0, len(encoded)))
    changed = encoded[:at] + data.draw(st.binary(max_size=3)) + encoded[at + data.draw(st.integers(0, 2)) :]
    try:
        decoded = decode_tree(changed)
        check_well_formed(decoded)
    except (CertificateError, DecodeError) as error:
        with pytest.raises(type(error)):
            PrunedWitness(changed)
    else:
        assert PrunedWitness(changed).digest == decoded.digest


def test_limits_are_those_of_the_library():
    for bomb in (
        b"\x83\x01" * 2_000 + b"\x81\x00" * 2_001,
        b"\x83\x02\x41a" * 2_000 + b"\x81\x00",
        b"\x83\x02\x5a\x00\x01\x00\x01" + bytes(65_537) + b"\x81\x00",
        b"\x82\x03\x5a\xff\xff\xff\xff",
        b"\x83\x01",
        b"",
        b"\x81\x00" * 2,
        b"\x82\x03" + b"\x5a\x00\x11\x00\x00" + bytes(0x110000),
    ):
        with pytest.raises(DecodeError):
            PrunedWitness(bomb)
