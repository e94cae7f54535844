"""The first frame of a client, and what a gateway must not do before it has checked it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from websockets.exceptions import WebSocketException

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.scripted import ScriptedCanister, tell
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Play, Stage
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import ClientFrame
from icws_secure.wire.principal import ANONYMOUS, Principal

__all__ = ["OPENING", "STRANGER", "forged", "of_the_table"]

STRANGER: Final = Ed25519Identity(bytes(range(32)))
_Make = Callable[[Peer, Stage], Awaitable[Envelope | bytes | str]]
_HELD_S: Final = 1.5
_MALFORMED: Final = (CloseCode.MALFORMED_FRAME,)


def forged(good: Envelope) -> Envelope:
    """The envelope with one bit of its signature changed."""
    signature = good.sender_sig or b"\x00"
    return replace(good, sender_sig=signature[:-1] + bytes([signature[-1] ^ 1]))


def of_the_table(peer: Peer, allowed: tuple[CloseCode, ...], what: str, stage: Stage) -> str:
    """Code and reason with which the connection was closed, if they are as the table of the specification says.

    Raises:
        Failed: they are not.
    """
    wanted = " or ".join(f"{int(code)} {code.label}" for code in allowed)
    name = ""
    if peer.closed is not None and peer.closed.rcvd is not None:
        name = peer.closed.rcvd.reason.partition(":")[0]
    found = next((code for code in allowed if int(code) == peer.code), None)
    if found is None:
        stage.blame("gateway", f"closed with {peer.ending}")
        raise Failed(f"{what}: closed with {peer.ending}, and not with {wanted}")
    if name != found.label:
        stage.blame("gateway", f"closed with {peer.ending}")
        raise Failed(f"{what}: the reason of the close frame does not begin with {found.label}")
    return peer.ending


@dataclass(frozen=True)
class _BadOpen:
    name: str
    what: str
    requirements: tuple[str, ...]
    make: _Make
    codes: tuple[CloseCode, ...]


async def _forged(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return forged(await peer.open_envelope())


async def _another_key(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return replace(await peer.open_envelope(), sender_pubkey=STRANGER.public_key_der)


async def _anothers_name(peer: Peer, stage: Stage) -> Envelope:
    del stage
    good = await peer.open_envelope()
    content = good.content
    if not isinstance(content, CallContent):
        raise TypeError("an open is a call")
    return replace(good, content=replace(content, sender=STRANGER.principal))


async def _unsigned(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return replace(await peer.open_envelope(), sender_sig=None)


async def _anonymous(peer: Peer, stage: Stage) -> Envelope:
    del stage
    content = (await peer.open_envelope()).content
    if not isinstance(content, CallContent):
        raise TypeError("an open is a call")
    return Envelope(replace(content, sender=ANONYMOUS))


async def _message_first(peer: Peer, stage: Stage) -> Envelope:
    del stage
    await peer.handshake()
    return peer.message(b"hello")


async def _another_gateway(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return await peer.open_envelope(gateway=Principal.self_authenticating(b"another gateway"))


async def _expired(peer: Peer, stage: Stage) -> Envelope:
    return await peer.open_envelope(ingress_expiry_ns=stage.gateway.world.replica.time_ns - 60 * NS_PER_S)


async def _expiring_late(peer: Peer, stage: Stage) -> Envelope:
    return await peer.open_envelope(ingress_expiry_ns=stage.gateway.world.replica.time_ns + 3600 * NS_PER_S)


async def _no_argument(peer: Peer, stage: Stage) -> Envelope:
    del stage
    await peer.handshake()
    return peer.envelope("ws_open", b"DIDL")


async def _query(peer: Peer, stage: Stage) -> bytes:
    del stage
    frame = ClientFrame(await peer.open_envelope()).encode()
    return frame.replace(b"\x64call", b"\x65query")


async def _trailing(peer: Peer, stage: Stage) -> bytes:
    del stage
    return ClientFrame(await peer.open_envelope()).encode() + b"\x00"


def _data(data: bytes | str) -> _Make:
    async def make(peer: Peer, stage: Stage) -> bytes | str:
        del stage
        await peer.handshake()
        return data

    return make


_SIGNATURE: Final = (CloseCode.INVALID_SIGNATURE, CloseCode.SENDER_MISMATCH)
_BAD_OPENS: Final = (
    _BadOpen("forged", "an open with a wrong signature", ("GWY-002",), _forged, (CloseCode.INVALID_SIGNATURE,)),
    _BadOpen("with-anothers-key", "an open with another's key", ("GWY-002",), _another_key, _SIGNATURE),
    _BadOpen("in-anothers-name", "an open whose sender is another", ("GWY-002",), _anothers_name, _SIGNATURE),
    _BadOpen("unsigned", "an open without a signature", ("GWY-002",), _unsigned, (*_SIGNATURE, *_MALFORMED)),
    _BadOpen("anonymous", "an anonymous open", ("GWY-002",), _anonymous, (*_SIGNATURE, *_MALFORMED)),
    _BadOpen("with-a-message", "a message", ("GWY-002",), _message_first, (CloseCode.METHOD_NOT_ALLOWED,)),
    _BadOpen(
        "for-another-gateway",
        "an open that names another gateway",
        ("GWY-002",),
        _another_gateway,
        (CloseCode.GATEWAY_MISMATCH,),
    ),
    _BadOpen("expired", "an open that has expired", ("GWY-021", "GWY-002"), _expired, (CloseCode.INGRESS_EXPIRY,)),
    _BadOpen(
        "expiring-late",
        "an open that expires in an hour",
        ("GWY-021", "GWY-002"),
        _expiring_late,
        (CloseCode.INGRESS_EXPIRY,),
    ),
    _BadOpen("with-no-argument", "an open with an empty argument", ("GWY-002",), _no_argument, _MALFORMED),
    _BadOpen(
        "as-a-query",
        "an open as a query",
        ("GWY-002",),
        _query,
        (CloseCode.METHOD_NOT_ALLOWED, CloseCode.INVALID_SIGNATURE, *_MALFORMED),
    ),
    _BadOpen("with-a-tail", "an open and one byte more", ("GWY-012", "GWY-002"), _trailing, _MALFORMED),
    _BadOpen("with-text", "text", ("GWY-012", "GWY-002"), _data("hello"), _MALFORMED),
    _BadOpen("with-junk", "no CBOR", ("GWY-012", "GWY-002"), _data(b"\xff\xff"), _MALFORMED),
    _BadOpen("with-nothing", "empty", ("GWY-012", "GWY-002"), _data(b""), _MALFORMED),
    _BadOpen(
        "with-a-list",
        "a list where a map should be",
        ("GWY-012", "GWY-002"),
        _data(cbor.encode_self_described([{"envelope": {}}])),
        _MALFORMED,
    ),
    _BadOpen(
        "with-depth", "five thousand lists deep", ("GWY-012", "GWY-018"), _data(b"\x81" * 5000 + b"\x00"), _MALFORMED
    ),
    _BadOpen(
        "with-a-long-claim",
        "a list that claims to have four billion items",
        ("GWY-012", "GWY-018"),
        _data(b"\x9a\xff\xff\xff\xff\x00"),
        _MALFORMED,
    ),
)


def _refuses(bad: _BadOpen) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer()
        frame = await bad.make(peer, stage)
        async with stage.nothing_relayed(f"the first frame was {bad.what}"):
            await peer.send(frame)
            how = await stage.refused(peer, f"the first frame was {bad.what}")
            await asyncio.sleep(QUIET_S)
        return Finding(f"closed with {how}; nothing reached the IC")

    return play


def _codes(bad: _BadOpen) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer()
        await peer.send(await bad.make(peer, stage))
        await stage.refused(peer, f"the first frame was {bad.what}")
        return Finding("closed with " + of_the_table(peer, bad.codes, bad.what, stage))

    return play


async def _greets(stage: Stage) -> Finding:
    peer = await stage.peer()
    shown = await peer.handshake()
    if not shown.gateway_principal.is_self_authenticating:
        stage.blame("gateway", f"the handshake names {shown.gateway_principal.to_text()}")
        raise Failed("the gateway's principal is not self-authenticating: anybody could poll its queues")
    again = await (await stage.peer("second client")).handshake()
    if again.gateway_principal != shown.gateway_principal:
        return Finding(f"a handshake at once, of {shown.gateway_principal.to_text()} and others: it has several keys")
    return Finding(f"a handshake at once, of {shown.gateway_principal.to_text()}")


async def _refused_by_canister(stage: Stage) -> Finding:
    canister = stage.canister(ScriptedCanister())
    tell(stage.gateway.world.replica, canister, refuse_opens=True)
    peer = await stage.peer(canister=canister)
    await peer.send(await peer.open_envelope())
    await peer.refused("the canister refused the open", 8)
    return Finding(
        "closed with " + of_the_table(peer, (CloseCode.OPEN_REFUSED,), "the canister refused the open", stage)
    )


async def _unreachable_at_the_open(stage: Stage) -> Finding:
    peer = await stage.peer()

    async def broken(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        mine = envelope is not None and envelope.content.sender == peer.identity.principal
        return Answer(400, b"no", "text/plain") if mine and path.endswith("/call") else await fetch()

    stage.gateway.answer = broken
    await peer.send(await peer.open_envelope())
    await peer.refused("the IC answered the open with an error", 10)
    how = of_the_table(peer, (CloseCode.REPLICA_ERROR,), "the IC answered the open with HTTP status 400", stage)
    return Finding(f"closed with {how}")


async def _registered_first(stage: Stage) -> Finding:
    canister = stage.canister()
    first = await stage.peer("client that keeps the canister polled", canister=canister)
    await first.open()
    peer = await stage.peer("client", canister=canister)
    answered = 0.0

    async def late(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal answered
        real = await fetch()  # executed now, answered later
        if envelope is not None and envelope.content.sender == peer.identity.principal and path.endswith("/call"):
            await asyncio.sleep(_HELD_S)
            answered = time.monotonic()
        return real

    stage.gateway.answer = late
    await peer.send(await peer.open_envelope())
    await peer.until(lambda: peer.messages, "the canister's first message, polled before the call was answered")
    when = "before" if not answered else "after"
    return Finding(f"the first message came {when} the open was answered")


async def _leaves_early(stage: Stage) -> Finding:
    other = await stage.peer("other client")
    await other.open()
    for number in range(20):
        with contextlib.suppress(OSError, WebSocketException):
            socket = await stage.try_socket()
            if number % 2:
                await socket.close()
            else:
                socket.transport.abort()
    vanishing = await stage.peer("client that vanishes after its open")
    await vanishing.send(await vanishing.open_envelope())
    await vanishing.vanish()
    await stage.goes_on(other)
    newcomer = await stage.peer("newcomer")
    await newcomer.open()
    return Finding("twenty clients left at once, one with its open under way; others are served")


async def _garbage_before_upgrade(stage: Stage) -> Finding:
    other = await stage.peer("other client")
    await other.open()
    host, port = stage.gateway.address
    for data in (b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.write(data)
            await writer.drain()
            writer.close()
    await stage.goes_on(other)
    await (await stage.peer("newcomer")).open()
    return Finding("clients before and after are served")


OPENING: Final = (
    GatewayCase(
        "opening/greets",
        "a client connects",
        ("GWY-001",),
        "a handshake with the gateway's principal, at once",
        _greets,
        "a client waits for a gateway that waits for the client",
    ),
    *(
        GatewayCase(
            f"opening/{bad.name}",
            f"the first frame is {bad.what}",
            bad.requirements,
            "the connection is closed and nothing reaches the IC",
            _refuses(bad),
            "whoever connects makes the gateway act before it knows for whom",
        )
        for bad in _BAD_OPENS
    ),
    *(
        GatewayCase(
            f"codes/open-{bad.name}",
            f"the first frame is {bad.what}",
            ("GWY-011",),
            "closed with " + " or ".join(f"{int(code)} {code.label}" for code in bad.codes),
            _codes(bad),
            "a client cannot know whether to try again",
        )
        for bad in _BAD_OPENS
    ),
    GatewayCase(
        "codes/open-refused",
        "the canister refuses an open",
        ("GWY-011",),
        "closed with 4412 OpenRefused",
        _refused_by_canister,
        "the client waits for a message that never comes",
    ),
    GatewayCase(
        "codes/open-unanswered",
        "the IC answers an open with an error",
        ("GWY-011",),
        "closed with 4502 ReplicaError",
        _unreachable_at_the_open,
        "the client waits for a message that never comes",
    ),
    GatewayCase(
        "opening/registered-first",
        "the first message is there before the open is answered",
        ("GWY-005",),
        "it is delivered",
        _registered_first,
        "the first message is polled before anybody waits for it, and lost",
    ),
    GatewayCase(
        "opening/leaves-early",
        "clients leave before, at and after their open",
        ("GWY-012",),
        "others are served",
        _leaves_early,
        "anybody ends the gateway by hanging up",
    ),
    GatewayCase(
        "opening/no-websocket",
        "bytes that are no WebSocket upgrade",
        ("GWY-012",),
        "clients are served",
        _garbage_before_upgrade,
        "anybody ends the gateway with a line of text",
    ),
)
