"""A canister of the kit on a replica whose clock the test moves, with clients that call it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from icws_canister_mock.canister import WebSocketCanister
from icws_canister_mock.replica import ManualClock, Replica, ReplicaConfig
from icws_canister_mock.replica.rejects import Rejected, Replied
from icws_secure.limits import NS_PER_S
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.root_key import RootKey
from icws_secure.verify.witness import verify_witness
from icws_secure.wire import interface as wire
from icws_secure.wire import registration as reg
from icws_secure.wire import service
from icws_secure.wire.hashtree import Found
from icws_secure.wire.head import EPOCH_PATH, SessionHead, decode_epoch, decode_head, head_path
from icws_secure.wire.interface import ClientKey, MessageResult, OpenArgument, SecureOpen, WebsocketMessage
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY, CanisterMessage, decode_message, message_path
from icws_secure.wire.principal import Principal

START_NS = 1_900_000_000 * NS_PER_S


def user(name: str) -> Principal:
    return Principal(hashlib.sha224(name.encode()).digest() + b"\x02")


@dataclass
class Stage:
    """A replica with one canister of the kit."""

    clock: ManualClock
    replica: Replica
    id: Principal
    gateway: Principal = field(default_factory=lambda: user("gateway"))

    @property
    def canister(self) -> Any:
        return self.replica.canister(self.id)

    def sleep(self, seconds: float) -> None:
        """Let time pass in steps, so that timers fire."""
        end = self.clock.now_ns() + round(seconds * NS_PER_S)
        while self.clock.now_ns() < end:
            self.clock.advance(min(5 * NS_PER_S, end - self.clock.now_ns()))
            self.replica.run_until_idle()

    def call(self, sender: Principal, method: str, arg: bytes) -> bytes:
        result = self.replica.call(self.id, method, arg, sender=sender)
        assert isinstance(result, Replied), result
        return result.arg

    def rejected(self, sender: Principal, method: str, arg: bytes = b"") -> Rejected:
        result = self.replica.call(self.id, method, arg, sender=sender)
        assert isinstance(result, Rejected), result
        return result

    def query(self, sender: Principal, method: str, arg: bytes) -> bytes:
        result = self.replica.query(self.id, method, arg, sender=sender)
        assert isinstance(result, Replied), result
        return result.arg

    def register(self, owner: Principal, session: Principal) -> Any:
        argument = reg.RegisterArgument(session, self.clock.now_ns())
        return reg.decode_register_result(self.call(owner, "ws_register", reg.encode_register_argument(argument)))

    def verified(self, cert: bytes, tree: bytes) -> Any:
        """The witness, by the core's verifier."""
        verifier = CertificateVerifier(RootKey.from_der(self.replica.root_key_der))
        certificate = verifier.verify(cert, now=self.clock.now_ns(), canister_id=self.id)
        return verify_witness(certificate, self.id, tree)

    def poll(self, gateway: Principal | None = None) -> list[wire.OutputMessage]:
        """A gateway's whole queue, each message verified."""
        found: list[wire.OutputMessage] = []
        nonce = 0
        while True:
            arg = wire.encode_get_messages_argument(nonce)
            reply = wire.decode_get_messages_result(self.query(gateway or self.gateway, "ws_get_messages", arg))
            assert isinstance(reply, wire.CertifiedMessages)
            if reply.messages:
                witness = self.verified(reply.cert, reply.tree)
                for output in reply.messages:
                    hashed = hashlib.sha256(output.content).digest()
                    assert witness.lookup(message_path(output.key)) == Found(hashed)
            found += reply.messages
            if reply.is_end_of_queue:
                return found
            nonce = int(reply.messages[-1].key[-20:]) + 1

    def install_beside(self, canister: Any, arg: bytes = b"") -> Principal:
        return self.replica.install(canister, arg=arg)


@dataclass
class Player:
    """A client of the canister, of either profile."""

    stage: Stage
    owner: Principal
    principal: Principal
    parameters: Any
    attach: int = 0
    seq: int = 0

    @property
    def key(self) -> ClientKey:
        return ClientKey(self.principal, 7)

    def open(self, resume_from: int = 1, gateway: Principal | None = None) -> wire.Refusal | None:
        self.attach += 1
        secure = None
        if self.parameters is not None:
            secure = SecureOpen(self.parameters.registration_id, self.attach, resume_from, "none")
        arg = wire.encode_open_argument(OpenArgument(7, gateway or self.stage.gateway, secure))
        return wire.decode_open_result(self.stage.call(self.principal, "ws_open", arg))

    def say(self, data: bytes, *, is_service: bool = False, seq: int | None = None) -> MessageResult:
        if seq is None:
            self.seq += 1
            seq = self.seq
        message = WebsocketMessage(self.key, seq, self.stage.clock.now_ns(), is_service, data)
        arg = wire.encode_message_argument(message)
        return wire.decode_message_result(self.stage.call(self.principal, "ws_message", arg))

    def keep_alive(self, through: int) -> MessageResult:
        return self.say(service.encode_service_message(service.KeepAliveMessage(through)), is_service=True)

    def messages(self, gateway: Principal | None = None) -> list[CanisterMessage]:
        """What a gateway would deliver."""
        return [
            decode_message(output.content)
            for output in self.stage.poll(gateway)
            if output.client_key == self.key and output.client_key != TOMBSTONE_CLIENT_KEY
        ]

    def data(self, gateway: Principal | None = None) -> list[bytes]:
        """What the application sent."""
        return [message.content for message in self.messages(gateway) if not message.is_service_message]

    def services(self, gateway: Principal | None = None) -> list[Any]:
        """What the kit sent."""
        return [
            service.decode_service_message(message.content)
            for message in self.messages(gateway)
            if message.is_service_message
        ]

    @property
    def head(self) -> SessionHead:
        """The certified head, by an audit."""
        answer = reg.decode_audit_result(
            self.stage.query(self.principal, "ws_audit", reg.encode_audit_argument((self.principal,)))
        )
        assert isinstance(answer, reg.Audit)
        assert answer.cert is not None
        assert answer.tree is not None
        witness = self.stage.verified(answer.cert, answer.tree)
        epoch, leaf = witness.lookup(EPOCH_PATH), witness.lookup(head_path(self.principal))
        assert decode_epoch(epoch.value) == answer.epoch
        assert leaf.value == answer.heads[0]
        return decode_head(leaf.value)


@pytest.fixture
def stage_of() -> Callable[..., Stage]:
    """Install a canister on a new replica."""

    def make(canister: WebSocketCanister, arg: bytes = b"") -> Stage:
        clock = ManualClock(START_NS)
        replica = Replica(ReplicaConfig(seed=bytes(32), clock=clock))
        return Stage(clock, replica, replica.install(canister, arg=arg))

    return make


@pytest.fixture
def secure_player() -> Callable[..., Player]:
    """A client with a registered session, opened unless told otherwise."""

    def make(stage: Stage, name: str = "alice", *, opened: bool = True) -> Player:
        owner, principal = user(name), user(f"{name}'s session")
        parameters = stage.register(owner, principal)
        assert isinstance(parameters, reg.Parameters), parameters
        player = Player(stage, owner, principal, parameters)
        if opened:
            assert player.open() is None
        return player

    return make


@pytest.fixture
def omnia_player() -> Callable[..., Player]:
    """A client of ``omnia/1``."""

    def make(stage: Stage, name: str = "bob") -> Player:
        player = Player(stage, user(name), user(name), None)
        assert player.open() is None
        return player

    return make


@pytest.fixture
def make_user() -> Callable[[str], Principal]:
    return user
