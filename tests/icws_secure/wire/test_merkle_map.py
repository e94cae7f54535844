from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import MisuseError
from icws_secure.limits import MAX_LABEL_BYTES
from icws_secure.wire.hashtree import (
    ABSENT,
    EMPTY,
    UNKNOWN,
    Found,
    FoundSubtree,
    HashTree,
    Leaf,
    check_well_formed,
    encode_tree,
    find_subtree,
    list_labels,
    lookup,
    prune,
)
from icws_secure.wire.merkle_map import MerkleMap

KEYS = st.binary(max_size=2)
CHANGES = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=3)), max_size=40)


def key(number: int) -> bytes:
    return b"sqdfl-mr4km_%020d" % number


def grown(count: int) -> MerkleMap:
    tree = MerkleMap()
    for number in range(count):
        tree = tree.insert(key(number), sha256(key(number)).digest())
    return tree


def changed(changes: list[tuple[bytes, bytes | None]]) -> tuple[MerkleMap, dict[bytes, bytes]]:
    tree, model = MerkleMap(), dict[bytes, bytes]()
    for label, value in changes:
        if value is None:
            tree = tree.remove(label)
            model.pop(label, None)
        else:
            tree = tree.insert(label, value)
            model[label] = value
    return tree, model


MESSAGES = grown(200)
ROOT = (
    MerkleMap()
    .insert(b"websocket", MESSAGES)
    .insert(b"icws", MerkleMap().insert(b"epoch", b"\x01"))
    .insert(b"app", b"x")
)


@given(CHANGES)
def test_it_holds_what_was_put_into_it(changes: list[tuple[bytes, bytes | None]]) -> None:
    tree, model = changed(changes)
    assert list(tree.items()) == sorted(model.items())
    assert list(tree) == sorted(model)
    assert len(tree) == len(model)
    assert bool(tree) == bool(model)
    for label in [label for label, _ in changes]:
        assert tree.get(label) == model.get(label)
        assert (label in tree) == (label in model)


@given(CHANGES, st.lists(KEYS.map(lambda label: (b"map", label)), max_size=4))
def test_witness_has_the_root_hash_and_tells_what_is_there(
    plain_digest: Callable[[HashTree], bytes],
    changes: list[tuple[bytes, bytes | None]],
    paths: list[tuple[bytes, bytes]],
) -> None:
    inner, model = changed(changes)
    tree = MerkleMap().insert(b"map", inner).insert(b"zero", b"")
    witness = tree.witness(paths)
    assert plain_digest(witness) == tree.digest()
    check_well_formed(witness)
    for _, label in paths:
        expected = Found(model[label]) if label in model else ABSENT
        assert lookup(witness, (b"map", label)) == expected


@given(CHANGES, KEYS, KEYS)
def test_range_is_shown_without_gaps(changes: list[tuple[bytes, bytes | None]], first: bytes, last: bytes) -> None:
    inner, model = changed(changes)
    tree = MerkleMap().insert(b"map", inner)
    witness = tree.witness_range((b"map",), first, last)
    assert witness.digest == tree.digest()
    check_well_formed(witness)
    for number in range(256):
        for label in (bytes((number,)), bytes((number, 0)), bytes((number, 255))):
            if first <= label <= last:
                expected = Found(model[label]) if label in model else ABSENT
                assert lookup(witness, (b"map", label)) == expected


@given(CHANGES)
def test_old_versions_stay_valid(changes: list[tuple[bytes, bytes | None]]) -> None:
    tree, model = changed(changes)
    before = tree.digest()
    tree.insert(b"another", b"value").remove(next(iter(model), b""))
    assert tree.digest() == before
    assert dict(tree.items()) == model


@given(CHANGES)
def test_root_hash_follows_every_change(changes: list[tuple[bytes, bytes | None]]) -> None:
    tree, model = changed(changes)
    assert tree.insert(b"abc", b"1").digest() != tree.digest()
    assert tree.insert(b"abc", b"1").digest() != tree.insert(b"abc", b"2").digest()
    assert tree.remove(b"abc") is tree
    for label in model:
        assert tree.remove(label).digest() != tree.digest()


@pytest.mark.parametrize("backwards", [False, True])
def test_paths_stay_short_in_whatever_order_labels_come(backwards: bool) -> None:
    tree = MerkleMap()
    numbers = range(4096)
    for number in reversed(numbers) if backwards else numbers:
        tree = tree.insert(key(number), b"")
    # an AVL tree of 4096 entries is at most 17 high; a level costs at most two digests
    assert max(len(encode_tree(tree.witness([(key(number),)]))) for number in numbers) < 17 * 2 * 40 + 100


def test_whole_map_from_items_equals_the_grown_one_in_content() -> None:
    items = dict(MESSAGES.items())
    built = MerkleMap.from_items(items)
    assert dict(built.items()) == items
    assert lookup(built.witness([(key(7),)]), (key(7),)) == Found(sha256(key(7)).digest())
    assert built.digest() == MerkleMap.from_items(dict(reversed(items.items()))).digest()


def test_other_labels_are_hidden() -> None:
    witness = ROOT.witness([(b"websocket", key(100))])
    shown = [number for number in range(200) if isinstance(lookup(witness, (b"websocket", key(number))), Found)]
    assert shown == [100]
    assert lookup(witness, (b"app",)) is UNKNOWN


def test_witness_of_a_range_is_no_larger_than_pruning_makes_it() -> None:
    keys = [(b"websocket", key(number)) for number in range(50, 100)]
    witness = ROOT.witness_range((b"websocket",), key(50), key(99))
    assert witness == ROOT.witness(keys) == prune(ROOT.witness([()]), keys)


def test_range_shows_maps_in_it_whole() -> None:
    tree = MerkleMap().insert(b"a", b"1").insert(b"m", MerkleMap().insert(b"0", b"x").insert(b"zz", b"y"))
    witness = tree.witness_range((), b"l", b"n")
    assert lookup(witness, (b"m", b"0")) == Found(b"x")
    assert lookup(witness, (b"m", b"zz")) == Found(b"y")
    assert not isinstance(lookup(witness, (b"a",)), Found)


def test_range_below_nothing_proves_that_nothing_is_there() -> None:
    assert lookup(ROOT.witness_range((b"nowhere",), b"a", b"z"), (b"nowhere", b"b")) is ABSENT
    assert lookup(ROOT.witness_range((b"app",), b"a", b"z"), (b"app", b"b")) is ABSENT
    assert lookup(MerkleMap().witness_range((), b"a", b"z"), (b"b",)) is ABSENT


def test_maps_and_values_at_the_end_of_a_path_are_shown_whole() -> None:
    witness = ROOT.witness([(b"icws",), (b"app",)])
    assert lookup(witness, (b"icws", b"epoch")) == Found(b"\x01")
    assert lookup(witness, (b"app",)) == Found(b"x")
    assert list_labels(ROOT.witness([()]), [b"websocket"]) == tuple(key(number) for number in range(200))
    assert ROOT.witness([(b"app", b"deeper")]) == ROOT.witness([(b"app",)])


def test_empty_maps() -> None:
    assert MerkleMap().digest() == EMPTY.digest
    assert MerkleMap().witness([]) is EMPTY
    assert MerkleMap().witness([()]) is EMPTY
    tree = MerkleMap().insert(b"a", MerkleMap()).insert(b"b", b"")
    assert find_subtree(tree.witness([(b"a",)]), [b"a"]) == FoundSubtree(EMPTY)
    assert tree.witness([]).digest == tree.digest()
    assert lookup(tree.witness([(b"aa",)]), (b"aa",)) is ABSENT
    assert tree.witness([(b"b",)]) != tree.witness([])
    assert Leaf(b"").digest != EMPTY.digest


def test_value_is_replaced() -> None:
    tree = MESSAGES.insert(key(3), b"other")
    assert len(tree) == len(MESSAGES)
    assert tree.get(key(3)) == b"other"
    assert tree.digest() != MESSAGES.digest()
    assert tree.insert(key(3), sha256(key(3)).digest()).digest() == MESSAGES.digest()


def test_what_a_verifier_would_refuse_is_not_inserted() -> None:
    MerkleMap().insert(bytes(MAX_LABEL_BYTES), b"")
    with pytest.raises(MisuseError):
        MerkleMap().insert(bytes(MAX_LABEL_BYTES + 1), b"")
    with pytest.raises(MisuseError):
        MerkleMap.from_items({bytes(MAX_LABEL_BYTES + 1): b""})
    tree = MerkleMap().insert(b"a", b"")
    for _ in range(15):
        tree = MerkleMap().insert(b"a", tree)
    with pytest.raises(MisuseError):
        MerkleMap().insert(b"a", tree)
    assert repr(MESSAGES) == "<MerkleMap of 200>"
