"""Cases about resuming, detaching, retention and the ends of sessions."""

from __future__ import annotations

import hashlib
import json
from typing import Final

from icws_conformance.canisters.opening import attach_messages
from icws_conformance.canisters.peer import Peer, identity
from icws_conformance.canisters.stage import COMMAND, Stage, play
from icws_conformance.case import Finding, Inconclusive, NotApplicable
from icws_secure.limits import NS_PER_S

__all__: list[str] = []

_SIX_MIN_S: Final = 360
_MANY: Final = 3_000


@play(
    "resume/byte-for-byte",
    "a session with unacknowledged messages is detached, hears more, and comes back through another gateway",
    "CAN-060 CAN-013",
    "the same bytes under new keys, in order, then what came meanwhile",
    gain="A failover changes or loses what was said.",
)
async def _byte_for_byte(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(1, 5):
        await stage.send(peer, b"%d" % number)
    before = await peer.stream(4)
    stage.ok(await peer.keep_alive(2), "an acknowledgement of 2")
    stage.ok(await peer.close(attach=1), "the gateway's close")
    last = 5 if await stage.said_detached(peer, b"meanwhile") else 4
    stage.ok(await peer.open(gateway=identity(), resume_from=3), "an open that resumes from 3")
    found = await peer.mine()
    said = attach_messages(found[:1])
    stage.check(said, "the first message is no attach message")
    wanted = {"resume_from": 3, "next_out": last + 1, "oldest_retained": 3, "next_in": last + 2, "attach": 2}
    different = {name: said[0].get(name) for name, value in wanted.items() if said[0].get(name) != value}
    stage.check(not different, f"the attach message has {different}, not {wanted}")
    again = [m for m in found if m.seq > 0]
    numbers = [m.seq for m in again]
    stage.check(numbers == list(range(3, last + 1)), f"messages {numbers} came, and not 3 to {last}")
    stage.check([m.raw for m in again[:2]] == [m.raw for m in before[2:]], "what was retained came with other bytes")
    return Finding(f"3 and 4 as they were, up to {last}")


@play(
    "resume/same-gateway",
    "a session resumes through the gateway that it came from, without having left",
    "CAN-060 CAN-023",
    "old entries are tombstones, the same bytes stand again behind the attach message",
)
async def _same_gateway(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one")
    await stage.send(peer, b"two")
    before = await peer.queue()
    stage.ok(await peer.open(), "an open through the same gateway")
    after = await peer.queue()
    old = [m for m in after if m.nonce <= before[-1].nonce]
    stage.check(all(m.is_tombstone for m in old), "entries of the older attach can still be polled")
    new = [m for m in after if m.nonce > before[-1].nonce]
    stage.check([m.seq for m in new] == [0, 1, 2], f"messages {[m.seq for m in new]} came, not 0, 1, 2")
    stage.check([m.raw for m in new[1:]] == [m.raw for m in before if m.seq > 0], "other bytes than before")
    return Finding(f"{len(old)} tombstones, then 0, 1, 2")


@play(
    "resume/gap",
    "an open resumes from a message that was acknowledged",
    "CAN-061",
    "ResumeGap, and nothing changes",
    gain="A resume silently begins after a gap.",
)
async def _gap(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(4):
        await stage.send(peer, b"%d" % number)
    stage.ok(await peer.keep_alive(3), "an acknowledgement of 3")
    for resume_from in (3, 1):
        told = await peer.update(peer.key, "ws_open", peer.secure_arg(attach=2, resume_from=resume_from))
        stage.refused(told, f"an open that resumes from {resume_from} after 3 was acknowledged", "ResumeGap")
    head = await peer.head()
    stage.check(head is not None and head["attach"] == 1, "a refused open has attached")
    stage.ok(await peer.open(resume_from=4), "an open that resumes from 4")
    return Finding("refused from 3 and 1, taken from 4")


@play(
    "resume/zero",
    "an open resumes from message 0",
    "CAN-061",
    "refused, or taken as from the first; nothing is skipped",
)
async def _zero(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one")
    told = await peer.open(resume_from=0)
    if not told.ok:
        return Finding(
            stage.refused(told, "an open that resumes from 0", "ResumeGap", "MalformedArgument", "AckOutOfRange")
        )
    stage.in_order(await peer.stream(1))
    return Finding("taken as from 1")


@play(
    "retention/bound",
    "the application sends more than may be retained, and the client acknowledges nothing",
    "CAN-062 CAN-027",
    "its send fails with an error; nothing that was sent is dropped; after an acknowledgement it sends again",
    gain="A slow client loses messages that the application believes sent.",
)
async def _bound(stage: Stage) -> Finding:
    stage.need("burst", "report")
    small = "settings" in stage.tested.features
    peer = await stage.ready(await stage.tested.installed(retained_messages=10) if small else None)
    bound = int(peer.parameters["retained_messages"])
    stage.check(not small or bound == 10, "the bound is not that of the settings")
    if bound > _MANY:
        raise Inconclusive(f"{bound} messages may be retained; the suite sends no more than {_MANY}")
    kept = await _beyond(stage, peer, bound + 4, 10)
    stage.check(kept <= bound, f"{kept} messages are retained, with a bound of {bound}")
    return Finding(f"{kept} of {bound + 4} were sent, and then the send failed")


@play(
    "retention/bytes",
    "the application sends more bytes than may be retained",
    "CAN-062 CAN-027",
    "as with more messages than may be retained",
    gain="One client that acknowledges nothing fills the canister's memory.",
)
async def _bytes(stage: Stage) -> Finding:
    stage.need("burst", "report")
    peer = await stage.ready()
    bound, largest = int(peer.parameters["retained_bytes"]), int(peer.parameters["max_content_bytes"])
    size = largest // 2
    count = bound // size + 2
    if count > 64:
        raise Inconclusive(f"{bound} bytes may be retained; the suite sends no more than 64 messages of {size}")
    kept = await _beyond(stage, peer, count, size)
    stage.check(kept * size <= bound, f"{kept} messages of {size} bytes are retained, with a bound of {bound}")
    return Finding(f"{kept} of {count} messages of {size} bytes were sent, and then the send failed")


async def _beyond(stage: Stage, peer: Peer, count: int, size: int) -> int:
    """Have the application send more than may be retained; gives how many messages it could send."""
    told = await stage.send(peer, COMMAND + b"burst %d %d" % (count, size))
    await stage.executed(peer, told, 1)
    found = await peer.queue()
    stage.in_order([m for m in found if m.seq > 0])
    plain = [m.content.rstrip(b".") for m in found if m.seq > 0 and m.service is None]
    stage.check(plain, "nothing was sent")
    stage.check(plain == [b"%d" % number for number in range(len(plain))], "messages are missing")
    head = await peer.head()
    stage.check(head is not None and head["oldest_retained"] == 1, "messages were dropped")
    stage.ok(await peer.keep_alive(int((head or {})["next_out"]) - 1), "an acknowledgement")
    report = json.loads(await stage.obeyed(peer, "report"))
    stage.check(report["failures"], "the application was told of no failure")
    return len(plain)


@play(
    "retention/detached",
    "messages for a detached session are beyond what may be retained",
    "CAN-062",
    "those before the bound come at the resume, in order and without a hole",
)
async def _detached(stage: Stage) -> Finding:
    stage.need("burst")
    canister = await stage.tested.installed(retained_messages=10)
    peer = await stage.ready(canister)
    stage.ok(await peer.close(attach=1), "the gateway's close")
    if not await stage.said_detached(peer, COMMAND + b"burst 20 10"):
        raise NotApplicable("the canister takes no messages of detached sessions")
    stage.ok(await peer.open(gateway=identity()), "an open")
    found = [m for m in await peer.mine() if m.seq > 0]
    stage.in_order(found)
    stage.check(0 < len(found) <= 10, f"{len(found)} messages came")
    return Finding(f"{len(found)} messages")


@play(
    "close/older-attach",
    "the end of an old connection is told after the session has attached anew, to the same gateway and to another",
    "CAN-063",
    "no effect; only the bound gateway, for the attach of now, detaches",
    gain="The end of an old connection detaches the new one.",
)
async def _older_attach(stage: Stage) -> Finding:
    peer = await stage.ready()
    old = peer.gateway
    stage.ok(await peer.open(), "an open through the same gateway")
    told = await peer.close(attach=1)
    stage.check(told.ok or told.code, f"a close for an older attach: {told}")
    stage.check((await peer.head() or {}).get("state") == "open", "a close for attach 1 ended attach 2")
    stage.ok(await peer.open(gateway=identity()), "an open through another gateway")
    for attach in (1, 2, 3, None):
        told = await peer.close(old, attach=attach)
        stage.check(not told.ok or attach != 3, "the older gateway's close was taken")
        stage.check(
            (await peer.head() or {}).get("state") == "open", f"the older gateway's close of {attach} had an effect"
        )
    told = await peer.close(attach=3)
    stage.ok(told, "the bound gateway's close")
    head = await peer.head()
    stage.check(
        head is not None and head["state"] == "detached", f"the session is {head and head['state']}, not detached"
    )
    stage.ok(await peer.open(), "an open after it")
    return Finding("five without effect, one detaches, and the session resumes")


@play(
    "close/strangers",
    "ws_close by a stranger, by the session key, by its owner, and by another gateway",
    "CAN-063",
    "no effect",
)
async def _strangers(stage: Stage) -> Finding:
    peer, other = await stage.ready(), await stage.ready()
    for who in (identity(), peer.owner, other.gateway):
        told = await peer.close(who, attach=1)
        stage.refused(told, f"a close by {who.principal}", "NotYourGateway", "NotOpen")
    head = await peer.head()
    stage.check(head is not None and head["state"] == "open", "the session is not open any more")
    return Finding("refused three times")


@play(
    "end/expiry",
    "a session's expiry comes",
    "CAN-066",
    "it is over: no message, no open; its head says Expired",
    moves=True,
)
async def _expiry(stage: Stage) -> Finding:
    peer = stage.peer()
    stage.ok(await peer.register(expires_at=peer.in_seconds(100)), "a registration for 100 s")
    stage.ok(await peer.open(), "an open")
    await stage.send(peer, b"hello")
    await stage.tested.advance(101)
    stage.refused(await peer.say(b"late"), "a message after the expiry", "Expired", "Closed", "NotOpen")
    stage.refused(
        await peer.open(), "an open after the expiry", "Expired", "Closed", "NotRegistered", "WrongRegistration"
    )
    head = await peer.head()
    stage.check(
        head is None or (head["state"], head.get("close_code")) == ("closed", "Expired"), f"the head says {head}"
    )
    told = await peer.register()
    stage.refused(told, "a registration of the expired pair", "Expired", "RecentlyRevoked", "Closed", early=False)
    await stage.tested.advance(_SIX_MIN_S - 60)
    told = await peer.register()
    stage.refused(told, "the same five minutes later", "Expired", "RecentlyRevoked", "Closed", early=False)
    return Finding("over, and refused for 6 min")


@play(
    "end/resume-window",
    "a detached session is not resumed within its window",
    "CAN-066",
    "it is over: ResumeWindow",
    moves=True,
)
async def _resume_window(stage: Stage) -> Finding:
    peer, back = await stage.ready(), await stage.ready()
    window_s = peer.parameters["resume_window_ns"] / NS_PER_S
    for each in (peer, back):
        await stage.send(each, b"hello")
        stage.ok(await each.close(attach=1), "the gateway's close")
    await stage.tested.advance(window_s - 30)
    stage.ok(await back.open(), "an open shortly before the window's end")
    stage.in_order(await back.stream(1))
    await stage.tested.advance(31)
    stage.refused(await peer.open(), "an open after the window", "Closed", "NotRegistered", "WrongRegistration")
    head = await peer.head()
    stage.check(head is None or head.get("close_code") == "ResumeWindow", f"the head says {head}")
    await stage.send(back, b"still here")
    return Finding(f"{window_s:.0f} s")


@play(
    "upgrade/goes-on",
    "the canister is upgraded while a session waits, a gap is open, and messages are not acknowledged",
    "CAN-065 CAN-071",
    "same epoch, same head, same queue; the streams go on, and audits are certified at once",
    moves=True,
)
async def _upgrade(stage: Stage) -> Finding:
    peer = await stage.ready()
    for number in range(1, 4):
        await stage.send(peer, b"%d" % number)
    await stage.send(peer, b"five", seq=5)
    before, queue = await peer.head(), await peer.queue()
    await stage.tested.command("upgrade", "upgrade", canister_id=str(peer.canister))
    after = await peer.head()
    stage.check(after == before, f"the head is {after} after an upgrade, and was {before}")
    stage.check([m.raw for m in await peer.queue()] == [m.raw for m in queue], "the queue is another after the upgrade")
    stage.refused(await peer.say(b"other", seq=1), "message 1 with other content", "SequenceConflict")
    told = await stage.send(peer, b"4", seq=4)
    await stage.executed(peer, told, 5)
    stage.ok(await peer.open(gateway=identity()), "an open after the upgrade")
    found = await peer.stream(5)
    stage.in_order(found)
    stage.check([m.raw for m in found[:3]] == [m.raw for m in queue if m.seq > 0], "what was retained has other bytes")
    second = stage.ok(await peer.register(), "the registration, refreshed")
    stage.check(second["epoch"] == (before or {})["epoch"], "the epoch is another")
    return Finding("the session goes on")


@play(
    "upgrade/timers",
    "the canister is upgraded, and an acknowledgement becomes due",
    "CAN-071 CAN-065",
    "it comes: timers are armed again",
    moves=True,
)
async def _timers(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"hello")
    await stage.tested.command("upgrade", "upgrade", canister_id=str(peer.canister))
    await stage.tested.advance(peer.parameters["ack_interval_ns"] / NS_PER_S + 1)
    names = [m.service.name for m in await peer.mine() if m.service is not None]
    stage.check("AckMessage" in names, f"service messages after the upgrade: {names}")
    return Finding("the timer runs")


@play(
    "reinstall/epoch",
    "the canister loses its state",
    "CAN-065 CAN-022",
    "another epoch, no session, certified absence, and a queue above the old one's nonces",
    moves=True,
    gain="Numbers start again, and old messages fit.",
)
async def _reinstall(stage: Stage) -> Finding:
    canister = await stage.tested.installed()
    peer = await stage.ready(canister)
    await stage.send(peer, b"hello")
    last = (await peer.queue())[-1].nonce
    await stage.tested.command("reinstall", "reinstall", canister_id=str(canister))
    await stage.tested.ic.look_at_clock()
    stage.refused(await peer.say(b"hello", seq=2), "a message for a session that is lost", "NotOpen", "NotRegistered")
    other = await stage.peer(canister).ready(gateway=peer.gateway)
    stage.check(other.parameters["epoch"] > peer.parameters["epoch"], "the epoch did not change")
    first = (await other.queue())[0].nonce
    stage.check(first > last, f"the queue begins at {first}, and had {last} before")
    said = attach_messages((await other.mine())[:1])
    stage.check(said and said[0]["epoch"] == other.parameters["epoch"], "the attach message has another epoch")
    stage.check(said[0]["open_hash"] == hashlib.sha256(other.open_arg).digest(), "open_hash is of other bytes")
    return Finding(f"{(other.parameters['epoch'] - peer.parameters['epoch']) / NS_PER_S:.3f} s later")
