"""Clients that leave: what the canister is told."""

from __future__ import annotations

import asyncio
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.peer import Peer, SecurePeer
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Play, Stage
from icws_secure.errors import IcwsError
from icws_secure.wire.interface import decode_close_argument

__all__ = ["LEAVING", "closed_attaches"]


def closed_attaches(stage: Stage, peer: Peer) -> list[int | None]:
    """The attach numbers that calls of ``ws_close`` for a client name.

    Raises:
        Failed: one of them is no call of ``ws_close``.
    """
    try:
        return [decode_close_argument(call.arg).attach for call in stage.gateway.closes_of(peer.key)]
    except IcwsError as error:
        raise Failed(f"the argument of ws_close cannot be read: {error}") from error


def _tells(*, vanish: bool) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer()
        await peer.open()
        await (peer.vanish() if vanish else peer.leave())
        await peer.until(lambda: stage.gateway.closes_of(peer.key), "a ws_close for the client that left")
        return Finding("ws_close for the client")

    return play


async def _names_the_attach(stage: Stage) -> Finding:
    peer = await stage.secure_peer()
    peer.attach = 6
    await peer.open()
    await peer.leave()
    await peer.until(lambda: stage.gateway.closes_of(peer.key), "a ws_close for the client that left")
    named = closed_attaches(stage, peer)
    if named != [peer.attach]:
        stage.blame("IC", f"ws_close names attach {named}")
        raise Failed(f"ws_close names attach {named}, and the session's was {peer.attach}")
    return Finding(f"ws_close with attach {peer.attach}")


async def _never_a_later_attach(stage: Stage) -> Finding:
    old = await stage.secure_peer("first connection")
    await old.open()
    new: SecurePeer = await stage.secure_peer("second connection, same session", like=old)
    await new.open()
    await old.refused("a higher attach took its place")
    await asyncio.sleep(QUIET_S)
    named = closed_attaches(stage, old)
    if any(attach is None or attach > old.attach for attach in named):
        stage.blame("IC", f"ws_close names attach {named}")
        raise Failed("the old connection's end was told in a way that detaches the new one")
    await stage.goes_on(new, "an echo for the second connection")
    return Finding("the second connection is served" + (f"; ws_close named attach {named}" if named else ""))


async def _not_before_its_calls(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    envelope = await peer.say(b"last words")
    await peer.leave()
    await peer.until(lambda: stage.gateway.closes_of(peer.key), "a ws_close for the client that left")
    calls = stage.gateway.calls
    said = [n for n, call in enumerate(calls) if call.content.request_id == envelope.content.request_id]
    told = [
        n for n, call in enumerate(calls) if call.content.request_id == stage.gateway.closes_of(peer.key)[0].request_id
    ]
    if said and said[0] > told[0]:
        raise Failed("the canister was told that the client left before its last message was relayed")
    return Finding(
        "its last message was relayed first" if said else "its last message was lost, and was not relayed later"
    )


LEAVING: Final = (
    GatewayCase(
        "leaving/closes",
        "a client leaves",
        ("GWY-013",),
        "ws_close is called",
        _tells(vanish=False),
        "queues grow for clients that are gone",
    ),
    GatewayCase(
        "leaving/vanishes",
        "a client's connection is cut",
        ("GWY-013",),
        "ws_close is called",
        _tells(vanish=True),
        "queues grow for clients that are gone",
    ),
    GatewayCase(
        "leaving/names-the-attach",
        "a client of a secure session leaves",
        ("GWY-013",),
        "ws_close with its attach",
        _names_the_attach,
        "a late ws_close detaches a session that has long been attached again",
    ),
    GatewayCase(
        "leaving/superseded",
        "a connection whose place was taken ends",
        ("GWY-013", "GWY-003"),
        "no ws_close that concerns the new one",
        _never_a_later_attach,
        "a late ws_close detaches a session that has long been attached again",
    ),
    GatewayCase(
        "leaving/last-words",
        "a client leaves right after a message",
        ("GWY-009", "GWY-013"),
        "the message before ws_close, or not at all",
        _not_before_its_calls,
        "the canister closes the client over its last message",
    ),
)
