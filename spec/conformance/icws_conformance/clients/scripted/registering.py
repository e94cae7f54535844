"""Scripted cases about registration: what a canister may certify, by whose clock, and for whom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Call, Play, Stage
from icws_conformance.hostile import Subnet
from icws_conformance.hostile.boundary import Answer
from icws_secure.limits import NS_PER_S
from icws_secure.wire.envelope import ReadStateContent
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Parameters, decode_register_argument

__all__ = ["SCRIPTS"]

_STRANGER: Final = Principal.self_authenticating(b"somebody else")
_DELEGATION_MS: Final = 120_000
_DAY_NS: Final = 86_400 * NS_PER_S


def _certified(what: str, change: Callable[[Parameters], Parameters]) -> Play:
    """The canister certifies other parameters than it would."""

    async def play(stage: Stage) -> Finding:
        stage.canister.on_parameters = change
        return await stage.refused(what)

    return play


async def _clock(stage: Stage, *, seconds: int, what: str) -> Finding:
    stage.canister.ahead_ns = seconds * NS_PER_S
    found = await stage.refused(what)
    if stage.canister.opens:
        raise Failed(f"the client opened, though {what}")
    return found


async def _clock_within_bounds(stage: Stage) -> Finding:
    stage.canister.ahead_ns = 20 * NS_PER_S
    await stage.connected()
    await stage.goes_on()
    return Finding("a session, by the certified time")


async def _delegated_owner(stage: Stage) -> Finding:
    stage.need("delegated")
    await stage.connected(delegation_ms=_DELEGATION_MS)
    call = next(call for call in stage.calls if call.method == "ws_register")
    ends = min((link.delegation.expiration_ns for link in call.envelope.sender_delegation or ()), default=None)
    asked = stage.canister.registered
    if ends is None or asked is None:
        raise Failed("the owner's delegation is not in the envelope")
    if asked.expires_at_ns is None or asked.expires_at_ns > ends:
        raise Failed(f"the session is to end at {asked.expires_at_ns}, the owner's right ends at {ends}")
    return Finding("the session is asked for no longer than the owner's right lasts")


async def _longer_than_asked(stage: Stage) -> Finding:
    stage.need("delegated")
    stage.canister.on_parameters = lambda found: replace(found, expires_at_ns=found.expires_at_ns + NS_PER_S)
    return await stage.refused("the session lives longer than was asked for", delegation_ms=_DELEGATION_MS)


async def _missing_method(stage: Stage) -> Finding:
    """A certified rejection: the canister has no ws_register."""
    found = await _rejected(stage, b"IC0536", "the canister has no ws_register")
    if any(gateway.connections for gateway in stage.gateways):
        raise Failed("the client went on to a gateway")
    return found


async def _rejected(stage: Stage, error_code: bytes, what: str) -> Finding:
    leaves = {"status": b"rejected", "reject_code": b"\x05", "reject_message": b"no", "error_code": error_code}

    def answer(call: Call) -> Answer | None:
        if call.method != "ws_register":
            return None
        certificate = stage.canister.receipt(call.envelope.content.request_id, leaves)
        return stage.encoded({"status": "replied", "certificate": certificate})

    stage.answers = answer
    return await stage.refused(what)


async def _certified_elsewhere(stage: Stage, *, what: str, subnet: Subnet, own_id: bool, status: bytes) -> Finding:
    """The answer to ws_register is complete and right, and its certificate is not one for it, whoever asks."""
    canister = stage.canister
    shown: list[bytes] = []

    def answer(call: Call) -> Answer | None:
        content = call.envelope.content
        if call.method == "ws_register" and not shown:
            certificate = canister.forge.receipt(
                canister_id=canister.id,
                request_id=content.request_id if own_id else bytes(32),
                status=canister.execute(call.envelope) | {"status": status},
                time_ns=canister.now(),
                subnet=subnet,
            )
            shown.append(certificate)
        if call.method == "ws_register":
            return stage.encoded({"status": "replied", "certificate": shown[0]})
        return stage.encoded({"certificate": shown[0]}) if isinstance(content, ReadStateContent) else None

    stage.answers = answer
    return await stage.refused(what)


async def _more_than_an_answer(stage: Stage) -> Finding:
    """The certified answer is right, and not at its end."""
    canister = stage.canister

    def answer(call: Call) -> Answer | None:
        if call.method != "ws_register":
            return None
        leaves = canister.execute(call.envelope)
        reply = leaves["reply"] + b"\x00"
        certificate = canister.receipt(call.envelope.content.request_id, leaves | {"reply": reply})
        return stage.encoded({"status": "replied", "certificate": certificate})

    stage.answers = answer
    return await stage.refused("a byte follows the answer that was decoded")


async def _answer_lost(stage: Stage) -> Finding:
    """The canister registers the session, and the answer is lost on its way: twice."""
    lost: list[Call] = []

    def answers(call: Call) -> Answer | None:
        if call.method != "ws_register" or len(lost) >= 2:
            return None
        lost.append(call)
        stage.canister.execute(call.envelope)
        return Answer(502, b"lost")

    stage.answers = answers
    await stage.connected(limit_s=15)
    await stage.goes_on()
    calls = [call for call in stage.calls if call.method == "ws_register"]
    if len({decode_register_argument(getattr(c.envelope.content, "arg", b"")).session_principal for c in calls}) != 1:
        raise Failed("the client registered more than one session")
    return Finding(f"asked {len(calls)} times, for one session")


async def _anonymous_owner(stage: Stage) -> Finding:
    stage.need("anonymous-owner")
    found = await stage.refused("nobody owns it", owner="anonymous")
    if any(call.method == "ws_register" for call in stage.calls):
        raise Failed("a session was registered in nobody's name")
    return found


async def _only_the_session_signs(stage: Stage) -> Finding:
    await stage.connected()
    await stage.goes_on()
    owners = {call.envelope.content.sender for call in stage.calls if call.method == "ws_register"}
    others = {call.envelope.content.sender for call in stage.calls if call.method not in ("ws_register", "")}
    session = stage.canister.registered.session_principal if stage.canister.registered else None
    if session in owners or others != {session}:
        raise Failed("owner and session key are not kept apart")
    relayed = [call for call in stage.calls if call.gateway is not None]
    if any(call.method == "ws_register" for call in relayed):
        raise Failed("ws_register went through a gateway")
    if any(owner.raw in call.envelope.encode() for owner in owners for call in relayed):
        raise Failed("the gateway is told who the owner is")
    return Finding("the owner signs the registration, the session key all else")


_OUT_OF_RANGE: Final[tuple[tuple[str, str, Callable[[Parameters], Parameters]], ...]] = (
    ("busy-interval", "acknowledgements are to come every second", lambda p: replace(p, ack_interval_ns=NS_PER_S)),
    ("no-interval", "acknowledgements come once in ten years", lambda p: replace(p, ack_interval_ns=3_650 * _DAY_NS)),
    (
        "endless-resume-window",
        "detached sessions live two days",
        lambda p: replace(p, resume_window_ns=2 * _DAY_NS),
    ),
    ("no-window", "there is no window for messages", lambda p: replace(p, window_messages=0)),
    ("wide-window", "the window has 1,025 messages", lambda p: replace(p, window_messages=1_025)),
    ("expired-at-birth", "the session has expired before it began", lambda p: replace(p, expires_at_ns=NS_PER_S)),
    ("anothers-session", "the answer is about another session key", lambda p: replace(p, session_principal=_STRANGER)),
    ("anothers-owner", "the answer is about another owner", lambda p: replace(p, owner=_STRANGER)),
)

_ELSEWHERE: Final = (
    ("of-another-call", "for another call", Subnet.OWN, False, b"replied"),
    ("by-another-subnet", "by a subnet that is not the canister's", Subnet.OTHER, True, b"replied"),
    ("by-nobody", "with a key that nobody has delegated to", Subnet.NOBODY, True, b"replied"),
    ("before-it-was-given", "as processing", Subnet.OWN, True, b"processing"),
)

SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "registering/keys-kept-apart",
        "which key signs what",
        "CLT-006 CLT-001",
        "the owner signs ws_register, directly; a key of the session's own signs all else",
        _only_the_session_signs,
    ),
    *(
        script(
            f"registering/{name}",
            f"the answer to ws_register, certified {what}",
            "CLT-002",
            "no session",
            partial(_certified_elsewhere, what=f"it was certified {what}", subnet=subnet, own_id=own_id, status=status),
        )
        for name, what, subnet, own_id, status in _ELSEWHERE
    ),
    script(
        "registering/more-than-an-answer",
        "a byte follows the certified answer to ws_register",
        "CLT-002",
        "no session: it does not decode completely",
        _more_than_an_answer,
    ),
    script(
        "registering/answer-lost",
        "the answer to ws_register is lost twice",
        "CLT-006 CLT-001",
        "the same session is asked for again",
        _answer_lost,
    ),
    script(
        "registering/anonymous-owner",
        "the owner is anonymous",
        "CLT-006",
        "no session, and nothing registered",
        _anonymous_owner,
    ),
    script(
        "registering/delegated-owner",
        "the owner speaks by a delegation of two minutes",
        "CLT-003",
        "the session is asked for no longer than that",
        _delegated_owner,
    ),
    script(
        "registering/longer-than-asked",
        "the canister grants a session beyond the owner's delegation",
        "CLT-007 CLT-003",
        "refused",
        _longer_than_asked,
    ),
    script(
        "registering/clock-behind",
        "the certified time is 40 s after the client's",
        "CLT-004",
        "no session, and nobody blamed",
        partial(_clock, seconds=40, what="its clock is 40 s behind"),
    ),
    script(
        "registering/clock-ahead",
        "the certified time is 40 s before the client's",
        "CLT-004",
        "no session, and nobody blamed",
        partial(_clock, seconds=-40, what="its clock is 40 s ahead"),
    ),
    script(
        "registering/clock-within-bounds",
        "the certified time is 20 s after the client's",
        "CLT-004",
        "a session: the certificate calibrates the clock",
        _clock_within_bounds,
    ),
    script(
        "registering/certified-missing-method",
        "the IC certifies that the canister has no ws_register",
        "CLT-005",
        "an error; no gateway is connected",
        _missing_method,
    ),
    script(
        "registering/certified-rejection",
        "the IC certifies that ws_register was rejected",
        "CLT-005",
        "an error",
        partial(_rejected, error_code=b"IC0503", what="ws_register was rejected"),
    ),
    script(
        "registering/another-profile",
        "the canister certifies another profile",
        "CLT-005",
        "an error, never a fallback",
        _certified("the canister certifies another profile", lambda found: replace(found, profile="omnia/1")),
    ),
    *(
        script(f"registering/{name}", f"the canister certifies: {what}", "CLT-007", "refused", _certified(what, change))
        for name, what, change in _OUT_OF_RANGE
    ),
)
