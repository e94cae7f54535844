"""Polls: nodes that lie, lag or fail, and canisters that forget."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from icws_conformance.case import Failed, Finding, Inconclusive
from icws_conformance.gateways.byzantine import EMPTY, PollLie, is_poll, lying_node, signed_reply
from icws_conformance.gateways.cases.delivery import push
from icws_conformance.gateways.peer import Peer
from icws_conformance.gateways.scripted import ScriptedCanister, tell
from icws_conformance.gateways.stage import QUIET_S, GatewayCase, Play, Stage
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_conformance.hostile.forge import Subnet
from icws_secure.wire import cbor
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import (
    CertifiedMessages,
    OpenArgument,
    OutputMessage,
    decode_get_messages_result,
    encode_get_messages_argument,
    encode_get_messages_result,
    encode_open_argument,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key, parse_message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal

__all__ = ["POLLS"]

_TRUE, _FALSE = b"number-42", b"number-13"
_QUEUE: Final = 40
_LONG_QUEUE: Final = 400
_OLD_QUEUE: Final = 100
_FAR: Final = 1_000_000
_FAR_LIES: Final = 4


async def _scripted_peer(stage: Stage) -> Peer:
    peer = await stage.peer(canister=stage.canister(ScriptedCanister()))
    await peer.open()
    return peer


# Lies about one message -----------------------------------------------------------------------------------------------


def _with_content(result: CertifiedMessages, change: Callable[[bytes], bytes]) -> CertifiedMessages:
    messages = tuple(replace(message, content=change(message.content)) for message in result.messages)
    return replace(result, messages=messages)


def _swapped(content: bytes) -> bytes:
    return content.replace(_TRUE, _FALSE)


def _witness_of(result: CertifiedMessages) -> bytes:
    leaves = {m.key.encode(): hashlib.sha256(m.content).digest() for m in result.messages}
    return encode_tree(MerkleMap.from_items({b"websocket": MerkleMap.from_items(leaves)}).witness([(b"websocket",)]))


def _altered_content(stage: Stage, result: CertifiedMessages) -> CertifiedMessages:
    del stage
    return _with_content(result, _swapped)


def _altered_with_witness(stage: Stage, result: CertifiedMessages) -> CertifiedMessages:
    del stage
    altered = _with_content(result, _swapped)
    return replace(altered, tree=_witness_of(altered))


def _without_witness(stage: Stage, result: CertifiedMessages) -> CertifiedMessages:
    del stage
    return replace(_with_content(result, _swapped), tree=cbor.encode_self_described([0]))


def _another_canisters_certificate(stage: Stage, result: CertifiedMessages) -> CertifiedMessages:
    """Witness and certificate agree, but the certificate is of another canister, which the liar controls."""
    altered = _with_content(result, _swapped)
    tree = MerkleMap.from_items(
        {
            b"websocket": MerkleMap.from_items(
                {m.key.encode(): hashlib.sha256(m.content).digest() for m in altered.messages}
            )
        }
    )
    world = stage.gateway.world
    certificate = world.forge.certificate(
        canister_id=world.other_canister,
        certified_data=tree.digest(),
        time_ns=world.forge.now(),
        subnet=Subnet.OWN,
    )
    return replace(altered, cert=certificate, tree=encode_tree(tree.witness([(b"websocket",)])))


def _refuses_lie(change: Callable[[Stage, CertifiedMessages], CertifiedMessages]) -> Play:
    async def play(stage: Stage) -> Finding:
        peer = await stage.peer()
        await peer.open()
        lied = 0

        def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
            nonlocal lied
            if lied >= 2 or not any(_TRUE in message.content for message in result.messages):
                return None
            lied += 1
            return change(stage, result)

        stage.gateway.answer = lying_node(stage.gateway.world.replica, peer.canister, lie)
        await peer.say(_TRUE)
        await peer.until(lambda: lied or len(peer.messages) > 1, "a poll of the message")
        await peer.until(lambda: len(peer.messages) > 1, "a message: the true one, from a later poll", 15)
        await asyncio.sleep(QUIET_S)
        if any(_FALSE in content for _, content, _, _ in peer.messages):
            stage.blame("gateway", "what the lying node said was passed on")
            raise Failed("a message that does not fit certificate and witness was passed on")
        if not lied:
            raise Inconclusive("no poll was there to be altered")
        return Finding("not passed on; the true message came with a later poll")

    return play


async def _another_addressee(stage: Stage) -> Finding:
    canister = stage.canister()
    one = await stage.peer("first client", canister=canister)
    two = await stage.peer("second client", canister=canister)
    await asyncio.gather(one.open(), two.open())
    lied = 0

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal lied
        del asked
        if lied >= 2 or not any(_TRUE in message.content for message in result.messages):
            return None
        lied += 1
        return replace(result, messages=tuple(replace(message, client_key=two.key) for message in result.messages))

    stage.gateway.answer = lying_node(stage.gateway.world.replica, canister, lie)
    await one.say(_TRUE)
    await one.until(lambda: lied or len(one.messages) > 1, "a poll of the message")
    await asyncio.sleep(QUIET_S)
    if any(_TRUE in content for _, content, _, _ in two.messages):
        stage.blame("gateway", "the second client was given the first one's message")
        raise Failed("a message went to the client that the node named, and not to the one that its content names")
    await one.until(lambda: len(one.messages) > 1, "the message, from a later poll", 15)
    return Finding("the message went to its own client only")


async def _another_queue(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    replica, other = stage.gateway.world.replica, Principal.self_authenticating(b"another gateway")
    argument = encode_open_argument(OpenArgument(peer.key.client_nonce, other))
    replica.call(peer.canister, "ws_open", argument, sender=peer.identity.principal)
    answer = replica.query(peer.canister, "ws_get_messages", encode_get_messages_argument(0), sender=other)
    theirs = decode_get_messages_result(getattr(answer, "arg", b""))
    if not isinstance(theirs, CertifiedMessages):
        raise Inconclusive("the suite's canister has no queue of another gateway")
    lied = 0

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal lied
        del asked, result
        lied += 1
        return theirs if lied <= 3 else None

    before = len(peer.messages)
    stage.gateway.answer = lying_node(replica, peer.canister, lie)
    await peer.until(lambda: lied > 3, "four polls", 20)
    await asyncio.sleep(QUIET_S)
    if len(peer.messages) > before:
        stage.blame("gateway", f"a message with the key {peer.messages[-1][0]}")
        raise Failed("a message of another gateway's queue was passed on: its key names that gateway")
    return Finding("nothing of another gateway's queue was passed on")


# Order ----------------------------------------------------------------------------------------------------------------


def _in_order(make: Callable[[], PollLie], count: int = _QUEUE) -> Play:
    """A queue is pushed while a node lies about it: all of it must come, once and in order."""

    async def play(stage: Stage) -> Finding:
        peer = await _scripted_peer(stage)
        # after an open polls may overlap, and the truth be heard before the lie
        await asyncio.sleep(QUIET_S)
        stage.gateway.answer = lying_node(stage.gateway.world.replica, peer.canister, make())
        push(stage, peer, count)
        await peer.until(lambda: len(peer.messages) > count or _disordered(peer), f"{count} messages", 25)
        _demand_order(stage, peer)
        return Finding(f"{count} messages, once and in order")

    return play


def _disordered(peer: Peer) -> bool:
    numbers = [message.sequence_num for message in peer.contents]
    return numbers != list(range(1, len(numbers) + 1))


def _demand_order(stage: Stage, peer: Peer) -> None:
    for expected, (key, message) in enumerate(zip(peer.messages, peer.contents, strict=True), 1):
        if message.sequence_num != expected:
            stage.blame(
                "gateway",
                f"message {message.sequence_num} where {expected} was due, nonce {parse_message_key(key[0])[1]}",
            )
            raise Failed(f"message {message.sequence_num} was delivered where {expected} was due")


def _empty_at_first() -> PollLie:
    left = 6

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal left
        if left and result.messages:
            left -= 1
            return EMPTY
        return None

    return lie


def _lagging() -> PollLie:
    chance = random.Random(6)  # noqa: S311 - the same in each run

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        seen = chance.randrange(len(result.messages) + 1)
        if chance.random() < 0.3:
            return None
        return replace(result, messages=result.messages[:seen], is_end_of_queue=True) if seen else EMPTY

    return lie


def _leaving_out(gap: slice) -> PollLie:
    """Leaves this part of a longer answer out, once."""
    left = 1

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal left
        if not left or len(result.messages) <= gap.stop:
            return None
        left -= 1
        return replace(result, messages=result.messages[: gap.start] + result.messages[gap.stop :])

    return lie


def _skipping() -> PollLie:
    return _leaving_out(slice(0, 2))


def _holes() -> PollLie:
    return _leaving_out(slice(2, 4))


def _reversed() -> PollLie:
    left = 2

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal left
        if not left or len(result.messages) < 2:
            return None
        left -= 1
        return replace(result, messages=result.messages[::-1])

    return lie


def _repeating() -> PollLie:
    left, first = 3, EMPTY

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal left, first
        if len(first.messages) < 2:
            first = result
            return None
        if not left:
            return None
        left -= 1
        return first

    return lie


def _never() -> PollLie:
    return lambda asked, result: None


async def _long_queue(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    chance = random.Random(4)  # noqa: S311 - the same in each run

    async def jitter(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if is_poll(path, envelope, peer.canister):
            await asyncio.sleep(chance.uniform(0.0, 0.05))
            real = await fetch()
            await asyncio.sleep(chance.uniform(0.0, 0.05))
            return real
        return await fetch()

    stage.gateway.answer = jitter
    push(stage, peer, _LONG_QUEUE)
    await peer.until(lambda: len(peer.messages) > _LONG_QUEUE or _disordered(peer), f"{_LONG_QUEUE} messages", 30)
    _demand_order(stage, peer)
    return Finding(f"{_LONG_QUEUE} messages in order, though answers took between no time and 100 ms")


async def _trimmed(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    held = asyncio.Event()

    async def hold(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if is_poll(path, envelope, peer.canister):
            await held.wait()
        return await fetch()

    stage.gateway.answer = hold
    push(stage, peer, 10)
    tell(stage.gateway.world.replica, peer.canister, trim=6)  # the opening and five of ten are gone
    await asyncio.sleep(0.2)
    held.set()
    await peer.until(lambda: any(message.content == b"9" for message in peer.contents), "the last message", 20)
    came = [message.content for message in peer.contents][1:]
    if came != [b"%d" % number for number in range(5, 10)]:
        raise Failed(f"after the queue was trimmed at its front these came: {came}")
    return Finding("what was left of the queue was delivered")


async def _tombstone(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    held = asyncio.Event()

    async def hold(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if is_poll(path, envelope, peer.canister):
            await held.wait()
        return await fetch()

    stage.gateway.answer = hold
    push(stage, peer, 5)
    tell(stage.gateway.world.replica, peer.canister, bury=3)
    held.set()
    await peer.until(lambda: len(peer.messages) >= 5, "what is left of five messages", 20)
    await asyncio.sleep(QUIET_S)
    came = [message.content for message in peer.contents][1:]
    if came != [b"0", b"1", b"3", b"4"]:
        raise Failed(f"of five messages, of which the third was removed, these came: {came}")
    return Finding("the four that are left; nothing for the one that was removed")


async def _far_ahead(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    await peer.until(lambda: peer.messages, "the message of the open")
    gateway, world, lied = parse_message_key(peer.messages[0][0])[0], stage.gateway.world, 0
    content = CanisterMessage(peer.key, 2, world.forge.now(), False, _FALSE).encode()

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal lied
        if lied >= _FAR_LIES:
            return None
        lied += 1
        # the same each time, under the genuine delegation, but signed by nobody
        key = message_key(gateway, asked + _FAR)
        leaves = MerkleMap.from_items({key.encode(): hashlib.sha256(content).digest()})
        tree = MerkleMap.from_items({b"websocket": leaves})
        certificate = world.forge.certificate(
            canister_id=peer.canister,
            certified_data=tree.digest(),
            time_ns=world.forge.now(),
            subnet=Subnet.NOBODY,
        )
        message = OutputMessage(peer.key, key, content)
        return replace(result, messages=(message,), cert=certificate, tree=encode_tree(tree.witness([(b"websocket",)])))

    stage.gateway.answer = lying_node(world.replica, peer.canister, lie)
    await peer.until(lambda: lied >= _FAR_LIES, f"{_FAR_LIES} polls", 25)
    push(stage, peer, _QUEUE)
    await peer.until(lambda: len(peer.messages) > _QUEUE or _disordered(peer), f"{_QUEUE} messages", 25)
    _demand_order(stage, peer)
    return Finding("the queue was not followed to a place that nothing genuine shows")


# Failures -------------------------------------------------------------------------------------------------------------


async def _nonsense(stage: Stage) -> Finding:
    peer = await stage.peer()
    await peer.open()
    replica = stage.gateway.world.replica
    refusal = encode_get_messages_result(Refusal("Closed", "as the case wants"))
    left: list[Callable[[bytes], Answer]] = [
        lambda _: Answer(500, b"no"),
        lambda _: Answer(429, b"slow down", "text/plain"),
        lambda _: Answer(200, b""),
        lambda _: Answer(200, b"\x00junk"),
        lambda _: Answer(200, b"<html>hello</html>", "text/html"),
        lambda _: Answer(200, b"\x81" * 20_000 + b"\x00"),
        lambda _: Answer(200, cbor.encode({"status": "replied", "reply": 7})),
        lambda _: Answer(200, cbor.encode({"status": "rejected", "reject_code": 5, "reject_message": "no"})),
        lambda request_id: Answer(200, signed_reply(replica, peer.canister, request_id, b"DIDL")),
        lambda request_id: Answer(
            200, signed_reply(replica, peer.canister, request_id, b"DIDL\x01\x6d\x7f\x01\x00" + b"\xff" * 9)
        ),
        lambda request_id: Answer(200, signed_reply(replica, peer.canister, request_id, refusal)),
        lambda _: Answer(200, bytes(8 << 20)),
    ]

    lies = False

    async def lie(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        nonlocal lies
        if envelope is None or not left or not is_poll(path, envelope, peer.canister):
            return await fetch()
        lies = not lies  # the truth between, so that nobody has to wait longer and longer
        return left.pop()(envelope.content.request_id) if lies else await fetch()

    stage.gateway.answer = lie
    await peer.say(b"hello")
    await peer.until(lambda: not left, "polls, in spite of nonsense", 45)
    await peer.until(lambda: len(peer.messages) >= 2, "the message, after a replica's nonsense", 20)
    return Finding("twelve answers of nonsense, and the session went on")


async def _failing(stage: Stage) -> Finding:
    peer, other = await stage.peer("first client"), await stage.peer("second client")
    await asyncio.gather(peer.open(), other.open())
    until = asyncio.get_running_loop().time() + 2.0

    async def broken(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if path.endswith("/query") and asyncio.get_running_loop().time() < until:
            return Answer(503, b"no", "text/plain")
        return await fetch()

    stage.gateway.answer = broken
    await asyncio.sleep(2.0)
    await stage.goes_on(peer, "a message, after all polls had failed for two seconds", 20)
    await stage.goes_on(other, "another client's message", 20)
    return Finding("both sessions went on")


async def _hanging_canister(stage: Stage) -> Finding:
    stuck = await stage.peer("client of a canister that hangs", canister=stage.canister())
    other = await stage.peer("client of another canister")
    await asyncio.gather(stuck.open(), other.open())
    freed = asyncio.Event()

    async def hang(path: str, envelope: Envelope | None, fetch: Fetch) -> Answer:
        if getattr(getattr(envelope, "content", None), "canister_id", None) == stuck.canister:
            await freed.wait()
        return await fetch()

    stage.gateway.answer = hang
    stage.stack.callback(freed.set)
    for _ in range(3):
        await stuck.say(b"hello")
        await stage.goes_on(other)
    freed.set()
    return Finding("clients of other canisters were served")


# Queues that start anew -----------------------------------------------------------------------------------------------


async def _restarted(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    push(stage, peer, _OLD_QUEUE)  # the new queue must not reach the old number while we look
    await peer.until(lambda: len(peer.messages) > _OLD_QUEUE, f"{_OLD_QUEUE} messages", 20)
    tell(stage.gateway.world.replica, peer.canister, forget=True)
    before = len(peer.messages)
    for _ in range(30):
        await peer.say(b"after the restart")
        await asyncio.sleep(0.5)
        if len(peer.messages) > before:
            return Finding("the queue that counts from 0 again was followed")
    stage.blame("gateway", "no message of the new queue came")
    raise Failed("the canister counts from 0 again, and the gateway waits at the old number")


async def _not_restarted(stage: Stage) -> Finding:
    peer = await _scripted_peer(stage)
    push(stage, peer, _QUEUE)
    await peer.until(lambda: len(peer.messages) > _QUEUE, f"{_QUEUE} messages")
    lies = 0

    def lie(asked: int, result: CertifiedMessages) -> CertifiedMessages | None:
        nonlocal lies
        if not asked or lies > 12:
            return None
        lies += 1
        return EMPTY

    stage.gateway.answer = lying_node(stage.gateway.world.replica, peer.canister, lie)
    for _ in range(4):
        await peer.say(b"hello")
        await asyncio.sleep(0.3)
    await peer.until(lambda: len(peer.messages) >= _QUEUE + 5 or _disordered(peer), "four echoes", 20)
    _demand_order(stage, peer)
    return Finding("empty answers moved nothing: no message came twice")


def _lie_case(name: str, title: str, requirement: str, play: Play) -> GatewayCase:
    return GatewayCase(
        f"polls/{name}",
        f"a node {title}",
        (requirement,),
        "nothing false is passed on",
        play,
        "a node's fault is charged to an honest gateway",
    )


def _order_case(name: str, title: str, play: Play, requirement: str = "GWY-006") -> GatewayCase:
    return GatewayCase(
        f"polls/{name}",
        title,
        (requirement,),
        "all messages come, once and in order",
        play,
        "messages are delivered out of order, twice, or never",
        50,
    )


POLLS: Final = (
    _lie_case("altered", "alters a message", "GWY-007", _refuses_lie(_altered_content)),
    _lie_case(
        "altered-with-witness", "alters a message and its witness", "GWY-007", _refuses_lie(_altered_with_witness)
    ),
    _lie_case(
        "without-witness", "alters a message and shows an empty witness", "GWY-007", _refuses_lie(_without_witness)
    ),
    _lie_case(
        "certificate-of-another",
        "alters a message and shows another canister's certificate",
        "GWY-007",
        _refuses_lie(_another_canisters_certificate),
    ),
    _lie_case("another-addressee", "addresses a message to another client", "GWY-008", _another_addressee),
    _lie_case("another-queue", "answers with another gateway's queue", "GWY-007", _another_queue),
    _order_case("empty-at-first", "a node says for a while that the queue is empty", _in_order(_empty_at_first)),
    _order_case("lagging", "nodes are of different heights", _in_order(_lagging)),
    _order_case("skipping", "a node leaves the first two messages out", _in_order(_skipping)),
    _order_case("holes", "a node leaves messages out in the middle", _in_order(_holes)),
    _order_case("reversed", "a node answers in the wrong order", _in_order(_reversed)),
    _order_case("repeating", "a node answers with what was asked for before", _in_order(_repeating)),
    _order_case("long-queue", "answers to polls overtake one another", _long_queue),
    _order_case("trimmed", "the canister trims its queue at the front", _trimmed),
    _order_case("tombstone", "the canister takes a queued message away", _tombstone),
    _order_case("far-ahead", "a node shows a message of far ahead, under no signature", _far_ahead, "GWY-012"),
    GatewayCase(
        "polls/nonsense",
        "a node answers nonsense",
        ("GWY-012",),
        "the session goes on",
        _nonsense,
        "one node takes all sessions down",
        80,
    ),
    GatewayCase(
        "polls/failing",
        "all polls fail for two seconds",
        ("GWY-012",),
        "all sessions go on",
        _failing,
        "one failed poll takes all sessions of a canister down",
        50,
    ),
    GatewayCase(
        "polls/hanging-canister",
        "one canister is not answered for",
        ("GWY-012",),
        "clients of others are served",
        _hanging_canister,
        "one canister stops the gateway for all",
    ),
    GatewayCase(
        "polls/restarted",
        "a canister of the older protocol is upgraded, and counts from 0 again",
        ("GWY-019",),
        "its new queue is followed",
        _restarted,
        "the gateway waits at the old number for ever",
        50,
    ),
    _order_case("not-restarted", "nodes say that a queue is gone which is not", _not_restarted, "GWY-006"),
)
