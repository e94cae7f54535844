"""All scripted cases."""

from __future__ import annotations

from typing import Final

from icws_conformance.case import Case
from icws_conformance.clients.driver import Drivers
from icws_conformance.clients.scripted import (
    acknowledging,
    direct,
    messages,
    opening,
    payload,
    registering,
    saved,
    sending,
    silence,
    state,
)
from icws_conformance.clients.scripted.script import cases_of
from icws_conformance.clients.world import World

__all__ = ["scripted_cases"]

_PARTS: Final = (registering, opening, messages, acknowledging, state, sending, silence, saved, payload, direct)


def scripted_cases(world: World, drivers: Drivers) -> list[Case]:
    """The cases of all modules."""
    return cases_of([entry for part in _PARTS for entry in part.SCRIPTS], world, drivers)
