"""An IC with one subnet and one canister, whose certificates are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.wire import cbor
from icws_secure.wire.certificate import encode_certificate
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent, ReadStateContent
from icws_secure.wire.frames import (
    HeadFrame,
)
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.head import EPOCH_PATH, head_path
from icws_secure.wire.interface import (
    ClientKey,
)
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

from .subnets import CANISTER, START_NS, SUBNET, delegation_for


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
