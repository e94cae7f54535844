"""The cases of the HTML report: what was expected and seen, and the wire log with its documents drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from icws_conformance.case import Result
from icws_conformance.draw import Node
from icws_conformance.reports.marks import MARKS, WORST, anchor, badge, css_class
from icws_conformance.reports.matrix import requirement_text
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import Entry

__all__ = ["run_section"]

_OPEN: Final = (Verdict.FAIL, Verdict.UNEXPECTED_PASS)
_REPEATED_BYTES: Final = 64  # documents from this size on are shown once in a case
_PASSED_ENTRIES: Final = (
    50  # documents of a case that was passed that are drawn; of the others it is said that they came
)
_PASSED_BYTES: Final = 1024  # of each document of a case that was passed; the JSON report has more


def run_section(number: int, run: Run) -> str:
    """All cases of a run, in groups, in each the worst first."""
    groups: dict[str, list[Result]] = {}
    for result in run.results:
        groups.setdefault(_group(result.case), []).append(result)
    body = "".join(_group_section(number, name, results) for name, results in groups.items())
    return (
        f'<section class=run id="run-{number}"><h2>{escape(run.implementation)}: {escape(run.target)}</h2>'
        f"<p>All of it: <code class=command>{escape(run.command)}</code></p>{body}</section>"
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
        f"<code class=command>{escape(result.command)}</code></p>{_log(result)}</div></details>"
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


# Wire log ------------------------------------------------------------------------------------------------------------


def _log(result: Result) -> str:
    if not result.log:
        return ""
    limit = _PASSED_BYTES if result.verdict is Verdict.PASS else None
    drawn: dict[str, float] = {}
    shown = result.log[:_PASSED_ENTRIES] if result.verdict is Verdict.PASS else result.log
    lines = "".join(_entry(entry, limit, drawn) for entry in shown)
    lines += "".join(f"<li><div>{_head(entry)}</div></li>" for entry in result.log[len(shown) :])
    return f"<h4>Wire log</h4><ol class=log>{lines}</ol>"


def _head(entry: Entry) -> str:
    who = f"{escape(entry.source)} → {escape(entry.target)}" if entry.target else escape(entry.source)
    size = f" <small>{entry.size} bytes</small>" if entry.size else ""
    return f"<time>{entry.at_s:.3f}</time> <b>{who}</b> <span>{escape(entry.what)}{size}</span>"


def _entry(entry: Entry, limit: int | None, before: dict[str, float]) -> str:
    head = _head(entry)
    if (at_s := before.setdefault(entry.raw, entry.at_s)) != entry.at_s and entry.size > _REPEATED_BYTES:
        return f"<li><div>{head}</div><p class=small>the same bytes as at {at_s:.3f}</p></li>"
    is_text = entry.raw[:2] in ("7b", "5b")  # JSON is its own drawing
    drawn = "" if entry.drawn is None or is_text else f"<ul class=tree>{_node(entry.drawn)}</ul>"
    raw = _raw(entry, limit)
    blamed = " class=blamed" if entry.blamed else ""
    flag = "<p class=flag>this shows it</p>" if entry.blamed else ""
    if not drawn and not raw:
        return f"<li{blamed}><div>{head}</div>{flag}</li>"
    is_open = " open" if entry.blamed else ""
    return f"<li{blamed}><details{is_open}><summary>{head}</summary>{flag}{drawn}{raw}</details></li>"


def _raw(entry: Entry, limit: int | None) -> str:
    if not entry.raw:
        return ""
    data = bytes.fromhex(entry.raw)[:limit]
    cut = "…" if entry.size > len(data) else ""
    try:
        text = data.decode("ascii") if data[:1] in (b"{", b"[") else ""
    except UnicodeDecodeError:
        text = ""
    if text:
        return f"<code class=raw>{escape(text)}{cut}</code>"
    return f"<details class=bytes><summary>bytes</summary><code class=raw>{data.hex()}{cut}</code></details>"


def _node(node: Node) -> str:
    label = f"<b>{escape(node.label)}</b> " if node.label else ""
    kind = "" if node.kind == "value" else f" class={node.kind}"
    return f"<li{kind}><span>{label}{escape(node.value)}</span>{_nodes(node.children)}</li>"


def _nodes(nodes: Iterable[Node]) -> str:
    inner = "".join(map(_node, nodes))
    return f"<ul>{inner}</ul>" if inner else ""
