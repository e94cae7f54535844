"""All attacks by name: what each would gain, what answers it, and how the answer is recognised."""

from __future__ import annotations

from typing import Final

from icws_conformance.hostile.catalogue import calls, frames, messages, nodes, opens, receipts, streams
from icws_conformance.hostile.catalogue.entry import AttackEntry, NodeEntry, Play, Profile, Scene, Stage

__all__ = ["CATALOGUE", "NODE_CATALOGUE", "AttackEntry", "NodeEntry", "Play", "Profile", "Scene", "Stage"]

CATALOGUE: Final[dict[str, AttackEntry]] = {
    entry.name: entry for part in (messages, streams, opens, calls, receipts, frames) for entry in part.entries()
}
"""Attacks of a gateway."""

NODE_CATALOGUE: Final[dict[str, NodeEntry]] = {entry.name: entry for entry in nodes.entries()}
"""Attacks of a boundary node, between client and IC."""
