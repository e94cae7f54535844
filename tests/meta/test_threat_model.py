"""The threat model's tables are complete, and what they cite is there."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from icws_conformance.hostile import CATALOGUE, NODE_CATALOGUE
from icws_conformance.hostile.threat_table import TESTS, with_tables

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "spec/threat-model.md"
CITED_TEST = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
REQUIREMENT = re.compile(r"ICWS-[A-Z]+-\d{3}")


def attack_rows() -> list[list[str]]:
    """The cells of all tables that begin with ``attack``."""
    rows: list[list[str]] = []
    inside = False
    for line in MODEL.read_text().splitlines():
        if not line.startswith("|"):
            inside = False
        elif line.startswith("| attack |"):
            inside = True
        elif inside and not line.startswith("| ---"):
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def requirements() -> set[str]:
    with (ROOT / "spec/requirements.toml").open("rb") as file:
        return {entry["id"] for entry in tomllib.load(file)["requirement"]}


@cache
def functions_of(path: Path) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


@cache
def plays() -> Any:
    path = ROOT / "tests/attacks/test_catalogue.py"
    spec = importlib.util.spec_from_file_location("threat_model_plays", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_tables_of_the_catalogue_are_up_to_date() -> None:
    text = MODEL.read_text()
    assert text == with_tables(text), "run: python -m icws_conformance.hostile.threat_table spec/threat-model.md"


def test_every_attack_has_one_row() -> None:
    names = [row[0] for row in attack_rows()]
    assert len(names) == len(set(names))
    assert {f"`{name}`" for name in (*CATALOGUE, *NODE_CATALOGUE)} <= set(names)


@pytest.mark.parametrize("row", attack_rows(), ids=lambda row: row[0].strip("`")[:60])
def test_row_is_complete_and_cites_what_is_there(row: list[str]) -> None:
    assert len(row) in (5, 6)
    assert all(row)
    cited = REQUIREMENT.findall(row[3])
    assert cited
    assert set(cited) <= requirements()
    tests = CITED_TEST.findall(row[-1])
    assert tests
    for path, name in tests:
        assert name in functions_of(ROOT / "tests" / path), f"{path} has no {name}"


def test_every_attack_of_the_catalogue_is_played_or_has_a_test_of_its_own() -> None:
    played = {play.entry.name for play in plays().PLAYS}
    assert played | plays().ELSEWHERE == set(CATALOGUE)
    assert set(TESTS) & set(CATALOGUE) == plays().ELSEWHERE


def test_every_stage_of_every_attack_is_played_on_a_secure_client() -> None:
    played = {(play.entry.name, play.stage) for play in plays().PLAYS}
    wanted = {(entry.name, stage) for entry in CATALOGUE.values() for stage in entry.stages}
    assert wanted - played == {(name, stage) for name in plays().ELSEWHERE for stage in CATALOGUE[name].stages}


def test_requirements_of_the_catalogue_exist() -> None:
    cited = {entry.name: set(entry.requirements) for entry in CATALOGUE.values()}
    cited |= {entry.name: set(entry.requirements) for entry in NODE_CATALOGUE.values()}
    assert {name: found - requirements() for name, found in cited.items() if found - requirements()} == {}


FINDINGS = [
    *(f"A{number}" for number in range(1, 10)),
    *(f"B{number}" for number in range(1, 9)),
    *(f"C{number}" for number in range(1, 13)),
    *(f"D{number}" for number in range(1, 11)),
    *(f"{letter}{number}" for letter in "EFG" for number in range(1, 6)),
]


def finding_rows() -> dict[str, str]:
    """Each finding of the review, with the tests that its row cites."""
    lines = MODEL.read_text().partition("| finding |")[2].splitlines()
    cells = [line.strip("|").split(" | ") for line in lines if line.startswith("| ") and not line.startswith("| ---")]
    return {row[0].strip(): row[2] for row in cells}


def test_every_finding_of_the_review_has_one_row() -> None:
    assert list(finding_rows()) == FINDINGS


@pytest.mark.parametrize("finding", FINDINGS)
def test_finding_cites_tests_that_are_there(finding: str) -> None:
    tests = CITED_TEST.findall(finding_rows()[finding])
    assert tests
    for path, name in tests:
        assert name in functions_of(ROOT / "tests" / path), f"{path} has no {name}"
