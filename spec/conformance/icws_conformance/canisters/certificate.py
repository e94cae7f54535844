"""Certificates and hash trees, checked step by step with code that is the suite's own.

It is written from the interface specification, shares nothing with the verifier in ``icws_secure.verify`` but the
pairing, and is slower. What it refuses is a finding about the canister or its replica, and says so in a sentence.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from icws_secure import bls
from icws_secure.errors import IcwsError

__all__ = ["Certificate", "CertificateFault", "Tree", "leb128", "open_certificate", "read_tree"]

_DER_PREFIX: Final = bytes.fromhex("308182301d060d2b0601040182dc7c0503010201060c2b0601040182dc7c05030201036100")
_EMPTY, _FORK, _LABELED, _LEAF, _PRUNED = range(5)
_MAX_DEPTH: Final = 400
_MAX_NODES: Final = 100_000
_MAX_BYTES: Final = 1 << 20
_MAX_LABEL: Final = 1 << 16
_MAX_RANGES: Final = 50_000


class CertificateFault(ValueError):  # noqa: N818 - a finding, no error
    """What does not hold; one sentence."""


class Tree:
    """A hash tree whose form was checked when it was read.

    Args:
        node: as CBOR gives it.

    Raises:
        CertificateFault: it is no hash tree, or its labels are not in order.
    """

    def __init__(self, node: Any) -> None:
        self._node = node
        self._left = _MAX_NODES
        self.digest = self._digest(node, 0)
        _check_order(node, 0)

    def find(self, *path: bytes) -> bytes | None:
        """The leaf at a path; None where the tree shows that there is none.

        Raises:
            CertificateFault: the tree shows neither, or there is no leaf but a subtree.
        """
        node = self._node
        for label in path:
            found = _child(node, label)
            if found is None:
                return None
            node = found
        if node[0] == _LEAF:
            return bytes(node[1])
        if node[0] == _EMPTY:
            return None
        raise CertificateFault(f"the tree does not show a leaf at {_text(path)}")

    def labels(self, *path: bytes) -> list[bytes] | None:
        """The labels below a path, as far as they are shown; None where nothing is shown at the path."""
        node = self._node
        for label in path:
            try:
                found = _child(node, label)
            except CertificateFault:
                return None
            if found is None:
                return None
            node = found
        return [bytes(part[1]) for part in _flat(node) if part[0] == _LABELED]

    def _digest(self, node: Any, depth: int) -> bytes:
        self._left -= 1
        if depth > _MAX_DEPTH or self._left < 0 or not isinstance(node, list | tuple):
            raise CertificateFault("a node that is none, or too many, or too deep")
        match node:
            case [0]:
                return hashlib.sha256(b"\x11ic-hashtree-empty").digest()
            case [1, left, right]:
                both = self._digest(left, depth + 1) + self._digest(right, depth + 1)
                return hashlib.sha256(b"\x10ic-hashtree-fork" + both).digest()
            case [2, bytes(label), below] if len(label) <= _MAX_LABEL:
                inner = self._digest(below, depth + 1)
                return hashlib.sha256(b"\x13ic-hashtree-labeled" + label + inner).digest()
            case [3, bytes(value)]:
                return hashlib.sha256(b"\x10ic-hashtree-leaf" + value).digest()
            case [4, bytes(pruned)] if len(pruned) == 32:
                return pruned
        raise CertificateFault("a node that is none")


def read_tree(data: bytes) -> Tree:
    """The hash tree of a witness.

    Raises:
        CertificateFault: it is none.
    """
    return Tree(_cbor(data))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was verified for one canister.

    Attributes:
        tree: its tree.
        time_ns: its time.
    """

    tree: Tree
    time_ns: int


def open_certificate(data: bytes, canister: bytes, root_key_der: bytes) -> Certificate:
    """Verify a certificate.

    Args:
        data: CBOR.
        canister: whose subnet must have signed.
        root_key_der: the IC's key.

    Raises:
        CertificateFault: it does not hold, and why.
    """
    document = _cbor(data)
    if not isinstance(document, Mapping) or not set(document) <= {"tree", "signature", "delegation"}:
        raise CertificateFault("a certificate is no map of tree, signature and delegation")
    tree = Tree(document.get("tree"))
    key = root_key_der
    delegation = document.get("delegation")
    if delegation is not None:
        key = _delegated_key(delegation, canister, root_key_der)
    _check_signature(key, tree.digest, document.get("signature"))
    return Certificate(tree, _time(tree))


def leb128(data: bytes | None) -> int:
    """An unsigned number.

    Raises:
        CertificateFault: it is none.
    """
    if not data:
        raise CertificateFault("a number is missing")
    number = 0
    for place, byte in enumerate(data):
        number |= (byte & 0x7F) << (7 * place)
        if byte < 0x80 and place != len(data) - 1:
            raise CertificateFault("bytes after a number")
    if data[-1] >= 0x80:
        raise CertificateFault("a number without end")
    return number


def _delegated_key(delegation: Any, canister: bytes, root_key_der: bytes) -> bytes:
    match delegation:
        case {"subnet_id": bytes(subnet), "certificate": bytes(certificate)} if len(delegation) == 2:
            inner = _cbor(certificate)
        case _:
            raise CertificateFault("a delegation is no map of subnet_id and certificate")
    if not isinstance(inner, Mapping) or inner.get("delegation") is not None:
        raise CertificateFault("a delegation's certificate is none, or has a delegation")
    tree = Tree(inner.get("tree"))
    _check_signature(root_key_der, tree.digest, inner.get("signature"))
    shards = tree.labels(b"canister_ranges", subnet)
    if shards is not None:
        below = [shard for shard in shards if shard <= canister]
        listed = tree.find(b"canister_ranges", subnet, below[-1]) if below else None
    else:
        listed = tree.find(b"subnet", subnet, b"canister_ranges")
    if not any(low <= canister <= high for low, high in _ranges(listed)):
        raise CertificateFault("the certificate is of a subnet that does not hold the canister")
    key = tree.find(b"subnet", subnet, b"public_key")
    if key is None:
        raise CertificateFault("the delegation shows no key")
    return key


def _ranges(listed: bytes | None) -> list[tuple[bytes, bytes]]:
    value = [] if listed is None else _cbor(listed)
    if not isinstance(value, list | tuple) or len(value) > _MAX_RANGES:
        raise CertificateFault("canister ranges are no list, or too many")
    found = []
    for pair in value:
        match pair:
            case [bytes(low), bytes(high)]:
                found.append((low, high))
            case _:
                raise CertificateFault("a canister range is no pair of principals")
    return found


def _check_signature(key_der: bytes, digest: bytes, signature: Any) -> None:
    if not key_der.startswith(_DER_PREFIX) or len(key_der) != len(_DER_PREFIX) + 96:
        raise CertificateFault("a key that is no BLS key of the IC")
    if not isinstance(signature, bytes):
        raise CertificateFault("a certificate has no signature")
    try:
        bls.backend().verify(key_der[len(_DER_PREFIX) :], b"\x0dic-state-root" + digest, signature)
    except IcwsError as error:
        raise CertificateFault(f"a certificate's signature does not verify: {error}") from error


def _time(tree: Tree) -> int:
    return leb128(tree.find(b"time"))


def _cbor(data: bytes) -> Any:
    if len(data) > _MAX_BYTES:
        raise CertificateFault(f"a document of {len(data)} bytes")
    stream = io.BytesIO(data)
    try:
        value = cbor2.load(stream, allow_duplicate_keys=False, allow_indefinite=False)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError) as error:
        raise CertificateFault("it is no CBOR") from error
    if stream.read(1):
        raise CertificateFault("bytes after the end of CBOR")
    return value.value if isinstance(value, cbor2.CBORTag) and value.tag == 55799 else value


def _flat(node: Any) -> list[Any]:
    """What stands beside one another below forks, without the empty."""
    if node[0] == _EMPTY:
        return []
    if node[0] == _FORK:
        return [*_flat(node[1]), *_flat(node[2])]
    return [node]


def _check_order(node: Any, depth: int) -> None:
    parts = _flat(node)
    labels = [bytes(part[1]) for part in parts if part[0] == _LABELED]
    if labels != sorted(set(labels)):
        raise CertificateFault("labels out of order")
    if len(parts) > 1 and any(part[0] == _LEAF for part in parts):
        raise CertificateFault("a leaf beside other nodes")
    for part in parts:
        if part[0] == _LABELED:
            _check_order(part[2], depth + 1)


def _child(node: Any, label: bytes) -> Any | None:
    parts = _flat(node)
    place = len(parts)
    for number, part in enumerate(parts):
        if part[0] == _LABELED and bytes(part[1]) == label:
            return part[2]
        if part[0] == _LABELED and bytes(part[1]) > label:
            place = number
            break
    if place > 0 and parts[place - 1][0] == _PRUNED:
        raise CertificateFault(f"the tree does not show whether there is {_text((label,))}")
    return None


def _text(path: tuple[bytes, ...]) -> str:
    return "/".join(
        label.decode() if label.isascii() and label.decode().isprintable() else label.hex() for label in path
    )
