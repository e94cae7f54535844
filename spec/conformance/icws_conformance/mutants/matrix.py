"""The published kill matrix: for each requirement its mutants, and the case that caught each. One file a role."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from icws_conformance.mutants.handmade import EXCEPTIONS
from icws_conformance.mutants.hunt import Catch
from icws_conformance.mutants.registry import mutants
from icws_conformance.requirements import requirements
from icws_conformance.resources import data_path

__all__ = ["MATRIX", "caught_in", "published", "update"]

MATRIX = "kill_matrix"
"""Name of the folder of the specification that holds it."""


@cache
def published() -> Mapping[str, str]:
    """The case that caught each mutant when the matrix was last written."""
    return caught_in(data_path(MATRIX))


def caught_in(folder: Path) -> dict[str, str]:
    """The case that caught each mutant, by the files of a folder."""
    return {
        str(entry["mutant"]): str(entry["case"])
        for path in sorted(folder.glob("*.json"))
        for row in json.loads(path.read_text(encoding="utf-8"))
        for entry in row["mutants"]
        if entry["case"]
    }


def update(folder: Path, caught: Sequence[Catch]) -> None:
    """Write what a hunt has found; what it did not hunt stays as the files have it."""
    cases = caught_in(folder) if folder.exists() else {}
    cases |= {catch.mutant: catch.case for catch in caught}
    folder.mkdir(parents=True, exist_ok=True)
    for role in {requirements()[catch.requirement].role for catch in caught}:
        names = [name for name, entry in requirements().items() if entry.role == role]
        text = json.dumps(list(_rows(names, cases)), indent=1, ensure_ascii=False) + "\n"
        (folder / f"{role}.json").write_text(text, encoding="utf-8")


def _rows(names: Iterable[str], cases: Mapping[str, str]) -> Iterable[dict[str, Any]]:
    for name in names:
        of_it = [entry for entry in mutants().values() if entry.requirement == name]
        entries = [{"mutant": m.name, "breaks": m.breaks, "case": cases.get(m.name, "")} for m in of_it]
        row: dict[str, Any] = {"requirement": name, "mutants": entries}
        yield row | ({"exception": EXCEPTIONS[name]} if name in EXCEPTIONS else {})
