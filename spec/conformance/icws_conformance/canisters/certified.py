"""Cases about what is certified: the tree, the heads of sessions, audits."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import cbor2

from icws_conformance.canisters.candid import CandidError, Case, decode
from icws_conformance.canisters.certificate import CertificateFault, read_tree
from icws_conformance.canisters.interface import Told, audit_arg, service
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import COMMAND, Stage, play
from icws_conformance.case import Finding, NotApplicable

__all__: list[str] = []

_TESTED: Final = "icws_test_certified"


@play(
    "head/every-change",
    "a session is registered, opened, spoken in, acknowledged, detached, resumed and revoked",
    "CAN-051",
    "after each call the certified head has what the call did, no earlier and no later",
    gain="A message exists that no audit tells of.",
)
async def _every_change(stage: Stage) -> Finding:
    peer = stage.peer()
    told = await peer.register()
    stage.ok(told, "a registration")
    await _head(stage, peer, told, state="registered", attach=0, next_in=1, next_out=1)
    told = await peer.open()
    await _head(stage, peer, told, state="open", attach=1, next_in=1, next_out=1, executed_through=0)
    told = await peer.say(b"two", seq=2)
    await _head(stage, peer, told, next_in=1, executed_through=0)
    told = await peer.say(b"one", seq=1)
    await stage.executed(peer, told, 2)
    await _head(stage, peer, told, next_in=3, executed_through=2, next_out=3, acked=0, oldest_retained=1)
    told = await peer.keep_alive(1, seq=3)
    await _head(stage, peer, told, next_in=4, acked=1, oldest_retained=2)
    told = await peer.close(attach=1)
    await _head(stage, peer, told, state="detached", attach=1)
    peer.next = 4
    if await stage.said_detached(peer, b"four"):
        await _head(stage, peer, told, next_in=5, next_out=4, state="detached")
    told = await peer.open(resume_from=2)
    await _head(stage, peer, told, state="open", attach=2)
    told = await peer.revoke(session=peer.key.principal.raw)
    await _head(stage, peer, told, state="closed", close_code="Revoked")
    return Finding("nine changes, nine heads")


async def _head(stage: Stage, peer: Peer, told: Told, **wanted: Any) -> None:
    stage.ok(told, "a call that changes the head")
    head = await peer.head()
    if head is None:
        stage.fail("the certified tree has no head of the session")
        return
    different = {name: head.get(name) for name, value in wanted.items() if head.get(name) != value}
    stage.check(not different, f"the head has {different}, and should have {wanted}")
    stage.check(head["registration_id"] == peer.parameters["registration_id"], "the head is of another registration")
    stage.check(head["epoch"] == peer.parameters["epoch"], "the head's epoch is not that of the registration")
    stage.check(
        head["expires_at"] == peer.parameters["expires_at"], "the head's expiry is not that of the registration"
    )


@play(
    "head/never-back",
    "heads are read while messages flow",
    "CAN-051 CAN-021",
    "numbers and timestamp never decrease",
)
async def _never_back(stage: Stage) -> Finding:
    peer = await stage.ready()
    heads: list[dict[str, Any]] = []

    async def watch() -> None:
        while len(heads) < 12:
            head = await peer.head()
            stage.check(head, "the head is gone")
            heads.append(head or {})

    async def talk() -> None:
        for number in range(8):
            await stage.send(peer, b"%d" % number)

    await asyncio.gather(watch(), talk())
    for name in ("attach", "next_in", "next_out", "executed_through", "acked", "oldest_retained", "timestamp"):
        values = [int(head[name]) for head in heads]
        stage.check(values == sorted(values), f"{name} went back: {values}")
    return Finding(f"{len(heads)} heads, next_out {heads[0]['next_out']} to {heads[-1]['next_out']}")


@play(
    "audit/who",
    "audits by the session, by its gateway, by an earlier one, by its owner and by strangers",
    "CAN-052",
    "the session and the bound gateway are shown the head, nobody else",
    gain="Strangers watch who talks how much.",
)
async def _who(stage: Stage) -> Finding:
    peer = await stage.ready()
    old = peer.gateway
    stage.ok(await peer.open(gateway=identity()), "an open through another gateway")
    stage.check(await peer.head(), "the session is not shown its head")
    stage.check(await peer.head(who=peer.gateway), "the gateway is not shown the head")
    arg = audit_arg([peer.key.principal.raw])
    other = await stage.ready()
    for who in (old, identity(), other.key, other.gateway):
        told = await peer.query(who, "ws_audit", arg)
        shown = told.ok and any(head is not None for head in told.value["heads"])
        stage.check(not shown, f"{who.principal} is shown the head")
        if not told.ok:
            stage.refused(told, "a stranger's audit", "NotYourSession")
    return Finding("two see it, four do not")


@play(
    "audit/some-of-many",
    "a gateway audits its own session and another's at once",
    "CAN-052",
    "it is given its own, and null for the other",
)
async def _some(stage: Stage) -> Finding:
    one, two = await stage.ready(), await stage.ready()
    told = await one.query(one.gateway, "ws_audit", audit_arg([one.key.principal.raw, two.key.principal.raw]))
    found = stage.ok(told, "an audit of two sessions")
    stage.check(len(found["heads"]) == 2, f"{len(found['heads'])} heads for two sessions")
    stage.check(found["heads"][0] is not None, "the gateway's own session is not shown")
    stage.check(found["heads"][1] is None, "another gateway's session is shown")
    witness, _ = one.witness(found["cert"], found["tree"])
    try:
        seen = witness.find(b"icws", b"head", two.key.principal.raw)
    except CertificateFault:
        seen = None
    stage.check(seen is None, "the witness shows another gateway's session")
    told = await one.query(one.gateway, "ws_audit", audit_arg([one.key.principal.raw] * 51))
    stage.refused(told, "an audit of 51 sessions", "TooMany", "MalformedArgument")
    return Finding("its own, and null")


@play(
    "audit/as-an-update",
    "an audit by update",
    "CAN-052 CAN-071",
    "the head, certified by the answer itself",
)
async def _as_an_update(stage: Stage) -> Finding:
    peer = await stage.ready()
    told = await stage.send(peer, b"one")
    await stage.executed(peer, told, 1)
    told = await peer.update(peer.key, "ws_audit", audit_arg([peer.key.principal.raw]))
    found = stage.ok(told, "an audit by update")
    stage.check(found["cert"] is None and found["tree"] is None, "an update cannot have a data certificate")
    head = cbor2.loads(found["heads"][0]) if found["heads"] and found["heads"][0] else {}
    stage.check(head.get("next_in") == 2, f"the head has next_in {head.get('next_in')}")
    stage.check(found["epoch"] == peer.parameters["epoch"], "another epoch than that of the registration")
    return Finding("the same head")


@play(
    "tree/application-label",
    "the application certifies something of its own, and tries the protocol's labels",
    "CAN-050",
    "its label stands beside the protocol's, which stay; sessions are not disturbed",
    gain="An application that certifies something breaks every session.",
)
async def _application_label(stage: Stage) -> Finding:
    stage.need("certify")
    peer = await stage.ready()
    for label in ("icws", "websocket"):
        answer = await stage.obeyed(peer, "certify", label)
        stage.check(answer == "refused", f"the application certified under {label}")
    stage.check(await stage.obeyed(peer, "certify", "icws-test") == "done", "the application certified nothing")
    stage.check(await peer.head(), "the head is gone")
    await stage.send(peer, b"still here")
    await peer.stream(4)
    told = await stage.tested.ic.query(peer.owner, _TESTED, b"DIDL\x00\x00", stage.log)
    if told.arg is None:
        raise NotApplicable(f"the canister has no query {_TESTED}")
    try:
        (certificate, tree), _ = decode(told.arg, ())
    except (CandidError, ValueError) as error:
        stage.fail(f"the answer of {_TESTED} cannot be read: {error}")
        raise
    witness, _ = peer.witness(certificate, tree)
    stage.check(witness.find(b"icws-test") == b"certified", "the application's label is not in the certified tree")
    return Finding("icws, websocket and the application's own")


@play(
    "tree/shape",
    "the witness of a poll and that of an audit",
    "CAN-050 CAN-020",
    "icws/epoch, icws/head/S and websocket/key under one certified root",
)
async def _shape(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"hello")
    message = (await peer.stream(1))[0]
    found = stage.ok(await peer.query(peer.key, "ws_audit", audit_arg([peer.key.principal.raw])), "an audit")
    try:
        witness = read_tree(found["tree"])
        stage.check(witness.labels(b"icws"), "the witness shows nothing below icws")
        stage.check(set(witness.labels() or ()) <= {b"icws", b"websocket", b"icws-test"}, f"labels {witness.labels()}")
    except CertificateFault as error:
        stage.fail(f"the witness is no tree: {error}")
    stage.check(await peer.head(), "there is no head")
    return Finding(f"a message at websocket/{message.key[-24:]}, a head at icws/head")


@play(
    "audit/unknown",
    "audits of a session that was never registered",
    "CAN-052",
    "refused or null; the method does not trap",
)
async def _unknown(stage: Stage) -> Finding:
    peer = stage.peer()
    told = await peer.query(peer.key, "ws_audit", audit_arg([peer.key.principal.raw]))
    stage.check(not told.trapped, f"an audit trapped: {told.text[:200]}")
    if told.ok:
        stage.check(await peer.head() is None, "there is a head of a session that there is not")
        return Finding("certified absence")
    return Finding(stage.refused(told, "an audit of nobody", "NotYourSession", "NotRegistered"))


@play(
    "head/close",
    "the client closes, and the application closes",
    "CAN-051 CAN-066",
    "the certified head tells who closed",
)
async def _close(stage: Stage) -> Finding:
    peer = await stage.ready()
    closing = service("CloseMessage", {"reason": Case("ClosedByApplication"), "code": "ClientClosed"})
    told = await peer.say(closing, service=True)
    await _head(stage, peer, told, state="closed", close_code="ClientClosed")
    stage.refused(await peer.say(b"hello"), "a message after the end", "Closed", "NotOpen")
    seen = ["ClientClosed"]
    if "close" in stage.tested.commands:
        peer = await stage.ready()
        told = await peer.say(COMMAND + b"close")
        stage.ok(told, "a message at which the application closes")
        await stage.executed(peer, told, 1)
        await _head(stage, peer, told, state="closed", close_code="ApplicationClosed")
        goodbyes = [m for m in await peer.mine() if m.service is not None and m.service.name == "CloseMessage"]
        stage.check(goodbyes, "the client is not told that the application closed")
        stage.check(goodbyes[0].service and goodbyes[0].service.value.get("code") == "ApplicationClosed", "no code")
        seen.append("ApplicationClosed")
    return Finding(", ".join(seen))
