"""Scripted cases of silence: what the client does when a gateway or the canister does not answer."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding, Inconclusive
from icws_conformance.clients.scripted.gateway import ScriptedGateway
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Call, Stage
from icws_conformance.hostile.boundary import Answer
from icws_secure.wire.envelope import ReadStateContent
from icws_secure.wire.interface import (
    MessageResult,
    Refusal,
    RefusalCode,
)

__all__ = ["SCRIPTS"]

_QUIET_S: Final = 2.0


def _asked_about_a_message(stage: Stage) -> bool:
    """Whether the IC was asked about a message of the client."""
    messages = {call.envelope.content.request_id for call in stage.calls if call.method == "ws_message"}
    questions = [call.envelope.content for call in stage.calls]
    paths = [path for content in questions if isinstance(content, ReadStateContent) for path in content.paths]
    return any(messages & set(path) for path in paths)


async def _pending(stage: Stage) -> Finding:
    """The gateway says pending, and nothing after: the IC is slow, and nobody is to blame."""
    gateway = await stage.connected()
    gateway.gives_receipts = False
    relayed = stage.relays

    def pending(call: Call) -> bool:
        if call.method == "ws_message":
            asyncio.get_running_loop().create_task(gateway.pending(call.envelope.content.request_id))
        return relayed(call)

    stage.relays = pending
    answer = await stage.send(b"one")
    if answer.get("ok") is not True:
        raise Failed(f"the message ended as {answer.get('error')}, though the IC knows that it was executed")
    if not _asked_about_a_message(stage):
        raise Failed("the IC was not asked")
    if gateway.was_left:
        raise Failed("the gateway was left, though it said pending")
    return Finding("the IC was asked, the message is executed, and nobody is blamed")


async def _no_receipt(stage: Stage) -> Finding:
    """Receipts stay away, and no head tells either: only the IC can be asked."""
    stage.hurry()
    gateway = await stage.connected()
    gateway.gives_receipts = False
    stage.answers = lambda call: Answer(500, b"no audits today") if call.method == "ws_audit" else None
    task = asyncio.create_task(stage.send(b"one"))
    try:
        await stage.until(task.done, "the application was told nothing")
        if task.result().get("ok") is not True:
            raise Failed(f"the message ended as {task.result().get('error')}, though it was executed")
        left = await stage.happens(lambda: gateway.was_left, _QUIET_S)
        if not _asked_about_a_message(stage):
            raise Failed("the IC was not asked what became of the message")
    finally:
        task.cancel()
    await stage.goes_on(b"two")
    return Finding(f"the IC was asked, the message is executed; the gateway was {'left' if left else 'kept'}")


async def _silent_gateway(stage: Stage, *, method: str) -> Finding:
    """The first gateway takes calls of one kind and does nothing with them."""
    stage.hurry()
    first: list[ScriptedGateway] = []

    def relays(call: Call) -> bool:
        if call.gateway is not None and not first:
            first.append(call.gateway)
        return call.gateway is None or call.gateway is not first[0] or call.method != method

    stage.relays = relays
    await stage.connected()
    await stage.goes_on()
    await stage.leaves(first[0], "it does nothing", "OpenTimeout", "ReceiptTimeout", "MessagesWithheld")
    return Finding("the client went on by the next gateway")


async def _mute_gateway(stage: Stage) -> Finding:
    """The first gateway connects and says nothing."""
    stage.hurry()
    stage.gateways[0].greets = False
    gateway = await stage.connected()
    if gateway is stage.gateways[0]:
        raise Inconclusive("the client began with another gateway")
    await stage.leaves(stage.gateways[0], "it said nothing", "HandshakeTimeout")
    await stage.goes_on()
    return Finding("the client went on by the next gateway")


async def _refused_as_detached(stage: Stage) -> Finding:
    """The canister takes nothing of this attach any more."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    attach = stage.canister.attach
    stage.canister.on_message = lambda message: (
        MessageResult(Refusal(RefusalCode.DETACHED, "as the case says")) if stage.canister.attach == attach else None
    )
    await stage.talk(b"two")
    if not gateway.was_left and stage.canister.attach == attach:
        raise Failed("the client did not attach again")
    return Finding("the client attached again, and the message was executed")


SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "sending/pending",
        "the gateway says pending",
        "CLT-044",
        "the IC is asked, and nobody is blamed",
        _pending,
    ),
    script(
        "sending/no-receipt",
        "no receipt comes",
        "CLT-044 CLT-050",
        "the IC is asked before the gateway is left",
        _no_receipt,
    ),
    *(
        script(
            f"sending/silence-at-{method.replace('_', '-')}",
            f"the first gateway does nothing with {method}",
            "CLT-050",
            "the session goes on by the next gateway",
            partial(_silent_gateway, method=method),
        )
        for method in ("ws_open", "ws_message")
    ),
    script(
        "sending/silence-before-the-handshake",
        "the first gateway says nothing",
        "CLT-050",
        "the session goes on by the next gateway",
        _mute_gateway,
    ),
    script(
        "sending/refused-as-detached",
        "the canister refuses a message of this attach",
        "CLT-050",
        "the client attaches again",
        _refused_as_detached,
    ),
)
