"""What the demo says: plain at heart, so that a pipe, a log and 80 columns without colours lose nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from icws_cli.demo.attacks import Shown
from icws_cli.demo.verdict import Verdict
from icws_secure.wire.principal import Principal

__all__ = ["Show"]

MAX_WIDTH: Final = 100
INDENT: Final = 3
NAME_WIDTH: Final = 11
VERIFIED_WIDTH: Final = 49


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
        self._print(Text(text, style="bold"))

    def step(self, text: str) -> None:
        """The next thing that happens."""
        self._steps += 1
        self._console.print()
        self._wrapped(Text(f"{self._steps}. ", style="bold"), Text(text, style="bold"))

    def note(self, text: str) -> None:
        """A sentence or two in between."""
        self._wrapped(Text(" " * INDENT), Text(text, style="dim"))

    def fact(self, name: str, text: str) -> None:
        """Something with a name."""
        self._named(Text(name, style="cyan"), Text(text))

    def line(self, number: int, gateway: str, speaker: str, text: str) -> None:
        """A line of the room."""
        words = Text(f'{speaker}: "{text}"') if speaker else Text(text, style="dim")
        self._named(Text(f"#{number} via {gateway}", style="dim"), words)

    def verified(self, text: str, *requirements: str) -> None:
        """Something that a client has checked, and the requirements that say so."""
        for requirement in requirements:
            words = Text.assemble(text.ljust(VERIFIED_WIDTH), " ", (requirement, "dim"))
            self._named(Text("verified" if text else "", style="green"), words)
            text = ""

    def failed(self, text: str) -> None:
        """Something that must not happen."""
        self._named(Text("FAILED", style="bold red"), Text(text))

    def attack(self, number: int, shown: Shown, verdict: Verdict) -> None:
        """An attack that was just played."""
        word = Text("caught", style="green") if verdict.is_caught else Text("FAILED", style="bold red")
        self._named(word, Text(f"{number:>2}. {shown.title}"))

    def table(self, rows: Sequence[tuple[Shown, Verdict]]) -> None:
        """All attacks at one glance."""
        table = Table(pad_edge=False)
        table.add_column("", justify="right", no_wrap=True)
        table.add_column("tried", max_width=26)
        table.add_column("the client", max_width=31)
        table.add_column("caught by", no_wrap=True)
        for number, (shown, verdict) in enumerate(rows, 1):
            caught_by = verdict.requirement or f"({shown.requirements[0]})"
            cells = (str(number), shown.title, verdict.did, caught_by if verdict.is_caught else "NOTHING")
            table.add_row(*cells, style="" if verdict.is_caught else "bold red")
        self._console.print()
        self._console.print(table)
        if any(verdict.is_caught and not verdict.requirement for _, verdict in rows):
            self._wrapped(
                Text(),
                Text(
                    "In brackets: none of the client's checks had to fail; this is the requirement that made the "
                    "attack useless before.",
                    style="dim",
                ),
            )

    def end(self, text: str, *, good: bool) -> None:
        """The last line."""
        self._console.print()
        self._print(Text(text, style="bold green" if good else "bold red"))

    @staticmethod
    def short(principal: Principal) -> str:
        """The beginning of a principal, enough to tell it from others."""
        return principal.to_text()[:11] + ".."

    def _named(self, name: Text, text: Text) -> None:
        name.pad_right(max(1, NAME_WIDTH - len(name)))
        self._wrapped(Text.assemble(" " * INDENT, name), text)

    def _wrapped(self, head: Text, text: Text) -> None:
        """Print ``text`` beside ``head``, its later lines below its first one."""
        for line in text.wrap(self._console, max(20, self._console.width - len(head))):
            line.rstrip()
            self._print(Text.assemble(head, line))
            head = Text(" " * len(head))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
