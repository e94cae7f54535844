"""``icws evidence``: check offline what a client caught a gateway at."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from icws_client import MAINNET_ROOT_KEY
from icws_client.evidence import read_evidence
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import recheck
from icws_secure.wire.principal import Principal

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

PRINCIPALS: Final = frozenset({"canister", "client_principal", "gateway", "pinned"})
LATEST_NS: Final = 1 << 63
MAX_SHOWN: Final = 400  # characters of a value
LIMITS: Final = (
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
    console.print(f"[bold]{_plain(path.name)}[/]")
    try:
        evidence = read_evidence(path)
        found = recheck(evidence)
    except IcwsError as error:
        console.print(f"  [red]not a record[/]: {_plain(error)}")
        return False
    _row(console, "kind", evidence.kind)
    _row(console, "recorded", f"{evidence.reason}: {evidence.text} [{evidence.requirement}]")
    _row(console, "received", f"{sum(map(len, evidence.received))} bytes")
    for name, value in evidence.settings.items():
        _row(console, name, _setting(name, value))
    if found is None:
        console.print("  [red]proves nothing[/]: the bytes are acceptable")
        return False
    _row(console, "found now", found)
    if found.reason != evidence.reason:
        console.print("  [red]does not hold[/]: the bytes fail, but otherwise than recorded")
        return False
    console.print("  [green]holds[/]: the bytes fail as recorded")
    return True


def _setting(name: str, value: object) -> str:
    """Return a setting in the form in which people know it."""
    if name == "root_key":
        return (
            "the main network's" if value == MAINNET_ROOT_KEY.raw else f"another than the main network's: {_hex(value)}"
        )
    if name in PRINCIPALS and isinstance(value, bytes):
        try:
            return Principal(value).to_text()
        except IcwsError:
            return f"no principal: {_hex(value)}"
    if name == "ic_now" and isinstance(value, int) and 0 <= value <= LATEST_NS:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value // NS_PER_S))
    return _hex(value)


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _row(console: Console, name: str, value: object) -> None:
    console.print(f"  {_plain(name):<17} {_plain(value)}")


def _plain(value: object) -> str:
    """Return text that cannot steer the terminal: a record comes from anywhere."""
    return escape("".join(char if char.isprintable() else "?" for char in str(value))[:MAX_SHOWN])
