"""A scriptable man in the middle: what any gateway could do, on purpose.

:class:`HostileGateway` listens like a gateway and relays to a real one; an :class:`Attack` sees every frame of both
directions and decides what is passed on, changed, kept, repeated or invented. :class:`HostileBoundary` does the same
between a client and the IC. Tests, the demo and the conformance suite share them.
"""

from icws_conformance.hostile.attack import Attack, PassThrough
from icws_conformance.hostile.boundary import HostileBoundary
from icws_conformance.hostile.catalogue import CATALOGUE, NODE_CATALOGUE, AttackEntry, NodeEntry
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import HostileGateway, Wire

__all__ = [
    "CATALOGUE",
    "NODE_CATALOGUE",
    "Attack",
    "AttackEntry",
    "Forge",
    "HostileBoundary",
    "HostileGateway",
    "NodeEntry",
    "PassThrough",
    "Subnet",
    "Wire",
]
