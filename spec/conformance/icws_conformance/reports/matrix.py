"""The matrix of the HTML report: requirements against runs, and where runs of one target differ."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from icws_conformance.case import Result
from icws_conformance.reports.marks import MARKS, anchor, css_class, worst
from icws_conformance.requirements import Requirement, requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict

__all__ = ["differences", "matrix", "requirement_text"]


_FITTING: Final = 6  # columns that a desktop's width has room for


def matrix(runs: Sequence[Run]) -> str:
    """Requirements by role, one column a run, the worst verdict of each; and which have no case in these runs."""
    tested = {name for run in runs for result in run.results for name in result.requirements}
    listed = [entry for entry in requirements().values() if entry.id in tested]
    head = "".join(
        f'<th scope=col><a href="#run-{number}">{escape(run.implementation)}</a> '
        f"<small>{escape(run.target)}</small></th>"
        for number, run in enumerate(runs)
    )
    roles = dict.fromkeys(entry.role for entry in listed)
    bodies = "".join(
        f"<tbody><tr class=role><th colspan={len(runs) + 1} scope=rowgroup>{role}</th></tr>"
        + "".join(_row(entry, runs) for entry in listed if entry.role == role)
        + "</tbody>"
        for role in roles
    )
    many = " many" if len(runs) > _FITTING else ""
    return (
        f"<section id=requirements><h2>Requirements</h2><p>{len(listed)} of {len(requirements())} requirements have a "
        f"case in these runs. Of several cases the worst verdict is shown, and how many there are; open a requirement "
        f'for its words.</p><div class="wide{many}"><table class=matrix style="--runs:{len(runs)}">'
        f"<thead><tr><th scope=col>requirement</th>{head}</tr></thead>"
        f"{bodies}</table></div>{_untested(tested)}</section>"
    )


def _row(entry: Requirement, runs: Sequence[Run]) -> str:
    cells, seen = [], []
    for number, run in enumerate(runs):
        found = [result for result in run.results if entry.id in result.requirements]
        if not found:
            cells.append("<td class=none><span title='no case'></span></td>")
            continue
        verdict = worst(result.verdict for result in found)
        seen.append(verdict)
        cells.append(_cell(number, verdict, found))
    return (
        f'<tr id={entry.id} class="verdict {css_class(worst(seen))}"><th scope=row><details><summary>'
        f"<span class=id>{entry.id}</span> {escape(entry.title)}</summary>{requirement_text(entry)}</details></th>"
        f"{''.join(cells)}</tr>"
    )


def _cell(number: int, verdict: Verdict, found: Sequence[Result]) -> str:
    first = next(result for result in found if result.verdict is verdict)
    words = f"{verdict}, {len(found)} case{'s' if len(found) > 1 else ''}"
    return (
        f'<td class="{css_class(verdict)}"><a href="#{anchor(number, first)}" title="{words}" aria-label="{words}">'
        f"<b>{MARKS[verdict]}</b><small>{len(found)}</small></a></td>"
    )


def requirement_text(entry: Requirement) -> str:
    """The words of a requirement: level, sentence, rationale, attack."""
    sentence = f"<blockquote>{escape(entry.sentence)}</blockquote>" if entry.sentence else ""
    why = f"<p><b>Why</b> {escape(entry.rationale)}</p>" if entry.rationale else ""
    attack = f"<p><b>Attack</b> {escape(entry.attack)}</p>" if entry.attack else ""
    return f"<div class=words><p class=small>{entry.level}, {entry.role}</p>{sentence}{why}{attack}</div>"


def _untested(tested: set[str]) -> str:
    missing = [entry for entry in requirements().values() if entry.id not in tested]
    if not missing:
        return ""
    items = "".join(f"<li><span class=id>{entry.id}</span> {escape(entry.title)}</li>" for entry in missing)
    head = f"<summary>{len(missing)} requirements without a case here</summary>"
    return f"<details class=untested>{head}<ul>{items}</ul></details>"


def differences(runs: Sequence[Run]) -> str:
    """Cases that runs of one target ended otherwise; empty where there are none."""
    rows = []
    for target in dict.fromkeys(run.target for run in runs):
        chosen = [(number, run) for number, run in enumerate(runs) if run.target == target]
        if len(chosen) > 1:
            rows += _differing(target, chosen)
    if not rows:
        return ""
    return (
        "<section id=differences><h2>Differences</h2><p>Cases that these implementations ended otherwise.</p>"
        f"<ul class=differences>{''.join(rows)}</ul></section>"
    )


def _differing(target: str, chosen: Sequence[tuple[int, Run]]) -> list[str]:
    by_case: dict[str, list[tuple[int, Run, Result]]] = {}
    for number, run in chosen:
        for result in run.results:
            by_case.setdefault(result.case, []).append((number, run, result))
    rows = []
    for entries in by_case.values():
        if len({result.verdict for _, _, result in entries}) < 2:
            continue
        title = escape(entries[0][2].title)
        links = "".join(
            f'<a class="badge {css_class(result.verdict)}" href="#{anchor(number, result)}">'
            f"<i aria-hidden=true>{MARKS[result.verdict]}</i> {escape(run.implementation)}: {result.verdict}</a> "
            for number, run, result in entries
        )
        rows.append(f"<li><p>{title} <small>{escape(target)}, {escape(entries[0][2].case)}</small></p>{links}</li>")
    return rows
