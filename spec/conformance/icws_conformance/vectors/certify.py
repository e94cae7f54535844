"""Subnets for vectors, and what they certify: state trees, delegations, certificates."""

from __future__ import annotations

from typing import Final

from icws_canister_mock.replica.keys import SubnetKey
from icws_conformance.vectors.build import NOW_NS, SECOND_NS, Tree, digest, empty, fork, labeled, leaf, pruned, secret
from icws_secure.wire import cbor
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.principal import Principal

__all__ = [
    "APP",
    "CANISTER",
    "DAY_NS",
    "DOMAIN",
    "FOREIGN",
    "HIGH",
    "LOW",
    "NOBODY",
    "OTHER",
    "ROOT",
    "assemble",
    "branches",
    "certify",
    "delegate",
    "state_tree",
]

ROOT: Final = SubnetKey(secret("subnets"), "root")
APP: Final = SubnetKey(secret("subnets"), "app")
OTHER: Final = SubnetKey(secret("subnets"), "other")
NOBODY: Final = SubnetKey(secret("subnets"), "nobody")
LOW: Final = Principal(bytes.fromhex("00000000003000000101"))
HIGH: Final = Principal(bytes.fromhex("00000000003fffff0101"))
CANISTER: Final = Principal(bytes.fromhex("00000000003002100101"))
FOREIGN: Final = Principal(bytes.fromhex("00000000004002100101"))
DOMAIN: Final = b"\x0dic-state-root"
DAY_NS: Final = 86_400 * SECOND_NS


def branches(*entries: tuple[bytes | str, Tree]) -> Tree:
    """Labels side by side, in their order."""
    named = sorted((label.encode() if isinstance(label, str) else label, below) for label, below in entries)
    tree: Tree = empty()
    for label, below in reversed(named):
        entry = labeled(label, below)
        tree = entry if tree == [0] else fork(entry, tree)
    return tree


def state_tree(certified: dict[Principal, bytes], time_ns: int = NOW_NS - SECOND_NS, **more: Tree) -> Tree:
    """A state tree: the canisters' certified data, the time, and more labels."""
    canisters = branches(
        *((canister.raw, labeled("certified_data", leaf(data))) for canister, data in certified.items())
    )
    return branches(("canister", canisters), ("time", leaf(encode_unsigned(time_ns))), *more.items())


def delegate(
    subnet: SubnetKey = APP,
    *,
    root: SubnetKey = ROOT,
    low: Principal | None = LOW,
    high: Principal = HIGH,
    ranges: bytes | None = None,
    sharded: bool = False,
    hide_ranges: bool = False,
    key: bytes | None = None,
    time_ns: int = NOW_NS - DAY_NS,
    inner: dict[str, bytes] | None = None,
    more: dict[str, Tree] | None = None,
) -> dict[str, bytes]:
    """A delegation of the root to a subnet.

    Args:
        subnet: which.
        root: who signs it.
        low: first canister of the range; None for no range at all.
        high: last canister of the range.
        ranges: what stands in place of the ranges.
        sharded: whether the ranges are in shards.
        hide_ranges: whether the ranges are pruned.
        key: what stands in place of the subnet's key.
        time_ns: when it was made.
        inner: a delegation within it.
        more: further labels of the subnet.
    """
    plain = [] if low is None else [[low.raw, high.raw]]
    shown = leaf(cbor.encode_self_described(plain) if ranges is None else ranges)
    entries: list[tuple[bytes | str, Tree]] = [("public_key", leaf(subnet.public_key.der if key is None else key))]
    entries += (more or {}).items()
    if not sharded and not hide_ranges:
        entries.append(("canister_ranges", shown))
    entry = branches(*entries)
    if hide_ranges:
        entry = fork(pruned(labeled("canister_ranges", shown)), entry)
    top: list[tuple[bytes | str, Tree]] = [
        ("subnet", labeled(subnet.principal.raw, entry)),
        ("time", leaf(encode_unsigned(time_ns))),
    ]
    if sharded:
        top.append(("canister_ranges", labeled(subnet.principal.raw, labeled(LOW.raw, shown))))
    tree = branches(*top)
    return {"subnet_id": subnet.principal.raw, "certificate": assemble(tree, root.sign(DOMAIN + digest(tree)), inner)}


def certify(tree: Tree, key: SubnetKey = APP, delegation: dict[str, bytes] | None = None) -> bytes:
    """A certificate of this tree, signed by a subnet."""
    return assemble(tree, key.sign(DOMAIN + digest(tree)), delegation)


def assemble(tree: Tree, signature: bytes, delegation: dict[str, bytes] | None) -> bytes:
    """The document of a certificate."""
    fields: dict[str, object] = {"tree": tree, "signature": signature}
    return cbor.encode_self_described(fields if delegation is None else fields | {"delegation": delegation})
