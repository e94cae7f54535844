"""What a person gives on the command line: keys, root keys, lines."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import typer

from icws_client import MAINNET_ROOT_KEY, fetch_root_key
from icws_client.http import is_loopback
from icws_client.identities import generate, load_delegation, load_pem
from icws_client.root_key import RootKey
from icws_secure.errors import MisuseError, Reason
from icws_secure.sign import Identity

__all__ = ["find_root_key", "lines_of_stdin", "read_identity"]

MAX_KEY_FILE_BYTES: Final = 4_096
MAX_LINE_BYTES: Final = 1 << 20  # the protocol's limit of a message
READ_BYTES: Final = 64 << 10
LINES_AHEAD: Final = 64  # lines read and not yet sent; a pipe waits then


def read_identity(pem: Path | None, delegation: Path | None) -> Identity:
    """Return the identity in *pem*, acting through the chain in *delegation* if there is one; a new one without either.

    Asks for a password where the key is encrypted and a person is there to answer.

    Raises:
        MisuseError: a file does not hold what it should.
    """
    if pem is None:
        if delegation is not None:
            raise MisuseError("a delegation needs the key that it is for: --identity", reason=Reason.MISSING_FIELD)
        return generate()
    try:
        identity: Identity = load_pem(pem)
    except MisuseError:
        if not sys.stdin.isatty() or b"ENCRYPTED" not in pem.read_bytes():
            raise
        identity = load_pem(pem, typer.prompt(f"Password of {pem.name}", hide_input=True, err=True).encode())
    return identity if delegation is None else load_delegation(delegation, identity)


async def find_root_key(given: str | None, ic_url: str) -> tuple[RootKey, str]:
    """Return the root key that *given* stands for, and words that say where it is from.

    Args:
        given: a file with the key's DER (raw or in hexadecimal), hexadecimal DER itself, ``fetch``, or None: fetched
            from a loopback address, the main network's for every other.
        ic_url: address of the IC.

    Raises:
        MisuseError: it is none of these, or ``fetch`` with an address that is not loopback.
        TransportError: the replica did not answer.
    """
    if given == "fetch" or (given is None and is_loopback(ic_url)):
        return await fetch_root_key(ic_url), "fetched from this machine, good for trying out only"
    if given is None:
        return MAINNET_ROOT_KEY, "the main network's, built in"
    data = await asyncio.to_thread(_read_key_file, Path(given))
    if data is None:
        return RootKey.from_der(_unhex(given.encode())), "as given"
    return RootKey.from_der(_unhex(data)), f"from {Path(given).name}"


async def lines_of_stdin() -> AsyncIterator[bytes]:
    """Give the lines of standard input, without their ends, until it ends.

    A thread reads them, for which terminals, pipes and files are the same. It uses the descriptor itself: a thread
    that is blocked in a buffered reader hinders the program's end.

    Raises:
        MisuseError: a line is longer than a message may be.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(LINES_AHEAD)

    def put(line: bytes | None) -> bool:
        try:
            asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
        except RuntimeError:  # the loop is closed: nobody wants lines any more
            return False
        return True

    def read() -> None:
        rest = b""
        while chunk := os.read(sys.stdin.fileno(), READ_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if not all(put(line.removesuffix(b"\r")) for line in lines):
                return
            if len(rest) > MAX_LINE_BYTES:
                put(rest)
                return
        if rest:
            put(rest)
        put(None)

    threading.Thread(target=read, name="icws stdin", daemon=True).start()
    while (line := await queue.get()) is not None:
        if len(line) > MAX_LINE_BYTES:
            raise MisuseError("a line is longer than a message may be", reason=Reason.TOO_LARGE, limit=MAX_LINE_BYTES)
        yield line


def _read_key_file(path: Path) -> bytes | None:
    """Return what is in a file, or None where there is none of that name."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError:  # also: the text is too long for a name, since it is a key
        return None


def _unhex(data: bytes) -> bytes:
    """Return what *data* spells in hexadecimal, or *data* itself where it spells nothing."""
    try:
        return bytes.fromhex(data.decode("ascii").strip())
    except ValueError:
        return data
