"""Secure sessions: which open takes a connection's place, and heads."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.cases.opening import forged, of_the_table
from icws_conformance.gateways.peer import Peer, SecurePeer
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Play, Stage
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_delegation
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Delegation, Envelope
from icws_secure.wire.hashtree import Found, decode_tree, lookup

__all__ = ["ATTACHING"]

_HEAD_S: Final = 10.0
_GRACE_S: Final = 2.0


async def _converses(stage: Stage) -> Finding:
    peer = await stage.secure_peer()
    await peer.open()
    for _ in range(3):
        await stage.goes_on(peer, "an echo")
    numbers = [message.sequence_num for message in peer.contents]
    if numbers != [0, 1, 2, 3]:
        raise Failed(f"these messages came: {numbers}")
    return Finding("an attach message and three echoes")


async def _connected_key(stage: Stage) -> Finding:
    peer, thief = await stage.peer("client"), await stage.peer("second connection")
    await peer.open()
    thief.identity, thief.key = peer.identity, peer.key
    await thief.send(await thief.open_envelope())
    code = await thief.refused("its client key is connected")
    await stage.goes_on(peer, "the first connection's echo")
    return Finding(f"closed with {code}; the first connection stays")


async def _connected_key_code(stage: Stage) -> Finding:
    peer, thief = await stage.peer("client"), await stage.peer("second connection")
    await peer.open()
    thief.identity, thief.key = peer.identity, peer.key
    await thief.send(await thief.open_envelope())
    await thief.refused("its client key is connected")
    how = of_the_table(thief, (CloseCode.CLIENT_KEY_CONNECTED,), "its client key is connected", stage)
    return Finding(f"closed with {how}")


async def _forged_for_connected(stage: Stage) -> Finding:
    peer, thief = await stage.peer("client"), await stage.peer("stranger")
    await peer.open()
    thief.identity, thief.key = peer.identity, peer.key
    await thief.send(forged(await thief.open_envelope()))
    code = await thief.refused("its open is forged")
    await stage.goes_on(peer, "the first connection's echo")
    return Finding(f"closed with {code}; the first connection stays")


async def _higher(stage: Stage) -> Finding:
    old = await stage.secure_peer("first connection")
    await old.open()
    new = await stage.secure_peer("second connection, same session", like=old)
    await new.open()
    how = await old.refused("a higher attach took its place")
    await stage.goes_on(new, "an echo for the second connection")
    return Finding(f"the first connection was closed with {how}; the second is served")


async def _higher_code(stage: Stage) -> Finding:
    old = await stage.secure_peer("first connection")
    await old.open()
    new = await stage.secure_peer("second connection, same session", like=old)
    await new.open()
    await old.refused("a higher attach took its place")
    return Finding(of_the_table(old, (CloseCode.SUPERSEDED,), "a higher attach took its place", stage))


def _not_above(difference: int, *, forge: bool = False) -> Play:
    async def play(stage: Stage) -> Finding:
        holder = await stage.secure_peer("first connection")
        holder.attach = 4
        await holder.open()
        other = await stage.secure_peer("second connection", like=holder)
        envelope = await other.open_envelope(attach=holder.attach + difference)
        await other.send(forged(envelope) if forge else envelope)
        code = await other.refused("its open does not take the connection's place")
        await stage.goes_on(holder, "the first connection's echo")
        return Finding(f"closed with {code}; the first connection stays")

    return play


async def _stale_code(stage: Stage) -> Finding:
    holder = await stage.secure_peer("first connection")
    await holder.open()
    other = await stage.secure_peer("second connection", like=holder)
    await other.send(await other.open_envelope(attach=holder.attach))
    await other.refused("its attach is not above the connected one")
    how = of_the_table(other, (CloseCode.STALE_ATTACH,), "its attach is not above the connected one", stage)
    return Finding(f"closed with {how}")


async def _delegated(peer: SecurePeer, *, valid: bool) -> Envelope:
    """A secure open whose session key lets another key sign for it."""
    inner = Ed25519Identity(secrets.token_bytes(32))
    link = sign_delegation(peer.identity, Delegation(inner.public_key_der, time.time_ns() + 3600 * NS_PER_S))
    if not valid:
        link = replace(link, signature=bytes(64))
    content = (await peer.open_envelope()).content
    signature = inner.sign(b"\x0aic-request" + content.request_id)
    return Envelope(content, peer.identity.public_key_der, signature, (link,))


def _delegation(make: Callable[[SecurePeer], Awaitable[Envelope]], what: str) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.secure_peer()
        await peer.send(await make(peer))
        await peer.refused(f"its open carries {what}")
        await stage.nothing_reaches(peer)
        # [ICWS-GWY-020] the same answer to a chain that is valid and to one that is not: none was verified
        how = of_the_table(peer, (CloseCode.DELEGATION_NOT_ALLOWED,), f"a secure open with {what}", stage)
        return Finding(f"closed with {how}; nothing reached the IC")

    return play


async def _valid_chain(peer: SecurePeer) -> Envelope:
    return await _delegated(peer, valid=True)


async def _forged_chain(peer: SecurePeer) -> Envelope:
    return await _delegated(peer, valid=False)


async def _heads(stage: Stage) -> Finding:
    peer = await stage.secure_peer()
    await peer.open()
    times: list[float] = []
    for number in (1, 2):
        await _head(peer, number)
        times.append(time.monotonic())
    path = (b"icws", b"head", peer.identity.principal.raw)
    try:
        shown = [isinstance(lookup(decode_tree(head.tree), path), Found) for head in peer.heads]
    except IcwsError as error:
        raise Failed(f"a head's witness cannot be read: {error}") from error
    if not all(shown):
        stage.blame("gateway", "a head without the session's own entry")
        raise Failed("a head does not show the client's own session")
    return Finding(f"two heads, {times[1] - times[0]:.0f} s apart")


async def _head(peer: Peer, number: int) -> None:
    await peer.until(lambda: len(peer.heads) >= number, f"certified head number {number}", _HEAD_S + _GRACE_S)


async def _no_heads_for_others(stage: Stage) -> Finding:
    one = await stage.secure_peer("first session")
    two = await stage.secure_peer("second session")
    await asyncio.gather(one.open(), two.open())
    await _head(one, 1)
    await asyncio.sleep(QUIET_S)
    for head in one.heads:
        if isinstance(lookup(decode_tree(head.tree), (b"icws", b"head", two.identity.principal.raw)), Found):
            stage.blame("gateway", "a head of another session")
            raise Failed("a client was shown the head of another's session")
    return Finding("each session is shown its own head only")


_REPLACED: Final = "a stranger takes a live connection's place"
ATTACHING: Final = (
    GatewayCase(
        "attach/converses", "a secure session", ("GWY-004", "GWY-005"), "attach message and echoes", _converses
    ),
    GatewayCase(
        "attach/connected-key",
        "an omnia/1 open for a client key that is connected",
        ("GWY-003",),
        "refused",
        _connected_key,
        _REPLACED,
    ),
    GatewayCase(
        "attach/forged-for-connected",
        "a forged open for a client key that is connected",
        ("GWY-003", "GWY-002"),
        "refused; the connection stays",
        _forged_for_connected,
        _REPLACED,
    ),
    GatewayCase(
        "attach/higher",
        "an open with a higher attach",
        ("GWY-003",),
        "takes the connection's place",
        _higher,
        "a phone that changed networks is locked out until the old connection times out",
    ),
    GatewayCase("attach/equal", "an open with the same attach", ("GWY-003",), "refused", _not_above(0), _REPLACED),
    GatewayCase("attach/lower", "an open with a lower attach", ("GWY-003",), "refused", _not_above(-2), _REPLACED),
    GatewayCase(
        "attach/forged-higher",
        "a forged open with a higher attach",
        ("GWY-003", "GWY-002"),
        "refused",
        _not_above(1, forge=True),
        _REPLACED,
    ),
    GatewayCase(
        "attach/delegated",
        "a secure open with a delegation",
        ("GWY-020",),
        "refused as DelegationNotAllowed",
        _delegation(_valid_chain, "a delegation"),
        "long chains keep the gateway busy",
    ),
    GatewayCase(
        "attach/delegated-forged",
        "a secure open with a delegation that is not valid",
        ("GWY-020",),
        "refused as DelegationNotAllowed: no signature was looked at",
        _delegation(_forged_chain, "a forged delegation"),
        "long chains keep the gateway busy",
    ),
    GatewayCase(
        "attach/heads",
        "a secure session, for twenty seconds",
        ("GWY-017",),
        "its certified head every 5 to 10 s",
        _heads,
        "withholding is noticed late",
    ),
    GatewayCase(
        "attach/own-head-only",
        "two secure sessions",
        ("GWY-008",),
        "each is shown its own head only",
        _no_heads_for_others,
        "each client learns of others' sessions",
    ),
    GatewayCase(
        "codes/connected-key",
        "an open for a client key that is connected",
        ("GWY-011",),
        "closed with 4409 ClientKeyConnected",
        _connected_key_code,
    ),
    GatewayCase(
        "codes/superseded",
        "a higher attach takes a connection's place",
        ("GWY-011",),
        "closed with 4411 Superseded",
        _higher_code,
    ),
    GatewayCase(
        "codes/stale-attach", "an open with the same attach", ("GWY-011",), "closed with 4410 StaleAttach", _stale_code
    ),
)
