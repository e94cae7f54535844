"""The JUnit report, for the servers that draw tests from it."""

from __future__ import annotations

import time
from typing import Final
from xml.etree import ElementTree

from icws_conformance.case import Result
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict

__all__ = ["junit_document"]

_FAILURES: Final = (Verdict.FAIL, Verdict.UNEXPECTED_PASS)


def junit_document(run: Run) -> str:
    """The run as JUnit's XML, in the form that the common schema of it has: inconclusive cases are errors; expected
    failures and what is not applicable, skipped."""
    results = run.results
    failed = sum(result.verdict in _FAILURES for result in results)
    skipped = sum(result.verdict in (Verdict.NOT_APPLICABLE, Verdict.EXPECTED_FAILURE) for result in results)
    errors = sum(result.verdict is Verdict.INCONCLUSIVE for result in results)
    suite = ElementTree.Element(
        "testsuite",
        id="0",
        package=f"icws-conformance.{run.target}",
        name=_printable(f"icws conformance {run.target}: {run.implementation}"),
        timestamp=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(run.started)),
        hostname="localhost",
        tests=str(len(results)),
        failures=str(failed),
        errors=str(errors),
        skipped=str(skipped),
        time=f"{run.seconds:.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("implementation", run.implementation), ("command", run.command), ("python", run.python)):
        ElementTree.SubElement(properties, "property", name=name, value=_printable(value))
    for result in results:
        suite.append(_case(run.target, result))
    ElementTree.SubElement(suite, "system-out")
    ElementTree.SubElement(suite, "system-err")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(target: str, result: Result) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase",
        classname=f"{target}.{result.requirements[0] if result.requirements else 'none'}",
        name=_printable(result.case),
        time=f"{result.seconds:.3f}",
    )
    names = " ".join(result.requirements)
    text = _printable(
        f"requirements: {names}\nexpected: {result.expected}\nseen: {result.seen}\nalone: {result.command}"
    )
    if result.verdict in _FAILURES:
        what = {"message": _printable(result.seen or result.reason), "type": result.verdict.value}
        ElementTree.SubElement(case, "failure", what).text = text
    elif result.verdict is Verdict.INCONCLUSIVE:
        what = {"message": _printable(result.reason), "type": result.verdict.value}
        ElementTree.SubElement(case, "error", what).text = text
    elif result.verdict is not Verdict.PASS:
        ElementTree.SubElement(case, "skipped", message=_printable(f"{result.verdict}: {result.reason}"))
    return case


def _printable(text: str) -> str:
    """Without what XML cannot hold: what an implementation says may be anything."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)
