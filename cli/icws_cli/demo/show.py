"""What the demo says: plain at heart, so that a pipe, a log and 80 columns without colours lose nothing."""

from __future__ import annotations

from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from icws_cli.demo.attacks import Shown
from icws_cli.demo.verdict import Verdict
from icws_secure.wire.principal import Principal

__all__ = ["Show"]

MAX_WIDTH: Final = 110
NAME_WIDTH: Final = 10


class Show:
    """Prints steps, facts and what was verified.

    Args:
        console: where to.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._console.width = min(self._console.width, MAX_WIDTH)
        self._steps = 0

    def title(self, text: str) -> None:
        """The first line."""
        self._console.print(text, style="bold")

    def step(self, text: str) -> None:
        """The next thing that happens."""
        self._steps += 1
        self._console.print()
        self._console.print(f"[bold]{self._steps}. {escape(text)}[/]")

    def note(self, text: str) -> None:
        """A sentence in between."""
        self._console.print(Text("   " + text, style="dim"))

    def fact(self, name: str, text: str) -> None:
        """Something with a name."""
        self._columns(Text(name, style="cyan"), Text(text))

    def line(self, number: int, gateway: str, speaker: str, text: str) -> None:
        """A line of the room."""
        words = f'{speaker}: "{text}"' if speaker else text
        self._columns(Text(f"#{number} via {gateway}", style="dim"), Text(words, style="" if speaker else "dim"))

    def verified(self, text: str, *requirements: str) -> None:
        """Something that a client has checked, and the requirements behind it."""
        self._columns(Text("verified", style="green"), Text.assemble(text, "  ", (" ".join(requirements), "dim")))

    def failed(self, text: str) -> None:
        """Something that must not happen."""
        self._columns(Text("FAILED", style="bold red"), Text(text))

    def attack(self, number: int, shown: Shown, verdict: Verdict) -> None:
        """An attack that was just played."""
        word = Text("caught", style="green") if verdict.is_caught else Text("FAILED", style="bold red")
        self._columns(word, Text(f"{number}. {shown.title}: the client {verdict.did}"))

    def table(self, rows: list[tuple[Shown, Verdict]]) -> None:
        """All attacks at one glance."""
        table = Table(title_justify="left", expand=False, pad_edge=False)
        table.add_column("#", justify="right", no_wrap=True)
        table.add_column("tried", max_width=24)
        table.add_column("what the client did", max_width=32)
        table.add_column("caught by", no_wrap=True)
        for number, (shown, verdict) in enumerate(rows, 1):
            own = verdict.requirement
            by = own or f"({shown.requirements[0]})"
            style = "" if verdict.is_caught else "bold red"
            table.add_row(str(number), shown.title, verdict.did, by if verdict.is_caught else "NOTHING", style=style)
        self._console.print()
        self._console.print(table)
        if any(verdict.is_caught and not verdict.requirement for _, verdict in rows):
            self._console.print(
                "In brackets: the attack never reached the client's checks; another part's requirement met it.",
                style="dim",
            )

    def end(self, text: str, *, good: bool) -> None:
        """The last line."""
        self._console.print()
        self._console.print(text, style="bold green" if good else "bold red")

    @staticmethod
    def short(principal: Principal) -> str:
        """The beginning of a principal, enough to tell it from others."""
        return principal.to_text()[:11] + ".."

    def _columns(self, name: Text, text: Text) -> None:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(width=3)
        grid.add_column(width=NAME_WIDTH, no_wrap=True)
        grid.add_column()
        grid.add_row("", name, text)
        self._console.print(grid)
