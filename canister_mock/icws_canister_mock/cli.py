"""``icws replica``: a local Internet Computer with canisters, for one's own clients and gateways."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, StartedClock, SystemClock, serve_replica
from icws_secure.errors import MisuseError

__all__ = ["app", "load_canister"]

app = typer.Typer(add_completion=False)

SAMPLES: Final = "icws_canister_mock.canister.samples"
DEFAULT_LISTEN: Final = "127.0.0.1:4943"
_NS_PER_S: Final = 1_000_000_000


@app.command()
def main(
    canister: Annotated[
        list[str] | None,
        typer.Option(help="A canister to install: the name of a sample, or NAME=module:Class. May be repeated."),
    ] = None,
    listen: Annotated[str, typer.Option(help="Address and port; port 0 takes a free one.")] = DEFAULT_LISTEN,
    rtt_ms: Annotated[float, typer.Option(min=0, help="Round-trip time to add to each request, milliseconds.")] = 0,
    block_time_ms: Annotated[int, typer.Option(min=0, help="Shortest time between blocks, milliseconds.")] = 50,
    seed: Annotated[
        str | None, typer.Option(help="Any text: the same text gives the same keys. Default: new keys.")
    ] = None,
    start_time: Annotated[
        str | None, typer.Option(help="Time at the start, as 2030-01-31T12:00:00Z. Default: the machine's clock.")
    ] = None,
    root_key_file: Annotated[Path | None, typer.Option(help="Write the root key here: DER in hexadecimal.")] = None,
    vetkd_key: Annotated[
        str | None, typer.Option(help="Print the public master key of this vetKD key, for clients to pin: test_key_1.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what canisters log.")] = False,
) -> None:
    """Run a local Internet Computer until interrupted; prints its root key and the ids of its canisters."""
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    try:
        host, port = _address(listen)
        config = ReplicaConfig(
            seed=None if seed is None else hashlib.sha256(seed.encode()).digest(),
            clock=SystemClock() if start_time is None else StartedClock(_time_ns(start_time)),
            block_time_ms=block_time_ms,
        )
        replica = Replica(config)
        if vetkd_key is not None:
            typer.echo(f"vetKD key {_master_key(replica, vetkd_key)}  {vetkd_key}")
        installed = {}
        for wanted in canister or ["echo"]:
            name, instance = load_canister(wanted)
            installed[name] = replica.install(instance)
        asyncio.run(_serve(replica, host, port, rtt_ms, root_key_file, {n: str(i) for n, i in installed.items()}))
    except (MisuseError, OSError) as error:
        typer.echo(f"icws replica: {error}", err=True)
        raise typer.Exit(1) from error


def load_canister(wanted: str) -> tuple[str, Canister]:
    """Make the canister that an option names.

    Args:
        wanted: the name of a sample, or ``NAME=module:Class``.

    Returns:
        The name and a new instance.

    Raises:
        MisuseError: there is no such class, or it is not a canister.
    """
    name, _, place = wanted.partition("=")
    module_name, _, class_name = place.partition(":")
    try:
        if place:
            found = getattr(importlib.import_module(module_name), class_name)
        else:
            found = importlib.import_module(SAMPLES).SAMPLES[name]
    except (ImportError, AttributeError, KeyError, ValueError) as error:
        raise MisuseError(f"there is no canister {wanted!r}; give a sample's name or NAME=module:Class") from error
    if not (isinstance(found, type) and issubclass(found, Canister)):
        raise MisuseError(f"{wanted!r} is not a class of canisters")
    return name, found()


async def _serve(
    replica: Replica, host: str, port: int, rtt_ms: float, root_key_file: Path | None, canisters: dict[str, str]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # where the platform has no signals for event loops
            loop.add_signal_handler(number, stop.set)
    async with serve_replica(replica, host, port, rtt_ms=rtt_ms) as server:
        key = replica.root_key_der.hex()
        if root_key_file is not None:
            await asyncio.to_thread(root_key_file.write_text, key + "\n")
        typer.echo(f"replica   {server.url}")
        typer.echo(f"root key  {key}")
        for name, canister_id in canisters.items():
            typer.echo(f"canister  {canister_id}  {name}")
        await stop.wait()


def _master_key(replica: Replica, name: str) -> str:
    try:
        return replica.vetkd.master_public_key(name).hex()
    except KeyError as error:
        raise MisuseError(f"there is no vetKD key {name!r}") from error


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or int(port) > 0xFFFF:
        raise MisuseError(f"{text!r} is not an address and a port, such as {DEFAULT_LISTEN}")
    return host.strip("[]"), int(port)


def _time_ns(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise MisuseError(f"{text!r} is not a time such as 2030-01-31T12:00:00Z") from error
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return int(seconds) * _NS_PER_S
