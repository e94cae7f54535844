from __future__ import annotations

import asyncio
import os
import signal
import sys

from icws_client import Agent, fetch_root_key


async def test_replica_and_gateway_run_until_they_are_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "icws_cli.main", "dev"),
        *("--replica", "127.0.0.1:0", "--gateway", "127.0.0.1:0", "--seed", "test", "--canister", "echo"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    told: dict[str, list[str]] = {}
    async with asyncio.timeout(60):
        while "try" not in told:
            name, *values = (await process.stdout.readline()).decode().split() or [""]
            told[name] = values
        url = told["replica"][0]
        assert (await fetch_root_key(url)).der.hex() == told["root"][1]
        async with Agent(url, root_key=bytes.fromhex(told["root"][1])) as agent:
            assert await agent.status()
        _, writer = await asyncio.open_connection("127.0.0.1", int(told["gateway"][0].rpartition(":")[2].strip("/")))
        writer.close()
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0


async def test_an_address_that_is_taken_is_said_to_be_so() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "icws_cli.main", "dev", "--replica", f"127.0.0.1:{port}"),
            stderr=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    assert process.returncode == 1
    assert b"cannot listen" in errors
    assert b"Traceback" not in errors
