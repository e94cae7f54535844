"""A WebSocket whose sends never wait, and whose every frame is counted.

The connection of ``websockets`` with what a relay needs besides: frames go straight to the transport while it takes
them, then into a bounded queue, then the client is closed as a slow consumer; each incoming frame, pings and fragments
included, costs from the client's and its address's budget; closing is one call that cannot hang.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

from websockets.asyncio.server import Server, ServerConnection
from websockets.frames import DATA_OPCODES, Frame, Opcode
from websockets.protocol import Event, State
from websockets.server import ServerProtocol

from icws_secure.wire.close_codes import CloseCode, close_reason

from .admission import FrameBudget, is_trusted
from .binary_frame import binary_frame
from .config import GatewayConfig
from .descriptors import Descriptors
from .metrics import GatewayMetrics
from .outbox import Outbox, QueueBudget
from .refusal import ClientRefused
from .tls_door import TlsDoor

__all__ = ["ClientSocket", "SocketHub"]

_WRITE_BUFFER: Final = 64 << 10  # bytes in the transport's own buffer before frames wait in ours
_PIECE: Final = 4 << 10  # bytes that are parsed at once
_AFTERWARDS: Final = 64 << 10  # bytes of a refused client that are still parsed, for the close frame among them
_PING: Final = b"icws"
_OPEN: Final = State.OPEN  # looked up for every frame


class SocketHub:
    """What all sockets of one gateway share.

    Args:
        config: bounds and timeouts; replaced on reload.
        metrics: counts.
        descriptors: how many sockets there may be, whatever the settings say.
    """

    def __init__(self, config: GatewayConfig, metrics: GatewayMetrics, descriptors: Descriptors | None = None) -> None:
        self.config = config
        self.metrics = metrics
        self.queues = QueueBudget(config)
        self.sockets: set[ClientSocket] = set()
        self.doors: set[TlsDoor] = set()
        self._descriptors = descriptors if descriptors is not None else Descriptors.divided(config)
        self._peers: Counter[str] = Counter()

    def relieve(self) -> None:
        """Closes whoever has most waiting, if more is waiting than may."""
        # [ICWS-GWY-018]
        if self.queues.used > self.config.queue_total_bytes and self.sockets:
            why = ClientRefused(CloseCode.SLOW_CONSUMER, "too much is waiting to be read", limit="queue_total_bytes")
            max(self.sockets, key=lambda socket: socket.waiting).refuse(why)

    def apply(self, config: GatewayConfig) -> None:
        """Takes over changed bounds."""
        self.config = self.queues.config = config

    def enter(self, socket: ClientSocket | TlsDoor, peer: str) -> bool:
        """Counts a TCP connection before anything was read from it. False: there are too many, drop it."""
        limit = self._crossed(peer)
        # [ICWS-GWY-018]
        if limit is not None:
            self.metrics.limits.labels(limit).inc()
            return False
        self._place(socket).add(socket)
        self._peers[peer] += 1
        return True

    def leave(self, socket: ClientSocket | TlsDoor, peer: str) -> None:
        """The TCP connection is gone, or through the door."""
        place = self._place(socket)
        if socket in place:
            place.discard(socket)
            self._peers[peer] -= 1
            if not self._peers[peer]:
                del self._peers[peer]

    def _crossed(self, peer: str) -> str | None:
        config, count = self.config, len(self.sockets) + len(self.doors)
        if count >= self._descriptors.sockets:
            return "descriptors"
        # those within the spare go on to be refused with a code
        if count >= config.max_connections + config.max_waiting_sockets:
            return "sockets"
        most = config.max_connections_per_address + config.max_waiting_sockets
        if self._peers[peer] >= most and not self._is_proxy(peer):
            return "address_sockets"
        return None

    def _is_proxy(self, peer: str) -> bool:
        # a trusted proxy has many clients behind one address; they are counted when the request tells them apart
        return is_trusted(peer, self.config.proxy_networks)

    def _place(self, socket: ClientSocket | TlsDoor) -> set[Any]:
        return self.doors if isinstance(socket, TlsDoor) else self.sockets

    async def watch(self) -> None:
        """Pings silent clients and closes those that stay silent. Runs until it is cancelled."""
        while True:
            interval = self.config.ping_interval_seconds
            await asyncio.sleep(interval / 4)
            # after a stall of this process, what has come meanwhile is read before anybody is judged
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            for count, socket in enumerate(tuple(self.sockets)):
                socket.check_silence(self.config)
                if count % 512 == 511:
                    await asyncio.sleep(0)
            self.metrics.queue_bytes.set(self.queues.used)


class ClientSocket(ServerConnection):
    """One client's WebSocket.

    Args:
        protocol: of ``websockets``.
        server: likewise.
        hub: what all sockets share.
        options: of ``websockets``.
    """

    def __init__(self, protocol: ServerProtocol, server: Server, *, hub: SocketHub, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        # the library closes in words of its own; the table's name comes first
        protocol.fail = partial(_fail, protocol.fail)  # type: ignore[method-assign]
        self._hub = hub
        self._peer = ""
        self._budget: FrameBudget | None = None
        self._outbox: Outbox | None = None
        self._refused = False
        self._cut_due = False
        self._buffered = 0
        self._unheard = 0
        self._afterwards = _AFTERWARDS
        self._heard_at = self.loop.time()
        self._pinged_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether frames can still be sent."""
        return self.protocol.state is State.OPEN

    @property
    def waiting(self) -> int:
        """Bytes that wait to be read by the client, here and in the transport."""
        return self._buffered + (self._outbox.size if self._outbox is not None else 0)

    @property
    def heard_at(self) -> float:
        """When something last came from the client, by the loop's clock."""
        return self._heard_at

    def set_budget(self, budget: FrameBudget) -> None:
        """What the client may send from now on."""
        self._budget = budget

    def release(self, size: int) -> None:
        """A frame that was received is done with."""
        if self._budget is not None:
            self._budget.release(size)

    def post(self, frame: bytes) -> bool:
        """Sends a binary frame, or queues it. False if the client is gone or was closed for not reading."""
        if self.protocol.state is not _OPEN:
            return False
        if not self.paused and not self._outbox:
            self._write(frame)
            return True
        if self._outbox is None:
            self._outbox = Outbox(self._hub.queues)
        limit = self._outbox.put(frame)
        # [ICWS-GWY-018]
        if limit is not None:
            self.refuse(ClientRefused(CloseCode.SLOW_CONSUMER, "too much is waiting to be read", limit=limit))
            return False
        return True

    def refuse(self, why: ClientRefused) -> None:
        """Closes the connection with a code, at once. The peer has a while for its half, then the socket is cut."""
        if self._refused or self.protocol.state is not State.OPEN:
            return
        self._refused = True
        metrics = self._hub.metrics
        metrics.closes.labels(str(int(why.code))).inc()
        if why.limit is not None:
            metrics.limits.labels(why.limit).inc()
        if self._outbox is not None:
            self._outbox.clear()
        # [ICWS-GWY-011]
        self.protocol.send_close(int(why.code), why.reason)
        self._flush()
        self._cut_later()

    def check_silence(self, config: GatewayConfig) -> None:
        """Pings a client that is silent, and closes one that does not answer."""
        if self.protocol.state is not State.OPEN or self.recv_messages.paused:
            return  # while we do not read, silence says nothing
        now = self.loop.time()
        # at the same time counts: before a ping nothing was heard for long, and clocks of loops stand still for a while
        if self._pinged_at is not None and self._heard_at >= self._pinged_at:
            self._pinged_at = None
        if self._pinged_at is None:
            if now - self._heard_at >= config.ping_interval_seconds:
                self._pinged_at = now
                self.protocol.send_ping(_PING)
                self._flush()
        elif now - self._pinged_at >= config.ping_timeout_seconds:
            self.refuse(ClientRefused(CloseCode.IDLE_TIMEOUT, "no answer to a ping", limit="idle"))

    # what websockets calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("peername")
        self._peer = address[0] if isinstance(address, tuple) else ""
        super().connection_made(transport)
        self.transport.set_write_buffer_limits(_WRITE_BUFFER)
        if not self._hub.enter(self, self._peer):
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        # nothing is heard before the upgrade, so this is still the time at which the socket was made
        if self.request is None and self.loop.time() - self._heard_at >= self._hub.config.handshake_timeout_seconds:
            self._hub.metrics.limits.labels("handshake_time").inc()
        self._hub.leave(self, self._peer)
        if self._outbox is not None:
            self._outbox.clear()
        self._count_buffered(0)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # [ICWS-GWY-018] all frames of a piece are parsed before the first is counted, so a piece is small
        for start in range(0, len(data), _PIECE):
            if self._refused:
                self._afterwards -= _PIECE
                if self._afterwards < 0:
                    return
            super().data_received(data[start : start + _PIECE] if len(data) > _PIECE else data)
        # [ICWS-GWY-018] a peer that begins to close may not keep the socket by never finishing
        if self.protocol.state is State.CLOSING:
            self._cut_later()

    def process_event(self, event: Event) -> None:
        if self._refused:
            return
        if self._budget is not None:
            now = self._heard_at = self.loop.time()
            size = len(cast(Frame, event).data)
            self._hub.metrics.frames_received.inc()
            self._hub.metrics.bytes_received.inc(size)
            # [ICWS-GWY-018]
            limit = self._budget.take(size, now)
            if limit is None and cast(Frame, event).opcode in DATA_OPCODES:
                limit = self._budget.hold(size)
            if limit is not None:
                self.refuse(ClientRefused(CloseCode.RATE_LIMITED, "the client sends too much", limit=limit))
            elif self.paused and cast(Frame, event).opcode is Opcode.PING:
                self._answered_unheard()
            if self._refused:
                return
        super().process_event(event)

    def _answered_unheard(self) -> None:
        """An answer to a ping went past the outbox while the client does not read."""
        self._unheard += 1
        # [ICWS-GWY-018]
        if self._unheard > self._hub.config.queue_frames:
            self.refuse(ClientRefused(CloseCode.SLOW_CONSUMER, "too much is waiting to be read", limit="queue_frames"))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._count_buffered(self.transport.get_write_buffer_size())
        # not from within the write that led here
        self.loop.call_soon(self._hub.relieve)

    def _count_buffered(self, size: int) -> None:
        self._hub.queues.used += size - self._buffered
        self._buffered = size

    def resume_writing(self) -> None:
        super().resume_writing()
        self._count_buffered(0)
        self._unheard = 0
        outbox = self._outbox
        while outbox and not self.paused and self.protocol.state is State.OPEN:
            frame = outbox.take()
            if frame is not None:
                self._write(frame)

    def _write(self, frame: bytes) -> None:
        # Past the protocol object, which would do the same in five times as long: its state is OPEN here, we send no
        # fragments, and no extension was negotiated.
        try:
            self.transport.write(binary_frame(frame))
        except (OSError, RuntimeError):
            self.transport.abort()  # a transport that is closing already

    def _flush(self) -> None:
        try:
            self.send_data()
        except (OSError, RuntimeError):
            self.transport.abort()  # a transport that is closing already

    def _cut_later(self) -> None:
        if not self._cut_due:
            self._cut_due = True
            self.loop.call_later(self._hub.config.close_timeout_seconds, self._cut)

    def _cut(self) -> None:
        if self.protocol.state is not State.CLOSED:
            self._hub.metrics.limits.labels("close_time").inc()
            self.transport.abort()


def _fail(fail: Callable[[int, str], None], code: int, reason: str = "") -> None:
    """What ``websockets`` does at a fault of the peer's, with a reason as in the protocol's table where it has one."""
    # [ICWS-GWY-011]
    if code == CloseCode.TOO_BIG:
        reason = close_reason(CloseCode.TOO_BIG, "a frame above the limit")
    fail(code, reason)
