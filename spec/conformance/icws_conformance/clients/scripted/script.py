"""What a scripted case is: a play with its name, and the requirements that it tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from icws_conformance.case import Case, Finding
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.scripted.stage import Play, Stage
from icws_conformance.clients.world import World
from icws_conformance.wirelog import WireLog

__all__ = ["Script", "cases_of", "script"]

_LIMIT_S = 45.0


@dataclass(frozen=True, slots=True)
class Script:
    """One scripted case.

    Attributes:
        name: what is typed after ``--case``.
        title: what happens, in a few words.
        requirements: ids; the first is the one that it is meant for.
        expected: what a client that holds to them does.
        play: does it.
    """

    name: str
    title: str
    requirements: tuple[str, ...]
    expected: str
    play: Play


def script(name: str, title: str, requirements: str, expected: str, play: Play) -> Script:
    """One scripted case; the requirements are numbers such as ``CLT-014 CLT-035``."""
    return Script(name, title, tuple(f"ICWS-{number}" for number in requirements.split()), expected, play)


def cases_of(scripts: Iterable[Script], world: World, drivers: Drivers) -> list[Case]:
    """The cases of scripts."""

    async def run(play: Play, log: WireLog) -> Finding:
        async with Stage(world, drivers, log).open() as stage:
            return await play(stage)

    return [
        Case(
            id=entry.name,
            title=entry.title,
            requirements=entry.requirements,
            expected=entry.expected,
            run=partial(run, entry.play),
            limit_s=_LIMIT_S,
        )
        for entry in scripts
    ]
