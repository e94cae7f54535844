"""Hand-made mutants of gateways."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

_NOT_YET: Final = "no case has been seen to catch a mutant of it yet"

MUTANTS: Final[tuple[Mutant, ...]] = ()

EXCEPTIONS: Final[dict[str, str]] = {
    "ICWS-GWY-001": _NOT_YET,
    "ICWS-GWY-002": _NOT_YET,
    "ICWS-GWY-003": _NOT_YET,
    "ICWS-GWY-004": _NOT_YET,
    "ICWS-GWY-005": _NOT_YET,
    "ICWS-GWY-006": _NOT_YET,
    "ICWS-GWY-007": _NOT_YET,
    "ICWS-GWY-008": _NOT_YET,
    "ICWS-GWY-009": _NOT_YET,
    "ICWS-GWY-010": _NOT_YET,
    "ICWS-GWY-011": _NOT_YET,
    "ICWS-GWY-012": _NOT_YET,
    "ICWS-GWY-013": _NOT_YET,
    "ICWS-GWY-014": _NOT_YET,
    "ICWS-GWY-015": _NOT_YET,
    "ICWS-GWY-016": _NOT_YET,
    "ICWS-GWY-018": _NOT_YET,
    "ICWS-GWY-019": _NOT_YET,
    "ICWS-GWY-020": _NOT_YET,
    "ICWS-GWY-021": _NOT_YET,
    "ICWS-GWY-022": _NOT_YET,
}
