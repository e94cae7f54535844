"""Verdicts, expected failures, exit codes and reports."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.cli import app
from icws_conformance.expected import read_expected
from icws_conformance.reports import html_page, junit_document, read_run, write_reports
from icws_conformance.runner import Run, run_cases, select
from icws_conformance.verdict import ExitCode, Verdict, exit_code
from icws_conformance.wirelog import MAX_ENTRIES, WireLog
from icws_secure.errors import MisuseError, TransportError
from icws_secure.wire import cbor

HOSTILE = "<script>alert(1)</script>\x1b[2J"


def case(name: str, outcome: Exception | None = None, *, limit_s: float = 5.0, stall: bool = False) -> Case:
    async def run(log: WireLog) -> Finding:
        log.sent("suite", "client", "a frame", cbor.encode_self_described({"tree": [2, b"websocket", [4, bytes(32)]]}))
        if stall:
            await asyncio.Event().wait()
        if outcome is not None:
            log.note(HOSTILE, blamed=True)
            raise outcome
        return Finding("as expected")

    return Case(name, f"title of {name}", ("ICWS-CLT-025",), "refused", run, limit_s)


CASES = [
    case("passes"),
    case("fails", Failed(HOSTILE)),
    case("does-not-apply", NotApplicable("no such feature")),
    case("says-nothing", Inconclusive("nothing came")),
    case("stumbles", TransportError("no network")),
    case("stalls", limit_s=0.05, stall=True),
]


async def run_of(cases: list[Case], **expected: str) -> Run:
    return await run_cases(
        cases, target="client", implementation="a <b>", command="icws conformance", expected=expected
    )


async def test_outcomes_become_verdicts() -> None:
    run = await run_of(CASES)
    assert [result.verdict for result in run.results] == [
        Verdict.PASS,
        Verdict.FAIL,
        Verdict.NOT_APPLICABLE,
        Verdict.INCONCLUSIVE,
        Verdict.INCONCLUSIVE,
        Verdict.INCONCLUSIVE,
    ]
    assert all(result.reason for result in run.results[2:])
    assert run.results[1].command == "icws conformance --case 'fails'"


async def test_expected_failure_is_no_failure_and_an_unexpected_pass_is_one() -> None:
    run = await run_of(CASES[:2], fails="known", passes="was known")
    assert [result.verdict for result in run.results] == [Verdict.UNEXPECTED_PASS, Verdict.EXPECTED_FAILURE]
    assert run.exit_code is ExitCode.FAILS
    assert (await run_of(CASES[1:2], fails="known")).exit_code is ExitCode.CONFORMS


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PASS, Verdict.NOT_APPLICABLE, Verdict.EXPECTED_FAILURE], ExitCode.CONFORMS),
        ([Verdict.PASS, Verdict.INCONCLUSIVE], ExitCode.INCONCLUSIVE),
        ([Verdict.FAIL, Verdict.INCONCLUSIVE], ExitCode.FAILS),
        ([Verdict.UNEXPECTED_PASS], ExitCode.FAILS),
        ([Verdict.NOT_APPLICABLE], ExitCode.INCONCLUSIVE),
        ([], ExitCode.INCONCLUSIVE),
    ],
)
def test_exit_code(verdicts: list[Verdict], code: ExitCode) -> None:
    assert exit_code(verdicts) is code


def test_cases_are_selected_by_name_and_requirement() -> None:
    assert [chosen.id for chosen in select(CASES, ["s*"], [])] == ["says-nothing", "stumbles", "stalls"]
    assert select(CASES, [], ["ICWS-CLT-025"]) == CASES
    assert select(CASES, [], []) == CASES
    with pytest.raises(MisuseError):
        select(CASES, ["nobody"], [])
    with pytest.raises(MisuseError):
        select(CASES, [], ["ICWS-CLT-999"])


@pytest.mark.parametrize(
    "text",
    [
        "expected = 1",
        "[[expected]]\ncase = 'fails'",
        "[[expected]]\ncase = 'fails'\nreason = ' '",
        "[[expected]]\ncase = 'nobody'\nreason = 'known'",
        "[[expected]]\ncase = 'fails'\nreason = 'known'\nmore = 1",
        "[[other]]",
        "[[",
    ],
)
def test_file_of_expected_failures_that_is_not_in_order_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(text)
    with pytest.raises(MisuseError):
        read_expected(path, {"fails"})


def test_file_of_expected_failures_is_read(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    path.write_text("[[expected]]\ncase = 'fails'\nreason = 'known'")
    assert read_expected(path, {"fails"}) == {"fails": "known"}


async def test_reports_hold_everything_and_hide_nothing(tmp_path: Path) -> None:
    run = await run_of(CASES)
    paths = write_reports([run], tmp_path)
    assert [path.suffix for path in paths] == [".json", ".xml", ".html"]
    assert read_run(paths[0]) == run
    suite = ElementTree.parse(paths[1]).getroot()[0]  # noqa: S314 - our own
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "6",
        "failures": "1",
        "errors": "3",
        "skipped": "1",
    }
    page = paths[2].read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "root hash" in page
    assert all(f"title of {entry.id}" in page for entry in CASES)


async def test_several_runs_stand_side_by_side(tmp_path: Path) -> None:
    page = html_page([await run_of(CASES[:1]), await run_of(CASES[1:2])])
    assert page.count("<section class=run ") == 2
    assert 'href="#case-0-passes"' in page
    assert 'href="#case-1-fails"' in page


async def test_long_log_is_drawn_of_a_failure_and_abridged_of_a_pass() -> None:
    async def talk(log: WireLog) -> Finding:
        for number in range(80):
            log.sent("suite", "client", f"frame {number}", cbor.encode_self_described({"number": [number + 1000] * 70}))
        return Finding("as expected")

    async def fail(log: WireLog) -> Finding:
        await talk(log)
        raise Failed("no answer")

    for play, documents, lines, raw in ((talk, 8, 16, 0), (fail, 60, 72, 60)):
        page = html_page([await run_of([Case("long", "a long case", ("ICWS-CLT-025",), "refused", play)])])
        assert page.count("<ul class=tree>") == documents
        assert all(f"frame {number} " in page for number in range(80))
        drawings = re.findall(r"<ul class=tree>.*?</details>", page)
        assert {drawing.count("<li") for drawing in drawings} == {lines}
        assert all(("and more" in drawing) == (lines == 16) for drawing in drawings)
        assert page.count("<details class=bytes>") == raw


async def test_what_shows_a_failure_is_shown_as_it_is_however_late_it_comes() -> None:
    async def fail(log: WireLog) -> Finding:
        for number in range(80):
            blamed = number == 79
            log.sent("suite", "client", "frame", cbor.encode_self_described(list(range(190 + number))), blamed=blamed)
        raise Failed("no answer")

    page = html_page([await run_of([Case("long", "a long case", ("ICWS-CLT-025",), "refused", fail)])])
    assert page.count("<ul class=tree>") == 61
    (blamed,) = re.findall(r"<li class=blamed><details open>.*?</details></details>", page)
    assert blamed.count("<li") == 2 + 200
    assert "and more" not in blamed


async def test_part_that_many_documents_have_is_drawn_once_in_a_case() -> None:
    delegation = {"subnet_id": b"subnet", "certificate": b"certificate", "words": "the same"}

    async def talk(log: WireLog) -> Finding:
        for number in range(4):
            log._began -= 1  # a second later
            log.sent("suite", "client", "frame", cbor.encode_self_described({"n": number, "delegation": delegation}))
        return Finding("as expected")

    page = html_page([await run_of([Case("long", "a long case", ("ICWS-CLT-025",), "refused", talk)])])
    assert page.count("<b>words</b> the same") == 1
    assert page.count("<b>delegation</b>") == 4
    assert page.count("<small>as at 1.00") == 3


async def test_page_says_where_what_it_leaves_out_is(tmp_path: Path) -> None:
    run = await run_of(CASES)
    *_, page = write_reports([run, replace(run, implementation="b/<c> d")], tmp_path)
    for target in re.findall(r'all that was written down is in <a href="([^"]+)">', page.read_text()):
        assert read_run(tmp_path / unquote(target)).results == run.results
    assert page.read_text().count("all that was written down is in") == 2


async def test_merged_page_points_to_the_reports_that_it_was_made_from(tmp_path: Path) -> None:
    path, *_ = write_reports([await run_of(CASES[:1])], tmp_path / "one")
    page = tmp_path / "two" / "page.html"
    result = CliRunner().invoke(app, ["report", str(path), "--html", str(page)])
    assert result.exit_code == 0
    (target,) = re.findall(r'all that was written down is in <a href="([^"]+)">', page.read_text())
    assert (page.parent / unquote(target)).resolve() == path


async def test_page_of_very_many_long_logs_stays_small() -> None:
    async def talk(log: WireLog) -> Finding:
        for number in range(300):
            log.sent("suite", "client", "frame", cbor.encode_self_described({str(number): [b"x" * 40] * 190}))
        return Finding("as expected")

    cases = [Case(f"long-{number}", "a long case", ("ICWS-CLT-025",), "refused", talk) for number in range(20)]
    run = await run_of(cases)
    assert len(html_page([run])) / len(cases) < 80_000


async def test_junit_has_the_form_that_its_common_schema_demands() -> None:
    """Elements, their order and the attributes that must be there, and numbers that agree."""
    run = await run_of([*CASES, case("listed", Failed("known"))], listed="known for years")
    text = junit_document(run)
    root = ElementTree.fromstring(text.split("\n", 1)[1])  # noqa: S314 - our own
    assert root.tag == "testsuites"
    (suite,) = root
    assert set(suite.attrib) == {"id", "package", "name", "timestamp", "hostname", "time"} | {
        "tests",
        "failures",
        "errors",
        "skipped",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp", ""))
    tags = [child.tag for child in suite]
    assert tags == ["properties", *["testcase"] * len(run.results), "system-out", "system-err"]
    cases = suite.findall("testcase")
    assert all(set(entry.attrib) == {"name", "classname", "time"} and len(entry) <= 1 for entry in cases)
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        found = [entry for entry in cases if entry.find(tag) is not None]
        assert len(found) == int(suite.get(attribute, "-1")), tag
    assert all({"message", "type"} == set(child.attrib) for entry in cases for child in entry if child.tag != "skipped")
    assert {prop.get("name") for prop in suite.iter("property")} == {"implementation", "command", "python"}


async def test_junit_survives_what_xml_cannot_hold() -> None:
    ElementTree.fromstring(junit_document(await run_of(CASES)).split("\n", 1)[1])  # noqa: S314 - our own


def test_log_is_bounded_and_keeps_what_is_blamed() -> None:
    log = WireLog()
    for _ in range(MAX_ENTRIES + 10):
        log.note("x")
    log.note("the failure", blamed=True)
    assert len(log.entries) == MAX_ENTRIES + 2
    assert log.entries[-2].blamed
    assert "10 more" in log.entries[-1].what


def test_command_line_ends_as_the_verdicts_say(tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["vectors", "--case", "frames-1", "--report", str(tmp_path)])
    assert done.exit_code == ExitCode.CONFORMS, done.output
    page = tmp_path / "both.html"
    json_report = tmp_path / "vectors-icws-secure.json"
    assert json.loads(json_report.read_text())["exit_code"] == 0
    assert runner.invoke(app, ["report", str(json_report), str(json_report), "--html", str(page)]).exit_code == 0
    assert page.read_text().startswith("<!doctype html>")
    assert runner.invoke(app, ["vectors", "--case", "nobody"]).exit_code == ExitCode.MISUSE
    assert runner.invoke(app, ["vectors", "--start", "/no/such/program"]).exit_code == ExitCode.UNREACHABLE
    assert runner.invoke(app, ["vectors", "--start", "'"]).exit_code == ExitCode.MISUSE
    listed = runner.invoke(app, ["vectors", "--list", "--case", "frames-*"])
    assert listed.exit_code == 0
    assert "frames-1\tICWS-LIB-024" in listed.output
    assert runner.invoke(app, ["lint"]).exit_code == 0
    assert runner.invoke(app, ["canister", "--ic-url", "http://127.0.0.1:1"]).exit_code == ExitCode.MISUSE
    assert runner.invoke(app, ["generate", "--check", str(tmp_path)]).exit_code == ExitCode.FAILS


def test_reader_that_leaves_costs_neither_run_nor_report(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "icws_conformance.cli", "vectors", "-v", "--report", str(tmp_path)]
    words += ["--case", "principal*"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:  # noqa: S603 - our own
        assert program.stdout is not None
        program.stdout.close()
        assert program.stderr is not None
        assert program.stderr.read() == b""
        assert program.wait() == ExitCode.CONFORMS
    assert list(tmp_path.glob("*.json"))
