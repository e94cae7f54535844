"""The report while it goes on: failures as they come, a bar, and a summary by requirement."""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from icws_conformance.case import Result
from icws_conformance.requirements import Level, requirements
from icws_conformance.runner import Run
from icws_conformance.verdict import Verdict

__all__ = ["Terminal", "UnheardConsole"]

_COLOURS: Final = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EXPECTED_FAILURE: "magenta",
    Verdict.UNEXPECTED_PASS: "bold red",
}


class UnheardConsole(Console):
    """A console whose reader may leave (``| head``): the run goes on, and its report is written all the same."""

    def on_broken_pipe(self) -> None:
        """Say the rest to nobody."""
        self.quiet = True
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends


class Terminal:
    """``with Terminal(console, total) as shown: shown.result(...)``; afterwards ``summary``.

    Args:
        console: where to.
        total: how many cases there will be.
        verbose: whether to show what passed too.
    """

    def __init__(self, console: Console, total: int, *, verbose: bool = False) -> None:
        self._console = console
        self._verbose = verbose
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("cases", total=total)

    def __enter__(self) -> Terminal:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def result(self, result: Result, done: int, total: int) -> None:
        """Show one result."""
        self._bar.update(self._task, completed=done, total=total)
        if result.verdict in (Verdict.PASS, Verdict.NOT_APPLICABLE) and not self._verbose:
            return
        names = " ".join(name.removeprefix("ICWS-") for name in result.requirements)
        colour = _COLOURS[result.verdict]
        self._console.print(f"[{colour}]{result.verdict:>16}[/]  {_plain(result.case)}  [dim]{names}[/]")
        if result.verdict is Verdict.NOT_APPLICABLE:
            self._console.print(f"{'':18}[dim]because[/]  {_plain(result.reason)}")
        elif result.verdict is not Verdict.PASS:
            self._console.print(f"{'':18}[dim]expected[/] {_plain(result.expected)}")
            self._console.print(f"{'':18}[dim]seen[/]     {_plain(result.seen or '-')}")
            if result.reason:
                self._console.print(f"{'':18}[dim]because[/]  {_plain(result.reason)}")
            self._console.print(f"{'':18}[dim]alone[/]    {_plain(result.command)}")

    def summary(self, run: Run) -> None:
        """Show the counts, and the requirements that are not held to."""
        counted = Counter(result.verdict for result in run.results)
        words = ", ".join(
            f"[{_COLOURS[verdict]}]{counted[verdict]} {verdict}[/]" for verdict in Verdict if counted[verdict]
        )
        self._console.print(
            f"[bold]{run.target}[/] {_plain(run.implementation)}: {words or 'nothing was run'} in {run.seconds:.1f} s"
        )
        broken = Counter(
            name
            for result in run.results
            if result.verdict in (Verdict.FAIL, Verdict.EXPECTED_FAILURE)
            for name in result.requirements[:1]
        )
        if broken:
            table = Table("requirement", "level", "cases", "what it says", title="Not held to", title_justify="left")
            listed = requirements()
            for name in sorted(broken):
                entry = listed.get(name)
                level = entry.level if entry is not None else Level.MUST
                table.add_row(name, level, str(broken[name]), entry.title if entry is not None else "")
            self._console.print(table)


def _plain(text: str) -> str:
    """Text that cannot steer the terminal: implementations say what they like."""
    return escape("".join(char if char.isprintable() else "?" for char in text)[:600])
