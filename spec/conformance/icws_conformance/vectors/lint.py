"""Checks files of vectors: the schema, and what a schema cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped] # it ships no types

from icws_conformance.requirements import requirements
from icws_secure.errors import Reason

__all__ = ["lint_file"]


def lint_file(path: Path) -> list[str]:
    """The faults of a file, each as one sentence; none if it is in order."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return [f"cannot be read: {error}"]
    faults = [f"{error.json_path}: {error.message}"[:300] for error in _schema().iter_errors(document)]
    return faults or list(_sense(document))


@cache
def _schema() -> Draft202012Validator:
    schema = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _sense(document: dict[str, Any]) -> Iterator[str]:
    tests = [test for group in document["groups"] for test in group["tests"]]
    ids = [test["id"] for test in tests]
    if ids != list(range(1, len(ids) + 1)):
        yield "ids are not 1, 2, 3, ... in order"
    if document["count"] != len(tests):
        yield f"count is {document['count']}, and there are {len(tests)} tests"
    comments = [test["comment"] for test in tests]
    yield from (f"two tests have the comment {comment!r}" for comment in {c for c in comments if comments.count(c) > 1})
    used = {flag for test in tests for flag in test["flags"]}
    yield from (f"flag {flag} has no note" for flag in sorted(used - set(document["notes"])))
    yield from (f"note {flag} is not used" for flag in sorted(set(document["notes"]) - used))
    reasons = {reason.value for reason in Reason}
    for group in document["groups"]:
        for test in group["tests"]:
            where = f"test {test['id']}"
            yield from (f"{where} names no requirement: {n}" for n in test["requirements"] if n not in requirements())
            yield from (f"{where} names no reason: {name}" for name in test.get("reasons", ()) if name not in reasons)
            if overlap := set(group["shared"]) & set(test["input"]):
                yield f"{where} has fields that its group has: {', '.join(sorted(overlap))}"
            yield from (f"{where}: {fault}" for fault in _hexadecimal(test["input"]))
    if not any(test["verdict"] == "accept" for test in tests):
        yield "nothing is accepted: a program that refuses everything would pass"


def _hexadecimal(value: object, name: str = "") -> Iterator[str]:
    if name.endswith("_hex") and isinstance(value, dict):
        pieces = value.get("pieces") if len(value) == 1 else None
        for piece in pieces if isinstance(pieces, list) and pieces else [None]:
            if not isinstance(piece, list) or len(piece) != 2 or type(piece[1]) is not int or piece[1] < 1:
                yield f"{name} is not of pieces and how often each comes"
            else:
                yield from _hexadecimal(piece[0], name)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _hexadecimal(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from _hexadecimal(item, name)
    elif name.endswith("_hex"):
        try:
            lower = isinstance(value, str) and bytes.fromhex(value).hex() == value
        except ValueError:
            lower = False
        if not lower:
            yield f"{name} is not lower-case hexadecimal"
