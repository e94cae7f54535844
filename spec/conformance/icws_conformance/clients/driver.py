"""A client under test, driven over JSON lines on its standard streams."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from icws_conformance.vectors.program import LineProgram
from icws_conformance.wirelog import WireLog
from icws_secure.errors import TransportError

__all__ = ["Driver", "Drivers"]

_ANSWER_S: Final = 25.0


class Driver:
    """One program; :class:`Drivers` lends it.

    Attributes:
        hello: what it said of itself.
        messages: what the application was given, in order.
        lost: gateways that the client left, with the errors it told.
        closed: the event of the session's end; None while it lives.
        ended: why the program is gone; empty while it runs.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.hello: dict[str, Any] = {}
        self.ended = ""
        self._program = LineProgram(words)
        self.begin(WireLog())
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def begin(self, log: WireLog) -> None:
        """Forget what was told, and write into another log from now on."""
        self.messages: list[bytes] = []
        self.lost: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.closed: dict[str, Any] | None = None
        self._log = log

    @property
    def features(self) -> frozenset[str]:
        """What the client offers beyond the least."""
        return frozenset(map(str, self.hello.get("features", ())))

    async def start(self) -> None:
        """Start the program and have it say what it is.

        Raises:
            TransportError: it does not start, or gives no proper answer.
        """
        await self._program.start()
        self._reader = asyncio.create_task(self._read())
        try:
            self.hello = await self.ask("hello")
        except TimeoutError as error:
            raise TransportError("the driver does not answer to hello") from error

    async def stop(self) -> None:
        """End the program."""
        await self._program.stop()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        for waiting in self._waiting.values():
            waiting.cancel()

    async def ask(self, command: str, **fields: Any) -> dict[str, Any]:
        """Give a command and wait for its answer.

        Raises:
            TransportError: the program has ended.
            TimeoutError: no answer within 25 s.
        """
        number = next(self._numbers)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        document = {"id": number, "command": command, **fields}
        self._log.sent("suite", "driver", command, json.dumps(document).encode())
        await self._program.write(document)
        if self.ended:
            raise TransportError(self.ended)
        async with asyncio.timeout(_ANSWER_S):
            return await future

    async def changed(self, limit_s: float) -> bool:
        """Wait until anything is told; return whether that came within the limit."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._changed.wait()
                return True
        return False

    async def _read(self) -> None:
        try:
            while True:
                self._take(await self._program.read())
        except TransportError as error:
            self.ended = str(error)
            self._log.note(self.ended, source="driver")
            self._changed.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(TransportError(self.ended))

    def _take(self, document: dict[str, Any]) -> None:
        self._log.sent("driver", "suite", str(document.get("event", "answer")), json.dumps(document).encode())
        match document:
            case {"id": int(number)} if number in self._waiting:
                waiting = self._waiting.pop(number)
                if not waiting.done():
                    waiting.set_result(document)
            case {"event": "message", "data_hex": str(data)}:
                with contextlib.suppress(ValueError):
                    self.messages.append(bytes.fromhex(data))
            case {"event": "lost"}:
                self.lost.append(document)
            case {"event": "closed"}:
                self.closed = document
            case {"event": "error", "text": str(text)}:
                self.errors.append(text)
        self._changed.set()


class Drivers:
    """``async with Drivers(words) as drivers: async with drivers.lend(log) as client: ...``.

    A driver that can forget a session (feature ``reset``) serves many cases; of any other, each case has its own.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._idle: list[Driver] = []

    async def __aenter__(self) -> Drivers:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(driver.stop() for driver in self._idle))
        self._idle.clear()

    @contextlib.asynccontextmanager
    async def lend(self, log: WireLog) -> AsyncIterator[Driver]:
        """A driver with no session.

        Raises:
            TransportError: it does not start.
        """
        while self._idle and self._idle[-1].ended:
            await self._idle.pop().stop()
        driver = self._idle.pop() if self._idle else Driver(self._words)
        kept = False
        try:
            if not driver.hello:
                await driver.start()
            driver.begin(log)
            yield driver
            if "reset" in driver.features and not driver.ended:
                with contextlib.suppress(TransportError, TimeoutError):
                    kept = (await driver.ask("reset")).get("ok") is True
        finally:
            if kept:
                self._idle.append(driver)
            else:
                await driver.stop()
