"""All cases of the target ``client``."""

from __future__ import annotations

from icws_conformance.case import Case
from icws_conformance.clients.attacks import attack_cases
from icws_conformance.clients.deployed import deployed_cases
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.manners import manner_cases
from icws_conformance.clients.scripted.cases import scripted_cases
from icws_conformance.clients.world import World

__all__ = ["client_cases"]


def client_cases(world: World, drivers: Drivers) -> list[Case]:
    """Attacks, what a client does of itself, scripted cases, and what deployed clients do not check."""
    return [
        *attack_cases(world, drivers),
        *manner_cases(world, drivers),
        *scripted_cases(world, drivers),
        *deployed_cases(world, drivers),
    ]
