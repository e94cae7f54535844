"""The HTML report: one page that needs no network, for one run or for several side by side."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from icws_conformance.case import Result
from icws_conformance.draw import Node
from icws_conformance.reports.style import STYLE
from icws_conformance.requirements import Requirement, requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import Entry

__all__ = ["html_page"]

_MARKS: Final = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.NOT_APPLICABLE: "·",
    Verdict.INCONCLUSIVE: "?",
    Verdict.EXPECTED_FAILURE: "(✗)",
    Verdict.UNEXPECTED_PASS: "(✓)",
}
#: Of several cases of one requirement, the matrix shows the worst.
_WORST: Final = (
    Verdict.FAIL,
    Verdict.UNEXPECTED_PASS,
    Verdict.INCONCLUSIVE,
    Verdict.EXPECTED_FAILURE,
    Verdict.PASS,
    Verdict.NOT_APPLICABLE,
)
_LIMITS: Final = (
    "A pass says that the implementation did what was expected in this case, and no more. The suite sees what goes "
    "over the wire and what the implementation tells; it does not read code, it does not prove the absence of faults, "
    "and a requirement without a case here is not shown at all."
)


def html_page(runs: Sequence[Run]) -> str:
    """One self-contained page: summary, matrix of requirements, and every case with its evidence."""
    title = "Conformance to icws-secure/1 and omnia/1"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{title}</title><style>{STYLE}</style></head><body>",
        f"<header><h1>{title}</h1>{_summary(runs)}<p class=note>{_LIMITS}</p></header>",
        f"<main>{_matrix(runs)}",
        *(_run(number, run) for number, run in enumerate(runs)),
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _summary(runs: Sequence[Run]) -> str:
    cards = []
    for number, run in enumerate(runs):
        counted = Counter(result.verdict for result in run.results)
        counts = "".join(
            f'<li class="{_class(verdict)}"><b>{counted[verdict]}</b> {verdict}</li>'
            for verdict in Verdict
            if counted[verdict]
        )
        started = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(run.started))
        cards.append(
            f'<section class=card><h2><a href="#run-{number}">{escape(run.implementation)}</a></h2>'
            f"<p>{escape(run.target)}, {started}, {run.seconds:.1f} s, Python {escape(run.python)}</p>"
            f"<ul class=counts>{counts or '<li>nothing was run</li>'}</ul></section>"
        )
    return f"<div class=cards>{''.join(cards)}</div>"


def _matrix(runs: Sequence[Run]) -> str:
    tested = {name for run in runs for result in run.results for name in result.requirements}
    rows = [entry for entry in requirements().values() if entry.id in tested]
    head = "".join(f"<th>{escape(run.implementation)}<br><small>{escape(run.target)}</small></th>" for run in runs)
    body = "".join(_row(entry, runs) for entry in rows)
    return (
        f"<h2>Requirements</h2><p>{len(rows)} requirements have a case in these runs. Of several cases, the worst "
        f"counts.</p><div class=wide><table class=matrix><thead><tr><th>id</th><th>requirement</th>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def _row(entry: Requirement, runs: Sequence[Run]) -> str:
    cells = []
    for number, run in enumerate(runs):
        found = [result for result in run.results if entry.id in result.requirements]
        if not found:
            cells.append("<td></td>")
            continue
        worst = min((result.verdict for result in found), key=_WORST.index)
        first = next(result for result in found if result.verdict is worst)
        cells.append(
            f'<td class="{_class(worst)}"><a href="#{_anchor(number, first)}" title="{worst}">{_MARKS[worst]}'
            f"<small>{len(found)}</small></a></td>"
        )
    sentence = f"<p>{escape(entry.sentence)}</p>" if entry.sentence else ""
    why = f"<p><b>Why</b> {escape(entry.rationale)}</p>" if entry.rationale else ""
    attack = f"<p><b>Attack</b> {escape(entry.attack)}</p>" if entry.attack else ""
    detail = f"<details><summary>{escape(entry.title)}</summary>{sentence}{why}{attack}</details>"
    return (
        f"<tr id={entry.id}><th>{entry.id}<br><small>{entry.level}</small></th><td>{detail}</td>{''.join(cells)}</tr>"
    )


def _run(number: int, run: Run) -> str:
    order = {verdict: place for place, verdict in enumerate(_WORST)}
    results = sorted(run.results, key=lambda result: order[result.verdict])
    cases = "".join(_case(number, result) for result in results)
    return (
        f"<section class=run><h2 id=run-{number}>{escape(run.implementation)}: {escape(run.target)}</h2>"
        f"<p><code>{escape(run.command)}</code></p>{cases}</section>"
    )


def _case(number: int, result: Result) -> str:
    verdict = result.verdict
    tags = " ".join(f'<a href="#{name}">{name}</a>' for name in result.requirements)
    is_open = " open" if verdict in (Verdict.FAIL, Verdict.UNEXPECTED_PASS) else ""
    facts = [
        ("requirements", tags),
        ("expected", escape(result.expected)),
        ("seen", escape(result.seen or "-")),
        ("because", escape(result.reason)),
        ("attack", escape(result.gain)),
        ("took", f"{result.seconds:.2f} s"),
        ("alone", f"<code>{escape(result.command)}</code>"),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in facts if text)
    return (
        f'<details class="case {_class(verdict)}" id="{_anchor(number, result)}"{is_open}>'
        f"<summary><span class=mark>{_MARKS[verdict]}</span> {escape(result.title)} "
        f"<small>{escape(result.case)}, {verdict}</small></summary><dl>{listed}</dl>{_log(result.log)}</details>"
    )


def _log(entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    lines = "".join(_entry(entry) for entry in entries)
    return f"<div class=log><h3>Wire log</h3><ol>{lines}</ol></div>"


def _entry(entry: Entry) -> str:
    who = f"{escape(entry.source)} → {escape(entry.target)}" if entry.target else escape(entry.source)
    size = f" <small>{entry.size} bytes</small>" if entry.size else ""
    head = f"<time>{entry.at_s:.3f} s</time> <b>{who}</b> {escape(entry.what)}{size}"
    drawn = "" if entry.drawn is None else f"<ul class=tree>{_node(entry.drawn)}</ul>"
    cut = "…" if entry.size * 2 > len(entry.raw) else ""
    raw = f"<details><summary>bytes</summary><code class=raw>{entry.raw}{cut}</code></details>" if entry.raw else ""
    blamed = " class=blamed" if entry.blamed else ""
    if not drawn and not raw:
        return f"<li{blamed}>{head}</li>"
    return f"<li{blamed}><details{' open' if entry.blamed else ''}><summary>{head}</summary>{drawn}{raw}</details></li>"


def _node(node: Node) -> str:
    label = f"<b>{escape(node.label)}</b> " if node.label else ""
    below = _nodes(node.children)
    kind = "" if node.kind == "value" else f" class={node.kind}"
    return f"<li{kind}><span>{label}{escape(node.value)}</span>{below}</li>"


def _nodes(nodes: Iterable[Node]) -> str:
    inner = "".join(map(_node, nodes))
    return f"<ul>{inner}</ul>" if inner else ""


def _class(verdict: Verdict) -> str:
    return verdict.value.replace(" ", "-")


def _anchor(number: int, result: Result) -> str:
    name = "".join(char if char.isalnum() or char in "._-" else "-" for char in result.case)
    return f"case-{number}-{name}"
