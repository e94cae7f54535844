"""Several gateway processes behind one port: started, watched, told what the first one is told, and replaced.

Each worker is a gateway of its own, with its own key and hence its own queue at every canister; the system spreads
connections over them (``SO_REUSEPORT``). They share nothing but the port, so a worker that dies takes its own clients
with it and nobody else's. What settings bound in total is divided among them (:func:`share`).
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final

from icws_secure.errors import MisuseError

from .config import GatewayConfig
from .logs import logger

__all__ = ["DIVIDED", "UNUSABLE", "Supervisor", "reserve_port", "share"]

DIVIDED: Final = (
    "max_connections",
    "max_connections_per_canister",
    "calls_in_flight",
    "calls_in_flight_per_canister",
    "closes_waiting",
    "polls_in_flight",
    "heads_in_flight",
    "queue_total_bytes",
    "held_total_bytes",
)
"""Settings of which each worker gets its share; all others hold for each worker."""

UNUSABLE: Final = 2
"""Exit status of a worker that cannot run with its settings; another attempt would end the same way."""

_CRASHED: Final = 70  # exit status after an error that nothing explains
_SETTLED: Final = 5.0  # seconds after which a worker counts as having started well
_FIRST_PAUSE: Final = 0.5  # seconds before a worker is replaced; doubles while its successors do no better
_LONGEST_PAUSE: Final = 30.0
_WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


def share(config: GatewayConfig, number: int) -> GatewayConfig:
    """The settings of one worker: a key file of its own, and its part of what is bounded in total, rounded up.

    Args:
        config: of the whole.
        number: of the worker, from 0. The first uses the configured key file, the others ``NAME-1.pem`` and so on;
            all of them use the one file where they share polls over Redis.
    """
    changes: dict[str, object] = {name: -(-getattr(config, name) // config.workers) for name in DIVIDED}
    # processes that share polls are one gateway, and need one principal
    if number and config.redis_url is None:
        changes["identity"] = config.identity.with_stem(f"{config.identity.stem}-{number}")
    return config.model_copy(update=changes)


def reserve_port(config: GatewayConfig) -> tuple[socket.socket, GatewayConfig]:
    """A socket that holds the port, so that all workers get the same one, and the settings that name it. It never
    listens, so it gets no connections.

    Raises:
        MisuseError: this system cannot share a port among processes.
        OSError: the address cannot be used.
    """
    if not hasattr(socket, "SO_REUSEPORT") or not hasattr(os, "fork"):
        raise MisuseError("workers: this system cannot share a port among processes")
    family, kind, protocol, _, address = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM)[0]
    holder = socket.socket(family, kind, protocol)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(address)
    except OSError:
        holder.close()
        raise
    host = config.listen.rpartition(":")[0]
    return holder, config.model_copy(update={"listen": f"{host}:{holder.getsockname()[1]}"})


class Supervisor:
    """Runs workers until it is told to end.

    Args:
        count: of workers.
        work: what a worker does, in a process of its own; gets its number and a descriptor that reads as ended when
            the supervisor is gone, and returns its exit status. SIGTERM, SIGINT and SIGHUP are blocked at first.
    """

    def __init__(self, count: int, work: Callable[[int, int], int]) -> None:
        self._count = count
        self._work = work
        self._running: dict[int, tuple[int, float]] = {}  # by process id: number and when it started
        self._due: dict[int, float] = {}  # by number: when a worker is to be started
        self._pauses = [_FIRST_PAUSE] * count
        self._stopping = False
        self._status = 0
        self._log = logger()

    def run(self) -> int:
        """Everything; returns the exit status. SIGHUP is passed on; SIGTERM and SIGINT end the workers, which drain."""
        held, self._alive = os.pipe()
        self._held = held
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
        handler = signal.signal(signal.SIGCHLD, _nothing)  # a signal that is ignored could not be waited for everywhere
        try:
            self._due = dict.fromkeys(range(self._count), 0.0)
            while self._running or self._due:
                self._start_due()
                self._handle(self._next_signal())
        finally:
            signal.signal(signal.SIGCHLD, handler)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(self._alive)
            os.close(held)
        return self._status

    def _next_signal(self) -> int | None:
        if not self._due:
            return signal.sigwait(_WATCHED)
        wait = max(0.0, min(self._due.values()) - time.monotonic())
        found = signal.sigtimedwait(_WATCHED, wait)
        return found.si_signo if found is not None else None

    def _handle(self, number: int | None) -> None:
        if number == signal.SIGCHLD:
            self._reap()
        elif number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        elif number is not None:
            self._stop()

    def _stop(self) -> None:
        self._stopping = True
        self._due.clear()
        # a second one makes those hurry that drain
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for process in self._running:
            os.kill(process, number)

    def _start_due(self) -> None:
        now = time.monotonic()
        for number in [number for number, due in self._due.items() if due <= now]:
            del self._due[number]
            self._start(number)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process:
            self._running[process] = (number, time.monotonic())
            return
        status = _CRASHED
        try:
            os.close(self._alive)
            # the terminal's Ctrl-C is for the supervisor, which passes it on once
            os.setpgid(0, 0)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGCHLD,))
            status = self._work(number, self._held)
        except BaseException:  # noqa: BLE001 - whatever it is must not run on as a second supervisor
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _reap(self) -> None:
        for process, (number, started) in tuple(self._running.items()):
            found, status = os.waitpid(process, os.WNOHANG)
            if not found:
                continue
            del self._running[process]
            code = os.waitstatus_to_exitcode(status)
            if self._stopping:
                self._status = self._status or max(0, code)
            elif code == UNUSABLE:
                self._status = UNUSABLE
                self._stop()
            else:
                self._replace(number, started, code)

    def _replace(self, number: int, started: float, code: int) -> None:
        now = time.monotonic()
        if now - started >= _SETTLED:
            self._pauses[number] = _FIRST_PAUSE
        pause = self._pauses[number]
        self._pauses[number] = min(2 * pause, _LONGEST_PAUSE)
        self._due[number] = now + pause
        self._log.error("a worker ended and is replaced", worker=number, status=code, seconds=pause)


def _nothing(*_: object) -> None:
    pass
