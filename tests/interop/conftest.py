"""Foreign implementations in their own processes: Node.js packages, and ic-py in an environment of its own."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, ReplicaServer, query, serve_replica, update
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob, PrincipalType, Text

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
JS = HERE / "js"
ICPY = ROOT / ".venv-icpy" / "bin" / "python"
TIMEOUT_S = 90

Runner = Callable[..., Awaitable[Any]]


def _missing(what: str, remedy: str) -> None:
    """Skip with the remedy; where everything has to be there, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI needs it: {remedy}")
    pytest.skip(f"{what} is missing: {remedy}")


async def _run(*command: str, cwd: Path) -> Any:
    """Run a program that prints one JSON document on standard output, and read it."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), TIMEOUT_S)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command[1]} failed:\n{err.decode()[-4000:]}\n{out.decode()[-1000:]}"
    return json.loads(out)


@pytest.fixture(scope="session")
def node() -> Runner:
    """``await node("script.mjs", **input)``: run a script of ``tests/interop/js`` and get what it prints, from JSON."""
    program = shutil.which("node")
    if program is None:
        _missing("Node.js", "install it (Debian: apt-get install nodejs npm), then `make node`")
    if not (JS / "node_modules").is_dir():
        _missing("the Node.js packages", "`make node`")

    async def run(script: str, **given: Any) -> Any:
        return await _run(str(program), script, json.dumps(given), cwd=JS)

    return run


@pytest.fixture(scope="session")
def icpy() -> Runner:
    """``await icpy("script.py", **input)``: the same with a script of ``tests/interop/icpy``, under ic-py."""
    if not ICPY.is_file():
        _missing("ic-py", "`make icpy`")

    async def run(script: str, **given: Any) -> Any:
        return await _run(str(ICPY), script, json.dumps(given), cwd=HERE / "icpy")

    return run


class Greeter(Canister):
    """What the agents talk to; arguments and replies are Candid."""

    metadata = MappingProxyType({"candid:service": b"service : { greet : (text) -> (text) }"})
    private_metadata = MappingProxyType({"private": b"for controllers"})

    def init(self, arg: bytes) -> None:
        self.ic.set_certified_data(b"certified")

    @update("greet")
    def greet(self, arg: bytes) -> bytes:
        (name,) = decode([Text], arg)
        return encode([Text], [f"Hello, {name}, who is {self.ic.caller}!"])

    @update("delayed")
    async def delayed(self, arg: bytes) -> bytes:
        random = await self.ic.raw_rand()
        return encode([Text], [f"{len(random)} random bytes"])

    @update("trap")
    def trap(self, arg: bytes) -> bytes:
        self.ic.trap(decode([Text], arg)[0])

    @update("refuse")
    def refuse(self, arg: bytes) -> bytes:
        self.ic.reject(decode([Text], arg)[0])

    @query("refuse_query")
    def refuse_query(self, arg: bytes) -> bytes:
        self.ic.reject(decode([Text], arg)[0])

    @query("whoami")
    def whoami(self, arg: bytes) -> bytes:
        return encode([PrincipalType], [self.ic.caller])

    @query("certified")
    def certified(self, arg: bytes) -> bytes:
        return encode([Blob, Blob], [b"certified", self.ic.data_certificate()])


@pytest.fixture
def greeter() -> type[Canister]:
    """A canister with methods of every kind."""
    return Greeter


@pytest.fixture
async def server() -> AsyncIterator[ReplicaServer]:
    """A replica that ages no more than 100 ms."""
    replica = Replica(ReplicaConfig(idle_block_ms=100))
    async with serve_replica(replica) as running:
        yield running
