"""The HTML report: one page that needs no network and no scripts, for one run or for several side by side."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Final

from icws_conformance.reports.cases import run_section
from icws_conformance.reports.marks import MARKS, anchor, badge, css_class
from icws_conformance.reports.matrix import differences, matrix
from icws_conformance.reports.style import STYLE
from icws_conformance.requirements import Requirement, requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import ExitCode, Verdict

__all__ = ["html_page"]

_LIMITS: Final = (
    "A pass says that the implementation did what was expected in this case, and no more. The suite sees what goes "
    "over the wire and what the implementation tells; it does not read code, it does not prove the absence of faults, "
    "and a requirement without a case in these runs is not decided here."
)
_SHORT: Final = 160  # characters of what was seen, where the whole stands elsewhere
_OUTCOMES: Final = {
    ExitCode.CONFORMS: (Verdict.PASS, "conforms, as far as it was tested"),
    ExitCode.FAILS: (Verdict.FAIL, "does not conform"),
    ExitCode.INCONCLUSIVE: (Verdict.INCONCLUSIVE, "not decided"),
}


def html_page(runs: Sequence[Run], records: Sequence[str] = ()) -> str:
    """One page that needs nothing else: overview, what is not held to, matrix of requirements, and every case with its
    evidence.

    Args:
        runs: what is shown.
        records: where the JSON report of each is, as a path from the page; none where they were not written.
    """
    title = "Conformance to icws-secure/1 and omnia/1"
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    compared = differences(runs)
    found = records or [""] * len(runs)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
        f"<title>{escape(_names(runs))}: {title}</title><style>{STYLE}</style></head><body>",
        '<a class=skip href="#main">Skip to the overview</a>',
        f"<header><h1>{title}</h1></header>",
        _navigation(runs, has_differences=bool(compared)),
        f"<main id=main tabindex=-1>{_overview(runs)}{_broken(runs)}{compared}",
        matrix(runs),
        *(run_section(number, run, where) for number, (run, where) in enumerate(zip(runs, found, strict=True))),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _names(runs: Sequence[Run]) -> str:
    return ", ".join(dict.fromkeys(run.implementation for run in runs))[:80]


def _navigation(runs: Sequence[Run], *, has_differences: bool) -> str:
    links = [("#overview", "Overview")]
    if _broken_names(runs):
        links.append(("#broken", "Not held to"))
    if has_differences:
        links.append(("#differences", "Differences"))
    links.append(("#requirements", "Requirements"))
    links += [(f"#run-{number}", f"{run.implementation}: {run.target}") for number, run in enumerate(runs)]
    listed = "".join(f'<li><a href="{target}">{escape(words)}</a></li>' for target, words in links)
    counted = Counter(result.verdict for run in runs for result in run.results)
    boxes = "".join(
        f'<label class="{css_class(verdict)}"><input type=checkbox checked id="show-{css_class(verdict)}">'
        f"<span><i aria-hidden=true>{MARKS[verdict]}</i> {verdict} <b>{counted[verdict]}</b></span></label>"
        for verdict in Verdict
        if counted[verdict]
    )
    return f"<nav><ul>{listed}</ul><fieldset><legend>Show</legend>{boxes}</fieldset></nav>"


def _overview(runs: Sequence[Run]) -> str:
    cards = "".join(_card(number, run) for number, run in enumerate(runs))
    return (
        f"<section id=overview><h2>Overview</h2><div class=cards>{cards}</div>"
        f"<p class=note><b>What this says.</b> {_LIMITS}</p></section>"
    )


def _card(number: int, run: Run) -> str:
    counted = Counter(result.verdict for result in run.results)
    shown = [verdict for verdict in Verdict if counted[verdict]]
    verdict, words = _OUTCOMES[run.exit_code]
    bar = "".join(f'<span class="{css_class(v)}" style="flex-grow:{counted[v]}"></span>' for v in shown)
    counts = "".join(f"<li>{badge(v, f'{counted[v]} {v}')}</li>" for v in shown) or "<li>nothing was run</li>"
    started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.started))
    return (
        f'<article class=card><h3><a href="#run-{number}">{escape(run.implementation)}</a></h3>'
        f"<p class=target>{escape(run.target)}</p><p>{badge(verdict, words)}</p>"
        f"<div class=bar aria-hidden=true>{bar}</div><ul class=counts>{counts}</ul>"
        f"<p class=small>{len(run.results)} cases, {started}, {run.seconds:.1f} s, Python {escape(run.python)}</p>"
        f"</article>"
    )


def _broken_names(runs: Sequence[Run]) -> list[str]:
    """Requirements that a failing case is meant for, in the order of the list."""
    named = {
        result.requirements[0]
        for run in runs
        for result in run.results
        if result.requirements and result.verdict in (Verdict.FAIL, Verdict.EXPECTED_FAILURE)
    }
    return [name for name in requirements() if name in named]


def _broken(runs: Sequence[Run]) -> str:
    """The requirements that are not held to: what they say, what an attacker gains, and the cases that show it."""
    names = _broken_names(runs)
    if not names:
        return ""
    items = "".join(_broken_entry(requirements()[name], runs) for name in names)
    return (
        f"<section id=broken><h2>Not held to</h2><p>{len(names)} requirements, each with the cases that show it.</p>"
        f"<ol class=broken>{items}</ol></section>"
    )


def _broken_entry(entry: Requirement, runs: Sequence[Run]) -> str:
    several = len(runs) > 1
    cases = "".join(
        f"<li>{badge(result.verdict, escape(run.implementation) if several else '')} "
        f'<a href="#{anchor(number, result)}">{escape(result.title)}</a>: {escape(_short(result.seen))}'
        f"{f' (listed: {escape(_short(result.reason))})' if result.reason else ''}</li>"
        for number, run in enumerate(runs)
        for result in run.results
        if result.requirements[:1] == (entry.id,) and result.verdict in (Verdict.FAIL, Verdict.EXPECTED_FAILURE)
    )
    return (
        f'<li><p><a class=id href="#{entry.id}">{entry.id}</a> <b>{escape(entry.title)}</b></p>'
        f"<p class=attack><b>Attack</b> {escape(entry.attack)}</p><ul>{cases}</ul></li>"
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else text[:_SHORT].rstrip() + "…"
