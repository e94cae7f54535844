"""What verdicts look like in the HTML report, and where a case is found in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from icws_conformance.case import Result
from icws_conformance.verdict import Verdict

__all__ = ["MARKS", "WORST", "anchor", "badge", "css_class", "worst"]

MARKS: Final = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.NOT_APPLICABLE: "·",
    Verdict.INCONCLUSIVE: "?",
    Verdict.EXPECTED_FAILURE: "✗!",
    Verdict.UNEXPECTED_PASS: "✓!",
}
WORST: Final = (
    Verdict.FAIL,
    Verdict.UNEXPECTED_PASS,
    Verdict.INCONCLUSIVE,
    Verdict.EXPECTED_FAILURE,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
"""The verdicts, the worst first."""


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of some verdicts, at least one."""
    return min(verdicts, key=WORST.index)


def css_class(verdict: Verdict) -> str:
    """The class of what has this verdict."""
    return verdict.value.replace(" ", "-")


def badge(verdict: Verdict, words: str = "") -> str:
    """The verdict, in its colour."""
    return (
        f'<span class="badge {css_class(verdict)}"><i aria-hidden=true>{MARKS[verdict]}</i> {words or verdict}</span>'
    )


def anchor(run: int, result: Result) -> str:
    """The name by which a case of a run is linked to."""
    name = "".join(char if char.isalnum() or char in "._-" else "-" for char in result.case)
    return f"case-{run}-{name}"
