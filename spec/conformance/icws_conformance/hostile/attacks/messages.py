"""Attacks on single messages: what is shown is not what the canister certified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256

from icws_conformance.hostile.attack import Attack, MessageAttack
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.target import CertifiedMessage, Target
from icws_conformance.hostile.wrapping import in_the_form_of
from icws_secure.limits import NS_PER_S
from icws_secure.wire.frames import GatewayFrame
from icws_secure.wire.hashtree import Fork, HashTree, Labeled, Leaf, digest, encode_tree
from icws_secure.wire.message import decode_message
from icws_secure.wire.principal import Principal

__all__ = [
    "EachMessage",
    "altered_content",
    "altered_witness",
    "ambiguous_witness",
    "certificate_of",
    "leaf_at_the_label",
    "recertified",
    "renamed_key",
]

Change = Callable[[Wire, CertifiedMessage], CertifiedMessage]

_SALT = bytes(16)


class EachMessage(MessageAttack):
    """Shows struck messages as ``change`` makes them, all others as they came.

    Args:
        name: what the attack is called.
        target: which messages it strikes.
        change: gives what is shown instead.
    """

    def __init__(self, name: str, target: Target, change: Change) -> None:
        super().__init__()
        self.name = name
        self.target = target
        self.change = change

    async def from_canister(self, wire: Wire, frame: GatewayFrame, message: CertifiedMessage) -> None:
        if self.target.hit(message):
            self.struck += 1
            await wire.to_client(self.change(wire, message).frame(frame))
        else:
            await wire.to_client(message.frame(frame))


def altered_content(target: Target) -> Attack:
    """Other text under the certificate of the real one."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        return replace(message, content=replace(decoded, content=decoded.content + b" and 1000 more").encode())

    return EachMessage("altered content", target, change)


def altered_witness(target: Target) -> Attack:
    """Other text, with a witness that fits it, under a certificate that does not."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        content = _forged(message)
        return replace(message, content=content, tree=encode_tree(_tree(message.key, content)))

    return EachMessage("altered witness", target, change)


def leaf_at_the_label(target: Target, forge: Forge, canister_id: Principal) -> Attack:
    """A certified tree whose leaf is the label ``websocket`` itself, the place that deployed clients fall back to."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        content = _forged(message)
        return _certified(message.key, content, Labeled(b"websocket", _leaf(content)), forge, canister_id)

    return EachMessage("leaf at the label", target, change)


def ambiguous_witness(target: Target, forge: Forge, canister_id: Principal) -> Attack:
    """A certified tree that has the message's key twice: a digest that is right, and two readings."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        content = _forged(message)
        key = message.key.encode()
        both = Fork(Labeled(key, _leaf(content)), Labeled(key, _leaf(message.content)))
        return _certified(message.key, content, Labeled(b"websocket", both), forge, canister_id)

    return EachMessage("ambiguous witness", target, change)


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
    ahead_ns: int = -NS_PER_S,
    delegation_age_ns: int = 0,
) -> Attack:
    """Forged text in a well-made tree, certified by somebody who may not, or at a wrong time.

    Args:
        name: what the attack is called.
        target: which messages it strikes.
        forge: makes the certificate.
        canister_id: the canister that the certificate speaks of; another one's for "certificate of another canister".
        subnet: whose key signs.
        offset_ns: added to the present time for the certificate's, ns.
        ahead_ns: the message's time after the certificate's, ns.
        delegation_age_ns: age of the subnet's delegation, ns; 0 takes the present one.
    """

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        time_ns = forge.now() + offset_ns
        content = _forged(message, timestamp_ns=time_ns + ahead_ns)
        tree = _tree(message.key, content)
        cert = forge.certificate(
            canister_id=canister_id,
            certified_data=digest(tree),
            time_ns=time_ns,
            subnet=subnet,
            delegation_age_ns=delegation_age_ns,
        )
        return CertifiedMessage(message.key, content, cert, encode_tree(tree))

    return EachMessage(name, target, change)


def recertified(key: str, content: bytes, forge: Forge, canister_id: Principal, subnet: Subnet) -> CertifiedMessage:
    """A message in a well-made tree, certified now by ``subnet``."""
    tree = _tree(key, content)
    cert = forge.certificate(canister_id=canister_id, certified_data=digest(tree), time_ns=forge.now(), subnet=subnet)
    return CertifiedMessage(key, content, cert, encode_tree(tree))


def _forged(message: CertifiedMessage, timestamp_ns: int | None = None) -> bytes:
    """The message's place in the stream with another text."""
    decoded = decode_message(message.content)
    time_ns = decoded.timestamp_ns if timestamp_ns is None else timestamp_ns
    return replace(
        decoded,
        content=in_the_form_of(decoded.content, b"forged"),
        timestamp_ns=time_ns,
        is_service_message=False,
        salt=_SALT,
    ).encode()


def _leaf(content: bytes) -> Leaf:
    return Leaf(sha256(content).digest())


def _tree(key: str, content: bytes) -> HashTree:
    return Labeled(b"websocket", Labeled(key.encode(), _leaf(content)))


def _certified(key: str, content: bytes, tree: HashTree, forge: Forge, canister_id: Principal) -> CertifiedMessage:
    """A message under a tree that the canister's own subnet certifies: what a hostile canister could publish."""
    cert = forge.certificate(
        canister_id=canister_id, certified_data=digest(tree), time_ns=forge.now(), subnet=Subnet.OWN
    )
    return CertifiedMessage(key, content, cert, encode_tree(tree))
