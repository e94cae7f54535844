"""Child processes that end with this one, whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["Child", "Gateway", "icws"]

_HERE = Path(__file__).parent
_PR_SET_PDEATHSIG = 1
_READY_SECONDS = 60.0
_STARTS = 5

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def icws(*arguments: str) -> list[str]:
    """The command line of ``icws``, in this interpreter."""
    return [sys.executable, "-m", "icws_cli.main", *arguments]


class Child:
    """One process; ``async with`` it. What it says on stderr is kept in a file."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Child:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    @property
    def process(self) -> asyncio.subprocess.Process:
        """The running process."""
        assert self._process is not None
        return self._process

    async def start(self) -> None:
        """Start it."""
        path = os.pathsep.join(filter(None, (str(_HERE), os.environ.get("PYTHONPATH"))))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path},
                limit=1 << 22,
                preexec_fn=_die_with_parent,
            )

    async def line(self, seconds: float) -> bytes:
        """The next line that it prints.

        Raises:
            RuntimeError: it ended, or said nothing in time.
        """
        assert self.process.stdout is not None
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), seconds)
        except TimeoutError:
            raise RuntimeError(f"{self.name} said nothing for {seconds:.0f} s:\n{self.tail()}") from None
        if not line:
            raise RuntimeError(f"{self.name} has ended:\n{self.tail()}")
        return line

    async def tell(self, data: bytes) -> None:
        """Write to its stdin."""
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """Kill it, stopped or not, and wait for it."""
        if self._process is not None:
            self.send(signal.SIGKILL)
            await self._process.wait()

    def complaints(self) -> list[str]:
        """What it logged that nothing explains: a mistake inside the process."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [f"{self.name}: {line}" for line in lines if "error" in line.lower() or "Traceback" in line]

    def tail(self) -> str:
        """The last lines of what it said on stderr."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:]) if self.log.exists() else ""


class Gateway(Child):
    """A gateway that is always started at the same address with the same key."""

    def __init__(self, number: int, port: int, ic_url: str, folder: Path) -> None:
        self.port = port
        self.url = f"ws://127.0.0.1:{port}"
        settings = {
            "max_connections_per_address": 10_000,
            "opens_per_second_per_address": 1_000,
            "open_burst_per_address": 2_000,
            "head_interval_seconds": 2,
            "drain_seconds": 1,
            "close_timeout_seconds": 1,
        }
        name = f"gateway-{number}"
        command = icws(
            *("gateway", "--ic-url", ic_url, "--listen", f"127.0.0.1:{port}"),
            *("--identity", str(folder / f"{name}.pem"), "--log-level", "warning"),
            *(part for setting, value in settings.items() for part in ("--set", f"{setting}={value}")),
        )
        super().__init__(name, command, folder)

    async def start(self) -> None:
        """Start it, and wait until it takes connections."""
        for _ in range(_STARTS):
            await super().start()
            if await self._listens():
                return
            await self.end()
        raise RuntimeError(f"{self.name} does not start:\n{self.tail()}")

    async def stop_gracefully(self, seconds: float) -> None:
        """Ask it to drain and end; kill it if it does not."""
        self.send(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), seconds)
        except TimeoutError:
            raise RuntimeError(f"{self.name} does not end when it is asked to:\n{self.tail()}") from None

    async def _listens(self) -> bool:
        async with asyncio.timeout(_READY_SECONDS):
            while self.process.returncode is None:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.transport.abort()
                    return True
                await asyncio.sleep(0.05)
        return False


def _die_with_parent() -> None:
    # A test that is killed leaves nothing behind, not even processes that are stopped.
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
