"""Bounds: what one client or one address can have of the gateway.

The specification leaves most numbers to the operator. A gateway is held to those of
:data:`~icws_conformance.gateways.under_test.BOUNDS`, or to what ``--bound`` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from icws_conformance.case import Failed, Finding, Inconclusive
from icws_conformance.gateways.cases.opening import of_the_table
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.stage import GatewayCase, Stage
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope

__all__ = ["BOUND_CASES"]

_AT_ONCE: Final = 16
_FLOOD_S: Final = 20.0
_CALLS: Final = 100
_SETTLE_S: Final = 1.5
_BOUND_CODES: Final = (CloseCode.TOO_MANY_CONNECTIONS, CloseCode.RATE_LIMITED)


async def _open_time(stage: Stage) -> Finding:
    limit = stage.gateway.bounds["open-s"]
    peer = await stage.peer()
    await peer.handshake()
    began = time.monotonic()
    await peer.refused("it opened nothing", limit)
    how = of_the_table(peer, (CloseCode.OPEN_TIMEOUT,), "a client that opens nothing", stage)
    return Finding(f"closed with {how}, after {time.monotonic() - began:.0f} s")


async def _frames(stage: Stage) -> Finding:
    count = stage.gateway.bounds["frames"]
    peer, other = await stage.peer("client that floods"), await stage.peer("other client")
    await asyncio.gather(peer.open(), other.open())
    freed = asyncio.Event()
    stage.stack.callback(freed.set)
    flood = peer.message(b"hello")

    async def hold(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if envelope is not None and envelope.content.request_id == flood.content.request_id:
            await freed.wait()
        return await fetch()

    stage.gateway.answer = hold
    sender = asyncio.create_task(_flood(peer, flood, count))
    stage.stack.callback(sender.cancel)
    await stage.goes_on(other, "another client's echo, while one floods", 15)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FLOOD_S):
            await asyncio.shield(sender)
    if peer.closed is not None:
        if peer.code is None:
            return Finding("the connection was cut")
        how = of_the_table(peer, (CloseCode.RATE_LIMITED,), f"a client that sent up to {count} frames at once", stage)
        return Finding(f"closed with {how}")
    if not sender.done():
        return Finding("it stopped reading from the client")
    stage.blame("gateway", f"it answered a ping behind {count} frames")
    raise Failed(f"{count} frames of one client were read within {sender.result():.1f} s, and nothing came of it")


async def _flood(peer: Peer, envelope: Envelope, count: int) -> float:
    """Send one envelope many times, and then a ping; return how long it took until that was answered."""
    began = time.monotonic()
    frame = peer.frame_of(envelope)
    try:
        for _ in range(count):
            await peer.socket.send(frame)
        await (await peer.socket.ping())
    except ConnectionClosed as closed:
        peer.closed = peer.closed or closed
    return time.monotonic() - began


async def _calls(stage: Stage) -> Finding:
    limit = stage.gateway.bounds["calls"]
    peer, other = await stage.secure_peer("client with many calls"), await stage.peer("other client")
    await asyncio.gather(peer.open(), other.open())
    freed = asyncio.Event()
    stage.stack.callback(freed.set)
    under_way: set[bytes] = set()
    most = 0

    async def hold(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal most
        if envelope is None or envelope.content.sender != peer.identity.principal or not path.endswith("/call"):
            return await fetch()
        under_way.add(envelope.content.request_id)
        most = max(most, len(under_way))
        await freed.wait()
        under_way.discard(envelope.content.request_id)
        return await fetch()

    stage.gateway.answer = hold
    for number in range(_CALLS):
        await peer.say(b"%d" % number)
    await stage.goes_on(other, "another client's echo, while one has many calls")
    await asyncio.sleep(_SETTLE_S)
    freed.set()
    if most > limit:
        stage.blame("IC", f"{most} calls of one client were under way at once")
        raise Failed(f"{most} calls of one client were under way at once, and {limit} are the bound")
    return Finding(f"at most {most} calls of one client at once")


async def _connections(stage: Stage) -> Finding:
    count = stage.gateway.bounds["connections"]
    kept: list[ClientConnection] = []
    refusals: list[str] = []
    room = asyncio.Semaphore(_AT_ONCE)

    async def one() -> None:
        async with room:
            if refusals:
                return
            try:
                socket = await stage.try_socket()
            except InvalidStatus as error:
                refusals.append(f"HTTP status {error.response.status_code}")
            except (OSError, WebSocketException) as error:
                refusals.append(f"no connection: {type(error).__name__}")
            else:
                kept.append(socket)
                with contextlib.suppress(ConnectionClosed):
                    await socket.recv()
                    return
                refusals.append(_ending(socket))

    try:
        await asyncio.gather(*(one() for _ in range(count)))
    except OSError as error:
        raise Inconclusive(f"this machine has no room for so many connections: {error}") from error
    finally:
        await asyncio.gather(*(socket.close() for socket in kept))
    if not refusals:
        stage.blame("gateway", f"{count} connections of one address were kept")
        raise Failed(f"{count} connections of one address were kept, and none was refused")
    wanted = {f"{int(code)} {code.label}" for code in _BOUND_CODES}
    if refusals[0][:1] == "4" and not any(refusals[0].startswith(words) for words in wanted):
        raise Failed(f"closed with {refusals[0]}, which does not say that there are too many connections")
    await _welcome_again(stage)
    return Finding(f"after {len(kept)} connections: {refusals[0]}; later clients were served again")


def _ending(socket: ClientConnection) -> str:
    return f"{socket.close_code} {socket.close_reason or ''}".strip()


async def _welcome_again(stage: Stage) -> None:
    """Wait until the gateway takes clients again."""
    end = time.monotonic() + 30
    while True:
        peer = await stage.peer("later client")
        try:
            await peer.open()
        except Failed:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(1)
        else:
            return


_EXHAUSTS: Final = "one address or client exhausts the gateway"
BOUND_CASES: Final = (
    GatewayCase(
        "bounds/open-time",
        "a client opens nothing",
        ("GWY-018", "GWY-011"),
        "closed with 4408 OpenTimeout",
        _open_time,
        _EXHAUSTS,
        90,
    ),
    GatewayCase(
        "bounds/calls",
        "a secure client sends a hundred messages while the IC does not answer",
        ("GWY-018",),
        "few of its calls are under way",
        _calls,
        _EXHAUSTS,
        60,
    ),
    GatewayCase(
        "bounds/frames",
        "a client sends thousands of frames at once",
        ("GWY-018", "GWY-011"),
        "closed with 4429 RateLimited, or no longer read",
        _frames,
        _EXHAUSTS,
        60,
    ),
    GatewayCase(
        "bounds/connections",
        "an address makes many connections",
        ("GWY-018", "GWY-011"),
        "refused from some number on, with a code that says so",
        _connections,
        _EXHAUSTS,
        120,
    ),
)
