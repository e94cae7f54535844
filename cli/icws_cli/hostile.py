"""``icws hostile``: the hostile gateway, with the keys of a local replica whose seed is told."""

from __future__ import annotations

import hashlib

from icws_canister_mock.replica import Replica, ReplicaConfig
from icws_canister_mock.replica.forge import ReplicaForge, forge_for
from icws_conformance.hostile.cli import hostile_command

__all__ = ["app"]


def forge_of(seed: str) -> ReplicaForge:
    """The keys of the replica that was started with ``--seed``: the same text gives the same keys.

    Args:
        seed: any text.
    """
    return forge_for(Replica(ReplicaConfig(seed=hashlib.sha256(seed.encode()).digest())))


app = hostile_command(forge_of)
