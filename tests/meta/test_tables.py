"""The tables of the specification are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from icws_secure.wire.close_codes import CloseCode, SessionCloseCode
from icws_secure.wire.interface import RefusalCode

TEXT = (Path(__file__).resolve().parents[2] / "spec/protocol.md").read_text()


def section(title: str) -> str:
    start = TEXT.index(title)
    return TEXT[start : TEXT.index("\n##", start + 1)]


def rows(title: str) -> set[tuple[int, str]]:
    return {(int(code), name) for code, name in re.findall(r"^\| (\d{4}) \| (\w+) \|", section(title), re.MULTILINE)}


def test_close_codes_are_those_of_the_spec() -> None:
    assert {(code.value, code.label) for code in CloseCode} == rows("### 14.2 ")


def test_session_close_codes_are_those_of_the_spec() -> None:
    assert {(code.value, code.label) for code in SessionCloseCode} == rows("### 14.5 ")


def test_refusal_codes_are_those_of_the_spec() -> None:
    assert {code.value for code in RefusalCode} == set(re.findall(r"`(\w+)`", section("### 14.4 ")))
