"""One client from its handshake frame to its end: reads frames, has them checked, relays calls, passes receipts on.

What may happen when is in :mod:`~icws_gateway.connection_state`; what a frame must be in ``open_check`` and
``call_check``. This shell reads, waits and reports.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Final

from websockets.exceptions import ConnectionClosed

from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import SUBPROTOCOL, Handshake
from icws_secure.wire.http import CallAccepted, CallCertificate

from .admission import AddressBudget
from .call_check import CheckedCall, check_call
from .client_socket import ClientSocket
from .connection_state import ConnectionEvent, ConnectionMachine, ConnectionState
from .lane import CallLane
from .logs import logger
from .open_check import OpenedSession, OpenRequest, read_open, verify_open
from .receipts import CallFailed, CallOutcome, open_refusal, receipt
from .refusal import ClientRefused
from .services import Services
from .traces import NO_TRACE, Trace

__all__ = ["ClientConnection"]

_SECURE, _OMNIA = "secure", "omnia"
_LINGER: Final = 30.0  # seconds that calls of a client that left may take before the canister is told


class ClientConnection:
    """One client.

    Args:
        services: the gateway's parts.
        socket: the client's WebSocket, after its upgrade.
        address: what the client's address may still do.
        modern: the client speaks our subprotocol.
    """

    __slots__ = (
        "_address",
        "_canister",
        "_lane",
        "_log",
        "_machine",
        "_profile",
        "_services",
        "_session",
        "_socket",
        "_tasks",
        "modern",
    )

    def __init__(self, services: Services, socket: ClientSocket, address: AddressBudget, *, modern: bool) -> None:
        self._services = services
        self._socket = socket
        self._address = address
        self._machine = ConnectionMachine()
        self._session: OpenedSession | None = None
        self._lane = CallLane()
        self._tasks: set[asyncio.Task[None]] = set()
        self._profile = _OMNIA
        self._canister = ""
        self._log = logger(connection=str(socket.id))
        self.modern = modern

    # what delivery sees

    @property
    def session(self) -> OpenedSession:
        """What the client opened."""
        if self._session is None:
            raise AttributeError("nothing is open yet")
        return self._session

    @property
    def attached(self) -> bool:
        """Whether the canister answered the open."""
        return self._machine.state is ConnectionState.OPEN

    def send(self, frame: bytes) -> bool:
        """Sends a frame, or queues it within the client's bounds; never waits and never fails. False if the client is
        gone. The caller counts it."""
        return self._socket.post(frame)

    def post(self, frame: bytes, kind: str) -> None:
        """As :meth:`send`, and counts it."""
        if self._socket.post(frame):
            self._services.metrics.sent(kind, len(frame))
        else:
            self._services.metrics.drops.labels("client_gone").inc()

    def refuse(self, why: ClientRefused) -> None:
        """Closes the connection; the rest follows when the reader notices."""
        self._socket.refuse(why)

    # life

    async def run(self) -> None:
        """Serves the client until it is gone and everything of it is cleaned up."""
        try:
            # [ICWS-GWY-001]
            version = SUBPROTOCOL if self.modern else None
            self.post(Handshake(self._services.identity.principal, version).encode(), "handshake")
            await self._open()
            while True:
                await self._serve_one()
        except ClientRefused as why:
            self._socket.refuse(why)
            self._say("refused", code=int(why.code), why=why.words)
        except ConnectionClosed as closed:
            # [ICWS-GWY-018] too large a frame: the WebSocket layer has closed before anything was buffered
            if closed.sent is not None and closed.sent.code == CloseCode.TOO_BIG:
                self._services.metrics.closes.labels(str(int(CloseCode.TOO_BIG))).inc()
                self._services.metrics.limits.labels("frame_bytes").inc()
            self._tell_end(closed)
        finally:
            await self._finish()

    def _tell_end(self, closed: ConnectionClosed) -> None:
        ours = closed.sent if not closed.rcvd_then_sent else None
        if ours is not None:
            self._say("refused", code=ours.code, why=ours.reason)
        elif self._session is not None:
            # the reason is the client's own words, and stays out of the log
            self._say("left", code=closed.rcvd.code if closed.rcvd is not None else None)

    def _say(self, event: str, **facts: object) -> None:
        self._services.log.say(self._log, event, **facts)

    async def _open(self) -> None:
        services, config = self._services, self._services.config
        try:
            async with asyncio.timeout(config.open_timeout_seconds):
                frame = await self._socket.recv()
        except TimeoutError:
            raise ClientRefused(CloseCode.OPEN_TIMEOUT, "no ws_open in time", limit="open_time") from None
        trace = services.traces.begin("open", connection=str(self._socket.id))
        request = read_open(
            frame,
            gateway=services.identity.principal,
            allows=config.allows,
            max_bytes=config.max_open_frame_bytes,
            now=time.time_ns(),
        )
        # [ICWS-GWY-018] cryptography is charged to the address before it is done
        if not self._address.opens.take(request.cost - 1, asyncio.get_running_loop().time()):
            raise ClientRefused(CloseCode.RATE_LIMITED, "too many signatures to verify", limit="address_opens")
        # [ICWS-GWY-002] nothing was kept and nothing was asked of the IC up to here
        request_id = verify_open(request, now=time.time_ns(), certificates=services.certificates)
        await self._claim(request.session)
        self._register(request)
        if self._session is not None:
            self._lane.enter(request_id)
            trace.note(canister=self._canister, profile=self._profile, attach=request.session.attach)
            self._spawn(self._until_done(self._relay_open(request, request_id, trace), len(frame)))

    async def _claim(self, session: OpenedSession) -> None:
        """Asks the other processes of this gateway, if there are any, before the client is registered here."""
        cluster = self._services.cluster
        if cluster is None:
            return
        self._admit(session)
        await cluster.claim(session)
        try:
            # something else may have happened here meanwhile
            self._admit(session)
        except ClientRefused:
            cluster.release(session)
            raise

    def _admit(self, session: OpenedSession) -> None:
        services = self._services
        if services.draining:
            raise ClientRefused(CloseCode.DRAINING, "the gateway is shutting down")
        services.directory.admit(session, services.config)

    def _register(self, request: OpenRequest) -> None:
        services = self._services
        self._admit(request.session)
        self._session = request.session
        self._canister = request.session.canister.to_text()
        self._profile = _SECURE if request.session.secure else _OMNIA
        self._machine.handle(ConnectionEvent.OPEN_VERIFIED)
        # [ICWS-GWY-005] before the open is relayed: its answer may be polled before the call returns
        superseded = services.directory.put(self)
        services.metrics.clients.labels(self._profile).inc()
        services.pollers.ensure(request.session.canister)
        if isinstance(superseded, ClientConnection):
            superseded.supersede()
        self._log = self._log.bind(canister=self._canister, profile=self._profile)
        self._say("open verified", attach=request.session.attach)

    def supersede(self) -> None:
        """A later attach of the same session has come in, here or at another process; it has this one's place."""
        # [ICWS-GWY-003]
        self._handle(ConnectionEvent.SUPERSEDED)
        self._services.metrics.clients.labels(self._profile).dec()
        self._socket.refuse(ClientRefused(CloseCode.SUPERSEDED, "a later attach took over"))

    async def _relay_open(self, request: OpenRequest, request_id: bytes, trace: Trace) -> None:
        services = self._services
        expires_ns = request.envelope.content.ingress_expiry_ns
        call = trace.child("call", **self._facts())
        outcome = await self._relay(request.body, request_id, expires_ns, call)
        refusal = open_refusal(request_id, outcome)
        named = "failed" if isinstance(outcome, CallFailed) else "answered" if refusal is None else "refused"
        services.metrics.opens.labels(named).inc()
        trace.end(named, failed=refusal is not None or named == "failed")
        if isinstance(outcome, CallFailed):
            self._socket.refuse(ClientRefused(CloseCode.REPLICA_ERROR, outcome.words))
        elif refusal is not None:
            self._handle(ConnectionEvent.OPEN_REFUSED)
            self._socket.refuse(ClientRefused(CloseCode.OPEN_REFUSED, refusal))
        else:
            self._handle(ConnectionEvent.OPEN_ANSWERED)

    async def _serve_one(self) -> None:
        frame = await self._socket.recv()
        session = self.session
        call = check_call(frame, session, now=time.time_ns(), certificates=self._services.certificates)
        # [ICWS-GWY-021]
        if call.request_id in self._lane:
            self._services.metrics.drops.labels("duplicate").inc()
            self._socket.release(len(frame))
            return
        # [ICWS-GWY-009] one at a time in omnia/1, where the canister wants exactly the next number
        room = self._services.config.calls_in_flight_per_client if session.secure else 1
        if session.secure and len(self._lane) >= room:
            self._services.metrics.waits.labels("client_calls").inc()
        await self._lane.below(room)
        self._lane.enter(call.request_id)
        self._spawn(self._until_done(self._relay_call(call), len(frame)))

    async def _until_done(self, work: Coroutine[Any, Any, None], size: int) -> None:
        """Relays what a frame of ``size`` bytes asked for; they are kept until then."""
        try:
            await work
        finally:
            self._socket.release(size)

    async def _relay_call(self, call: CheckedCall) -> None:
        traces = self._services.traces
        trace = traces.begin("call", **self._facts()) if traces.on else NO_TRACE
        outcome = await self._relay(call.body, call.request_id, call.expires_ns, trace)
        # Without our subprotocol nobody would ever hear that a call was lost; the client must know to start anew.
        if isinstance(outcome, CallFailed) and not self.modern:
            self._socket.refuse(ClientRefused(CloseCode.REPLICA_ERROR, outcome.words))

    def _facts(self) -> dict[str, str]:
        return {"connection": str(self._socket.id), "canister": self._canister, "profile": self._profile}

    async def _relay(self, body: bytes, request_id: bytes, expires_ns: int, trace: Trace) -> CallOutcome:
        services, canister = self._services, self.session.canister
        try:
            outcome = await services.relay.submit(canister, body, expires_ns, trace)
        finally:
            self._lane.leave(request_id)
        if isinstance(outcome, CallFailed):
            self._say("a call was lost", why=outcome.words)
        if isinstance(outcome, CallCertificate | CallAccepted):
            services.pollers.executed(canister)
        if self.modern:
            # [ICWS-GWY-010]
            self.post(receipt(request_id, outcome), "receipt")
        return outcome

    async def _finish(self) -> None:
        """Cleans up after the client, whatever ended it."""
        if self._session is None:
            self._handle(ConnectionEvent.ENDED)
            return
        # What it sent before it left is on its way; telling the canister first would have it refused.
        try:
            async with asyncio.timeout(_LINGER):
                await self._lane.below(1)
        except TimeoutError:
            self._services.metrics.drops.labels("lingering_call").inc(len(self._lane))
        finally:
            self._handle(ConnectionEvent.ENDED)
            for task in tuple(self._tasks):
                task.cancel()

    def _handle(self, event: ConnectionEvent) -> None:
        transition = self._machine.handle(event)
        if transition.release and self._session is not None:
            services = self._services
            services.directory.discard(self)
            if services.cluster is not None:
                services.cluster.release(self._session)
            services.pollers.release(self._session.canister)
            services.metrics.clients.labels(self._profile).dec()
        # [ICWS-GWY-013]
        if transition.ws_close and self._session is not None:
            self._services.closer.close(self._session)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # [ICWS-GWY-012] a mistake of ours ends this client, and nothing else
            self._services.metrics.internal_errors.inc()
            self._log.error("relay failed inside the gateway", exc_info=error)
            self._socket.refuse(ClientRefused(CloseCode.INTERNAL, "internal error"))
