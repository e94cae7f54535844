"""Hunts mutants: each is given to the cases of its requirement, and at least one of them has to fail."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from icws_conformance.case import Case
from icws_conformance.clients.attacks import attack_cases
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.manners import manner_cases
from icws_conformance.clients.world import World, open_world
from icws_conformance.gateways.cases import GatewayUnderTest, gateway_cases
from icws_conformance.gateways.process import started
from icws_conformance.hostile.boundary import HostileBoundary
from icws_conformance.mutants.rewrite import mutable_sites
from icws_conformance.requirements import requirements
from icws_conformance.runner import run_cases
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import Vector
from icws_conformance.verdict import Verdict
from icws_secure.errors import IcwsError

__all__ = ["Catch", "hunt"]

_GATEWAY_MODULE = "icws_conformance.drivers.gateway"


@dataclass(frozen=True, slots=True)
class Catch:
    """What became of a requirement's mutant.

    Attributes:
        requirement: whose checks were taken out.
        state: ``caught``, ``survived``, ``no case`` or ``no mutant``.
        by: the case that caught it, or why there is none.
    """

    requirement: str
    state: str
    by: str


async def hunt(names: Sequence[str], vectors: Sequence[Vector], progress: Callable[[Catch], None]) -> list[Catch]:
    """Hunt the mutants of these requirements.

    Args:
        names: requirements.
        vectors: which the library's mutants are played.
        progress: told of each.
    """
    found = []
    async with open_world() as world:
        for name in names:
            catch = await _hunt_one(name, vectors, world)
            progress(catch)
            found.append(catch)
    return found


async def _hunt_one(name: str, vectors: Sequence[Vector], world: World) -> Catch:
    sites = [site for site in mutable_sites() if site.requirement == name]
    if not any(site.kind in ("check", "call") for site in sites):
        where = ", ".join(f"{site.path.name}:{site.line}" for site in sites) or "no module that mutants are made of"
        return Catch(name, "no mutant", f"the rule is built into how things are computed, and is no check: {where}")
    command = [sys.executable, "-m", "icws_conformance.mutants", name]
    caught, tried = "", 0
    chosen = [vector for vector in vectors if name in vector.requirements]
    if chosen:
        async with VectorTarget([*command, "icws_conformance.drivers.library"]) as target:
            caught, count = await _failing(target.cases(chosen), 1)
            tried += count
    if not caught:
        async with Drivers([*command, "icws_conformance.drivers.icws_client"]) as drivers:
            cases = [*attack_cases(world, drivers), *manner_cases(world, drivers)]
            caught, count = await _failing([case for case in cases if name in case.requirements], 4)
            tried += count
    if not caught and requirements()[name].role in ("gateway", "library"):
        caught, count = await _failing_gateway(name, command, world)
        tried += count
    if caught:
        return Catch(name, "caught", caught)
    return Catch(name, "survived", f"{tried} cases passed") if tried else Catch(name, "no case", "no case tests it")


async def _failing(cases: Sequence[Case], at_once: int) -> tuple[str, int]:
    """The first case that fails, and how many there were."""
    if not cases:
        return "", 0
    run = await run_cases(cases, target="mutant", implementation="mutant", command="", at_once=at_once)
    return next((result.case for result in run.results if result.verdict is Verdict.FAIL), ""), len(cases)


async def _failing_gateway(name: str, command: Sequence[str], world: World) -> tuple[str, int]:
    tested = GatewayUnderTest("", world)
    cases = [case for case in gateway_cases(tested) if name in case.requirements]
    if not cases:
        return "", 0
    with tempfile.TemporaryDirectory(prefix="icws-conformance-") as folder:
        words = [*command, _GATEWAY_MODULE, "--ic-url", "{ic_url}", "--listen", "{listen}"]
        async with HostileBoundary(world.ic_url, tested.http) as ic:
            try:
                async with started([*words, "--identity", f"{folder}/gateway.pem"], ic.url) as tested.url:
                    return await _failing(cases, 1)
            except (TimeoutError, IcwsError) as error:
                return f"it did not even start: {error}", len(cases)
