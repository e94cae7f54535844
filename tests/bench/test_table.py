"""The table of a benchmark says plainly what missed its target."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[2] / "bench"))

from table import Row, at_least, at_most, percentile, show


@pytest.mark.parametrize(
    ("row", "words", "met"),
    [
        (Row("a", 79.0, "us", target=at_most(80)), "<= 80 us", True),
        (Row("a", 81.0, "us", target=at_most(80)), "<= 80 us", False),
        (Row("a", 20_000.0, "messages/s", target=at_least(20_000)), ">= 20,000 messages/s", True),
        (Row("a", 1.0, "us", 1.31, "bare", at_most(1.3, ratio=True)), "<= 1.3 x", False),
        (Row("a", 1.0, "us", target=at_most(1.3, ratio=True)), "<= 1.3 x", False),
    ],
)
def test_a_target_is_met_or_missed(row: Row, words: str, met: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert (row.as_json()["target"], row.as_json()["met"]) == (words, met)
    show([row])
    assert f"{words} {'met' if met else 'MISSED'}" in " ".join(capsys.readouterr().out.split())


def test_a_row_without_comparison_has_the_three_fields_alone() -> None:
    assert Row("a", 1.5, "us").as_json() == {"name": "a", "value": 1.5, "unit": "us"}


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(n) for n in range(1, 101)]
    assert [percentile(values, percent) for percent in (0, 50, 99, 100)] == [1.0, 51.0, 100.0, 100.0]
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)
