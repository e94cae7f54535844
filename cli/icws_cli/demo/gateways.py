"""Gateways as processes of their own, so that one of them can be killed like any process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from icws_secure.errors import Reason, TransportError

__all__ = ["GatewayProcess", "run_gateway"]

START_S: Final = 15.0
SETTINGS: Final = ("head_interval_seconds=0.5", "poll_interval_ms=20", "drain_seconds=0.1", "close_timeout_seconds=1")


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway.

    Attributes:
        url: where clients connect to.
        principal: the gateway's principal, in text.
        process: the process.
    """

    url: str
    principal: str
    process: asyncio.subprocess.Process

    async def kill(self) -> None:
        """End it without a chance to say goodbye."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def run_gateway(ic_url: str, identity: Path) -> AsyncIterator[GatewayProcess]:
    """A gateway, for as long as the block runs, unless it is killed before.

    Args:
        ic_url: the IC it relays to.
        identity: its key file, made by itself.

    Raises:
        TransportError: it did not start.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "icws_cli.main", "gateway", "--ic-url", ic_url, "--listen", "127.0.0.1:0"),
        *("--identity", str(identity), "--log-format", "json"),
        *(part for setting in SETTINGS for part in ("--set", setting)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reading: asyncio.Task[None] | None = None
    try:
        url, principal = await _listening(process)
        reading = asyncio.create_task(_drain(process))
        yield GatewayProcess(url, principal, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if reading is not None:
            await reading


async def _listening(process: asyncio.subprocess.Process) -> tuple[str, str]:
    """Wait for the line of the log that says where it listens, and as whom."""
    said: list[str] = []
    try:
        async with asyncio.timeout(START_S):
            while process.stdout is not None and (line := (await process.stdout.readline()).decode()):
                said.append(line)
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if entry.get("event") == "listening":
                        return entry["url"], entry["principal"]
    except TimeoutError:
        said.append("it takes too long")
    raise TransportError(f"a gateway did not start: {''.join(said)[-500:].strip()}", reason=Reason.CONNECTION_FAILED)


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read the log, so that the process never waits for room to write it."""
    while process.stdout is not None and await process.stdout.readline():
        pass
