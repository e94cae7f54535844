"""Cases about handlers: each message in an execution of its own, and those that trap."""

from __future__ import annotations

import json

from icws_conformance.canisters.stage import COMMAND, Stage, play
from icws_conformance.case import Finding

__all__: list[str] = []


@play(
    "send/trap",
    "a handler traps, after it has sent something",
    "CAN-032",
    "the number is consumed, reported as trapped, and what the handler did is undone",
    gain="One bad message blocks the session for ever.",
)
async def _trap(stage: Stage) -> Finding:
    stage.need("trap")
    peer = await stage.ready()
    await stage.send(peer, b"one")
    told = await peer.say(COMMAND + b"trap")
    stage.check(told.ok, f"a message whose handler traps was answered with {told}")
    await stage.executed(peer, told, 2)
    await stage.send(peer, b"three")
    found = [m.content for m in await peer.stream(2)]
    stage.check(found == [b"one", b"three"], f"the echoes are {found}")
    head = await peer.head()
    stage.check(head is not None and 2 in head.get("trapped", ()), "the certified head does not tell of the trap")
    again = await peer.say(COMMAND + b"trap", seq=2)
    stage.check(again.ok and again.status is not None, f"the message, sent again: {again}")
    stage.check(again.status is not None and again.status.state in ("trapped", "duplicate"), f"again: {again.status}")
    return Finding(f"consumed; sent again it is {again.status and again.status.state}")


@play(
    "send/trap-among-others",
    "ten messages wait behind a gap, and the handler of one of them traps",
    "CAN-034 CAN-032",
    "the nine others are handled: each has an execution of its own",
    gain="One bad message takes its neighbours with it.",
)
async def _trap_among(stage: Stage) -> Finding:
    stage.need("trap")
    peer = await stage.ready()
    for seq in range(2, 11):
        await stage.send(peer, COMMAND + b"trap" if seq == 6 else b"%d" % seq, seq=seq)
    told = await peer.say(b"1", seq=1)
    stage.ok(told, "the message that closes the gap")
    await stage.executed(peer, told, 10)
    found = [m.content for m in await peer.stream(9)]
    stage.check(found == [b"%d" % seq for seq in range(1, 11) if seq != 6], f"the echoes are {found}")
    head = await peer.head()
    stage.check(head is not None and tuple(head.get("trapped", ())) == (6,), f"trapped: {head and head.get('trapped')}")
    return Finding("nine echoes; 6 trapped")


@play(
    "send/trap-told",
    "the application is told of a handler that trapped",
    "CAN-032",
    "once, and of nothing else",
)
async def _trap_told(stage: Stage) -> Finding:
    stage.need("trap", "report")
    peer = await stage.ready()
    told = await peer.say(COMMAND + b"trap")
    await stage.executed(peer, told, 1)
    report = json.loads(await stage.obeyed(peer, "report"))
    events = [event[0] for event in report["events"]]
    stage.check(events == ["open", "error"], f"the application was told {events}")
    return Finding("open, error")
