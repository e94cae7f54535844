"""Vectors of hash trees."""

from __future__ import annotations

from typing import Any

from icws_conformance.vectors.build import Maker, digest, empty, encode, fork, labeled, leaf, parts, pruned
from icws_secure.wire import cbor

__all__ = ["hash_trees"]


def hash_trees() -> Maker:
    """Shape, root hash, well-formedness and lookup."""
    made = Maker(
        "hash_tree",
        [
            "A hash tree, CBOR. Accepted means: decoded, hashed, and well formed unless require_well_formed is false.",
            "Each lookup gives found with its value, absent, unknown or error. With labels_below, the labels that can",
            "be seen below that path are asked for too.",
        ],
        {
            "TwoReadings": (
                "The tree can be read in two ways.",
                "One certified tree shows different things to different readers: a message is there and is not there.",
            ),
            "ShortHash": (
                "A pruned node is not 32 bytes.",
                "Bytes of a neighbour move into the hash, so that one root hash covers two trees.",
            ),
            "Shape": ("A node is not one of the five shapes.", "Decoders that differ see different trees."),
            "Hidden": ("What is asked for is not shown.", "What is hidden passes for empty."),
            "Bomb": ("The tree is deeper than any real one.", "The reader's stack or time is exhausted by one frame."),
        },
    )

    def given(tree: Any, *paths: list[bytes], **more: Any) -> dict[str, Any]:
        lookups = {"lookups": [[label.hex() for label in path] for path in paths]} if paths else {}
        return {"tree_hex": encode(tree).hex()} | lookups | more

    def found(value: bytes) -> dict[str, str]:
        return {"result": "found", "value_hex": value.hex()}

    absent, unknown = {"result": "absent"}, {"result": "unknown"}
    three = fork(labeled("b", leaf(b"B")), fork(labeled("d", labeled("x", leaf(b"X"))), labeled("f", empty())))
    made.group()
    made.accept(
        "three labels, all shown",
        "LIB-007 LIB-006",
        given(three, [b"a"], [b"b"], [b"b", b"x"], [b"c"], [b"d", b"x"], [b"d", b"y"], [b"f", b"x"], [b"g"]),
        root_hash_hex=digest(three).hex(),
        lookups=[absent, found(b"B"), absent, absent, found(b"X"), absent, absent, absent],
    )
    gap = fork(labeled("b", leaf(b"B")), fork(pruned(labeled("d", leaf(b"D"))), labeled("f", leaf(b"F"))))
    made.accept(
        "a pruned node in a gap hides what may be there, and no more",
        "LIB-007",
        given(gap, [b"a"], [b"b"], [b"c"], [b"d"], [b"f"], [b"g"]),
        root_hash_hex=digest(gap).hex(),
        lookups=[absent, found(b"B"), unknown, unknown, found(b"F"), absent],
    )
    edge = fork(pruned(labeled("a", leaf(b"A"))), labeled("b", leaf(b"B")))
    made.accept(
        "a pruned node before the first label",
        "LIB-007",
        given(edge, [b"a"], [b"b"], [b"c"]),
        root_hash_hex=digest(edge).hex(),
        lookups=[unknown, found(b"B"), absent],
    )
    hidden = labeled("a", pruned(leaf(b"A")))
    made.accept(
        "a value that is pruned",
        "LIB-007",
        given(hidden, [b"a"], [b"b"]),
        root_hash_hex=digest(hidden).hex(),
        lookups=[unknown, absent],
    )
    made.accept(
        "the empty tree", "LIB-007", given(empty(), [b"a"]), root_hash_hex=digest(empty()).hex(), lookups=[absent]
    )
    made.accept("a leaf alone", "LIB-006", given(leaf(b"")), root_hash_hex=digest(leaf(b"")).hex())
    level = empty()
    for number in range(40):
        level = labeled(f"{number}", level)
    made.accept("forty labels deep", "LIB-006", given(level), root_hash_hex=digest(level).hex())

    below = given(three, labels_below=[b"d".hex()])
    made.accept("the labels below a label", "LIB-007", below, root_hash_hex=digest(three).hex(), labels=[b"x".hex()])

    made.group()
    for comment, holder, label, reason in (
        ("an absent label", three, b"c", "PathAbsent"),
        ("a label that may be in what is pruned", gap, b"d", "PathUnknown"),
    ):
        below = given(holder, labels_below=[label.hex()])
        made.reject(f"the labels below {comment}", "LIB-007", reason, below, "Hidden")
    well = "TreeNotWellFormed"
    a, b = labeled("a", leaf(b"1")), labeled("b", leaf(b"2"))
    made.reject("labels in the wrong order", "LIB-008", well, given(fork(b, a)), "TwoReadings")
    made.reject("one label twice", "LIB-008", well, given(fork(a, labeled("a", leaf(b"2")))), "TwoReadings")
    made.reject(
        "one label twice, a pruned node between",
        "LIB-008",
        well,
        given(fork(fork(a, pruned(b)), labeled("a", leaf(b"2")))),
        "TwoReadings",
    )
    made.reject("a leaf beside a label", "LIB-008", well, given(fork(leaf(b"1"), b)), "TwoReadings")
    made.reject("wrong order below a label", "LIB-008", well, given(labeled("x", fork(b, a))), "TwoReadings")
    shapes = "Malformed WrongType TooMany"
    for length in (0, 31, 33):
        made.reject(
            f"a pruned node of {length} bytes", "LIB-005", f"{shapes} TooLarge", given([4, bytes(length)]), "ShortHash"
        )
    for comment, tree in (
        ("no node", []),
        ("an unknown kind of node", [5, b""]),
        ("a kind of node below 0", [-1, b""]),
        ("an empty node with content", [0, b""]),
        ("a fork with one branch", [1, [0]]),
        ("a fork with three branches", [1, [0], [0], [0]]),
        ("a label that is text", [2, "a", [0]]),
        ("a label without a tree", [2, b"a"]),
        ("a leaf that is text", [3, "value"]),
        ("a leaf with two values", [3, b"a", b"b"]),
        ("a map in place of a node", {"0": 0}),
        ("a branch that is no node", [1, [0], b""]),
    ):
        made.reject(comment, "LIB-006", shapes, given(tree), "Shape")
    deep: bytes = cbor.encode([0])
    for _ in range(3000):
        deep = b"\x83\x02\x41a" + deep
    made.reject("three thousand labels deep", "LIB-006", "TooDeep", {"tree_hex": deep.hex()}, "Bomb")
    _documents(made)
    return made


def _documents(made: Maker) -> None:
    """Documents that are too long, too short or too many."""
    for comment, tree, reasons in (
        ("bytes after the tree", parts((b"\x81\x00\x00", 1)), "TrailingBytes"),
        ("a fork cut short", parts((b"\x83\x01\x81\x00", 1)), "Malformed"),
        ("a leaf cut short", parts((b"\x82\x03\x42a", 1)), "Malformed"),
        ("a leaf without its value", parts((b"\x82\x03", 1)), "Malformed"),
        ("a label whose length is cut short", parts((b"\x83\x02\x59\x01", 1)), "Malformed"),
        ("a list of indefinite length", parts((b"\x9f\x00\xff", 1)), "Malformed NotCanonical WrongType"),
        ("a leaf of a byte string of indefinite length", parts((b"\x82\x03\x5f\xff", 1)), "Malformed NotCanonical"),
        (
            "a label of 65,537 bytes",
            parts((b"\x83\x02\x5a\x00\x01\x00\x01", 1), (b"a", 65_537), (b"\x81\x00", 1)),
            "TooLarge",
        ),
        ("1,100 labels deep", parts((b"\x83\x02\x41a", 1_100), (b"\x81\x00", 1)), "TooDeep"),
        ("1,100 forks deep", parts((b"\x83\x01", 1_100), (b"\x81\x00", 1_101)), "TooDeep"),
        ("100,001 nodes", _bushy(100_001), "TooMany"),
        ("longer than a megabyte", parts((b"\x82\x03\x5a\x00\x10\x00\x00", 1), (b"\x00", 1 << 20)), "TooLarge"),
    ):
        made.reject(comment, "LIB-006", reasons, {"tree_hex": tree}, "Bomb")


def _bushy(nodes: int) -> dict[str, Any]:
    """A tree of more than these nodes that is not deep: a comb of trees that are halved again and again."""
    piece, count = b"\x81\x00", 1
    while count < 500:
        piece, count = b"\x83\x01" + piece + piece, 2 * count + 1
    return parts((b"\x83\x01" + piece, nodes // (count + 1) + 1), (b"\x81\x00", 1))
