"""A program under test that reads questions and writes answers, one JSON document a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from icws_secure.errors import MisuseError, Reason, TransportError

__all__ = ["LineProgram", "split_command"]

MAX_LINE_BYTES: Final = 8 << 20
_KEPT_ERRORS: Final = 2000  # characters of its standard error
_GRACE_S: Final = 2.0


def split_command(command: str) -> list[str]:
    """The words of a command, as a shell would read them; no shell is run.

    Raises:
        MisuseError: it has no words, or an open quote.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise MisuseError("the command has an open quote", reason=Reason.INVALID_ARGUMENT) from error
    if not words:
        raise MisuseError("the command is empty", reason=Reason.INVALID_ARGUMENT)
    return words


class LineProgram:
    """``async with LineProgram(words) as program: await program.ask({...})``."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._process: asyncio.subprocess.Process | None = None
        self._errors = ""
        self._drain: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LineProgram:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it.

        Raises:
            TransportError: it does not start.
        """
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=MAX_LINE_BYTES,
            )
        except OSError as error:
            raise TransportError(f"{self._words[0]} does not start: {error.strerror}") from error
        self._drain = asyncio.create_task(self._keep_errors(self._process))

    async def stop(self) -> None:
        """End it: its input ends, and it is killed if it does not take the hint."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), _GRACE_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.gather(self._drain, return_exceptions=True)

    @property
    def errors(self) -> str:
        """The end of what it wrote on its standard error."""
        return self._errors

    async def write(self, document: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            TransportError: it has ended.
        """
        process = self._running()
        if process.stdin is None:
            raise TransportError("the program has no standard input")
        try:
            process.stdin.write(json.dumps(document, separators=(",", ":")).encode() + b"\n")
            await process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:
            raise TransportError("the program has ended") from error

    async def read(self) -> dict[str, Any]:
        """Read one line.

        Raises:
            TransportError: it has ended, or the line is no JSON object.
        """
        process = self._running()
        if process.stdout is None:
            raise TransportError("the program has no standard output")
        try:
            line = await process.stdout.readline()
        except ValueError as error:
            raise TransportError("the program wrote a line that is too long") from error
        if not line:
            raise TransportError(f"the program has ended; it said: {self._errors.strip()[-300:] or 'nothing'}")
        try:
            document = json.loads(line)
        except ValueError as error:
            raise TransportError("the program wrote a line that is no JSON") from error
        if not isinstance(document, dict):
            raise TransportError("the program wrote a line that is no JSON object")
        return document

    async def ask(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Write one line and read one.

        Raises:
            TransportError: as the two.
        """
        await self.write(document)
        return await self.read()

    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise TransportError("the program does not run")
        return self._process

    async def _keep_errors(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        while data := await process.stderr.read(4096):
            self._errors = (self._errors + data.decode("utf-8", "replace"))[-_KEPT_ERRORS:]
