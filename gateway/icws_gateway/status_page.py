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

from .directory import Directory
from .metrics import GatewayMetrics
from .pollers import Pollers

__all__ = ["HEADERS", "StatusPage"]

_MOST_CANISTERS: Final = 200
_LEAST_WINDOW: Final = 2.0  # seconds over which rates are taken at least
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#223}"
    "h1{font-size:1.3rem}h2{font-size:1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #dde}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.9em}"
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
        self._taken = (time.monotonic(), self._totals())
        self._before = self._taken

    def html(self, principal: str, state: str) -> bytes:
        """The page.

        Args:
            principal: of the gateway.
            state: one word on it.
        """
        metrics = self._metrics
        clients = {f"Clients, {profile}": _total(metrics.clients, profile) for profile in ("secure", "omnia")}
        now = {
            "Connections": _total(metrics.connections),
            **clients,
            "Canisters": len(self._directory),
            "Calls under way": _total(metrics.calls_in_flight),
            "Polls under way": _total(metrics.polls_in_flight),
        }
        body = (
            f"<h1>IC WebSocket gateway: {html.escape(state)}</h1><p><code>{html.escape(principal)}</code></p>"
            f"<h2>Now</h2>{_table(('', ''), ((name, f'{value:,.0f}') for name, value in now.items()))}"
            f"<h2>Rates</h2>{_table(('', 'since the start', 'a second'), self._rates())}"
            f"<h2>Canisters</h2>{_table(('', 'clients', 'queue', 'failed polls', 'seconds behind'), self._canisters())}"
        )
        return (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">'
            '<meta name="viewport" content="width=device-width"><title>IC WebSocket gateway</title>'
            f"<style>{_STYLE}</style></head><body>{body}</body></html>\n"
        ).encode()

    def _totals(self) -> dict[str, float]:
        return {name: _total(getattr(self._metrics, name)) for name in _RATES.values()}

    def _rates(self) -> Iterable[tuple[str, ...]]:
        now, totals = time.monotonic(), self._totals()
        if now - self._taken[0] >= _LEAST_WINDOW:
            self._before, self._taken = self._taken, (now, totals)
        since, earlier = self._before
        seconds = max(now - since, 0.001)
        for words, name in _RATES.items():
            yield words, f"{totals[name]:,.0f}", f"{(totals[name] - earlier[name]) / seconds:,.1f}"

    def _canisters(self) -> Iterable[tuple[str, ...]]:
        now = time.time_ns()
        for number, found in enumerate(self._directory):
            if number >= _MOST_CANISTERS:
                yield "and others", "", "", "", ""
                return
            poll = self._pollers.progress(found.canister)
            behind = "" if poll is None or not poll.newest_ns else f"{max(0, now - poll.newest_ns) / 1e9:.1f}"
            position, failures = ("", "") if poll is None else (f"{poll.position:,}", f"{poll.failures:,}")
            yield found.canister.to_text(), f"{len(found.by_key):,}", position, failures, behind


def _total(metric: Counter | Gauge, label: str | None = None) -> float:
    """The sum of a metric's samples; of those with a label, if one is given."""
    samples = [
        sample for family in metric.collect() for sample in family.samples if not sample.name.endswith("_created")
    ]
    return sum(sample.value for sample in samples if label is None or label in sample.labels.values())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    names = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines = (
        f"<tr><td>{html.escape(row[0])}</td>{''.join(f'<td class=n>{html.escape(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return f"<table><tr>{names}</tr>{''.join(lines)}</table>"
