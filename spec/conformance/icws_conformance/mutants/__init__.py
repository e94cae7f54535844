"""Mutants: this project's own code, broken in one way, to show that a case notices.

Every check in the code stands below the requirement that it enforces. The automatic mutant of a requirement is made
from that: wherever it is cited above an ``if`` that raises or returns a refusal, or is named by the error that is
raised, the condition becomes false; a call that only checks is left out. Hand-made mutants replace some source of a
module: for rules that are the way in which something is computed, and for checks that stand behind one another.
"""

from icws_conformance.mutants.mutant import Mutant, Patch
from icws_conformance.mutants.registry import mutant, mutants
from icws_conformance.mutants.rewrite import Site, install, mutable_sites

__all__ = ["Mutant", "Patch", "Site", "install", "mutable_sites", "mutant", "mutants"]
