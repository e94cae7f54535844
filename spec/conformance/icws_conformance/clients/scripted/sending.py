"""Scripted cases about what the client sends: what it reports, and what it sends again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, Final

from icws_conformance.case import Failed, Finding, Inconclusive
from icws_conformance.clients.scripted.canister import ScriptedCanister
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Call, Stage
from icws_conformance.hostile.boundary import Answer
from icws_secure.limits import NS_PER_S
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.envelope import ReadStateContent
from icws_secure.wire.interface import (
    MessageResult,
    MessageState,
    MessageStatus,
    Refusal,
    RefusalCode,
    WebsocketMessage,
    decode_message_argument,
)
from icws_secure.wire.registration import SessionState

__all__ = ["SCRIPTS"]

_MESSAGE_S: Final = 60
_SLACK_S: Final = 2
_QUIET_S: Final = 2.0
_TTL_MS: Final = 2_000
_LONG_MS: Final = 300_000
_PROOF_S: Final = 12.0
_FORGOTTEN_S: Final = 285  # the IC keeps the status of a call for 300 s, and clocks differ by 30 s at most


def _sending(stage: Stage, data: bytes) -> asyncio.Task[dict[str, Any]]:
    return asyncio.create_task(stage.send(data))


async def _not_said(stage: Stage, task: asyncio.Task[dict[str, Any]], why: str) -> None:
    """Fail if the application is told that its message was executed."""
    await stage.happens(task.done, _QUIET_S)
    if task.done() and task.result().get("ok") is True:
        stage.log.note(f"executed, though {why}", source="client", blamed=True)
        raise Failed(f"the application was told executed, though {why}")


def _only_accepts(canister: ScriptedCanister) -> asyncio.Event:
    """Has the canister accept the application's messages and run none; the event is set when it has one."""
    running = asyncio.Event()

    def accepted(message: WebsocketMessage) -> MessageResult | None:
        if message.is_service_message:
            return None
        canister.next_in = max(canister.next_in, message.sequence_num + 1)
        running.set()
        return MessageResult(
            status=MessageStatus(message.sequence_num, message.sequence_num - 1, MessageState.ACCEPTED)
        )

    canister.on_message = accepted
    return running


async def _accepted(stage: Stage) -> Finding:
    """The canister has the message, and has not run it."""
    gateway = await stage.connected()
    canister = stage.canister
    _only_accepts(canister)
    task = _sending(stage, b"one")
    try:
        await _not_said(stage, task, "the canister has only accepted it")
        canister.executed_through = canister.next_in - 1
        await gateway.head()
        await stage.until(task.done, "the certified head shows that it was executed, and the application is not told")
        if task.result().get("ok") is not True:
            raise Failed(f"a message that was executed ended as {task.result().get('error')}")
    finally:
        task.cancel()
    return Finding("executed was said when it was certified, and not before")


async def _only_ok(stage: Stage) -> Finding:
    """An Ok as older canisters give it: it says nothing of execution."""
    await stage.connected()
    stage.canister.on_message = lambda message: None if message.is_service_message else MessageResult()
    task = _sending(stage, b"one")
    try:
        await _not_said(stage, task, "an Ok alone proves acceptance")
    finally:
        task.cancel()
    return Finding("an Ok alone was not taken for execution")


async def _trapped(stage: Stage) -> Finding:
    await stage.connected()
    canister = stage.canister

    def trapped(message: WebsocketMessage) -> MessageResult | None:
        if message.is_service_message:
            return None
        canister.next_in = max(canister.next_in, message.sequence_num + 1)
        canister.executed_through = message.sequence_num
        return MessageResult(status=MessageStatus(message.sequence_num, message.sequence_num, MessageState.TRAPPED))

    canister.on_message = trapped
    answer = await stage.send(b"one")
    if answer.get("ok") is True:
        raise Failed("the application was told executed, though the handler trapped")
    return Finding("told as rejected")


async def _conflict(stage: Stage) -> Finding:
    """The canister has another message with a number of this session."""
    await stage.connected()
    await stage.talk(b"one")
    stage.canister.on_message = lambda message: MessageResult(Refusal(RefusalCode.SEQUENCE_CONFLICT, "another text"))
    task = _sending(stage, b"two")
    try:
        return await stage.ends(SessionCloseCode.STATE_FORKED, "the canister has another message with its number")
    finally:
        task.cancel()


async def _unsent_accepted(stage: Stage) -> Finding:
    """At the resume the canister has messages that this client never sent."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.canister.on_attach = lambda message: replace(message, next_in=message.next_in + 7)
    await gateway.hang_up()
    return await stage.ends(SessionCloseCode.STATE_FORKED, "the canister has messages that it never sent")


async def _receipt_of_unsent(stage: Stage) -> Finding:
    """A receipt tells of messages that this client never sent."""
    await stage.connected()
    stage.canister.on_message = lambda message: MessageResult(
        status=MessageStatus(message.sequence_num + 7, message.sequence_num, MessageState.EXECUTED)
    )
    task = _sending(stage, b"one")
    try:
        return await stage.ends(SessionCloseCode.STATE_FORKED, "the canister has messages that it never sent")
    finally:
        task.cancel()


async def _sent_again(stage: Stage, **changes: Any) -> Finding:
    """The first gateway swallows a message; it must come by the next one, the same."""
    stage.hurry()
    first = await stage.connected(**changes)
    stage.relays = lambda call: call.gateway is not first or call.method != "ws_message"
    stage.canister.echoes = False
    task = _sending(stage, b"one")
    await stage.until(task.done, "the message was never executed", _PROOF_S)
    if task.result().get("ok") is not True:
        raise Failed(f"the message ended as {task.result().get('error')}")
    calls = [call for call in stage.calls if call.method == "ws_message"]
    sent = [
        decode_message_argument(call.envelope.content.arg) for call in calls if hasattr(call.envelope.content, "arg")
    ]
    number = next(message.sequence_num for message in sent if not message.is_service_message)
    again = [message for message in sent if message.sequence_num == number]
    if len(again) < 2:
        raise Inconclusive("the message was not sent again")
    if len({message.content for message in again}) != 1 or len({m.is_service_message for m in again}) != 1:
        raise Failed("the message came again with other content under its number")
    if sum(1 for message in stage.canister.heard if not message.is_service_message) != 1:
        raise Failed("the canister was given the message more than once, under two numbers")
    return Finding(f"sent {len(again)} times, with one number and the same bytes")


async def _envelopes(stage: Stage, *, connect: bool = True) -> Finding:
    if connect:
        await stage.connected()
    await stage.talk(b"one", b"two")
    longest = max(
        (call.envelope.content.ingress_expiry_ns - call.at_ns) / NS_PER_S
        for call in stage.calls
        if call.method == "ws_message"
    )
    if longest > _MESSAGE_S + _SLACK_S:
        raise Failed(f"a message's envelope expires in {longest:.0f} s")
    return Finding(f"within {longest:.0f} s")


async def _longest_life(stage: Stage) -> Finding:
    """The application asks for envelopes that live longer than they may."""
    stage.need("ttl")
    answer = await stage.connect(message_ttl_ms=_LONG_MS)
    if answer.get("ok") is True:
        return await _envelopes(stage, connect=False)
    return Finding(f"refused: {(answer.get('error') or {}).get('text')}")


# what is claimed of messages that were given up


def _absent(stage: Stage, call: Call, *, age_ns: int) -> Answer | None:
    """The IC certifies that it does not know a call, at a time so long ago."""
    if not isinstance(call.envelope.content, ReadStateContent):
        return None
    time_ns = stage.canister.now() - age_ns
    return Stage.encoded({"certificate": stage.canister.receipt(bytes(32), {"status": b"done"}, time_ns=time_ns)})


async def _given_up(stage: Stage, *, age_s: int, audits: bool, may_claim: bool, ahead_s: int = 0) -> Finding:
    """A message is swallowed and given up; what may be said of it depends on what is certified."""
    stage.hurry()
    stage.need("send-timeout", "ttl")
    await stage.connected(send_timeout_ms=300, message_ttl_ms=_TTL_MS)
    stage.relays = lambda call: call.method not in ("ws_message", "ws_message_batch")

    def answers(call: Call) -> Answer | None:
        if call.method == "ws_audit" and not audits:
            return Answer(500, b"no audits today")
        return _absent(stage, call, age_ns=age_s * NS_PER_S)

    stage.answers = answers
    stage.canister.ahead_ns = ahead_s * NS_PER_S
    task = _sending(stage, b"one")
    try:
        await stage.happens(task.done, _PROOF_S if may_claim else 7.0)
        outcome = str(task.result().get("outcome")) if task.done() else "none yet"
    finally:
        task.cancel()
    if not may_claim and outcome == "not executed":
        stage.log.note("not executed is claimed, and was not proven", source="client", blamed=True)
        raise Failed("the application was told not executed, which was not proven")
    if may_claim and outcome != "not executed":
        raise Failed(f"absence after the expiry and a head that shows it not accepted were certified: {outcome}")
    return Finding(f"outcome: {outcome}")


async def _closed_while_it_runs(stage: Stage) -> Finding:
    """The canister has accepted a message and closes while its handler runs: nothing proves how that ends."""
    gateway = await stage.connected()
    canister = stage.canister
    running = _only_accepts(canister)
    task = _sending(stage, b"one")
    try:
        await stage.until(running.is_set, "the client sends no message")
        canister.on_head = lambda head: replace(head, state=SessionState.CLOSED, close_code="ApplicationClosed")
        await gateway.head()
        await stage.happens(task.done, _PROOF_S)
        answer = task.result() if task.done() else {}
    finally:
        task.cancel()
    if answer.get("ok") is True or answer.get("outcome") in ("executed", "not executed", "rejected"):
        stage.log.note(f"the outcome is told: {answer}", source="client", blamed=True)
        raise Failed("the application was told how its message ended, which nothing proves")
    return Finding(f"outcome: {answer.get('outcome', 'none')}")


SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "sending/accepted",
        "the canister has accepted a message and not executed it",
        "CLT-041",
        "executed is said when a head certifies it, and not before",
        _accepted,
    ),
    script("sending/only-ok", "the certified answer is Ok, and no more", "CLT-041", "executed is not said", _only_ok),
    script("sending/trapped", "the handler traps", "CLT-041 CLT-042", "executed is not said", _trapped),
    script(
        "sending/another-message-under-its-number",
        "the canister has another message with the number",
        "CLT-072",
        "the session ends as StateForked",
        _conflict,
    ),
    script(
        "sending/messages-it-never-sent",
        "at the resume the canister has messages that were never sent",
        "CLT-072",
        "the session ends as StateForked",
        _unsent_accepted,
    ),
    script(
        "sending/receipt-of-messages-it-never-sent",
        "a receipt tells of messages that were never sent",
        "CLT-072",
        "the session ends as StateForked",
        _receipt_of_unsent,
    ),
    script(
        "sending/again-by-the-next-gateway",
        "the first gateway swallows a message",
        "CLT-043 CLT-044",
        "it is sent again with its number and its bytes, and executed once",
        _sent_again,
    ),
    script("sending/expiry", "how long messages can be held back", "CLT-043", "60 s at most", _envelopes),
    script(
        "sending/longest-life",
        "the application asks for envelopes that live for five minutes",
        "CLT-043",
        "refused, or 60 s at most",
        _longest_life,
    ),
    script(
        "sending/given-up-before-the-expiry",
        "a message is given up; its call was absent before its expiry",
        "CLT-042",
        "not executed is not claimed",
        partial(_given_up, age_s=20, audits=True, may_claim=False),
    ),
    script(
        "sending/given-up-without-a-head",
        "a message is given up; its call is absent after the expiry, and no head tells of its number",
        "CLT-042",
        "not executed is not claimed",
        partial(_given_up, age_s=0, audits=False, may_claim=False),
    ),
    script(
        "sending/given-up-and-forgotten",
        "a message is given up; its call is absent when the IC may have forgotten it",
        "CLT-046 CLT-042",
        "not executed is not claimed",
        partial(_given_up, age_s=0, audits=True, may_claim=False, ahead_s=_FORGOTTEN_S),
    ),
    script(
        "sending/given-up-and-proven",
        "a message is given up; its call is absent after the expiry, and a head shows its number not accepted",
        "CLT-042",
        "not executed is claimed",
        partial(_given_up, age_s=0, audits=True, may_claim=True),
    ),
    script(
        "sending/closed-while-it-runs",
        "the canister has accepted a message, and closes before it certifies that its handler ran",
        "CLT-042",
        "neither executed nor not executed is claimed",
        _closed_while_it_runs,
    ),
)
