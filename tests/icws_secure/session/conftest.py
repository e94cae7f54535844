"""The world that sessions are tested in: an IC, gateways and client machines, in one thread."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .gateways import Gateway
from .ic import Ic, Trap
from .subnets import CANISTER, OTHER_SUBNET, ROOT, ROOT_KEY, START_NS, SUBNET, Signer, delegation_for
from .world import World


@dataclass(frozen=True)
class Kit:
    """The names above, for tests that cannot import this file."""

    World = World
    Ic = Ic
    Gateway = Gateway
    Trap = Trap
    Signer = Signer
    ROOT = ROOT
    ROOT_KEY = ROOT_KEY
    SUBNET = SUBNET
    OTHER_SUBNET = OTHER_SUBNET
    CANISTER = CANISTER
    START_NS = START_NS
    delegation_for = staticmethod(delegation_for)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture
def world() -> World:
    """One gateway, a secure session, attached."""
    return World().attached()
