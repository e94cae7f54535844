"""``icws evidence``: check offline what a client caught a gateway at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from icws_client.evidence import read_evidence
from icws_secure.errors import IcwsError
from icws_secure.session.client import recheck

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

LIMITS = (
    "This proves that these bytes break the protocol under these settings. It does not prove who sent them: "
    "gateways do not sign what they send."
)


@app.command()
def main(
    files: Annotated[list[Path], typer.Argument(help="Records that a client wrote (--evidence-dir).")],
) -> None:
    """Check records of misbehaviour again, offline.

    Exit code 0: every record holds; 1: at least one proves nothing, or is no record.
    """
    console = Console(highlight=False, soft_wrap=True)
    held = [_check(console, path) for path in files]
    if any(held):
        console.print(LIMITS)
    if not all(held):
        raise typer.Exit(1)


def _check(console: Console, path: Path) -> bool:
    """Show one record, and return whether its bytes fail today as they did then."""
    console.print(f"[bold]{escape(path.name)}[/]")
    try:
        evidence = read_evidence(path)
        found = recheck(evidence)
    except IcwsError as error:
        console.print(f"  [red]not a record[/]: {escape(str(error))}")
        return False
    _row(console, "kind", evidence.kind)
    _row(console, "recorded", f"{evidence.reason} [{evidence.requirement}] {evidence.text}")
    _row(console, "bytes", f"{sum(map(len, evidence.received))} in {len(evidence.received)} parts")
    for name, value in evidence.settings.items():
        _row(console, name, value.hex() if isinstance(value, bytes) else str(value))
    if found is None:
        console.print("  [red]proves nothing[/]: the bytes are acceptable")
        return False
    _row(console, "found now", str(found))
    if found.reason != evidence.reason:
        console.print("  [red]does not hold[/]: the bytes fail, but otherwise than recorded")
        return False
    console.print("  [green]holds[/]: the bytes fail as recorded")
    return True


def _row(console: Console, name: str, value: str) -> None:
    console.print(f"  {escape(name):<14} {escape(value)}")
