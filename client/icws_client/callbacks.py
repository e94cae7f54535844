"""The manner of a browser's WebSocket: an object with callbacks, over the same session.

In a program with an event loop it connects as soon as it is made, and the callbacks run in that loop::

    def on_message(data: bytes) -> None:
        print(data)
        socket.close()

    socket = IcWebSocket("wss://gateway.example", canister_id="bkyz2-fmaaa-aaaaa-qaaaq-cai", on_message=on_message)
    socket.on_open = lambda: socket.send(b"hello")
    await socket.closed()

A program without one makes the object and calls :meth:`IcWebSocket.run_forever`, which returns when the session is
over.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Final, Unpack

from icws_client.addresses import Gateways
from icws_client.client import connect
from icws_client.codec import Codec
from icws_client.connection import Connection
from icws_client.exceptions import ConnectionClosedOK
from icws_client.options import Options
from icws_secure.errors import IcwsError, MisuseError, Reason, SessionEnded
from icws_secure.session.client import Confirm
from icws_secure.wire.principal import Principal

__all__ = ["CLOSED", "CLOSING", "CONNECTING", "OPEN", "IcWebSocket"]

CONNECTING: Final = 0
OPEN: Final = 1
CLOSING: Final = 2
CLOSED: Final = 3


class IcWebSocket:
    """A session with callbacks. Any of them may be a coroutine function; the next message waits until it is done.

    Args:
        gateway: as for :class:`icws_client.connect`; so are the options.
        canister_id: the canister.
        codec: between the application's values and bytes; None for bytes.
        on_open: called without arguments when the session is open.
        on_message: called with each message, verified, in order, exactly once.
        on_error: called with the error when the session could not be opened or ended out of order, when a message
            could not be sent, or when another callback failed.
        on_close: called last, with close code and close reason.
    """

    def __init__(
        self,
        gateway: Gateways = None,
        *,
        canister_id: Principal | str,
        codec: Codec[Any] | None = None,
        on_open: Callable[[], object] | None = None,
        on_message: Callable[[Any], object] | None = None,
        on_error: Callable[[Exception], object] | None = None,
        on_close: Callable[[int, str], object] | None = None,
        **options: Unpack[Options],
    ) -> None:
        self.on_open = on_open
        self.on_message = on_message
        self.on_error = on_error
        self.on_close = on_close
        self.ready_state = CONNECTING
        self._opening: connect[Any] = connect(gateway, canister_id=canister_id, codec=codec, **options)
        self._connection: Connection[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[None]] = set()
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # run_forever() will bring one
        self._task = self._loop.create_task(self._run(), name="icws callbacks")

    def send(self, message: object, *, confirm: Confirm = "executed") -> None:
        """Send a message and return at once; may be called from any thread. A failure goes to ``on_error``.

        Args:
            message: bytes, or what the codec takes.
            confirm: what counts as sent, as for :meth:`icws_client.Connection.send`.

        Raises:
            MisuseError: the session is not open yet, or no more.
        """
        connection = self._connection
        if self.ready_state != OPEN or connection is None or self._loop is None:
            raise MisuseError("the session is not open", reason=Reason.WRONG_STATE)
        self._loop.call_soon_threadsafe(self._send, connection, message, confirm)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session and return at once; may be called from any thread. ``on_close`` follows."""
        if self._loop is not None and self.ready_state in (CONNECTING, OPEN):
            self._loop.call_soon_threadsafe(self._close, code, reason)

    async def closed(self) -> None:
        """Wait until ``on_close`` has been called."""
        if self._task is None:
            raise MisuseError("the object was made outside of an event loop", reason=Reason.WRONG_STATE)
        await asyncio.wait((self._task,))

    def run_forever(self) -> None:
        """Run the session, and an event loop for it, until the session is over. An interrupt from the keyboard closes
        it.

        Raises:
            MisuseError: the object was made in an event loop, and runs there.
        """
        if self._task is not None:
            raise MisuseError("the session runs in the event loop that it was made in", reason=Reason.WRONG_STATE)
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        code, close_reason = 1006, "NeverOpened"
        try:
            async with self._opening as connection:
                self._connection = connection
                self.ready_state = OPEN
                await self._call(self.on_open)
                while True:
                    await self._call(self.on_message, await connection.recv())
        except ConnectionClosedOK as end:
            code, close_reason = end.code, end.close_reason
        except asyncio.CancelledError:
            code, close_reason = 1000, "ClientClosed"
            if self.ready_state != CLOSING:  # not by close(): somebody wants the whole program to stop
                raise
        except IcwsError as error:
            if isinstance(error, SessionEnded):
                code, close_reason = error.code, error.close_reason
            await self._call(self.on_error, error)
        finally:
            self.ready_state = CLOSED
            await asyncio.gather(*self._background, return_exceptions=True)
            await self._call(self.on_close, code, close_reason)

    async def _call(self, callback: Callable[..., object] | None, *arguments: object) -> None:
        """Call back; what goes wrong there is shown to ``on_error`` and does not end the session."""
        if callback is None:
            return
        try:
            result = callback(*arguments)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            if callback == self.on_error:
                raise  # nobody is left to tell
            await self._call(self.on_error, error)

    def _send(self, connection: Connection[Any], message: object, confirm: Confirm) -> None:
        self._begin(self._send_one(connection, message, confirm))

    async def _send_one(self, connection: Connection[Any], message: object, confirm: Confirm) -> None:
        try:
            await connection.send(message, confirm=confirm)
        except ConnectionClosedOK:
            pass  # on_close tells
        except Exception as error:  # noqa: BLE001 - a codec of the application may raise anything
            await self._call(self.on_error, error)

    def _close(self, code: int, reason: str) -> None:
        if self.ready_state == OPEN and self._connection is not None:
            self.ready_state = CLOSING
            self._begin(self._connection.close(code, reason))
        elif self.ready_state == CONNECTING and self._task is not None:
            self.ready_state = CLOSING
            self._task.cancel()

    def _begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
