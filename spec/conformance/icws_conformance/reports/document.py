"""The JSON report: all that is known of a run. The other reports are made from it, also later and from several."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from icws_conformance.case import Result
from icws_conformance.draw import Node
from icws_conformance.reports.html import html_page
from icws_conformance.reports.junit import junit_document
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import Entry
from icws_secure.errors import MisuseError, Reason

__all__ = ["FORMAT", "read_run", "run_document", "write_reports"]

#: The form of the document; it changes when a reader has to.
FORMAT: Final = "icws-conformance-report/1"


def run_document(run: Run) -> dict[str, Any]:
    """The run as values of JSON."""
    return {"format": FORMAT, **asdict(run), "exit_code": int(run.exit_code)}


def read_run(path: Path) -> Run:
    """Read a run back from its JSON report.

    Raises:
        MisuseError: the file is none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.pop("format") != FORMAT:
            raise MisuseError("this report is of another form", reason=Reason.MALFORMED, path=path.name)
        document.pop("exit_code")
        results = tuple(_result(entry) for entry in document.pop("results"))
        return Run(**document, results=results)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MisuseError("this is no report", reason=Reason.MALFORMED, path=path.name) from error


def write_reports(runs: list[Run], folder: Path, *, name: str | None = None) -> list[Path]:
    """Write JSON and JUnit of each run and one HTML page of all into a folder; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    records = []
    for run in runs:
        stem = f"{run.target}-{_file_name(run.implementation)}"
        records.append(f"{stem}.json")
        for suffix, text in (
            (".json", json.dumps(run_document(run), indent=1)),
            (".xml", junit_document(run)),
        ):
            path = folder / (stem + suffix)
            path.write_text(text, encoding="utf-8")
            written.append(path)
    page = folder / f"{name or (stem if len(runs) == 1 else 'conformance')}.html"
    page.write_text(html_page(runs, records), encoding="utf-8")
    return [*written, page]


def _file_name(text: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "-" for char in text)[:80] or "unnamed"


def _result(entry: dict[str, Any]) -> Result:
    log = tuple(Entry(**(line | {"drawn": _node(line["drawn"])})) for line in entry["log"])
    return Result(
        **(entry | {"verdict": Verdict(entry["verdict"]), "requirements": tuple(entry["requirements"]), "log": log})
    )


def _node(value: dict[str, Any] | None) -> Node | None:
    if value is None:
        return None
    children = tuple(node for child in value["children"] if (node := _node(child)) is not None)
    return Node(value["label"], value["value"], children, value["kind"])
