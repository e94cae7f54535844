"""``icws connect``: talk to a canister from the terminal.

Each line typed is a message, each message that arrives is a line, printed after verification and never before. News
of the session go to standard error, messages to standard output, so that both ``icws connect ... < requests >
replies`` and a person at a keyboard are served.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from icws_cli.inputs import find_root_key, lines_of_stdin, read_identity
from icws_cli.screen import Screen
from icws_client import MAINNET_URL, Connection, ConnectionClosed, ConnectionClosedOK, connect
from icws_client.options import Options
from icws_secure.errors import IcwsError
from icws_secure.session.client import Confirm

__all__ = ["app"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

SENDS_AT_ONCE: Final = 256
QUIET_S: Final = 2.0  # after the end of piped input, how long replies are waited for
HELP: Final = "/status  /audit  /help  /quit    a line that starts with // sends one that starts with /"


@app.command()
def main(
    canister: Annotated[str, typer.Argument(help="The canister's id.")],
    gateways: Annotated[
        list[str] | None,
        typer.Argument(help="Gateways, ws:// or wss://, in order of preference. None: the client polls the IC itself."),
    ] = None,
    ic_url: Annotated[str, typer.Option(help="HTTPS interface of the IC.")] = MAINNET_URL,
    root_key: Annotated[
        str | None,
        typer.Option(
            help="Root key: a file, hexadecimal DER, or 'fetch' (loopback only). "
            "Default: the main network's, and fetched where --ic-url is a loopback address."
        ),
    ] = None,
    identity: Annotated[Path | None, typer.Option(help="PEM file with your key. Default: a new key.")] = None,
    delegation: Annotated[Path | None, typer.Option(help="JSON file with a delegation chain to that key.")] = None,
    profile: Annotated[
        Literal["secure", "omnia"], typer.Option(help="'omnia' is for canisters that know only the older protocol.")
    ] = "secure",
    send_via: Annotated[
        Literal["gateway", "direct"], typer.Option(help="How messages travel to the canister.")
    ] = "gateway",
    gateway_principal: Annotated[str | None, typer.Option(help="Principal that the one gateway must name.")] = None,
    confirm: Annotated[
        Literal["executed", "accepted", "relayed"] | None,
        typer.Option(help="What counts as sent. Default: executed; relayed in the omnia profile, where proof is slow."),
    ] = None,
    form: Annotated[
        Literal["text", "hex"], typer.Option("--format", help="How messages are typed and shown.")
    ] = "text",
    wait: Annotated[float, typer.Option(help="Seconds of quiet to wait for after the end of piped input.")] = QUIET_S,
    open_timeout: Annotated[float, typer.Option(help="Seconds until the session must be open.")] = 60.0,
    evidence_dir: Annotated[
        Path | None, typer.Option(help="Folder for records of what gateways are caught at.")
    ] = None,
    state_file: Annotated[
        Path | None, typer.Option(help="Keep the session in this file, encrypted, and resume it from there.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of each message's number and time.")] = False,
) -> None:
    """Talk to a canister: each line is a message."""
    screen = Screen(form)
    options: Options = {
        "ic_url": ic_url,
        "profile": profile,
        "send_via": send_via,
        "gateway_principal": gateway_principal,
        "open_timeout": open_timeout,
        "evidence_dir": evidence_dir,
        "state_file": state_file,
        "on_event": screen.event,
    }
    try:
        if state_file is not None:
            options["state_key"] = typer.prompt("Passphrase of the session", hide_input=True, err=True)
        options["identity"] = read_identity(identity, delegation)
        enough: Confirm = confirm or ("executed" if profile == "secure" else "relayed")
        terminal = _Terminal(screen, form, enough, wait, verbose)
        asyncio.run(terminal.run(canister, gateways or None, root_key, options))
    except ConnectionClosedOK as end:
        screen.news(f"closed: {end.close_reason}")
    except IcwsError as error:
        screen.error(error)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


class _Terminal:
    """Lines to messages and messages to lines, over one session."""

    def __init__(self, screen: Screen, form: str, confirm: Confirm, wait: float, verbose: bool) -> None:
        self._screen = screen
        self._form = form
        self._confirm = confirm
        self._wait = wait
        self._verbose = verbose
        self._quiet = asyncio.Event()
        self._sends: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(SENDS_AT_ONCE)
        self._failed = False

    async def run(self, canister: str, gateways: list[str] | None, root_key: str | None, options: Options) -> None:
        """Open the session and keep it until the input or the session ends.

        Raises:
            IcwsError: the session could not be opened, ended out of order, or a message was not executed.
        """
        options["root_key"], origin = await find_root_key(root_key, options["ic_url"])
        async with connect(gateways, canister_id=canister, **options) as ws:
            self._screen.session(ws, origin)
            receiving = asyncio.create_task(self._receive(ws))
            typing = asyncio.create_task(self._type(ws))
            try:
                await asyncio.wait((receiving, typing), return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._screen.end_typing()
                for task in (receiving, typing, *self._sends):
                    task.cancel()
                await asyncio.gather(receiving, typing, *self._sends, return_exceptions=True)
            for task in (receiving, typing):
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error
        if self._failed:
            raise typer.Exit(1)

    async def _receive(self, ws: Connection[bytes]) -> None:
        while True:
            message = await ws.recv_message()
            self._quiet.clear()
            note = f"number {message.seq}, certified at {_clock(message.timestamp_ns)}" if self._verbose else ""
            self._screen.message(message.data, note)

    async def _type(self, ws: Connection[bytes]) -> None:
        self._screen.begin_typing()
        async for line in lines_of_stdin():
            self._screen.typed()
            if line.startswith(b"/") and not line.startswith(b"//"):
                if not self._command(line.decode("utf-8", "replace"), ws):
                    return
            elif line:
                await self._room.acquire()
                task = asyncio.create_task(self._send(ws, line.removeprefix(b"/")))
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)
        await self._finish()

    async def _send(self, ws: Connection[bytes], line: bytes) -> None:
        started = time.monotonic()
        try:
            await ws.send(bytes.fromhex(line.decode("ascii")) if self._form == "hex" else line, confirm=self._confirm)
        except ValueError:
            self._failed = True
            self._screen.news("that is not hexadecimal; nothing was sent", "red")
        except ConnectionClosed:
            raise
        except IcwsError as error:
            self._failed = True
            self._screen.error(error)
        else:
            if self._verbose:
                self._screen.news(f"{self._confirm} after {time.monotonic() - started:.2f} s")
        finally:
            self._room.release()

    async def _finish(self) -> None:
        """The input has ended: wait for what was sent, and for replies until it is quiet."""
        await asyncio.gather(*self._sends, return_exceptions=True)
        while not self._quiet.is_set():
            self._quiet.set()  # a message that arrives clears it again
            await asyncio.sleep(self._wait)

    def _command(self, line: str, ws: Connection[bytes]) -> bool:
        """Obey a command; return whether to go on."""
        match line.strip():
            case "/quit":
                return False
            case "/status":
                self._screen.status(ws)
            case "/audit":
                ws.audit()
                self._screen.news("the IC is asked for the session's certified head")
            case _:
                self._screen.news(HELP)
        return True


def _clock(timestamp_ns: int) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(timestamp_ns // 10**9)) + f".{timestamp_ns // 10**6 % 1000:03d} UTC"
