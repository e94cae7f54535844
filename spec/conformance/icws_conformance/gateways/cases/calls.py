"""Calls of a client that is open: what is relayed, in which order, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.gateways.cases.opening import STRANGER, forged, of_the_table
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Play, Stage
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.limits import MAX_ENVELOPE_BYTES, NS_PER_S
from icws_secure.sign.request import sign_content
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.message import parse_message_key

__all__ = ["CALLS"]

_HELD_S: Final = 0.4
_Make = Callable[[Peer, Stage], Envelope | bytes | str]


@dataclass(frozen=True)
class _BadCall:
    name: str
    what: str
    requirements: tuple[str, ...]
    make: _Make
    codes: tuple[CloseCode, ...]


def _other_canister(peer: Peer, stage: Stage) -> Envelope:
    return peer.message(b"hello", canister_id=stage.gateway.world.other_canister)


def _other_method(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return peer.envelope("transfer", b"DIDL\x00\x00")


def _registration(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return peer.envelope("ws_register", b"DIDL\x00\x00")


def _other_sender(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return peer.message(b"hello", identity=STRANGER)


def _forged_message(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return forged(peer.message(b"hello"))


def _changed_message(peer: Peer, stage: Stage) -> Envelope:
    del stage
    good = peer.message(b"pay 1")
    if not isinstance(good.content, CallContent):
        raise TypeError("a message is a call")
    return replace(good, content=replace(good.content, arg=good.content.arg.replace(b"pay 1", b"pay 9")))


def _expired_message(peer: Peer, stage: Stage) -> Envelope:
    return peer.message(b"hello", ingress_expiry_ns=stage.gateway.world.replica.time_ns - NS_PER_S)


def _late_message(peer: Peer, stage: Stage) -> Envelope:
    return peer.message(b"hello", ingress_expiry_ns=stage.gateway.world.replica.time_ns + 3600 * NS_PER_S)


def _bulk(peer: Peer, stage: Stage) -> Envelope:
    del stage
    return peer.message(bytes(MAX_ENVELOPE_BYTES + (256 << 10)))


def _data(data: bytes | str) -> _Make:
    def make(peer: Peer, stage: Stage) -> bytes | str:
        del peer, stage
        return data

    return make


_MALFORMED: Final = (CloseCode.MALFORMED_FRAME,)
_BAD_CALLS: Final = (
    _BadCall(
        "to-another-canister", "a call to another canister", ("GWY-004",), _other_canister, (CloseCode.WRONG_CANISTER,)
    ),
    _BadCall(
        "of-another-method", "a call of another method", ("GWY-004",), _other_method, (CloseCode.METHOD_NOT_ALLOWED,)
    ),
    _BadCall("of-registration", "a call of ws_register", ("GWY-004",), _registration, (CloseCode.METHOD_NOT_ALLOWED,)),
    _BadCall(
        "of-another-sender", "a call of another sender", ("GWY-004",), _other_sender, (CloseCode.SENDER_MISMATCH,)
    ),
    _BadCall("forged", "a call with a wrong signature", ("GWY-004",), _forged_message, (CloseCode.INVALID_SIGNATURE,)),
    _BadCall(
        "changed",
        "a call with another argument than was signed",
        ("GWY-004",),
        _changed_message,
        (CloseCode.INVALID_SIGNATURE,),
    ),
    _BadCall("expired", "a call that has expired", ("GWY-021",), _expired_message, (CloseCode.INGRESS_EXPIRY,)),
    _BadCall(
        "expiring-late", "a call that expires in an hour", ("GWY-021",), _late_message, (CloseCode.INGRESS_EXPIRY,)
    ),
    _BadCall("with-text", "text", ("GWY-012",), _data("hello"), _MALFORMED),
    _BadCall(
        "with-junk",
        "a frame that is no envelope",
        ("GWY-012",),
        _data(cbor.encode_self_described({"envelope": 7})),
        _MALFORMED,
    ),
    _BadCall(
        "with-depth",
        "a frame five thousand lists deep",
        ("GWY-012", "GWY-018"),
        _data(b"\x81" * 5000 + b"\x00"),
        _MALFORMED,
    ),
    _BadCall(
        "with-bulk",
        "a frame larger than the IC takes",
        ("GWY-018",),
        _bulk,
        (CloseCode.TOO_BIG, CloseCode.ENVELOPE_TOO_LARGE),
    ),
)


def _not_relayed(bad: _BadCall) -> Play:
    async def play(stage: Stage) -> Finding:
        peer, other = await stage.peer("hostile client"), await stage.peer("other client")
        await asyncio.gather(peer.open(), other.open())
        async with stage.nothing_relayed(bad.what):
            await peer.send(bad.make(peer, stage))
            await asyncio.sleep(QUIET_S)
        await stage.goes_on(other)
        closed = "closed" if peer.closed is not None else "ignored"
        return Finding(f"{closed}; nothing reached the IC, and the other client was not disturbed")

    return play


def _codes(bad: _BadCall) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer()
        await peer.open()
        await peer.send(bad.make(peer, stage))
        await stage.refused(peer, f"it sent {bad.what}")
        return Finding("closed with " + of_the_table(peer, bad.codes, bad.what, stage))

    return play


async def _relays(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    envelopes = [await peer.say(b"%d" % number) for number in range(10)]
    await peer.until(lambda: len(peer.messages) >= 11, "eleven messages")
    numbers = [message.sequence_num for message in peer.contents]
    nonces = [parse_message_key(key)[1] for key, _, _, _ in peer.messages]
    if numbers != list(range(1, 12)) or nonces != sorted(set(nonces)):
        raise Failed(f"messages {numbers} came, with nonces {nonces}")
    relayed = [call.request_id for call in stage.gateway.calls_of(peer.identity.principal)]
    if relayed[1:] != [envelope.content.request_id for envelope in envelopes]:
        raise Failed("the calls did not reach the IC unchanged and in order")
    return Finding("ten calls in order, eleven messages in order")


async def _unknown_fields(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    content = replace(peer.message(b"hello").content, extra={"sender_info": b"\x01\x02"})
    envelope = sign_content(peer.identity, content)
    await peer.send(envelope)
    wanted = envelope.content.request_id
    await peer.until(
        lambda: any(c.request_id == wanted for c in stage.gateway.calls_of(peer.identity.principal)) or peer.closed,
        "the call at the IC",
    )
    if peer.closed is not None:
        return Finding(f"refused, with {peer.ending}: nothing was changed on the way")
    return Finding("relayed with the field that the gateway does not know")


async def _one_at_a_time(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    under_way, most = 0, 0
    order: list[bytes] = []

    async def slow(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal under_way, most
        if envelope is None or envelope.content.sender != peer.identity.principal or not path.endswith("/call"):
            return await fetch()
        under_way += 1
        most = max(most, under_way)
        order.append(envelope.content.request_id)
        await asyncio.sleep(_HELD_S if len(order) == 1 else 0.02)
        answer = await fetch()
        under_way -= 1
        return answer

    stage.gateway.answer = slow
    sent = [(await peer.say(b"%d" % number)).content.request_id for number in range(5)]
    await peer.until(lambda: len(order) >= 5, "five calls at the IC")
    if most > 1:
        stage.blame("IC", f"{most} calls of one client were under way at once")
        raise Failed(f"{most} calls of one omnia/1 client were under way at once")
    if order != sent:
        raise Failed("the calls reached the IC in another order than they were sent")
    return Finding("five calls, one after another, though the first took its time")


async def _duplicates(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    envelope = peer.message(b"hello")
    wanted = envelope.content.request_id

    async def slow(path: str, asked: Envelope | None, fetch: Fetch) -> Answer:
        if asked is not None and asked.content.request_id == wanted and path.endswith("/call"):
            await asyncio.sleep(_HELD_S)
        return await fetch()

    stage.gateway.answer = slow
    await asyncio.gather(*(peer.send(envelope) for _ in range(5)))
    await asyncio.sleep(_HELD_S + QUIET_S)
    count = sum(call.request_id == wanted for call in stage.gateway.calls_of(peer.identity.principal))
    if count > 1:
        stage.blame("IC", f"one envelope came {count} times")
        raise Failed(f"one envelope was relayed {count} times while it was in flight")
    if not count:
        raise Failed("the envelope was not relayed at all")
    return Finding("relayed once")


CALLS: Final = (
    GatewayCase(
        "calls/relays",
        "ten calls at once",
        ("GWY-009", "GWY-004", "GWY-005", "GWY-006"),
        "all arrive in order, unchanged",
        _relays,
        "calls in another order close an omnia/1 client",
    ),
    GatewayCase(
        "calls/one-at-a-time",
        "the first of five calls is slow",
        ("GWY-009",),
        "no two are under way together",
        _one_at_a_time,
        "calls in another order close an omnia/1 client",
    ),
    GatewayCase(
        "calls/unknown-fields",
        "a call with a field that is new",
        ("GWY-004",),
        "relayed whole, or refused",
        _unknown_fields,
        "a signature covers all fields: what is left out on the way breaks the call",
    ),
    GatewayCase(
        "calls/duplicates",
        "one envelope five times",
        ("GWY-021",),
        "relayed once",
        _duplicates,
        "clients make the gateway waste calls",
    ),
    *(
        GatewayCase(
            f"calls/{bad.name}",
            bad.what,
            bad.requirements,
            "not relayed; other clients go on",
            _not_relayed(bad),
            "the gateway is used as an open relay" if "GWY-004" in bad.requirements else "one client disturbs others",
        )
        for bad in _BAD_CALLS
    ),
    *(
        GatewayCase(
            f"codes/call-{bad.name}",
            bad.what,
            ("GWY-011",),
            "closed with " + " or ".join(f"{int(code)} {code.label}" for code in bad.codes),
            _codes(bad),
            "a client cannot know whether to try again",
        )
        for bad in _BAD_CALLS
    ),
)
