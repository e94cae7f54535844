"""All mutants: those that follow from the citations in the code, and those that somebody wrote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from icws_conformance.mutants.handmade import HANDMADE
from icws_conformance.mutants.mutant import Mutant
from icws_conformance.mutants.rewrite import mutable_sites

__all__ = ["mutant", "mutants"]


@cache
def mutants() -> Mapping[str, Mutant]:
    """All mutants by name, in the order of their requirements; the automatic one of a requirement comes first."""
    checked = sorted({site.requirement for site in mutable_sites() if site.kind != "built in"})
    every = [Mutant(name, name, "Makes none of the checks that cite the requirement.") for name in checked]
    every += HANDMADE
    return MappingProxyType({entry.name: entry for entry in sorted(every, key=lambda entry: entry.requirement)})


def mutant(name: str) -> Mutant:
    """The mutant of a name; for the name of a requirement its automatic one, which may change nothing."""
    return mutants().get(name) or Mutant(name, name, "Makes none of the checks that cite the requirement.")
