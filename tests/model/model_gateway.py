"""A gateway's connections, directory, cursor and delivery before a real canister machine, with polls answered in any
order by replicas of any height, clients that come, go and attach again, and ``ws_close`` calls that are late.

What must hold: every connection gets its session's messages from its attach message on, each once and in order, with
none left out; and no late word of the gateway's ends a session that has moved on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_ic import CANISTER, Ic

from icws_gateway.config import GatewayConfig
from icws_gateway.connection import ClientConnection
from icws_gateway.connection_state import ConnectionEvent, ConnectionState
from icws_gateway.delivery import deliver
from icws_gateway.directory import Directory
from icws_gateway.logs import ClientLog
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.open_check import OpenedSession
from icws_gateway.queue_cursor import QueueCursor
from icws_gateway.refusal import ClientRefused
from icws_gateway.reply_check import CheckedReply, QueuedMessage, ReplyChecker
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import MessageFrame, MessagesFrame, decode_gateway_frame
from icws_secure.wire.hashtree import Found, decode_tree, lookup
from icws_secure.wire.interface import (
    ClientKey,
    CloseArgument,
    OpenArgument,
    SecureOpen,
    WebsocketMessage,
    encode_close_argument,
    encode_get_messages_argument,
    encode_message_argument,
    encode_open_argument,
)
from icws_secure.wire.message import decode_message, message_path
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import (
    Parameters,
    RegisterArgument,
    SessionState,
    decode_register_result,
    encode_register_argument,
)
from icws_secure.wire.service import AttachMessage, KeepAliveMessage, decode_service_message, encode_service_message

__all__ = ["GatewayModel"]

WHO = st.integers(0, 2)
PLACE = st.integers(0, 5)
POLL_MESSAGES = 3
NONCE = 7


def principal(name: str) -> Principal:
    return Principal(hashlib.sha224(name.encode()).digest() + b"\x02")


GATEWAY = principal("gateway")
OTHER_GATEWAY = principal("another gateway")


class Socket:
    """A client's end: reads what it is sent as a client would, and minds the order."""

    id = "socket"

    def __init__(self, person: Person, attach: int) -> None:
        self.person = person
        self.attach = attach
        self.resumed_from = person.received_through + 1
        self.expected: int | None = None
        self.refused: ClientRefused | None = None

    def post(self, frame: bytes) -> bool:
        if self.refused is not None:
            return False
        decoded = decode_gateway_frame(frame)
        assert isinstance(decoded, MessagesFrame | MessageFrame)
        items = decoded.messages if isinstance(decoded, MessagesFrame) else (decoded,)
        tree = decode_tree(decoded.tree)
        for item in items:
            assert lookup(tree, message_path(item.key)) == Found(hashlib.sha256(item.content).digest())
            self._take(item.content)
        return True

    def _take(self, content: bytes) -> None:
        message = decode_message(content)
        assert message.client_key == self.person.key, "another client's message"
        if message.sequence_num == 0:
            service = decode_service_message(message.content)
            assert isinstance(service, AttachMessage)
            if service.attach == self.attach:
                assert self.expected is None, "an attach message that comes twice"
                self.expected = self.resumed_from
        elif self.expected is not None:
            assert message.sequence_num == self.expected, f"{message.sequence_num} in the place of {self.expected}"
            self.expected += 1
            self.person.received_through = max(self.person.received_through, message.sequence_num)

    def refuse(self, why: ClientRefused) -> None:
        self.refused = self.refused or why


@dataclass
class Person:
    """One client: a session, whatever its connections."""

    name: str
    parameters: Parameters | None = None
    attach: int = 0
    received_through: int = 0
    next_seq: int = 1
    connections: list[ClientConnection] = field(default_factory=list)

    @property
    def key(self) -> ClientKey:
        return ClientKey(principal(f"{self.name}'s session"), NONCE)

    @property
    def session(self) -> Principal:
        return self.key.client_principal


class Pollers:
    """Stands for the gateway's own: one cursor while there are clients."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.cursor: QueueCursor[CheckedReply, QueuedMessage] | None = None
        self.generation = 0

    def ensure(self, canister: Principal) -> None:
        if self.cursor is None:
            self.cursor = QueueCursor(4)
            self.generation += 1

    def release(self, canister: Principal) -> None:
        if self._directory.of(canister) is None:
            self.cursor = None


class GatewayModel(RuleBasedStateMachine):
    """One gateway, one canister, three clients."""

    @initialize()
    def begin(self) -> None:
        # only what the gateway itself does is to end an attachment here, not the clock
        day = 86_400 * NS_PER_S
        self.ic = Ic(CanisterConfig(poll_messages=POLL_MESSAGES, detach_after_open_ns=day // 2, resume_window_ns=day))
        self.directory = Directory()
        self.pollers = Pollers(self.directory)
        self.closes: list[OpenedSession] = []
        self.polls: list[tuple[int, int]] = []
        self.metrics = GatewayMetrics()
        self.services = SimpleNamespace(
            config=GatewayConfig(),
            metrics=self.metrics,
            directory=self.directory,
            pollers=self.pollers,
            closer=SimpleNamespace(close=self.closes.append),
            log=ClientLog(GatewayConfig(), self.metrics),
            cluster=None,
            draining=False,
        )
        self.checker = ReplyChecker(CANISTER, GATEWAY)
        self.people = [Person(name) for name in ("alice", "bob", "carol")]
        for person in self.people:
            argument = RegisterArgument(person.session, self.ic.now)
            outcome = self.ic.sessions.register(principal(person.name), encode_register_argument(argument), self.ic.now)
            parameters = decode_register_result(outcome.reply)
            assert isinstance(parameters, Parameters)
            person.parameters = parameters

    # clients

    @rule(who=WHO, modern=st.booleans(), step=st.sampled_from([1, 1, 1, 0]))
    def client_connects_and_opens(self, who: int, modern: bool, step: int) -> None:
        person = self.people[who]
        attach = max(1, person.attach + step)
        socket = Socket(person, attach)
        connection = ClientConnection(cast(Any, self.services), cast(Any, socket), cast(Any, None), modern=modern)
        session = OpenedSession(CANISTER, person.key, True, attach)
        present = self.of(person)
        refused: ClientRefused | None = None
        try:
            connection._register(cast(Any, SimpleNamespace(session=session)))
        except ClientRefused as why:
            refused = why
        if refused is None:
            person.connections.append(connection)
            assert present is None or attach > present.session.attach
        else:
            connection._handle(ConnectionEvent.ENDED)
            assert refused.code is CloseCode.STALE_ATTACH
            assert present is not None
            assert attach <= present.session.attach

    @precondition(lambda self: self.opening())
    @rule(place=PLACE, answered=st.sampled_from([True, True, True, False]))
    def open_is_executed(self, place: int, answered: bool) -> None:
        """The relayed open reaches the canister; its answer comes back, or not."""
        person, connection = self.opening()[place % len(self.opening())]
        socket = cast(Socket, connection._socket)
        refused = self.attach(person, GATEWAY, socket.attach, socket.resumed_from)
        if answered:
            event = ConnectionEvent.OPEN_REFUSED if refused else ConnectionEvent.OPEN_ANSWERED
            connection._handle(event)
            if refused:
                socket.refuse(ClientRefused(CloseCode.OPEN_REFUSED, "refused"))

    @rule(who=WHO)
    def client_attaches_elsewhere(self, who: int) -> None:
        person = self.people[who]
        self.attach(person, OTHER_GATEWAY, person.attach + 1, person.received_through + 1)

    @precondition(lambda self: self.connected())
    @rule(place=PLACE)
    def client_leaves(self, place: int) -> None:
        connection = self.connected()[place % len(self.connected())]
        connection.refuse(ClientRefused(CloseCode.NORMAL, "left"))
        connection._handle(ConnectionEvent.ENDED)

    @rule(who=WHO)
    def client_acknowledges(self, who: int) -> None:
        person = self.people[who]
        if person.attach == 0:
            return
        content = encode_service_message(KeepAliveMessage(person.received_through))
        message = WebsocketMessage(person.key, person.next_seq, self.ic.now, True, content)
        self.ic.now += 1
        outcome = self.ic.sessions.message(person.session, encode_message_argument(message), self.ic.now)
        person.next_seq += outcome.accepted is not None
        self.ic.pass_time(1)

    # the canister and the IC

    @rule(who=WHO, count=st.integers(1, 5))
    def canister_sends(self, who: int, count: int) -> None:
        for _ in range(count):
            self.ic.say(self.people[who].key, b"hello")

    @rule(who=WHO)
    def canister_sends_to_all(self, who: int) -> None:
        for person in self.people:
            self.ic.say(person.key, b"hello")

    @rule(seconds=st.sampled_from([1, 30, 100]))
    def time_passes(self, seconds: int) -> None:
        self.ic.pass_time(seconds * NS_PER_S)
        self.ic.timer()

    @rule()
    def canister_is_upgraded(self) -> None:
        self.ic.upgrade()

    @precondition(lambda self: self.closes)
    @rule(place=PLACE)
    def late_close_arrives(self, place: int) -> None:
        session = self.closes.pop(place % len(self.closes))
        before = self.ic.sessions.find(session.client_key)
        argument = CloseArgument(session.client_key, session.attach)
        self.ic.gateway_closes(GATEWAY, encode_close_argument(argument))
        after = self.ic.sessions.find(session.client_key)
        if before is not None and after is not None and (before.attach, before.gateway) != (session.attach, GATEWAY):
            # [ICWS-GWY-013] [ICWS-CAN-063]
            assert after.state is before.state

    # polls

    @precondition(lambda self: self.pollers.cursor is not None and len(self.polls) < 6)
    @rule(ahead=st.booleans())
    def poll_starts(self, ahead: bool) -> None:
        cursor = self.pollers.cursor
        assert cursor is not None
        nonce = cursor.next_ahead() if ahead else cursor.position
        if nonce is not None:
            cursor.started(nonce)
            self.polls.append((self.pollers.generation, nonce))

    @precondition(lambda self: self.polls)
    @rule(place=PLACE, behind=st.integers(0, 3), fails=st.sampled_from([False] * 5 + [True]))
    def poll_ends(self, place: int, behind: int, fails: bool) -> None:
        generation, nonce = self.polls.pop(place % len(self.polls))
        if generation != self.pollers.generation or self.pollers.cursor is None:
            return  # of a poller that was stopped
        if fails:
            self.pollers.cursor.failed(nonce)
        else:
            self.take(nonce, behind)

    def take(self, nonce: int, behind: int) -> None:
        reply = self.checker.check(self.ic.poll(GATEWAY, encode_get_messages_argument(nonce), behind))
        # honest replicas never contradict one another, however far behind they are
        assert self.pollers.cursor is not None
        runs = self.pollers.cursor.received(nonce, reply, reply.messages, more=reply.more)
        clients = self.directory.of(CANISTER)
        for run in runs:
            if clients is not None:
                deliver(run.reply, run.entries, clients, self.metrics)

    # what must always hold

    @invariant()
    def one_live_connection_a_key_and_the_directory_knows_it(self) -> None:
        for person in getattr(self, "people", []):
            live = [connection for connection in person.connections if self.is_live(connection)]
            assert len(live) <= 1
            assert self.of(person) is (live[0] if live else None)

    @invariant()
    def there_is_a_cursor_while_there_are_clients(self) -> None:
        if hasattr(self, "pollers"):
            assert (self.pollers.cursor is not None) == (self.directory.of(CANISTER) is not None)

    def teardown(self) -> None:
        """When nothing goes wrong any more, everybody has everything."""
        if not hasattr(self, "people"):
            return
        while self.opening():
            self.open_is_executed(0, True)
        cursor = self.pollers.cursor
        if cursor is None:
            return
        for _ in range(1_000):
            before = cursor.position
            for _ in range(2):  # a gap is believed when it is said twice
                cursor.started(cursor.position)
                self.take(cursor.position, 0)
            if cursor.position == before:
                break
        for person in self.people:
            session = self.ic.sessions.find(person.key)
            connection = self.of(person)
            if connection is None or session is None or session.state is not SessionState.OPEN:
                continue
            if session.gateway == GATEWAY and session.attach == connection.session.attach:
                socket = cast(Socket, connection._socket)
                assert socket.expected == session.outbound.next_out, (socket.expected, session.outbound.next_out)

    # helpers

    def attach(self, person: Person, gateway: Principal, attach: int, resume_from: int) -> bool:
        """``ws_open`` at the canister; gives whether it was refused."""
        assert person.parameters is not None
        secure = SecureOpen(person.parameters.registration_id, attach, resume_from, "none")
        self.ic.now += 1
        before = self.ic.sessions.state
        self.ic.sessions.open(person.session, encode_open_argument(OpenArgument(NONCE, gateway, secure)), self.ic.now)
        self.ic.handles_at_once = True
        self.ic.handle()
        refused = self.ic.sessions.state.sessions.get(person.session) is before.sessions.get(person.session)
        session = self.ic.sessions.find(person.key)
        accepted = session is not None and session.attach == attach and session.gateway == gateway
        if accepted:
            person.attach = max(person.attach, attach)
        return not accepted or refused

    def of(self, person: Person) -> Any:
        clients = self.directory.of(CANISTER)
        return None if clients is None else clients.of(person.key)

    def is_live(self, connection: ClientConnection) -> bool:
        return connection._machine.state in (ConnectionState.OPENING, ConnectionState.OPEN)

    def opening(self) -> Sequence[tuple[Person, ClientConnection]]:
        return [
            (person, connection)
            for person in self.people
            for connection in person.connections
            if connection._machine.state is ConnectionState.OPENING
        ]

    def connected(self) -> Sequence[ClientConnection]:
        return [item for person in self.people for item in person.connections if self.is_live(item)]
