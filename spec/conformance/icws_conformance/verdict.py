"""What a case came to, and what a run of cases means for the program that started it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum

__all__ = ["ExitCode", "Verdict", "exit_code"]


class Verdict(StrEnum):
    """The outcome of a case."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"  # the implementation does not claim what the case is about
    INCONCLUSIVE = "inconclusive"  # nothing was shown, neither way
    EXPECTED_FAILURE = "expected failure"  # listed, with a reason
    UNEXPECTED_PASS = "unexpected pass"  # listed as a failure, and passed: the list is out of date # noqa: S105


class ExitCode(IntEnum):
    """The exit codes of ``icws conformance``."""

    CONFORMS = 0  # passes, expected failures and what is not applicable
    FAILS = 1  # a case failed, or one that is listed as a failure passed
    MISUSE = 2  # the command was wrong
    INCONCLUSIVE = 3  # nothing failed, and something could not be decided
    UNREACHABLE = 4  # the implementation did not start or does not answer


def exit_code(verdicts: Iterable[Verdict]) -> ExitCode:
    """What a run with these verdicts ends with. A run in which nothing passed or failed decides nothing."""
    seen = set(verdicts)
    if seen & {Verdict.FAIL, Verdict.UNEXPECTED_PASS}:
        return ExitCode.FAILS
    if Verdict.INCONCLUSIVE in seen or not seen & {Verdict.PASS, Verdict.EXPECTED_FAILURE}:
        return ExitCode.INCONCLUSIVE
    return ExitCode.CONFORMS
