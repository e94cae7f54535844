"""Mutants: this project's own code with one requirement's checks taken out, to show that a case notices.

Every check in the code stands below the requirement that it enforces. A mutant is made from that: wherever a
requirement is cited above an ``if`` that raises or returns a refusal, or is named by the error that is raised, the
condition becomes false; a call that only checks is left out.
"""

from icws_conformance.mutants.rewrite import Site, install, mutable_sites

__all__ = ["Site", "install", "mutable_sites"]
