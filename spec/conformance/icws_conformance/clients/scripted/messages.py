"""Scripted cases about the canister's messages: their place, their time, and the frames that they come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Final

from icws_conformance.case import Failed, Finding
from icws_conformance.clients.scripted.canister import Queued
from icws_conformance.clients.scripted.gateway import ScriptedGateway
from icws_conformance.clients.scripted.script import Script, script
from icws_conformance.clients.scripted.stage import Play, Stage
from icws_conformance.hostile import Subnet
from icws_secure.limits import NS_PER_S
from icws_secure.wire.candid import Arguments, Null, Variant
from icws_secure.wire.frames import KeyedContent, MessagesFrame
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.service import (
    CloseMessage,
    CloseReason,
    KeepAliveMessage,
    OpenMessage,
    ServiceMessage,
    SessionCloseReason,
)

__all__ = ["SCRIPTS"]

_TOO_OLD_S: Final = 70
_RESUME_WINDOW_S: Final = 600
_STALE_S: Final = 360
_MIB: Final = 1 << 20

_Show = Callable[[Stage, ScriptedGateway], Awaitable[None]]
"""What the gateway shows; it must not be given to the application where it says ``wrong``."""


def _refused(why: str, show: _Show, *reasons: str) -> Play:
    """After a good message something is shown that must end the attachment, and nothing wrong be given."""

    async def play(stage: Stage) -> Finding:
        gateway = await stage.connected()
        await stage.talk(b"one")
        await show(stage, gateway)
        await stage.leaves(gateway, why, *reasons)
        await stage.goes_on()
        stage.not_given(b"wrong", why)
        return Finding("nothing of it was given; the session goes on by the next gateway")

    return play


def _entry(stage: Stage, content: bytes, nonce: int | None = None) -> Queued:
    """An entry for the gateway attached to that is not in the queue: the canister forgets it afterwards."""
    entry = stage.canister.enqueue(content, nonce=nonce)
    stage.canister.queue.remove(entry)
    return entry


def _wrong(stage: Stage, *, ago_s: float = 0) -> bytes:
    """A message with the next number that is not the canister's."""
    canister = stage.canister
    return canister.certified_message(
        b"wrong", seq=canister.next_out, timestamp_ns=canister.now() - int(ago_s * NS_PER_S)
    )


async def _lower_nonce(stage: Stage, gateway: ScriptedGateway) -> None:
    """The next number, at a place of the queue before that of the last message and after the attach message's."""
    await gateway.show(_entry(stage, _wrong(stage), stage.canister.attach_nonce + 1))


async def _future(stage: Stage, gateway: ScriptedGateway) -> None:
    content = _wrong(stage, ago_s=-5)
    await gateway.show(_entry(stage, content))


async def _going_back(stage: Stage, gateway: ScriptedGateway) -> None:
    content = _wrong(stage, ago_s=30)
    await gateway.show(_entry(stage, content))


async def _service(stage: Stage, gateway: ScriptedGateway, *, make: Callable[[Stage], ServiceMessage]) -> None:
    content = stage.canister.certified_message(make(stage), seq=stage.canister.next_out)
    await gateway.show(_entry(stage, content))


def _open_message(stage: Stage) -> ServiceMessage:
    if stage.canister.key is None:
        raise Failed("the client has not opened")
    return OpenMessage(stage.canister.key)


async def _unknown_service(stage: Stage, gateway: ScriptedGateway) -> None:
    """A service message that no version has: a variant with a case of another name."""
    unknown = Arguments(Variant({"MessageOfTomorrow": Null})).encode(("MessageOfTomorrow", None))
    content = stage.canister.certified_message(unknown, seq=stage.canister.next_out, is_service=True)
    await gateway.show(_entry(stage, content))


async def _attach_again(stage: Stage, gateway: ScriptedGateway) -> None:
    """The attach message of this very attachment comes a second time, at a place of its own."""
    canister = stage.canister
    message = canister.last_attach
    if message is None:
        raise Failed("there was no attach message")
    await gateway.show(_entry(stage, canister.certified_message(message, seq=0), canister.new_nonce()))


async def _second_is_wrong(stage: Stage, gateway: ScriptedGateway) -> None:
    """A frame of two: the first is good, the second is not what the certificate shows."""
    canister = stage.canister
    first = _entry(stage, canister.certified_message(b"wrong", seq=canister.next_out))
    second = _entry(stage, canister.certified_message(b"two", seq=canister.next_out + 1))
    proof = canister.proof(first, second)
    altered = canister.certified_message(b"too", seq=canister.next_out + 1)
    messages = (KeyedContent(first.key, first.content), KeyedContent(second.key, altered))
    await gateway.frame(MessagesFrame(messages, proof.cert, proof.tree))


async def _after_a_failure(stage: Stage, gateway: ScriptedGateway) -> None:
    """A frame that is refused, and at once after it one that would be good."""
    canister = stage.canister
    bad = _entry(stage, canister.certified_message(b"nobody", seq=canister.next_out + 5))
    good = _entry(stage, canister.certified_message(b"wrong", seq=canister.next_out))
    await gateway.show(bad)
    await gateway.show(good)


async def _certified(stage: Stage, gateway: ScriptedGateway, *, age_s: int = 0, subnet: Subnet = Subnet.OWN) -> None:
    canister = stage.canister
    age_ns = age_s * NS_PER_S
    content = canister.certified_message(b"wrong", seq=canister.next_out, timestamp_ns=canister.now() - max(0, age_ns))
    entry = _entry(stage, content)
    await gateway.show(entry, proof=canister.proof(entry, time_ns=canister.now() - age_ns, subnet=subnet))


async def _stale_certificate(stage: Stage) -> Finding:
    """What was kept for a resume may be old; the certificate that shows it may not."""
    gateway = await stage.connected()
    canister = stage.canister
    canister.certified_message(b"wrong", timestamp_ns=canister.now() - _STALE_S * NS_PER_S)
    for other in stage.gateways:
        other.delivers = False
    await gateway.hang_up()
    await stage.until(lambda: canister.attach > 1, "the client did not open again")
    gateway = stage.attached()
    attach, kept = canister.take_queue(gateway.principal)
    await gateway.show(attach)
    await gateway.show(kept, proof=canister.proof(kept, time_ns=canister.now() - _STALE_S * NS_PER_S))
    await stage.leaves(gateway, "its certificate is stale", "CertificateStale")
    stage.not_given(b"wrong", "its certificate is stale")
    return Finding("not given; the client left")


async def _of_another_canister(stage: Stage, gateway: ScriptedGateway) -> None:
    canister = stage.canister
    entry = _entry(stage, _wrong(stage))
    await gateway.show(entry, proof=canister.proof(entry, canister_id=stage.world.other_canister))


async def _another_witness(stage: Stage, gateway: ScriptedGateway) -> None:
    """Certificate and witness are both good, and not of one another."""
    canister = stage.canister
    entry = _entry(stage, _wrong(stage))
    proof, other = canister.proof(entry), canister.proof(entry, padding=1)
    await gateway.show(entry, proof=replace(proof, cert=other.cert))


async def _unverified_close(stage: Stage, gateway: ScriptedGateway) -> None:
    """The canister's close, as the gateway would have it: the certificate shows another message at its place."""
    canister = stage.canister
    close = CloseMessage(CloseReason.CLOSED_BY_APPLICATION, SessionCloseReason.APPLICATION_CLOSED)
    content = canister.certified_message(close, seq=canister.next_out)
    entry = _entry(stage, _wrong(stage))
    await gateway.show(replace(entry, content=content), proof=canister.proof(entry))


async def _leaf_at_the_label(stage: Stage, gateway: ScriptedGateway) -> None:
    """A certified tree that has the hash at the label, where messages have their keys below it."""
    canister = stage.canister
    entry = _entry(stage, _wrong(stage))
    await gateway.show(entry, proof=canister.proof_of(MerkleMap().insert(b"websocket", sha256(entry.content).digest())))


async def _large_witness(stage: Stage, gateway: ScriptedGateway) -> None:
    canister = stage.canister
    entry = _entry(stage, _wrong(stage))
    await gateway.show(entry, proof=canister.proof(entry, padding=_MIB + 1))


async def _large_content(stage: Stage, gateway: ScriptedGateway) -> None:
    canister = stage.canister
    entry = _entry(stage, canister.certified_message(b"wrong" + bytes(_MIB + 2_048), seq=canister.next_out))
    await gateway.show(entry)


async def _below_the_attach(stage: Stage) -> Finding:
    """An entry of an earlier attach, with the next number: dropped, and nobody blamed."""
    gateway = await stage.connected()
    await stage.talk(b"one")
    content = _wrong(stage)
    await gateway.show(_entry(stage, content, stage.canister.attach_nonce - 1))
    await stage.talk(b"two")
    stage.not_given(b"wrong", "it was queued before the attach")
    if gateway.was_left or gateway.connections > 1:
        raise Failed("the client left, though such entries are to be dropped")
    return Finding("dropped; the attachment goes on")


async def _tombstone(stage: Stage) -> Finding:
    """A removed entry between two messages: certified, and nothing."""
    gateway = await stage.connected()
    canister = stage.canister
    canister.say(b"one")
    canister.enqueue(b"")
    canister.say(b"two")
    await gateway.deliver()
    await stage.until(lambda: len(stage.client.messages) == 2, "the messages around a removed entry were not given")
    await stage.goes_on(b"three")
    if stage.client.messages != [b"one", b"two", b"three"] or gateway.connections > 1:
        raise Failed("the client did not go on as if nothing had been there")
    return Finding("passed over")


async def _too_old(stage: Stage) -> Finding:
    """The first message after the attach was made more than a minute ago."""
    gateway = await stage.connected()
    why = f"it is {_TOO_OLD_S} s old"
    content = stage.canister.certified_message(
        b"wrong", seq=stage.canister.next_out, timestamp_ns=stage.canister.now() - _TOO_OLD_S * NS_PER_S
    )
    await gateway.show(_entry(stage, content))
    await stage.leaves(gateway, why, "MessageTooOld")
    stage.not_given(b"wrong", why)
    await stage.goes_on()
    return Finding("a stall: the client left, and the session goes on")


async def _retained(stage: Stage, *, age_s: int, is_good: bool) -> Finding:
    """A message that the canister had before the attach: it may be as old as the resume window."""
    gateway = await stage.connected()
    canister = stage.canister
    gateway.delivers = False
    canister.certified_message(b"kept", timestamp_ns=canister.now() - age_s * NS_PER_S)
    await gateway.hang_up()
    given = await stage.happens(lambda: b"kept" in stage.client.messages, 8.0 if is_good else 3.0)
    if given is not is_good:
        raise Failed(f"a message kept for {age_s} s was {'given' if given else 'not given'} after the resume")
    return Finding("given" if given else "not given: it is older than the resume window")


async def _one_good_frame(stage: Stage) -> Finding:
    """Several messages under one certificate."""
    gateway = await stage.connected()
    for number in range(5):
        stage.canister.say(b"message %d" % number)
    await gateway.deliver()
    await stage.until(lambda: len(stage.client.messages) == 5, "the messages were not given")
    if stage.client.messages != [b"message %d" % number for number in range(5)]:
        raise Failed("the messages were given in another order")
    return Finding("five messages of one frame, in order")


_REFUSED: Final[tuple[tuple[str, str, str, Play], ...]] = (
    (
        "lower-nonce",
        "CLT-027",
        "the next number comes at a lower nonce than the last",
        _refused("its nonce is not above the last", _lower_nonce, "NonceNotIncreasing"),
    ),
    (
        "younger-than-its-certificate",
        "CLT-030",
        "a message is younger than its certificate",
        _refused("it is younger than its certificate", _future, "TimestampAfterCertificate"),
    ),
    (
        "older-than-the-last",
        "CLT-030",
        "a message's timestamp is before that of the last",
        _refused("its timestamp went back", _going_back, "TimestampDecreasing"),
    ),
    (
        "open-message-in-session",
        "CLT-036",
        "an open message of the older protocol comes in a session",
        _refused(
            "an open message has no place in it",
            partial(_service, make=_open_message),
            "UnexpectedServiceMessage",
        ),
    ),
    (
        "keep-alive-from-the-canister",
        "CLT-036",
        "the canister says what only clients say",
        _refused(
            "only clients say that",
            partial(_service, make=lambda stage: KeepAliveMessage(0)),
            "UnexpectedServiceMessage",
        ),
    ),
    (
        "unknown-service-message",
        "CLT-036",
        "a service message that no version has",
        _refused("it cannot be read", _unknown_service),
    ),
    (
        "attach-message-again",
        "CLT-036 CLT-027",
        "the attach message comes a second time",
        _refused("it has been answered before", _attach_again, "UnexpectedServiceMessage"),
    ),
    (
        "second-of-a-frame",
        "CLT-033 CLT-032",
        "a frame of two, of which the second is altered",
        _refused("the frame is not as certified", _second_is_wrong, "LeafMismatch"),
    ),
    (
        "good-after-bad",
        "CLT-032",
        "a frame that is refused, and a good one at once after it",
        _refused("a frame before it was refused", _after_a_failure, "WrongSequenceNumber"),
    ),
    (
        "certificate-of-tomorrow",
        "CLT-022",
        "a certificate that is six minutes ahead",
        _refused("its certificate is of the future", partial(_certified, age_s=-_STALE_S), "CertificateFromFuture"),
    ),
    (
        "certificate-of-another-subnet",
        "CLT-022",
        "a certificate of a subnet that is not the canister's",
        _refused("its certificate is another subnet's", partial(_certified, subnet=Subnet.OTHER)),
    ),
    (
        "certificate-of-another-canister",
        "CLT-023",
        "what another canister of the subnet certifies",
        _refused("it is another canister's", _of_another_canister),
    ),
    (
        "witness-of-another-certificate",
        "CLT-023",
        "a good witness and a good certificate that do not belong together",
        _refused("the witness is not what the certificate shows", _another_witness, "CertifiedDataMismatch"),
    ),
    (
        "close-that-is-not-certified",
        "CLT-021 CLT-035",
        "a close of the canister under a certificate of another message",
        _refused("the close is not certified", _unverified_close, "LeafMismatch"),
    ),
    (
        "leaf-at-the-label",
        "CLT-024",
        "the hash is certified at the label, and not below it at the key",
        _refused("its leaf is at another place", _leaf_at_the_label, "PathAbsent", "PathUnknown", "PathError"),
    ),
    (
        "large-witness",
        "CLT-020",
        "a certified witness of more than 1 MiB",
        _refused("its witness is larger than the bound", _large_witness, "TooLarge"),
    ),
    (
        "large-content",
        "CLT-020",
        "a certified message of more than 1 MiB",
        _refused("it is larger than the bound", _large_content, "TooLarge"),
    ),
)

SCRIPTS: Final[tuple[Script, ...]] = (
    script(
        "messages/one-frame",
        "five messages under one certificate",
        "CLT-033",
        "all are given, in order",
        _one_good_frame,
    ),
    script(
        "messages/below-the-attach",
        "a message with the next number, from before the attach",
        "CLT-027",
        "dropped, and nobody blamed",
        _below_the_attach,
    ),
    script(
        "messages/removed-entry",
        "an entry of the queue was removed",
        "CLT-027 CLT-029",
        "passed over; what comes after it is given",
        _tombstone,
    ),
    script("messages/too-old", "a message that is 70 s old", "CLT-031", "not given; the client leaves", _too_old),
    script(
        "messages/kept-for-the-resume",
        "a message that was kept for 70 s",
        "CLT-031 CLT-070",
        "given after the resume",
        partial(_retained, age_s=_TOO_OLD_S, is_good=True),
    ),
    script(
        "messages/old-certificate",
        "a message that was kept for the resume, under a certificate of six minutes ago",
        "CLT-022",
        "not given; the client leaves",
        _stale_certificate,
    ),
    script(
        "messages/kept-too-long",
        "a message that was kept for longer than the resume window",
        "CLT-031",
        "not given",
        partial(_retained, age_s=2 * _RESUME_WINDOW_S, is_good=False),
    ),
    *(
        script(f"messages/{name}", title, numbers, "nothing of it is given; the session goes on elsewhere", play)
        for name, numbers, title, play in _REFUSED
    ),
)
