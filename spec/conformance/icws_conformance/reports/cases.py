"""The cases of the HTML report: what was expected and seen, and the wire log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final
from urllib.parse import quote

from icws_conformance.case import Result
from icws_conformance.reports.marks import MARKS, WORST, anchor, badge, css_class
from icws_conformance.reports.matrix import requirement_text
from icws_conformance.reports.wire import wire_log
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict

__all__ = ["run_section"]

_OPEN: Final = (Verdict.FAIL, Verdict.UNEXPECTED_PASS)


def run_section(number: int, run: Run, record: str = "") -> str:
    """All cases of a run, in groups, in each the worst first.

    Args:
        number: of the run on the page.
        run: the run.
        record: where its JSON report is, from the page; empty if it is nowhere.
    """
    groups: dict[str, list[Result]] = {}
    for result in run.results:
        groups.setdefault(_group(result.case), []).append(result)
    body = "".join(_group_section(number, name, results) for name, results in groups.items())
    name = escape(record.rpartition("/")[2])
    where = f'; all that was written down is in <a href="{escape(quote(record))}">{name}</a>' if record else ""
    return (
        f'<section class=run id="run-{number}"><h2>{escape(run.implementation)}: {escape(run.target)}</h2>'
        f"<p>All of it: <code class=command>{escape(run.command)}</code></p>"
        f"<p class=small>Long documents are cut in the wire logs{where}.</p>{body}</section>"
    )


def _group(case: str) -> str:
    """What a case belongs to: the profile of a client's case, the file of a vector."""
    head, slash, _ = case.partition("/")
    if slash:
        return head
    file, dash, name = case.rpartition("-")
    if dash and name.isdigit():
        return file.replace("_", " ")
    file, colon, _ = case.partition(": ")
    return file.replace("_", " ") if colon else ""


def _group_section(number: int, name: str, results: Sequence[Result]) -> str:
    order = {verdict: place for place, verdict in enumerate(WORST)}
    cases = "".join(_case(number, result) for result in sorted(results, key=lambda result: order[result.verdict]))
    if not name:
        return cases
    counted = Counter(result.verdict for result in results)
    counts = " ".join(badge(verdict, str(counted[verdict])) for verdict in WORST if counted[verdict])
    is_open = " open" if any(verdict in counted for verdict in _OPEN) else ""
    classes = " ".join(f"has-{css_class(verdict)}" for verdict in counted)
    head = f"<summary><h3>{escape(name)}</h3> {counts}</summary>"
    return f'<details class="group {classes}"{is_open}>{head}{cases}</details>'


def _case(number: int, result: Result) -> str:
    verdict = result.verdict
    is_open = " open" if verdict in _OPEN else ""
    name = anchor(number, result)
    because = f"<p class=because><b>Because</b> {escape(result.reason)}</p>" if result.reason else ""
    gain = f"<p><b>An attacker would have</b> {escape(result.gain)}</p>" if result.gain else ""
    return (
        f'<details class="case verdict {css_class(verdict)}"{is_open}><summary>'
        f"<span class=mark aria-hidden=true>{MARKS[verdict]}</span><span>{escape(result.title)} "
        f"<small>{escape(result.case)} · <span class=said>{verdict}</span></small></span></summary>"
        f'<div class=body id="{name}"><div class=compared><div><h4>expected</h4><p>{escape(result.expected)}</p></div>'
        f'<div class="{css_class(verdict)}"><h4>seen</h4><p>{escape(result.seen or "-")}</p></div></div>'
        f"{because}{gain}{_tested(result)}"
        f'<p>This case alone, {result.seconds:.2f} s (<a href="#{name}">link to it</a>): '
        f"<code class=command>{escape(result.command)}</code></p>{wire_log(result)}</div></details>"
    )


def _tested(result: Result) -> str:
    """The requirement that the case is meant for, in words, and links to the others."""
    listed = requirements()
    first, *others = result.requirements or ("",)
    more = " ".join(f'<a class=id href="#{name}">{name}</a>' for name in others)
    more = f"<p class=small>It tests {more}, too.</p>" if others else ""
    if first not in listed:
        return more
    entry = listed[first]
    return (
        f'<div class=tested><p><a class=id href="#{first}">{first}</a> {escape(entry.title)}</p>'
        f"{requirement_text(entry)}{more}</div>"
    )
