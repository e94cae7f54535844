"""The wire log of a case in the HTML report: each document drawn, as far as a reader can take it in.

What a page shows is bounded, so that a page of thousands of cases opens at once: what was passed is shown in part, and
of what was not, the documents that show it are shown as they are. The JSON report has what is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

from icws_conformance.case import Result
from icws_conformance.draw import Node
from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import Entry

__all__ = ["wire_log"]

_REPEATED_BYTES: Final = 64  # documents from this size on are shown once in a case
_REPEATED_LINES: Final = 3  # and so are parts of them with so many lines


@dataclass(frozen=True, slots=True)
class _Room:
    """What a case may take up on the page.

    Attributes:
        documents: how many are drawn; of the others it is said that they came.
        lines: of the drawing of one.
        raw_bytes: of one, in hexadecimal or as text.
    """

    documents: int
    lines: int
    raw_bytes: int


_PASSED: Final = _Room(documents=8, lines=16, raw_bytes=128)
_OTHERS: Final = _Room(documents=60, lines=300, raw_bytes=1024)
_BLAMED: Final = _Room(documents=1, lines=2_000, raw_bytes=4096)


def wire_log(result: Result) -> str:
    """The log of a case; empty where nothing was written down."""
    if not result.log:
        return ""
    room = _PASSED if result.verdict is Verdict.PASS else _OTHERS
    before: dict[str, float] = {}
    pen = _Pen()
    lines = "".join(
        _entry(entry, _BLAMED if entry.blamed else room, before, pen)
        if place < room.documents or entry.blamed
        else f"<li><div>{_head(entry)}</div></li>"
        for place, entry in enumerate(result.log)
    )
    return f"<h4>Wire log</h4><ol class=log>{lines}</ol>"


def _head(entry: Entry) -> str:
    who = f"{escape(entry.source)} → {escape(entry.target)}" if entry.target else escape(entry.source)
    size = f" <small>{entry.size} bytes</small>" if entry.size else ""
    return f"<time>{entry.at_s:.3f}</time> <b>{who}</b> <span>{escape(entry.what)}{size}</span>"


def _entry(entry: Entry, room: _Room, before: dict[str, float], pen: _Pen) -> str:
    head = _head(entry)
    if (at_s := before.setdefault(entry.raw, entry.at_s)) != entry.at_s and entry.size > _REPEATED_BYTES:
        return f"<li><div>{head}</div><p class=small>the same bytes as at {at_s:.3f}</p></li>"
    is_text = entry.raw[:2] in ("7b", "5b")  # JSON is its own drawing
    drawn = (
        "" if entry.drawn is None or is_text else pen.draw(entry.drawn, entry.at_s, room.lines, is_whole=entry.blamed)
    )
    # the first bytes of a document that is drawn say little
    raw = "" if drawn and room is _PASSED and entry.size > room.raw_bytes else _raw(entry, room.raw_bytes)
    blamed = " class=blamed" if entry.blamed else ""
    flag = "<p class=flag>this shows it</p>" if entry.blamed else ""
    if not drawn and not raw:
        return f"<li{blamed}><div>{head}</div>{flag}</li>"
    is_open = " open" if entry.blamed else ""
    return f"<li{blamed}><details{is_open}><summary>{head}</summary>{flag}{drawn}{raw}</details></li>"


def _raw(entry: Entry, most: int) -> str:
    if not entry.raw:
        return ""
    data = bytes.fromhex(entry.raw)[:most]
    cut = f"… <i>{entry.size - len(data)} more bytes</i>" if entry.size > len(data) else ""
    try:
        text = data.decode("ascii") if data[:1] in (b"{", b"[") else ""
    except UnicodeDecodeError:
        text = ""
    if text:
        return f"<code class=raw>{escape(text)}{cut}</code>"
    return f"<details class=bytes><summary>bytes</summary><code class=raw>{data.hex()}{cut}</code></details>"


# Drawings ------------------------------------------------------------------------------------------------------------


class _Pen:
    """Draws the documents of one case. What is in many of them, such as a subnet's delegation, is drawn once."""

    def __init__(self) -> None:
        self._before: dict[Node, float] = {}
        self._at_s = 0.0
        self._left = 0
        self._is_whole = False

    def draw(self, node: Node, at_s: float, most: int, *, is_whole: bool) -> str:
        """A document that came at a time, in at most so many lines; ``is_whole`` repeats what was drawn before."""
        self._at_s, self._left, self._is_whole = at_s, most, is_whole
        drawn = self._node(node)
        return f"<ul class=tree>{drawn}</ul>{'' if self._left >= 0 else '<p class=small>and more</p>'}"

    def _node(self, node: Node) -> str:
        self._left -= 1
        label = f"<b>{escape(node.label)}</b> " if node.label else ""
        kind = "" if node.kind == "value" else f" class={node.kind}"
        return f"<li{kind}><span>{label}{escape(node.value)}</span>{self._below(node)}</li>"

    def _below(self, node: Node) -> str:
        if not node.children:
            return ""
        if (at_s := self._before.setdefault(node, self._at_s)) != self._at_s and _is_long(node) and not self._is_whole:
            return f" <small>as at {at_s:.3f}</small>"
        drawn = []
        for child in node.children:
            if self._left <= 0:
                self._left = -1
                break
            drawn.append(self._node(child))
        return f"<ul>{''.join(drawn)}</ul>" if drawn else ""


def _is_long(node: Node) -> bool:
    return len(node.children) + sum(len(child.children) for child in node.children) >= _REPEATED_LINES
