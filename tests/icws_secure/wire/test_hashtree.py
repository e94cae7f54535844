from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import CertificateError, DecodeError, Reason
from icws_secure.limits import MAX_TREE_DEPTH, MAX_TREE_LABEL_BYTES, MAX_TREE_NODES
from icws_secure.wire.hashtree import (
    ABSENT,
    EMPTY,
    ERROR,
    UNKNOWN,
    Fork,
    Found,
    FoundSubtree,
    HashTree,
    Labeled,
    Leaf,
    Miss,
    Pruned,
    check_well_formed,
    decode_tree,
    digest,
    encode_tree,
    find_subtree,
    list_labels,
    lookup,
    tree_from_value,
    tree_to_value,
)

Paths = st.lists(st.binary(max_size=2) | st.sampled_from([b"time", b"websocket"]), max_size=4)
HASH = bytes(range(32))


def path_of(described: dict[str, Any]) -> list[bytes]:
    return [bytes.fromhex(label) for label in described["path_hex"]]


def refusal_of(read: Callable[[], object]) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        read()
    return caught.value


def named(result: Found | Miss) -> bytes | str:
    return result.value


@pytest.mark.req("ICWS-LIB-005", "ICWS-LIB-007", "ICWS-LIB-008")
@pytest.mark.vectors("hash_tree")
def test_vector(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["tree_hex"])
    if vector.get("expect") == "reject":
        with pytest.raises((CertificateError, DecodeError)):
            check_well_formed(decode_tree(data))
        return
    tree = decode_tree(data)
    assert digest(tree).hex() == vector["root_hash_hex"]
    if vector.get("require_well_formed", True):
        check_well_formed(tree)
    for described in vector.get("lookups", []):
        expected = described["result"]
        assert named(lookup(tree, path_of(described))) == (
            bytes.fromhex(described["value_hex"]) if expected == "found" else expected
        )


class TestLookup:
    LEVEL = Fork(
        Fork(Pruned(HASH), Labeled(b"b", Leaf(b"B"))),
        Fork(Fork(Labeled(b"d", EMPTY), EMPTY), Fork(Pruned(HASH), Labeled(b"f", Labeled(b"x", Pruned(HASH))))),
    )

    @pytest.mark.req("ICWS-LIB-007")
    @pytest.mark.parametrize(
        ("path", "result"),
        [
            ([b"a"], UNKNOWN),  # left of the first label is a pruned node
            ([b"b"], Found(b"B")),
            ([b"b", b"x"], ABSENT),  # a leaf has no labels
            ([b"c"], ABSENT),  # neighbours on either side
            ([b"d"], ABSENT),  # the label is there, and nothing below it
            ([b"d", b"x"], ABSENT),
            ([b"e"], UNKNOWN),  # a pruned node in the gap
            ([b"f"], ERROR),  # more than a value
            ([b"f", b"x"], UNKNOWN),
            ([b"f", b"x", b"y"], UNKNOWN),
            ([b"f", b"w"], ABSENT),
            ([b"g"], ABSENT),  # right of the last label is nothing
            ([], ERROR),
        ],
    )
    def test_four_answers(self, path: list[bytes], result: Found | Miss) -> None:
        assert lookup(self.LEVEL, path) == result

    @pytest.mark.req("ICWS-LIB-007")
    @pytest.mark.parametrize(
        ("tree", "here", "below"),
        [
            (EMPTY, ABSENT, ABSENT),
            (Leaf(b"v"), Found(b"v"), ABSENT),
            (Pruned(HASH), UNKNOWN, UNKNOWN),
            (Labeled(b"a", Leaf(b"")), ERROR, ABSENT),
            (Fork(EMPTY, EMPTY), ERROR, ABSENT),
            (Fork(EMPTY, Leaf(b"v")), ERROR, ABSENT),
            (Fork(Pruned(HASH), EMPTY), ERROR, UNKNOWN),
        ],
    )
    def test_single_nodes(self, tree: HashTree, here: Found | Miss, below: Found | Miss) -> None:
        assert lookup(tree, []) == here
        assert lookup(tree, [b"z"]) == below

    @pytest.mark.req("ICWS-LIB-007")
    @given(data=st.data())
    def test_the_specification_read_literally_agrees(
        self,
        data: st.DataObject,
        well_formed_trees: st.SearchStrategy[HashTree],
        plain_lookup: Callable[[HashTree, Sequence[bytes]], bytes | str],
    ) -> None:
        tree = data.draw(well_formed_trees)
        path = data.draw(Paths)
        assert named(lookup(tree, path)) == plain_lookup(tree, path)

    @pytest.mark.req("ICWS-LIB-007")
    @pytest.mark.parametrize("label", [b"\x01\xff", b"\x02\x00", b"\x01", b"\x02\x00\x00"])
    def test_labels_compare_as_byte_strings(self, label: bytes) -> None:
        # a comparison that asks for any greater byte puts 01ff above 0200
        tree = Fork(Labeled(b"\x01\xff", Leaf(b"1")), Labeled(b"\x02\x00", Leaf(b"2")))
        assert isinstance(lookup(tree, [label]), Found) == (label in (b"\x01\xff", b"\x02\x00"))

    def test_subtree_is_found_whatever_it_is(self) -> None:
        assert find_subtree(self.LEVEL, []) == FoundSubtree(self.LEVEL)
        assert find_subtree(self.LEVEL, [b"d"]) == FoundSubtree(EMPTY)
        assert find_subtree(self.LEVEL, [b"f", b"x"]) == FoundSubtree(Pruned(HASH))
        assert find_subtree(self.LEVEL, [b"c"]) is ABSENT
        assert find_subtree(self.LEVEL, [b"e", b"x"]) is UNKNOWN

    def test_labels_in_sight_are_listed(self) -> None:
        assert list_labels(self.LEVEL) == (b"b", b"d", b"f")
        assert list_labels(self.LEVEL, [b"f"]) == (b"x",)
        assert list_labels(self.LEVEL, [b"b"]) == ()
        for label, reason in ((b"c", Reason.PATH_ABSENT), (b"e", Reason.PATH_UNKNOWN)):
            with pytest.raises(CertificateError) as caught:
                list_labels(self.LEVEL, [label])
            assert caught.value.reason is reason


class TestWellFormedness:
    @pytest.mark.req("ICWS-LIB-008")
    @pytest.mark.parametrize(
        "level",
        [
            Fork(Labeled(b"b", EMPTY), Labeled(b"a", EMPTY)),
            Fork(Labeled(b"a", Leaf(b"1")), Labeled(b"a", Leaf(b"2"))),
            Fork(Labeled(b"b", EMPTY), Fork(Pruned(HASH), Labeled(b"a", EMPTY))),
            Fork(Labeled(b"a", EMPTY), Leaf(b"")),
            Fork(Leaf(b""), Leaf(b"")),
            Fork(Leaf(b""), Fork(EMPTY, Pruned(HASH))),
        ],
        ids=["order", "twice", "order around pruned", "leaf beside label", "two leaves", "leaf beside pruned"],
    )
    def test_levels_with_two_readings_are_refused(self, level: HashTree) -> None:
        for tree, path in (
            (level, []),
            (Labeled(b"x", level), [b"x"]),
            (Fork(Pruned(HASH), Labeled(b"x", level)), [b"x"]),
        ):
            with pytest.raises(CertificateError) as caught:
                check_well_formed(tree)
            assert caught.value.reason is Reason.TREE_NOT_WELL_FORMED
            assert caught.value.requirement == "ICWS-LIB-008"
            with pytest.raises(CertificateError):
                lookup(tree, [*path, b"a"])

    @pytest.mark.req("ICWS-LIB-008")
    @given(data=st.data())
    def test_well_formed_trees_are_accepted(
        self, data: st.DataObject, well_formed_trees: st.SearchStrategy[HashTree]
    ) -> None:
        check_well_formed(data.draw(well_formed_trees))


class TestCoding:
    @given(data=st.data())
    def test_what_was_written_is_read(
        self,
        data: st.DataObject,
        well_formed_trees: st.SearchStrategy[HashTree],
        plain_digest: Callable[[HashTree], bytes],
    ) -> None:
        tree = data.draw(well_formed_trees)
        for again in (
            decode_tree(encode_tree(tree)),
            decode_tree(encode_tree(tree, self_described=False)),
            tree_from_value(tree_to_value(tree)),
        ):
            assert again == tree
            assert hash(again) == hash(tree)
            assert digest(again) == plain_digest(tree)

    def test_trees_differ_by_what_they_show(self) -> None:
        shown = Labeled(b"a", Leaf(b"1"))
        hidden = Labeled(b"a", Pruned(Leaf(b"1").digest))
        assert shown.digest == hidden.digest
        assert shown != hidden
        assert shown != Labeled(b"a", Leaf(b"2"))
        assert shown != object()
        assert repr(shown) == f"<Labeled {shown.digest.hex()[:16]}>"

    @pytest.mark.req("ICWS-LIB-005")
    @pytest.mark.parametrize("length", [0, 31, 33, 64])
    def test_pruned_node_of_another_length_is_refused(self, length: int) -> None:
        value: list[object] = [1, [2, b"a", [4, bytes(length)]], [0]]
        encoded = b"\x83\x01\x83\x02\x41a\x82\x04\x58" + bytes((length,)) + bytes(length) + b"\x81\x00"
        assert refusal_of(lambda: tree_from_value(value)).requirement == "ICWS-LIB-005"
        assert refusal_of(lambda: decode_tree(encoded)).requirement == "ICWS-LIB-005"
        assert refusal_of(lambda: Pruned(bytes(length))).requirement == "ICWS-LIB-005"

    @pytest.mark.req("ICWS-LIB-005")
    def test_label_cannot_move_into_a_pruned_node(self) -> None:
        honest = Labeled(b"ab", Leaf(b"1"))
        forged = b"\x83\x02\x41a\x82\x04\x58\x21" + b"b" + honest.tree.digest
        with pytest.raises(DecodeError):
            decode_tree(forged)

    @pytest.mark.req("ICWS-LIB-006")
    @pytest.mark.parametrize(
        "encoded",
        [
            "",
            "00",
            "80",
            "40",
            "8105",
            "8205" + "40",
            "820040",
            "8101",
            "820181" + "00",
            "84018100" + "81008100",
            "8202" + "4161",
            "8302" + "6161" + "8100",  # a text as a label
            "8302" + "4161",
            "8302" + "4161" + "8203",
            "8203" + "6161",  # a text as a value
            "8203" + "00",
            "8203" + "42" + "61",
            "8203" + "5f4161ff",
            "830203" + "8100",
            "8301" + "8100",
            "9f00ff",
            "981000",
            "8118",
            "8120",
            "81f4",  # false is not zero
            "81d9d9f700",
            "d9d9f7",
            "d9d9f7d9d9f78100",
        ],
    )
    def test_other_shapes_are_refused(self, encoded: str) -> None:
        with pytest.raises(DecodeError):
            decode_tree(bytes.fromhex(encoded))

    @pytest.mark.req("ICWS-LIB-006")
    @pytest.mark.parametrize(
        "value",
        [
            None,
            [],
            [False],
            [0.0],
            [5],
            [-1],
            [0, 0],
            [1, [0]],
            [True, [0], [0]],
            [1, [0], [0], [0]],
            [1, [0], None],
            [2, "a", [0]],
            [2, b"a"],
            [3, "a"],
            [3],
            [4, None],
            {0: 0},
        ],
    )
    def test_other_values_are_refused(self, value: object) -> None:
        with pytest.raises(DecodeError) as caught:
            tree_from_value(value)
        assert caught.value.requirement == "ICWS-LIB-006"

    @pytest.mark.req("ICWS-LIB-006")
    def test_tree_cut_short_is_refused(self) -> None:
        data = encode_tree(Fork(Pruned(HASH), Labeled(b"label", Leaf(b"value"))))
        for length in range(len(data)):
            with pytest.raises(DecodeError) as caught:
                decode_tree(data[:length])
            assert caught.value.reason is Reason.MALFORMED

    @pytest.mark.req("ICWS-LIB-006")
    def test_bytes_after_the_tree_are_refused(self) -> None:
        with pytest.raises(DecodeError) as caught:
            decode_tree(b"\x81\x00\x00")
        assert caught.value.reason is Reason.TRAILING_BYTES

    @pytest.mark.req("ICWS-LIB-006")
    def test_size_is_bounded(self) -> None:
        assert decode_tree(b"\x81\x00", max_bytes=2) is EMPTY
        with pytest.raises(DecodeError) as caught:
            decode_tree(b"\x82\x03\x40", max_bytes=2)
        assert caught.value.reason is Reason.TOO_LARGE

    @pytest.mark.parametrize("length", [0, 257, 2_000])
    def test_labels_of_canisters_may_be_long_or_empty(self, length: int) -> None:
        # canisters certify paths of URLs
        tree = Fork(Labeled(bytes(length), Leaf(b"v")), Labeled(b"z", EMPTY))
        again = decode_tree(encode_tree(tree))
        assert digest(again) == digest(tree)
        assert lookup(again, [bytes(length)]) == Found(b"v")

    @pytest.mark.parametrize(
        "data",
        [
            "98030183024161820341628302416382034164",
            "83180183024161820341628302416382034164",
            "99000319000183024161820341628302416382034164",
            "8301831802416182034162830241639802034164",
            "83019a000000031b000000000000000241619802034162830241638218034164",
        ],
    )
    def test_heads_may_be_longer_than_need_be(self, data: str) -> None:
        shortest = Fork(Labeled(b"a", Leaf(b"b")), Labeled(b"c", Leaf(b"d")))
        assert decode_tree(bytes.fromhex(data)) == shortest

    @pytest.mark.req("ICWS-LIB-006")
    @pytest.mark.parametrize(
        "data",
        [
            "98",
            "9803",
            "980318",
            "980118058100",
            "981800",
            "58020000",
            "98041801810081008100",
            "9f00ff",
            "83200000",
            "82180541",
        ],
    )
    def test_longer_heads_do_not_change_what_a_node_is(self, data: str) -> None:
        assert refusal_of(lambda: decode_tree(bytes.fromhex(data))).reason is Reason.MALFORMED

    @pytest.mark.req("ICWS-LIB-006")
    def test_labels_are_bounded(self) -> None:
        longest = Labeled(bytes(MAX_TREE_LABEL_BYTES), EMPTY)
        assert decode_tree(encode_tree(longest)) == tree_from_value(tree_to_value(longest)) == longest
        longer = Labeled(bytes(MAX_TREE_LABEL_BYTES + 1), EMPTY)
        assert refusal_of(lambda: decode_tree(encode_tree(longer))).reason is Reason.TOO_LARGE
        assert refusal_of(lambda: tree_from_value(tree_to_value(longer))).reason is Reason.TOO_LARGE

    @pytest.mark.req("ICWS-LIB-006")
    @pytest.mark.parametrize("side", ["label", "left", "right"])
    def test_depth_is_bounded_and_never_recursed_into(self, side: str) -> None:
        tree: HashTree = EMPTY
        for _ in range(MAX_TREE_DEPTH):
            if side == "label":
                tree = Labeled(b"a", tree)
            else:
                tree = Fork(tree, EMPTY) if side == "left" else Fork(EMPTY, tree)
        for again in (decode_tree(encode_tree(tree)), tree_from_value(tree_to_value(tree))):
            assert again == tree
            check_well_formed(again)
            assert lookup(again, [b"a"] * MAX_TREE_DEPTH) is ABSENT
        deeper = Labeled(b"a", tree)
        assert refusal_of(lambda: decode_tree(encode_tree(deeper))).reason is Reason.TOO_DEEP
        assert refusal_of(lambda: tree_from_value(tree_to_value(deeper))).reason is Reason.TOO_DEEP

    @pytest.mark.req("ICWS-LIB-006")
    @pytest.mark.parametrize("head", [b"\x83\x01", b"\x83\x02\x41a"])
    def test_nesting_without_end_is_refused(self, head: bytes) -> None:
        with pytest.raises(DecodeError) as caught:
            decode_tree(head * 200_000)
        assert caught.value.reason is Reason.TOO_DEEP

    @pytest.mark.req("ICWS-LIB-006")
    def test_number_of_nodes_is_bounded(self) -> None:
        level: list[HashTree] = [EMPTY] * (MAX_TREE_NODES // 2)
        while len(level) > 1:
            level = [Fork(*level[at : at + 2]) if at + 1 < len(level) else level[at] for at in range(0, len(level), 2)]
        assert decode_tree(encode_tree(level[0])) == level[0]
        more = Fork(level[0], EMPTY)
        assert refusal_of(lambda: decode_tree(encode_tree(more))).reason is Reason.TOO_MANY
        assert refusal_of(lambda: tree_from_value(tree_to_value(more))).reason is Reason.TOO_MANY

    @pytest.mark.req("ICWS-LIB-006", "ICWS-LIB-023")
    @given(
        st.lists(st.sampled_from(["8301", "83024161", "820341", "8204", "8100", "5820", "00" * 32, "83"]), max_size=12)
    )
    def test_any_sequence_of_parts_is_a_tree_or_refused(self, parts: list[str]) -> None:
        data = bytes.fromhex("".join(parts))
        try:
            tree = decode_tree(data)
        except DecodeError:
            return
        assert encode_tree(tree, self_described=False) == data
