"""A world in one thread: an IC with real certificates, a canister's session machine, gateways, and client machines.

There is no event loop and no sleep. Time is a number; what happens is in a queue ordered by time, with the machines'
own deadlines between.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from pyblst import BlstP1Element, BlstP2Element

from icws_secure.errors import IcwsError, TransportError
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions
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
from icws_secure.verify import RootKey
from icws_secure.wire import cbor, domain
from icws_secure.wire.certificate import CertificateDelegation, encode_certificate
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent, ReadStateContent
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    ReceiptStatus,
    decode_client_frame,
)
from icws_secure.wire.hashtree import encode_tree
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
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

START_NS = 1_700_000_000 * NS_PER_S
CANISTER = Principal(bytes.fromhex("00000000001000010101"))
G2_GENERATOR = bytes.fromhex(
    "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
    "024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
)
DST = b"BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_"


class Signer:
    """A subnet's BLS key."""

    def __init__(self, name: str) -> None:
        self._secret = int.from_bytes(hashlib.sha512(name.encode()).digest(), "big") % (1 << 250) + 1
        self.raw: bytes = BlstP2Element.uncompress(G2_GENERATOR).scalar_mul(self._secret).compress()
        self.der = PublicKey.bls(self.raw).der
        self.subnet_id = Principal.self_authenticating(self.der)
        self._signed: dict[bytes, bytes] = {}

    def sign(self, tree: MerkleMap) -> bytes:
        digest = tree.digest()
        if digest not in self._signed:
            point = BlstP1Element.hash_to_group(domain.STATE_ROOT + digest, DST).scalar_mul(self._secret)
            self._signed[digest] = point.compress()
        return self._signed[digest]


ROOT = Signer("root")
SUBNET = Signer("subnet")
OTHER_SUBNET = Signer("other subnet")
ROOT_KEY = RootKey(ROOT.raw)


def delegation_for(signer: Signer, low: Principal, high: Principal, time_ns: int) -> CertificateDelegation:
    """The root subnet's word for another's key and canister ranges."""
    ranges = cbor.encode_self_described([[low.raw, high.raw]])
    tree = MerkleMap.from_items(
        {
            b"time": encode_unsigned(time_ns),
            b"subnet": MerkleMap.from_items(
                {
                    signer.subnet_id.raw: MerkleMap.from_items(
                        {b"public_key": signer.der, b"canister_ranges": ranges, b"type": b"application"}
                    )
                }
            ),
        }
    )
    paths = [(b"time",), (b"subnet", signer.subnet_id.raw)]
    certificate = encode_certificate(tree.witness(paths), ROOT.sign(tree), None)
    return CertificateDelegation(signer.subnet_id, certificate)


class Trap(Exception):  # noqa: N818 - named for what it does
    """A handler of the canister traps."""


@dataclass
class Ic:
    """One subnet with one canister; every call is executed at once, and certified with the state after it."""

    config: CanisterConfig
    now: int = START_NS
    canister_id: Principal = CANISTER
    methods: frozenset[str] | None = None
    """Methods the canister has; None for those of its profiles."""
    handled: list[tuple[ClientKey, bytes]] = field(default_factory=list)
    handler: Callable[[Ic, ClientKey, bytes], None] | None = None
    delay_replies: bool = False
    """Answer calls with 202, so that they must be asked about."""
    is_reachable: bool = True
    calls: list[CallContent] = field(default_factory=list)
    accepted: list[Envelope] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.canister = CanisterSessions(self.config, now=self.now, seed=b"\x07" * 32)
        self.statuses: dict[bytes, dict[bytes, bytes]] = {}
        self.signer = SUBNET
        self.delegation = delegation_for(SUBNET, CANISTER, CANISTER, self.now)

    # certificates

    def tree(self, time_ns: int | None = None, certified_data: bytes | None = None) -> MerkleMap:
        root = self.canister.certified_root() if certified_data is None else certified_data
        return MerkleMap.from_items(
            {
                b"time": encode_unsigned(self.now if time_ns is None else time_ns),
                b"canister": MerkleMap.from_items(
                    {self.canister_id.raw: MerkleMap.from_items({b"certified_data": root})}
                ),
                b"request_status": MerkleMap.from_items(
                    {name: MerkleMap.from_items(status) for name, status in self.statuses.items()}
                ),
            }
        )

    def certify(self, *paths: Sequence[bytes], tree: MerkleMap | None = None) -> bytes:
        tree = self.tree() if tree is None else tree
        return encode_certificate(tree.witness([(b"time",), *paths]), self.signer.sign(tree), self.delegation)

    def data_certificate(self) -> bytes:
        return self.certify((b"canister", self.canister_id.raw, b"certified_data"))

    def status_certificate(self, request_id: bytes) -> bytes:
        return self.certify((b"request_status", request_id))

    def witness(self, *paths: Sequence[bytes]) -> bytes:
        return encode_tree(self.canister.state.root.witness(paths))

    def head_frame(self, session: Principal) -> HeadFrame:
        return HeadFrame(self.data_certificate(), self.witness(EPOCH_PATH, head_path(session)))

    # requests

    def http(self, path: str, body: bytes) -> tuple[int, bytes]:
        """The HTTPS interface."""
        envelope = Envelope.decode(body)
        content = envelope.content
        kind = path.rsplit("/", 1)[1]
        if isinstance(content, CallContent) and kind == "call":
            request_id = content.request_id
            refusal = self.call(envelope)
            if refusal is not None:
                return 200, cbor.encode(
                    {"status": "non_replicated_rejection", "reject_code": 5, "reject_message": refusal}
                )
            if self.delay_replies:
                return 202, b""
            return 200, cbor.encode({"status": "replied", "certificate": self.status_certificate(request_id)})
        if isinstance(content, QueryContent) and kind == "query":
            reply = self.query(content)
            return 200, cbor.encode({"status": "replied", "reply": {"arg": reply}, "signatures": []})
        if isinstance(content, ReadStateContent) and kind == "read_state":
            return 200, cbor.encode({"certificate": self.certify(*content.paths)})
        return 400, b"bad request"

    def call(self, envelope: Envelope) -> str | None:
        """Execute a call, once; gives the words of an uncertified rejection."""
        content = envelope.content
        assert isinstance(content, CallContent)
        if content.request_id in self.statuses:
            return None
        if not self.now <= content.ingress_expiry_ns <= self.now + 330 * NS_PER_S:
            return "ingress expiry"
        assert content.canister_id == self.canister_id
        self.calls.append(content)
        self.accepted.append(envelope)
        before = self.canister.state
        try:
            reply = self.execute(content.sender, content.method_name, content.arg)
        except Trap as trap:
            self.canister.state = before
            self.reject(content.request_id, 5, str(trap), "IC0503")
        except LookupError:
            self.reject(content.request_id, 5, "no such method", "IC0536")
        else:
            self.statuses[content.request_id] = {b"status": b"replied", b"reply": reply}
        return None

    def reject(self, request_id: bytes, code: int, message: str, error_code: str) -> None:
        self.statuses[request_id] = {
            b"status": b"rejected",
            b"reject_code": encode_unsigned(code),
            b"reject_message": message.encode(),
            b"error_code": error_code.encode(),
        }

    def execute(self, caller: Principal, method: str, arg: bytes) -> bytes:
        if self.methods is not None and method not in self.methods:
            raise LookupError(method)
        if method == "ws_audit":
            return self.canister.audit(caller, arg, None)
        take = {
            "ws_register": self.canister.register,
            "ws_params": self.canister.params,
            "ws_open": self.canister.open,
            "ws_close": self.canister.close,
            "ws_message": self.canister.message,
            "ws_message_batch": self.canister.message_batch,
            "ws_revoke": self.canister.revoke,
        }[method]
        outcome = take(caller, arg, self.now)
        if method not in ("ws_message", "ws_message_batch"):
            self.deliver()
            return outcome.reply
        for _ in self.deliveries():
            outcome = replace(outcome, reply=self.canister.message_reply(outcome))
        return self.canister.message_reply(outcome)

    def deliver(self) -> None:
        """Hand everything that waits to the application."""
        for _ in self.deliveries():
            pass

    def deliveries(self) -> Iterator[None]:
        """Hand what waits to the application, one after the other."""
        for client_key in self.canister.clients():
            while (delivery := self.canister.next_delivery(client_key)) is not None:
                before = self.canister.state
                self.canister.take_delivery(client_key, self.now)
                try:
                    if delivery.kind.value == "message":
                        if self.handler is not None:
                            self.handler(self, client_key, delivery.data)
                        self.handled.append((client_key, delivery.data))
                except Trap:
                    self.canister.state = before
                    self.canister.finish_delivery(client_key, delivery.seq, self.now, trapped=True)
                else:
                    self.canister.finish_delivery(client_key, delivery.seq, self.now)
                yield

    def query(self, content: QueryContent) -> bytes:
        certificate = self.data_certificate()
        if content.method_name == "ws_get_messages":
            return self.canister.get_messages(content.sender, content.arg, certificate)
        if content.method_name == "ws_audit":
            return self.canister.audit(content.sender, content.arg, certificate)
        raise AssertionError(content.method_name)

    def send(self, client_key: ClientKey, data: bytes) -> None:
        """The application sends."""
        self.canister.send(client_key, data, self.now)

    @property
    def heard(self) -> list[bytes]:
        """What the application was given, of all clients."""
        return [data for _, data in self.handled]


class Gateway:
    """An honest gateway with one client at a time. Tests replace its methods to make it something else."""

    def __init__(self, ic: Ic, name: str, *, subprotocol: bool = True) -> None:
        self.ic = ic
        self.url = f"ws://{name}"
        self.principal = Ed25519Identity(hashlib.sha256(name.encode()).digest()).principal
        self.has_subprotocol = subprotocol
        self.is_alive = True
        self.relays_messages = True
        self.relays_heads = True
        self.relays_calls = True
        self.gives_receipts = True
        self.client_key: ClientKey | None = None
        self.attach: int | None = None
        self.nonce = 0
        self.out: list[bytes] = []
        self.next_head = 0
        self.frames: list[Any] = []
        """Everything that was sent to the client, before it was tampered with."""
        self.received: list[Envelope] = []
        self.held: list[Envelope] = []
        self.tamper: Callable[[Any], Iterable[Any]] = lambda frame: [frame]

    def target(self, *, pinned: bool = False) -> GatewayTarget:
        return GatewayTarget(self.url, self.principal if pinned else None)

    def send(self, frame: Any) -> None:
        self.frames.append(frame)
        for item in self.tamper(frame):
            self.out.append(item if isinstance(item, bytes) else item.encode())

    def connected(self) -> None:
        self.client_key = None
        self.attach = None
        self.nonce = self.end_of_queue()
        self.next_head = 0
        self.send(Handshake(self.principal, SUBPROTOCOL if self.has_subprotocol else None))

    def end_of_queue(self) -> int:
        queue = self.ic.canister.state.queues.get(self.principal)
        return 0 if queue is None else queue.end

    def receive(self, data: bytes) -> None:
        envelope = decode_client_frame(data).envelope
        self.received.append(envelope)
        if not self.relays_calls:
            self.held.append(envelope)
            return
        self.relay(envelope)

    def relay(self, envelope: Envelope) -> None:
        content = envelope.content
        assert isinstance(content, CallContent)
        if content.method_name == "ws_open":
            argument = decode_open_argument(content.arg)
            self.client_key = ClientKey(content.sender, argument.client_nonce)
            self.attach = None if argument.secure is None else argument.secure.attach
        refusal = self.ic.call(envelope)
        if not self.has_subprotocol or not self.gives_receipts:
            return
        if refusal is not None:
            self.send(ReceiptFrame(content.request_id, ReceiptStatus.REJECTED, reject_code=5, reject_message=refusal))
        else:
            certificate = self.ic.status_certificate(content.request_id)
            self.send(ReceiptFrame(content.request_id, ReceiptStatus.CERTIFICATE, certificate))

    def work(self) -> None:
        """Poll, and relay the head when it is time."""
        if self.client_key is None:
            return
        if self.relays_messages:
            self.poll()
        if self.has_subprotocol and self.relays_heads and self.attach is not None and self.ic.now >= self.next_head:
            self.next_head = self.ic.now + 5 * NS_PER_S
            self.send(self.ic.head_frame(self.client_key.client_principal))

    def poll(self) -> None:
        while self.nonce < self.end_of_queue():
            reply = self.ic.canister.get_messages(
                self.principal, encode_get_messages_argument(self.nonce), self.ic.data_certificate()
            )
            result = decode_get_messages_result(reply)
            assert isinstance(result, CertifiedMessages)
            self.nonce = int(result.messages[-1].key[-20:]) + 1
            own = [
                KeyedContent(item.key, item.content) for item in result.messages if item.client_key == self.client_key
            ]
            if not own:
                continue
            paths = [(b"websocket", item.key.encode()) for item in own]
            tree = self.ic.witness(*paths)
            if self.has_subprotocol:
                self.send(MessagesFrame(tuple(own), result.cert, tree))
            else:
                for item in own:
                    self.send(MessageFrame(item.key, item.content, result.cert, tree))

    def left(self) -> None:
        """The client's connection is gone."""
        if self.client_key is not None:
            argument = CloseArgument(self.client_key, self.attach)
            self.ic.canister.close(self.principal, encode_close_argument(argument), self.ic.now)
        self.client_key = None


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


@dataclass(frozen=True)
class Kit:
    """The names above, for tests that cannot import this file."""

    World = World
    Ic = Ic
    Gateway = Gateway
    Trap = Trap
    Signer = Signer
    ROOT = ROOT
    ROOT_KEY = ROOT_KEY
    SUBNET = SUBNET
    OTHER_SUBNET = OTHER_SUBNET
    CANISTER = CANISTER
    START_NS = START_NS
    delegation_for = staticmethod(delegation_for)


@pytest.fixture(scope="session")
def kit() -> Kit:
    return Kit()


@pytest.fixture
def world() -> World:
    """One gateway, a secure session, attached."""
    return World().attached()
