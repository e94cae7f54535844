"""A client, gateways and what lies between them, one frame and one request at a time, in whatever order a test says."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from model_ic import CANISTER, ROOT_KEY, Ic

from icws_secure.errors import IcwsError, ProtocolViolation, Reason, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.payload import SuiteName
from icws_secure.session.client import (
    Action,
    Attached,
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
    SendAccepted,
    SendExecuted,
    SendFrame,
    SendRejected,
    SendUnknown,
    SuiteChannel,
)
from icws_secure.sign import Ed25519Identity
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessagesFrame,
    ReceiptFrame,
    ReceiptStatus,
    decode_client_frame,
)
from icws_secure.wire.head import EPOCH_PATH, head_path
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    decode_get_messages_result,
    decode_open_argument,
    encode_close_argument,
    encode_get_messages_argument,
)
from icws_secure.wire.message import message_path, parse_message_key

__all__ = ["Crash", "Gateway", "Network", "Outcome"]

_HEAD_NS = 5 * NS_PER_S
_LOOK_NS = 5 * NS_PER_S
_TICKS = 4  # at one time, before the client must have found something to wait for
_OWNER = Ed25519Identity(b"\x01" * 32)

Outcome = SendExecuted | SendAccepted | SendRejected | SendUnknown


class Crash(Exception):  # noqa: N818 - of the client's process; nothing is wrong
    """The client's process ends in the middle of something."""


@dataclass
class Gateway:
    """A relay of one client's, that knows nothing and promises nothing.

    Attributes:
        name: of its key and its address.
        is_up: whether it takes connections.
        calls: from the client, not relayed yet.
        frames: to the client, not delivered yet.
        withheld: calls that it kept when its connection broke; it may submit them at any time.
        nonce: where it polls next.
    """

    name: str
    is_up: bool = True
    calls: list[Envelope] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    withheld: list[Envelope] = field(default_factory=list)
    nonce: int = 0
    client_key: ClientKey | None = None
    attach: int | None = None
    next_head: int = 0
    is_honest: bool = True
    """Whether it delivered all frames of its latest connection, each once and in order."""

    def __post_init__(self) -> None:
        self.principal = Ed25519Identity(hashlib.sha256(self.name.encode()).digest()).principal
        self.target = GatewayTarget(f"ws://{self.name}")

    def forget_connection(self) -> None:
        """The connection is gone; what was under way is lost, or kept for later."""
        self.withheld += self.calls
        self.calls, self.frames = [], []
        self.client_key = self.attach = None
        self.nonce = 0


class Network:
    """Everything. Nothing happens by itself but what :meth:`drain` carries out.

    Args:
        ic: the canister and its IC.
        profile: of the client.
        persist: whether the client's session outlives its process.
        sealed: whether content is sealed.
        gateways: how many.
        settings: more of the client's.
    """

    def __init__(
        self, ic: Ic, *, profile: Any, persist: bool, sealed: bool = False, gateways: int = 2, **settings: Any
    ) -> None:
        self.ic = ic
        self.gateways = [Gateway(f"gateway-{number}") for number in range(gateways)]
        self._config = ClientConfig(
            canister_id=CANISTER,
            profile=profile,
            gateways=tuple(gateway.target for gateway in self.gateways),
            persist=persist,
            **settings,
        )
        self._is_sealed = sealed
        self._counter = itertools.count(1)
        self.clock_error_ns = 0
        self.connecting: Gateway | None = None
        self.connection: Gateway | None = None
        self.requests: list[HttpRequest] = []
        self.crash_after: int | None = None
        """Actions that the client still carries out before its process ends."""
        # the application
        self.taken: tuple[bytes, ...] = ()
        self.untaken: list[Message] = []
        self.outcomes: dict[int, Outcome] = {}
        self.losses: list[IcwsError] = []
        self.accusations: list[ProtocolViolation] = []
        """What honest gateways were accused of."""
        self.takes_at_once = True
        self.ended: IcwsError | None = None
        self._saved: tuple[bytes, tuple[bytes, ...]] | None = None
        self._start(None)

    # the client

    @property
    def client_now(self) -> int:
        """What the client's clock shows."""
        return self.ic.now + self.clock_error_ns

    @property
    def delivered(self) -> tuple[bytes, ...]:
        """Everything that the application was given, over all processes."""
        return self.taken + tuple(message.data for message in self.untaken)

    @property
    def can_be_restored(self) -> bool:
        """Whether there is a saved session."""
        return self._saved is not None and self.ended is None

    def give(self, input_: Callable[[], object]) -> None:
        """Give the client an input and carry out what it asks for."""
        input_()
        self.drain()

    def take(self, count: int) -> None:
        """The application takes messages."""
        for message in self.untaken[:count]:
            self.untaken.pop(0)
            self.taken = (*self.taken, message.data)
            if self.ended is None:
                self.client.taken(message.seq, self.client_now)
                self.drain()

    def restart_client(self) -> None:
        """The client's process ends, and another one goes on with what was saved."""
        assert self._saved is not None
        self.crash_after = None
        self._break()
        self.connecting = None
        self.requests.clear()
        state, self.taken = self._saved
        self.untaken.clear()
        self._start(state)

    def _start(self, saved: bytes | None) -> None:
        self.outcomes = {}
        self.was_attached = False
        self._looked_at = self.ic.now
        config = self._config
        if self._is_sealed:
            hpke = SuiteName.HPKE
            channel = SuiteChannel(CANISTER, strongest=hpke, minimum=hpke, entropy=self._entropy)
            config = replace(config, channel=channel, minimum_suite=hpke.value)
        self.client = ClientSession(config, owner=_OWNER, root_key=ROOT_KEY, entropy=self._entropy, saved=saved)
        self.give(lambda: self.client.start(self.client_now))

    def _entropy(self, size: int) -> bytes:
        return hashlib.shake_256(b"entropy %d" % next(self._counter)).digest(size)

    def drain(self) -> None:
        """Carry out what the client asks for, and note what it says."""
        while actions := self.client.actions():
            for action in actions:
                if self.crash_after is not None:
                    if self.crash_after == 0 and self.can_be_restored:
                        raise Crash
                    self.crash_after = max(0, self.crash_after - 1)
                self._carry_out(action)
        for event in self.client.events():
            assert self.ended is None, f"{event} after the end"
            self._note(event)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Connect(target):
                self._break()
                self.connecting = next(gateway for gateway in self.gateways if gateway.target == target)
            case Disconnect():
                self._break()
                self.connecting = None
            case SendFrame(data):
                if self.connection is not None:
                    self.connection.calls.append(decode_client_frame(data).envelope)
            case HttpRequest():
                self.requests.append(action)
            case SaveState(state):
                self._saved = state, self.taken

    def _note(self, event: Event) -> None:
        match event:
            case Message():
                self.untaken.append(event)
            case SendExecuted() | SendAccepted() | SendRejected() | SendUnknown():
                assert event.send_id not in self.outcomes, f"two words about one message: {event}"
                self.outcomes[event.send_id] = event
            case Attached():
                self.was_attached = True
            case GatewayLost(target, error, _):
                self.losses.append(error)
                honest = next((gateway.is_honest for gateway in self.gateways if gateway.target == target), True)
                slow = error.reason is Reason.MESSAGES_WITHHELD  # one that does not poll does withhold
                if honest and not slow and isinstance(error, ProtocolViolation):
                    self.accusations.append(error)
            case Ended(error):
                self.ended = error

    def _break(self) -> None:
        if self.connection is not None:
            self.connection.forget_connection()
            self.connection = None

    # connections

    @property
    def open_connection(self) -> Gateway:
        """The gateway at the other end; there must be one."""
        assert self.connection is not None
        return self.connection

    def answer_connect(self) -> None:
        """The connection that the client asked for is made, or fails."""
        gateway, self.connecting = self.connecting, None
        assert gateway is not None
        if not gateway.is_up:
            error = TransportError("refused")
            self.give(lambda: self.client.connect_failed(error, self.client_now))
            return
        self.connection = gateway
        gateway.is_honest = True
        gateway.frames.append(Handshake(gateway.principal, SUBPROTOCOL).encode())
        self.give(lambda: self.client.connected(self.client_now, SUBPROTOCOL))

    def break_connection(self, code: int = 1006) -> None:
        """The connection breaks, or the gateway closes it."""
        assert self.connection is not None
        self._break()
        self.give(lambda: self.client.disconnected(code, "", self.client_now))

    def crash(self, gateway: Gateway) -> None:
        """A gateway dies."""
        gateway.is_up = False
        if self.connection is gateway:
            self.break_connection()

    # from the client

    def relay(self, gateway: Gateway, envelope: Envelope, *, with_receipt: bool = True) -> None:
        """Relay a call, and the receipt back if the client is still there."""
        content = envelope.content
        assert isinstance(content, CallContent)
        if content.method_name == "ws_open":
            argument = decode_open_argument(content.arg)
            gateway.client_key = ClientKey(content.sender, argument.client_nonce)
            gateway.attach = None if argument.secure is None else argument.secure.attach
        if not self.ic.call(envelope):
            receipt = ReceiptFrame(content.request_id, ReceiptStatus.FAILED, reject_message="expired")
        else:
            certificate = self.ic.certificate((b"request_status", content.request_id))
            receipt = ReceiptFrame(content.request_id, ReceiptStatus.CERTIFICATE, certificate)
        if with_receipt and self.connection is gateway:
            gateway.frames.append(receipt.encode())

    def answer(self, request: HttpRequest, *, behind: int = 0) -> None:
        """Execute a request, if it is a call, and answer it."""
        self.execute(request)
        status, body = self.ic.http(request.body, behind=behind)
        self._finish(request, lambda: self.client.http_response(request.request_id, status, body, self.client_now))

    def execute(self, request: HttpRequest) -> None:
        """A request reaches the IC, and its answer does not come back yet."""
        envelope = Envelope.decode(request.body)
        if isinstance(envelope.content, CallContent):
            self.ic.call(envelope)

    def answer_with(self, request: HttpRequest, status: int) -> None:
        """Answer without a body."""
        self._finish(request, lambda: self.client.http_response(request.request_id, status, b"", self.client_now))

    def fail(self, request: HttpRequest) -> None:
        """A request gets no answer."""
        error = TransportError("no answer")
        self._finish(request, lambda: self.client.http_failed(request.request_id, error, self.client_now))

    def fail_all(self) -> None:
        """The IC is out of reach."""
        for request in list(self.requests):
            if request in self.requests:
                self.fail(request)

    def _finish(self, request: HttpRequest, input_: Callable[[], object]) -> None:
        self.requests.remove(request)
        self.give(input_)

    # to the client

    def poll(self, gateway: Gateway, *, behind: int = 0) -> bool:
        """A gateway polls its queue; gives whether there was anything."""
        argument = encode_get_messages_argument(gateway.nonce)
        result = decode_get_messages_result(self.ic.poll(gateway.principal, argument, behind))
        assert isinstance(result, CertifiedMessages)
        if not result.messages:
            return False
        gateway.nonce = parse_message_key(result.messages[-1].key)[1] + 1
        own = [item for item in result.messages if item.client_key == gateway.client_key]
        if own and self.connection is gateway:
            _, tree = self.ic.witness(*(message_path(item.key) for item in own), behind=behind)
            contents = tuple(KeyedContent(item.key, item.content) for item in own)
            gateway.frames.append(MessagesFrame(contents, result.cert, tree).encode())
        return True

    def lose_frame(self, place: int) -> None:
        """One frame of the connection never arrives."""
        self.open_connection.is_honest = False
        del self.open_connection.frames[place]

    def relay_head(self, gateway: Gateway, *, behind: int = 0) -> None:
        """A gateway relays the session's certified head."""
        if gateway.client_key is None or self.connection is not gateway or gateway.attach is None:
            return
        principal = gateway.client_key.client_principal
        certificate, tree = self.ic.witness(EPOCH_PATH, head_path(principal), behind=behind)
        gateway.frames.append(HeadFrame(certificate, tree).encode())

    def tell_that_it_left(self, gateway: Gateway) -> None:
        """A gateway tells the canister that the client left, rightly or not."""
        if gateway.client_key is not None:
            argument = CloseArgument(gateway.client_key, gateway.attach)
            self.ic.gateway_closes(gateway.principal, encode_close_argument(argument))

    def deliver(self, place: int = 0, *, keep: bool = False) -> None:
        """One frame of the connection reaches the client."""
        gateway = self.open_connection
        gateway.is_honest = gateway.is_honest and place == 0 and not keep
        frames = gateway.frames
        frame = frames[place] if keep else frames.pop(place)
        self.give(lambda: self.client.receive_frame(frame, self.client_now))

    # time

    def pass_time(self, nanoseconds: int) -> None:
        """Time passes for all; timers fire when they are due."""
        end = self.ic.now + nanoseconds
        while True:
            due = [time for time in (self.ic.next_deadline(), self._client_due()) if time is not None]
            if not due or min(due) > end:
                break
            self.ic.pass_time(max(0, min(due) - self.ic.now))
            self.ic.timer()
            self.tick()
        self.ic.pass_time(max(0, end - self.ic.now))

    def tick(self) -> None:
        """The client's deadline has come, or its shell looks at the clock in case that was set back."""
        due = self.client.next_deadline()
        if due is None or (due > self.client_now and self.ic.now < self._looked_at + _LOOK_NS):
            return
        self._looked_at = self.ic.now
        for _ in range(_TICKS):
            self.give(lambda: self.client.tick(self.client_now))
            again = self.client.next_deadline()
            if again is None or again > self.client_now:
                return
        raise AssertionError("the client asks for one tick after the other")

    def _client_due(self) -> int | None:
        due = self.client.next_deadline()
        return None if due is None else min(due - self.clock_error_ns, self._looked_at + _LOOK_NS)

    # all is well

    def run_well(self, done: Callable[[], bool], seconds: int) -> bool:
        """Let everybody do what they should, without delay, until ``done``; gives whether it came to that."""
        end = self.ic.now + seconds * NS_PER_S
        self.ic.handles_at_once, self.ic.traps, self.ic.is_stopped = True, False, False
        for gateway in self.gateways:
            gateway.is_up = True
        while not done():
            if self.do_next():
                continue
            due = [time for time in (self.ic.next_deadline(), self._client_due()) if time is not None]
            if self.connection is not None and self.connection.attach is not None:
                due.append(max(self.connection.next_head, self.ic.now + 1))
            due.append(end)
            if self.ic.now >= end:
                return False
            self.pass_time(max(0, min(due) - self.ic.now))
        return True

    def do_next(self, *, handles: bool = True) -> bool:
        """Do the first thing that waits to be done, if there is one.

        Args:
            handles: whether the canister hands messages to its application.
        """
        if self.connecting is not None:
            self.answer_connect()
        elif self.requests:
            self.answer(self.requests[0])
        elif handles and self.ic.has_work:
            self.ic.handle()
        elif self.untaken and self.takes_at_once:
            self.take(1)
        elif self.connection is not None:
            return self._do_next_of(self.connection)
        else:
            return False
        return True

    def _do_next_of(self, gateway: Gateway) -> bool:
        if gateway.frames:
            self.deliver()
        elif gateway.calls:
            self.relay(gateway, gateway.calls.pop(0))
        elif gateway.client_key is None:
            return False
        elif self.poll(gateway):
            return True
        elif gateway.attach is not None and self.ic.now >= gateway.next_head:
            gateway.next_head = self.ic.now + _HEAD_NS
            self.relay_head(gateway)
        else:
            return False
        return True
