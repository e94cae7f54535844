"""Cases about acknowledgements and keep-alives, on a clock that the suite moves."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from icws_conformance.canisters.candid import BLOB, encode, record
from icws_conformance.canisters.message import Message
from icws_conformance.canisters.peer import Peer
from icws_conformance.canisters.stage import Stage, play
from icws_conformance.case import Finding
from icws_conformance.wirelog import WireLog
from icws_secure.limits import NS_PER_S

__all__: list[str] = []

_A_RUN: Final = 200
_CROWD: Final = 230


def _acks(messages: list[Message]) -> list[Message]:
    return [m for m in messages if m.service is not None and m.service.name == "AckMessage"]


async def _state(peer: Peer) -> str:
    head = await peer.head()
    return "gone" if head is None else str(head["state"])


def _unlogged(stage: Stage) -> Stage:
    """Where many sessions say the same; the wire log of the case has what comes of them."""
    stage.log.note("the sessions' own calls are left out")
    return Stage(stage.tested, WireLog())


async def _acknowledged(stage: Stage, *peers: Peer) -> None:
    """Let the acknowledgement interval pass, and see that each was sent one."""
    await stage.tested.advance(peers[0].parameters["ack_interval_ns"] / NS_PER_S + 1)
    for peer in peers:
        stage.check(_acks(await peer.mine()), "no acknowledgement after its interval")


@play(
    "alive/acknowledgement",
    "the acknowledgement interval passes",
    "CAN-040 CAN-042",
    "an AckMessage that tells what was handled, in the numbered stream",
    moves=True,
)
async def _acknowledgement(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one")
    await stage.send(peer, b"two")
    await _acknowledged(stage, peer)
    ack = _acks(await peer.mine())[0]
    through = ack.service.value["last_incoming_sequence_num"] if ack.service else -1
    stage.check(through == 2, f"the acknowledgement is of {through}, and 2 were sent")
    stage.check(ack.seq == 3, f"the acknowledgement has number {ack.seq}")
    stage.ok(await peer.keep_alive(3), "a keep-alive")
    return Finding("2 acknowledged, as message 3")


@play(
    "alive/no-keep-alive",
    "no keep-alive follows an acknowledgement",
    "CAN-040",
    "the session is detached, not ended, and can be resumed with all of its messages",
    moves=True,
    gain="A gateway that drops keep-alives destroys sessions.",
)
async def _no_keep_alive(stage: Stage) -> Finding:
    peer = await stage.ready()
    await stage.send(peer, b"one")
    await _acknowledged(stage, peer)
    stage.check(await _state(peer) == "open", "the session is not open at its acknowledgement")
    await stage.tested.advance(peer.parameters["keep_alive_timeout_ns"] / NS_PER_S + 1)
    state = await _state(peer)
    stage.check(state == "detached", f"without keep-alive the session is {state}")
    stage.ok(await peer.open(), "an open after it")
    found = await peer.stream(2)
    stage.in_order(found)
    stage.check(found[0].content == b"one", "the first message is another")
    return Finding("detached, and resumed")


@play(
    "alive/any-call",
    "after an acknowledgement one session sends a message again, one a message behind a gap, one asks for parameters",
    "CAN-040",
    "all of them are alive",
    moves=True,
    gain="A client behind a gap times out, though it speaks.",
)
async def _any_call(stage: Stage) -> Finding:
    peers = [await stage.ready() for _ in range(3)]
    again, gap, params = peers
    for peer in peers:
        await stage.send(peer, b"one")
    await _acknowledged(stage, *peers)
    stage.ok(await again.say(b"one", seq=1), "a duplicate")
    stage.ok(await gap.say(b"three", seq=3), "a message behind a gap")
    arg = encode((record(registration_id=BLOB), {"registration_id": params.parameters["registration_id"]}))
    stage.ok(await params.update(params.key, "ws_params", arg), "ws_params")
    await stage.tested.advance(peers[0].parameters["keep_alive_timeout_ns"] / NS_PER_S + 1)
    states = [await _state(peer) for peer in peers]
    stage.check(states == ["open"] * 3, f"a duplicate, a message behind a gap, ws_params: {states}")
    return Finding("duplicate, gap and parameters count")


@play(
    "alive/jitter",
    "24 sessions are opened together, and most of the interval passes",
    "CAN-041",
    "some are acknowledged and some are not yet: deadlines are spread",
    moves=True,
    limit_s=120,
    gain="All clients answer in one wave, for ever.",
)
async def _jitter(stage: Stage) -> Finding:
    canister = await stage.tested.installed()
    crowd = _unlogged(stage)
    peers = list(await asyncio.gather(*(crowd.ready(canister) for _ in range(24))))
    for peer in peers:
        await crowd.send(peer, b"here")
    interval_s = peers[0].parameters["ack_interval_ns"] / NS_PER_S
    step_s = interval_s / 200
    await stage.tested.advance(interval_s * 0.85)
    counts = []
    for _ in range(32):
        await stage.tested.advance(step_s)
        counts.append(len([peer for peer in peers if _acks(await peer.mine())]))
        if counts[-1] == len(peers):
            break
    stage.check(counts[-1] == len(peers), f"only {counts[-1]} of 24 were acknowledged after the interval")
    waves = len({count for count in counts if count})
    stage.check(waves >= 4, f"24 sessions were acknowledged in {waves} waves")
    return Finding(f"{waves} steps of {step_s:.1f} s")


@play(
    "alive/crowd",
    "230 sessions are due at once",
    "CAN-041",
    "at most 200 in one execution of the timer, and all of them in the end",
    moves=True,
    limit_s=150,
    gain="A timer that does too much traps, and never succeeds again.",
)
async def _crowd(stage: Stage) -> Finding:
    canister = await stage.tested.installed()
    crowd = _unlogged(stage)
    first = await crowd.ready(canister)
    room = asyncio.Semaphore(16)

    async def one() -> Peer:
        async with room:
            return await crowd.peer(canister).ready(gateway=first.gateway)

    peers = [first, *await asyncio.gather(*(one() for _ in range(_CROWD - 1)))]
    await stage.tested.advance(first.parameters["detach_after_open_ns"] / NS_PER_S + 5)
    times: Counter[int] = Counter()
    for peer in peers:
        head = await peer.head()
        stage.check(head is not None and head["state"] == "detached", f"a silent session is {head and head['state']}")
        times[int((head or {})["timestamp"])] += 1
    largest = max(times.values())
    stage.check(largest <= _A_RUN, f"{largest} sessions were handled in one execution")
    return Finding(f"{len(times)} executions, the largest of {largest} sessions")
