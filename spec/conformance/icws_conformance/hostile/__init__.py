"""A scriptable man in the middle: what any gateway could do, on purpose.

:class:`HostileGateway` listens like a gateway and relays to a real one; an :class:`Attack` sees every frame of both
directions and decides what is passed on, changed, kept, repeated or invented. Tests, the demo and the conformance
suite share it.
"""

from icws_conformance.hostile.attack import Attack, PassThrough
from icws_conformance.hostile.catalogue import CATALOGUE, AttackEntry
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.proxy import HostileGateway, Wire

__all__ = ["CATALOGUE", "Attack", "AttackEntry", "Forge", "HostileGateway", "PassThrough", "Subnet", "Wire"]
