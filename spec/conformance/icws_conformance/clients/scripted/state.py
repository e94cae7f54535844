"""Scripted cases about certified state: heads, audits, epochs, and how a session ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Call, Stage
from icws_conformance.hostile.boundary import Answer
from icws_secure.limits import NS_PER_S
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.head import SessionHead
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import AttachMessage

__all__ = ["SCRIPTS"]

_FUTURE_NS: Final = 20 * NS_PER_S
_AUDIT_S: Final = 20.0
_INTERVAL_MS: Final = 60_000 + 35_000  # the certified interval and what a client may wait beyond it


# heads


async def _head_shows(
    stage: Stage, *, change: Callable[[SessionHead], SessionHead | None], end: SessionCloseCode, why: str
) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one", b"two")
    await gateway.head()
    stage.canister.on_head = change
    await gateway.head()
    return await stage.ends(end, why)


def _lower(counter: str) -> Callable[[SessionHead], SessionHead]:
    return lambda head: replace(head, **{counter: getattr(head, counter) - 1})


async def _old_head(stage: Stage) -> Finding:
    """A head from before the last message shows less, and rightly so."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    early = stage.canister.proof()
    await stage.talk(b"two")
    await gateway.head()
    await gateway.head(early)
    await stage.goes_on(b"three")
    stage.lives("a head was old")
    return Finding("the old head says nothing, and nobody is blamed")


async def _another_epoch(stage: Stage) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.canister.epoch += 1
    await gateway.head()
    return await stage.ends(SessionCloseCode.EPOCH_CHANGED, "the canister has lost its state")


async def _another_epoch_at_resume(stage: Stage) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.answers = _no_audits
    stage.canister.epoch += 1
    await gateway.hang_up()
    return await stage.ends(SessionCloseCode.EPOCH_CHANGED, "the canister has lost its state")


async def _less_at_resume(stage: Stage, *, change: Callable[[AttachMessage], AttachMessage], counter: str) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one", b"two")
    await gateway.head()
    stage.answers = _no_audits
    stage.canister.on_attach = change
    await gateway.hang_up()
    return await stage.ends(SessionCloseCode.STATE_ROLLBACK, f"{counter} went back")


def _no_audits(call: Call) -> Answer | None:
    return Answer(500, b"no audits today") if call.method == "ws_audit" else None


async def _detached(stage: Stage) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.canister.on_head = lambda head: replace(head, state=SessionState.DETACHED)
    await gateway.head()
    await stage.until(lambda: gateway.was_left, "the client stayed, though the canister has detached it")
    stage.canister.on_head = lambda head: head
    await stage.goes_on(b"two")
    return Finding("the client attached again")


async def _withheld(stage: Stage) -> Finding:
    stage.hurry()
    gateway = await stage.connected()
    await stage.talk(b"one")
    gateway.delivers = False
    stage.canister.say(b"news")
    await gateway.head()
    await stage.leaves(gateway, "messages were withheld", "MessagesWithheld")
    await stage.until(lambda: b"news" in stage.client.messages, "the message was not given by the next gateway")
    return Finding("the client left, and was given the message by the next gateway")


async def _stale_audits(stage: Stage) -> Finding:
    """Audits by query are answered from before what the client has seen certified."""
    stage.hurry()
    gateway = await stage.connected()
    stage.canister.ahead_ns = _FUTURE_NS
    await stage.talk(b"one")
    canister = stage.canister
    gateway.delivers = False
    canister.say(b"news")

    def old(call: Call) -> Answer | None:
        if call.method != "ws_audit" or not isinstance(call.envelope.content, QueryContent):
            return None
        canister.on_head = lambda head: replace(head, next_out=2)
        try:
            return stage.audit_reply(canister.now() - _FUTURE_NS // 2)
        finally:
            canister.on_head = lambda head: head

    stage.answers = old
    asked = await stage.happens(
        lambda: any(
            call.method == "ws_audit" and not isinstance(call.envelope.content, QueryContent) for call in stage.calls
        ),
        _AUDIT_S,
    )
    if not asked:
        raise Failed("the client took an old head for an answer, and never asked the canister itself")
    await stage.leaves(gateway, "messages were withheld", "MessagesWithheld", "WrongSequenceNumber")
    return Finding("the audit went by update, and showed what was withheld")


async def _nothing_certified(stage: Stage) -> Finding:
    """For longer than an acknowledgement may take nothing comes: no message, no head, no audit."""
    stage.hurry()
    stage.need("clock")
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.answers = _no_audits
    await stage.client.ask("clock", ahead_ms=_INTERVAL_MS)
    stage.canister.ahead_ns = _INTERVAL_MS * 1_000_000
    await stage.leaves(gateway, "nothing certified has come for too long")
    await stage.goes_on(b"two")
    return Finding("the silence was noticed")


# ends


async def _closed(stage: Stage) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one")
    stage.canister.on_head = lambda head: replace(head, state=SessionState.CLOSED, close_code="ApplicationClosed")
    await gateway.head()
    return await stage.ends(SessionCloseCode.APPLICATION_CLOSED, "the canister has closed it")


async def _expires(stage: Stage) -> Finding:
    stage.canister.on_parameters = lambda found: replace(found, expires_at_ns=stage.canister.now() + 3 * NS_PER_S)
    await stage.connected()
    await stage.talk(b"one")
    return await stage.ends(SessionCloseCode.EXPIRED, "its certified end has come")


_ENDS: Final = (
    ("CLT-062", "lower-next-out", "next_out", SessionCloseCode.STATE_ROLLBACK),
    ("CLT-062", "lower-next-in", "next_in", SessionCloseCode.STATE_ROLLBACK),
    ("CLT-062", "lower-executed-through", "executed_through", SessionCloseCode.STATE_ROLLBACK),
    ("CLT-062", "lower-attach", "attach", SessionCloseCode.STATE_ROLLBACK),
    ("CLT-062", "lower-timestamp", "timestamp_ns", SessionCloseCode.STATE_ROLLBACK),
)

_LESS: Final[tuple[tuple[str, Callable[[AttachMessage], AttachMessage]], ...]] = (
    ("next_in", lambda message: replace(message, next_in=1)),
    ("next_out", lambda message: replace(message, next_out=1)),
)

SCRIPTS: Final[tuple[Script, ...]] = (
    *(
        script(
            f"state/{name}",
            f"a later head has a lower {counter}",
            number,
            f"the session ends as {end.label}",
            partial(_head_shows, change=_lower(counter), end=end, why=f"{counter} went back"),
        )
        for number, name, counter, end in _ENDS
    ),
    *(
        script(
            f"state/lower-{counter.replace('_', '-')}-at-resume",
            f"the attach message has a lower {counter}",
            "CLT-062",
            "the session ends as StateRollback",
            partial(_less_at_resume, change=change, counter=counter),
        )
        for counter, change in _LESS
    ),
    script("state/old-head", "a head comes late", "CLT-062", "it says nothing, and nobody is blamed", _old_head),
    script(
        "state/another-epoch",
        "the head has another epoch",
        "CLT-063",
        "the session ends as EpochChanged",
        _another_epoch,
    ),
    script(
        "state/another-epoch-at-resume",
        "the attach message has another epoch",
        "CLT-063",
        "the session ends as EpochChanged",
        _another_epoch_at_resume,
    ),
    script(
        "state/no-such-session",
        "the canister certifies that there is no such session",
        "CLT-063",
        "the session ends as EpochChanged",
        partial(
            _head_shows, change=lambda head: None, end=SessionCloseCode.EPOCH_CHANGED, why="there is no such session"
        ),
    ),
    script(
        "state/another-registration",
        "the head is of another registration",
        "CLT-063",
        "the session ends as EpochChanged",
        partial(
            _head_shows,
            change=lambda head: replace(head, registration_id=bytes(16)),
            end=SessionCloseCode.EPOCH_CHANGED,
            why="the head is of another registration",
        ),
    ),
    script(
        "state/taken",
        "the head has an attach that the client never used",
        "CLT-014",
        "the session ends as SessionTaken",
        partial(
            _head_shows,
            change=lambda head: replace(head, attach=head.attach + 1),
            end=SessionCloseCode.SESSION_TAKEN,
            why="another holder of the key has attached",
        ),
    ),
    script("state/detached", "the head says detached", "CLT-050", "the client attaches again", _detached),
    script(
        "state/withheld",
        "the head shows a message that the gateway keeps back",
        "CLT-061",
        "the client leaves and is given it by the next gateway",
        _withheld,
    ),
    script(
        "state/stale-audits",
        "audits by query are answered from an old certificate",
        "CLT-060 CLT-061",
        "they do not count; after three the canister itself is asked",
        _stale_audits,
    ),
    script(
        "state/nothing-certified",
        "nothing certified comes for longer than an acknowledgement may take",
        "CLT-050",
        "the client leaves",
        _nothing_certified,
    ),
    script("state/closed", "the head says closed", "CLT-035", "the session ends", _closed),
    script("state/expires", "the certified end comes", "CLT-035", "the session ends as Expired", _expires),
)
