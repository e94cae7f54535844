"""Attacks on single messages: what is shown is not what the canister certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.target import CertifiedMessage, Target, split
from icws_secure.limits import NS_PER_S
from icws_secure.wire.frames import GatewayFrame
from icws_secure.wire.hashtree import Labeled, Leaf, digest, encode_tree
from icws_secure.wire.message import decode_message
from icws_secure.wire.principal import Principal

__all__ = ["EachMessage", "altered_content", "altered_witness", "certificate_of", "leaf_at_the_label", "renamed_key"]

Change = Callable[[Wire, CertifiedMessage], CertifiedMessage]


class EachMessage(Attack):
    """Shows struck messages as ``change`` makes them, all others as they came."""

    def __init__(self, name: str, target: Target, change: Change) -> None:
        super().__init__()
        self.name = name
        self.target = target
        self.change = change

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        messages = list(split(frame))
        if not messages:
            await wire.to_client(frame)
        for message in messages:
            if self.target.hit(message):
                self.struck += 1
                await wire.to_client(self.change(wire, message).frame(frame))
            else:
                await wire.to_client(message.frame(frame))


def altered_content(target: Target) -> Attack:
    """Other text under the certificate of the real one."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        forged = replace(decoded, content=decoded.content + b" and 1000 more")
        return replace(message, content=forged.encode())

    return EachMessage("altered content", target, change)


def altered_witness(target: Target) -> Attack:
    """Other text, with a witness that fits it, under a certificate that does not."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        content = replace(decoded, content=decoded.content[::-1] + b"!").encode()
        tree = Labeled(b"websocket", Labeled(message.key.encode(), Leaf(sha256(content).digest())))
        return replace(message, content=content, tree=encode_tree(tree))

    return EachMessage("altered witness", target, change)


def leaf_at_the_label(target: Target, forge: Forge, canister_id: Principal) -> Attack:
    """A certified tree whose leaf is the label ``websocket`` itself, the place that deployed clients fall back to."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        content = replace(decoded, content=b"anything").encode()
        tree = Labeled(b"websocket", Leaf(sha256(content).digest()))
        cert = forge.certificate(
            canister_id=canister_id, certified_data=digest(tree), time_ns=forge.now(), subnet=Subnet.OWN
        )
        return CertifiedMessage(message.key, content, cert, encode_tree(tree))

    return EachMessage("leaf at the label", target, change)


def renamed_key(target: Target) -> Attack:
    """A genuine message under another gateway's name."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        other = Principal.self_authenticating(b"another gateway").to_text()
        return replace(message, key=other + message.key[-21:])

    return EachMessage("renamed key", target, change)


def certificate_of(
    name: str,
    target: Target,
    forge: Forge,
    canister_id: Principal,
    *,
    subnet: Subnet,
    offset_ns: int = 0,
) -> Attack:
    """Forged text in a well-made tree, certified by somebody who may not, or at a wrong time.

    Args:
        name: what the attack is called.
        target: which messages it strikes.
        forge: makes the certificate.
        canister_id: the canister that the certificate speaks of; another one's for "certificate of another canister".
        subnet: whose key signs.
        offset_ns: added to the present time, ns.
    """

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        time_ns = forge.now() + offset_ns
        timestamp = min(decoded.timestamp_ns, time_ns - NS_PER_S)
        content = replace(decoded, content=b"forged", timestamp_ns=timestamp).encode()
        tree = Labeled(b"websocket", Labeled(message.key.encode(), Leaf(sha256(content).digest())))
        cert = forge.certificate(canister_id=canister_id, certified_data=digest(tree), time_ns=time_ns, subnet=subnet)
        return CertifiedMessage(message.key, content, cert, encode_tree(tree))

    return EachMessage(name, target, change)
