"""A canister's session machine with principals to play its clients, gateways and owners."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterEvent, CanisterSessions, Outcome
from icws_secure.wire import interface as wire
from icws_secure.wire import registration as reg
from icws_secure.wire import service
from icws_secure.wire.hashtree import ABSENT, Found, decode_tree, digest, lookup
from icws_secure.wire.head import EPOCH_PATH, SessionHead, decode_epoch, decode_head, head_path
from icws_secure.wire.interface import (
    ClientKey,
    MessageResult,
    OpenArgument,
    OutputMessage,
    SecureOpen,
    WebsocketMessage,
)
from icws_secure.wire.message import (
    TOMBSTONE_CLIENT_KEY,
    CanisterMessage,
    decode_message,
    message_path,
    parse_message_key,
)
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal, RefusalCode

START_NS = 1_700_000_000 * NS_PER_S
CERTIFICATE = b"the certificate"


def user(name: str) -> Principal:
    return Principal(hashlib.sha224(name.encode()).digest() + b"\x02")


@dataclass
class Received:
    """A message of a poll, with what it says."""

    nonce: int
    message: CanisterMessage
    service: Any

    @property
    def seq(self) -> int:
        return self.message.sequence_num

    @property
    def data(self) -> bytes:
        return self.message.content


@dataclass
class World:
    """One canister; every query's witness is checked against the root that an honest canister would have set."""

    config: CanisterConfig = field(default_factory=CanisterConfig)
    now: int = START_NS
    events: list[CanisterEvent] = field(default_factory=list)
    sessions: CanisterSessions = field(init=False)

    def __post_init__(self) -> None:
        self.sessions = CanisterSessions(self.config, now=self.now, seed=b"\x07" * 32)

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * NS_PER_S)

    def tick(self, seconds: float = 0) -> None:
        """Let time pass with a timer that fires when it must."""
        until = self.now + round(seconds * NS_PER_S)
        while (deadline := self.sessions.next_deadline()) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.events += self.sessions.on_timer(self.now)
            if any(self.sessions.state.ready):
                self.handle_all()
        self.now = until

    def call(self, outcome: Outcome) -> bytes:
        self.events += outcome.events
        return outcome.reply

    # owner

    def register(self, owner: Principal, session: Principal, **more: Any) -> reg.Parameters | Refusal:
        argument = reg.RegisterArgument(session, more.pop("created_at_ns", self.now), **more)
        return reg.decode_register_result(
            self.call(self.sessions.register(owner, reg.encode_register_argument(argument), self.now))
        )

    def revoke(self, caller: Principal, session: Principal | None, created_at_ns: int | None = None) -> int | Refusal:
        argument = reg.RevokeArgument(session, self.now if created_at_ns is None else created_at_ns)
        return reg.decode_revoke_result(
            self.call(self.sessions.revoke(caller, reg.encode_revoke_argument(argument), self.now))
        )

    def list_sessions(self, caller: Principal) -> tuple[reg.SessionInfo, ...] | Refusal:
        return reg.decode_sessions_result(self.sessions.sessions(caller, reg.encode_sessions_argument()))

    # client

    def open_argument(
        self,
        parameters: reg.Parameters | None,
        gateway: Principal,
        *,
        client_nonce: int = 7,
        attach: int = 1,
        resume_from: int = 1,
        suite: str = "none",
    ) -> bytes:
        secure = None
        if parameters is not None:
            secure = SecureOpen(parameters.registration_id, attach, resume_from, suite)
        return wire.encode_open_argument(OpenArgument(client_nonce, gateway, secure))

    def open(
        self, caller: Principal, parameters: reg.Parameters | None, gateway: Principal, **more: Any
    ) -> Refusal | None:
        arg = self.open_argument(parameters, gateway, **more)
        return wire.decode_open_result(self.call(self.sessions.open(caller, arg, self.now)))

    def message(
        self,
        caller: Principal,
        seq: int,
        content: bytes = b"hello",
        *,
        client_nonce: int = 7,
        is_service: bool = False,
        handle: bool = True,
    ) -> MessageResult:
        message = WebsocketMessage(ClientKey(caller, client_nonce), seq, self.now, is_service, content)
        outcome = self.sessions.message(caller, wire.encode_message_argument(message), self.now)
        self.events += outcome.events
        if handle:
            self.handle_all()
            return wire.decode_message_result(self.sessions.message_reply(outcome))
        return wire.decode_message_result(outcome.reply)

    def keep_alive(self, caller: Principal, seq: int, through: int, **more: Any) -> MessageResult:
        content = service.encode_service_message(service.KeepAliveMessage(through))
        return self.message(caller, seq, content, is_service=True, **more)

    # gateway

    def close(self, gateway: Principal, client_key: ClientKey, attach: int | None = None) -> Refusal | None:
        arg = wire.encode_close_argument(wire.CloseArgument(client_key, attach))
        return wire.decode_close_result(self.call(self.sessions.close(gateway, arg, self.now)))

    def poll_raw(self, gateway: Principal, nonce: int = 0) -> wire.CertifiedMessages:
        arg = wire.encode_get_messages_argument(nonce)
        reply = wire.decode_get_messages_result(self.sessions.get_messages(gateway, arg, CERTIFICATE))
        assert isinstance(reply, wire.CertifiedMessages)
        if not reply.messages:
            return reply
        tree = decode_tree(reply.tree)
        assert digest(tree) == self.sessions.certified_root()
        for output in reply.messages:
            assert lookup(tree, message_path(output.key)) == Found(hashlib.sha256(output.content).digest())
            assert parse_message_key(output.key)[0] == gateway
        return reply

    def poll_all(self, gateway: Principal, nonce: int = 0) -> list[OutputMessage]:
        found: list[OutputMessage] = []
        while True:
            reply = self.poll_raw(gateway, nonce)
            found += reply.messages
            if reply.is_end_of_queue:
                return found
            nonce = parse_message_key(reply.messages[-1].key)[1] + 1

    def received(self, gateway: Principal, client_key: ClientKey, nonce: int = 0) -> list[Received]:
        """What a gateway would deliver to one client; tombstones are left out."""
        found = []
        for output in self.poll_all(gateway, nonce):
            if output.client_key == TOMBSTONE_CLIENT_KEY:
                assert output.content == b""
                continue
            message = decode_message(output.content)
            assert message.client_key == output.client_key
            if output.client_key == client_key:
                content = service.decode_service_message(message.content) if message.is_service_message else None
                found.append(Received(parse_message_key(output.key)[1], message, content))
        return found

    # what is certified

    def head(self, session: Principal) -> SessionHead | None:
        tree = self.sessions.state.root.witness([EPOCH_PATH, head_path(session)])
        assert digest(tree) == self.sessions.certified_root()
        epoch = lookup(tree, EPOCH_PATH)
        assert isinstance(epoch, Found)
        assert decode_epoch(epoch.value) == self.sessions.state.epoch_ns
        leaf = lookup(tree, head_path(session))
        if leaf is ABSENT:
            return None
        assert isinstance(leaf, Found)
        return decode_head(leaf.value)

    # application

    def handle_all(self, *, trap: Callable[[int], bool] = lambda seq: False) -> list[tuple[ClientKey, str, int, bytes]]:
        """Handle everything that waits; ``trap`` says for which numbers the handler's execution is rolled back."""
        handled = []
        for client_key in list(self.sessions.state.ready):
            while (delivery := self.sessions.next_delivery(client_key)) is not None:
                before = self.sessions.state
                assert self.sessions.take_delivery(client_key, self.now) == delivery
                trapped = trap(delivery.seq)
                if trapped:
                    self.sessions.state = before
                outcome = self.sessions.finish_delivery(client_key, delivery.seq, self.now, trapped=trapped)
                self.events += outcome.events
                handled.append((client_key, delivery.kind.value, delivery.seq, delivery.data))
        return handled

    def send(self, client_key: ClientKey, data: bytes) -> None:
        self.sessions.send(client_key, data, self.now)


@dataclass
class Alice:
    """An owner with one secure session, opened through one gateway."""

    world: World
    owner: Principal
    principal: Principal
    gateway: Principal
    parameters: reg.Parameters
    key: ClientKey

    def reopen(self, attach: int, resume_from: int, gateway: Principal | None = None) -> Refusal | None:
        return self.world.open(
            self.principal, self.parameters, gateway or self.gateway, attach=attach, resume_from=resume_from
        )

    def received(self, gateway: Principal | None = None) -> list[Received]:
        return self.world.received(gateway or self.gateway, self.key)

    @property
    def head(self) -> SessionHead:
        head = self.world.head(self.principal)
        assert head is not None
        return head


def refused(result: Any) -> RefusalCode:
    """The code of what must be a refusal."""
    if isinstance(result, MessageResult):
        result = result.refusal
    assert isinstance(result, Refusal), result
    return RefusalCode(result.code)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def make_world() -> Callable[..., World]:
    return lambda **settings: World(CanisterConfig(**settings))


@pytest.fixture
def make_user() -> Callable[[str], Principal]:
    return user


@pytest.fixture
def code_of() -> Callable[[Any], RefusalCode]:
    return refused


@pytest.fixture
def make_alice() -> Callable[..., Alice]:
    def make(world: World, name: str = "alice", gateway: str = "gateway", *, attach: int = 1) -> Alice:
        owner, principal = user(name), user(f"{name}'s session")
        parameters = world.register(owner, principal)
        assert isinstance(parameters, reg.Parameters), parameters
        assert world.open(principal, parameters, user(gateway), attach=attach) is None
        world.handle_all()
        return Alice(world, owner, principal, user(gateway), parameters, ClientKey(principal, 7))

    return make


@pytest.fixture
def alice(world: World, make_alice: Callable[..., Alice]) -> Alice:
    return make_alice(world)


@pytest.fixture
def close_itself() -> Callable[[Alice, int], MessageResult]:
    """The client closes its own session with message ``seq``."""

    def close(alice: Alice, seq: int) -> MessageResult:
        message = service.CloseMessage(
            service.CloseReason.CLOSED_BY_APPLICATION, service.SessionCloseReason.CLIENT_CLOSED
        )
        return alice.world.message(alice.principal, seq, service.encode_service_message(message), is_service=True)

    return close
