"""A local IC with a canister that does as it is told, a proxy in front that misbehaves on demand, and clients."""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, query, serve_replica, update
from icws_gateway import Gateway, GatewayConfig
from icws_secure.sign.identity import Ed25519Identity, Identity
from icws_secure.sign.request import sign_call
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.witness import verify_witness
from icws_secure.wire import cbor
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    ClientFrame,
    GatewayFrame,
    Handshake,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    decode_gateway_frame,
)
from icws_secure.wire.hashtree import Found, encode_tree
from icws_secure.wire.head import SessionHead, encode_epoch
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    MessageResult,
    OpenArgument,
    OutputMessage,
    Refusal,
    SecureOpen,
    WebsocketMessage,
    decode_close_argument,
    decode_get_messages_argument,
    decode_message_argument,
    decode_open_argument,
    encode_close_result,
    encode_get_messages_result,
    encode_message_argument,
    encode_message_result,
    encode_open_argument,
    encode_open_result,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Audit, SessionState, decode_audit_argument, encode_audit_result

SECOND = 1_000_000_000


class QueueCanister(Canister):
    """Keeps a queue for each gateway; echoes messages; does nothing that is not asked for."""

    def init(self, arg: bytes) -> None:
        self.queues: dict[Principal, tuple[tuple[int, ClientKey, bytes], ...]] = {}
        self.next: dict[Principal, int] = {}
        self.gateways: dict[ClientKey, Principal] = {}
        self.heads: dict[Principal, bytes] = {}
        self.sequence: dict[ClientKey, int] = {}
        self.received: tuple[tuple[str, Any], ...] = ()
        self.refuse_opens: str | None = None
        self.page = 50
        self._certify()

    def snapshot(self) -> object:
        return {name: dict(value) if isinstance(value, dict) else value for name, value in vars(self).items()}

    def restore(self, snapshot: object) -> None:
        assert isinstance(snapshot, dict)
        ic = self.ic
        self.__dict__ = {name: dict(value) if isinstance(value, dict) else value for name, value in snapshot.items()}
        self.ic = ic

    def _certify(self) -> None:
        messages = {
            message_key(gateway, nonce).encode(): sha256(content).digest()
            for gateway, queue in self.queues.items()
            for nonce, _, content in queue
        }
        heads = MerkleMap.from_items({principal.raw: head for principal, head in self.heads.items()})
        self.tree = MerkleMap.from_items(
            {
                b"icws": MerkleMap.from_items({b"epoch": encode_epoch(7), b"head": heads}),
                b"websocket": MerkleMap.from_items(messages),
            }
        )
        self.ic.set_certified_data(self.tree.digest())

    def _queue(self, gateway: Principal, key: ClientKey, content: bytes) -> None:
        nonce = self.next.get(gateway, 0)
        self.next[gateway] = nonce + 1
        self.queues[gateway] = (*self.queues.get(gateway, ()), (nonce, key, content))

    def _send(self, key: ClientKey, content: bytes) -> None:
        number = self.sequence.get(key, 0) + 1
        self.sequence[key] = number
        message = CanisterMessage(key, number, self.ic.time_ns, False, content)
        self._queue(self.gateways[key], key, message.encode())

    @update()
    def ws_open(self, arg: bytes) -> bytes:
        if self.refuse_opens is not None:
            return encode_open_result(Refusal(self.refuse_opens, "as the test wants"))
        argument = decode_open_argument(arg)
        key = ClientKey(self.ic.caller, argument.client_nonce)
        self.gateways[key] = argument.gateway_principal
        self.received = (*self.received, ("ws_open", key))
        if argument.secure is not None:
            secure = argument.secure
            head = SessionHead(
                secure.registration_id, secure.attach, SessionState.OPEN, 1, 1, 0, 0, 1, self.ic.time_ns, 1 << 62
            )
            self.heads[self.ic.caller] = head.encode()
        self._send(key, b"opened")
        self._certify()
        return encode_open_result()

    @update()
    def ws_message(self, arg: bytes) -> bytes:
        message = decode_message_argument(arg)
        self.received = (*self.received, ("ws_message", message.content))
        if message.content == b"trap":
            self.ic.trap("as the test wants")
        self._send(message.client_key, message.content)
        self._certify()
        return encode_message_result(MessageResult())

    @update()
    def ws_close(self, arg: bytes) -> bytes:
        argument = decode_close_argument(arg)
        self.received = (*self.received, ("ws_close", (argument.client_key, argument.attach)))
        return encode_close_result()

    @update()
    def push(self, arg: bytes) -> bytes:
        """Sends to clients: CBOR list of [principal, nonce, content]."""
        items = cbor.decode(arg, what="push")
        assert isinstance(items, list)
        for principal, nonce, content in items:
            self._send(ClientKey(Principal(principal), nonce), content)
        self._certify()
        return b""

    @update()
    def control(self, arg: bytes) -> bytes:
        """Sets attributes: CBOR map; ``forget`` drops all queues and counts from 0, ``trim`` drops up to a nonce."""
        wishes = cbor.decode(arg, what="control")
        assert isinstance(wishes, dict)
        if wishes.pop("forget", False):
            self.queues, self.next = {}, {}
        if (trim := wishes.pop("trim", None)) is not None:
            self.queues = {g: tuple(e for e in queue if e[0] >= trim) for g, queue in self.queues.items()}
        for name, value in wishes.items():
            setattr(self, name, value)
        self._certify()
        return b""

    @query()
    def ws_get_messages(self, arg: bytes) -> bytes:
        first = decode_get_messages_argument(arg)
        gateway = self.ic.caller
        found = [entry for entry in self.queues.get(gateway, ()) if entry[0] >= first]
        page = found[: self.page]
        if not page:
            return encode_get_messages_result(CertifiedMessages((), b"", b"", True))
        keys = [message_key(gateway, nonce) for nonce, _, _ in page]
        witness = self.tree.witness([(b"websocket", key.encode()) for key in keys])
        return encode_get_messages_result(
            CertifiedMessages(
                tuple(OutputMessage(key, name, content) for name, (_, key, content) in zip(keys, page, strict=True)),
                self.ic.data_certificate() or b"",
                encode_tree(witness),
                len(page) == len(found),
            )
        )

    @query()
    def ws_audit(self, arg: bytes) -> bytes:
        sessions = decode_audit_argument(arg)
        witness = self.tree.witness([(b"icws", b"epoch"), *((b"icws", b"head", session.raw) for session in sessions)])
        heads = tuple(self.heads.get(session) for session in sessions)
        return encode_audit_result(Audit(7, heads, self.ic.data_certificate(), encode_tree(witness)))


@dataclass
class Seen:
    """A request that reached the IC."""

    kind: str
    version: str
    canister: str
    body: bytes
    method: str = ""
    sender: Principal | None = None
    at: float = field(default_factory=time.monotonic)


Fault = Callable[[Seen], Awaitable[web.Response | None]]


class Ic:
    """The replica behind a proxy that records requests and applies faults."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.server: Any = None
        self.url = ""
        self.seen: list[Seen] = []
        self.fault: Fault | None = None
        self.rewrite: Callable[[Seen, int, bytes], tuple[int, bytes]] | None = None
        self.session: aiohttp.ClientSession | None = None

    def install(self, canister: Canister | None = None, subnet: str = "app") -> Principal:
        return self.replica.install(canister if canister is not None else QueueCanister(), subnet=subnet)

    def named(self, method: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method]

    def canister(self, canister: Principal) -> QueueCanister:
        found = self.replica.canister(canister)
        assert isinstance(found, QueueCanister)
        return found

    async def update(self, canister: Principal, method: str, value: object) -> None:
        self.replica.call(canister, method, cbor.encode(value))

    async def push(self, canister: Principal, *messages: tuple[ClientKey, bytes]) -> None:
        await self.update(
            canister, "push", [[key.client_principal.raw, key.client_nonce, content] for key, content in messages]
        )

    async def forward(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        assert self.session is not None
        headers = {"Content-Type": "application/cbor"}
        async with self.session.request(method, self.server.url + path, data=body, headers=headers) as response:
            return response.status, await response.read()

    async def call(self, seen: Seen) -> web.Response:
        """Forwards a call, for faults that do something before or after."""
        status, body = await self.forward("POST", f"/api/{seen.version}/canister/{seen.canister}/call", seen.body)
        return web.Response(status=status, body=body)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        parts = request.path.split("/")
        seen = Seen(parts[-1], parts[2] if len(parts) > 2 else "", parts[4] if len(parts) > 4 else "", body)
        if request.method == "POST":
            content = Envelope.decode(body).content
            seen.method = getattr(content, "method_name", "")
            seen.sender = content.sender
        self.seen.append(seen)
        if self.fault is not None and (answer := await self.fault(seen)) is not None:
            return answer
        status, answered = await self.forward(request.method, request.path, body)
        if self.rewrite is not None:
            status, answered = self.rewrite(seen, status, answered)
        return web.Response(status=status, body=answered, content_type="application/cbor")


@pytest.fixture
async def ic() -> AsyncIterator[Ic]:
    replica = Replica(ReplicaConfig(seed=bytes(32), idle_block_ms=100))
    found = Ic(replica)
    async with serve_replica(replica) as server, aiohttp.ClientSession() as session:
        found.server, found.session = server, session
        application = web.Application(client_max_size=8 << 20)
        application.router.add_route("*", "/{tail:.*}", found.handle)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield found
        finally:
            await runner.cleanup()


@pytest.fixture
def gateway_identity() -> Ed25519Identity:
    return Ed25519Identity(sha256(b"gateway").digest())


MakeGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def make_gateway(ic: Ic, gateway_identity: Identity) -> AsyncIterator[MakeGateway]:
    """Starts gateways with settings of the test's choice in front of the IC."""
    async with AsyncExitStack() as stack:

        async def make(*, identity: Identity | None = None, traces: Any = None, **settings: Any) -> Gateway:
            chosen: dict[str, Any] = {
                "listen": "127.0.0.1:0",
                "close_timeout_seconds": 1,
                "head_interval_seconds": 0,
            } | settings
            gateway = Gateway(GatewayConfig(ic_url=ic.url, **chosen), identity or gateway_identity, traces=traces)
            await gateway.start()
            stack.push_async_callback(gateway.stop)
            await until(lambda: gateway.is_ready)
            return gateway

        yield make


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Lets everything else run until the condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("the condition did not come to hold")
        await asyncio.sleep(0.005)


class Peer:
    """A client: signs calls and keeps every frame."""

    def __init__(self, socket: ClientConnection, gateway: Gateway, canister: Principal, identity: Identity) -> None:
        self.socket = socket
        self.gateway = gateway
        self.canister = canister
        self.identity = identity
        self.key = ClientKey(identity.principal, secrets.randbelow(1 << 63))
        self.frames: list[GatewayFrame] = []
        self.raw: list[bytes] = []
        self.sent = 0
        self.closed: ConnectionClosed | None = None
        self._pump = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async for data in self.socket:
                assert isinstance(data, bytes)
                self.raw.append(data)
                self.frames.append(decode_gateway_frame(data))
            await self.socket.recv()
        except ConnectionClosed as closed:
            self.closed = closed

    async def stop(self) -> None:
        await self.socket.close()
        await self._pump

    @property
    def close_code(self) -> int | None:
        return self.closed.rcvd.code if self.closed is not None and self.closed.rcvd is not None else None

    @property
    def close_reason(self) -> str:
        return self.closed.rcvd.reason if self.closed is not None and self.closed.rcvd is not None else ""

    def envelope(self, method: str, arg: bytes, **changes: Any) -> Envelope:
        fields: dict[str, Any] = {
            "canister_id": self.canister,
            "method_name": method,
            "arg": arg,
            "ingress_expiry_ns": time.time_ns() + 60 * SECOND,
            "nonce": secrets.token_bytes(16),
        }
        identity = changes.pop("identity", self.identity)
        return sign_call(identity, **(fields | changes))

    def open_arg(self, **changes: Any) -> bytes:
        fields: dict[str, Any] = {"client_nonce": self.key.client_nonce, "gateway_principal": self.gateway.principal}
        if (attach := changes.pop("attach", None)) is not None:
            fields["secure"] = SecureOpen(bytes(16), attach, 1, "none")
        return encode_open_argument(OpenArgument(**(fields | changes)))

    async def send(self, envelope: Envelope) -> None:
        await self.socket.send(ClientFrame(envelope).encode())

    async def open(self, *, attach: int | None = None, wait: bool = True) -> None:
        await self.send(self.envelope("ws_open", self.open_arg(attach=attach)))
        if wait:
            # the receipt may come before or after the message; without it the call is still under way
            is_modern = self.socket.subprotocol is not None
            await until(lambda: b"opened" in self.contents and (self.receipts or not is_modern))

    def message_envelope(self, content: bytes, **changes: Any) -> Envelope:
        self.sent += 1
        message = WebsocketMessage(self.key, self.sent, time.time_ns(), False, content)
        return self.envelope("ws_message", encode_message_argument(message), **changes)

    async def say(self, content: bytes) -> Envelope:
        envelope = self.message_envelope(content)
        await self.send(envelope)
        return envelope

    async def wait_closed(self, seconds: float = 60.0) -> int | None:
        await until(lambda: self.closed is not None, seconds)
        return self.close_code

    @property
    def handshake(self) -> Handshake:
        frame = self.frames[0]
        assert isinstance(frame, Handshake)
        return frame

    @property
    def receipts(self) -> list[ReceiptFrame]:
        return [frame for frame in self.frames if isinstance(frame, ReceiptFrame)]

    @property
    def deliveries(self) -> list[tuple[str, bytes, bytes, bytes, int]]:
        """Every message: key, content, certificate, witness, and how many shared the frame."""
        found = []
        for frame in self.frames:
            if isinstance(frame, MessageFrame):
                found.append((frame.key, frame.content, frame.cert, frame.tree, 1))
            elif isinstance(frame, MessagesFrame):
                found += [(m.key, m.content, frame.cert, frame.tree, len(frame.messages)) for m in frame.messages]
        return found

    @property
    def contents(self) -> list[bytes]:
        """The application's content of every message, in order of arrival."""
        values = []
        for _, content, *_ in self.deliveries:
            message = cbor.decode(content, what="message")
            assert isinstance(message, dict)
            values.append(message["content"])
        return values


MakePeer = Callable[..., Awaitable[Peer]]


@asynccontextmanager
async def peers() -> AsyncIterator[MakePeer]:
    made: list[Peer] = []

    async def make(
        gateway: Gateway,
        canister: Principal,
        *,
        modern: bool = False,
        identity: Identity | None = None,
        **options: Any,
    ) -> Peer:
        socket = await connect(
            gateway.url,
            subprotocols=[Subprotocol(SUBPROTOCOL)] if modern else None,
            compression=None,
            max_size=8 << 20,
            **options,
        )
        peer = Peer(socket, gateway, canister, identity or Ed25519Identity(secrets.token_bytes(32)))
        made.append(peer)
        return peer

    try:
        yield make
    finally:
        for peer in made:
            await peer.stop()


@pytest.fixture
async def connect_peer() -> AsyncIterator[MakePeer]:
    """Connects clients to a gateway."""
    async with peers() as make:
        yield make


@pytest.fixture
def eventually() -> Callable[..., Awaitable[None]]:
    """Lets everything else run until a condition holds."""
    return until


@pytest.fixture
def verify(ic: Ic) -> Callable[[Principal, tuple[str, bytes, bytes, bytes, int]], None]:
    """Verifies a delivered message as a client would: certificate, witness, leaf."""
    certificates = CertificateVerifier(RootKey.from_der(ic.replica.root_key_der))

    def check(canister: Principal, delivery: tuple[str, bytes, bytes, bytes, int]) -> None:
        key, content, certificate, tree, _ = delivery
        verified = certificates.verify(certificate, now=time.time_ns(), canister_id=canister)
        witness = verify_witness(verified, canister, tree)
        assert witness.lookup((b"websocket", key.encode())) == Found(sha256(content).digest())

    return check


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "cert.pem", folder / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


@pytest.fixture
def write_certificate() -> Callable[[Path, str], tuple[Path, Path]]:
    """Writes a self-signed certificate and its key into a folder, over those that are there."""
    return make_certificate
