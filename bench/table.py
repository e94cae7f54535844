"""How benchmarks measure and report: medians, targets, a table, and JSON for programs."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Row", "Target", "at_least", "at_most", "by_turns", "main", "microseconds", "percentile"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure must reach.

    Attributes:
        limit: the bound, in the row's unit, or for the ratio.
        most: the figure must be at most that; otherwise at least.
        ratio: it is the ratio that counts, not the value.
    """

    limit: float
    most: bool
    ratio: bool

    def met(self, row: Row) -> bool:
        """Whether a row reaches it; a ratio that was not measured does not."""
        figure = row.ratio if self.ratio else row.value
        return figure is not None and (figure <= self.limit if self.most else figure >= self.limit)

    def words(self, unit: str) -> str:
        """The target for people."""
        return f"{'<=' if self.most else '>='} {self.limit:,g} {'x' if self.ratio else unit}"


def at_most(limit: float, *, ratio: bool = False) -> Target:
    """The value, or the ratio, must not exceed ``limit``."""
    return Target(limit, True, ratio)


def at_least(limit: float, *, ratio: bool = False) -> Target:
    """The value, or the ratio, must reach ``limit``."""
    return Target(limit, False, ratio)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        name: dotted, the benchmark first.
        value: the figure itself.
        unit: of the value.
        ratio: the value as a multiple of what it is compared with.
        against: what that is.
        target: what it must reach, None for a figure that is only told.
    """

    name: str
    value: float
    unit: str
    ratio: float | None = None
    against: str | None = None
    target: Target | None = None

    def as_json(self) -> dict[str, Any]:
        """``name``, ``value``, ``unit``; where there is one ``ratio`` and ``against``; where there is one ``target`` in
        words and whether it was ``met``."""
        found: dict[str, Any] = {"name": self.name, "value": round(self.value, 4), "unit": self.unit}
        if self.ratio is not None:
            found |= {"ratio": round(self.ratio, 4), "against": self.against}
        if self.target is not None:
            found |= {"target": self.target.words(self.unit), "met": self.target.met(self)}
        return found


def microseconds(step: Callable[[], object], *, seconds: float = 0.4) -> float:
    """The median CPU time of one step, in microseconds. What others do on the machine does not count."""
    step()
    times: list[int] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.thread_time_ns()
        step()
        times.append(time.thread_time_ns() - start)
    return statistics.median(times) / 1e3


def by_turns(first: Callable[[], float], second: Callable[[], float], repeats: int) -> tuple[float, float]:
    """The medians of two figures, measured by turns: what else the machine does comes and goes, and meets both."""
    pairs = [(first(), second()) for _ in range(repeats)]
    return statistics.median(one for one, _ in pairs), statistics.median(other for _, other in pairs)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that so many percent of the values do not exceed.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def show(rows: Iterable[Row]) -> None:
    """Print rows of the table."""
    for row in rows:
        compared = "" if row.ratio is None else f"{row.ratio:>8.2f} x {row.against}"
        verdict = ""
        if row.target is not None:
            verdict = f"{row.target.words(row.unit):<22} {'met' if row.target.met(row) else 'MISSED'}"
        sys.stdout.write(f"{row.name:50} {row.value:>12,.2f} {row.unit:11} {verdict:30} {compared}".rstrip() + "\n")
    sys.stdout.flush()


def write(rows: Iterable[Row], path: Path) -> None:
    """Write rows as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")


def main(description: str | None, measure: Callable[[bool], Iterable[Row]]) -> None:
    """Measure, print the table while it grows, and write it as JSON if asked to.

    Args:
        description: the benchmark's docstring.
        measure: takes whether the quick form is wanted, and gives the rows.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it run, not how fast is it")
    parser.add_argument("--realtime", action="store_true", help="let nobody else run first (SCHED_FIFO; needs root)")
    arguments = parser.parse_args()
    if arguments.realtime:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))  # children inherit it
    rows: list[Row] = []
    for row in measure(arguments.quick):
        show((row,))
        rows.append(row)
    missed = [row.name for row in rows if row.target is not None and not row.target.met(row)]
    if missed and not arguments.quick:
        sys.stdout.write(f"{len(missed)} of {sum(row.target is not None for row in rows)} targets missed: ")
        sys.stdout.write(", ".join(missed) + "\n")
    if arguments.json is not None:
        write(rows, arguments.json)
