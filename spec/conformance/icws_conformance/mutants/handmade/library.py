"""Hand-made mutants of the library."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

_NOT_YET: Final = "no case has been seen to catch a mutant of it yet"

MUTANTS: Final[tuple[Mutant, ...]] = ()

EXCEPTIONS: Final[dict[str, str]] = {
    "ICWS-LIB-001": _NOT_YET,
    "ICWS-LIB-002": _NOT_YET,
    "ICWS-LIB-003": _NOT_YET,
    "ICWS-LIB-004": _NOT_YET,
    "ICWS-LIB-005": _NOT_YET,
    "ICWS-LIB-006": _NOT_YET,
    "ICWS-LIB-007": _NOT_YET,
    "ICWS-LIB-008": _NOT_YET,
    "ICWS-LIB-009": _NOT_YET,
    "ICWS-LIB-010": _NOT_YET,
    "ICWS-LIB-011": _NOT_YET,
    "ICWS-LIB-012": _NOT_YET,
    "ICWS-LIB-013": _NOT_YET,
    "ICWS-LIB-014": _NOT_YET,
    "ICWS-LIB-015": _NOT_YET,
    "ICWS-LIB-016": _NOT_YET,
    "ICWS-LIB-017": _NOT_YET,
    "ICWS-LIB-018": _NOT_YET,
    "ICWS-LIB-019": _NOT_YET,
    "ICWS-LIB-020": _NOT_YET,
    "ICWS-LIB-021": _NOT_YET,
    "ICWS-LIB-022": _NOT_YET,
    "ICWS-LIB-023": _NOT_YET,
    "ICWS-LIB-024": _NOT_YET,
    "ICWS-LIB-025": _NOT_YET,
    "ICWS-LIB-026": _NOT_YET,
    "ICWS-LIB-027": _NOT_YET,
}
