"""All benchmarks in one run, as a table and as bench/results/latest.json."""

from __future__ import annotations

from collections.abc import Iterator

import beside_js
import crowd
import growth
import latency
import long_queue
import neighbours
import payload
import relaying
import sharing
import verify
from table import Row, main

BENCHMARKS = (verify, beside_js, payload, relaying, sharing, latency, long_queue, neighbours, growth, crowd)


def measure(quick: bool) -> Iterator[Row]:
    """The rows of every benchmark."""
    for benchmark in BENCHMARKS:
        yield from benchmark.measure(quick)


if __name__ == "__main__":
    main(__doc__, measure)
