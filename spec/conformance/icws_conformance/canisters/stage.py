"""What cases about canisters are made with, and the list that they are put on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from icws_conformance.canisters.interface import CODES, NAMED_CODES, Told
from icws_conformance.canisters.message import Message
from icws_conformance.canisters.peer import Peer
from icws_conformance.canisters.tested import CanisterUnderTest
from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.wirelog import WireLog
from icws_secure.errors import TransportError
from icws_secure.wire.principal import Principal

__all__ = ["COMMAND", "Stage", "detect", "listed", "play"]

COMMAND: Final = b"icws-test:"
"""What the suite asks of the application begins with this."""

#: Those that move the clock wait for one another.
_WAIT_S: Final = 240

Play = Callable[["Stage"], Awaitable[Finding]]


@dataclass
class Stage:
    """One case on the canister under test.

    Attributes:
        tested: the canister.
        log: of the case.
    """

    tested: CanisterUnderTest
    log: WireLog

    def peer(self, canister: Principal | None = None) -> Peer:
        """A session that nothing was done with yet."""
        return Peer(self.tested, self.log, canister)

    async def ready(self, canister: Principal | None = None) -> Peer:
        """A secure session that is open."""
        return await self.peer(canister).ready()

    def need(self, *commands: str) -> None:
        """Go on only with an application that obeys these commands."""
        if missing := set(commands) - self.tested.commands:
            raise NotApplicable(f"the application does not obey {', '.join(sorted(missing))}")

    def fail(self, what: str) -> None:
        """End the case as failed, with a mark in the log.

        Raises:
            Failed: always.
        """
        self.log.note(what, source="canister", blamed=True)
        raise Failed(what)

    def check(self, holds: object, otherwise: str) -> None:
        """End the case as failed unless something holds."""
        if not holds:
            self.fail(otherwise)

    def ok(self, told: Told, what: str) -> Any:
        """What an answer holds that must be ``Ok``."""
        if not told.ok:
            self.fail(f"{what}: {told}")
        return told.value

    def refused(self, told: Told, what: str, *codes: str, early: bool = True) -> str:
        """Check that something was refused, properly; gives what to say of it.

        Args:
            told: the answer.
            what: what was done.
            codes: what the refusal is to be. Where a requirement names one of them, no other will do; else another of
                the closed list is only noted.
            early: whether a node may have refused it by itself, which needs no code.
        """
        if told.ok:
            self.fail(f"{what}: it was taken")
        if told.trapped:
            self.fail(f"{what}: the method trapped: {told.text[:200]}")
        if told.early:
            self.check(early, f"{what}: a node refused it by itself: {told.text[:200]}")
            return "refused before any execution"
        allowed = codes if NAMED_CODES & set(codes) else CODES
        self.check(told.code in allowed, f"{what}: refused with {told.text[:200]!r}")
        if codes and told.code not in codes:
            self.log.note(f"{what}: refused with {told.code}, where {' or '.join(codes)} would tell more")
        return told.code

    async def send(self, peer: Peer, data: bytes, **changes: Any) -> Told:
        """Send a message that must be taken."""
        told = await peer.say(data, **changes)
        self.ok(told, f"a message of {len(data)} bytes")
        return told

    async def said_detached(self, peer: Peer, data: bytes) -> bool:
        """Send a message of a detached session; whether the canister takes it, which it may refuse as ``Detached``."""
        told = await peer.say(data)
        if told.code == "Detached":
            peer.next -= 1
            return False
        self.ok(told, "a message of a detached session")
        await self.executed(peer, told, peer.next - 1)
        return True

    async def obeyed(self, peer: Peer, *words: str) -> str:
        """Have the application do something that it answers; gives the answer."""
        command = COMMAND + " ".join(words).encode()
        told = await self.send(peer, command)
        await self.executed(peer, told, peer.next - 1)
        found = [m for m in await peer.mine() if m.seq > 0 and m.content.startswith(COMMAND + words[0].encode())]
        self.check(found, f"the application did not answer {words[0]}")
        return found[-1].content.removeprefix(COMMAND + words[0].encode() + b" ").decode()

    async def executed(self, peer: Peer, told: Told, seq: int) -> None:
        """Wait until a handler has run: it may run after the answer, but not much later.

        Raises:
            Failed: it does not run.
        """
        if told.status is not None and told.status.executed >= seq:
            return
        for _ in range(40):
            head = await peer.head()
            if head is not None and head["executed_through"] >= seq:
                return
            await asyncio.sleep(0.1)
        self.fail(f"message {seq} is not executed")

    def in_order(self, messages: list[Message], first: int = 1) -> None:
        """Check numbers and times of a stream."""
        numbers = [message.seq for message in messages]
        self.check(numbers == list(range(first, first + len(numbers))), f"the numbers are {numbers[:60]}")
        times = [int(message.fields["timestamp"]) for message in messages]
        self.check(times == sorted(times), "a timestamp is below the one before")
        self.check(
            all(int(m.fields["timestamp"]) <= m.certified_ns for m in messages), "a timestamp is after its certificate"
        )


@dataclass(frozen=True, slots=True)
class _Listed:
    id: str
    title: str
    requirements: tuple[str, ...]
    expected: str
    gain: str
    profile: str
    moves: bool
    limit_s: float
    play: Play


_LIST: list[_Listed] = []


def play(
    name: str,
    title: str,
    requirements: str,
    expected: str,
    *,
    gain: str = "",
    profile: str = "secure",
    moves: bool = False,
    limit_s: float = 120,
) -> Callable[[Play], Play]:
    """Put a case on the list.

    Args:
        name: its id.
        title: what is done.
        requirements: without ``ICWS-``; the first is the one that it is meant for.
        expected: what a canister does that holds to them.
        gain: what an attacker has of a failure.
        profile: ``secure``, ``omnia`` or ``both``: what the canister must serve for it.
        moves: whether the replica's clock is moved or its state changed, so that the case must run alone.
        limit_s: seconds.
    """

    def put(run: Play) -> Play:
        ids = tuple(f"ICWS-{entry}" for entry in requirements.split())
        _LIST.append(_Listed(name, title, ids, expected, gain, profile, moves, limit_s, run))
        return run

    return put


def listed(tested: CanisterUnderTest | None) -> list[Case]:
    """The cases that were put on the list: those that run side by side, then those that run alone."""
    return [
        Case(
            id=entry.id,
            title=entry.title,
            requirements=entry.requirements,
            expected=entry.expected,
            run=partial(_run, tested, entry),
            limit_s=entry.limit_s + (_WAIT_S if entry.moves else 0),
            gain=entry.gain,
        )
        for entry in sorted(_LIST, key=lambda each: each.moves)
    ]


async def _run(tested: CanisterUnderTest | None, entry: _Listed, log: WireLog) -> Finding:
    if tested is None:
        raise Inconclusive("the case was listed only")
    if entry.profile in ("secure", "both") and not tested.secure:
        raise NotApplicable("the canister does not serve icws-secure/1")
    if entry.profile in ("omnia", "both") and not tested.omnia:
        raise NotApplicable("the canister does not serve omnia/1")
    async with tested.clock.moved() if entry.moves else tested.clock.left_alone():
        return await entry.play(Stage(tested, log))


async def detect(tested: CanisterUnderTest) -> None:
    """Learn from the canister which profiles it serves, and what its application obeys.

    Raises:
        TransportError: it serves none, or answers what cannot be read.
    """
    stage = Stage(tested, WireLog())
    peer, old = stage.peer(), stage.peer()
    try:
        told = await peer.register()
        tested.secure = told.ok and peer.parameters.get("profile") == "icws-secure/1"
        tested.omnia = (await old.open_omnia()).ok
        if not tested.secure and not tested.omnia:
            raise TransportError(f"{peer.canister} serves neither profile; ws_register: {told}")
        talking = await peer.ready() if tested.secure else old
        await _ask_for_commands(tested, talking)
    except (Failed, Inconclusive) as error:
        raise TransportError(f"{peer.canister} cannot be tested: {error}") from error


async def _ask_for_commands(tested: CanisterUnderTest, peer: Peer) -> None:
    if not (await peer.say(COMMAND + b"features")).ok:
        return
    said = [message.content for message in await peer.mine() if message.seq > 0]
    answers = [content for content in said if content.startswith(COMMAND + b"features ")]
    if answers:
        tested.commands = frozenset(answers[-1].decode("ascii", "replace").split()[1:])
