"""An Internet Computer of two keys: the root subnet's and another's, which sign whatever a test wants signed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyblst
import pytest

from icws_secure.verify import CertificateVerifier, RootKey
from icws_secure.wire import cbor, leb128
from icws_secure.wire.certificate import CertificateDelegation, encode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.hashtree import EMPTY, Fork, HashTree, Labeled, Leaf, digest
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
LOW, HIGH = Principal(bytes.fromhex("00000000003000000101")), Principal(bytes.fromhex("00000000003fffff0101"))
G2 = pyblst.BlstP2Element.uncompress(
    bytes.fromhex(
        "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
    )
)
DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"

Tree = Mapping[bytes, Any] | bytes | HashTree
"""A tree as a test writes it: nested maps of labels, with values as bytes, or finished nodes."""


def build(tree: Tree) -> HashTree:
    if isinstance(tree, bytes):
        return Leaf(tree)
    if not isinstance(tree, Mapping):
        return tree
    nodes: list[HashTree] = [Labeled(label, build(tree[label])) for label in sorted(tree)]
    if not nodes:
        return EMPTY
    while len(nodes) > 1:
        nodes = [Fork(*nodes[i : i + 2]) if i + 1 < len(nodes) else nodes[i] for i in range(0, len(nodes), 2)]
    return nodes[0]


def ranges(*pairs: tuple[Principal, Principal]) -> bytes:
    return cbor.encode_self_described([[low.raw, high.raw] for low, high in pairs])


@dataclass
class Key:
    secret: int
    raw: bytes = field(init=False)
    der: bytes = field(init=False)
    subnet_id: Principal = field(init=False)

    def __post_init__(self) -> None:
        self.raw = bytes(G2.scalar_mul(self.secret).compress())
        self.der = PublicKey.bls(self.raw).der
        self.subnet_id = Principal.self_authenticating(self.der)

    def sign(self, tree: HashTree, separator: bytes = b"\x0dic-state-root") -> bytes:
        point = pyblst.BlstP1Element.hash_to_group(separator + digest(tree), DST)
        return bytes(point.scalar_mul(self.secret).compress())


class Issuer:
    """Makes certificates; every argument is a way to make one wrong."""

    def __init__(self) -> None:
        self.root = Key(0x1234567890ABCDEF)
        self.subnet = Key(0xFEDCBA0987654321)
        self.root_key = RootKey(self.root.raw)

    def verifier(self, **arguments: Any) -> CertificateVerifier:
        return CertificateVerifier(self.root_key, **arguments)

    def delegation_tree(self, *, time_ns: int | None = NOW - DAY, form: str = "sharded", **changes: Any) -> Tree:
        listed = changes.get("ranges", ranges((LOW, HIGH)))
        subnet: dict[bytes, Any] = {b"public_key": changes.get("public_key", self.subnet.der), b"type": b"application"}
        subnet |= changes.get("subnet", {})
        tree: dict[bytes, Any] = {b"subnet": {self.subnet.subnet_id.raw: subnet}}
        if form in ("sharded", "both"):
            tree[b"canister_ranges"] = {self.subnet.subnet_id.raw: changes.get("shards", {LOW.raw: listed})}
        if form in ("single", "both"):
            subnet[b"canister_ranges"] = changes.get("single", listed)
        if time_ns is not None:
            tree[b"time"] = leb128.encode_unsigned(time_ns)
        return tree

    def delegation(
        self, tree: Tree | None = None, *, signed_by: Key | None = None, inner: CertificateDelegation | None = None
    ) -> CertificateDelegation:
        node = build(self.delegation_tree() if tree is None else tree)
        signature = (signed_by or self.root).sign(node)
        return CertificateDelegation(self.subnet.subnet_id, encode_certificate(node, signature, inner))

    def tree(self, content: Tree | None = None, *, time_ns: int | None = NOW - SECOND) -> HashTree:
        tree = dict(content) if isinstance(content, Mapping) else {}
        if time_ns is not None:
            tree[b"time"] = leb128.encode_unsigned(time_ns)
        return build(tree)

    def certificate(
        self,
        content: Tree | None = None,
        *,
        time_ns: int | None = NOW - SECOND,
        delegation: CertificateDelegation | None = None,
        signed_by: Key | None = None,
    ) -> bytes:
        """A certificate of the subnet; see :meth:`root_certificate` for one without delegation."""
        node = self.tree(content, time_ns=time_ns)
        signature = (signed_by or self.subnet).sign(node)
        return encode_certificate(node, signature, delegation or self.delegation())

    def root_certificate(self, content: Tree | None = None, *, time_ns: int | None = NOW - SECOND) -> bytes:
        node = self.tree(content, time_ns=time_ns)
        return encode_certificate(node, self.root.sign(node))

    def certified_data(self, tree: HashTree, canister: Principal = CANISTER) -> Tree:
        return {b"canister": {canister.raw: {b"certified_data": digest(tree)}}}

    def build(self, tree: Tree) -> HashTree:
        return build(tree)

    def ranges(self, *pairs: tuple[Principal, Principal]) -> bytes:
        return ranges(*pairs)

    def labels(self, names: Iterable[bytes], value: bytes = b"v") -> Tree:
        return dict.fromkeys(names, value)


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()
