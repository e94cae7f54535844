"""Cases about opening and attaching: what an open must be, what it leads to, which attach receives."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from icws_conformance.canisters.candid import BLOB, encode, opt, record
from icws_conformance.canisters.interface import open_arg
from icws_conformance.canisters.message import Message
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding
from icws_secure.wire.principal import Principal

__all__ = ["attach_messages"]

#: The secure fields with one of another type: a record that an older or newer decoder reads as null.
_OTHER_SECURE: Final = record(
    registration_id=BLOB, attach="text", resume_from="nat64", suite="text", key_id=opt(BLOB), enc=opt(BLOB)
)


def attach_messages(messages: list[Message]) -> list[dict[str, Any]]:
    """What the attach messages among some messages say."""
    found = [message.service for message in messages]
    return [case.value for case in found if case is not None and case.name == "AttachMessage"]


@play(
    "open/attach-message",
    "a first open, and a second through the same gateway",
    "CAN-013 CAN-014 CAN-026",
    "each queues an attach message with number 0 and all fields, and no OpenMessage",
)
async def _attach_message(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in (1, 2):
        messages = await peer.mine()
        stage.check(messages, "nothing is queued after the open")
        first = messages[0] if number == 1 else next((m for m in messages if m.seq == 0), messages[0])
        _check_attach(stage, peer, first, number)
        names = [m.service.name for m in messages if m.service is not None]
        stage.check("OpenMessage" not in names, "an OpenMessage of omnia/1 is in a secure session")
        stage.check(len(first.fields.get("salt", b"")) == 16, "the attach message has no salt of 16 bytes")
        if number == 1:
            await stage.send(peer, b"hello")
            stage.ok(await peer.open(), "a second open")
    return Finding("complete, and open_hash is the hash of the argument as it was sent")


def _check_attach(stage: Stage, peer: Peer, message: Message, attach: int) -> None:
    case = message.service
    stage.check(message.seq == 0, f"the first message after an open has number {message.seq}")
    if case is None or case.name != "AttachMessage":
        stage.fail("the first message after an open is no attach message")
        return
    wanted = {
        "client_key": peer.client_key,
        "registration_id": peer.parameters["registration_id"],
        "attach": attach,
        "epoch": peer.parameters["epoch"],
        "resume_from": 1,
        "next_in": peer.next,
        "next_out": 1 if attach == 1 else 2,
        "oldest_retained": 1,
        "open_hash": hashlib.sha256(peer.open_arg).digest(),
    }
    found = {name: value for name, value in case.value.items() if name in wanted}
    different = [name for name in wanted if found.get(name) != wanted[name]]
    stage.check(not different, f"the attach message is wrong in {', '.join(different)}: {found}")


@play(
    "open/open-hash",
    "an open whose record has a field that the canister does not know",
    "CAN-013 CAN-073",
    "taken, and open_hash covers the bytes as sent",
)
async def _open_hash(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    told = await peer.open(arg=_with_extra(peer))
    stage.ok(told, "an open with an unknown field")
    said = attach_messages(await peer.mine())
    stage.check(said and said[0]["open_hash"] == hashlib.sha256(peer.open_arg).digest(), "open_hash is of other bytes")
    return Finding("the unknown field is passed over, and hashed")


def _with_extra(peer: Peer) -> bytes:
    secure = record(
        registration_id=BLOB,
        attach="nat64",
        resume_from="nat64",
        suite="text",
        key_id=opt(BLOB),
        enc=opt(BLOB),
        later=opt("text"),
    )
    value = {
        "client_nonce": peer.client_nonce,
        "gateway_principal": peer.gateway.principal.raw,
        "secure": _secure(peer) | {"later": "than you"},
    }
    return encode((record(client_nonce="nat64", gateway_principal="principal", secure=opt(secure)), value))


def _secure(peer: Peer) -> dict[str, Any]:
    return {
        "registration_id": peer.parameters["registration_id"],
        "attach": peer.attach + 1,
        "resume_from": 1,
        "suite": "none",
        "key_id": None,
        "enc": None,
    }


@play(
    "open/without-secure-fields",
    "a registered session principal opens as clients of omnia/1 do, and with secure fields of another type",
    "CAN-010",
    "SecureFieldsMissing, before and during the session",
    gain="A secure open is silently made into one of the older protocol.",
)
async def _without_secure_fields(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    plain = open_arg(peer.client_nonce, peer.gateway.principal.raw, None)
    kind = record(client_nonce="nat64", gateway_principal="principal", secure=opt(_OTHER_SECURE))
    value = {"client_nonce": peer.client_nonce, "gateway_principal": peer.gateway.principal.raw}
    other = encode((kind, value | {"secure": _secure(peer) | {"attach": "1"}}))
    for when in ("before", "during"):
        told = await peer.update(peer.key, "ws_open", plain)
        stage.refused(told, f"an omnia/1 open {when} the session", "SecureFieldsMissing")
        told = await peer.update(peer.key, "ws_open", other)
        stage.refused(told, f"fields of another type {when} the session", "SecureFieldsMissing", "MalformedArgument")
        if when == "before":
            stage.ok(await peer.open(), "an open")
    await stage.send(peer, b"hello")
    return Finding("refused four times; the session goes on")


@play(
    "open/gateway-principal",
    "opens that name the anonymous principal, a canister and the management canister as gateway",
    "CAN-011",
    "InvalidGatewayPrincipal",
    gain="Anybody can poll the queue of the anonymous principal.",
)
async def _gateway_principal(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    wrong = {"anonymous": b"\x04", "a canister": stage.tested.ic.canister.raw, "management": b"", "short": b"\x01\x02"}
    for name, raw in wrong.items():
        told = await peer.open(gateway_raw=raw, attach=1)
        stage.refused(told, f"a gateway that is {name}", "InvalidGatewayPrincipal")
    stage.ok(await peer.open(), "an honest open after them")
    return Finding(f"{len(wrong)} refused")


@play(
    "open/stale-attach",
    "opens with an attach number that was used, or a lower one",
    "CAN-012",
    "StaleAttach, and nothing changes",
    gain="An open that a gateway held back takes the session to it later.",
)
async def _stale_attach(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    stage.ok(await peer.open(attach=5), "an open")
    stage.ok(await peer.open(attach=7), "an open")
    other = identity()
    for attach in (7, 6, 5, 1, 0):
        told = await peer.update(peer.key, "ws_open", peer.secure_arg(other, attach=attach))
        stage.refused(told, f"attach {attach} after 7", "StaleAttach")
    await stage.send(peer, b"hello")
    stage.check(await peer.stream(1), "the echo does not come through the newest attach")
    stage.check(not await peer.mine(gateway=other), "something is queued for the stale open's gateway")
    return Finding("7, 6, 5, 1 and 0 are refused")


@play(
    "open/newest-attach-alone",
    "a session goes to another gateway while messages wait in the first one's queue",
    "CAN-012 CAN-023",
    "the first queue keeps tombstones only, and new messages go to the newest",
)
async def _newest_alone(stage: Stage) -> Finding:
    peer = await stage.ready()
    old = peer.gateway
    await stage.send(peer, b"one")
    await stage.send(peer, b"two")
    before = await peer.queue()
    stage.ok(await peer.open(gateway=identity()), "an open through another gateway")
    await stage.send(peer, b"three")
    left = await peer.queue(gateway=old)
    stage.check(not [m for m in left if not m.is_tombstone], "the old gateway can still poll the session's messages")
    stage.check(
        [m.nonce for m in left] == [m.nonce for m in before][: len(left)] or not left, "the old queue has a hole"
    )
    stage.in_order(await peer.stream(3))
    return Finding(f"{len(left)} tombstones in the old queue, three messages in the new")


@play(
    "open/client-key-and-registration",
    "opens with another client nonce, another registration id, and by another principal",
    "CAN-015",
    "WrongClientKey, WrongRegistration, NotRegistered",
)
async def _client_key(stage: Stage) -> Finding:
    peer, other = await stage.ready(), await stage.ready()
    told = await peer.open(client_nonce=peer.client_nonce + 1, attach=2)
    stage.refused(told, "another client nonce", "WrongClientKey")
    told = await peer.open(registration_id=other.parameters["registration_id"], attach=2)
    stage.refused(told, "another session's registration", "WrongRegistration")
    told = await peer.open(registration_id=bytes(16), attach=2)
    stage.refused(told, "a registration that there is not", "WrongRegistration")
    told = await peer.open(who=identity(), attach=2)
    stage.refused(told, "an open by a stranger who knows the registration", "NotRegistered", "WrongRegistration")
    stage.ok(await peer.open(attach=2), "an honest open after them")
    return Finding("all four refused")


@play(
    "open/silent",
    "an open is followed by no call of the session key for 60 s, another by one",
    "CAN-016 CAN-040",
    "the silent one is detached, the other is not",
    moves=True,
)
async def _silent(stage: Stage) -> Finding:
    silent, speaking, asking = await stage.ready(), await stage.ready(), await stage.ready()
    await stage.send(speaking, b"here")
    stage.ok(await asking.update(asking.key, "ws_params", _params(asking)), "ws_params")
    await stage.tested.advance(silent.parameters["detach_after_open_ns"] / 1e9 + 1)
    states = [await _state(each) for each in (silent, speaking, asking)]
    stage.check(states[0] == "detached", f"the silent session is {states[0]}")
    stage.check(states[1:] == ["open", "open"], f"the sessions that spoke are {states[1:]}")
    stage.ok(await silent.open(), "the silent session opens again")
    return Finding("detached, and can be resumed")


def _params(peer: Peer) -> bytes:
    return encode((record(registration_id=BLOB), {"registration_id": peer.parameters["registration_id"]}))


async def _state(peer: Peer) -> str:
    head = await peer.head()
    return "gone" if head is None else str(head["state"])


@play(
    "open/unknown-suite",
    "opens that name a suite that is not offered",
    "PAY-012",
    "refused",
    gain="A session is talked down to less protection.",
)
async def _unknown_suite(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(), "a registration")
    for suite in ("rot13", ""):
        told = await peer.open(suite=suite, attach=1)
        stage.refused(told, f"the suite {suite!r}", "UnknownSuite", "SuiteTooWeak", "MalformedArgument")
    stage.ok(await peer.open(), "an honest open after them")
    return Finding("refused")


@play(
    "open/own-principal", "a client attaches with its own principal as gateway, and polls itself", "CAN-025", "as any"
)
async def _own_principal(stage: Stage) -> Finding:
    peer = stage.peer()
    peer.gateway = peer.key
    await peer.ready()
    await stage.send(peer, b"hello")
    found = await peer.stream(1)
    stage.check(found[0].content == b"hello", "the echo is another")
    stage.check(not await peer.mine(gateway=identity()), "a stranger is given the messages")
    return Finding(f"polled by {Principal(peer.key.principal.raw)}")
