"""The project's vectors: written the same every time, in order by their linter, and able to fail a program."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from icws_conformance.drivers.library import answer
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run, run_cases
from icws_conformance.vectors.generate import FILES, check_folder, write_folder
from icws_conformance.vectors.lint import lint_file
from icws_conformance.vectors.target import VectorTarget
from icws_conformance.vectors.vector import Vector, read_vectors
from icws_conformance.verdict import ExitCode, Verdict
from icws_secure.errors import MisuseError

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "spec/vectors"
ALL = [vector for path in sorted(VECTORS.glob("*.json")) for vector in read_vectors(path)]
ANSWERING = (
    "import sys, json\nfor line in sys.stdin:\n    q = json.loads(line)\n    print(json.dumps({}), flush=True)\n"
)


def program(answer_: str) -> list[str]:
    """A program whose answer to a question q is this expression."""
    return [sys.executable, "-c", ANSWERING.replace("json.dumps({})", f"json.dumps({answer_})")]


async def played(words: Sequence[str], vectors: list[Vector], *, strict: bool = False) -> Run:
    async with VectorTarget(words, strict=strict) as target:
        return await run_cases(
            target.cases(vectors), target="vectors", implementation="test", command="test", at_once=1
        )


def test_published_vectors_are_as_generated() -> None:
    assert check_folder(VECTORS) == []
    assert {path.stem for path in VECTORS.glob("*.json")} == set(FILES)


def test_generator_writes_the_same_twice(tmp_path: Path) -> None:
    write_folder(tmp_path)
    assert check_folder(tmp_path) == []
    (tmp_path / "frames.json").write_text("{}")
    assert check_folder(tmp_path) == ["frames.json"]


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_published_vectors_are_in_order(path: Path) -> None:
    assert lint_file(path) == []


def test_published_schema_is_the_one_that_is_checked() -> None:
    schema = ROOT / "spec/conformance/icws_conformance/vectors/schema.json"
    assert (VECTORS / "schemas/icws-vectors-1.json").read_bytes() == schema.read_bytes()


@pytest.mark.parametrize("vector", ALL, ids=lambda vector: vector.name)
def test_library_answers_as_expected(vector: Vector) -> None:
    given = answer({"id": 1, "kind": vector.kind, "input": dict(vector.input)})
    if vector.accept:
        assert given["verdict"] == "accept", given
        assert {name: given["output"][name] for name in vector.output} == dict(vector.output)
    else:
        assert given["verdict"] == "reject", given
        assert given["reason"] in vector.reasons


async def test_program_that_refuses_everything_fails_every_vector_to_accept() -> None:
    run = await played(program("{'id': q['id'], 'verdict': 'reject'}"), ALL)
    assert [result.verdict is Verdict.FAIL for result in run.results] == [vector.accept for vector in ALL]
    assert run.exit_code is ExitCode.FAILS


async def test_program_that_accepts_everything_fails_every_vector_to_refuse() -> None:
    run = await played(program("{'id': q['id'], 'verdict': 'accept', 'output': {}}"), ALL)
    failed = [result.verdict is Verdict.FAIL for result in run.results]
    assert failed == [not vector.accept or bool(vector.output) for vector in ALL]


async def test_program_that_knows_a_kind_not_is_not_blamed() -> None:
    run = await played(program("{'id': q['id'], 'verdict': 'unsupported'}"), ALL[:3])
    assert {result.verdict for result in run.results} == {Verdict.NOT_APPLICABLE}
    assert run.exit_code is ExitCode.INCONCLUSIVE


@pytest.mark.parametrize(
    "reply",
    [
        "{'id': 0, 'verdict': 'accept'}",
        "{'id': q['id']}",
        "[]",
        "exit(3)",
        "{'id': q['id'], 'verdict': 'accept', 'output': 1}",
    ],
)
async def test_answer_that_is_none_fails_the_case_and_the_next_is_asked(reply: str) -> None:
    accepted = [vector for vector in ALL if vector.output][:2]
    run = await played(program(reply), accepted)
    assert [result.verdict for result in run.results] == [Verdict.FAIL, Verdict.FAIL]


async def test_wrong_reason_fails_only_where_reasons_are_compared() -> None:
    refused = [vector for vector in ALL if not vector.accept][:1]
    words = program("{'id': q['id'], 'verdict': 'reject', 'reason': 'Other'}")
    assert (await played(words, refused)).results[0].verdict is Verdict.PASS
    assert (await played(words, refused, strict=True)).results[0].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.update(count=3), "count is 3"),
        (lambda d: d["groups"][0]["tests"][0].update(id=9), "ids are not"),
        (lambda d: d["groups"][0]["tests"][1].update(flags=["Nobody"]), "flag Nobody has no note"),
        (lambda d: d["groups"][0]["tests"][1].update(requirements=["ICWS-LIB-999"]), "names no requirement"),
        (lambda d: d["groups"][0]["tests"][1].update(reasons=["Because"]), "names no reason"),
        (lambda d: d["groups"][0]["tests"][1]["input"].update(x_hex="ABC"), "is not lower-case"),
        (lambda d: d["groups"][0]["shared"].update(d["groups"][0]["tests"][0]["input"]), "that its group has"),
        (lambda d: d["groups"][0]["tests"][0].pop("output"), "output"),
        (lambda d: d["groups"][0]["tests"][1].update(comment=d["groups"][0]["tests"][0]["comment"]), "the comment"),
        (lambda d: d["groups"][0]["tests"].pop(0), "nothing is accepted"),
        (lambda d: d["notes"].update(Spare={"description": "words", "gain": "words"}), "note Spare is not used"),
    ],
)
def test_linter_sees(tmp_path: Path, change: Any, fault: str) -> None:
    tests = [
        {
            "id": 1,
            "comment": "good",
            "requirements": ["ICWS-LIB-002"],
            "verdict": "accept",
            "flags": [],
            "input": {"a": "1"},
            "output": {},
        },
        {
            "id": 2,
            "comment": "bad",
            "requirements": ["ICWS-LIB-002"],
            "verdict": "reject",
            "reasons": ["Malformed"],
            "flags": [],
            "input": {},
        },
    ]
    document: dict[str, Any] = {
        "format": "icws-vectors/1",
        "kind": "principal",
        "header": ["a line"],
        "generator": "by hand",
        "notes": {},
        "count": 2,
        "groups": [{"shared": {}, "tests": tests}],
    }
    path = tmp_path / "vectors.json"
    path.write_text(json.dumps(document))
    assert lint_file(path) == []
    change(document)
    path.write_text(json.dumps(document))
    assert any(fault in line for line in lint_file(path)), lint_file(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "principal"}', '{"format": "icws-vectors/1"}'])
def test_file_that_holds_no_vectors_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "vectors.json"
    path.write_text(text)
    with pytest.raises(MisuseError):
        read_vectors(path)


def test_every_requirement_that_vectors_name_exists() -> None:
    assert {name for vector in ALL for name in vector.requirements} <= set(requirements())


FOREIGN = [vector for path in sorted((ROOT / "tests/vectors").glob("*.json")) for vector in read_vectors(path)]


@pytest.mark.parametrize("vector", FOREIGN, ids=lambda vector: vector.name)
def test_library_answers_foreign_vectors_too(vector: Vector) -> None:
    given = answer({"id": 1, "kind": vector.kind, "input": dict(vector.input)})
    assert (given["verdict"] == "accept") is vector.accept, given
    assert {name: given["output"][name] for name in vector.output} == dict(vector.output)


def test_no_foreign_vector_is_left_out() -> None:
    held = {path.stem: json.loads(path.read_text())["vectors"] for path in (ROOT / "tests/vectors").glob("*.json")}
    read = Counter(vector.name.partition(": ")[0] for vector in FOREIGN)
    assert read == {stem: len(vectors) for stem, vectors in held.items()}
    # by kind: of each there is one to accept, and where the kind has refusals at all, one to refuse
    kinds = {vector.kind for vector in FOREIGN}
    assert kinds == {"bls", "canister_signature", "certificate", "delegation", "envelope", "hash_tree", "principal"} | {
        "query_response",
        "representation_independent_hash",
        "vetkd",
        "webauthn",
    }


def test_every_kind_of_foreign_vectors_is_asked_by_another_test_too() -> None:
    """The tests beside each module, marked ``vectors(kind)``, look at more than a verdict."""
    marked = set()
    for path in (ROOT / "tests/icws_secure").rglob("test_*.py"):
        marked |= set(re.findall(r'mark\.vectors\("([a-z_]+)"\)', path.read_text()))
    assert marked >= {vector.kind for vector in FOREIGN}


def test_bytes_in_pieces_are_put_together_and_checked(tmp_path: Path) -> None:
    document = json.loads((VECTORS / "cbor.json").read_text())
    pieces = [test["input"]["data_hex"] for group in document["groups"] for test in group["tests"]]
    (first, *_) = [value["pieces"] for value in pieces if isinstance(value, dict)]
    found = next(vector for vector in ALL if vector.comment == "200,001 items")
    assert found.input["data_hex"] == "".join(piece * times for piece, times in first)
    for wrong in ([], [["00", 0]], [["0g", 1]], [["00"]], "00"):
        document["groups"][0]["tests"][0]["input"]["data_hex"] = {"pieces": wrong}
        path = tmp_path / "cbor.json"
        path.write_text(json.dumps(document))
        assert lint_file(path) != [], wrong


def test_every_requirement_says_why_and_against_what() -> None:
    for name, entry in requirements().items():
        assert entry.sentence, name
        assert entry.rationale.endswith("."), name
        assert entry.attack.endswith("."), name
