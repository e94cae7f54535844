"""Hand-made mutants of clients."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

_NOT_YET: Final = "no case has been seen to catch a mutant of it yet"

MUTANTS: Final[tuple[Mutant, ...]] = ()

EXCEPTIONS: Final[dict[str, str]] = {
    "ICWS-CLT-001": _NOT_YET,
    "ICWS-CLT-002": _NOT_YET,
    "ICWS-CLT-003": _NOT_YET,
    "ICWS-CLT-006": _NOT_YET,
    "ICWS-CLT-012": _NOT_YET,
    "ICWS-CLT-013": _NOT_YET,
    "ICWS-CLT-020": _NOT_YET,
    "ICWS-CLT-021": _NOT_YET,
    "ICWS-CLT-022": _NOT_YET,
    "ICWS-CLT-032": _NOT_YET,
    "ICWS-CLT-033": _NOT_YET,
    "ICWS-CLT-036": _NOT_YET,
    "ICWS-CLT-041": _NOT_YET,
    "ICWS-CLT-043": _NOT_YET,
    "ICWS-CLT-044": _NOT_YET,
    "ICWS-CLT-046": _NOT_YET,
    "ICWS-CLT-070": _NOT_YET,
    "ICWS-CLT-074": _NOT_YET,
}
