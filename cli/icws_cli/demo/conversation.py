"""The first act: people in a chat room, whose gateway is killed in the middle of what they say."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from icws_cli.demo.gateways import GatewayProcess
from icws_cli.demo.show import Show
from icws_cli.demo.stage import Stage
from icws_client import Connection
from icws_client.identities import generate
from icws_secure.errors import IcwsError
from icws_secure.session.client import Attached, Event, GatewayLost, Message
from icws_secure.sign import Identity

__all__ = ["Line", "Person", "converse", "is_whole"]

LIMIT_S: Final = 12.0
NAMES: Final = ("Ada", "Ben", "Cleo")
GREETINGS: Final = (
    ("Ada", "Is anybody here?"),
    ("Ben", "I am."),
    ("Cleo", "So am I. Who carries our words?"),
)
HURRIED: Final = {
    "Ada": ("Nobody whom we need to trust.", "Watch what happens now.", "There. Did you miss anything?"),
    "Ben": ("The account number ends in 42.", "I say it again:", "42."),
    "Cleo": ("I am writing it down.", "Please go on.", "Not a word."),
}
SAID: Final = len(GREETINGS) + sum(map(len, HURRIED.values()))


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
        attached: every attachment, in order.
        lost: every gateway lost, in order.
    """

    name: str
    identity: Identity = field(default_factory=generate)
    lines: list[Line] = field(default_factory=list)
    executed: int = 0
    attached: list[Attached] = field(default_factory=list)
    lost: list[GatewayLost] = field(default_factory=list)
    _carrier: dict[int, str] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def on_event(self, event: Event) -> None:
        """Take note of an event of the client."""
        match event:
            case Attached():
                self.attached.append(event)
            case GatewayLost():
                self.lost.append(event)
            case Message(seq=seq):
                self._carrier[seq] = self.attached[-1].gateway.to_text()

    async def say(self, ws: Connection[bytes], *texts: str) -> None:
        """Say one after the other, each once it is proven that the canister has executed the one before."""
        for text in texts:
            await ws.send(json.dumps({"text": text}).encode())
            self.executed += 1

    async def listen(self, ws: Connection[bytes], names: Mapping[str, str]) -> None:
        """Hear lines until cancelled. ``names`` are those of people and of gateways, by principal."""
        while True:
            message = await ws.recv_message()
            said: dict[str, Any] = json.loads(message.data)
            text = said["text"]
            for principal, name in names.items():
                text = text.replace(principal, name)
            gateway = names.get(self._carrier.pop(message.seq), "?")
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
    gateways = [first.url, second.url]
    try:
        async with asyncio.timeout(LIMIT_S), contextlib.AsyncExitStack() as stack:
            sockets = {}
            for person in people:
                connecting = stage.connect(gateways, stage.chat, identity=person.identity, on_event=person.on_event)
                sockets[person.name] = await stack.enter_async_context(connecting)
            _show_opening(people, sockets, show)
            async with asyncio.TaskGroup() as group:
                listeners = [group.create_task(person.listen(sockets[person.name], names)) for person in people]
                await _greet(people, sockets, show)
                await _hurry(people, sockets, first, show)
                for listener in listeners:
                    listener.cancel()
    except (IcwsError, ExceptionGroup, TimeoutError) as error:
        show.failed(f"The conversation broke off: {str(error) or 'it took too long'}")
        return False
    whole = is_whole(people)
    if whole:
        show.verified(f"all heard all {len(people[0].lines)} lines, once, in order", "ICWS-CLT-070")
        show.verified("every line said is proven executed", "ICWS-CLT-041")
    else:
        show.failed("Somebody missed a line, or heard one twice.")
    return whole


def _show_opening(people: list[Person], sockets: Mapping[str, Connection[bytes]], show: Show) -> None:
    show.step("Each client registers at the canister, by direct call: no gateway sees it")
    for person in people:
        key = sockets[person.name].session_principal
        show.fact(person.name, f"owner {show.short(person.identity.principal)}, session key {show.short(key)}")
    show.verified("signed by the canister's subnet", "ICWS-LIB-010")
    show.verified("subnet's key certified by the pinned root key", "ICWS-LIB-012")
    show.verified("this canister is in that subnet's ranges", "ICWS-LIB-013")
    show.verified("it answers this very request", "ICWS-CLT-002")
    parameters = sockets[people[0].name].parameters
    if parameters is not None:
        show.verified(f"and promises {parameters.profile}", "ICWS-CLT-005")
    show.step("Each client attaches through gateway A, by a call that its session key signs")
    for person in people:
        attached = person.attached[-1]
        show.fact(person.name, f"attach {attached.attach} at gateway {show.short(attached.gateway)}")
    show.verified("certified answer names session, gateway, attach", "ICWS-CLT-015")
    show.verified("the canister read the bytes that were signed", "ICWS-CLT-016")


async def _greet(people: list[Person], sockets: Mapping[str, Connection[bytes]], show: Show) -> None:
    """One line at a time; those that the room says of each newcomer come before."""
    by_name = {person.name: person for person in people}
    show.step("They talk")
    for count, (name, text) in enumerate(GREETINGS, len(people) + 1):
        await by_name[name].say(sockets[name], text)
        for person in people:
            await person.heard(count)
    for line in people[0].lines:
        show.line(line.number, line.gateway, line.speaker, line.text)
    show.verified("before anybody sees a line: fresh certificate", "ICWS-CLT-022")
    show.verified("its tree is what this canister certified", "ICWS-CLT-023")
    show.verified("content found there, at exactly its own key", "ICWS-CLT-024", "ICWS-CLT-025")
    show.verified("meant for this gateway and this client", "ICWS-CLT-026", "ICWS-CLT-028")
    show.verified("the next number, and no older time", "ICWS-CLT-029", "ICWS-CLT-030")
    show.verified("to each speaker: a certified receipt, executed", "ICWS-CLT-040", "ICWS-CLT-041")


async def _hurry(
    people: list[Person], sockets: Mapping[str, Connection[bytes]], gateway: GatewayProcess, show: Show
) -> None:
    """All talk at once, and the gateway dies as soon as the first word is heard."""
    show.step("Gateway A is killed while all talk at once")
    before = len(people[0].lines)
    async with asyncio.TaskGroup() as group:
        for person in people:
            group.create_task(person.say(sockets[person.name], *HURRIED[person.name]))
        await people[0].heard(before + 1)
        await gateway.kill()
    for person in people:
        await person.heard(len(people) + SAID)
    show.fact("gateway A", f"process {gateway.process.pid} is dead (exit status {gateway.process.returncode})")
    for person in people:
        news = "; ".join(str(lost.error.reason) for lost in person.lost)
        show.fact(person.name, f"{news}; attach {person.attached[-1].attach} at gateway B")
    for line in people[-1].lines[before:]:
        show.line(line.number, line.gateway, line.speaker, line.text)


def is_whole(people: list[Person]) -> bool:
    """Whether everybody heard every line of the room exactly once and in order, everybody the same; whether all that
    was said is proven; and whether the end of it came through another gateway than the beginning."""
    rooms = {tuple((line.number, line.speaker, line.text) for line in person.lines) for person in people}
    if len(rooms) != 1:
        return False
    (room,) = rooms
    in_order = [number for number, _, _ in room] == list(range(1, len(people) + SAID + 1))
    moved = all((person.lines[0].gateway, person.lines[-1].gateway) == ("A", "B") for person in people)
    return in_order and moved and sum(person.executed for person in people) == SAID
