"""Every MUST has a case and a mutant that the case catches; the kill matrix tells what the hunt has seen."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from icws_conformance.mutants import Mutant, mutable_sites, mutants
from icws_conformance.mutants.grounds import listed_cases
from icws_conformance.mutants.handmade import EXCEPTIONS, HANDMADE
from icws_conformance.mutants.hunt import cases_for
from icws_conformance.mutants.matrix import caught_in
from icws_conformance.mutants.rewrite import rewritten
from icws_conformance.requirements import Level, requirements

MATRIX = Path(__file__).resolve().parents[2] / "spec/kill_matrix"
MUSTS = [name for name, entry in requirements().items() if entry.level is Level.MUST]


@cache
def rows() -> dict[str, list[dict[str, Any]]]:
    found = [row for path in MATRIX.glob("*.json") for row in json.loads(path.read_text())]
    return {row["requirement"]: row["mutants"] for row in found}


@cache
def caught() -> dict[str, str]:
    return caught_in(MATRIX)


@pytest.mark.parametrize("name", [name for name in MUSTS if name not in EXCEPTIONS])
def test_must_has_a_case_and_a_mutant_that_the_case_catches(name: str) -> None:
    assert any(name in names for names in listed_cases().values())
    of_it = [entry for entry in mutants().values() if entry.requirement == name]
    assert of_it
    assert any(caught().get(entry.name) for entry in of_it)


def test_exceptions_are_requirements_with_a_reason_that_no_mutant_shows() -> None:
    assert set(EXCEPTIONS) <= set(MUSTS)
    assert [name for name, reason in EXCEPTIONS.items() if len(reason.split()) < 4] == []
    shown = {mutants()[name].requirement for name in caught() if name in mutants()}
    assert shown & set(EXCEPTIONS) == set()


def test_matrix_tells_of_mutants_and_cases_that_exist() -> None:
    assert set(caught()) <= set(mutants())
    for name, case in caught().items():
        assert case in cases_for(mutants()[name]), name
    for name, row in rows().items():
        listed = [(entry.name, entry.breaks) for entry in mutants().values() if entry.requirement == name]
        assert [(entry["mutant"], entry["breaks"]) for entry in row] == listed


def test_every_handmade_mutant_was_caught_by_the_case_that_is_meant_for_it() -> None:
    assert {entry.name: entry.case for entry in HANDMADE} == {
        entry.name: caught().get(entry.name) for entry in HANDMADE
    }


def test_names_of_mutants_are_unique() -> None:
    assert [name for name, count in Counter(entry.name for entry in HANDMADE).items() if count > 1] == []


@pytest.mark.parametrize("mutant", HANDMADE, ids=lambda mutant: mutant.name)
def test_handmade_mutant_breaks_what_it_says(mutant: Mutant) -> None:
    assert mutant.requirement in requirements()
    assert mutant.requirement in listed_cases()[mutant.case]
    assert mutant.breaks.endswith(".")
    assert mutant.patches or mutant.without
    for module in {entry.module for entry in mutant.patches}:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        tree = rewritten(mutant, module, Path(spec.origin))
        assert tree is not None
        compile(tree, module, "exec")
    cited = {site.requirement for site in mutable_sites() if site.kind != "built in"}
    assert set(mutant.without) <= cited
