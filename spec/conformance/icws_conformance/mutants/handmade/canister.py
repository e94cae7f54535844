"""Hand-made mutants of canisters."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

_NOT_YET: Final = "no case has been seen to catch a mutant of it yet"

MUTANTS: Final[tuple[Mutant, ...]] = ()

EXCEPTIONS: Final[dict[str, str]] = {
    "ICWS-CAN-001": _NOT_YET,
    "ICWS-CAN-002": _NOT_YET,
    "ICWS-CAN-003": _NOT_YET,
    "ICWS-CAN-004": _NOT_YET,
    "ICWS-CAN-005": _NOT_YET,
    "ICWS-CAN-006": _NOT_YET,
    "ICWS-CAN-007": _NOT_YET,
    "ICWS-CAN-008": _NOT_YET,
    "ICWS-CAN-009": _NOT_YET,
    "ICWS-CAN-010": _NOT_YET,
    "ICWS-CAN-011": _NOT_YET,
    "ICWS-CAN-012": _NOT_YET,
    "ICWS-CAN-013": _NOT_YET,
    "ICWS-CAN-014": _NOT_YET,
    "ICWS-CAN-015": _NOT_YET,
    "ICWS-CAN-016": _NOT_YET,
    "ICWS-CAN-020": _NOT_YET,
    "ICWS-CAN-021": _NOT_YET,
    "ICWS-CAN-022": _NOT_YET,
    "ICWS-CAN-023": _NOT_YET,
    "ICWS-CAN-024": _NOT_YET,
    "ICWS-CAN-025": _NOT_YET,
    "ICWS-CAN-026": _NOT_YET,
    "ICWS-CAN-027": _NOT_YET,
    "ICWS-CAN-030": _NOT_YET,
    "ICWS-CAN-031": _NOT_YET,
    "ICWS-CAN-032": _NOT_YET,
    "ICWS-CAN-033": _NOT_YET,
    "ICWS-CAN-034": _NOT_YET,
    "ICWS-CAN-035": _NOT_YET,
    "ICWS-CAN-036": _NOT_YET,
    "ICWS-CAN-040": _NOT_YET,
    "ICWS-CAN-041": _NOT_YET,
    "ICWS-CAN-042": _NOT_YET,
    "ICWS-CAN-050": _NOT_YET,
    "ICWS-CAN-051": _NOT_YET,
    "ICWS-CAN-052": _NOT_YET,
    "ICWS-CAN-060": _NOT_YET,
    "ICWS-CAN-061": _NOT_YET,
    "ICWS-CAN-062": _NOT_YET,
    "ICWS-CAN-063": _NOT_YET,
    "ICWS-CAN-064": _NOT_YET,
    "ICWS-CAN-065": _NOT_YET,
    "ICWS-CAN-066": _NOT_YET,
    "ICWS-CAN-070": _NOT_YET,
    "ICWS-CAN-071": _NOT_YET,
    "ICWS-CAN-072": _NOT_YET,
    "ICWS-CAN-073": _NOT_YET,
}
