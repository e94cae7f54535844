"""The first act: people in a chat room, whose gateway is killed in the middle of what they say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from icws_cli.demo.gateways import GatewayProcess
from icws_cli.demo.show import Show
from icws_cli.demo.stage import Stage
from icws_client import Connection
from icws_client.identities import generate
from icws_secure.errors import IcwsError
from icws_secure.session.client import Attached, Event, GatewayLost, Registered
from icws_secure.sign import Identity

__all__ = ["Line", "Person", "converse", "is_whole"]

LIMIT_S: Final = 20.0
NAMES: Final = ("Ada", "Ben", "Cleo")
GREETINGS: Final = (("Ada", "Is anybody here?"), ("Ben", "I am."), ("Cleo", "So am I. Who carries all this?"))
HURRIED: Final = {
    "Ada": ("Nobody we need to trust.", "Watch this:", "somebody kills our gateway,"),
    "Ben": ("My pen has run dry.", "Wait, mine too.", "What was the number?"),
    "Cleo": ("Forty-two.", "I say it again:", "forty-two."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the room as one person was given it.

    Attributes:
        number: the room's number of it.
        speaker: who said it; empty for the room itself.
        text: what was said.
        gateway: through which gateway it came.
    """

    number: int
    speaker: str
    text: str
    gateway: str


@dataclass
class Person:
    """Somebody with a key of their own.

    Attributes:
        name: what the others call them.
        identity: the owner's identity.
        lines: what they heard, in order.
        executed: how many of their own lines are proven executed.
        registered: the certified registration.
        attached: every attachment, in order.
        lost: every gateway lost, in order.
    """

    name: str
    identity: Identity = field(default_factory=generate)
    lines: list[Line] = field(default_factory=list)
    executed: int = 0
    registered: Registered | None = None
    attached: list[Attached] = field(default_factory=list)
    lost: list[GatewayLost] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: Event) -> None:
        """Take note of an event of the client."""
        match event:
            case Registered():
                self.registered = event
            case Attached():
                self.attached.append(event)
            case GatewayLost():
                self.lost.append(event)

    async def say(self, ws: Connection[bytes], *texts: str) -> None:
        """Say all at once, and wait for the proof that the canister has executed it."""
        async with asyncio.TaskGroup() as group:
            for text in texts:
                group.create_task(self._say(ws, text))

    async def _say(self, ws: Connection[bytes], text: str) -> None:
        await ws.send(json.dumps({"text": text}).encode())
        self.executed += 1

    async def listen(self, ws: Connection[bytes], names: dict[str, str]) -> None:
        """Hear lines until cancelled. ``names`` are those of owners and of gateways, by principal."""
        async for data in ws:
            said: dict[str, Any] = json.loads(data)
            gateway = names.get(ws.gateway.to_text(), "?") if ws.gateway is not None else "?"
            text = said["text"]
            for principal, name in names.items():
                text = text.replace(principal, name)
            self.lines.append(Line(said["number"], names.get(said.get("from", ""), ""), text, gateway))
            self._news.set()

    async def heard(self, number: int) -> None:
        """Wait until so many lines were heard."""
        while len(self.lines) < number:
            self._news.clear()
            await self._news.wait()


async def converse(stage: Stage, first: GatewayProcess, second: GatewayProcess, show: Show) -> bool:
    """Play the first act; return whether nobody missed anything."""
    people = [Person(name) for name in NAMES]
    names = {person.identity.principal.to_text(): person.name for person in people}
    names |= {first.principal: "A", second.principal: "B"}
    try:
        async with asyncio.timeout(LIMIT_S), contextlib.AsyncExitStack() as stack:
            sockets = {}
            for person in people:
                sockets[person.name] = await stack.enter_async_context(
                    stage.connect(
                        [first.url, second.url], stage.chat, identity=person.identity, on_event=person.on_event
                    )
                )
            _show_opening(people, sockets, show)
            listeners = [asyncio.create_task(person.listen(sockets[person.name], names)) for person in people]
            try:
                await _talk(people, sockets, first, show)
            finally:
                for listener in listeners:
                    listener.cancel()
                await asyncio.gather(*listeners, return_exceptions=True)
    except (IcwsError, ExceptionGroup, TimeoutError) as error:
        show.failed(f"The conversation broke off: {str(error) or type(error).__name__}")
        return False
    return _show_result(people, show)


def _show_opening(people: list[Person], sockets: dict[str, Connection[bytes]], show: Show) -> None:
    show.step("Each client registers at the canister, by direct call: no gateway sees it")
    for person in people:
        ws = sockets[person.name]
        show.fact(
            person.name,
            f"owner {show.short(person.identity.principal)}, session key {show.short(ws.session_principal)}",
        )
    parameters = sockets[people[0].name].parameters
    if parameters is not None:
        show.fact(
            "certified",
            f"profile {parameters.profile}, epoch {parameters.epoch}, acknowledgements every "
            f"{parameters.ack_interval_ns // 10**9} s",
        )
    show.verified("reply signed by the canister's subnet under the pinned root key", "ICWS-LIB-010", "ICWS-LIB-012")
    show.verified("subnet answers for this canister, reply is to her own request", "ICWS-LIB-013", "ICWS-CLT-002")
    show.step("Each client attaches through gateway A, with a call its session key signs")
    for person in people:
        attached = person.attached[-1]
        show.fact(person.name, f"attach {attached.attach}, gateway {show.short(attached.gateway)}")
    show.verified("certified answer names this gateway, session and attach", "ICWS-CLT-015")
    show.verified("canister read the very bytes that were signed", "ICWS-CLT-016")


async def _talk(
    people: list[Person], sockets: dict[str, Connection[bytes]], gateway: GatewayProcess, show: Show
) -> None:
    by_name = {person.name: person for person in people}
    show.step("They talk")
    arrivals = len(people)
    for count, (name, text) in enumerate(GREETINGS, 1):
        await by_name[name].say(sockets[name], text)
        for person in people:
            await person.heard(arrivals + count)
    for line in people[0].lines:
        show.line(line.number, line.gateway, line.speaker, line.text)
    show.verified("each line: certificate fresh and of this canister", "ICWS-CLT-022", "ICWS-CLT-023")
    show.verified("found at its own key, and the content's hash is the leaf", "ICWS-CLT-024", "ICWS-CLT-025")
    show.verified("own client key, the next number, no older time", "ICWS-CLT-028", "ICWS-CLT-029", "ICWS-CLT-030")
    show.verified("each speaker has a certified receipt: executed", "ICWS-CLT-040", "ICWS-CLT-041")

    show.step("Gateway A is killed while they talk")
    already = len(people[0].lines)
    talking = asyncio.gather(*(by_name[name].say(sockets[name], *texts) for name, texts in HURRIED.items()))
    await people[0].heard(already + 1)
    await gateway.kill()
    await talking
    total = already + sum(len(texts) for texts in HURRIED.values())
    for person in people:
        await person.heard(total)
    show.fact("killed", f"process {gateway.process.pid}, exit status {gateway.process.returncode}")
    for person in people:
        show.fact(
            person.name,
            f"{person.lost[0].error.reason}; attach {person.attached[-1].attach} through gateway B"
            if person.lost
            else "noticed nothing",
        )
    for line in people[-1].lines[already:]:
        show.line(line.number, line.gateway, line.speaker, line.text)


def _show_result(people: list[Person], show: Show) -> bool:
    whole = is_whole(people)
    lines = len(people[0].lines)
    if whole:
        show.verified(f"all {lines} lines heard by all, once, in order", "ICWS-CLT-070")
        show.verified("every line said is proven executed, once", "ICWS-CLT-042")
    else:
        show.failed("Somebody missed a line, or heard one twice.")
    return whole


def is_whole(people: list[Person]) -> bool:
    """Whether everybody heard every line of the room exactly once and in order, everybody the same, whether all that
    was said is proven, and whether nobody is on the first gateway any more."""
    rooms = {tuple((line.number, line.speaker, line.text) for line in person.lines) for person in people}
    if len(rooms) != 1:
        return False
    (room,) = rooms
    said = len(GREETINGS) + sum(len(texts) for texts in HURRIED.values())
    in_order = [number for number, _, _ in room] == list(range(1, len(people) + said + 1))
    moved = all(person.attached[-1].attach > 1 and person.lines[-1].gateway == "B" for person in people)
    return in_order and moved and sum(person.executed for person in people) == said
