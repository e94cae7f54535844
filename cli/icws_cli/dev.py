"""``icws dev``: a replica with canisters and a gateway on this machine, until interrupted."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import signal
import tempfile
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from icws_canister_mock.cli import load_canister
from icws_canister_mock.replica import Replica, ReplicaConfig, serve_replica
from icws_gateway import GatewayConfig, serve_gateway
from icws_gateway.logs import configure_logs
from icws_secure.errors import IcwsError, MisuseError

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DEFAULT_CANISTERS: Final = ("echo", "chat", "ticker")

LogLevel = Literal["info", "warning"]


@app.command()
def main(
    canister: Annotated[
        list[str] | None,
        typer.Option(help="A canister: the name of a sample, or NAME=module:Class. May be repeated."),
    ] = None,
    replica: Annotated[str, typer.Option(help="Address of the replica.")] = "127.0.0.1:4943",
    gateway: Annotated[str, typer.Option(help="Address of the gateway.")] = "127.0.0.1:8080",
    seed: Annotated[
        str | None, typer.Option(help="Any text: the same text gives the replica the same keys and ids.")
    ] = None,
    block_time_ms: Annotated[int, typer.Option(min=0, help="Shortest time between blocks, milliseconds.")] = 50,
    rtt_ms: Annotated[float, typer.Option(min=0, help="Round-trip time to the replica, milliseconds.")] = 0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the gateway's log.")] = False,
) -> None:
    """Keep a local replica and a gateway running for your own clients."""
    try:
        replica_config = ReplicaConfig(
            seed=None if seed is None else hashlib.sha256(seed.encode()).digest(), block_time_ms=block_time_ms
        )
        log_level: LogLevel = "info" if verbose else "warning"
        asyncio.run(_serve(tuple(canister or DEFAULT_CANISTERS), replica, gateway, replica_config, rtt_ms, log_level))
    except IcwsError as error:
        typer.echo(f"icws dev: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(f"icws dev: cannot listen: {error.strerror}", err=True)
        raise typer.Exit(1) from None


async def _serve(
    canisters: tuple[str, ...],
    replica_address: str,
    gateway_address: str,
    config: ReplicaConfig,
    rtt_ms: float,
    log_level: LogLevel,
) -> None:
    host, _, port = replica_address.rpartition(":")
    if not host or not port.isdecimal():
        raise MisuseError("an address is like 127.0.0.1:4943")
    replica = Replica(config)
    ids = [(replica.install(instance), name) for name, instance in map(load_canister, canisters)]
    with tempfile.TemporaryDirectory(prefix="icws-dev-") as folder:
        async with serve_replica(replica, host, int(port), rtt_ms=rtt_ms) as server:
            settings = GatewayConfig(
                ic_url=server.url, listen=gateway_address, identity=Path(folder, "gateway.pem"), log_level=log_level
            )
            configure_logs(settings)
            async with serve_gateway(settings) as relay:
                typer.echo(f"replica   {server.url}")
                typer.echo(f"root key  {replica.root_key_der.hex()}")
                typer.echo(f"gateway   {relay.url}  {relay.principal.to_text()}")
                for canister_id, name in ids:
                    typer.echo(f"canister  {canister_id.to_text()}  {name}")
                typer.echo("")
                typer.echo("Ctrl-C ends it all. In another terminal:")
                typer.echo(f"try       icws connect {ids[0][0].to_text()} {relay.url} --ic-url {server.url}")
                await _interrupted()


async def _interrupted() -> None:
    """Wait for somebody to end the program."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # where the platform has no signals for event loops
            loop.add_signal_handler(number, stop.set)
    await stop.wait()
