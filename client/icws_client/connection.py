"""What an application holds: a connection that is the session, whatever gateways come and go beneath it."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Generic, Self, TypeVar

from icws_client.codec import Codec
from icws_client.driver import Driver
from icws_client.evidence import EvidenceFolder
from icws_client.exceptions import ConnectionClosedOK, closed, unknown
from icws_client.http import HttpClient
from icws_client.inbox import Inbox
from icws_client.outcomes import Outcomes
from icws_client.persistence import SessionFile
from icws_secure.errors import IcwsError, MisuseError, Reason, SessionEnded
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import (
    Attached,
    ClientSession,
    Confirm,
    Ended,
    Event,
    GatewayLost,
    GatewayTarget,
    Message,
    Opened,
    SendAccepted,
    SendExecuted,
    SendRejected,
    SendRelayed,
    SendUnknown,
    SessionState,
)
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Parameters

__all__ = ["Connection", "Received"]

T = TypeVar("T")

log = logging.getLogger("icws_client")

NO_GATEWAY: Final = 4022  # the one end after which the session may still be resumed
CLOSE_MARGIN_S: Final = 5.0  # beyond the session's own time for a close, for sockets


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """A message with what is certified about it.

    Attributes:
        data: the message.
        seq: its number in the canister's stream; not every number is an application's message.
        timestamp_ns: canister time at which it was queued, nanoseconds since the Unix epoch.
    """

    data: T = field(repr=False)
    seq: int
    timestamp_ns: int


class Connection(Generic[T]):
    """An open session; made by :func:`icws_client.connect`.

    ``async for`` over a connection gives messages until it is closed in order; it raises
    :class:`ConnectionClosedError` where the session ends in another way. All methods may be cancelled: a cancelled
    ``recv`` takes no message, a cancelled ``send`` leaves its message on its way.
    """

    def __init__(
        self,
        session: ClientSession,
        http: HttpClient,
        codec: Codec[T],
        *,
        close_timeout_ns: int,
        on_event: Callable[[Event], None] | None,
        evidence: EvidenceFolder | None,
        file: SessionFile | None,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        self._session = session
        self._codec = codec
        self._close_timeout_s = close_timeout_ns / NS_PER_S + CLOSE_MARGIN_S
        self._listener = on_event
        self._evidence = evidence
        self._file = file
        self._inbox = Inbox()
        self._outcomes = Outcomes()
        self._driver = Driver(
            session,
            http,
            on_event=self._on_event,
            on_step=self._outcomes.room_again,
            save=None if file is None else file.save,
            ssl_context=ssl_context,
        )
        self._opened = asyncio.Event()
        self._ended: IcwsError | None = None
        self._last_loss: GatewayLost | None = None
        self._suspending = False
        self._task = asyncio.create_task(self._run(), name="icws session")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.session_principal.to_text()} {self.state}>"

    # what it is

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._session.state

    @property
    def session_principal(self) -> Principal:
        """Who signs the session's calls."""
        return self._session.session_principal

    @property
    def canister_id(self) -> Principal:
        """The canister that the session is with."""
        return self._session.canister_id

    @property
    def client_key(self) -> ClientKey:
        """The session's name at the canister."""
        return self._session.client_key

    @property
    def gateway(self) -> Principal | None:
        """The gateway attached to, the session's own principal where there is none, None while detached."""
        return self._session.gateway

    @property
    def target(self) -> GatewayTarget | None:
        """The address of the gateway in use or being tried; None while direct or detached."""
        return self._session.target

    @property
    def attach(self) -> int:
        """The number of the latest attachment."""
        return self._session.attach

    @property
    def suite(self) -> str | None:
        """The payload suite: ``none``, ``hpke-x25519`` or ``vetkd-bls12-381``; None before it is agreed on."""
        return self._session.suite

    @property
    def parameters(self) -> Parameters | None:
        """What the canister certified at registration; None in the omnia profile."""
        return self._session.parameters

    @property
    def last_loss(self) -> GatewayLost | None:
        """The latest gateway that was lost, and why."""
        return self._last_loss

    # the habits of a WebSocket

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.close()
        finally:
            await self.abandon()  # without effect where close() came to its end

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.recv()
        except ConnectionClosedOK:
            raise StopAsyncIteration from None

    async def send(self, message: T, *, confirm: Confirm = "executed") -> None:
        """Send a message and wait for what *confirm* asks for.

        Args:
            message: bytes, or what the codec takes.
            confirm: ``executed``: it is proven that the canister executed the message; ``accepted``: proven that it
                accepted it; ``relayed``: handed to the transport, nothing is proven. In ``omnia/1``,
                over a gateway that gives no receipts, proof comes with an acknowledgement, minutes later.

        Raises:
            ConnectionClosed: the session is over.
            Refused, CanisterRejected: the canister's own refusal; a handler that trapped has reason ``HandlerTrapped``.
            StallError: it is proven that the message was not executed (reason ``NotExecuted``).
            OutcomeUnknown: nothing can be proven.
            MisuseError: the message is no bytes, or too large.
        """
        data = self._codec.encode(message)
        if isinstance(data, bytearray | memoryview):
            data = bytes(data)
        if not isinstance(data, bytes):
            raise MisuseError("a message is bytes; give a codec for anything else", reason=Reason.WRONG_TYPE)
        try:
            outcome = await self._outcomes.of(lambda: self._give(data, confirm))
        except MisuseError as error:
            if error.reason is not Reason.WRONG_STATE:
                raise
            await self.wait_closed()  # it is on its way out: how it ends is what the caller wants to know
            raise self._closed() from error
        await outcome
        await self._driver.written()

    async def recv(self) -> T:
        """Return the next message.

        Raises:
            ConnectionClosed: the session is over and all of its messages were taken.
        """
        return (await self.recv_message()).data

    async def recv_message(self) -> Received[T]:
        """Return the next message with its number and its certified time.

        Raises:
            ConnectionClosed: the session is over and all of its messages were taken.
        """
        while (message := self.take()) is None:
            await self.ready()
        return message

    async def ready(self) -> None:
        """Wait until a message can be taken.

        Raises:
            ConnectionClosed: the session is over and all of its messages were taken.
        """
        while not self._inbox:
            self._check_alive()
            await self._inbox.changed()

    def take(self) -> Received[T] | None:
        """Return the next message if there is one, None if not; never waits."""
        message = self._inbox.take()
        if message is None:
            return None
        if self._ended is None:
            self._session.taken(message.seq, self._driver.now())
            self._driver.wake()
            if not self._inbox.is_full:
                self._driver.resume_reading()
        return Received(self._codec.decode(message.data), message.seq, message.timestamp_ns)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """End the session: what was sent first, then the close. Returns when it is over, in bounded time; closing
        twice is fine.

        Args:
            code: WebSocket close code for the gateway: 1000, or 3000 to 4999.
            reason: for the gateway's log, at most 123 bytes of UTF-8.

        Raises:
            MisuseError: no WebSocket can be closed so.
        """
        if self._task.done():
            return
        if self.state not in (SessionState.CLOSING, SessionState.ENDED):
            self._session.close(self._driver.now(), code, reason)
            self._driver.wake()
        await asyncio.wait((self._task,), timeout=self._close_timeout_s)
        if not self._task.done():
            await self.abandon()

    async def suspend(self) -> None:
        """Leave without ending the session, which stays in its file for another process to resume.

        What was received and not taken is given again when it is resumed, and what was sent and not confirmed is sent
        again, each under its number.

        Raises:
            MisuseError: the session has no file, is over, or could not be written.
        """
        if self._file is None:
            raise MisuseError("only a session with a state_file can be suspended", reason=Reason.WRONG_STATE)
        self._check_alive()
        self._suspending = True
        await self.abandon()
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    async def abandon(self) -> None:
        """Leave without a word: sockets are closed, the canister is told nothing and keeps the session until its time
        is over."""
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def wait_closed(self) -> None:
        """Wait until the session is over."""
        await asyncio.wait((self._task,))

    async def wait_open(self) -> None:
        """Wait for the first attachment.

        Raises:
            IcwsError: what prevented it.
        """
        opened = asyncio.create_task(self._opened.wait())
        try:
            await asyncio.wait((opened, self._task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            opened.cancel()
        if not self._opened.is_set():
            error = self._ended
            # A session that never was has no close code worth showing: what prevented it says more.
            if isinstance(error, SessionEnded) and isinstance(error.__cause__, IcwsError):
                raise error.__cause__
            raise self._closed()

    def audit(self) -> None:
        """Ask the IC at once for the session's certified head; withheld messages are then noticed within seconds."""
        self._check_alive()
        self._session.audit(self._driver.now())
        self._driver.wake()

    # beneath

    async def _run(self) -> None:
        try:
            await self._driver.run()
        except IcwsError as error:
            self._end(error)
        except Exception as error:
            # Not one of ours, so a mistake in this package: nobody may take it for an orderly end.
            failure = IcwsError(f"the client failed: {type(error).__name__}", reason=Reason.WRONG_STATE)
            failure.__cause__ = error
            self._end(failure)
            raise
        finally:
            self._end(SessionEnded("this client has left the session", code=1000, close_reason="ClientClosed"))
            if self._file is not None:
                await self._leave_file(self._file)

    async def _leave_file(self, file: SessionFile) -> None:
        """Let others have the file, with all that the application has taken where the session is to be resumed."""
        try:
            if self._suspending:
                await asyncio.to_thread(file.save, self._session.export_state())
        finally:
            file.close()

    def _give(self, data: bytes, confirm: Confirm) -> int:
        self._check_alive()
        send_id = self._session.send(data, self._driver.now(), confirm=confirm)
        self._driver.wake()
        return send_id

    def _check_alive(self) -> None:
        if self._ended is not None:
            raise self._closed()

    def _closed(self) -> IcwsError:
        if isinstance(self._ended, SessionEnded):
            return closed(self._ended)
        return self._ended if self._ended is not None else MisuseError("not open", reason=Reason.WRONG_STATE)

    def _on_event(self, event: Event) -> None:
        match event:
            case Message():
                self._inbox.put(event)
                if self._inbox.is_full:
                    self._driver.pause_reading()
            case SendExecuted(send_id) | SendAccepted(send_id) | SendRelayed(send_id):
                self._outcomes.settle(send_id, None)
            case SendRejected(send_id, error):
                self._outcomes.settle(send_id, error)
            case SendUnknown(send_id, error):
                self._outcomes.settle(send_id, unknown(error))
            case Opened() | Attached():
                self._opened.set()
            case GatewayLost():
                self._last_loss = event
                if self._evidence is not None and event.evidence is not None:
                    self._evidence.write(event.evidence)
            case Ended(error):
                self._end(error)
                if self._file is not None and not (isinstance(error, SessionEnded) and error.code == NO_GATEWAY):
                    self._file.remove()
        self._tell(event)

    def _tell(self, event: Event) -> None:
        """Show an event to the application, whose mistakes are not the session's."""
        if self._listener is not None:
            try:
                self._listener(event)
            except Exception:  # a callback of the application may raise anything
                log.exception("on_event failed at %s", type(event).__name__)

    def _end(self, error: IcwsError) -> None:
        """Remember how the session ended, once, and tell everybody who waits."""
        if self._ended is not None:
            return
        self._ended = error
        self._outcomes.settle_all(self._closed)
        self._inbox.wake_all()
