"""Bytes as people read them: frames, envelopes, certificates and hash trees as labelled trees.

Nothing is verified here, and nothing is decided by what is drawn: it is for the report alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import decode_unsigned
from icws_secure.wire.principal import Principal

__all__ = ["Node", "draw"]

_MAX_CHILDREN: Final = 200
_MAX_DEPTH: Final = 40
_MAX_HEX: Final = 48
_MAX_RANGES: Final = 20
_PRINCIPALS: Final = frozenset({"sender", "canister_id", "client_principal", "gateway_principal", "subnet_id"})
_TREES: Final = frozenset({"tree"})
_TEXTS: Final = frozenset({b"status", b"reject_message", b"error_code", b"type"})
_EMPTY, _FORK, _LABELED, _LEAF, _PRUNED = range(5)


@dataclass(frozen=True, slots=True)
class Node:
    """One line of a drawing.

    Attributes:
        label: what it is called.
        value: what it holds; empty where children tell it.
        children: what is below.
        kind: ``tree`` for a hash tree's nodes, ``pruned`` for those that show a hash only, else ``value``.
    """

    label: str
    value: str = ""
    children: tuple[Node, ...] = ()
    kind: str = "value"


def draw(data: bytes, label: str = "") -> Node | None:
    """Draw a document; None where it is no CBOR."""
    try:
        return _value(label, cbor.decode(data, what="drawing"), 0)
    except IcwsError:
        return Node(label, data[:200].decode("latin-1")) if data[:1] in (b"{", b"[") else None


def _value(label: str, value: object, depth: int) -> Node:
    if depth > _MAX_DEPTH:
        return Node(label, "…")
    if isinstance(value, Mapping):
        items = list(value.items())[:_MAX_CHILDREN]
        return Node(label, "", tuple(_value(str(name), item, depth + 1) for name, item in items))
    if isinstance(value, bytes):
        return _bytes(label, value, depth)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if label in _TREES and value and isinstance(value[0], int):
            inner = _tree(value, (), depth + 1)
            return Node(label, _root(value), inner.children if inner.label == "" else (inner,), "tree")
        return Node(label, "", tuple(_value(f"{n}", item, depth + 1) for n, item in enumerate(value[:_MAX_CHILDREN])))
    return Node(label, str(value))


def _bytes(label: str, value: bytes, depth: int) -> Node:
    if label in _PRINCIPALS and len(value) <= 29:
        return Node(label, Principal(value).to_text())
    if value.startswith(cbor.SELF_DESCRIBE_TAG) or label in ("cert", "certificate", "tree", "content"):
        try:
            inner = cbor.decode(value, what="drawing")
        except IcwsError:
            inner = None
        if isinstance(inner, Mapping | list):
            drawn = _value(label, inner, depth + 1)
            return Node(label, f"{drawn.value} ({len(value)} bytes)".strip(), drawn.children, drawn.kind)
    if value.startswith(b"DIDL"):
        return Node(label, f"Candid, {len(value)} bytes: {_hex(value)}")
    if value and all(32 <= byte < 127 for byte in value):
        return Node(label, repr(value.decode("ascii")[:200]))
    return Node(label, f"{_hex(value)}" + (f" ({len(value)} bytes)" if len(value) > _MAX_HEX else ""))


def _tree(node: object, path: tuple[bytes, ...], depth: int) -> Node:
    parts = cast("Sequence[object]", node) if isinstance(node, Sequence) and not isinstance(node, str | bytes) else ()
    if depth > _MAX_DEPTH * 4 or not parts:
        return Node("?", "not a node of a hash tree", (), "tree")
    match list(parts):
        case [0]:
            return Node("empty", "", (), "tree")
        case [1, left, right]:
            branches = (_tree(left, path, depth + 1), _tree(right, path, depth + 1))
            # forks have no meaning for the reader: their branches are shown side by side
            flat = tuple(
                child for branch in branches for child in (branch.children if branch.label == "" else (branch,))
            )
            return Node("", "", flat, "tree")
        case [2, bytes(label), below]:
            inner = _tree(below, (*path, label), depth + 1)
            children = inner.children if inner.label == "" else (inner,)
            if len(children) == 1 and children[0].label == "leaf":
                return Node(_label(label, path), children[0].value, (), "tree")
            return Node(_label(label, path), "", children, "tree")
        case [3, bytes(value)]:
            return Node("leaf", _leaf(value, path), (), "tree")
        case [4, bytes(digest)]:
            return Node("pruned", _hex(digest), (), "pruned")
    return Node("?", "not a node of a hash tree", (), "tree")


def _label(label: bytes, path: tuple[bytes, ...]) -> str:
    if path and path[-1] in (b"canister", b"subnet", b"head", b"canister_ranges") and len(label) <= 29:
        return Principal(label).to_text()
    if label and all(32 <= byte < 127 for byte in label):
        return label.decode("ascii")
    return "0x" + _hex(label)


def _leaf(value: bytes, path: tuple[bytes, ...]) -> str:
    last = path[-1] if path else b""
    if last in (b"time", b"epoch"):
        try:
            return f"{decode_unsigned(value)[0]} ns"
        except IcwsError:
            return _hex(value)
    if last == b"canister_ranges" or (len(path) > 2 and path[-3] == b"canister_ranges"):
        return _ranges(value)
    if last in _TEXTS:
        return repr(value.decode("utf-8", "replace"))
    return _hex(value)


def _ranges(value: bytes) -> str:
    try:
        pairs = cbor.decode(value, what="drawing")
        if isinstance(pairs, list) and pairs:
            shown = [" to ".join(Principal(end).to_text() for end in pair) for pair in pairs[:_MAX_RANGES]]
            return ", ".join(shown) + (" …" if len(pairs) > len(shown) else "")
    except (IcwsError, TypeError, ValueError):
        pass
    return _hex(value)


def _root(node: object) -> str:
    try:
        return "root hash " + _digest(node, 0).hex()
    except (ValueError, TypeError, IndexError):
        return "not a hash tree"


def _digest(node: object, depth: int) -> bytes:
    """The root hash, by the interface specification's words; a second opinion to the verifier's."""
    if depth > _MAX_DEPTH * 4:
        raise ValueError("too deep to draw")
    match node:
        case [0]:
            return _domain("ic-hashtree-empty")
        case [1, left, right]:
            return _domain("ic-hashtree-fork", _digest(left, depth + 1), _digest(right, depth + 1))
        case [2, bytes(label), below]:
            return _domain("ic-hashtree-labeled", label, _digest(below, depth + 1))
        case [3, bytes(value)]:
            return _domain("ic-hashtree-leaf", value)
        case [4, bytes(digest)]:
            return digest
    raise ValueError("not a node of a hash tree")


def _domain(name: str, *parts: bytes) -> bytes:
    return hashlib.sha256(bytes([len(name)]) + name.encode() + b"".join(parts)).digest()


def _hex(value: bytes) -> str:
    return value.hex() if len(value) <= _MAX_HEX else value[:_MAX_HEX].hex() + "…"
