"""Scripted cases of a client without a gateway: what it polls is verified as what a gateway brings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.canister import Queued, ScriptedCanister
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Call, Stage
from icws_conformance.hostile import Subnet
from icws_conformance.hostile.boundary import Answer
from icws_secure.limits import NS_PER_S
from icws_secure.wire.interface import CertifiedMessages, OutputMessage, encode_get_messages_result

__all__ = ["SCRIPTS"]

_STALE_S: Final = 360

_Shown = Callable[[ScriptedCanister, Queued], CertifiedMessages]
"""What a dishonest node answers to a poll, when the queue has this entry."""


async def _polls(stage: Stage) -> Finding:
    stage.need("direct")
    await stage.connected(gateways=[])
    await stage.talk(b"one", b"two")
    argument, _ = stage.canister.opens[0]
    registered = stage.canister.registered
    if registered is None or argument.gateway_principal != registered.session_principal:
        raise Failed("the client does not name its own session principal as gateway")
    if any(call.gateway is not None for call in stage.calls):
        raise Failed("a call went to a gateway")
    return Finding("its own gateway, by direct calls and polls")


async def _false_poll(stage: Stage, *, shown: _Shown, why: str) -> Finding:
    """A node answers one poll with what must not be taken, and is honest afterwards."""
    stage.need("direct")
    await stage.connected(gateways=[])
    await stage.talk(b"one")
    canister, struck = stage.canister, [0]

    def answers(call: Call) -> Answer | None:
        if call.method != "ws_get_messages" or struck[0]:
            return None
        struck[0] += 1
        entry = canister.enqueue(canister.certified_message(b"wrong", seq=canister.next_out))
        canister.queue.remove(entry)
        return stage.query_reply(encode_get_messages_result(shown(canister, entry)))

    stage.answers = answers
    await stage.until(lambda: struck[0] > 0, "the client does not poll")
    await stage.goes_on(b"two")
    stage.not_given(b"wrong", why)
    stage.lives(why)
    return Finding("nothing of it was given, and the session goes on")


def _reply(canister: ScriptedCanister, entry: Queued, content: bytes, cert: bytes, tree: bytes) -> CertifiedMessages:
    if canister.key is None:
        raise Failed("the client has not opened")
    return CertifiedMessages((OutputMessage(canister.key, entry.key, content),), cert, tree)


def _altered(canister: ScriptedCanister, entry: Queued) -> CertifiedMessages:
    true = canister.certified_message(b"right", seq=canister.next_out)
    proof = canister.proof(Queued(entry.gateway, entry.nonce, true))
    return _reply(canister, entry, entry.content, proof.cert, proof.tree)


def _signed_by(canister: ScriptedCanister, entry: Queued, *, subnet: Subnet) -> CertifiedMessages:
    proof = canister.proof(entry, subnet=subnet)
    return _reply(canister, entry, entry.content, proof.cert, proof.tree)


def _stale(canister: ScriptedCanister, entry: Queued) -> CertifiedMessages:
    proof = canister.proof(entry, time_ns=canister.now() - _STALE_S * NS_PER_S)
    return _reply(canister, entry, entry.content, proof.cert, proof.tree)


_FALSE: Final[tuple[tuple[str, str, str, _Shown], ...]] = (
    ("altered-poll", "CLT-025", "the content is not the certified one", _altered),
    ("poll-of-another-subnet", "CLT-022", "another subnet has signed", partial(_signed_by, subnet=Subnet.OTHER)),
    ("poll-of-nobody", "CLT-022", "nobody's key has signed", partial(_signed_by, subnet=Subnet.NOBODY)),
    ("stale-poll", "CLT-022", "the certificate is six minutes old", _stale),
)

SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "direct/polls",
        "there is no gateway",
        "CLT-073",
        "the client names its own session principal as gateway and polls itself",
        _polls,
    ),
    *(
        script(
            f"direct/{name}",
            f"a node answers a poll; {why}",
            f"CLT-073 {number}",
            "nothing of it is given; the session goes on",
            partial(_false_poll, shown=shown, why=why),
        )
        for name, number, why, shown in _FALSE
    ),
)
