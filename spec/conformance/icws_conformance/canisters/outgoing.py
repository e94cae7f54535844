"""Cases about messages to the client: certified, numbered, salted, queued, polled, bounded."""

from __future__ import annotations

import hashlib
from typing import Final

from icws_conformance.canisters.interface import nonce_arg
from icws_conformance.canisters.peer import identity
from icws_conformance.canisters.stage import COMMAND, Stage, play
from icws_conformance.case import Failed, Finding
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity

__all__: list[str] = []

_POLL_BYTES: Final = 1536 << 10
_POLL_MESSAGES: Final = 50


@play(
    "messages/certified",
    "each message is polled as soon as it was sent",
    "CAN-020 CAN-021",
    "every poll's certificate and witness cover it; numbers rise by one",
)
async def _certified(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(6):
        told = await stage.send(peer, b"number %d" % number)
        await stage.executed(peer, told, number + 1)
        found = await peer.stream(number + 1)
        stage.check(found[-1].content == b"number %d" % number, "the echo is not what was sent")
        stage.in_order(found)
        stage.check(not found[-1].fields["is_service_message"], "an echo is a service message")
    return Finding("six messages, each certified when it could be polled")


@play(
    "messages/salt",
    "one word is said three times, in two sessions",
    "CAN-026",
    "salts of 16 bytes, all different: equal contents have different hashes",
    gain="A client tests guesses at another's short messages against the hashes in a witness.",
)
async def _salt(stage: Stage) -> Finding:
    one, two = await stage.ready(), await stage.ready()
    for peer in (one, one, one, two, two, two):
        await stage.send(peer, b"yes")
    messages = [*await one.mine(), *await two.mine()]
    salts = [bytes(message.fields.get("salt", b"")) for message in messages]
    stage.check(all(len(salt) == 16 for salt in salts), "a message has no salt of 16 bytes")
    stage.check(len(set(salts)) == len(salts), "a salt came twice")
    stage.check(not any(salt == bytes(16) for salt in salts), "a salt is empty")
    guessable = [m.nonce.to_bytes(16, "big") for m in messages] + [m.nonce.to_bytes(16, "little") for m in messages]
    stage.check(not set(salts) & set(guessable), "a salt is the nonce")
    return Finding(f"{len(salts)} salts")


@play(
    "queue/first-nonce",
    "a gateway's queue begins",
    "CAN-022",
    "at the canister's time in nanoseconds, and rises by one",
)
async def _first_nonce(stage: Stage) -> Finding:
    peer = stage.peer()
    told = await peer.register()
    stage.ok(told, "a registration")
    before = told.time_ns
    told = await peer.open()
    stage.ok(told, "an open")
    first = (await peer.queue())[0].nonce
    stage.check(
        before <= first <= told.time_ns, f"the queue begins at {first}, the open is certified at {told.time_ns}"
    )
    for number in range(4):
        await stage.send(peer, b"%d" % number)
    nonces = [message.nonce for message in await peer.queue()]
    stage.check(nonces == list(range(first, first + len(nonces))), f"the nonces are {nonces}")
    return Finding(f"begins at {first}")


@play(
    "queue/never-again",
    "a queue is idle until it is dropped, and its gateway comes back",
    "CAN-022",
    "the new queue begins above all nonces of the old",
    moves=True,
)
async def _never_again(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"hello")
    last = (await peer.queue())[-1].nonce
    stage.ok(await peer.close(attach=1), "the gateway's close")
    for _ in range(3):
        await stage.tested.advance(peer.parameters["ack_interval_ns"] / NS_PER_S + 1)
    other = await stage.peer().ready(gateway=peer.gateway)
    first = (await other.queue())[0].nonce
    stage.check(first > last, f"the queue begins at {first} again, and ended at {last}")
    return Finding(f"{first - last} above")


@play(
    "queue/tombstones",
    "one of two clients of a gateway is detached",
    "CAN-023",
    "its entries keep place and key, with empty content; the other's stay",
)
async def _tombstones(stage: Stage) -> Finding:
    one = await stage.ready()
    two = await stage.peer().ready(gateway=one.gateway)
    for number in range(3):
        await stage.send(one, b"one %d" % number)
        await stage.send(two, b"two %d" % number)
    before = await one.queue()
    stage.ok(await one.close(attach=1), "the gateway's close")
    after = await one.queue()
    nonces = [message.nonce for message in after]
    stage.check(nonces == [message.nonce for message in before], "the queue has other nonces than before")
    for old, new in zip(before, after, strict=True):
        if old.outer == two.outer:
            stage.check(new.raw == old.raw, "another client's message has changed")
        else:
            stage.check(new.is_tombstone and new.key == old.key, "an entry that was removed is no tombstone")
    await stage.send(two, b"hello")
    return Finding(f"{sum(m.is_tombstone for m in after)} tombstones, no hole")


@play(
    "poll/fifty",
    "120 messages wait in a queue",
    "CAN-024 CAN-021",
    "at most 50 a poll, not told to be the end, and none is lost",
)
async def _fifty(stage: Stage) -> Finding:
    stage.need("burst")
    peer = await stage.ready()
    told = await stage.send(peer, COMMAND + b"burst 120 40")
    await stage.executed(peer, told, 1)
    poll = await peer.poll()
    stage.check(1 <= len(poll.messages) <= _POLL_MESSAGES, f"a poll has {len(poll.messages)} messages")
    stage.check(not poll.end, "the poll says that the queue ends, and it does not")
    found = await peer.stream(120)
    stage.in_order(found)
    stage.check(len(found) == 120, f"{len(found)} messages")
    beyond = await peer.poll(found[-1].nonce + 1)
    stage.check(not beyond.messages and beyond.end, "a poll after the last message is not empty")
    return Finding(f"{len(poll.messages)} in the first poll")


@play(
    "poll/bytes",
    "messages of 1 MiB in all that a poll may have, and one that is as large as may be",
    "CAN-024",
    "polls of at most 1.5 MiB with witness, one message at least",
    gain="A full queue cannot be polled any more, by any client of the gateway.",
)
async def _bytes(stage: Stage) -> Finding:
    stage.need("burst")
    peer = await stage.ready()
    largest = int(peer.parameters["max_content_bytes"])
    sizes = [600_000, 600_000, 600_000, largest]
    sizes = [min(size, largest) for size in sizes]
    for size in sizes:
        told = await stage.send(peer, COMMAND + b"burst 1 %d" % size)
        await stage.executed(peer, told, peer.next - 1)
    nonce, polls, seen = 0, [], 0
    while True:
        poll = await peer.poll(nonce)
        if not poll.messages:
            break
        polls.append(poll)
        seen += sum(m.seq > 0 and m.service is None for m in poll.messages)
        stage.check(
            len(poll.messages) == 1 or poll.size <= _POLL_BYTES,
            f"a poll of {len(poll.messages)} messages has {poll.size} bytes",
        )
        nonce = poll.messages[-1].nonce + 1
    stage.check(seen == len(sizes), f"{seen} of {len(sizes)} messages were polled")
    return Finding(f"{len(polls)} polls, the largest of {max(poll.size for poll in polls)} bytes")


@play(
    "poll/again",
    "a queue is polled twice from one nonce, and from the middle",
    "CAN-023 CAN-025",
    "the same messages, and those from the nonce on",
)
async def _again(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(4):
        await stage.send(peer, b"%d" % number)
    first = await peer.queue()
    second = await peer.queue()
    stage.check([m.raw for m in first] == [m.raw for m in second], "a second poll gives other messages")
    rest = await peer.queue(first[2].nonce)
    stage.check([m.nonce for m in rest] == [m.nonce for m in first[2:]], "a poll from the middle begins elsewhere")
    beyond = await peer.poll((1 << 64) - 1)
    stage.check(not beyond.messages, "a poll from the last nonce there is gives messages")
    return Finding(f"{len(first)} messages, then {len(rest)}")


@play(
    "queue/front",
    "a queue grows older than the acknowledgement interval, and then goes on",
    "CAN-023",
    "entries leave at the front only: what is left has no hole and ends with the newest",
    moves=True,
)
async def _front(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(8):
        await stage.send(peer, b"%d" % number)
    before = await peer.queue()
    await stage.tested.advance(peer.parameters["ack_interval_ns"] / NS_PER_S + 1)
    for number in range(2):
        await stage.send(peer, b"late %d" % number)
    after = await peer.queue()
    nonces = [m.nonce for m in after]
    stage.check(nonces == list(range(nonces[0], nonces[0] + len(nonces))), f"the queue has a hole: {nonces}")
    stage.check([m.content for m in after][-2:] == [b"late 0", b"late 1"], "the newest messages are not the last")
    stage.ok(await peer.open(gateway=identity()), "an open after it")
    stage.in_order(await peer.stream(10))
    return Finding(f"{len(before)} entries before, {len(after)} after")


@play(
    "poll/own-queue-only",
    "a queue is polled by another gateway, by nobody, and by the session's own key",
    "CAN-025",
    "they are given nothing of it",
    gain="A stranger reads the messages of a gateway's clients.",
)
async def _own_queue(stage: Stage) -> Finding:
    one, two = await stage.ready(), await stage.ready()
    await stage.send(one, b"for one")
    await stage.send(two, b"for two")
    for who in (two.gateway, one.key, one.owner, AnonymousIdentity(), identity()):
        told = await stage.tested.ic.query(who, "ws_get_messages", nonce_arg(0), stage.log)
        others = [peer for peer in (one, two) if peer.gateway is not who]
        for peer in others:
            shown = peer.gateway.principal.to_text().encode() in (told.arg or b"")
            stage.check(not shown, f"{who.principal} is shown another gateway's queue")
    stage.check([m.content for m in await two.stream(1)] == [b"for two"], "the other queue has other messages")
    return Finding("five strangers were given nothing")


@play("poll/as-an-update", "ws_get_messages is called as an update", "CAN-071", "Err: no data certificate there")
async def _as_an_update(stage: Stage) -> Finding:
    peer = await stage.ready()
    told = await peer.update(peer.gateway, "ws_get_messages", nonce_arg(0))
    return Finding(stage.refused(told, "a poll by update", "NoDataCertificate"))


@play(
    "poll/as-an-update-past-inspect",
    "ws_get_messages is executed as an update, past inspect_message",
    "CAN-071",
    "Err NoDataCertificate; it does not trap",
)
async def _as_an_update_past(stage: Stage) -> Finding:
    peer = await stage.ready()
    told = await peer.unchecked(peer.gateway.principal, "ws_get_messages", nonce_arg(0))
    return Finding(stage.refused(told, "a poll by update", "NoDataCertificate"))


@play(
    "messages/largest",
    "the application sends one byte more than content may have",
    "CAN-035",
    "its send fails; the largest is sent",
)
async def _largest(stage: Stage) -> Finding:
    stage.need("burst", "report")
    peer = await stage.ready()
    largest = int(peer.parameters["max_content_bytes"])
    stage.check(largest <= 1 << 20, f"content may have {largest} bytes")
    told = await stage.send(peer, COMMAND + b"burst 1 %d" % (largest + 1))
    await stage.executed(peer, told, 1)
    stage.check('failures": ["' in (await stage.obeyed(peer, "report")), "a message over the limit was sent")
    told = await stage.send(peer, COMMAND + b"burst 1 %d" % largest)
    await stage.executed(peer, told, peer.next - 1)
    sizes = [len(m.content) for m in await peer.stream(2)]
    stage.check(largest in sizes and largest + 1 not in sizes, f"messages of {sizes} bytes were sent")
    return Finding(f"{largest} bytes at most")


@play(
    "queue/bounded",
    "a canister with a queue of 20 entries is made to send 40 messages",
    "CAN-027 CAN-062",
    "the send fails; what is queued stays, and so do other gateways",
)
async def _bounded(stage: Stage) -> Finding:
    stage.need("burst")
    canister = await stage.tested.installed(queue_messages=20)
    peer, other = await stage.ready(canister), await stage.ready(canister)
    told = await stage.send(peer, COMMAND + b"burst 40 10")
    await stage.executed(peer, told, 1)
    found = await peer.queue()
    stage.check(len(found) <= 20, f"a queue of 20 has {len(found)} entries")
    stage.in_order([m for m in found if m.seq > 0])
    await stage.send(other, b"hello")
    stage.check(len(await other.stream(1)) == 1, "another gateway's queue is disturbed")
    return Finding(f"{len(found)} entries")


@play(
    "queue/gateways-bounded",
    "sessions of a canister for 3 gateways name a fourth",
    "CAN-027",
    "refused; the others go on",
)
async def _gateways_bounded(stage: Stage) -> Finding:
    canister = await stage.tested.installed(max_gateways=3)
    peers = [await stage.ready(canister) for _ in range(3)]
    fourth = stage.peer(canister)
    stage.ok(await fourth.register(), "a registration")
    code = stage.refused(await fourth.open(), "a fourth gateway")
    for peer in peers:
        await stage.send(peer, b"hello")
    return Finding(code)


@play(
    "queue/share",
    "a session attaches to one gateway again and again",
    "CAN-027",
    "refused at a bound, so that it cannot fill the queue of others",
)
async def _share(stage: Stage) -> Finding:
    canister = await stage.tested.installed(retained_messages=4)
    peer = await stage.ready(canister)
    for count in range(2, 200):
        told = await peer.open()
        if not told.ok:
            return Finding(f"{stage.refused(told, f'attach {count}')} at attach {count}")
    stage.fail("200 attaches in one queue were taken")
    raise Failed("no bound")


@play(
    "queue/leaf", "the leaf of a tombstone", "CAN-023 CAN-020", "the hash of nothing, at the same key", profile="secure"
)
async def _leaf(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"hello")
    stage.ok(await peer.close(attach=1), "the gateway's close")
    found = await peer.queue()
    stage.check(found and all(m.is_tombstone for m in found), "what was removed can still be polled")
    nothing = hashlib.sha256(b"").hexdigest()
    return Finding(f"{len(found)} leaves {nothing[:16]}…")
