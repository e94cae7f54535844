"""Delivery: each client is shown its own messages, with a witness that fits; one that does not read harms nobody."""

from __future__ import annotations

import asyncio
import hashlib
import socket as sockets
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.scripted import ScriptedCanister, tell
from icws_conformance.gateways.stage import GatewayCase, Stage
from icws_secure.errors import IcwsError
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.frames import MessagesFrame
from icws_secure.wire.hashtree import Found, decode_tree, digest, list_labels, lookup
from icws_secure.wire.principal import Principal

__all__ = ["DELIVERY", "push"]

_MIB: Final = 1 << 20
_PIECE: Final = 256 << 10
_SMALL_BUFFER: Final = 64 << 10
_SEVERAL: Final = 30


def push(stage: Stage, peer: Peer, count: int, size: int = 0) -> None:
    """Have a scripted canister send messages to a client."""
    key = peer.key
    wish = [key.client_principal.raw, key.client_nonce, count, size]
    tell(stage.gateway.world.replica, peer.canister, push=wish)


async def _own_messages_only(stage: Stage) -> Finding:
    canister = stage.canister()
    one = await stage.peer("first client", canister=canister)
    two = await stage.peer("second client", canister=canister)
    await asyncio.gather(one.open(), two.open())
    for number in range(5):
        await one.say(b"one %d" % number)
        await two.say(b"two %d" % number)
    await one.until(lambda: len(one.messages) >= 6, "six messages")
    await two.until(lambda: len(two.messages) >= 6, "six messages")
    for peer in (one, two):
        _only_own(stage, peer)
    return Finding("each client is shown its own messages and no others")


async def _own_messages_of_a_full_poll(stage: Stage) -> Finding:
    canister = stage.canister(ScriptedCanister())
    one = await stage.peer("first client", modern=True, canister=canister)
    two = await stage.peer("second client", canister=canister)
    await asyncio.gather(one.open(), two.open())
    for peer in (one, two, one):
        push(stage, peer, _SEVERAL)
    await one.until(lambda: len(one.messages) > 2 * _SEVERAL, "all messages of the first client")
    await two.until(lambda: len(two.messages) > _SEVERAL, "all messages of the second client")
    for peer in (one, two):
        _only_own(stage, peer)
    return Finding("each client is shown its own messages and no others, over and without the subprotocol")


def _only_own(stage: Stage, peer: Peer) -> None:
    own = {key.encode() for key, _, _, _ in peer.messages}
    for message in peer.contents:
        if message.client_key != peer.key:
            stage.blame("gateway", "a message of another client")
            raise Failed("a client was given another's message")
    for _, _, _, tree in peer.messages:
        others = set(list_labels(decode_tree(tree), [b"websocket"])) - own
        if others:
            stage.blame("gateway", f"the witness shows {sorted(others)[0].decode(errors='replace')}")
            raise Failed("a witness shows another client's messages")


async def _witness_fits(stage: Stage, *, modern: bool) -> Finding:
    peer = await stage.peer(modern=modern)
    await peer.open()
    for number in range(5):
        await peer.say(b"%d" % number)
        if not modern:  # whether calls of deployed clients overtake each other is another case's question
            await _came(peer, number + 2)
    await _came(peer, 6)
    for key, content, certificate, witness in peer.messages:
        _fits(peer.canister, key, content, certificate, witness)
    shared = [frame for frame in peer.frames if isinstance(frame, MessagesFrame)]
    return Finding(f"{len(peer.messages)} messages with their witnesses, {len(shared)} frames of several")


async def _came(peer: Peer, count: int) -> None:
    await peer.until(lambda: len(peer.messages) >= count, f"{count} messages")


def _fits(canister: Principal, key: str, content: bytes, certificate: bytes, witness: bytes) -> None:
    try:
        tree = decode_tree(witness)
        shown = lookup(decode_certificate(certificate).tree, (b"canister", canister.raw, b"certified_data"))
    except IcwsError as error:
        raise Failed(f"certificate or witness cannot be read: {error}") from error
    if shown != Found(digest(tree)):
        raise Failed("the witness' root is not what the certificate shows")
    if lookup(tree, (b"websocket", key.encode())) != Found(hashlib.sha256(content).digest()):
        raise Failed("a witness does not show the message that it comes with")


async def _modern_witness(stage: Stage) -> Finding:
    return await _witness_fits(stage, modern=True)


async def _deployed_witness(stage: Stage) -> Finding:
    return await _witness_fits(stage, modern=False)


async def _big(stage: Stage) -> Finding:
    peer = await stage.peer(canister=stage.canister(ScriptedCanister()))
    await peer.open()
    push(stage, peer, 20, 200 << 10)
    await peer.until(lambda: len(peer.messages) >= 21, "twenty messages of 200 KiB", 20)
    return Finding("twenty messages of 200 KiB, which fit into no single poll")


async def _slow_reader(stage: Stage) -> Finding:
    canister = stage.canister(ScriptedCanister())
    slow = await stage.peer("client that does not read", canister=canister)
    other = await stage.peer("other client", canister=canister)
    await asyncio.gather(slow.open(), other.open())
    slow.socket.transport.get_extra_info("socket").setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, _SMALL_BUFFER)
    slow.pause()
    pieces = stage.gateway.bounds["backlog-mib"] * _MIB // _PIECE
    process = stage.gateway.process
    before = process.memory_bytes() if process is not None else None
    for _ in range(4):
        push(stage, slow, pieces // 4, _PIECE)
        await stage.goes_on(other, "another client's echo, while one does not read", 12)
    after = process.memory_bytes() if process is not None else None
    slow.resume()
    await _settled(slow)
    came = len(slow.messages) - 1
    if slow.closed is None and came >= pieces:
        grown = None if before is None or after is None else (after - before) // _MIB
        held = f"; its memory grew by {grown} MiB" if grown is not None else ""
        if grown is None or grown * 2 > stage.gateway.bounds["backlog-mib"]:
            stage.blame("gateway", f"all {came} messages came after the client had not read{held}")
            raise Failed(f"{pieces * _PIECE // _MIB} MiB waited for a client that did not read{held}")
    how = f"closed with {slow.ending}" if slow.closed is not None else "kept"
    return Finding(f"the other client went on; the one that did not read was {how}, after {came} of {pieces} messages")


async def _settled(peer: Peer, limit_s: float = 12.0) -> None:
    """Wait until nothing more comes."""
    seen, quiet = -1, 0
    for _ in range(int(limit_s / 0.25)):
        if peer.closed is not None or quiet > 6:
            return
        quiet = quiet + 1 if seen == len(peer.frames) else 0
        seen = len(peer.frames)
        await asyncio.sleep(0.25)


DELIVERY: Final = (
    GatewayCase(
        "delivery/own-messages-only",
        "two clients of one canister",
        ("GWY-008",),
        "each is shown its own messages only",
        _own_messages_only,
        "each client sees the others' traffic",
    ),
    GatewayCase(
        "delivery/own-of-a-full-poll",
        "many messages of two clients in one poll",
        ("GWY-008",),
        "each is shown its own messages only",
        _own_messages_of_a_full_poll,
        "each client sees the others' traffic",
    ),
    GatewayCase(
        "delivery/fitting-witness",
        "messages over the subprotocol",
        ("GWY-008", "GWY-007"),
        "each with a witness that fits",
        _modern_witness,
        "honest clients refuse what they are given",
    ),
    GatewayCase(
        "delivery/fitting-witness-omnia",
        "messages without the subprotocol",
        ("GWY-008", "GWY-007"),
        "each with a witness that fits",
        _deployed_witness,
        "honest clients refuse what they are given",
    ),
    GatewayCase(
        "delivery/big-messages",
        "more bytes than a poll holds",
        ("GWY-006",),
        "all are delivered",
        _big,
        "one client's large messages block all clients of the gateway",
    ),
    GatewayCase(
        "delivery/slow-reader",
        "a client does not read",
        ("GWY-018", "GWY-012"),
        "other clients go on, and what waits for it is bounded",
        _slow_reader,
        "one client stalls its canister for all others, or fills the gateway's memory",
        90,
    ),
)
