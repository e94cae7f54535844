"""Scripted cases about opening: the attach message, and who may attach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Play, Stage
from icws_secure.limits import NS_PER_S
from icws_secure.wire.close_codes import CloseCode, SessionCloseCode
from icws_secure.wire.interface import OpenArgument, Refusal, RefusalCode
from icws_secure.wire.service import AttachMessage

__all__ = ["SCRIPTS"]

_OPEN_S: Final = 90
_SLACK_S: Final = 2
_LONG_MS: Final = 300_000


def _first_attach(stage: Stage, change: Callable[[AttachMessage], AttachMessage]) -> None:
    """The first attach message is changed, all later ones are true."""
    struck: list[int] = []

    def shown(message: AttachMessage) -> AttachMessage:
        if struck and message.attach != struck[0]:
            return message
        struck.append(message.attach)
        return change(message)

    stage.canister.on_attach = shown


def _other_attach(what: str, change: Callable[[AttachMessage], AttachMessage], *reasons: str) -> Play:
    """The attach message through the first gateway is not the answer to the client's open."""

    async def play(stage: Stage) -> Finding:
        _first_attach(stage, change)
        await stage.connected()
        if len(stage.canister.opens) < 2:
            raise Failed(f"the client was attached, though {what}")
        await stage.leaves(stage.gateways[0], what, *reasons)
        await stage.goes_on()
        return Finding("another open was sent, by the next gateway")

    return play


async def _before_the_resume_point(stage: Stage) -> Finding:
    """The canister claims to have said less than the client was given: there is nothing to go on with."""
    gateway = await stage.connected()
    await stage.talk(b"one", b"two")
    stage.canister.on_attach = lambda message: replace(message, next_out=1)
    attach = stage.canister.attach
    await gateway.hang_up()
    await stage.until(lambda: stage.canister.attach > attach, "the client did not open again")
    await stage.happens(lambda: stage.client.closed is not None, 2.0)
    if stage.client.closed is None and (await stage.send(b"three")).get("ok") is True:
        raise Failed("the client was attached, though next_out is below resume_from")
    return Finding("not attached")


async def _message_before_attach(stage: Stage) -> Finding:
    """The first number comes before the attach message: it must be given to nobody, then or later."""
    canister = stage.canister
    early: list[bytes] = []

    def shown(message: AttachMessage) -> AttachMessage:
        if not early:
            early.append(canister.certified_message(b"early", seq=1))
            canister.enqueue(early[0])
        return message

    canister.on_attach = shown
    await stage.connected()
    await stage.goes_on()
    stage.not_given(b"early", "it came before the attach message")
    return Finding("nothing was taken before the attach message")


async def _signs_its_open(stage: Stage, *, connect: bool = True) -> Finding:
    if connect:
        await stage.connected()
    call = next(call for call in stage.calls if call.method == "ws_open")
    left_s = (call.envelope.content.ingress_expiry_ns - call.at_ns) / NS_PER_S
    if left_s > _OPEN_S + _SLACK_S:
        raise Failed(f"the open expires in {left_s:.0f} s")
    if call.envelope.sender_delegation:
        raise Failed("the open carries a delegation")
    registered = stage.canister.registered
    if registered is None or call.envelope.content.sender != registered.session_principal:
        raise Failed("the open is not of the session principal")
    return Finding(f"by the session key itself, for {left_s:.0f} s")


async def _longest_life(stage: Stage) -> Finding:
    """The application asks for opens that live longer than they may."""
    stage.need("ttl")
    answer = await stage.connect(open_ttl_ms=_LONG_MS)
    if answer.get("ok") is True:
        return await _signs_its_open(stage, connect=False)
    return Finding(f"refused: {(answer.get('error') or {}).get('text')}")


async def _numbers_and_key(stage: Stage) -> Finding:
    gateway = await stage.connected()
    for number in range(3):
        await stage.talk(b"message %d" % number)
        await gateway.hang_up()
        gateway = await stage.opened(number + 2)
    numbers = [argument.secure.attach for argument, _ in stage.canister.opens if argument.secure is not None]
    if len({argument.client_nonce for argument, _ in stage.canister.opens}) != 1:
        raise Failed("the client key changed within the session")
    if numbers != sorted(set(numbers)):
        raise Failed(f"the attach numbers {numbers} do not rise")
    return Finding(f"attach numbers {numbers}, one client key")


def _refuse_second(stage: Stage, code: RefusalCode) -> None:
    def refused(argument: OpenArgument) -> Refusal | None:
        del argument
        return Refusal(code, "as the case says") if len(stage.canister.opens) > 1 else None

    stage.canister.on_open = refused


async def _refused_at_resume(stage: Stage, *, code: RefusalCode, end: int, why: str) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one")
    _refuse_second(stage, code)
    await gateway.hang_up()
    return await stage.ends(end, why)


async def _stale_at_first(stage: Stage) -> Finding:
    stage.canister.on_open = lambda argument: Refusal(RefusalCode.STALE_ATTACH, "as the case says")
    found = await stage.refused("its attach number was used by another holder of the key")
    if len(stage.canister.opens) > 1:
        raise Failed("the client tried a higher attach number")
    return found


async def _taken_at_the_attach(stage: Stage) -> Finding:
    """A certified attach message with a higher number than the client ever used."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    canister = stage.canister
    canister.on_attach = lambda message: replace(message, attach=message.attach + 1)
    await gateway.hang_up()
    return await stage.ends(SessionCloseCode.SESSION_TAKEN, "a certified attach is above its own")


async def _taken_while_attached(stage: Stage) -> Finding:
    """Another holder attaches by the same gateway while the client is there."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    canister = stage.canister
    argument, _ = canister.opens[-1]
    if canister.key is None or canister.parameters is None or argument.secure is None:
        raise Failed("the open has no secure fields")
    taken = AttachMessage(
        client_key=canister.key,
        registration_id=canister.parameters.registration_id,
        attach=argument.secure.attach + 1,
        epoch=canister.epoch,
        resume_from=1,
        next_in=canister.next_in,
        next_out=canister.next_out,
        oldest_retained=1,
        open_hash=bytes(32),
    )
    canister.enqueue(canister.certified_message(taken, seq=0))
    await gateway.deliver()
    return await stage.ends(SessionCloseCode.SESSION_TAKEN, "another holder of the key has attached")


async def _gap_at_resume(stage: Stage) -> Finding:
    """The canister no longer has what the client lacks, and says so in the attach message."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    canister = stage.canister
    canister.certified_message(b"lost")
    canister.certified_message(b"after the gap")
    del canister.retained[canister.next_out - 2]
    canister.on_attach = lambda message: replace(message, oldest_retained=canister.next_out - 1)
    await gateway.hang_up()
    found = await stage.ends(SessionCloseCode.RESUME_GAP, "messages are lost")
    stage.not_given(b"after the gap", "a message before it was lost")
    return found


async def _uncertified_end(stage: Stage, *, code: int, words: str) -> Finding:
    """A gateway says by its close that the session is over; that proves nothing."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    await gateway.hang_up(code, words)
    await stage.goes_on(b"two")
    stage.lives("a gateway said so")
    return Finding("the session goes on")


_ATTACHES: Final[tuple[tuple[str, str, str, Play], ...]] = (
    (
        "another-client-key",
        "CLT-015 CLT-028",
        "the attach message is for another client",
        _other_attach(
            "the attach message names another client key",
            lambda m: replace(m, client_key=replace(m.client_key, client_nonce=m.client_key.client_nonce ^ 1)),
            "AttachMismatch",
            "WrongClientKey",
        ),
    ),
    (
        "another-registration",
        "CLT-015",
        "the attach message is of another registration",
        _other_attach(
            "the attach message names another registration",
            lambda m: replace(m, registration_id=bytes(16)),
            "AttachMismatch",
        ),
    ),
    (
        "another-resume-point",
        "CLT-015",
        "the attach message resumes elsewhere",
        _other_attach(
            "the attach message resumes elsewhere",
            lambda m: replace(m, resume_from=m.resume_from + 1, next_out=m.resume_from + 1),
            "AttachMismatch",
        ),
    ),
    (
        "an-earlier-attach",
        "CLT-015",
        "the attach message answers an earlier open",
        _other_attach(
            "the attach message answers an earlier open",
            lambda m: replace(m, attach=m.attach - 1),
            "AttachMismatch",
            "OpenTimeout",
        ),
    ),
    (
        "another-open",
        "CLT-016",
        "the canister has received another open than was sent",
        _other_attach(
            "the canister has received another open", lambda m: replace(m, open_hash=bytes(32)), "OpenHashMismatch"
        ),
    ),
)

_ENDS: Final = (
    ("stale-attach", "CLT-014", RefusalCode.STALE_ATTACH, SessionCloseCode.SESSION_TAKEN, "its number was passed"),
    ("resume-gap", "CLT-071", RefusalCode.RESUME_GAP, SessionCloseCode.RESUME_GAP, "what it lacks is lost"),
    ("expired", "CLT-035", RefusalCode.EXPIRED, SessionCloseCode.EXPIRED, "the canister says that it has expired"),
    ("revoked", "CLT-035", RefusalCode.RECENTLY_REVOKED, SessionCloseCode.REVOKED, "the owner has revoked it"),
)

SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "opening/message-before-the-attach",
        "a message of the canister comes before the attach message",
        "CLT-015",
        "it is given to nobody",
        _message_before_attach,
    ),
    *(
        script(f"opening/{name}", title, requirements, "not attached; the next gateway is tried", play)
        for name, requirements, title, play in _ATTACHES
    ),
    script(
        "opening/before-the-resume-point",
        "the attach message's next_out is below resume_from",
        "CLT-015 CLT-062",
        "not attached",
        _before_the_resume_point,
    ),
    script(
        "opening/signature-and-expiry",
        "who signs the open, and for how long",
        "CLT-012",
        "the session key itself, for 90 s at most",
        _signs_its_open,
    ),
    script(
        "opening/longest-life",
        "the application asks for opens that live for five minutes",
        "CLT-012",
        "refused, or 90 s at most",
        _longest_life,
    ),
    script(
        "opening/numbers-and-key",
        "four opens of one session",
        "CLT-013",
        "attach numbers rise, the client key stays",
        _numbers_and_key,
    ),
    *(
        script(
            f"opening/refused-{name}",
            f"the resume is refused, certified: {code}",
            number,
            "the session ends, and nothing is tried",
            partial(_refused_at_resume, code=code, end=end, why=why),
        )
        for name, number, code, end, why in _ENDS
    ),
    script(
        "opening/stale-at-first",
        "the first open is refused as stale, certified",
        "CLT-014",
        "no session, and no higher number is tried",
        _stale_at_first,
    ),
    script(
        "opening/taken-at-the-attach",
        "the attach message has a number that the client never used",
        "CLT-014",
        "the session ends as SessionTaken",
        _taken_at_the_attach,
    ),
    script(
        "opening/taken-while-attached",
        "another holder of the key attaches",
        "CLT-014",
        "the session ends as SessionTaken",
        _taken_while_attached,
    ),
    script(
        "opening/gap-at-resume",
        "the attach message shows that messages are lost",
        "CLT-071",
        "the session ends as ResumeGap; nothing is skipped",
        _gap_at_resume,
    ),
    *(
        script(
            f"opening/uncertified-{code.label.lower()}",
            f"a gateway closes with {code.label}",
            "CLT-035",
            "the session goes on by another gateway",
            partial(_uncertified_end, code=int(code), words=f"{code.label}: as the case says"),
        )
        for code in (CloseCode.CLOSED_BY_APPLICATION, CloseCode.STALE_ATTACH, CloseCode.OPEN_REFUSED)
    ),
)
