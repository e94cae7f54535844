"""A gateway that the suite starts: a command with the addresses that it is to use."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

from icws_secure.errors import TransportError

__all__ = ["started"]

_START_S = 20.0


@contextlib.asynccontextmanager
async def started(words: Sequence[str], ic_url: str) -> AsyncIterator[str]:
    """Start the command, with ``{ic_url}`` and ``{listen}`` put in, and give its WebSocket address.

    Raises:
        TransportError: it does not start, ends, or does not listen in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listen = f"127.0.0.1:{port}"
    command = [word.replace("{ic_url}", ic_url).replace("{listen}", listen) for word in words]
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError as error:
        raise TransportError(f"{command[0]} does not start: {error.strerror}") from error
    try:
        async with asyncio.timeout(_START_S):
            while True:
                if process.returncode is not None:
                    raise TransportError(f"the gateway ended with {process.returncode}")
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.1)
        yield f"ws://{listen}"
    except TimeoutError as error:
        raise TransportError(f"the gateway does not listen on {listen}") from error
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 5)
            except TimeoutError:
                process.kill()
                await process.wait()
