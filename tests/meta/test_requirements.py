"""Specification, list, code and tests are kept in step."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    "icws_secure",
    "client/icws_client",
    "gateway/icws_gateway",
    "canister_mock/icws_canister_mock",
    "spec/conformance/icws_conformance",
    "cli/icws_cli",
]
ID = re.compile(r"ICWS-(?:LIB|CLT|CAN|GWY|PAY)-\d{3}")


@cache
def listed() -> dict[str, dict[str, str]]:
    with (ROOT / "spec/requirements.toml").open("rb") as file:
        return {entry["id"]: entry for entry in tomllib.load(file)["requirement"]}


def spec_ids() -> list[str]:
    return re.findall(r"\[(ICWS-[A-Z]+-\d{3})\]", (ROOT / "spec/protocol.md").read_text())


@cache
def cited_in_code() -> set[str]:
    return {
        match for folder in CODE for path in (ROOT / folder).rglob("*.py") for match in ID.findall(path.read_text())
    }


def marks(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "req"
            and isinstance(node.func.value, ast.Attribute)
            and node.func.value.attr == "mark"
        ):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


@cache
def marked_in_tests() -> set[str]:
    return {mark for path in (ROOT / "tests").rglob("test_*.py") for mark in marks(path)}


def test_every_requirement_of_the_list_is_one_sentence_of_the_spec() -> None:
    counted = Counter(spec_ids())
    assert set(counted) == set(listed())
    assert [name for name, count in counted.items() if count > 1] == []


def test_every_cited_requirement_exists() -> None:
    assert cited_in_code() - set(listed()) == set()


def test_every_marked_requirement_exists() -> None:
    assert marked_in_tests() - set(listed()) == set()


@pytest.mark.parametrize("name", sorted(listed()))
def test_requirement_is_cited_where_it_is_enforced(name: str) -> None:
    assert name in cited_in_code()


@pytest.mark.parametrize("name", sorted(listed()))
def test_requirement_has_a_test(name: str) -> None:
    assert name in marked_in_tests()


def test_levels_agree_with_the_words_of_the_spec() -> None:
    text = (ROOT / "spec/protocol.md").read_text()
    for name, entry in listed().items():
        line = next(line for line in text.splitlines() if f"[{name}]" in line)
        if entry["level"] == "SHOULD":
            assert " SHOULD " in line, name
        else:
            assert " SHOULD " not in line, name
