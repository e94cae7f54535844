"""The JUnit report, for the servers that draw tests from it."""

from __future__ import annotations

from xml.etree import ElementTree

from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict

__all__ = ["junit_document"]


def junit_document(run: Run) -> str:
    """The run as JUnit's XML: inconclusive cases are errors; expected failures and what is not applicable, skipped."""
    results = run.results
    failed = sum(result.verdict in (Verdict.FAIL, Verdict.UNEXPECTED_PASS) for result in results)
    skipped = sum(result.verdict in (Verdict.NOT_APPLICABLE, Verdict.EXPECTED_FAILURE) for result in results)
    errors = sum(result.verdict is Verdict.INCONCLUSIVE for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"icws conformance {run.target}: {run.implementation}",
        tests=str(len(results)),
        failures=str(failed),
        errors=str(errors),
        skipped=str(skipped),
        time=f"{run.seconds:.3f}",
    )
    for result in results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            classname=f"{run.target}.{result.requirements[0] if result.requirements else 'none'}",
            name=_printable(result.case),
            time=f"{result.seconds:.3f}",
        )
        text = _printable(f"expected: {result.expected}\nseen: {result.seen}\nalone: {result.command}")
        if result.verdict in (Verdict.FAIL, Verdict.UNEXPECTED_PASS):
            ElementTree.SubElement(case, "failure", message=_printable(result.seen or result.reason)).text = text
        elif result.verdict is Verdict.INCONCLUSIVE:
            ElementTree.SubElement(case, "error", message=_printable(result.reason)).text = text
        elif result.verdict is not Verdict.PASS:
            ElementTree.SubElement(case, "skipped", message=_printable(f"{result.verdict}: {result.reason}"))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _printable(text: str) -> str:
    """Without what XML cannot hold: what an implementation says may be anything."""
    return "".join(char if char in "\n\t" or char.isprintable() else "\ufffd" for char in text)
