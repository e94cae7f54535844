"""A page for people: who is here, what is polled, how fast, what goes wrong. Read only, and without any script.

It says less than ``/metrics`` and nothing of any client. The browser asks again every few seconds by itself.
"""

from __future__ import annotations

import base64
import html
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Final

from prometheus_client import Counter, Gauge
from prometheus_client.samples import Sample

from icws_secure.wire.close_codes import CloseCode

from .directory import Directory
from .metrics import GatewayMetrics
from .pollers import Pollers

__all__ = ["HEADERS", "StatusPage"]

_MOST_CANISTERS: Final = 200
_LEAST_WINDOW: Final = 2.0  # seconds over which rates are taken at least
_STYLE: Final = (
    ":root{color-scheme:light dark;--ink:#1c2430;--dim:#5b6675;--line:#dfe4ea;--page:#f5f6f8;--card:#fff;"
    "--good:#1a7f47;--bad:#b3261e;--busy:#946200}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--dim:#98a3b3;--line:#2e3642;--page:#14181e;--card:#1c222b;"
    "--good:#4cc38a;--bad:#ff8a80;--busy:#e8b339}}"
    "*{box-sizing:border-box}"
    "body{font:15px/1.45 system-ui,sans-serif;margin:0;color:var(--ink);background:var(--page)}"
    "main{max-width:64rem;margin:0 auto;padding:1.25rem 1rem 3rem}"
    "h1{font-size:1.25rem;margin:0;display:flex;gap:.6rem;align-items:center;flex-wrap:wrap}"
    "h2{font-size:.95rem;margin:1.75rem 0 .5rem}p{margin:.3rem 0 0;color:var(--dim);overflow-wrap:anywhere}"
    ".state{font-size:.8rem;font-weight:600;padding:.15rem .6rem;border-radius:1rem;border:1px solid;color:var(--busy)}"
    ".ready{color:var(--good)}.not{color:var(--bad)}"
    ".now{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.6rem;margin:1.1rem 0 0}"
    ".now div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.6rem .75rem}"
    ".now dt{color:var(--dim);font-size:.8rem}.now dd{margin:.1rem 0 0;font-size:1.35rem;font-weight:600}"
    ".wide{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:.5rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .75rem}"
    "tr+tr td{border-top:1px solid var(--line)}th{color:var(--dim);font-size:.8rem;font-weight:500}"
    "td.n,th.n{text-align:right}td.n{white-space:nowrap}dd,td.n{font-variant-numeric:tabular-nums}"
    "code,td.c{font:.85em ui-monospace,monospace}td.c{white-space:nowrap}.none{padding:.5rem .75rem;margin:0}"
)
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

HEADERS: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""What the page has to be sent with: nothing on it may be loaded, run or framed."""

_RATES: Final = {
    "Messages delivered": "messages_delivered",
    "Messages polled": "poll_messages",
    "Calls": "calls",
    "Polls": "polls",
    "Bytes received": "bytes_received",
    "Bytes sent": "bytes_sent",
    "Bounds crossed": "limits",
    "Failed requests to the IC": "ic_errors",
    "Mistakes of the gateway": "internal_errors",
}
_CODES: Final = {str(int(code)): code.label for code in CloseCode}
_TROUBLE: Final = {
    "Bound crossed": "limits",
    "Had to wait": "waits",
    "Dropped": "drops",
    "Request to the IC failed": "ic_errors",
    "Replica at fault": "replica_faults",
    "Closed with code": "closes",
}


class StatusPage:
    """Makes the page.

    Args:
        metrics: of the gateway.
        directory: its clients.
        pollers: its polls.
    """

    def __init__(self, metrics: GatewayMetrics, directory: Directory, pollers: Pollers) -> None:
        self._metrics = metrics
        self._directory = directory
        self._pollers = pollers
        self._started = time.monotonic()
        self._taken = (self._started, self._totals())
        self._before = self._taken

    def html(self, principal: str, state: str) -> bytes:
        """The page.

        Args:
            principal: of the gateway.
            state: ``ready``, ``not ready`` or ``draining``.
        """
        canisters = ("Canister", "Clients", "Newest message", "Failed polls")
        body = (
            f'<h1>IC WebSocket gateway <span class="state {state.partition(" ")[0]}">{html.escape(state)}</span></h1>'
            f"<p><code>{html.escape(principal)}</code></p>"
            f"<p>Up for {_duration(time.monotonic() - self._started)}</p>"
            f"{self._now()}"
            f"<h2>Rates</h2>{_table(('', 'A second', 'Since the start'), self._rates())}"
            f"<h2>Canisters</h2>{_table(canisters, self._canisters(), 'None has clients.', names=True)}"
            f"<h2>Trouble since the start</h2>{_table(('', '', 'Times'), self._trouble(), 'None.')}"
        )
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
            '<meta name="viewport" content="width=device-width,initial-scale=1"><title>IC WebSocket gateway</title>'
            f"<style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
        ).encode()

    def _now(self) -> str:
        metrics = self._metrics
        figures = {
            "Connections": _total(metrics.connections),
            "Secure clients": _total(metrics.clients, "secure"),
            "Omnia clients": _total(metrics.clients, "omnia"),
            "Canisters": len(self._directory),
            "Calls under way": _total(metrics.calls_in_flight),
            "Polls under way": _total(metrics.polls_in_flight),
        }
        cards = "".join(f"<div><dt>{name}</dt><dd>{value:,.0f}</dd></div>" for name, value in figures.items())
        return f'<dl class="now">{cards}</dl>'

    def _totals(self) -> dict[str, float]:
        return {name: _total(getattr(self._metrics, name)) for name in _RATES.values()}

    def _rates(self) -> Iterable[tuple[str, ...]]:
        now, totals = time.monotonic(), self._totals()
        if now - self._taken[0] >= _LEAST_WINDOW:
            self._before, self._taken = self._taken, (now, totals)
        since, earlier = self._before
        seconds = max(now - since, 0.001)
        for words, name in _RATES.items():
            yield words, f"{(totals[name] - earlier[name]) / seconds:,.1f}", f"{totals[name]:,.0f}"

    def _canisters(self) -> Iterable[tuple[str, ...]]:
        now = time.time_ns()
        for number, found in enumerate(self._directory):
            if number >= _MOST_CANISTERS:
                yield f"and {len(self._directory) - number} others", "", "", ""
                return
            poll = self._pollers.progress(found.canister)
            age = "none yet" if poll is None or not poll.newest_ns else f"{_duration((now - poll.newest_ns) / 1e9)} ago"
            failures = "" if poll is None else f"{poll.failures:,}"
            yield found.canister.to_text(), f"{len(found.by_owner):,}", age, failures

    def _trouble(self) -> Iterable[tuple[str, ...]]:
        for words, name in _TROUBLE.items():
            samples = _samples(getattr(self._metrics, name))
            for sample in sorted(samples, key=lambda found: -found.value):
                yield words, ", ".join(map(_named, sample.labels.values())), f"{sample.value:,.0f}"


def _named(label: str) -> str:
    """A label as people read it: close codes with their names."""
    return f"{label} {_CODES[label]}" if label in _CODES else label


def _samples(metric: Counter | Gauge) -> list[Sample]:
    return [sample for family in metric.collect() for sample in family.samples if not sample.name.endswith("_created")]


def _total(metric: Counter | Gauge, label: str | None = None) -> float:
    """The sum of a metric's samples; of those with a label, if one is given."""
    return sum(sample.value for sample in _samples(metric) if label is None or label in sample.labels.values())


def _duration(seconds: float) -> str:
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]], empty: str = "", *, names: bool = False) -> str:
    """A table; the last columns are numbers, and the first is an id if ``names`` says so."""
    words = [index for index, name in enumerate(head) if index == 0 or not name]

    def cells(tag: str, values: tuple[str, ...]) -> str:
        kinds = [("c" if names and index == 0 else "") if index in words else "n" for index in range(len(values))]
        return "".join(
            f"<{tag}{f' class={kind}' if kind and (tag, kind) != ('th', 'c') else ''}>{html.escape(value)}</{tag}>"
            for kind, value in zip(kinds, values, strict=True)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    if not lines:
        return f'<div class="wide"><p class="none">{html.escape(empty)}</p></div>'
    return f'<div class="wide"><table><tr>{cells("th", head)}</tr>{lines}</table></div>'
