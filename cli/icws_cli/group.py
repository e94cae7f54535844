"""The commands of ``icws``, each imported when it is called and not before.

The parts of the project are installed by role, so a command may be listed without being there. Listing imports
nothing; a command whose part or whose packages are missing says in one sentence what to install.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["PARTS", "Part", "app"]

DISTRIBUTION: Final = "icws-secure"


@dataclass(frozen=True, slots=True)
class Part:
    """One command: where it is, what it needs.

    Attributes:
        name: what is typed after ``icws``.
        module: the module that holds it.
        attribute: its name there: a ``typer.Typer`` or a function.
        extra: the extra of the distribution that brings its packages.
        help: one line for the list of commands.
    """

    name: str
    module: str
    attribute: str
    extra: str
    help: str


PARTS: Final[dict[str, Part]] = {
    part.name: part
    for part in (
        Part("demo", "icws_cli.demo", "app", "all", "Show authenticated messages, and a hostile gateway that fails."),
        Part("dev", "icws_cli.dev", "app", "all", "Keep a local replica and a gateway running for your own clients."),
        Part("replica", "icws_canister_mock.cli", "app", "replica", "Run a local Internet Computer with canisters."),
        Part("gateway", "icws_gateway.cli", "app", "gateway", "Run a gateway."),
        Part("connect", "icws_cli.connect", "app", "client", "Talk to a canister from the terminal."),
        Part("evidence", "icws_cli.evidence", "app", "client", "Check offline what a client caught a gateway at."),
        Part("hostile", "icws_cli.hostile", "app", "all", "Run a gateway that attacks its clients, to try one's own."),
        Part("conformance", "icws_conformance.cli", "app", "conformance", "Test an implementation against the spec."),
    )
}


class _LazyCommand(TyperCommand):
    """A name and a line of help, until it is called; then the real command takes over, arguments and all."""

    def __init__(self, part: Part) -> None:
        super().__init__(part.name, help=part.help)
        self._part = part

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        return _load(self._part).make_context(info_name, args, parent, **extra)


class _LazyGroup(TyperGroup):
    """The group whose commands are :data:`PARTS`."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(PARTS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        part = PARTS.get(cmd_name)
        return None if part is None else _LazyCommand(part)


app = typer.Typer(
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="End-to-end message authentication for WebSockets to Internet Computer canisters.",
)


def _print_version(wanted: bool) -> None:
    if not wanted:
        return
    try:
        typer.echo(f"icws {version(DISTRIBUTION)}")
    except PackageNotFoundError:
        typer.echo("icws (not installed, hence without a version)")
    raise typer.Exit


@app.callback()
def _root(
    _version: bool = typer.Option(
        False, "--version", help="Print the version and exit.", is_eager=True, callback=_print_version
    ),
) -> None:
    """Only the options that stand before a command."""


def _load(part: Part) -> Any:
    """Import the real command of *part*; exit with one sentence where something is not installed."""
    try:
        found = getattr(importlib.import_module(part.module), part.attribute)
    except ModuleNotFoundError as error:
        package = part.module.partition(".")[0]
        if error.name is not None and error.name.partition(".")[0] == package:
            message = f"icws {part.name}: this part is not in this installation."
        else:
            message = f"icws {part.name} needs {error.name}: pip install '{DISTRIBUTION}[{part.extra}]'"
        typer.echo(message, err=True)
        raise typer.Exit(1) from None
    command = typer.main.get_command(found)
    command.name = part.name
    return command
