"""``icws gateway``: flags, signals, and a loop that ends well."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from icws_secure.errors import IcwsError, MisuseError

from .config import GatewayConfig
from .descriptors import Descriptors, raise_limit
from .identity_file import check_identity
from .logs import configure_logs, logger
from .sample_config import sample_config
from .server import Gateway
from .tls import server_context
from .traces import Traces
from .trust import configured_root_key
from .worker_metrics import WorkerMetrics
from .workers import UNUSABLE, Supervisor, reserve_port, share

__all__ = ["app", "serve", "warn_of_few_descriptors"]

app = typer.Typer(help="Relay between WebSocket clients and canisters of the Internet Computer.")


@app.callback(invoke_without_command=True)
def gateway(
    config: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    ic_url: Annotated[str | None, typer.Option(help="URL of the IC or of a local replica.")] = None,
    listen: Annotated[str | None, typer.Option(help="host:port that clients connect to.")] = None,
    identity: Annotated[Path | None, typer.Option(help="Key file; created on first use.")] = None,
    root_key: Annotated[str | None, typer.Option(help="'auto', or a file with the IC's root key.")] = None,
    verify_queries: Annotated[
        bool | None, typer.Option("--verify-queries/--no-verify-queries", help="Check node signatures of polls.")
    ] = None,
    allow: Annotated[list[str] | None, typer.Option(help="Canister to serve; repeat; none: any.")] = None,
    deny: Annotated[list[str] | None, typer.Option(help="Canister never to serve; repeat.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM certificate chain; serves wss.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that share the port.")] = None,
    metrics: Annotated[str | None, typer.Option(help="Who may read /metrics: loopback, public, off.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    log_format: Annotated[str | None, typer.Option(help="console or json.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; repeat.")
    ] = None,
    check_config: Annotated[
        bool, typer.Option("--check-config", help="Check settings and key files, and exit.")
    ] = False,
    sample: Annotated[
        bool, typer.Option("--sample-config", help="Print a settings file with every default and exit.")
    ] = False,
) -> None:
    """Run a gateway until SIGTERM or Ctrl-C; SIGHUP reloads lists, limits and TLS files."""
    if sample:
        typer.echo(sample_config(), nl=False)
        return
    flags: dict[str, Any] = {
        "ic_url": ic_url,
        "listen": listen,
        "identity": identity,
        "root_key": root_key,
        "verify_queries": verify_queries,
        "canisters_allow": tuple(allow) if allow else None,
        "canisters_deny": tuple(deny) if deny else None,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "workers": workers,
        "metrics": metrics,
        "log_level": log_level,
        "log_format": log_format,
    }
    settings: GatewayConfig | None = None
    try:
        flags |= _assignments(set_ or [])
        settings = GatewayConfig.load(config, flags)
        if check_config:
            _check_files(settings)
            typer.echo("settings are fine")
            return
        raise_limit()
        configure_logs(settings)
        status = _serve_all(settings, lambda: GatewayConfig.load(config, flags))
    except (IcwsError, OSError) as error:
        _complain(error, settings)
        raise typer.Exit(UNUSABLE) from None
    raise typer.Exit(status)


def _check_files(settings: GatewayConfig) -> None:
    """Raises MisuseError if a file that the settings name cannot be used."""
    for number in range(settings.workers):
        check_identity(share(settings, number).identity)
    server_context(settings)
    configured_root_key(settings)
    Traces.configured(settings, "")


def _serve_all(settings: GatewayConfig, load: Callable[[], GatewayConfig]) -> int:
    """Serves in this process, or in as many as the settings say. Returns the exit status."""
    if settings.workers == 1:
        _run(serve(settings, load))
        return 0
    holder, settings = reserve_port(settings)
    with holder, tempfile.TemporaryDirectory(prefix="icws-gateway-") as folder:

        def work(number: int, alive: int) -> int:
            try:
                own = share(settings, number)
                configure_logs(own, number)
                siblings = WorkerMetrics(Path(folder), number, settings.workers)

                def reread() -> GatewayConfig:
                    found = load()
                    # however many the file may say by now: these are the processes that there are, and their port
                    changes: dict[str, object] = {"workers": settings.workers}
                    if not found.port:
                        changes["listen"] = settings.listen
                    return share(found.model_copy(update=changes), number)

                _run(serve(own, reread, siblings=siblings, alive=alive, worker=number))
            except (IcwsError, OSError) as error:
                _complain(error, settings)
                return UNUSABLE
            return 0

        return Supervisor(settings.workers, work).run()


def _complain(error: IcwsError | OSError, settings: GatewayConfig | None) -> None:
    words = error.message if isinstance(error, IcwsError) else str(error)
    if isinstance(error, OSError) and settings is not None and not error.filename:
        # the resolver's errors have words of their own; those of the system's calls have a number
        why = error.strerror if isinstance(error, socket.gaierror) or not error.errno else os.strerror(error.errno)
        words = f"listen: {settings.listen} cannot be listened on: {why}"
    typer.echo(f"icws gateway: {words}", err=True)


async def serve(
    config: GatewayConfig,
    load: Callable[[], GatewayConfig],
    *,
    siblings: WorkerMetrics | None = None,
    alive: int | None = None,
    worker: int | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then drains and stops; a second signal skips the draining.

    Args:
        config: the settings.
        load: reads them anew, on SIGHUP.
        siblings: the figures of processes that share the port, if there are others.
        alive: a descriptor that becomes readable when whoever watches over this process is gone; ends it, too.
        worker: number of this process among several, for its log.

    Raises:
        IcwsError: the identity or the TLS files cannot be used.
        OSError: the address cannot be listened on.
    """
    gateway_ = Gateway(config, siblings=siblings)
    warn_of_few_descriptors(config)
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()
    # before anybody can know that we are here
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, signals.put_nowait, number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    if alive is not None:

        def orphaned() -> None:
            loop.remove_reader(alive)
            signals.put_nowait(signal.SIGTERM)

        loop.add_reader(alive, orphaned)
    try:
        await gateway_.start()
        while await signals.get() == signal.SIGHUP:
            _reload(gateway_, load, worker)
        await _drain(gateway_, signals)
    finally:
        await gateway_.stop()


def warn_of_few_descriptors(config: GatewayConfig) -> None:
    """Says so where the system allows fewer sockets than the settings."""
    if (sockets := Descriptors.divided(config).sockets) < config.max_connections + config.max_waiting_sockets:
        logger().warning("the system allows fewer open files than max_connections needs", most=sockets)


async def _drain(gateway_: Gateway, signals: asyncio.Queue[int]) -> None:
    draining = asyncio.create_task(gateway_.drain())
    hurry = asyncio.create_task(signals.get())
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    for task in (draining, hurry):
        task.cancel()
    await asyncio.gather(draining, hurry, return_exceptions=True)


def _reload(gateway_: Gateway, load: Callable[[], GatewayConfig], worker: int | None) -> None:
    try:
        found = load()
    except IcwsError as error:
        gateway_.metrics.reloads.labels("failed").inc()
        logger().error("settings were not reloaded", why=error.message)
        return
    try:
        gateway_.reload(found)
    except IcwsError as error:
        logger().error("settings were not reloaded", why=error.message)
        return
    configure_logs(gateway_.config, worker)


def _assignments(texts: list[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator:
            raise MisuseError(f"--set takes NAME=VALUE, and was given {text!r}", received=text)
        values[name.strip()] = value.strip()
    return values


def _run(work: Any) -> None:
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)
