"""The deployed parts that cannot be run here, as strict models: a canister with the deployed kit, a gateway's poller.

Both are written from what the deployed code does, not from ours: the canister builds its own tree, the poller gives up
at whatever the deployed one gives up at.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2
import pytest

from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, ReplicaServer, query, serve_replica, update
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.limits import NS_PER_S
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import (
    Blob,
    Bool,
    Nat64,
    Null,
    Opt,
    PrincipalType,
    Record,
    Reserved,
    Text,
    Variant,
    Vec,
)
from icws_secure.wire.principal import Principal

CLIENT_KEY = Record({"client_principal": PrincipalType, "client_nonce": Nat64})
MESSAGE = Record(
    {
        "client_key": CLIENT_KEY,
        "sequence_num": Nat64,
        "timestamp": Nat64,
        "is_service_message": Bool,
        "content": Blob,
    }
)
OUTPUT = Record({"client_key": CLIENT_KEY, "key": Text, "content": Blob})
CERTIFIED = Record({"messages": Vec(OUTPUT), "cert": Blob, "tree": Blob, "is_end_of_queue": Bool})
ACKNOWLEDGED = Record({"last_incoming_sequence_num": Nat64})
SERVICE = Variant(
    {
        "OpenMessage": Record({"client_key": CLIENT_KEY}),
        "AckMessage": ACKNOWLEDGED,
        "KeepAliveMessage": ACKNOWLEDGED,
        "CloseMessage": Record(
            {
                "reason": Variant(
                    dict.fromkeys(
                        ["WrongSequenceNumber", "InvalidServiceMessage", "KeepAliveTimeout", "ClosedByApplication"],
                        Null,
                    )
                )
            }
        ),
    }
)
RESULT = Variant({"Ok": Null, "Err": Text})
OK = encode([RESULT], [("Ok", None)])

TO_DELETE = 5
MOST_RETURNED = 50

Key = tuple[Principal, int]


def error(text: str) -> bytes:
    return encode([RESULT], [("Err", text)])


# a certified map as the deployed kit has it: sorted keys, one label above


def _hash(domain: str, *parts: bytes) -> bytes:
    return hashlib.sha256(bytes([len(domain)]) + domain.encode() + b"".join(parts)).digest()


def _tree(entries: list[tuple[bytes, bytes]], shown: Callable[[bytes], bool]) -> tuple[list[Any], bytes]:
    """The tree of sorted entries with those pruned that are not shown, and its digest."""
    if not entries:
        return [0], _hash("ic-hashtree-empty")
    if len(entries) == 1:
        label, leaf = entries[0]
        digest = _hash("ic-hashtree-labeled", label, _hash("ic-hashtree-leaf", leaf))
        return ([2, label, [3, leaf]] if shown(label) else [4, digest]), digest
    middle = len(entries) // 2
    left, left_digest = _tree(entries[:middle], shown)
    right, right_digest = _tree(entries[middle:], shown)
    digest = _hash("ic-hashtree-fork", left_digest, right_digest)
    if left[0] == right[0] == 4:
        return [4, digest], digest
    return [1, left, right], digest


@dataclass
class _Client:
    gateway: Principal
    last_keep_alive: int
    outgoing: int = 0
    incoming: int = 1
    waiting: bool = False


@dataclass
class _Queue:
    messages: list[tuple[str, Key, bytes, int]] = field(default_factory=list)
    nonce: int = 0
    clients: int = 0
    empty_since: int | None = None


class DeployedKit(Canister):
    """An echo canister as the deployed kit makes one. The text of a number is answered with so many messages."""

    ack_interval_ns = 300 * NS_PER_S
    keep_alive_ns = 60 * NS_PER_S

    def init(self, arg: bytes) -> None:
        self.clients: dict[Key, _Client] = {}
        self.current: dict[Principal, Key] = {}
        self.queues: dict[Principal, _Queue] = {}
        self.leaves: dict[bytes, bytes] = {}
        self.refused: list[str] = []
        self.next_ack = self.ic.time_ns + self.ack_interval_ns
        self._arm()

    def post_upgrade(self, arg: bytes, stable: bytes) -> None:
        self.init(arg)  # an upgrade forgets everything

    # methods

    @update("ws_open")
    def ws_open(self, arg: bytes) -> bytes:
        opened, *_ = decode([Record({"client_nonce": Nat64, "gateway_principal": PrincipalType})], arg)
        key = (self.ic.caller, opened["client_nonce"])
        if self.ic.caller.is_anonymous:
            return self._refuse("anonymous")
        if key in self.clients:
            return self._refuse("client key is connected")
        if self.ic.caller in self.current:
            self._remove(self.current[self.ic.caller])
        gateway = opened["gateway_principal"]
        self.clients[key] = _Client(gateway, self.ic.time_ns)
        self.current[self.ic.caller] = key
        queue = self.queues.setdefault(gateway, _Queue())
        queue.clients, queue.empty_since = queue.clients + 1, None
        self._service(key, "OpenMessage", {"client_key": _record(key)})
        return OK

    @update("ws_close")
    def ws_close(self, arg: bytes) -> bytes:
        (closed,) = decode([Record({"client_key": CLIENT_KEY})], arg)
        key = _key(closed["client_key"])
        if self.ic.caller not in self.queues:
            return self._refuse("gateway is not registered")
        if key not in self.clients or self.clients[key].gateway != self.ic.caller:
            return self._refuse("client is not registered to this gateway")
        self._remove(key)
        return OK

    @update("ws_message")
    def ws_message(self, arg: bytes) -> bytes:
        message, _ = decode([Record({"msg": MESSAGE}), Reserved], arg)
        message = message["msg"]
        key = self.current.get(self.ic.caller)
        if key is None or _key(message["client_key"]) != key:
            return self._refuse("client key")
        client = self.clients[key]
        if message["sequence_num"] != client.incoming:
            self._remove(key, "WrongSequenceNumber")
            return self._refuse(f"sequence number {message['sequence_num']}, not {client.incoming}")
        client.incoming += 1
        if message["is_service_message"]:
            ((label, _),) = decode([SERVICE], message["content"])
            if label != "KeepAliveMessage":
                return self._refuse("service message")
            client.last_keep_alive = self.ic.time_ns
            return OK
        content = message["content"]
        if content.isdigit():
            for n in range(int(content)):
                self._send(key, b"message %d" % n, service=False)
        else:
            self._send(key, content, service=False)
        return OK

    @query("ws_get_messages")
    def ws_get_messages(self, arg: bytes) -> bytes:
        (asked,) = decode([Record({"nonce": Nat64})], arg)
        queue = self.queues.get(self.ic.caller)
        found = [] if queue is None else queue.messages
        smallest = _message_key(self.ic.caller, asked["nonce"])
        found = [message for message in found if message[0] >= smallest]
        shown = found[:MOST_RETURNED]
        if not shown:
            # no certificate and no witness where there is nothing to certify
            return self._poll([], b"", b"", end=True)
        keys = {message[0].encode() for message in shown}
        tree, _ = _tree(sorted(self.leaves.items()), keys.__contains__)
        witness = cbor2.dumps(cbor2.CBORTag(55799, [2, b"websocket", tree]))
        certificate = self.ic.data_certificate()
        assert certificate is not None
        return self._poll(shown, certificate, witness, end=len(found) <= MOST_RETURNED)

    def on_timer(self) -> None:
        now = self.ic.time_ns
        for key in [key for key, client in self.clients.items() if client.waiting]:
            if now - self.clients[key].last_keep_alive > self.ack_interval_ns + self.keep_alive_ns:
                self._remove(key, "KeepAliveTimeout")
        if now >= self.next_ack:
            self.next_ack = now + self.ack_interval_ns
            for key, client in self.clients.items():
                self._service(key, "AckMessage", {"last_incoming_sequence_num": client.incoming - 1})
                client.waiting = True
            for gateway, queue in list(self.queues.items()):
                if queue.empty_since is not None and now - queue.empty_since > self.ack_interval_ns:
                    self._delete(message[0] for message in queue.messages)
                    del self.queues[gateway]
        self._arm()

    # the machinery

    def _poll(self, messages: list[Any], cert: bytes, tree: bytes, *, end: bool) -> bytes:
        outputs = [{"client_key": _record(key), "key": name, "content": content} for name, key, content, _ in messages]
        certified = {"messages": outputs, "cert": cert, "tree": tree, "is_end_of_queue": end}
        return encode([Variant({"Ok": CERTIFIED, "Err": Text})], [("Ok", certified)])

    def _service(self, key: Key, label: str, value: object) -> None:
        self._send(key, encode([SERVICE], [(label, value)]), service=True)

    def _send(self, key: Key, content: bytes, *, service: bool) -> None:
        client = self.clients[key]
        queue = self.queues[client.gateway]
        client.outgoing += 1
        name = _message_key(client.gateway, queue.nonce)
        queue.nonce += 1
        message = {
            "client_key": {"client_principal": key[0].raw, "client_nonce": key[1]},
            "sequence_num": client.outgoing,
            "timestamp": self.ic.time_ns,
            "is_service_message": service,
            "content": content,
        }
        data = cbor2.dumps(cbor2.CBORTag(55799, message))
        old = [m[0] for m in queue.messages[:TO_DELETE] if self.ic.time_ns - m[3] > self.ack_interval_ns]
        del queue.messages[: len(old)]
        self._delete(old)
        self.leaves[name.encode()] = hashlib.sha256(data).digest()
        queue.messages.append((name, key, data, self.ic.time_ns))
        self._certify()

    def _delete(self, names: Any) -> None:
        for name in names:
            del self.leaves[name.encode()]
        self._certify()

    def _certify(self) -> None:
        _, digest = _tree(sorted(self.leaves.items()), lambda _: False)
        self.ic.set_certified_data(_hash("ic-hashtree-labeled", b"websocket", digest))

    def _remove(self, key: Key, reason: str | None = None) -> None:
        if reason is not None:
            self._service(key, "CloseMessage", {"reason": (reason, None)})
        client = self.clients.pop(key)
        del self.current[key[0]]
        queue = self.queues[client.gateway]
        queue.clients -= 1
        if not queue.clients:
            queue.empty_since = self.ic.time_ns

    def _refuse(self, text: str) -> bytes:
        self.refused.append(text)
        return error(text)

    def _arm(self) -> None:
        self.ic.set_timer_at(self.ic.time_ns + NS_PER_S // 5)


def _record(key: Key) -> dict[str, object]:
    return {"client_principal": key[0], "client_nonce": key[1]}


def _key(record: Any) -> Key:
    return record["client_principal"], record["client_nonce"]


def _message_key(gateway: Principal, nonce: int) -> str:
    return f"{gateway.to_text()}_{nonce:020}"


class PollerError(Exception):
    """The deployed gateway ends all sessions of a canister at this."""


class DeployedPoller:
    """How the deployed gateway polls a canister, on an embedded replica.

    Attributes:
        clients: messages delivered to each client key that is connected.
        polls: messages of each poll that was not empty.
    """

    def __init__(self, replica: Replica, canister: Principal, gateway: Principal) -> None:
        self._replica = replica
        self._canister = canister
        self._gateway = gateway
        self.nonce = 0
        self.clients: dict[Key, list[dict[str, Any]]] = {}
        self.polls: list[int] = []

    def connect(self, key: Key) -> None:
        self.clients[key] = []

    def leave(self, key: Key) -> Any:
        """A client disconnects; with the last one the poller ends, and the next one starts at 0."""
        del self.clients[key]
        if not self.clients:
            self.nonce = 0
        arg = encode([Record({"client_key": CLIENT_KEY})], [{"client_key": _record(key)}])
        return self._replica.call(self._canister, "ws_close", arg, sender=self._gateway)

    def run(self) -> None:
        """Poll until the end of the queue."""
        while self._poll():
            pass

    def _poll(self) -> bool:
        arg = encode([Record({"nonce": Nat64})], [{"nonce": self.nonce}])
        answer: Any = self._replica.query(self._canister, "ws_get_messages", arg, sender=self._gateway)
        type_ = Record({"messages": Vec(OUTPUT), "cert": Blob, "tree": Blob, "is_end_of_queue": Opt(Bool)})
        ((label, certified),) = decode([Variant({"Ok": type_, "Err": Text})], answer.arg)
        if label != "Ok":
            raise PollerError(certified)
        if certified["messages"]:
            self.polls.append(len(certified["messages"]))
        for message in certified["messages"]:
            self._take(message, certified)
        return certified["is_end_of_queue"] is False

    def _take(self, message: dict[str, Any], certified: dict[str, Any]) -> None:
        gateway, _, digits = message["key"].partition("_")
        nonce = int(digits)
        if gateway != self._gateway.to_text() or len(digits) != 20:
            raise PollerError(f"key {message['key']}")
        if self.nonce and nonce != self.nonce:
            raise PollerError(f"nonce {nonce}, not {self.nonce}")
        self.nonce = nonce + 1
        delivered = self.clients.get(_key(message["client_key"]))
        if delivered is not None:
            frame = {"cert": certified["cert"], "tree": certified["tree"]}
            delivered.append(frame | {"key": message["key"], "content": message["content"]})


# what the tests take


@pytest.fixture
def deployed_kit() -> type[DeployedKit]:
    """A canister of the deployed kit."""
    return DeployedKit


@pytest.fixture
def deployed_poller() -> type[DeployedPoller]:
    """The poller of the deployed gateway."""
    return DeployedPoller


@pytest.fixture
def open_argument() -> Callable[[int, Principal], bytes]:
    """The argument of ``ws_open`` from its client nonce and gateway, as deployed clients encode it."""
    type_ = Record({"client_nonce": Nat64, "gateway_principal": PrincipalType})
    return lambda nonce, gateway: encode([type_], [{"client_nonce": nonce, "gateway_principal": gateway}])


@pytest.fixture
def message_argument() -> Callable[..., bytes]:
    """The arguments of ``ws_message``, as deployed clients encode them."""

    def make(key: Key, seq: int, content: bytes, *, service: bool = False) -> bytes:
        message = {
            "client_key": _record(key),
            "sequence_num": seq,
            "timestamp": 0,
            "is_service_message": service,
            "content": content,
        }
        return encode([Record({"msg": MESSAGE}), Opt(Text)], [{"msg": message}, None])

    return make


@pytest.fixture
async def server() -> AsyncIterator[ReplicaServer]:
    async with serve_replica(Replica(ReplicaConfig(idle_block_ms=100))) as running:
        yield running


@pytest.fixture
async def gateway(server: ReplicaServer, tmp_path: Path) -> AsyncIterator[Gateway]:
    config = GatewayConfig(
        ic_url=server.url, listen="127.0.0.1:0", identity=tmp_path / "gateway.pem", poll_interval_ms=20
    )
    async with serve_gateway(config) as running:
        yield running
