"""Hash trees in CBOR.

A node is ``[0]`` empty, ``[1, left, right]`` fork, ``[2, label, tree]`` labelled, ``[3, value]`` leaf, ``[4, digest]``
pruned.

Depth, number of nodes and length of labels are bounded while reading; see ``limits``. Arity and types are exact. As
elsewhere in CBOR, heads may be longer than need be.
"""

from __future__ import annotations

from typing import Final, cast

from ..errors import DecodeError, Reason
from ..limits import MAX_TREE_DEPTH, MAX_TREE_LABEL_BYTES, MAX_TREE_NODES, MAX_WITNESS_BYTES
from .cbor import SELF_DESCRIBE_TAG, encode_head, read_head
from .tree_nodes import EMPTY, Empty, Fork, HashTree, Labeled, Leaf, Pruned

__all__ = [
    "NODE_HEADS",
    "decode_tree",
    "encode_tree",
    "parse_tree",
    "read_longer_head",
    "tree_from_value",
    "tree_to_value",
]

_REQUIREMENT: Final = "ICWS-LIB-006"
_NATURAL, _BYTES, _ARRAY = 0, 2, 4  # CBOR's major types
NODE_HEADS: Final = frozenset([b"\x81\x00", b"\x83\x01", b"\x83\x02", b"\x82\x03", b"\x82\x04"])
"""Arity and kind of every node, in their shortest form."""

_RIGHT_MISSING: Final = object()  # a fork whose left side is still to come


def decode_tree(data: bytes, *, max_bytes: int = MAX_WITNESS_BYTES) -> HashTree:
    """Decode a tree, with or without a self-describe tag.

    Raises:
        DecodeError: it is not a tree of the exact form, passes a limit, or is followed by more bytes.
    """
    if len(data) > max_bytes:
        raise DecodeError("a hash tree is too long", reason=Reason.TOO_LARGE, requirement=_REQUIREMENT, limit=max_bytes)
    tree, end = parse_tree(data, 3 if data.startswith(SELF_DESCRIBE_TAG) else 0)
    if end != len(data):
        raise DecodeError(
            "bytes follow a hash tree", reason=Reason.TRAILING_BYTES, requirement=_REQUIREMENT, excess=len(data) - end
        )
    return tree


def parse_tree(data: bytes, offset: int) -> tuple[HashTree, int]:
    """Read the tree that starts at ``offset``; returns it and the offset after it.

    Raises:
        DecodeError: it is not a tree of the exact form, or passes a limit.
    """
    end = len(data)
    nodes = 0
    node: HashTree
    # What is open above the node at hand: the label of a labelled node, None for a fork whose left side is being
    # read, the left side of a fork whose right side is.
    above: list[bytes | HashTree | None] = []
    while True:
        nodes += 1
        # [ICWS-LIB-006]
        if nodes > MAX_TREE_NODES:
            raise _too_many_nodes()
        head = data[offset : offset + 2]
        offset += 2
        if head not in NODE_HEADS:
            head, offset = read_longer_head(data, offset - 2)
        if head == b"\x83\x01":
            above.append(None)
            if len(above) > MAX_TREE_DEPTH:
                raise _too_deep()
            continue
        if head == b"\x81\x00":
            node = EMPTY
        else:
            if offset >= end:
                raise _malformed("it ends too early")
            length = data[offset] - 0x40
            offset += 1
            if length == 24 and offset < end:  # the length is in the next byte, as keys and digests have it
                length = data[offset]
                offset += 1
            elif not 0 <= length < 24:
                major, length, offset = read_head(data, offset - 1, what="a hash tree")
                if major != _BYTES:
                    raise _malformed("a label, value or digest is not a byte string")
            stop = offset + length
            if stop > end:
                raise _malformed("it ends too early")
            blob = data[offset:stop]
            offset = stop
            if head == b"\x83\x02":
                if length > MAX_TREE_LABEL_BYTES:
                    raise _label_too_long()
                above.append(blob)
                if len(above) > MAX_TREE_DEPTH:
                    raise _too_deep()
                continue
            node = Pruned(blob) if head == b"\x82\x04" else Leaf(blob)
        while above:
            top = above[-1]
            if top is None:
                above[-1] = node
                break
            above.pop()
            node = Labeled(top, node) if type(top) is bytes else Fork(cast(HashTree, top), node)
        else:
            return node, offset


def encode_tree(tree: HashTree, *, self_described: bool = True) -> bytes:
    """Encode a tree, with a self-describe tag in front unless it is to stand inside another document."""
    out: list[bytes] = [SELF_DESCRIBE_TAG] if self_described else []
    ahead = [tree]
    while ahead:
        node = ahead.pop()
        if isinstance(node, Fork):
            out.append(b"\x83\x01")
            ahead.append(node.right)
            ahead.append(node.left)
        elif isinstance(node, Labeled):
            out += (b"\x83\x02", encode_head(_BYTES, len(node.label)), node.label)
            ahead.append(node.tree)
        elif isinstance(node, Leaf):
            out += (b"\x82\x03", encode_head(_BYTES, len(node.value)), node.value)
        elif isinstance(node, Pruned):
            out += (b"\x82\x04\x58\x20", node.digest)
        else:
            out.append(b"\x81\x00")
    return b"".join(out)


def tree_from_value(value: object) -> HashTree:
    """Read a tree that was decoded from CBOR already, as nested lists.

    Raises:
        DecodeError: it is not a tree of the exact form, or passes a limit.
    """
    nodes = 0
    node: HashTree
    # As in parse_tree; a fork is a pair of its left side, or _RIGHT_MISSING, and the value of its right side.
    above: list[bytes | tuple[object, object]] = []
    while True:
        nodes += 1
        # [ICWS-LIB-006]
        if nodes > MAX_TREE_NODES:
            raise _too_many_nodes()
        if len(above) > MAX_TREE_DEPTH:
            raise _too_deep()
        match value:
            case [int(kind)] if kind == 0 and type(kind) is int:
                node = EMPTY
            case [int(kind), left, right] if kind == 1 and type(kind) is int:
                above.append((_RIGHT_MISSING, right))
                value = left
                continue
            case [int(kind), bytes(label), subtree] if kind == 2:
                if len(label) > MAX_TREE_LABEL_BYTES:
                    raise _label_too_long()
                above.append(label)
                value = subtree
                continue
            case [int(kind), bytes(blob)] if kind == 3:
                node = Leaf(blob)
            case [int(kind), bytes(blob)] if kind == 4:
                node = Pruned(blob)
            case _:
                raise _malformed("a node is of no known kind")
        while above:
            top = above.pop()
            if isinstance(top, bytes):
                node = Labeled(top, node)
            elif top[0] is _RIGHT_MISSING:
                above.append((node, None))
                value = top[1]
                break
            else:
                node = Fork(cast(HashTree, top[0]), node)
        else:
            return node


def tree_to_value(tree: HashTree) -> list[object]:
    """A tree as nested lists, for an encoder of CBOR."""
    root: list[object] = []
    ahead: list[tuple[HashTree, list[object]]] = [(tree, root)]
    while ahead:
        node, parent = ahead.pop()
        value: list[object]
        if isinstance(node, Fork):
            value = [1]
            ahead.append((node.right, value))
            ahead.append((node.left, value))
        elif isinstance(node, Labeled):
            value = [2, node.label]
            ahead.append((node.tree, value))
        elif isinstance(node, Leaf):
            value = [3, node.value]
        elif isinstance(node, Empty):
            value = [0]
        else:
            value = [4, node.digest]
        parent.append(value)
    return cast("list[object]", root[0])


def read_longer_head(data: bytes, offset: int) -> tuple[bytes, int]:
    """Read arity and kind of a node that are not in their shortest form.

    Returns:
        Their shortest form, two bytes, and the offset after them.

    Raises:
        DecodeError: there is no such node.
    """
    array, arity, offset = read_head(data, offset, what="a hash tree")
    natural, kind, offset = read_head(data, offset, what="a hash tree")
    # [ICWS-LIB-006]
    if (array, natural) == (_ARRAY, _NATURAL) and arity < 4 and kind < 5:
        head = bytes((0x80 | arity, kind))
        if head in NODE_HEADS:
            return head, offset
    raise _malformed("a node is of no known kind")


def _malformed(why: str) -> DecodeError:
    return DecodeError(f"this is not a hash tree: {why}", reason=Reason.MALFORMED, requirement=_REQUIREMENT)


def _too_many_nodes() -> DecodeError:
    return DecodeError(
        "a hash tree has too many nodes", reason=Reason.TOO_MANY, requirement=_REQUIREMENT, limit=MAX_TREE_NODES
    )


def _too_deep() -> DecodeError:
    return DecodeError(
        "a hash tree is too deep", reason=Reason.TOO_DEEP, requirement=_REQUIREMENT, limit=MAX_TREE_DEPTH
    )


def _label_too_long() -> DecodeError:
    return DecodeError(
        "a label of a hash tree is too long",
        reason=Reason.TOO_LARGE,
        requirement=_REQUIREMENT,
        limit=MAX_TREE_LABEL_BYTES,
    )
