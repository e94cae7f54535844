"""An IC, gateways and one client in one thread.

There is no event loop and no sleep. Time is a number; what happens is in a queue ordered by time, with the machines'
own deadlines between.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from icws_secure.errors import IcwsError, TransportError
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import (
    ClientConfig,
    ClientSession,
    Connect,
    Disconnect,
    Ended,
    Event,
    GatewayLost,
    GatewayTarget,
    HttpRequest,
    Message,
    SaveState,
    SendFrame,
)
from icws_secure.sign import Ed25519Identity, Identity
from icws_secure.wire.frames import (
    SUBPROTOCOL,
)

from .gateways import Gateway
from .ic import Ic
from .subnets import ROOT_KEY


class World:
    """An IC, gateways and one client, and the time they share.

    Args:
        gateways: how many.
        config: settings of the client that are not the usual.
        canister: settings of the canister.
        subprotocol: whether the gateways speak ours.
        saved: a saved session to go on with.
    """

    latency_ns = 10 * NS_PER_MS
    work_ns = 50 * NS_PER_MS

    def __init__(
        self,
        gateways: int = 1,
        *,
        canister: CanisterConfig | None = None,
        subprotocol: bool = True,
        owner: Identity | None = None,
        ic: Ic | None = None,
        saved: bytes | None = None,
        takes: bool = True,
        start: bool = True,
        clock_error_ns: int = 0,
        names: Sequence[str] | None = None,
        **config: Any,
    ) -> None:
        self.ic = ic if ic is not None else Ic(canister if canister is not None else CanisterConfig())
        names = names if names is not None else [f"gateway-{n}" for n in range(gateways)]
        self.gateways = [Gateway(self.ic, name, subprotocol=subprotocol) for name in names]
        self.owner = owner if owner is not None else Ed25519Identity(b"\x01" * 32)
        self.counter = itertools.count(1)
        settings: dict[str, Any] = {
            "canister_id": self.ic.canister_id,
            "gateways": tuple(gateway.target() for gateway in self.gateways),
            **config,
        }
        self.config = ClientConfig(**settings)
        self.client = ClientSession(self.config, owner=self.owner, root_key=ROOT_KEY, entropy=self.entropy, saved=saved)
        self.takes = takes
        self.clock_error_ns = clock_error_ns
        self.events: list[Event] = []
        self.log: list[Any] = []
        self.saved: bytes | None = None
        self.queue: list[tuple[int, int, Callable[[], None]]] = []
        self.connection: Gateway | None = None
        self.connection_id = 0
        self.broken: set[int] = set()
        self.next_work = self.ic.now
        self.http_filter: Callable[[HttpRequest, int, bytes], tuple[int, bytes] | None] | None = None
        if start:
            self.client.start(self.client_now)
            self.drain()

    def entropy(self, size: int) -> bytes:
        return hashlib.shake_256(b"entropy%d" % next(self.counter)).digest(size)

    # time

    @property
    def now(self) -> int:
        return self.ic.now

    @property
    def client_now(self) -> int:
        return self.ic.now + self.clock_error_ns

    def later(self, delay_ns: int, action: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + delay_ns, next(self.counter), action))

    def run(self, seconds: float) -> None:
        """Let that much time pass."""
        self.run_until(lambda: False, seconds)

    def run_until(self, condition: Callable[[], bool], seconds: float = 60) -> bool:
        """Let time pass until something is true; says whether it is."""
        end = self.now + round(seconds * NS_PER_S)
        while not condition():
            times = [self.next_work, end]
            if self.queue:
                times.append(self.queue[0][0])
            deadline = self.client.next_deadline()
            if deadline is not None:
                times.append(deadline - self.clock_error_ns)
            timer = self.ic.canister.next_deadline()
            if timer is not None:
                times.append(timer)
            self.ic.now = max(self.ic.now, min(times))
            if self.now >= end:
                return condition()
            self.turn()
        return True

    def turn(self) -> None:
        """Do what is due now."""
        while self.queue and self.queue[0][0] <= self.now:
            heapq.heappop(self.queue)[2]()
        timer = self.ic.canister.next_deadline()
        if timer is not None and timer <= self.now:
            self.ic.canister.on_timer(self.now)
        if self.now >= self.next_work:
            self.next_work = self.now + self.work_ns
            for gateway in self.gateways:
                if gateway.is_alive:
                    gateway.work()
                    self.carry(gateway)
        deadline = self.client.next_deadline()
        if deadline is not None and deadline <= self.client_now:
            self.client.tick(self.client_now)
            self.drain()
            again = self.client.next_deadline()
            assert again is None or again > self.client_now, "the machine asks for a tick that does nothing"

    # between client and gateways

    def carry(self, gateway: Gateway) -> None:
        frames, gateway.out = gateway.out, []
        for frame in frames if gateway is self.connection else []:
            self.later(self.latency_ns, partial(self.to_client, frame, self.connection_id))

    def to_client(self, frame: bytes, connection_id: int) -> None:
        if connection_id == self.connection_id and self.connection is not None:
            self.client.receive_frame(frame, self.client_now)
            self.drain()

    def drain(self) -> None:
        for action in self.client.actions():
            self.log.append(action)
            match action:
                case Connect(target):
                    self.connection_id += 1
                    self.later(self.latency_ns, partial(self.connect, target, self.connection_id))
                case SendFrame(data):
                    if self.connection is not None:
                        self.later(
                            self.latency_ns,
                            partial(self.to_gateway, self.connection, self.connection_id, data),
                        )
                case Disconnect():
                    self.hang_up()
                case HttpRequest():
                    self.later(self.latency_ns, partial(self.to_ic, action))
                case SaveState(state):
                    self.saved = state
        for event in self.client.events():
            self.events.append(event)
            if isinstance(event, Message) and self.takes:
                self.client.taken(event.seq, self.client_now)
                self.drain()

    def connect(self, target: GatewayTarget, connection_id: int) -> None:
        if connection_id != self.connection_id:
            return
        gateway = next((item for item in self.gateways if item.url == target.url and item.is_alive), None)
        if gateway is None:
            self.client.connect_failed(TransportError("refused"), self.client_now)
        else:
            self.connection = gateway
            self.client.connected(self.client_now, SUBPROTOCOL if gateway.has_subprotocol else None)
            gateway.connected()
            self.carry(gateway)
        self.drain()

    def to_gateway(self, gateway: Gateway, connection_id: int, data: bytes) -> None:
        if connection_id not in self.broken and gateway.is_alive:
            gateway.receive(data)
            self.carry(gateway)

    def hang_up(self) -> None:
        """The client closes its connection."""
        gateway, self.connection = self.connection, None
        self.connection_id += 1
        if gateway is not None and gateway.is_alive:
            self.later(self.latency_ns, gateway.left)

    def break_connection(self, code: int = 1006, reason: str = "") -> None:
        """The connection breaks."""
        if self.connection is not None:
            gateway, self.connection = self.connection, None
            self.broken.add(self.connection_id)
            self.connection_id += 1
            if gateway.is_alive:
                self.later(self.latency_ns, gateway.left)
            self.client.disconnected(code, reason, self.client_now)
            self.drain()

    def kill(self, gateway: Gateway) -> None:
        """The gateway dies, and says nothing to anybody but TCP."""
        gateway.is_alive = False
        if self.connection is gateway:
            self.break_connection()

    def to_ic(self, request: HttpRequest) -> None:
        if not self.ic.is_reachable:
            self.later(request.timeout_ns, lambda: self.http_fails(request))
            return
        status, body = self.ic.http(request.path, request.body)
        if self.http_filter is not None:
            changed = self.http_filter(request, status, body)
            if changed is None:
                self.http_fails(request)
                return
            status, body = changed
        self.later(self.latency_ns, lambda: self.from_ic(request, status, body))

    def from_ic(self, request: HttpRequest, status: int, body: bytes) -> None:
        self.client.http_response(request.request_id, status, body, self.client_now)
        self.drain()

    def http_fails(self, request: HttpRequest) -> None:
        self.client.http_failed(request.request_id, TransportError("no answer"), self.client_now)
        self.drain()

    # the application

    def send(self, data: bytes, **options: Any) -> int:
        send_id = self.client.send(data, self.client_now, **options)
        self.drain()
        return send_id

    def close(self) -> None:
        self.client.close(self.client_now)
        self.drain()

    def canister_sends(self, *messages: bytes) -> None:
        for data in messages:
            self.ic.send(self.client.client_key, data)

    def attached(self) -> World:
        """Wait for the attachment."""
        assert self.run_until(lambda: self.client.gateway is not None), self.events
        return self

    # what has happened

    @property
    def received(self) -> list[bytes]:
        return [event.data for event in self.events if isinstance(event, Message)]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def outcome(self, send_id: int) -> Any:
        """The last word about a send."""
        found = [event for event in self.events if getattr(event, "send_id", None) == send_id]
        return found[-1] if found else None

    @property
    def ended(self) -> IcwsError | None:
        found = self.of(Ended)
        return found[0].error if found else None

    @property
    def lost(self) -> list[IcwsError]:
        return [event.error for event in self.of(GatewayLost)]

    def first_loss(self, seconds: float = 60) -> IcwsError:
        assert self.run_until(lambda: bool(self.lost), seconds), "the attachment was not lost"
        return self.lost[0]

    def end(self, seconds: float = 60) -> IcwsError:
        assert self.run_until(lambda: self.ended is not None, seconds), "the session did not end"
        assert self.ended is not None
        return self.ended
