"""Mutants: a requirement's checks are really gone, nothing else is, and a case notices."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from icws_conformance.mutants import mutable_sites
from icws_conformance.requirements import requirements
from icws_conformance.runner import run_cases
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import read_vectors
from icws_conformance.verdict import Verdict

VECTORS = Path(__file__).resolve().parents[2] / "spec/vectors"
#: Requirements whose mutant of the library a published vector catches, and none of the others is disturbed.
CAUGHT = {"ICWS-LIB-005": "hash_trees", "ICWS-LIB-011": "certificates", "ICWS-LIB-017": "envelopes"}


def test_every_cited_requirement_exists() -> None:
    assert {site.requirement for site in mutable_sites()} <= set(requirements())


def test_most_requirements_have_a_check_to_take_out() -> None:
    mutable = {site.requirement for site in mutable_sites() if site.kind != "built in"}
    assert len(mutable) > 80


@pytest.mark.parametrize("name", sorted(CAUGHT))
async def test_mutant_is_caught_by_what_it_must_refuse_and_only_by_that(name: str) -> None:
    vectors = read_vectors(VECTORS / f"{CAUGHT[name]}.json")
    command = [sys.executable, "-m", "icws_conformance.mutants", name, "icws_conformance.drivers.library"]
    async with VectorTarget(command) as target:
        run = await run_cases(target.cases(vectors), target="vectors", implementation="mutant", command="", at_once=1)
    failed = {result.case for result in run.results if result.verdict is Verdict.FAIL}
    assert failed
    assert failed <= {vector.name for vector in vectors if name in vector.requirements and not vector.accept}


def test_files_stay_as_they_are() -> None:
    question = {"id": 1, "kind": "principal", "input": {"text": "aaaaa-aa"}}
    done = subprocess.run(
        [sys.executable, "-m", "icws_conformance.drivers.library"],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == {"id": 1, "verdict": "accept", "output": {"hex": ""}}
