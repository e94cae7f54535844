"""Cases about the methods themselves: what is refused early, junk, refusals, and old peers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any, Final

from icws_conformance.canisters import interface
from icws_conformance.canisters.candid import BLOB, encode, opt, record, vec
from icws_conformance.canisters.interface import CLIENT_KEY, MESSAGE, Told
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding
from icws_secure.sign.identity import AnonymousIdentity
from icws_secure.wire.principal import Principal

__all__: list[str] = []

_UPDATES: Final = ("ws_register", "ws_params", "ws_open", "ws_close", "ws_message", "ws_revoke")
_QUERIES: Final = ("ws_get_messages", "ws_audit", "ws_sessions")


def _junk() -> Iterator[tuple[str, bytes]]:
    yield "nothing", b""
    yield "no Candid", b"hello"
    yield "a header alone", b"DIDL"
    yield "no values", b"DIDL\x00\x00"
    yield "a text", encode(("text", "hello"))
    yield "an empty record", encode((record(), {}))
    yield "a vector of 2^60 nulls", b"DIDL\x01\x6d\x7f\x01\x00" + b"\xff" * 8 + b"\x0f"
    yield "a type of itself", b"DIDL\x01\x6e\x00\x01\x00" + b"\x01" * 3000
    yield "bytes after the end", encode((record(), {})) + b"more"
    yield "random bytes", b"DIDL" + secrets.token_bytes(400)


@play(
    "methods/junk",
    "arguments that are no Candid, of other types, without end",
    "CAN-072 CAN-052 CAN-071",
    "Err MalformedArgument, or a refusal by the node; no method traps",
    gain="Strangers stop a method, or find out what its memory holds.",
)
async def _junk_arguments(stage: Stage) -> Finding:
    peer = await stage.ready()
    callers = {"ws_register": peer.owner, "ws_revoke": peer.owner, "ws_close": peer.gateway}

    async def one(method: str, what: str, arg: bytes) -> None:
        told = await _call(peer, method, arg, callers.get(method, peer.key))
        if method == "ws_sessions" and told.ok:
            return  # it has no argument, and may pass over what there is
        stage.refused(told, f"{method} with {what}", "MalformedArgument", "NotRegistered", "NotOpen", "ContentTooLarge")

    for method in (*_UPDATES, *_QUERIES):
        await asyncio.gather(*(one(method, what, arg) for what, arg in _junk()))
    await stage.send(peer, b"still here")
    return Finding("refused everywhere")


async def _call(peer: Peer, method: str, arg: bytes, who: Any) -> Told:
    return await (peer.query if method in _QUERIES else peer.update)(who, method, arg)


@play(
    "methods/early",
    "calls that no method would take: by strangers, by nobody, too large",
    "CAN-070",
    "refused by inspect_message, before any execution",
    gain="Refusals cost the canister cycles; strangers pay nothing.",
)
async def _early(stage: Stage) -> Finding:
    peer, stranger = await stage.ready(), identity()
    large = b"DIDL" + bytes(200_000)
    calls: list[tuple[str, Any, str, bytes]] = [
        ("a stranger's message", stranger, "ws_message", interface.message_arg(peer.message(1, b"x"))),
        ("a stranger's close", stranger, "ws_close", interface.close_arg(peer.client_key, 1)),
        ("an anonymous registration", AnonymousIdentity(), "ws_register", peer.register_arg()),
        ("an anonymous open", AnonymousIdentity(), "ws_open", peer.secure_arg(attach=2)),
        ("an anonymous message", AnonymousIdentity(), "ws_message", interface.message_arg(peer.message(1, b"x"))),
        ("an open of 200,000 bytes", peer.key, "ws_open", large),
        ("a registration of 200,000 bytes", peer.owner, "ws_register", large),
        ("a message of 1.9 MiB", peer.key, "ws_message", interface.message_arg(peer.message(1, bytes(1_900_000)))),
        ("a stranger's ws_params", stranger, "ws_params", interface.params_arg(peer.parameters["registration_id"])),
    ]
    if not stage.tested.omnia:
        calls.append(("a stranger's open", stranger, "ws_open", peer.secure_arg(attach=2)))
    for what, who, method, arg in calls:
        told = await peer.update(who, method, arg)
        stage.check(not told.ok, f"{what} was taken")
        stage.check(told.early, f"{what} was refused by an execution, and not before: {told}")
    return Finding(f"{len(calls)} kinds of calls cost nothing")


@play(
    "methods/past-inspect",
    "the same calls on a node that skips inspect_message",
    "CAN-070 CAN-072",
    "each method refuses them itself, with a code",
    gain="One node of the subnet passes every check by.",
)
async def _past_inspect(stage: Stage) -> Finding:
    peer, stranger, nobody = await stage.ready(), identity().principal, Principal(b"\x04")
    large = b"DIDL" + bytes(200_000)
    calls: list[tuple[str, Principal, str, bytes, tuple[str, ...]]] = [
        ("a stranger's message", stranger, "ws_message", interface.message_arg(peer.message(1, b"x")), ("NotOpen",)),
        ("a stranger's close", stranger, "ws_close", interface.close_arg(peer.client_key, 1), ("NotYourGateway",)),
        ("an anonymous open", nobody, "ws_open", peer.secure_arg(attach=2), ("AnonymousCaller", "NotRegistered")),
        ("an anonymous revoke", nobody, "ws_revoke", interface.revoke_arg(None, peer.now_ns), ("AnonymousCaller",)),
        ("a stranger's ws_params", stranger, "ws_params", interface.params_arg(bytes(16)), ("NotRegistered",)),
        ("an open of 200,000 bytes", peer.key.principal, "ws_open", large, ("MalformedArgument",)),
        ("a revoke of 200,000 bytes", peer.owner.principal, "ws_revoke", large, ("MalformedArgument",)),
        ("a padded open", peer.key.principal, "ws_open", _padded(peer), ("MalformedArgument",)),
    ]
    for what, who, method, arg, codes in calls:
        stage.refused(await peer.unchecked(who, method, arg), what, *codes, early=False)
    stage.check((await peer.head() or {}).get("attach") == 1, "a refused call has changed the session")
    return Finding(f"{len(calls)} refused by the methods")


def _padded(peer: Peer) -> bytes:
    """An open that is right, but for 100,000 bytes in a field that nobody knows."""
    secure = {
        "registration_id": peer.parameters["registration_id"],
        "attach": 2,
        "resume_from": 1,
        "suite": "none",
        "key_id": None,
        "enc": None,
    }
    kind = record(client_nonce="nat64", gateway_principal="principal", secure=opt(interface.SECURE), padding=BLOB)
    value = {"client_nonce": peer.client_nonce, "gateway_principal": peer.gateway.principal.raw, "secure": secure}
    return encode((kind, value | {"padding": bytes(100_000)}))


@play(
    "methods/own",
    "a stranger calls whatever else the canister might have for itself",
    "CAN-070",
    "refused",
)
async def _own(stage: Stage) -> Finding:
    peer, stranger = await stage.ready(), identity()
    for method in ("icws_handle", "icws_run", "icws_tick", "icws_error", "canister_heartbeat", "canister_global_timer"):
        told = await stage.tested.ic.update(stranger, method, b"DIDL\x00\x00", stage.log)
        stage.check(told.arg is None, f"{method} was called by a stranger")
    await stage.send(peer, b"still here")
    return Finding("nothing is open to strangers")


@play(
    "methods/refusals",
    "a dozen refusals of different methods",
    "CAN-072",
    'all are "<Code>: <words>" with a code of the closed list',
)
async def _refusals(stage: Stage) -> Finding:
    peer, other = await stage.ready(), stage.peer()
    await stage.send(peer, b"one")
    told = [
        await other.register(session=other.owner.principal.raw),
        await other.register(session=peer.key.principal.raw),
        await other.register(expires_at=1),
        await peer.open(attach=1),
        await peer.open(attach=9, registration_id=bytes(16)),
        await peer.open(attach=9, client_nonce=1),
        await peer.open(attach=9, resume_from=99),
        await peer.open(attach=9, gateway_raw=b"\x04"),
        await peer.say(b"other", seq=1),
        await peer.say(b"far", seq=9_999),
        await peer.keep_alive(99, seq=2),
        await peer.say(b"junk", seq=2, service=True),
        await peer.update(peer.key, "ws_params", interface.params_arg(bytes(16))),
        await peer.query(identity(), "ws_audit", interface.audit_arg([peer.key.principal.raw])),
    ]
    codes = [stage.refused(each, f"refusal {number}", early=False) for number, each in enumerate(told, 1)]
    return Finding(f"{len(set(codes))} codes: {' '.join(sorted(set(codes)))}")


@play(
    "peers/unknown-fields",
    "arguments with fields and further values that the canister does not know",
    "CAN-073",
    "passed over",
)
async def _unknown_fields(stage: Stage) -> Finding:
    peer = stage.peer()
    kind = record(
        session_principal="principal",
        created_at="nat64",
        expires_at=opt("nat64"),
        evict=opt("principal"),
        minimum_suite=opt("text"),
        later=opt(vec("text")),
    )
    value = {
        "session_principal": peer.key.principal.raw,
        "created_at": peer.now_ns,
        "expires_at": None,
        "evict": None,
        "minimum_suite": None,
        "later": ["a", "b"],
    }
    told = await peer.update(peer.owner, "ws_register", encode((kind, value), ("text", "a further argument")))
    peer.parameters = stage.ok(told, "a registration with an unknown field and a further argument")
    stage.ok(await peer.open(), "an open")
    message = peer.message(1, b"hello") | {"later": None}
    wide = record(**interface.MESSAGE_FIELDS, later=opt("text"))
    arg = encode((record(msg=wide), {"msg": message}), (opt(BLOB), None), (opt("nat"), 7))
    stage.ok(await peer.update(peer.key, "ws_message", arg), "a message with an unknown field and a further argument")
    close = record(client_key=CLIENT_KEY, attach=opt("nat64"), later=opt("bool"))
    value = {"client_key": peer.client_key, "attach": 1, "later": True}
    stage.ok(await peer.update(peer.gateway, "ws_close", encode((close, value))), "a close with an unknown field")
    return Finding("register, message and close")


@play(
    "peers/one-argument",
    "a message without the second argument, and a close without attach",
    "CAN-073",
    "taken: what older peers send",
)
async def _one_argument(stage: Stage) -> Finding:
    peer = await stage.ready()
    arg = encode((record(msg=MESSAGE), {"msg": peer.message(1, b"hello")}))
    stage.ok(await peer.update(peer.key, "ws_message", arg), "a message without the second argument")
    stage.ok(await peer.close(), "a close without attach")
    return Finding("taken")
