from __future__ import annotations

import io

import pytest
from rich.console import Console

from icws_cli.demo.attacks import ALL
from icws_cli.demo.show import Show
from icws_cli.demo.verdict import Verdict

WORDS = "the client does something that takes many words to tell, and then some more of them"


def shown(width: int, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    show = Show(Console(file=file, width=width, highlight=False))
    show.title("title")
    show.step("step")
    show.note(WORDS)
    show.fact("name", WORDS)
    show.line(7, "A", "Ada", "[bold]not markup[/]")
    show.verified("something", "ICWS-CLT-025", "ICWS-CLT-026")
    show.failed(WORDS)
    verdicts = [Verdict(True, "refused: X", "ICWS-CLT-001"), Verdict(True, "stayed"), Verdict(False, WORDS)]
    rows = list(zip(ALL, verdicts * len(ALL), strict=False))
    for number, row in enumerate(rows, 1):
        show.attack(number, *row)
    show.table(rows)
    show.end("end", good=True)
    file.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_nothing_is_wider_than_the_terminal_and_nothing_needs_colour(width: int, encoding: str) -> None:
    lines = shown(width, encoding).splitlines()
    assert max(map(len, lines)) <= min(width, 100)
    assert not any("\x1b" in line for line in lines)
    text = "\n".join(lines)
    assert "ICWS-CLT-026" in text
    assert 'Ada: "[bold]not markup[/]"' in text
    assert "FAILED" in text
    assert "NOTHING" in text


def test_what_other_parts_turned_away_is_told_apart() -> None:
    text = shown(80)
    assert f"({ALL[1].requirements[0]})" in text
    assert "In brackets" in text
