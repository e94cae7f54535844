"""Hunts mutants: each is given to the cases of its requirement, and at least one of them has to fail.

Several processes hunt at once, each in a world of its own. The case that is known to catch a mutant is played first,
and no other where it does.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from icws_conformance.mutants.grounds import listed_cases
from icws_conformance.mutants.handmade import EXCEPTIONS
from icws_conformance.mutants.mutant import Mutant
from icws_conformance.mutants.registry import mutants
from icws_conformance.requirements import Level, requirements
from icws_conformance.vectors.program import LineProgram
from icws_secure.errors import TransportError

__all__ = ["Catch", "cases_for", "faults", "hunt"]


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of a mutant.

    Attributes:
        mutant: its name.
        requirement: what it breaks.
        case: the case that caught it, as ``target:case``; empty where it survived.
        tried: how many cases it was given to.
        seconds: how long that took.
        trouble: why nothing could be decided; empty where something was.
    """

    mutant: str
    requirement: str
    case: str
    tried: int
    seconds: float
    trouble: str = ""

    @property
    def state(self) -> str:
        """``caught``, ``survived``, ``no case`` or ``trouble``."""
        if self.trouble:
            return "trouble"
        return "caught" if self.case else "survived" if self.tried else "no case"


def cases_for(mutant: Mutant, known: str = "", more: tuple[Path, ...] = ()) -> list[str]:
    """The cases that a mutant is given to: the one that is meant for it, or all of its requirement.

    Args:
        mutant: which.
        known: the case that caught it before, which is played first.
        more: files of vectors beside the published ones.
    """
    if mutant.case:
        return [mutant.case]
    found = [name for name, names in listed_cases(more).items() if mutant.requirement in names]
    return sorted(found, key=lambda name: name != known)


async def hunt(
    names: Sequence[str],
    progress: Callable[[Catch], None],
    *,
    known: Mapping[str, str] | None = None,
    more: Sequence[Path] = (),
    jobs: int = 2,
) -> list[Catch]:
    """Hunt mutants.

    Args:
        names: of the mutants.
        progress: told of each.
        known: the case that caught a mutant before, by mutant; it is played first.
        more: files of vectors beside the published ones.
        jobs: processes.

    Returns:
        What became of each, in the order of ``names``.
    """
    every, files = mutants(), tuple(more)
    left = [(name, cases_for(every[name], (known or {}).get(name, ""), files)) for name in reversed(names)]
    found: dict[str, Catch] = {}

    async def hunter() -> None:
        worker = LineProgram([sys.executable, "-m", "icws_conformance.mutants.worker", *map(str, files)])
        async with worker:
            while left:
                name, cases = left.pop()
                found[name] = await _hunted(worker, every[name], cases)
                progress(found[name])

    async with asyncio.TaskGroup() as group:
        for _ in range(min(jobs, len(names))):
            group.create_task(hunter())
    return [found[name] for name in names]


async def _hunted(worker: LineProgram, mutant: Mutant, cases: Sequence[str]) -> Catch:
    try:
        answer: dict[str, Any] = await worker.ask({"mutant": mutant.name, "cases": list(cases)})
    except TransportError as error:
        with contextlib.suppress(TransportError):
            await worker.stop()
            await worker.start()
        return Catch(mutant.name, mutant.requirement, "", len(cases), 0.0, str(error))
    return Catch(
        mutant.name,
        mutant.requirement,
        str(answer["case"]),
        len(cases),
        float(answer["seconds"]),
        str(answer.get("trouble", "")),
    )


def faults(caught: Sequence[Catch], names: Sequence[str]) -> list[str]:
    """What a hunt shows to be missing: a MUST that no case was seen to catch a mutant of, a hand-made mutant that its
    case does not catch, and exceptions that are none.

    Args:
        caught: what became of all mutants of the requirements.
        names: the requirements.
    """
    found = []
    held = {catch.requirement for catch in caught if catch.case}
    for name in names:
        if requirements()[name].level is Level.MUST and name not in held and name not in EXCEPTIONS:
            states = {catch.state for catch in caught if catch.requirement == name}
            found.append(f"{name}: {', '.join(sorted(states)) or 'no mutant'}")
        if name in held and name in EXCEPTIONS:
            found.append(f"{name}: is listed as an exception, and a mutant of it is caught")
    every = mutants()
    for catch in caught:
        if catch.state != "caught" and every[catch.mutant].is_handmade:
            found.append(f"{catch.mutant}: {catch.state}, though {every[catch.mutant].case} is meant to catch it")
    return found
