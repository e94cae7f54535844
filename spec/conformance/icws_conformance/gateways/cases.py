"""Cases about gateways: what one must not be made to do, and what it owes to an honest client."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.clients.world import World
from icws_conformance.gateways.peer import Peer
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.wire import cbor
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import SUBPROTOCOL, MessagesFrame, ReceiptStatus
from icws_secure.wire.hashtree import decode_tree, list_labels
from icws_secure.wire.message import decode_message, parse_message_key
from icws_secure.wire.principal import Principal

__all__ = ["GatewayUnderTest", "gateway_cases"]

_QUIET_S: Final = 1.0
_STRANGER: Final = Ed25519Identity(bytes(range(32)))


@dataclass
class GatewayUnderTest:
    """The gateway, and what it says to the IC.

    Attributes:
        url: where it listens.
        world: the IC behind it; its own honest gateways are not used.
        calls: every call that reached the IC by way of it.
        answer: what the IC answers; None for the truth.
    """

    url: str
    world: World
    calls: list[Envelope] = field(default_factory=list)
    answer: Callable[[str, Envelope | None, Fetch], Awaitable[Answer]] | None = None

    async def http(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        """The IC as the gateway sees it."""
        envelope: Envelope | None = None
        with contextlib.suppress(IcwsError):
            envelope = Envelope.decode(body)
        if envelope is not None and path.endswith("/call"):
            self.calls.append(envelope)
        return await (fetch() if self.answer is None else self.answer(path, envelope, fetch))

    def calls_of(self, sender: Principal) -> list[CallContent]:
        """The calls of one sender that reached the IC."""
        contents = [envelope.content for envelope in self.calls]
        return [c for c in contents if isinstance(c, CallContent) and c.sender == sender]

    def closes_of(self, peer: Peer) -> list[CallContent]:
        """Calls of ws_close that tell of this client."""
        contents = [envelope.content for envelope in self.calls]
        return [
            c
            for c in contents
            if isinstance(c, CallContent)
            and c.method_name == "ws_close"
            and peer.identity.principal.raw in c.arg
            and peer.key.client_nonce.to_bytes(8, "little") in c.arg
        ]


@dataclass
class _Stage:
    gateway: GatewayUnderTest
    log: WireLog
    stack: contextlib.AsyncExitStack

    async def peer(self, name: str = "client", *, modern: bool = False, canister: Principal | None = None) -> Peer:
        """A connection to the gateway."""
        offered = [Subprotocol(SUBPROTOCOL)] if modern else None
        try:
            socket = await connect(self.gateway.url, subprotocols=offered, compression=None, max_size=8 << 20)
        except (OSError, WebSocketException) as error:
            raise Failed(f"the gateway does not take a connection: {error}") from error
        peer = Peer(socket, canister or self.gateway.world.omnia_canister, self.log, name)
        self.stack.push_async_callback(peer.leave)
        if modern and socket.subprotocol != SUBPROTOCOL:
            raise NotApplicable(f"the gateway does not speak the subprotocol {SUBPROTOCOL}")
        return peer

    async def nothing_reaches(self, peer: Peer) -> None:
        """Nothing of a client reaches the IC, not even a little later."""
        await asyncio.sleep(_QUIET_S)
        if calls := self.gateway.calls_of(peer.identity.principal):
            self.log.note(f"the IC was called: {calls[-1].method_name}", source="IC", blamed=True)
            raise Failed(f"a call reached the IC: {calls[-1].method_name}")


_Play = Callable[[_Stage], Awaitable[Finding]]


async def _greets(stage: _Stage) -> Finding:
    peer = await stage.peer()
    shown = await peer.handshake()
    if not shown.gateway_principal.is_self_authenticating:
        raise Failed("the gateway's principal is not self-authenticating")
    return Finding(f"a handshake at once, of {shown.gateway_principal.to_text()}")


async def _relays(stage: _Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    envelopes = [await peer.say(b"%d" % number) for number in range(10)]
    await peer.until(lambda: len(peer.messages) >= 11, "eleven messages")
    numbers = [decode_message(content).sequence_num for _, content, _, _ in peer.messages]
    nonces = [parse_message_key(key)[1] for key, _, _, _ in peer.messages]
    if numbers != list(range(1, 12)) or nonces != sorted(set(nonces)):
        raise Failed(f"messages {numbers} came, with nonces {nonces}")
    relayed = [call.request_id for call in stage.gateway.calls_of(peer.identity.principal)]
    if relayed[1:] != [envelope.content.request_id for envelope in envelopes]:
        raise Failed("the calls did not reach the IC unchanged and in order")
    return Finding("ten calls in order, eleven messages in order")


async def _own_messages_only(stage: _Stage) -> Finding:
    one, two = await stage.peer("first client"), await stage.peer("second client")
    await asyncio.gather(one.open(), two.open())
    for number in range(5):
        await one.say(b"one %d" % number)
        await two.say(b"two %d" % number)
    await one.until(lambda: len(one.messages) >= 6, "six messages")
    await two.until(lambda: len(two.messages) >= 6, "six messages")
    for peer in (one, two):
        own = {key.encode() for key, _, _, _ in peer.messages}
        for _, content, _, tree in peer.messages:
            if decode_message(content).client_key != peer.key:
                raise Failed("a client was given another's message")
            shown = set(list_labels(decode_tree(tree), [b"websocket"]))
            if not shown <= own:
                raise Failed("a witness shows another client's messages")
    return Finding("each client is shown its own messages and no others")


async def _witness_fits(stage: _Stage) -> Finding:
    peer = await stage.peer(modern=True)
    await peer.open()
    for number in range(5):
        await peer.say(b"%d" % number)
    await peer.until(lambda: len(peer.messages) >= 6, "six messages")
    for key, content, _, tree in peer.messages:
        if hashlib.sha256(content).digest() not in tree or key.encode() not in tree:
            raise Failed("a witness does not show the message that it comes with")
    shared = [frame for frame in peer.frames if isinstance(frame, MessagesFrame)]
    return Finding(f"{len(shared)} frames for {len(peer.messages)} messages")


async def _receipts(stage: _Stage) -> Finding:
    peer = await stage.peer(modern=True)
    await peer.open()
    envelope = await peer.say(b"hello")
    wanted = envelope.content.request_id
    await peer.until(lambda: [r for r in peer.receipts if r.request_id == wanted], "a receipt of the message")
    receipt = next(r for r in peer.receipts if r.request_id == wanted)
    if receipt.status is not ReceiptStatus.CERTIFICATE or receipt.certificate is None:
        raise Failed(f"the receipt is {receipt.status}")
    if wanted not in receipt.certificate:
        raise Failed("the receipt's certificate is about another request")
    return Finding("a certificate of the call's own reply")


async def _pending(stage: _Stage) -> Finding:
    peer = await stage.peer(modern=True)
    await peer.open()

    async def late(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        mine = envelope is not None and getattr(envelope.content, "sender", None) == peer.identity.principal
        real = await fetch()
        return Answer(202, b"") if mine and path.endswith("/call") else real

    stage.gateway.answer = late
    envelope = await peer.say(b"hello")
    wanted = envelope.content.request_id
    await peer.until(lambda: [r for r in peer.receipts if r.request_id == wanted], "a receipt of the message")
    first = next(r for r in peer.receipts if r.request_id == wanted)
    if first.status is not ReceiptStatus.PENDING:
        raise Failed(f"202 was reported as {first.status}")
    return Finding("reported as pending")


def _bad_open(make: Callable[[Peer, _Stage], Awaitable[Envelope | bytes | str]], what: str) -> _Play:
    async def play(stage: _Stage) -> Finding:
        peer = await stage.peer()
        await peer.handshake()
        await peer.send(await make(peer, stage))
        code = await peer.refused(what)
        await stage.nothing_reaches(peer)
        return Finding(f"closed with {code}; nothing reached the IC")

    return play


async def _forged(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    good = await peer.open_envelope()
    signature = good.sender_sig or b""
    return replace(good, sender_sig=signature[:-1] + bytes([signature[-1] ^ 1]))


async def _another_sender(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    good = await peer.open_envelope()
    return replace(good, sender_pubkey=_STRANGER.public_key_der)


async def _message_first(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    return peer.message(b"hello")


async def _another_gateway(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    return await peer.open_envelope(gateway=Principal.self_authenticating(b"another gateway"))


async def _expired(peer: Peer, stage: _Stage) -> Envelope:
    return await peer.open_envelope(ingress_expiry_ns=stage.gateway.world.replica.time_ns - 60 * NS_PER_S)


def _bytes(data: bytes | str) -> Callable[[Peer, _Stage], Awaitable[bytes | str]]:
    async def make(peer: Peer, stage: _Stage) -> bytes | str:
        del peer, stage
        return data

    return make


def _bad_call(make: Callable[[Peer, _Stage], Envelope | bytes], what: str) -> _Play:
    async def play(stage: _Stage) -> Finding:
        peer, other = await stage.peer("hostile client"), await stage.peer("other client")
        await asyncio.gather(peer.open(), other.open())
        before = len(stage.gateway.calls)
        await peer.send(make(peer, stage))
        await asyncio.sleep(_QUIET_S)
        made = [e.content for e in stage.gateway.calls[before:] if isinstance(e.content, CallContent)]
        wrong = [c for c in made if c.method_name != "ws_close"]
        if wrong:
            stage.log.note(f"the IC was called: {wrong[0].method_name}", source="IC", blamed=True)
            raise Failed(f"{what}, and it reached the IC")
        await other.say(b"still here")
        await other.until(lambda: len(other.messages) >= 2, "another client's echo")
        closed = "closed" if peer.closed is not None else "ignored"
        return Finding(f"{closed}; nothing reached the IC, and the other client was not disturbed")

    return play


def _other_canister(peer: Peer, stage: _Stage) -> Envelope:
    return peer.message(b"hello", canister_id=stage.gateway.world.other_canister)


def _other_method(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    return peer.envelope("transfer", b"DIDL\x00\x00")


def _other_sender(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    return peer.message(b"hello", identity=_STRANGER)


def _forged_message(peer: Peer, stage: _Stage) -> Envelope:
    del stage
    good = peer.message(b"hello")
    return replace(good, sender_sig=bytes(64))


def _expired_message(peer: Peer, stage: _Stage) -> Envelope:
    return peer.message(b"hello", ingress_expiry_ns=stage.gateway.world.replica.time_ns - NS_PER_S)


def _junk(peer: Peer, stage: _Stage) -> bytes:
    del peer, stage
    return cbor.encode_self_described({"envelope": 7})


def _deep(peer: Peer, stage: _Stage) -> bytes:
    del peer, stage
    return b"\x81" * 5000 + b"\x00"


async def _duplicate(stage: _Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    envelope = peer.message(b"hello")
    await asyncio.gather(*(peer.send(envelope) for _ in range(5)))
    await asyncio.sleep(_QUIET_S)
    wanted = envelope.content.request_id
    count = sum(call.request_id == wanted for call in stage.gateway.calls_of(peer.identity.principal))
    if count > 1:
        raise Failed(f"one envelope was relayed {count} times")
    return Finding("relayed once")


async def _key_connected(stage: _Stage) -> Finding:
    peer, thief = await stage.peer("client"), await stage.peer("second connection")
    await peer.open()
    thief.identity, thief.key = peer.identity, peer.key
    await thief.send(await thief.open_envelope())
    code = await thief.refused("its client key is connected")
    await peer.say(b"still here")
    await peer.until(lambda: len(peer.messages) >= 2, "the first connection's echo")
    return Finding(f"closed with {code}; the first connection stays")


async def _tells_of_leaving(stage: _Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    await peer.leave()
    await peer.until(lambda: stage.gateway.closes_of(peer), "a ws_close for the client that left")
    return Finding("ws_close for the client")


async def _leaf_changed(stage: _Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    lied = False

    async def lie(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal lied
        real = await fetch()
        if path.endswith("/query") and b"number-42" in real.body and not lied:
            lied = True
            return replace(real, body=real.body.replace(b"number-42", b"number-13"))
        return real

    stage.gateway.answer = lie
    await peer.say(b"number-42")
    await peer.until(lambda: lied or len(peer.messages) > 1, "a poll of the message")
    await asyncio.sleep(_QUIET_S)
    if any(b"number-13" in content for _, content, _, _ in peer.messages):
        stage.log.note("the altered message was passed on", source="gateway", blamed=True)
        raise Failed("a message that does not fit its witness was passed on")
    if not lied:
        raise Inconclusive("no poll was there to be altered")
    await peer.until(lambda: any(b"number-42" in content for _, content, _, _ in peer.messages), "the true message")
    return Finding("not passed on; the true message came with a later poll")


async def _survives_replica(stage: _Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    answers = [
        Answer(500, b"no"),
        Answer(200, b"\x00junk"),
        Answer(200, cbor.encode({"status": "replied", "reply": 7})),
    ]
    left = list(answers)

    async def lie(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        del envelope
        if path.endswith("/query") and left:
            return left.pop()
        return await fetch()

    stage.gateway.answer = lie
    await peer.say(b"hello")
    await peer.until(lambda: len(peer.messages) >= 2, "the message, after a replica's nonsense", 20)
    if left:
        raise Inconclusive("the gateway did not poll often enough to be lied to")
    return Finding("the session went on")


_OPEN: Final = "GWY-002"
_RELAY: Final = "GWY-004"
_CASES: Final[tuple[tuple[str, str, str, str, _Play], ...]] = (
    ("greets", "a client connects", "GWY-001", "a handshake with the principal, at once", _greets),
    ("relays", "ten calls at once", "GWY-009 GWY-004 GWY-005 GWY-006", "all arrive in order, unchanged", _relays),
    ("own-messages-only", "two clients", "GWY-008", "each is shown its own messages only", _own_messages_only),
    ("fitting-witness", "messages over the subprotocol", "GWY-008", "each with its own witness", _witness_fits),
    ("receipts", "a call over the subprotocol", "GWY-010", "its certificate is passed on", _receipts),
    ("pending", "the IC answers 202", "GWY-010", "reported as pending", _pending),
    ("tells-of-leaving", "a client leaves", "GWY-013", "ws_close is sent", _tells_of_leaving),
    ("duplicates", "one envelope five times", "GWY-021", "relayed once", _duplicate),
    ("connected-key", "an open for a client key that is connected", "GWY-003", "refused", _key_connected),
    ("altered-poll", "a replica alters a message", "GWY-007", "not passed on", _leaf_changed),
    ("nonsense-polls", "a replica answers nonsense", "GWY-012", "the session goes on", _survives_replica),
    *(
        (f"open-{name}", f"the first frame is {what}", names, "closed; nothing reaches the IC", _bad_open(make, what))
        for name, what, names, make in (
            ("forged", "an open with a wrong signature", _OPEN, _forged),
            ("of-another", "an open with another's key", _OPEN, _another_sender),
            ("for-another-gateway", "an open that names another gateway", _OPEN, _another_gateway),
            ("expired", "an open that has expired", "GWY-021 GWY-002", _expired),
            ("with-a-message", "a message", _OPEN, _message_first),
            ("with-text", "text", "GWY-012 GWY-002", _bytes("hello")),
            ("with-junk", "no CBOR", "GWY-012 GWY-002", _bytes(b"\xff\xff")),
            ("with-nothing", "empty", "GWY-012 GWY-002", _bytes(b"")),
            ("with-depth", "five thousand lists deep", "GWY-012 GWY-018", _bytes(b"\x81" * 5000 + b"\x00")),
        )
    ),
    *(
        (f"call-{name}", what, names, "not relayed; other clients go on", _bad_call(make, what))
        for name, what, names, make in (
            ("to-another-canister", "a call to another canister", _RELAY, _other_canister),
            ("of-another-method", "a call of another method", _RELAY, _other_method),
            ("of-another-sender", "a call of another sender", _RELAY, _other_sender),
            ("forged", "a call with a wrong signature", _RELAY, _forged_message),
            ("expired", "a call that has expired", "GWY-021", _expired_message),
            ("with-junk", "a frame that is no envelope", "GWY-012", _junk),
            ("with-depth", "a frame five thousand lists deep", "GWY-012 GWY-018", _deep),
        )
    ),
)


def gateway_cases(gateway: GatewayUnderTest) -> list[Case]:
    """The cases of this target; run them one at a time, since they share the gateway."""

    @contextlib.asynccontextmanager
    async def stage_of(log: WireLog) -> AsyncIterator[_Stage]:
        gateway.answer = None
        async with contextlib.AsyncExitStack() as stack:
            yield _Stage(gateway, log, stack)

    async def run(play: _Play, log: WireLog) -> Finding:
        async with stage_of(log) as stage:
            return await play(stage)

    return [
        Case(
            id=name,
            title=title,
            requirements=tuple(f"ICWS-{entry}" for entry in names.split()),
            expected=expected,
            run=partial(run, play),
            limit_s=40,
        )
        for name, title, names, expected, play in _CASES
    ]
