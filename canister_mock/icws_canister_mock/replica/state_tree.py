"""The parts of the state tree that blocks do not change at every turn: subnets, canister ranges, canisters.

Source: IC interface specification, "The system state tree".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from icws_canister_mock.replica.keys import NodeKey, SubnetKey
from icws_canister_mock.replica.limits import RANGES_PER_SHARD
from icws_canister_mock.replica.routing import CanisterRange, RoutingTable
from icws_canister_mock.replica.slot import Slot
from icws_secure.wire.cbor import encode_self_described
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["SubnetInfo", "canister_tree", "metrics", "ranges_tree", "shard_labels", "subnets_tree"]


@dataclass(frozen=True, slots=True)
class SubnetInfo:
    """What all subnets know of one.

    Attributes:
        type: ``system`` or ``application``.
        nodes: the keys of its nodes.
    """

    name: str
    type: str
    key: SubnetKey
    nodes: tuple[NodeKey, ...]

    @property
    def id(self) -> Principal:
        """The principal of the subnet's key."""
        return self.key.principal


def subnets_tree(subnets: Sequence[SubnetInfo], routing: RoutingTable, own: Principal) -> MerkleMap:
    """What is below ``/subnet``. A subnet's nodes are in its own tree only."""
    tree = MerkleMap()
    for subnet in subnets:
        entry = (
            MerkleMap()
            .insert(b"canister_ranges", _encode_ranges(routing.ranges_of(subnet.id)))
            .insert(b"public_key", subnet.key.public_key.der)
            .insert(b"type", subnet.type.encode())
        )
        if subnet.id == own:
            nodes = MerkleMap()
            for node in subnet.nodes:
                key = MerkleMap().insert(b"public_key", node.public_key.der)
                nodes = nodes.insert(node.principal.raw, key)
            entry = entry.insert(b"node", nodes)
        tree = tree.insert(subnet.id.raw, entry)
    return tree


def ranges_tree(subnets: Sequence[SubnetInfo], routing: RoutingTable) -> MerkleMap:
    """What is below ``/canister_ranges``: each subnet's ranges in shards, labelled by the first id of each."""
    tree = MerkleMap()
    for subnet in subnets:
        shards = MerkleMap()
        for shard in _shards(routing.ranges_of(subnet.id)):
            shards = shards.insert(shard[0].low.raw, _encode_ranges(shard))
        tree = tree.insert(subnet.id.raw, shards)
    return tree


def shard_labels(ranges: Sequence[CanisterRange]) -> list[bytes]:
    """The labels of a subnet's shards, in order."""
    return [shard[0].low.raw for shard in _shards(ranges)]


def canister_tree(slot: Slot, old: MerkleMap) -> MerkleMap:
    """What is below ``/canister/<id>``."""
    new = old.insert(b"certified_data", slot.certified_data)
    if not slot.changed:
        return new
    new = MerkleMap().insert(b"certified_data", slot.certified_data)
    new = new.insert(b"controllers", encode_self_described([controller.raw for controller in slot.controllers]))
    new = new.insert(b"canister_creation_timestamp", encode_unsigned(slot.created_ns))
    if slot.canister is None or slot.module_hash is None:
        return new
    new = new.insert(b"module_hash", slot.module_hash)
    new = new.insert(b"last_install_timestamp", encode_unsigned(slot.installed_ns))
    metadata = MerkleMap()
    # What is private is in the tree too; who may read it is for those to say who answer.
    for name, value in {**slot.canister.private_metadata, **slot.canister.metadata}.items():
        metadata = metadata.insert(name.encode(), value)
    return new.insert(b"metadata", metadata) if metadata else new


def metrics(*, canisters: int, updates: int) -> bytes:
    """The value at ``/subnet/<id>/metrics``; what the emulator does not measure is 0."""
    return encode_self_described(
        {
            "num_canisters": canisters,
            "canister_state_bytes": 0,
            "consumed_cycles_total": {"current": 0, "deleted": 0},
            "update_transactions_total": updates,
        }
    )


def _shards(ranges: Sequence[CanisterRange]) -> list[Sequence[CanisterRange]]:
    return [ranges[start : start + RANGES_PER_SHARD] for start in range(0, len(ranges), RANGES_PER_SHARD)]


def _encode_ranges(ranges: Sequence[CanisterRange]) -> bytes:
    return encode_self_described([[entry.low.raw, entry.high.raw] for entry in ranges])
