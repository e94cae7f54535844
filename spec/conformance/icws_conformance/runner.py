"""Runs cases, some at a time, and turns what happens into verdicts."""

from __future__ import annotations

import asyncio
import fnmatch
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from icws_conformance.case import Case, Failed, Inconclusive, NotApplicable, Result
from icws_conformance.verdict import ExitCode, Verdict, exit_code
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError, MisuseError, Reason

__all__ = ["Run", "run_cases", "select"]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of one target on one implementation.

    Attributes:
        target: vectors, client, gateway or canister.
        implementation: its name, as the user gave it or it gave itself.
        command: the command of the whole run.
        started: seconds since 1970.
        seconds: how long it took.
        python: the Python that ran it.
        results: what came of each case, in the order of the cases.
    """

    target: str
    implementation: str
    command: str
    started: int
    seconds: float
    results: tuple[Result, ...]
    python: str = field(default_factory=platform.python_version)

    @property
    def exit_code(self) -> ExitCode:
        """What the program ends with."""
        return exit_code(result.verdict for result in self.results)


def select(cases: Sequence[Case], names: Iterable[str], ids: Iterable[str]) -> list[Case]:
    """The cases of these names (with ``*``) and of these requirements; all cases where neither is given.

    Raises:
        MisuseError: a name or a requirement selects nothing.
    """
    names, ids = list(names), list(ids)
    if not names and not ids:
        return list(cases)
    chosen: dict[str, Case] = {}
    for wanted in names:
        found = [case for case in cases if fnmatch.fnmatchcase(case.id, wanted) or case.id == wanted]
        if not found:
            raise MisuseError("no case has this name; --list shows all", reason=Reason.INVALID_ARGUMENT, case=wanted)
        chosen |= {case.id: case for case in found}
    for wanted in ids:
        found = [case for case in cases if wanted in case.requirements]
        if not found:
            raise MisuseError("no case tests this requirement", reason=Reason.INVALID_ARGUMENT, requirement=wanted)
        chosen |= {case.id: case for case in found}
    return [case for case in cases if case.id in chosen]


async def run_cases(
    cases: Sequence[Case],
    *,
    target: str,
    implementation: str,
    command: str,
    expected: Mapping[str, str] | None = None,
    at_once: int = 4,
    progress: Callable[[Result, int, int], None] | None = None,
) -> Run:
    """Run cases.

    Args:
        cases: which.
        target: of the report.
        implementation: of the report.
        command: the command of the whole run, without ``--case``.
        expected: reasons of expected failures, by case.
        at_once: how many at a time.
        progress: told of each result, with how many are done and how many there are.
    """
    began, started = time.monotonic(), int(time.time())
    results: dict[str, Result] = {}
    room = asyncio.Semaphore(at_once)

    async def one(case: Case) -> None:
        async with room:
            result = await _run(case, f"{command} --case '{case.id}'", (expected or {}).get(case.id))
        results[case.id] = result
        if progress is not None:
            progress(result, len(results), len(cases))

    async with asyncio.TaskGroup() as group:
        for case in cases:
            group.create_task(one(case))
    return Run(
        target,
        implementation,
        command,
        started,
        round(time.monotonic() - began, 2),
        tuple(results[case.id] for case in cases),
    )


def _place(error: Exception) -> str:
    """File and line where an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"


async def _run(case: Case, command: str, expected: str | None) -> Result:
    log = WireLog()
    began = time.monotonic()
    verdict, seen, reason = Verdict.PASS, "", ""
    try:
        async with asyncio.timeout(case.limit_s):
            finding = await case.run(log)
        seen = finding.seen
    except Failed as failed:
        verdict, seen = Verdict.FAIL, str(failed)
    except NotApplicable as why:
        verdict, reason = Verdict.NOT_APPLICABLE, str(why)
    except Inconclusive as why:
        verdict, reason = Verdict.INCONCLUSIVE, str(why)
    except TimeoutError:
        verdict, reason = Verdict.INCONCLUSIVE, f"the case did not end within {case.limit_s:g} s"
    except (IcwsError, OSError, EOFError) as error:
        # what the suite itself stumbles over says nothing about the implementation
        verdict, reason = Verdict.INCONCLUSIVE, f"the suite could not go on: {error}"
    except Exception as error:  # noqa: BLE001 - a mistake of the suite's: it costs this case, and not the whole run
        verdict = Verdict.INCONCLUSIVE
        reason = f"a mistake of the suite, please report it: {type(error).__name__}: {error} ({_place(error)})"
    if expected is not None and verdict is Verdict.FAIL:
        verdict, reason = Verdict.EXPECTED_FAILURE, expected
    elif expected is not None and verdict is Verdict.PASS:
        verdict, reason = Verdict.UNEXPECTED_PASS, f"listed as an expected failure: {expected}"
    return Result(
        case=case.id,
        title=case.title,
        requirements=case.requirements,
        expected=case.expected,
        seen=seen,
        verdict=verdict,
        reason=reason,
        gain=case.gain,
        seconds=round(time.monotonic() - began, 3),
        command=command,
        log=log.entries,
    )
