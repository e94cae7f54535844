"""The target ``vectors`` on a program of another language and library: the worked example for ``@icp-sdk/core``.

What must be accepted is accepted with the same values by both: so says a second opinion on our vectors. What a foreign
library lets pass that must be refused is its authors' to hear first, and is not written here.
"""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from icws_conformance.runner import Run, run_cases
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import Vector, read_vectors
from icws_conformance.verdict import Verdict

pytestmark = pytest.mark.node

ROOT = Path(__file__).resolve().parents[2]
DRIVER = ROOT / "spec/conformance/icws_conformance/drivers/js/icp_sdk.mjs"
FILES = sorted([*(ROOT / "spec/vectors").glob("*.json"), *(ROOT / "tests/vectors").glob("*.json")])
KINDS = {"principal", "representation_independent_hash", "hash_tree", "certificate", "vetkd"}
VECTORS = [vector for path in FILES for vector in read_vectors(path) if vector.kind in KINDS]


async def played(vectors: list[Vector]) -> Run:
    program = [str(shutil.which("node")), str(DRIVER), str(ROOT / "tests/interop/js")]
    async with VectorTarget(program) as target:
        return await run_cases(
            target.cases(vectors), target="vectors", implementation="@icp-sdk/core", command="", at_once=1
        )


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("kind", "least"),
    [("principal", 18), ("representation_independent_hash", 24), ("hash_tree", 15), ("certificate", 18), ("vetkd", 55)],
)
async def test_what_must_be_accepted_is_accepted_with_the_same_values(kind: str, least: int) -> None:
    run = await played([vector for vector in VECTORS if vector.kind == kind and vector.accept])
    counted = Counter(result.verdict for result in run.results)
    assert counted[Verdict.PASS] >= least, counted
    failed = [(result.case, result.seen) for result in run.results if result.verdict is Verdict.FAIL]
    if kind in ("representation_independent_hash", "vetkd"):
        assert failed == []
    # a library may be stricter, and may know fewer answers; it never computes another value
    assert [entry for entry in failed if "_hex is " in entry[1] or "time_ns is " in entry[1]] == []


@pytest.mark.usefixtures("node")
async def test_every_vector_gets_an_answer_and_most_that_must_be_refused_are() -> None:
    run = await played([vector for vector in VECTORS if not vector.accept])
    counted = Counter(result.verdict for result in run.results)
    assert set(counted) <= {Verdict.PASS, Verdict.FAIL, Verdict.NOT_APPLICABLE}
    assert not [result for result in run.results if "ended" in result.seen or "no answer" in result.seen]
    assert counted[Verdict.PASS] > 60


@pytest.mark.usefixtures("node")
async def test_kinds_that_the_program_does_not_know_are_not_applicable() -> None:
    others = [vector for path in FILES for vector in read_vectors(path) if vector.kind not in KINDS][:5]
    run = await played(others)
    assert {result.verdict for result in run.results} == {Verdict.NOT_APPLICABLE}
