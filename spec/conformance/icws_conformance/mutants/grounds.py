"""Where mutants are hunted: the targets of the suite, each with its cases, played on this project's broken code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from icws_conformance.canisters.cases import canister_cases
from icws_conformance.canisters.stage import detect
from icws_conformance.canisters.tested import launched
from icws_conformance.case import Case
from icws_conformance.clients.cases import client_cases
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.world import World, open_world
from icws_conformance.gateways.cases import gateway_cases
from icws_conformance.gateways.target import OWN_GATEWAY, GatewayOptions, open_target
from icws_conformance.gateways.under_test import FEATURES, GatewayUnderTest
from icws_conformance.resources import data_path
from icws_conformance.runner import run_cases
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import Vector, read_vectors
from icws_conformance.verdict import Verdict
from icws_secure.errors import MisuseError, Reason, TransportError

__all__ = ["GROUNDS", "UNBROKEN", "Ground", "Grounds", "listed_cases"]

UNBROKEN: Final = ""
"""In place of a mutant's name: the code as it is."""

# no place: cases are listed, and none is played
_NOWHERE: Final = cast(World, None)


class Grounds(contextlib.AsyncExitStack):
    """The world that the hunts of one process share; it is built when it is first needed.

    Args:
        more: files of vectors beside the published ones.
    """

    def __init__(self, more: Sequence[Path] = ()) -> None:
        super().__init__()
        self.more = tuple(more)
        self._world: World | None = None
        self._sound: set[str] = set()

    async def world(self) -> World:
        """The local IC, canisters and honest gateways."""
        if self._world is None:
            self._world = await self.enter_async_context(open_world())
        return self._world

    async def play(self, mutant: str, target: str, names: Sequence[str]) -> str:
        """Play cases of one target on a mutant; return the first of them that fails, empty where none does."""
        return await GROUNDS[target](self, mutant, frozenset(names))

    async def demand_sound(self, target: str, name: str) -> None:
        """See that a case passes where nothing is broken: else its failing says nothing about a mutant.

        Raises:
            MisuseError: it fails there too.
        """
        if f"{target}:{name}" in self._sound:
            return
        if await self.play(UNBROKEN, target, (name,)):
            raise MisuseError(
                "the case fails where nothing is broken", reason=Reason.INVALID_ARGUMENT, case=f"{target}:{name}"
            )
        self._sound.add(f"{target}:{name}")


Ground = Callable[[Grounds, str, frozenset[str]], Awaitable[str]]
"""(shared world, mutant, names of cases) -> the first case that fails, or an empty string."""


@cache
def listed_cases(more: tuple[Path, ...] = ()) -> Mapping[str, tuple[str, ...]]:
    """The requirements of every case of every target, by ``target:case``; nothing is played.

    Args:
        more: files of vectors beside the published ones.
    """
    drivers = Drivers(())
    cases: dict[str, Sequence[Case]] = {
        "vectors": VectorTarget(()).cases(_vectors(more)),
        "client": client_cases(_NOWHERE, drivers),
        "gateway": gateway_cases(GatewayUnderTest("", _NOWHERE)),
        "canister": canister_cases(None),
    }
    return MappingProxyType(
        {f"{target}:{case.id}": case.requirements for target, listed in cases.items() for case in listed}
    )


@cache
def _vectors(more: tuple[Path, ...]) -> tuple[Vector, ...]:
    paths = [*sorted(data_path("vectors").glob("*.json")), *more]
    return tuple(vector for path in paths for vector in read_vectors(path))


async def _hunt_by_vectors(grounds: Grounds, mutant: str, names: frozenset[str]) -> str:
    async with VectorTarget(_command(mutant, "icws_conformance.drivers.library"), strict=True) as target:
        return await _first_failing(target.cases(_vectors(grounds.more)), names, at_once=1)


async def _hunt_clients(grounds: Grounds, mutant: str, names: frozenset[str]) -> str:
    world = await grounds.world()
    async with Drivers(_command(mutant, "icws_conformance.drivers.icws_client")) as drivers:
        cases = client_cases(world, drivers)
        return await _first_failing(cases, names, at_once=4)


async def _hunt_gateways(grounds: Grounds, mutant: str, names: frozenset[str]) -> str:
    world = await grounds.world()
    words = [*_command(mutant, OWN_GATEWAY[0]), *OWN_GATEWAY[1:]]
    async with open_target(world, GatewayOptions(words, features=tuple(FEATURES))) as tested:
        return await _first_failing(gateway_cases(tested), names, at_once=1)


async def _hunt_canisters(grounds: Grounds, mutant: str, names: frozenset[str]) -> str:
    del grounds  # a mutant runs in a replica of its own
    async with launched(_command(mutant, "icws_conformance.drivers.canister")) as tested:
        try:
            await detect(tested)
        except TransportError:
            tested.secure = tested.omnia = True  # it is this project's own, and broken: the case says in what
        return await _first_failing(canister_cases(tested), names, at_once=6)


GROUNDS: Final[Mapping[str, Ground]] = MappingProxyType(
    {
        "vectors": _hunt_by_vectors,
        "canister": _hunt_canisters,
        "client": _hunt_clients,
        "gateway": _hunt_gateways,
    }
)
"""The targets, in the order in which a mutant is given to them: the quick ones first."""


def _command(mutant: str, module: str) -> list[str]:
    if mutant == UNBROKEN:
        return [sys.executable, "-m", module]
    return [sys.executable, "-m", "icws_conformance.mutants", mutant, module]


async def _first_failing(cases: Sequence[Case], names: frozenset[str], at_once: int) -> str:
    """The first of the named cases that fails. What could not be decided has caught nothing."""
    chosen = [case for case in cases if case.id in names]
    run = await run_cases(chosen, target="mutant", implementation="mutant", command="", at_once=at_once)
    return next((result.case for result in run.results if result.verdict is Verdict.FAIL), "")
