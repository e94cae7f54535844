"""All benchmarks in one run, as a table and as bench/results/latest.json."""

from __future__ import annotations

import payload
import verify
from table import Row, main


def measure() -> list[Row]:
    """The rows of every benchmark."""
    return [*verify.measure(), *payload.measure()]


if __name__ == "__main__":
    main(__doc__, measure)
