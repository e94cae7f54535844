"""The client for programs without an event loop.

::

    from icws_client.sync import connect

    with connect("wss://gateway.example", canister_id="bkyz2-fmaaa-aaaaa-qaaaq-cai") as ws:
        ws.send(b"hello")
        print(ws.recv(timeout=10))

A thread of the connection's own runs the session, so acknowledgements, audits and failover go on while the program
does other things. The methods may be called from several threads.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, Unpack, overload

from icws_client import client
from icws_client.addresses import Gateways
from icws_client.codec import Codec
from icws_client.connection import Connection as AsyncConnection
from icws_client.connection import Received
from icws_client.exceptions import ConnectionClosedOK, NoMessage
from icws_client.options import Options
from icws_secure.errors import MisuseError, Reason
from icws_secure.session.client import Confirm, GatewayLost, GatewayTarget, SessionState
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Parameters

__all__ = ["Connection", "connect"]

T = TypeVar("T")
R = TypeVar("R")


class Connection(Generic[T]):
    """An open session; made by :func:`connect`. Iterating gives messages until it is closed in order."""

    def __init__(self, loop: _LoopThread, connection: AsyncConnection[T]) -> None:
        self._loop = loop
        self._connection = connection
        # A message is put here by the loop's thread and taken by a caller's, so that an interrupt in between loses
        # none.
        self._taken: deque[Received[T]] = deque()
        self._turn = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        with contextlib.suppress(ConnectionClosedOK):
            while True:
                yield self.recv()

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._connection.state

    @property
    def session_principal(self) -> Principal:
        """Who signs the session's calls."""
        return self._connection.session_principal

    @property
    def canister_id(self) -> Principal:
        """The canister that the session is with."""
        return self._connection.canister_id

    @property
    def client_key(self) -> ClientKey:
        """The session's name at the canister."""
        return self._connection.client_key

    @property
    def gateway(self) -> Principal | None:
        """The gateway attached to, the session's own principal where there is none, None while detached."""
        return self._connection.gateway

    @property
    def target(self) -> GatewayTarget | None:
        """The address of the gateway in use or being tried; None while direct or detached."""
        return self._connection.target

    @property
    def attach(self) -> int:
        """The number of the latest attachment."""
        return self._connection.attach

    @property
    def suite(self) -> str | None:
        """The payload suite: ``none``, ``hpke-x25519`` or ``vetkd-bls12-381``; None before it is agreed on."""
        return self._connection.suite

    @property
    def parameters(self) -> Parameters | None:
        """What the canister certified at registration; None in the omnia profile."""
        return self._connection.parameters

    @property
    def last_loss(self) -> GatewayLost | None:
        """The latest gateway that was lost, and why."""
        return self._connection.last_loss

    def send(self, message: T, *, confirm: Confirm = "executed") -> None:
        """Send a message and wait for what *confirm* asks for; as :meth:`icws_client.Connection.send`.

        An interrupt from the keyboard ends the waiting, not the message.
        """
        self._loop.run(self._connection.send(message, confirm=confirm))

    def recv(self, timeout: float | None = None) -> T:
        """Return the next message.

        Args:
            timeout: seconds to wait for it; None for as long as the session lives.

        Raises:
            NoMessage: no message came in time, which is also a ``TimeoutError``. The session goes on, and the message
                that comes later is not lost.
            ConnectionClosed: the session is over and all of its messages were taken.
        """
        return self.recv_message(timeout).data

    def recv_message(self, timeout: float | None = None) -> Received[T]:
        """Return the next message with its number and its certified time; otherwise as :meth:`recv`."""
        started = time.monotonic()
        if not self._turn.acquire(timeout=-1 if timeout is None else timeout):
            raise _no_message(timeout)
        try:
            if not self._taken:
                left = None if timeout is None else max(0.0, timeout - (time.monotonic() - started))
                try:
                    self._loop.run(self._fetch(), left)
                except TimeoutError as error:
                    # The last word is the queue's: a message may have come while the waiting was being called off.
                    if not self._taken:
                        raise _no_message(timeout) from error
            return self._taken.popleft()
        finally:
            self._turn.release()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session and wait until it is over, in bounded time; closing twice is fine."""
        if not self._loop.is_running:
            return
        try:
            self._loop.run(self._connection.close(code, reason))
        finally:
            self._loop.stop(self._connection.abandon())

    def suspend(self) -> None:
        """Leave without ending the session, which stays in its file; as :meth:`icws_client.Connection.suspend`."""
        self._loop.run(self._connection.suspend())
        self._loop.stop()

    def audit(self) -> None:
        """Ask the IC at once for the session's certified head."""
        self._loop.call(self._connection.audit)

    async def _fetch(self) -> None:
        if not self._taken:
            self._taken.append(await self._connection.recv_message())


@overload
def connect(
    gateway: Gateways = ..., *, canister_id: Principal | str, codec: None = ..., **options: Unpack[Options]
) -> Connection[bytes]: ...


@overload
def connect(
    gateway: Gateways = ..., *, canister_id: Principal | str, codec: Codec[T], **options: Unpack[Options]
) -> Connection[T]: ...


def connect(
    gateway: Gateways = None,
    *,
    canister_id: Principal | str,
    codec: Codec[Any] | None = None,
    **options: Unpack[Options],
) -> Connection[Any]:
    """Open a session and wait until it is open.

    Arguments, options and errors are those of :class:`icws_client.connect`; ``on_event`` is called in the
    connection's thread.
    """
    opening: client.connect[Any] = client.connect(gateway, canister_id=canister_id, codec=codec, **options)
    loop = _LoopThread()
    try:
        return Connection(loop, loop.run(opening.open()))
    except BaseException:
        loop.stop()
        raise


def _no_message(timeout: float | None) -> NoMessage:
    return NoMessage("no message in time", seconds=timeout)


class _LoopThread:
    """An event loop in a thread, for one connection."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name="icws session", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether something can still be run here."""
        return self._thread.is_alive() and not self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, R], timeout: float | None = None) -> R:
        """Run a coroutine there and wait for it here; it is cancelled where the waiting ends before it does.

        Raises:
            TimeoutError: *timeout* seconds have passed.
            MisuseError: the thread has ended, or it is the one that calls.
        """
        if not self.is_running or threading.current_thread() is self._thread:
            coroutine.close()
            raise MisuseError("the connection's thread has ended, or is the caller", reason=Reason.WRONG_STATE)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(timeout)
        except BaseException:
            if not future.done():
                future.cancel()
                concurrent.futures.wait((future,), timeout=1.0)
            raise

    def call(self, function: Any) -> None:
        """Call a function there, and wait for it."""

        async def called() -> None:
            function()

        self.run(called())

    def stop(self, last: Coroutine[Any, Any, object] | None = None) -> None:
        """Run *last*, then end the thread; in bounded time, and safe to call twice."""
        if self.is_running:
            if last is not None:
                with contextlib.suppress(TimeoutError):
                    self.run(last, timeout=10.0)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10.0)
        elif last is not None:
            last.close()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()
