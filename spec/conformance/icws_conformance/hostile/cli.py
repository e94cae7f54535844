"""``icws hostile``: a hostile gateway in front of a real one, for one's own client to be tried on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from typing import Annotated, Final

import typer

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.catalogue import CATALOGUE, AttackEntry, Scene
from icws_conformance.hostile.forge import Forge
from icws_conformance.hostile.proxy import HostileGateway
from icws_conformance.hostile.target import Kind, Target
from icws_secure.errors import IcwsError, MisuseError
from icws_secure.wire.principal import Principal

__all__ = ["hostile_command"]

_TICK_S: Final = 0.5
_NOWHERE: Final = Principal(b"\x00" * 8 + b"\x01\x01")


def hostile_command(forge_of: Callable[[str], Forge] | None = None) -> typer.Typer:
    """Make the command.

    Args:
        forge_of: gives the keys of the local IC that was started with a seed; None where nobody has them.
    """
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    def main(
        upstream: Annotated[str | None, typer.Option(help="WebSocket address of the real gateway.")] = None,
        listen: Annotated[str, typer.Option(help="Address and port; port 0 takes a free one.")] = "127.0.0.1:8090",
        attack: Annotated[str | None, typer.Option(help="What to do to clients; see --list.")] = None,
        canister: Annotated[str | None, typer.Option(help="The clients' canister, for forged certificates.")] = None,
        other_canister: Annotated[str | None, typer.Option(help="Another canister of the same subnet.")] = None,
        ic_url: Annotated[str | None, typer.Option(help="Address of the IC, for attacks that submit calls.")] = None,
        seed: Annotated[str | None, typer.Option(help="Seed of the local replica, for forged certificates.")] = None,
        after: Annotated[int, typer.Option(min=0, help="Messages that pass before a single one is struck.")] = 1,
        at_open: Annotated[bool, typer.Option(help="Strike the answer to the open, not an application's.")] = False,
        subprotocol: Annotated[bool, typer.Option(help="Let clients speak icws-secure.1.")] = True,
        show: Annotated[bool, typer.Option("--list", help="List the attacks and exit.")] = False,
    ) -> None:
        """Attack every client that connects. For tests of clients; it can do nothing that any gateway could not."""
        if show:
            _list()
            return
        try:
            if upstream is None or attack is None:
                raise MisuseError("give --upstream and --attack, or --list")
            entry = _entry(attack)
            if entry.needs_ic and ic_url is None:
                raise MisuseError("this attack submits calls to the IC: give --ic-url")
            forge = forge_of(seed) if forge_of is not None and seed is not None else None
            kind = Kind.OPEN if at_open else Kind.APPLICATION
            scene = Scene(
                _NOWHERE if canister is None else Principal.from_text(canister),
                _NOWHERE if other_canister is None else Principal.from_text(other_canister),
                forge,
                lambda: Target(kind, skip=after),
            )
            host, port = _address(listen)
            made = entry.make(scene)
            asyncio.run(
                _serve(HostileGateway(upstream, made, subprotocol=subprotocol, ic_url=ic_url, host=host, port=port))
            )
        except (IcwsError, OSError) as error:
            typer.echo(f"icws hostile: {error}", err=True)
            raise typer.Exit(1) from None

    return app


def _list() -> None:
    width = max(map(len, CATALOGUE))
    for entry in CATALOGUE.values():
        typer.echo(f"{entry.name:{width}}  {entry.gain}  {' '.join(entry.requirements)}")


def _entry(name: str) -> AttackEntry:
    if name not in CATALOGUE:
        raise MisuseError(f"there is no attack {name!r}; see --list")
    return CATALOGUE[name]


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 0xFFFF:
        raise MisuseError(f"{text!r} is not an address and a port, such as 127.0.0.1:8090")
    return host.strip("[]"), int(port)


async def _serve(hostile: HostileGateway) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # where the platform has no signals for event loops
            loop.add_signal_handler(number, stop.set)
    async with hostile:
        typer.echo(f"hostile   {hostile.url}  {hostile.attack.name}")
        await _report(hostile.attack, stop)


async def _report(attack: Attack, stop: asyncio.Event) -> None:
    """Say when the attack has struck, until the end."""
    told = 0
    while not stop.is_set():
        if attack.struck > told:
            told = attack.struck
            typer.echo(f"struck    {told}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _TICK_S)
