"""A gateway that the suite starts: a command with the addresses that it is to use."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from icws_secure.errors import TransportError

__all__ = ["GatewayProcess", "free_port", "listens"]

_START_S: Final = 20.0
_STOP_S: Final = 5.0
_KEPT: Final = 4_000  # characters of what it prints
_KIB: Final = 1_024
_LOWEST_PORT: Final = 20_000
_PORTS: Final = 12_000  # below the range from which systems choose by themselves
_LAST_WORDS_S: Final = 2.0


class GatewayProcess:
    """``async with GatewayProcess(words, host, port) as process: ...``: starts a command and ends it again.

    Args:
        words: the command, with nothing left to put in.
        host: where it is to listen.
        port: where it is to listen.
    """

    def __init__(self, words: Sequence[str], host: str, port: int) -> None:
        self._words = list(words)
        self._host = host
        self._port = port
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._printed = ""

    async def __aenter__(self) -> GatewayProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def ended(self) -> str:
        """How it ended, with the last that it printed; empty while it runs."""
        process = self._process
        if process is None or process.returncode is None:
            return ""
        code = process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return f"the gateway's process ended with {how}; it printed: {self.printed or 'nothing'}"

    @property
    def printed(self) -> str:
        """The last words of what it printed, on one line."""
        return " ".join(self._printed.split())[-300:]

    def memory_bytes(self) -> int | None:
        """Resident memory of the process and its children; None where the system does not tell."""
        if self._process is None:
            return None
        return _resident(self._process.pid)

    async def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            TransportError: it does not start, ends, or does not listen in time.
        """
        if await listens(self._host, self._port):
            raise TransportError(f"another program listens on {self._host}:{self._port} already")
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise TransportError(f"{self._words[0]} does not start: {why}") from error
        self._reader = asyncio.create_task(self._keep_words(self._process))
        try:
            await self._until_itlistens()
        except BaseException:
            await self.stop()
            raise

    async def restart(self) -> None:
        """End it, if it still runs, and start it again.

        Raises:
            TransportError: as :meth:`start`.
        """
        await self.stop()
        await self.start()

    def ask_to_end(self) -> None:
        """Send it SIGTERM and do not wait."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    async def stop(self) -> None:
        """End it and whatever it has started: SIGTERM first, SIGKILL when that does not help."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.returncode is None:
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _STOP_S)
        finally:
            # Its session is its own, so nobody else is hit; also when nobody waits for it to end by itself.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _until_itlistens(self) -> None:
        try:
            async with asyncio.timeout(_START_S):
                while not await listens(self._host, self._port):
                    if self.ended:
                        await self._last_words()
                        raise TransportError(self.ended)
                    await asyncio.sleep(0.1)
        except TimeoutError as error:
            raise TransportError(
                f"the gateway does not listen on {self._host}:{self._port} within {_START_S:g} s; "
                f"it printed: {self.printed or 'nothing'}"
            ) from error

    async def end(self, *, suspected: bool) -> str:
        """How it ended, with its last words; empty while it runs.

        Args:
            suspected: something of it broke off. If it takes no connections either, it is about to end, and is waited
                for: its sockets are gone before the system tells of its end.
        """
        process = self._process
        if process is None:
            return ""
        if suspected and process.returncode is None and not await listens(self._host, self._port):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _STOP_S)
        if process.returncode is not None:
            await self._last_words()
        return self.ended

    async def _last_words(self) -> None:
        """Wait for what an ended process has printed; its children may keep the pipe open for longer than that."""
        if self._reader is not None:
            await asyncio.wait((self._reader,), timeout=_LAST_WORDS_S)

    async def _keep_words(self, process: asyncio.subprocess.Process) -> None:
        if process.stdout is None:
            return
        while data := await process.stdout.read(4096):
            self._printed = (self._printed + data.decode("utf-8", "replace"))[-_KEPT:]


def free_port() -> int:
    """A port of this machine's loopback address that nobody uses now, and that the system gives to nobody else until
    it is used: neither to a connection nor to a program that leaves the choice to it."""
    choice = random.SystemRandom()
    while True:
        port = _LOWEST_PORT + choice.randrange(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _resident(pid: int) -> int | None:
    """Resident bytes of a process and all below it, as Linux tells."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    own = int(found[0]) * _KIB if found else 0
    return own + sum(_resident(int(child)) or 0 for child in children.split())
