"""Attacks on the certified heads that gateways relay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import Wire
from icws_secure.errors import IcwsError
from icws_secure.wire.frames import GatewayFrame, HeadFrame
from icws_secure.wire.hashtree import Fork, HashTree, Labeled, Leaf, decode_tree, digest, encode_tree
from icws_secure.wire.head import SessionHead, decode_head
from icws_secure.wire.principal import Principal

__all__ = ["AlteredHead", "AnothersHead", "OldHead"]


class AlteredHead(Attack):
    """Says in the relayed head that nothing was sent, so that what it withholds is not missed.

    Args:
        forge: where another subnet is to certify the head; None keeps the genuine certificate.
        canister_id: the victim's canister.
    """

    name = "altered head"

    def __init__(self, forge: Forge | None, canister_id: Principal) -> None:
        super().__init__()
        self.forge = forge
        self.canister_id = canister_id

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame):
            self.struck += 1
            tree = _with_heads(decode_tree(frame.tree), lambda head: replace(head, next_out=1, next_in=1))
            cert = frame.cert
            if self.forge is not None:
                cert = self.forge.certificate(
                    canister_id=self.canister_id,
                    certified_data=digest(tree),
                    time_ns=self.forge.now(),
                    subnet=Subnet.OTHER,
                )
            frame = HeadFrame(cert, encode_tree(tree))
        await wire.to_client(frame)


class AnothersHead(Attack):
    """Shows the second victim the first one's head."""

    name = "another session's head"

    def __init__(self) -> None:
        super().__init__()
        self._stolen: HeadFrame | None = None

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        if wire.number == 0 and isinstance(frame, HeadFrame):
            self._stolen = frame

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame) and wire.number > 0 and self._stolen is not None:
            self.struck += 1
            frame = self._stolen
        await wire.to_client(frame)


class OldHead(Attack):
    """Shows the first head again and again, and hides the messages that later ones would tell of."""

    name = "old head"

    def observe(self, wire: Wire, frame: GatewayFrame) -> None:
        if isinstance(frame, HeadFrame):
            wire.notes.setdefault("head", frame)

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        kept = wire.notes.get("head")
        if isinstance(frame, HeadFrame) and isinstance(kept, HeadFrame):
            self.struck += frame is not kept
            await wire.to_client(kept)
        else:
            await wire.to_client(frame)


def _with_heads(tree: HashTree, change: Callable[[SessionHead], SessionHead]) -> HashTree:
    """The tree with every head in it changed."""
    if isinstance(tree, Fork):
        return Fork(_with_heads(tree.left, change), _with_heads(tree.right, change))
    if isinstance(tree, Labeled):
        return Labeled(tree.label, _with_heads(tree.tree, change))
    if isinstance(tree, Leaf):
        try:
            return Leaf(change(decode_head(tree.value)).encode())
        except IcwsError:
            return tree
    return tree
