"""Cases about ``omnia/1``: what deployed clients and gateways rely on."""

from __future__ import annotations

import secrets
from typing import Any

from icws_conformance.canisters import interface
from icws_conformance.canisters.candid import BLOB, Case, Type, encode, opt, record
from icws_conformance.canisters.interface import OMNIA_SERVICE
from icws_conformance.canisters.message import Message
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity

__all__: list[str] = []

_ACK_S = 300
_TIMEOUT_S = 60


async def _open(stage: Stage) -> Peer:
    peer = stage.peer()
    stage.ok(await peer.open_omnia(), "an open of omnia/1")
    return peer


def _services(messages: list[Message], name: str) -> list[Any]:
    return [m.service.value for m in messages if m.service is not None and m.service.name == name]


@play("omnia/open", "an unregistered principal opens", "CAN-020 CAN-021", "OpenMessage as number 1", profile="omnia")
async def _opens(stage: Stage) -> Finding:
    peer = await _open(stage)
    await stage.send(peer, b"hello")
    found = await peer.mine()
    stage.check(found and found[0].seq == 1, "the first message has another number than 1")
    opened = _services(found[:1], "OpenMessage")
    stage.check(
        opened and opened[0]["client_key"] == peer.client_key, "the first message is no OpenMessage of the client"
    )
    stage.in_order(found)
    stage.check([m.content for m in found[1:]] == [b"hello"], "the echo is another")
    return Finding("OpenMessage, then the echo as 2")


@play(
    "omnia/wrong-number",
    "a message comes with another number than the next",
    "CAN-036",
    "the client is closed: WrongSequenceNumber",
    profile="omnia",
    gain="A gap goes unnoticed in the older protocol.",
)
async def _wrong_number(stage: Stage) -> Finding:
    for seq in (2, 0, 99):
        peer = await _open(stage)
        told = await peer.say(b"hello", seq=seq)
        stage.check(not told.ok, f"message {seq} was taken as the first")
        closed = _services(await peer.mine(), "CloseMessage")
        stage.check(closed, f"message {seq} came first, and the client is not closed")
        stage.check(closed[0]["reason"] == Case("WrongSequenceNumber"), f"closed with {closed[0]['reason']}")
        stage.check(not (await peer.say(b"hello", seq=1)).ok, "the client that was closed can still speak")
    return Finding("closed three times")


@play(
    "omnia/repeated-number",
    "a message is repeated",
    "CAN-036",
    "WrongSequenceNumber: there are no duplicates in the older protocol",
    profile="omnia",
)
async def _repeated(stage: Stage) -> Finding:
    peer = await _open(stage)
    await stage.send(peer, b"hello", seq=1)
    stage.check(not (await peer.say(b"hello", seq=1)).ok, "a repeated message was taken")
    stage.check(_services(await peer.mine(), "CloseMessage"), "the client is not closed")
    return Finding("closed")


@play(
    "omnia/types",
    "the types of what an older client is sent",
    "CAN-073",
    "Ok without content, service messages of four cases, a close of reason alone",
    profile="omnia",
    gain="A new case or field breaks deployed clients: they cannot read the message at all.",
)
async def _types(stage: Stage) -> Finding:
    peer = stage.peer()
    opened = await peer.open_omnia()
    stage.ok(opened, "an open")
    message = await stage.send(peer, b"hello")
    for told, what in ((opened, "ws_open"), (message, "ws_message")):
        stage.check(_fits(told.types[0], ("variant", {"Ok": "null", "Err": "text"})), f"{what} gives {told.types[0]}")
    await peer.say(b"hello", seq=9)
    for found in await peer.mine():
        if found.service is None:
            stage.check(not found.fields["is_service_message"], "a service message cannot be read")
            continue
        kind = found.service_type
        stage.check(kind is not None and _fits(kind, OMNIA_SERVICE), f"a service message of type {kind}")
    return Finding("as deployed")


def _fits(kind: Type, known: Type) -> bool:
    """Whether a type that was sent has no case that is not known, and in records no field that an older peer lacks."""
    if isinstance(kind, str) or isinstance(known, str):
        return kind == known
    if kind[0] != known[0]:
        return False
    if kind[0] in ("opt", "vec"):
        return _fits(kind[1], known[1])
    return all(name in known[1] and _fits(each, known[1][name]) for name, each in kind[1].items())


@play(
    "omnia/reopen",
    "a client key that is open is opened again, and the principal opens another",
    "CAN-036",
    "refused; the other takes its place",
    profile="omnia",
)
async def _reopen(stage: Stage) -> Finding:
    peer = await _open(stage)
    stage.check(not (await peer.open_omnia()).ok, "an open client key was opened again")
    old = peer.client_key
    peer.client_nonce = secrets.randbelow(1 << 62)
    stage.ok(await peer.open_omnia(), "another client key of the principal")
    stage.check(not (await peer.say(b"hello", seq=1, client_key=old)).ok, "the older client key can still speak")
    await stage.send(peer, b"hello")
    return Finding("the newer one speaks")


@play("omnia/anonymous", "the anonymous principal opens", "CAN-003", "refused", profile="omnia")
async def _anonymous(stage: Stage) -> Finding:
    peer = stage.peer()
    arg = interface.open_arg(1, peer.gateway.principal.raw, None)
    told = await peer.update(AnonymousIdentity(), "ws_open", arg)
    stage.check(not told.ok, "an anonymous open was taken")
    stage.check(not told.trapped, f"an anonymous open trapped: {told.text[:200]}")
    return Finding(str(told))


@play(
    "omnia/close",
    "ws_close by a stranger and by the gateway",
    "CAN-063",
    "the stranger is refused; the gateway's ends the client",
    profile="omnia",
)
async def _close(stage: Stage) -> Finding:
    peer = await _open(stage)
    stage.check(not (await peer.close(identity())).ok, "a stranger's close was taken")
    await stage.send(peer, b"hello")
    stage.ok(await peer.close(), "the gateway's close")
    stage.check(not (await peer.say(b"hello")).ok, "the client can still speak")
    return Finding("closed by its gateway")


@play(
    "omnia/keep-alive",
    "the acknowledgement interval passes; one client keeps alive, and one does not",
    "CAN-040",
    "an AckMessage each; the silent one is closed with KeepAliveTimeout",
    profile="omnia",
    moves=True,
)
async def _keep_alive(stage: Stage) -> Finding:
    silent, speaking = await _open(stage), await _open(stage)
    for peer in (silent, speaking):
        await stage.send(peer, b"hello")
    await stage.tested.advance(_ACK_S + 1)
    for peer in (silent, speaking):
        acks = _services(await peer.mine(), "AckMessage")
        stage.check(acks and acks[0]["last_incoming_sequence_num"] == 1, f"acknowledgements {acks} after {_ACK_S} s")
    stage.ok(await speaking.keep_alive(3), "a keep-alive")
    await stage.tested.advance(_TIMEOUT_S + 1)
    closed = _services(await silent.mine(), "CloseMessage")
    stage.check(closed and closed[0]["reason"] == Case("KeepAliveTimeout"), f"the silent client's close: {closed}")
    stage.check(not (await silent.say(b"hello")).ok, "the client that was closed can still speak")
    stage.check(not _services(await speaking.mine(), "CloseMessage"), "the client that kept alive was closed")
    await stage.send(speaking, b"hello")
    return Finding(f"closed after {_ACK_S + _TIMEOUT_S} s")


@play(
    "omnia/no-secure-effects",
    "an older client's session beside a secure one of the same gateway",
    "CAN-014 CAN-073",
    "no attach message, no salt, and a queue of their own order",
    profile="both",
)
async def _beside(stage: Stage) -> Finding:
    old = await _open(stage)
    new = await stage.peer().ready(gateway=old.gateway)
    await stage.send(old, b"old")
    await stage.send(new, b"new")
    for message in await old.mine():
        stage.check(
            not message.service or message.service.name != "AttachMessage", "an attach message for an older client"
        )
        stage.check(set(message.fields) <= _FIELDS | {"salt"}, f"fields {sorted(message.fields)}")
    stage.check([m.content for m in await new.stream(1)] == [b"new"], "the secure session's echo is another")
    return Finding("side by side")


_FIELDS = {"client_key", "sequence_num", "timestamp", "is_service_message", "content"}


@play(
    "omnia/application-type",
    "a message with an application's value in the second argument",
    "CAN-073",
    "passed over: it only tells the type",
    profile="omnia",
)
async def _application_type(stage: Stage) -> Finding:
    peer = await _open(stage)
    message = peer.message(1, b"hello")
    arg = encode((record(msg=interface.MESSAGE), {"msg": message}), (opt(record(text="text")), {"text": "a type"}))
    told = await peer.update(peer.key, "ws_message", arg)
    stage.ok(told, "a message with an application's type")
    arg = encode((record(msg=interface.MESSAGE), {"msg": peer.message(2, b"x")}), (opt(BLOB), None))
    stage.ok(await peer.update(peer.key, "ws_message", arg), "the next one")
    ago = (peer.now_ns - told.time_ns) / NS_PER_S
    return Finding(f"taken, {ago:.1f} s ago")
