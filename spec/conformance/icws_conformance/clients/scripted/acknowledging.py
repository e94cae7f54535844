"""Scripted cases about acknowledgements, keep-alives and resumes: what the application has taken."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Stage
from icws_secure.errors import IcwsError
from icws_secure.wire.service import AckMessage, KeepAliveMessage, decode_service_message

__all__ = ["SCRIPTS"]


async def _acknowledged(stage: Stage, *, numbers: tuple[int, ...], why: str, reason: str) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one", b"two", b"three")
    for number in numbers:
        stage.canister.say(AckMessage(number))
    await gateway.deliver()
    await stage.leaves(gateway, why, reason)
    return Finding("the client left, and the session goes on")


async def _anothers_acknowledgement(stage: Stage) -> Finding:
    """Another client's acknowledgement, genuine and certified, with the number that comes next."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    canister = stage.canister
    if canister.key is None:
        raise Failed("the client has not opened")
    other = replace(canister.key, client_nonce=canister.key.client_nonce ^ 1)
    canister.enqueue(canister.certified_message(AckMessage(1), seq=canister.next_out, key=other))
    await gateway.deliver()
    await stage.leaves(gateway, "the acknowledgement is another client's", "WrongClientKey")
    await stage.goes_on(b"two")
    return Finding("the client left, and the session goes on")


def _keep_alives(stage: Stage) -> list[int]:
    """The numbers of the keep-alives that the canister has heard."""
    found = []
    for message in stage.canister.heard:
        if message.is_service_message:
            try:
                service = decode_service_message(message.content)
            except IcwsError as error:
                raise Failed("the client sent a service message that cannot be read") from error
            if isinstance(service, KeepAliveMessage):
                found.append(service.last_incoming_sequence_num)
    return found


async def _answers_acknowledgements(stage: Stage) -> Finding:
    gateway = await stage.connected()
    await stage.talk(b"one", b"two")
    before = len(_keep_alives(stage))
    stage.canister.say(AckMessage(stage.canister.next_in - 1))
    await gateway.deliver()
    await stage.until(lambda: len(_keep_alives(stage)) > before, "the acknowledgement was not answered")
    number = _keep_alives(stage)[-1]
    if not 2 <= number <= 3:
        raise Failed(f"the keep-alive covers {number}, the application has 2")
    return Finding(f"a keep-alive that covers {number}")


async def _covers_what_was_taken(stage: Stage) -> Finding:
    stage.need("hold")
    gateway = await stage.connected()
    await stage.talk(b"one")
    await stage.client.ask("hold", hold=True)
    for text in (b"two", b"three", b"four"):
        stage.canister.say(text)
    stage.canister.say(AckMessage(stage.canister.next_in - 1))
    before = len(_keep_alives(stage))
    await gateway.deliver()
    await stage.until(lambda: len(_keep_alives(stage)) > before, "the acknowledgement was not answered")
    number = _keep_alives(stage)[-1]
    if number > 1:
        stage.log.note(f"the keep-alive covers {number}, the application took 1", source="client", blamed=True)
        raise Failed(f"the keep-alive covers {number}, the application took 1")
    await stage.client.ask("hold", hold=False)
    await stage.until(lambda: len(stage.client.messages) == 4, "the messages were not given")
    return Finding("the keep-alive covers what the application took, and no more")


async def _resumes_what_was_not_taken(stage: Stage) -> Finding:
    stage.need("hold")
    gateway = await stage.connected()
    await stage.talk(b"one")
    await stage.client.ask("hold", hold=True)
    texts = [b"two", b"three"]
    for text in texts:
        stage.canister.say(text)
    await gateway.deliver()
    await asyncio.sleep(0.5)
    await gateway.hang_up()
    await stage.until(lambda: len(stage.canister.opens) > 1, "the client did not open again")
    secure = stage.canister.opens[-1][0].secure
    if secure is None or secure.resume_from != 2:
        raise Failed(f"the client resumes from {secure and secure.resume_from}; the application took 1")
    await stage.client.ask("hold", hold=False)
    await stage.until(lambda: len(stage.client.messages) >= 3, "the messages were not given")
    if stage.client.messages[:3] != [b"one", *texts]:
        raise Failed(f"the application was given {stage.client.messages}")
    return Finding("resumed from the first message that the application had not taken; each was given once")


async def _once_across_gateways(stage: Stage) -> Finding:
    gateway = await stage.connected()
    sent: list[bytes] = []
    for number in range(4):
        text = b"message %d" % number
        sent.append(text)
        await stage.talk(text)
        stage.canister.certified_message(b"pushed %d" % number)
        sent.append(b"pushed %d" % number)
        opens = len(stage.canister.opens)
        await gateway.hang_up()
        gateway = await stage.opened(opens + 1)
        await stage.until(lambda: len(stage.client.messages) >= len(sent), "what was sent meanwhile was not given")
        gateway = stage.attached()
    if stage.client.messages != sent:
        raise Failed(f"the application was given {stage.client.messages}")
    resumes = [argument.secure.resume_from for argument, _ in stage.canister.opens if argument.secure is not None]
    return Finding(f"each message once, in order; resumed from {resumes}")


SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "state/acknowledged-too-much",
        "the canister acknowledges a message that was never sent",
        "CLT-034",
        "the client leaves; the session goes on",
        partial(_acknowledged, numbers=(99,), why="more was acknowledged than was sent", reason="AckOutOfRange"),
    ),
    script(
        "state/acknowledged-less",
        "the canister acknowledges less than before",
        "CLT-034",
        "the client leaves; the session goes on",
        partial(_acknowledged, numbers=(3, 2), why="less was acknowledged than before", reason="AckDecreasing"),
    ),
    script(
        "state/another-clients-acknowledgement",
        "another client's acknowledgement comes, genuine and certified",
        "CLT-028 CLT-034",
        "the client leaves; the session goes on",
        _anothers_acknowledgement,
    ),
    script(
        "state/answers-acknowledgements",
        "an acknowledgement comes",
        "CLT-051",
        "a keep-alive that covers what the application has",
        _answers_acknowledgements,
    ),
    script(
        "state/covers-what-was-taken",
        "an acknowledgement comes while the application takes no messages",
        "CLT-051",
        "the keep-alive covers what the application took, and no more",
        _covers_what_was_taken,
    ),
    script(
        "state/resumes-what-was-not-taken",
        "the connection is lost while the application takes no messages",
        "CLT-070",
        "resumed from the first message that it has not taken; each is given once",
        _resumes_what_was_not_taken,
    ),
    script(
        "state/once-across-gateways",
        "the gateway is lost four times, and the canister goes on meanwhile",
        "CLT-070",
        "each message is given once, in order",
        _once_across_gateways,
    ),
)
