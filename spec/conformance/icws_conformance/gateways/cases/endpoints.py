"""Which of the IC's endpoints are asked, and whose answers are believed."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Final

from icws_conformance.case import Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.gateways.byzantine import is_poll, signed_reply
from icws_conformance.gateways.cases.opening import of_the_table
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.scripted import ScriptedCanister
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Stage
from icws_conformance.gateways.under_test import IcHook
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_conformance.hostile.forge import Subnet
from icws_secure.errors import IcwsError
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.hashtree import Found, encode_tree, lookup
from icws_secure.wire.interface import CertifiedMessages, OutputMessage, encode_get_messages_result
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key

__all__ = ["ENDPOINTS", "WITHDRAWN"]

_INVENTED: Final = b"invented"


def _unreadable(peer: Peer) -> str:
    """The key of the first message whose certificate deployed clients cannot read; empty for none."""
    for key, _, data, _ in peer.messages:
        try:
            delegation = decode_certificate(data).delegation
            if delegation is None:
                continue
            inner = decode_certificate(delegation.certificate)
        except IcwsError as error:
            raise Failed(f"a certificate cannot be read at all: {error}") from error
        path = (b"subnet", delegation.subnet_id.raw, b"canister_ranges")
        if not isinstance(lookup(inner.tree, path), Found):
            return key
    return ""


def _demand_readable(stage: Stage, peer: Peer) -> None:
    if key := _unreadable(peer):
        stage.blame("gateway", f"the certificate with {key} shows the canister's ranges at their new place only")
        raise Failed("a client without the subprotocol was given a certificate that deployed clients cannot read")


async def _old_clients(stage: Stage) -> Finding:
    peer = await stage.peer(canister=stage.canister())
    await peer.open()
    await stage.goes_on(peer, "an echo")
    _demand_readable(stage, peer)
    versions = sorted({asked.version for asked in stage.gateway.polls_of(peer.canister)})
    return Finding(f"polled by {' and '.join(versions)}; deployed clients can read every certificate")


async def _both_kinds(stage: Stage) -> Finding:
    canister = stage.canister(ScriptedCanister())
    modern = await stage.peer("client of the subprotocol", modern=True, canister=canister)
    await modern.open()
    await stage.goes_on(modern, "an echo")
    old = await stage.peer("client without it", canister=canister)
    await old.open()
    for _ in range(3):
        await stage.goes_on(old, "an echo")
        await stage.goes_on(modern, "an echo")
    _demand_readable(stage, old)
    return Finding("a client without the subprotocol can read every certificate, though others were there before it")


def _withdrawn(version: str) -> IcHook:
    async def answer(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        del envelope
        if path.startswith(f"/api/{version}/") and path.endswith("/query"):
            return Answer(404, b"This endpoint has been withdrawn.", "text/plain")
        return await fetch()

    return answer


async def _old_endpoint_gone(stage: Stage) -> Finding:
    modern = await stage.peer("client of the subprotocol", modern=True, canister=stage.canister())
    await modern.open()
    stage.gateway.answer = _withdrawn("v2")
    old = await stage.peer("client without it", canister=stage.canister())
    await old.send(await old.open_envelope())
    await stage.goes_on(modern, "an echo for the client of the subprotocol", 15)
    await old.until(lambda: old.messages or old.closed, "a message, or a refusal that says why", 15)
    _demand_readable(stage, old)
    if old.closed is None:
        return Finding("its certificates are readable all the same")
    how = of_the_table(old, (CloseCode.UNSUPPORTED_SUBPROTOCOL,), "the IC has nothing that it can read", stage)
    return Finding(f"the client without the subprotocol was closed with {how}; the other goes on")


async def _new_endpoint_gone(stage: Stage) -> Finding:
    modern = await stage.peer("client of the subprotocol", modern=True, canister=stage.canister())
    stage.gateway.answer = _withdrawn("v3")
    await modern.open()
    await stage.goes_on(modern, "an echo", 15)
    return Finding("polled by an endpoint that is there")


async def _node_signatures(stage: Stage) -> Finding:
    if "node-signatures" not in stage.gateway.features:
        raise NotApplicable("required against the main network only; --feature node-signatures has it tested here")
    peer = await stage.peer(canister=stage.canister(ScriptedCanister()))
    await peer.open()
    world, gateway = stage.gateway.world, (await peer.handshake()).gateway_principal
    nonce = 1 + max((int(key.rpartition("_")[2]) for key, _, _, _ in peer.messages), default=0)
    key = message_key(gateway, nonce)
    content = CanisterMessage(peer.key, 2, world.forge.now(), False, _INVENTED).encode()
    tree = MerkleMap.from_items({b"websocket": MerkleMap.from_items({key.encode(): hashlib.sha256(content).digest()})})
    certificate = world.forge.certificate(
        canister_id=peer.canister,
        certified_data=tree.digest(),
        time_ns=world.forge.now(),
        subnet=Subnet.NOBODY,
    )
    witness = encode_tree(tree.witness([(b"websocket",)]))
    invented = encode_get_messages_result(
        CertifiedMessages((OutputMessage(peer.key, key, content),), certificate, witness, True)
    )
    lied = 0

    async def lie(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal lied
        real = await fetch()
        if envelope is None or lied >= 3 or not is_poll(path, envelope, peer.canister):
            return real
        lied += 1
        body = signed_reply(world.replica, peer.canister, envelope.content.request_id, invented, forged=True)
        return replace(real, body=body)

    stage.gateway.answer = lie
    await peer.until(lambda: lied >= 3, "three polls", 30)
    await asyncio.sleep(QUIET_S)
    if any(message.content == _INVENTED for message in peer.contents):
        stage.blame("gateway", "an invented message was passed on")
        raise Failed("a message whose node signature is not valid was passed on")
    if not lied:
        raise Inconclusive("no poll was there to be answered")
    await stage.goes_on(peer, "an echo", 20)
    return Finding("an answer without a valid node signature was not used")


ENDPOINTS: Final = (
    GatewayCase(
        "endpoints/old-clients",
        "a client without the subprotocol",
        ("GWY-014",),
        "certificates of the old form",
        _old_clients,
        "deployed clients refuse every message",
    ),
    GatewayCase(
        "endpoints/both-kinds",
        "a client without the subprotocol comes to one with it",
        ("GWY-014",),
        "certificates of the old form from then on",
        _both_kinds,
        "deployed clients refuse every message",
    ),
    GatewayCase(
        "endpoints/node-signatures",
        "a node's signature is not valid",
        ("GWY-016",),
        "the answer is not used",
        _node_signatures,
        "one node invents messages that clients then charge to the gateway",
        60,
    ),
)

#: A gateway may remember for a while that an endpoint is gone: these come late.
WITHDRAWN: Final = (
    GatewayCase(
        "endpoints/new-gone",
        "the newer endpoint for queries is withdrawn",
        ("GWY-014",),
        "polls go on by the older one",
        _new_endpoint_gone,
        "an IC that withdraws an endpoint stops the gateway",
        60,
    ),
    GatewayCase(
        "endpoints/old-gone",
        "the older endpoint for queries is withdrawn",
        ("GWY-014",),
        "clients that cannot read the newer form are told so, others go on",
        _old_endpoint_gone,
        "deployed clients refuse every message",
        60,
    ),
)
