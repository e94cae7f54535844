"""How benchmarks measure and report: medians, a table, and JSON for programs."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Row", "main", "microseconds"]

Row = dict[str, Any]
"""``name``, ``value``, ``unit``, and where the figure is compared ``ratio`` and ``against``."""


def microseconds(step: Callable[[], object], *, seconds: float = 0.4) -> float:
    """The median time of one step, in microseconds."""
    step()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def show(rows: list[Row]) -> None:
    """Print the rows as a table."""
    for row in rows:
        compared = f"{row['ratio']:8.2f} x  {row['against']}" if "ratio" in row else ""
        sys.stdout.write(f"{row['name']:44} {row['value']:>12.2f} {row['unit']:12}{compared}".rstrip() + "\n")


def main(description: str | None, measure: Callable[[], list[Row]]) -> None:
    """Measure, print the table, and write it as JSON if asked to."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    rows = measure()
    show(rows)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
