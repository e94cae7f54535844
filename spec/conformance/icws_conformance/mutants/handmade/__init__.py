"""Mutants that somebody wrote, by role: for rules that are no check but a way of computing, and for checks that stand
behind one another.

Each module has ``MUTANTS`` and ``EXCEPTIONS``. An exception is a requirement that no mutant shows, with the reason; a
test sees to it that there is no other, and that none is listed in vain.
"""

from icws_conformance.mutants.handmade import canister, client, gateway, library, payload

__all__ = ["EXCEPTIONS", "HANDMADE"]

_ROLES = (client, gateway, canister, library, payload)

HANDMADE = tuple(mutant for role in _ROLES for mutant in role.MUTANTS)
EXCEPTIONS = {name: reason for role in _ROLES for name, reason in role.EXCEPTIONS.items()}
