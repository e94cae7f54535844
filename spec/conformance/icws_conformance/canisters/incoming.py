"""Cases about messages to the canister: order, window, duplicates, handlers, sizes, acknowledgements."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from icws_conformance.canisters import interface
from icws_conformance.canisters.candid import encode, record, vec
from icws_conformance.canisters.interface import MESSAGE, Told
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding, Inconclusive, NotApplicable

__all__: list[str] = []

_BATCH: Final = 32
_REMEMBERED: Final = 64  # beyond the window
_GAP_S: Final = 360


@play(
    "send/status",
    "messages are sent in order",
    "CAN-033",
    "the second result tells how far they were accepted and executed",
)
async def _status(stage: Stage) -> Finding:
    peer = await stage.ready()
    for seq in range(1, 4):
        told = await stage.send(peer, b"%d" % seq)
        if told.status is None:
            stage.fail("there is no second result")
            break
        stage.check(told.status.accepted == seq, f"message {seq}: accepted through {told.status.accepted}")
        stage.check(told.status.executed <= seq, f"message {seq}: executed through {told.status.executed}")
        stage.check(told.status.state in ("executed", "accepted"), f"message {seq}: {told.status.state}")
    return Finding(f"{told.status}")


@play(
    "send/out-of-order",
    "messages 3 and 2 come before 1",
    "CAN-030 CAN-033 CAN-034",
    "they wait, and are not called executed; then all are handled in order, once",
    gain="The client reports as done what only waits.",
)
async def _out_of_order(stage: Stage) -> Finding:
    peer = await stage.ready()
    for seq in (3, 2):
        told = await stage.send(peer, b"%d" % seq, seq=seq)
        state = told.status
        stage.check(
            state is not None and (state.accepted, state.executed, state.state) == (0, 0, "accepted"),
            f"message {seq} behind a gap: {state}",
        )
    stage.check(not [m for m in await peer.mine() if m.seq > 0], "a message behind a gap was handled")
    told = await stage.send(peer, b"1", seq=1)
    await stage.executed(peer, told, 3)
    found = await peer.stream(3)
    stage.check([m.content for m in found] == [b"1", b"2", b"3"], f"the echoes are {[m.content for m in found]}")
    head = await peer.head()
    stage.check(head is not None and head["next_in"] == 4, "next_in is not 4")
    return Finding("executed 1, 2, 3")


@play(
    "send/at-once",
    "twenty messages are sent at once",
    "CAN-030",
    "whatever their order of execution, all are handled in order, once",
)
async def _at_once(stage: Stage) -> Finding:
    peer = await stage.ready()
    told = await asyncio.gather(*(peer.say(b"%d" % seq, seq=seq) for seq in range(1, 21)))
    for each in told:
        stage.ok(each, "one of twenty messages")
    await stage.executed(peer, told[-1], 20)
    found = [m.content for m in await peer.stream(20)]
    stage.check(found == [b"%d" % seq for seq in range(1, 21)], f"the echoes are {found}")
    return Finding("twenty echoes in order")


@play(
    "send/window",
    "messages at the edge of the window and beyond it",
    "CAN-030",
    "the last one inside is taken, the first one outside is OutOfWindow, and the session lives",
)
async def _window(stage: Stage) -> Finding:
    peer = await stage.ready()
    window = int(peer.parameters["window_messages"])
    stage.refused(
        await peer.say(b"out", seq=window + 1), f"message {window + 1} of a window of {window}", "OutOfWindow"
    )
    stage.refused(await peer.say(b"out", seq=1 << 63), "a message far out", "OutOfWindow")
    stage.ok(await peer.say(b"in", seq=window), f"message {window} of a window of {window}")
    told = await stage.send(peer, b"first", seq=1)
    stage.ok(told, "the next message")
    stage.check(len(await peer.stream(1)) == 1, "the session is not alive")
    stage.check((await peer.head() or {}).get("state") == "open", "the session is closed")
    return Finding(f"{window} messages")


@play(
    "send/window-bytes",
    "more bytes wait behind a gap than the window may have",
    "CAN-030 CAN-027",
    "OutOfWindow, and the session lives",
    gain="One session fills the canister's memory behind a gap that it never closes.",
)
async def _window_bytes(stage: Stage) -> Finding:
    peer = await stage.ready()
    window, room = int(peer.parameters["window_messages"]), int(peer.parameters["window_bytes"])
    size = min(room // 3, int(peer.parameters["max_content_bytes"]))
    held, told = 0, None
    for seq in range(2, window + 1):
        told = await peer.say(bytes([seq]) * size, seq=seq)
        if not told.ok:
            break
        held += size
    stage.check(held <= room, f"{held} bytes wait in a window of {room}")
    if told is None or told.ok:
        raise Inconclusive("the window in messages is full before the one in bytes")
    stage.refused(told, f"{size} bytes beside {held} of {room}", "OutOfWindow")
    told = await stage.send(peer, b"1", seq=1)
    await stage.executed(peer, told, 1)
    return Finding(f"{held} of {room} bytes")


@play(
    "send/gap",
    "a message waits behind a gap for longer than the missing one can come",
    "CAN-030",
    "it is dropped after 6 min, and may come again",
    moves=True,
)
async def _gap(stage: Stage) -> Finding:
    peer = await stage.ready()
    stage.ok(await peer.say(b"two", seq=2), "a message behind a gap")
    await stage.tested.advance(_GAP_S + 2)
    stage.ok(await peer.open(), "an open after six minutes")
    told = await stage.send(peer, b"one", seq=1)
    head = await peer.head()
    stage.check(head is not None and head["next_in"] == 2, f"after message 1 the next is {head and head['next_in']}")
    told = await stage.send(peer, b"two, anew", seq=2)
    await stage.executed(peer, told, 2)
    return Finding("dropped, and taken anew")


@play(
    "send/duplicate",
    "messages are repeated, before and after they are handled",
    "CAN-031",
    "Ok as a duplicate, and handled once",
    gain="A message that is sent again acts twice.",
)
async def _duplicate(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one", seq=1)
    await stage.send(peer, b"three", seq=3)
    for seq, data in ((1, b"one"), (3, b"three")):
        told = await stage.send(peer, data, seq=seq)
        stage.check(told.status is not None and told.status.state == "duplicate", f"message {seq} again: {told.status}")
    told = await stage.send(peer, b"two", seq=2)
    await stage.executed(peer, told, 3)
    await stage.send(peer, b"two", seq=2)
    found = [m.content for m in await peer.stream(3)]
    stage.check(found == [b"one", b"two", b"three"], f"the echoes are {found}")
    return Finding("three echoes of six messages")


@play(
    "send/conflict",
    "a number that was used comes with other content, before and after it is handled",
    "CAN-031",
    "SequenceConflict; what was first counts",
    gain="A second device's text takes the place of the first one's, and both believe that theirs was taken.",
)
async def _conflict(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one", seq=1)
    await stage.send(peer, b"three", seq=3)
    for seq in (1, 3):
        stage.refused(await peer.say(b"other", seq=seq), f"message {seq} with other content", "SequenceConflict")
    skip = interface.service("SkipMessage")
    stage.refused(await peer.say(skip, seq=1, service=True), "message 1 as a service message", "SequenceConflict")
    stage.refused(await peer.say(b"one!", seq=1), "message 1 and a little more", "SequenceConflict")
    told = await stage.send(peer, b"two", seq=2)
    await stage.executed(peer, told, 3)
    found = [m.content for m in await peer.stream(3)]
    stage.check(found == [b"one", b"two", b"three"], f"the echoes are {found}")
    return Finding("refused; the first texts were handled")


@play(
    "send/stale",
    "a message comes again after more than the window and 64 others",
    "CAN-031",
    "Stale, not handled again",
    limit_s=120,
)
async def _stale(stage: Stage) -> Finding:
    peer = await stage.ready()
    count = int(peer.parameters["window_messages"]) + _REMEMBERED + 4
    await _many(stage, peer, count)
    other = await peer.say(b"other", seq=1)
    stage.refused(other, "message 1 with other content", "Stale", "SequenceConflict")
    told = await peer.say(b"1", seq=1)
    if told.ok:
        stage.check(told.status is not None and told.status.state == "duplicate", f"message 1 again: {told.status}")
        raise Inconclusive("the canister remembers more than it must, and knows the message still")
    stage.refused(told, "message 1 again", "Stale")
    stage.check(
        len([m for m in await peer.mine() if m.seq > 0 and m.content == b"1"]) == 1, "message 1 was handled twice"
    )
    return Finding(f"refused after {count} messages")


async def _many(stage: Stage, peer: Peer, count: int) -> None:
    """Send so many messages, which say their numbers; in batches where the canister offers that."""
    step = _BATCH if "batch" in peer.parameters["features"] else 1
    while peer.next <= count:
        numbers = range(peer.next, min(peer.next + step, count + 1))
        told = await _batch(peer, numbers) if step > 1 else await peer.say(b"%d" % peer.next, seq=peer.next)
        stage.ok(told, f"messages from {peer.next} on")
        peer.next = numbers[-1] + 1
        await stage.executed(peer, told, numbers[-1])


async def _batch(peer: Peer, numbers: Any, text: bytes = b"%d") -> Told:
    messages = [peer.message(seq, text % seq if b"%" in text else text) for seq in numbers]
    arg = encode((record(msgs=vec(MESSAGE)), {"msgs": messages}))
    return await peer.update(peer.key, "ws_message_batch", arg)


@play(
    "send/batch",
    "batches: honest, repeated, with a hole, too large, and by another",
    "CAN-031 CAN-073",
    "one after the other, all or nothing; where batches are not listed, there are none",
)
async def _batches(stage: Stage) -> Finding:
    peer = await stage.ready()
    if "batch" not in peer.parameters["features"]:
        raise NotApplicable("the canister does not list the feature batch")
    told = await _batch(peer, range(1, 6))
    stage.ok(told, "a batch of five")
    stage.ok(await _batch(peer, range(1, 6)), "the same batch")
    stage.refused(await _batch(peer, (7, 9)), "a batch with a hole")
    stage.refused(await _batch(peer, range(6, 6 + _BATCH + 1)), "a batch of 33", "TooMany", "OutOfWindow")
    stage.refused(await _batch(peer, (5, 6), b"x"), "a batch with another fifth message", "SequenceConflict")
    await stage.executed(peer, told, 5)
    found = [m.content for m in await peer.stream(5)]
    stage.check(found == [b"%d" % seq for seq in range(1, 6)], f"the echoes are {found}")
    head = await peer.head()
    stage.check(head is not None and head["next_in"] == 6, "a batch that was refused had an effect")
    return Finding("five of five; nothing of what was refused")


@play(
    "send/too-large",
    "content of one byte more than allowed, and of 1.9 MiB",
    "CAN-035",
    "refused; content of the largest size is taken",
)
async def _too_large(stage: Stage) -> Finding:
    peer = await stage.ready()
    largest = int(peer.parameters["max_content_bytes"])
    stage.check(largest <= 1 << 20, f"content may have {largest} bytes")
    stage.refused(await peer.say(bytes(largest + 1), seq=1), "one byte too many", "ContentTooLarge")
    stage.refused(await peer.say(bytes(1_900_000), seq=1), "1.9 MiB", "ContentTooLarge")
    stage.ok(await peer.say(b"x" * largest, seq=1), "content of the largest size")
    return Finding(f"{largest} bytes at most")


@play(
    "send/too-large-past-inspect",
    "content of 1.9 MiB, on a node that skips inspect_message",
    "CAN-035 CAN-070",
    "the method refuses it itself",
)
async def _too_large_past(stage: Stage) -> Finding:
    peer = await stage.ready()
    arg = interface.message_arg(peer.message(1, bytes(1_900_000)))
    told = await peer.unchecked(peer.key.principal, "ws_message", arg)
    return Finding(stage.refused(told, "1.9 MiB", "ContentTooLarge"))


@play(
    "send/by-another",
    "messages by a stranger, by the owner, by another session, and under another client key",
    "CAN-015",
    "refused",
    gain="Somebody speaks for a session.",
)
async def _by_another(stage: Stage) -> Finding:
    one, two = await stage.ready(), await stage.ready()
    for who in (identity(), one.owner, two.key, one.gateway):
        stage.refused(
            await one.say(b"forged", seq=1, who=who), f"a message by {who.principal}", "NotOpen", "WrongClientKey"
        )
    other = {"client_principal": one.key.principal.raw, "client_nonce": one.client_nonce + 1}
    stage.refused(
        await one.say(b"forged", seq=1, client_key=other), "another client nonce", "WrongClientKey", "NotOpen"
    )
    stage.refused(
        await one.say(b"forged", seq=1, client_key=two.client_key), "another's client key", "WrongClientKey", "NotOpen"
    )
    stage.check(not [m for m in [*await one.mine(), *await two.mine()] if m.seq > 0], "a forged message was handled")
    return Finding("six refused, none handled")
