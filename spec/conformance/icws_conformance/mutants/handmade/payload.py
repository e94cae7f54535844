"""Hand-made mutants of payload protection."""

from __future__ import annotations

from typing import Final

from icws_conformance.mutants.mutant import Mutant

__all__ = ["EXCEPTIONS", "MUTANTS"]

_NOT_YET: Final = "no case has been seen to catch a mutant of it yet"

MUTANTS: Final[tuple[Mutant, ...]] = ()

EXCEPTIONS: Final[dict[str, str]] = {
    "ICWS-PAY-001": _NOT_YET,
    "ICWS-PAY-002": _NOT_YET,
    "ICWS-PAY-003": _NOT_YET,
    "ICWS-PAY-004": _NOT_YET,
    "ICWS-PAY-005": _NOT_YET,
    "ICWS-PAY-006": _NOT_YET,
    "ICWS-PAY-007": _NOT_YET,
    "ICWS-PAY-008": _NOT_YET,
    "ICWS-PAY-009": _NOT_YET,
    "ICWS-PAY-010": _NOT_YET,
    "ICWS-PAY-011": _NOT_YET,
    "ICWS-PAY-012": _NOT_YET,
    "ICWS-PAY-013": _NOT_YET,
    "ICWS-PAY-014": _NOT_YET,
    "ICWS-PAY-015": _NOT_YET,
}
