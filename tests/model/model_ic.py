"""A canister on an IC whose executions, answers and replicas' delays the test decides about.

Cryptography is left to other tests: certificates are complete, but their signature is a hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from icws_secure.errors import CertificateError, Reason
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions, Deliver, Outcome
from icws_secure.verify import MAINNET_ROOT_KEY
from icws_secure.wire import cbor, domain
from icws_secure.wire.certificate import encode_certificate
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent, ReadStateContent
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["CANISTER", "ECHO", "ROOT_KEY", "START_NS", "HashBackend", "Ic", "Story"]

START_NS = 1_700_000_000 * NS_PER_S
CANISTER = Principal(bytes.fromhex("00000000001000010101"))
ROOT_KEY = MAINNET_ROOT_KEY
ECHO = b"echo "
_BLOCK_NS = NS_PER_MS
_INGRESS_NS = 330 * NS_PER_S
_STATUS_NS = 300 * NS_PER_S  # how long the IC knows what became of a call
_HISTORY = 4  # states that a replica may be behind


class HashBackend:
    """Takes a hash for a signature: a thousandth of a pairing's time."""

    name = "hash"

    def check_public_key(self, public_key: bytes) -> None:
        """Every key will do."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Check the hash."""
        if signature != _sign(public_key, message):
            raise CertificateError("not the signature", reason=Reason.BAD_BLS_SIGNATURE)


def _sign(public_key: bytes, message: bytes) -> bytes:
    return hashlib.sha512(public_key + message).digest()[:48]


@dataclass(frozen=True)
class Story:
    """What the canister's application has seen and said; rolled back with the rest of its state.

    Attributes:
        heard: the messages that it handled, in order.
        said: the messages that it sent, in order.
    """

    heard: tuple[bytes, ...] = ()
    said: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class _State:
    """One state of the subnet, of which a replica may give certificates."""

    time_ns: int
    sessions: Any
    tree: MerkleMap


class Ic:
    """One canister. Each execution is a block of its own.

    Attributes:
        now: the IC's time.
        story: of the present state.
        stories: of each state that was lost, and of the present one last.
        handles_at_once: whether calls hand over what they accepted before they answer.
        traps: whether the next handler traps.
        is_stopped: whether every call is rejected, as those to a stopped canister are.
    """

    def __init__(self, config: CanisterConfig) -> None:
        self.config = config
        self.now = START_NS
        self.sessions = CanisterSessions(config, now=self.now, seed=bytes(32))
        self.story = Story()
        self.lost_stories: list[Story] = []
        self.handles_at_once = True
        self.traps = False
        self.is_stopped = False
        self._statuses: dict[bytes, tuple[int, dict[bytes, bytes]]] = {}
        self._history: list[_State] = []
        self._spoken = 0
        self._renewals = 0
        self._snapshot: tuple[Any, Story] | None = None
        self._renew_keys()
        self._remember()

    # the application

    def say(self, key: ClientKey, data: bytes) -> None:
        """The application sends something, if there is somebody to send it to."""
        self._block()
        self._say(key, data)
        self._remember()

    def close(self, key: ClientKey) -> None:
        """The application ends the session."""
        self._block()
        self.sessions.disconnect(key, self.now)
        self._remember()

    def handle(self) -> None:
        """Handle one message that waits."""
        self._block()
        self._handle_one()
        self._remember()

    def begin_to_handle(self, key: ClientKey) -> Callable[[], None]:
        """Begin to handle what is next of a session, and wait for something; what is given ends it."""
        self._block()
        delivery = self.sessions.take_delivery(key, self.now)
        if delivery is not None and delivery.kind.value == "message":
            self.story = replace(self.story, heard=(*self.story.heard, delivery.data))
        self._remember()

        def finish() -> None:
            self._block()
            if delivery is not None:
                self.sessions.finish_delivery(key, delivery.seq, self.now)
            self._remember()

        return finish

    @property
    def has_work(self) -> bool:
        """Whether a message waits to be handled."""
        return any(self.sessions.next_delivery(key) for key in self.sessions.state.ready)

    # the canister's life

    def next_deadline(self) -> int | None:
        """When the timer is to fire."""
        times = (self.sessions.next_deadline(), self.sessions.suite_keys_due())
        return min((time for time in times if time is not None), default=None)

    def timer(self) -> None:
        """The timer fires, if it is time."""
        due = self.next_deadline()
        if due is not None and due <= self.now:
            self._block()
            self._renew_keys()
            events = self.sessions.on_timer(self.now)
            if any(isinstance(event, Deliver) for event in events):
                self._handle_all()
            self._remember()

    def upgrade(self) -> None:
        """An upgrade that keeps the state."""
        self._block()
        self.sessions = CanisterSessions.from_stable(
            self.config, self.sessions.to_stable(), now=self.now, seed=bytes(32)
        )
        self._remember()

    def lose_state(self) -> None:
        """An upgrade that keeps nothing."""
        self._block()
        self.sessions = CanisterSessions(self.config, now=self.now, seed=b"\x01" * 32)
        self._begin_again(Story())

    def take_snapshot(self) -> None:
        """Keep the present state."""
        self._snapshot = self.sessions.state, self.story

    @property
    def has_snapshot(self) -> bool:
        return self._snapshot is not None

    def load_snapshot(self) -> None:
        """Put the canister back to the state that was kept."""
        assert self._snapshot is not None
        self._block()
        state, story = self._snapshot
        self.sessions.state = state
        self._begin_again(story)

    def _renew_keys(self) -> None:
        due = self.sessions.suite_keys_due()
        if due is not None and due <= self.now:
            self._renewals += 1
            self.sessions.renew_suite_keys(hashlib.sha256(b"key %d" % self._renewals).digest(), self.now)

    def _begin_again(self, story: Story) -> None:
        self._renew_keys()
        self.lost_stories.append(self.story)
        self.story = story
        self._history.clear()
        self._remember()

    # calls

    def call(self, envelope: Envelope) -> bool:
        """Execute a call, once; gives whether the IC takes it."""
        content = envelope.content
        assert isinstance(content, CallContent)
        if content.request_id in self._statuses:
            return True
        if not self.now <= content.ingress_expiry_ns <= self.now + _INGRESS_NS:
            return False
        self._block()
        self._statuses[content.request_id] = self.now, self._answer(content)
        self._remember()
        return True

    def _answer(self, content: CallContent) -> dict[bytes, bytes]:
        if self.is_stopped:
            code = encode_unsigned(5)
            return {b"status": b"rejected", b"reject_code": code, b"reject_message": b"stopped", b"error_code": b""}
        return {b"status": b"replied", b"reply": self._execute(content)}

    def gateway_closes(self, gateway: Principal, argument: bytes) -> None:
        """``ws_close``."""
        self._block()
        self.sessions.close(gateway, argument, self.now)
        self._remember()

    def _execute(self, content: CallContent) -> bytes:
        sessions = self.sessions
        if content.method_name == "ws_audit":
            return sessions.audit(content.sender, content.arg, None)
        take = {
            "ws_register": sessions.register,
            "ws_params": sessions.params,
            "ws_open": sessions.open,
            "ws_message": sessions.message,
            "ws_message_batch": sessions.message_batch,
            "ws_revoke": sessions.revoke,
        }[content.method_name]
        outcome: Outcome = take(content.sender, content.arg, self.now)
        if self.handles_at_once:
            self._handle_all()
        return sessions.message_reply(outcome) if outcome.accepted is not None else outcome.reply

    def _handle_all(self) -> None:
        while self._handle_one():
            pass

    def _handle_one(self) -> bool:
        sessions = self.sessions
        for key in sorted(sessions.state.ready):
            delivery = sessions.next_delivery(key)
            if delivery is None:
                continue
            before = sessions.state, self.story
            sessions.take_delivery(key, self.now)
            if delivery.kind.value == "message":
                self.story = replace(self.story, heard=(*self.story.heard, delivery.data))
                if delivery.data.startswith(ECHO):
                    self._say(key, b"re " + delivery.data)
            trapped, self.traps = self.traps and delivery.kind.value == "message", False
            if trapped:
                sessions.state, self.story = before
            sessions.finish_delivery(key, delivery.seq, self.now, trapped=trapped)
            return True
        return False

    def _say(self, key: ClientKey, words: bytes) -> None:
        # No two messages are equal, not even those of a state that was lost.
        self._spoken += 1
        data = words + b" #%d" % self._spoken
        if not self.sessions.send_many((key,), data, self.now):
            self.story = replace(self.story, said=(*self.story.said, data))

    # certificates

    def http(self, body: bytes, *, behind: int = 0) -> tuple[int, bytes]:
        """The answer of the HTTPS interface to what was executed before.

        Args:
            body: the request.
            behind: how many states the replica is behind that answers a query.
        """
        content = Envelope.decode(body).content
        if isinstance(content, CallContent):
            if content.request_id not in self._statuses:
                rejection = {"status": "non_replicated_rejection", "reject_code": 1, "reject_message": "expired"}
                return 200, cbor.encode(rejection)
            certificate = self.certificate((b"request_status", content.request_id))
            return 200, cbor.encode({"status": "replied", "certificate": certificate})
        if isinstance(content, QueryContent):
            reply = self._query(content, behind)
            return 200, cbor.encode({"status": "replied", "reply": {"arg": reply}, "signatures": []})
        assert isinstance(content, ReadStateContent)
        return 200, cbor.encode({"certificate": self.certificate(*content.paths, behind=behind)})

    def _query(self, content: QueryContent, behind: int) -> bytes:
        if content.method_name == "ws_get_messages":
            return self.poll(content.sender, content.arg, behind)
        sessions, certificate = self._at(behind)
        return sessions.audit(content.sender, content.arg, certificate)

    def poll(self, gateway: Principal, argument: bytes, behind: int = 0) -> bytes:
        """``ws_get_messages``, of a replica that may be behind."""
        sessions, certificate = self._at(behind)
        return sessions.get_messages(gateway, argument, certificate)

    def witness(self, *paths: Sequence[bytes], behind: int = 0) -> tuple[bytes, bytes]:
        """A certificate of the certified data, and a witness below it."""
        sessions, certificate = self._at(behind)
        return certificate, encode_tree(sessions.state.root.witness(paths))

    def certificate(self, *paths: Sequence[bytes], behind: int = 0) -> bytes:
        """A certificate of some paths."""
        return _certificate(self._past(behind).tree, *paths)

    def pass_time(self, nanoseconds: int) -> None:
        """Time passes; blocks are made meanwhile."""
        self.now += nanoseconds
        self._remember()

    def _past(self, behind: int) -> _State:
        return self._history[max(0, len(self._history) - 1 - behind)]

    def _at(self, behind: int) -> tuple[CanisterSessions, bytes]:
        past = self._past(behind)
        sessions = CanisterSessions.__copy__(self.sessions)
        sessions.state = past.sessions
        return sessions, _certificate(past.tree, (b"canister", CANISTER.raw, b"certified_data"))

    def _block(self) -> None:
        self.now += _BLOCK_NS

    def _remember(self) -> None:
        for request_id in [item for item, (at, _) in self._statuses.items() if at + _STATUS_NS < self.now]:
            del self._statuses[request_id]
        statuses = {item: MerkleMap.from_items(status) for item, (_, status) in self._statuses.items()}
        root = self.sessions.certified_root()
        tree: dict[bytes, Any] = {
            b"time": encode_unsigned(self.now),
            b"canister": MerkleMap.from_items({CANISTER.raw: MerkleMap.from_items({b"certified_data": root})}),
            b"request_status": MerkleMap.from_items(statuses),
        }
        self._history.append(_State(self.now, self.sessions.state, MerkleMap.from_items(tree)))
        del self._history[:-_HISTORY]


def _certificate(tree: MerkleMap, *paths: Sequence[bytes]) -> bytes:
    signature = _sign(ROOT_KEY.raw, domain.STATE_ROOT + tree.digest())
    return encode_certificate(tree.witness([(b"time",), *paths]), signature)
