"""Programs that are interrupted from the keyboard end at once, and their sessions with them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.alone

#: In this mode the event loop complains of whatever takes it more than a tenth of a second: of a busy machine.
UNHURRIED = """
import logging
logging.getLogger("asyncio").setLevel(logging.ERROR)
"""

SYNC = """
import sys
from icws_client.sync import connect
ws = None
try:
    with connect(sys.argv[1], canister_id=sys.argv[2], ic_url=sys.argv[3], root_key=bytes.fromhex(sys.argv[4])) as ws:
        print("open", flush=True)
        ws.recv()
except KeyboardInterrupt:
    print("interrupted", ws.state, flush=True)
"""

ASYNC = """
import asyncio, sys
from icws_client import connect
async def main():
    global ws
    async with connect(
        sys.argv[1], canister_id=sys.argv[2], ic_url=sys.argv[3], root_key=bytes.fromhex(sys.argv[4])
    ) as ws:
        print("open", flush=True)
        await ws.recv()
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted", ws.state, flush=True)
"""

CALLBACKS = """
import sys
from icws_client import IcWebSocket
ws = IcWebSocket(sys.argv[1], canister_id=sys.argv[2], ic_url=sys.argv[3], root_key=bytes.fromhex(sys.argv[4]))
ws.on_open = lambda: print("open", flush=True)
try:
    ws.run_forever()
except KeyboardInterrupt:
    print("interrupted", ws._connection.state, flush=True)
"""


@pytest.mark.parametrize("program", [SYNC, ASYNC, CALLBACKS], ids=["sync", "async", "callbacks"])
async def test_an_interrupt_ends_program_and_session(network: Any, program: str) -> None:
    gateway = await network.gateway()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-c", UNHURRIED + program),
        *(gateway.url, network.canister.to_text(), network.ic_url, network.root_key.hex()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"open\n"
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
    assert out == b"interrupted ended\n"
    assert err == b""  # no task, socket or thread was left behind
    assert process.returncode == 0
