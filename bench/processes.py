"""Child processes of a benchmark: they speak in JSON lines, and end with it, whatever happens."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["Child", "any_certificate", "cpu_seconds", "resident_bytes"]

_HERE: Final = Path(__file__).parent
_PR_SET_PDEATHSIG: Final = 1
_CPU_CLOCK: Final = 2  # of all threads of a process, as clock_getcpuclockid numbers it

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _with_children(pid: int) -> tuple[int, ...]:
    return pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used, their own and the kernel's for them: seconds, to the
    nanosecond."""
    return sum(time.clock_gettime(~each << 3 | _CPU_CLOCK) for each in _with_children(pid))


def resident_bytes(pid: int) -> int:
    """Memory of a process and its children that is their own and in RAM (not what they share with others, such as
    libraries)."""
    return sum(map(_resident_bytes, _with_children(pid)))


def _resident_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "Private_Dirty":
            return int(value.split()[0]) << 10
    raise RuntimeError("the system does not tell how much memory a process has")


def any_certificate() -> ssl.SSLContext:
    """TLS to whoever is there: the gateway's certificate was made for this run."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Child:
    """One process.

    Args:
        name: for its log.
        command: what to run.
        folder: where what it says on stderr is kept.
        talks: what it says on stdout are answers; otherwise that is kept, too.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, *, talks: bool = True) -> None:
        self.name = name
        self._log = folder / f"{name}.log"
        self._data = b""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                cwd=folder,
                preexec_fn=_die_with_parent,
            )

        self._stdin, self._stdout = (
            stream.fileno() if stream is not None else -1 for stream in (self.process.stdin, self.process.stdout)
        )

    @classmethod
    def script(cls, name: str, folder: Path) -> Child:
        """A script beside this one."""
        return cls(name, [sys.executable, str(_HERE / f"{name}.py")], folder)

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    def ask(self, order: dict[str, Any], seconds: float = 120.0) -> dict[str, Any]:
        """Send a line, wait for one.

        Raises:
            RuntimeError: it ended, or said nothing in time.
        """
        self.tell(order)
        return self.answer(seconds)

    def tell(self, order: dict[str, Any]) -> None:
        """Send a line."""
        os.write(self._stdin, json.dumps(order).encode() + b"\n")

    def answer(self, seconds: float) -> dict[str, Any]:
        """Wait for a line.

        Raises:
            RuntimeError: it ended, or said nothing in time.
        """
        deadline = time.monotonic() + seconds
        while b"\n" not in self._data:
            if not select.select([self._stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise RuntimeError(f"{self.name} said nothing for {seconds:.0f} s:\n{self.tail()}")
            data = os.read(self._stdout, 1 << 20)
            if not data:
                raise RuntimeError(f"{self.name} has ended:\n{self.tail()}")
            self._data += data
        line, _, self._data = self._data.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found

    def end(self) -> None:
        """Kill it and wait for it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()

    def tail(self) -> str:
        """The last of what it said on stderr."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
