"""Any interleaving of calls, traps, roll-backs, upgrades and time, against what must always be true."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from icws_secure.session.canister import CanisterSessions
from icws_secure.session.canister.certified import head_of_session
from icws_secure.session.canister.deadlines import of_session
from icws_secure.wire.head import decode_head
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.registration import Parameters, SessionState

PEOPLE = st.sampled_from(["alice", "bob", "carol"])
RARELY = st.sampled_from([False] * 9 + [True])
GATEWAYS = st.sampled_from(["gateway one", "gateway two"])
SETTINGS = {
    "retained_messages": 8,
    "retained_bytes": 4_000,
    "window_messages": 4,
    "window_bytes": 60,
    "window_total_bytes": 100,
    "queue_messages": 60,
    "max_sessions": 6,
    "max_sessions_per_owner": 2,
    "max_content_bytes": 50,
    "allow_register": lambda owner: True,
}


def machine_of(make_world: Callable[..., Any], user: Callable[[str], Any]) -> type[RuleBasedStateMachine]:
    class Canister(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.world = make_world(**SETTINGS)
            self.parameters: dict[str, Parameters] = {}
            self.attach: Counter[str] = Counter()
            self.contents: dict[str, bytes] = {}  # by message key
            self.fronts: dict[Any, int] = {}
            self.heads: dict[Any, Any] = {}
            self.accepted: dict[tuple[Any, int], bytes] = {}
            self.handled: dict[Any, list[tuple[int, bytes]]] = defaultdict(list)

        # owners and clients

        @initialize(gateway=GATEWAYS)
        def two_sessions(self, gateway: str) -> None:
            for who in ("alice", "bob"):
                self.register(who)
                self.open(who, gateway, resume=10, step=1)

        @rule(who=PEOPLE)
        def register(self, who: str) -> None:
            result = self.world.register(user(who), user(f"{who}'s session"))
            if isinstance(result, Parameters):
                self.parameters[who] = result

        @precondition(lambda self: self.parameters)
        @rule(who=PEOPLE, gateway=GATEWAYS, resume=st.integers(0, 30), step=st.sampled_from([1, 1, 1, 1, 1, 1, 0, 3]))
        def open(self, who: str, gateway: str, resume: int, step: int) -> None:
            if who not in self.parameters:
                return
            session = self.world.sessions.state.sessions.get(user(f"{who}'s session"))
            oldest = 1 if session is None else session.outbound.oldest_retained
            attach = self.attach[who] + step
            refusal = self.world.open(
                user(f"{who}'s session"),
                self.parameters[who],
                user(gateway),
                attach=attach,
                resume_from=oldest if resume > 9 else resume,
            )
            if refusal is None:
                assert attach > self.attach[who]
                self.attach[who] = attach

        @rule(who=PEOPLE, seq=st.integers(2, 8), content=st.sampled_from([b"a", b"b", b"c" * 40]))
        def message(self, who: str, seq: int, content: bytes) -> None:
            key = ClientKey(user(f"{who}'s session"), 7)
            session = self.world.sessions.state.sessions.get(key.client_principal)
            if session is None:
                return
            seq = max(0, seq + session.inbound.accepted_through - 4)
            result = self.world.message(key.client_principal, seq, content, handle=False)
            if result.refusal is None:
                known = seq <= session.inbound.accepted_through or seq in session.inbound.window
                assert not known or self.accepted[key, seq] == content
                self.accepted[key, seq] = content

        @rule(who=PEOPLE, back=st.integers(-1, 3))
        def keep_alive(self, who: str, back: int) -> None:
            session = self.world.sessions.state.sessions.get(user(f"{who}'s session"))
            if session is not None:
                seq = session.inbound.accepted_through + 1
                through = max(0, session.outbound.next_out - 1 - back)
                result = self.world.keep_alive(session.principal, seq, through, handle=False)
                assert (result.refusal is None) <= (back >= 0 or session.outbound.next_out == 0)
                if result.refusal is None:
                    self.accepted[session.client_key, seq] = b""

        @rule(who=PEOPLE, all_=st.booleans(), really=RARELY)
        def revoke(self, who: str, all_: bool, really: bool) -> None:
            if really:
                self.world.revoke(user(who), None if all_ else user(f"{who}'s session"))

        # gateways

        @rule(who=PEOPLE, gateway=GATEWAYS, back=st.integers(0, 1))
        def close(self, who: str, gateway: str, back: int) -> None:
            self.world.close(user(gateway), ClientKey(user(f"{who}'s session"), 7), max(0, self.attach[who] - back))

        @rule(who=PEOPLE, gateway=GATEWAYS, nonce=st.integers(7, 8), really=RARELY)
        def open_omnia(self, who: str, gateway: str, nonce: int, really: bool) -> None:
            if really:
                self.world.open(user(who), None, user(gateway), client_nonce=nonce)

        @rule(who=PEOPLE, seq=st.integers(1, 2), nonce=st.integers(7, 8))
        def message_omnia(self, who: str, seq: int, nonce: int) -> None:
            self.world.message(user(who), seq, client_nonce=nonce, handle=False)

        # the application

        @rule(who=st.integers(0, 5), size=st.integers(0, 50))
        def send(self, who: int, size: int) -> None:
            clients = sorted(self.world.sessions.clients())
            if clients:
                key = clients[who % len(clients)]
                failed = self.world.sessions.send_many([key], bytes(size), self.world.now)
                assert [error.facts["code"] for error in failed.values()] in ([], ["RetentionFull"])

        @rule(who=st.integers(0, 5), really=RARELY)
        def disconnect(self, who: int, really: bool) -> None:
            clients = sorted(self.world.sessions.clients())
            if clients and really:
                self.world.sessions.disconnect(clients[who % len(clients)], self.world.now)

        @rule(trap=st.booleans())
        def handle(self, trap: bool) -> None:
            for key, kind, seq, data in self.world.handle_all(trap=lambda _: trap):
                if kind == "message":
                    self.handled[key].append((seq, data))
                if kind == "closed":
                    self.handled.pop(key, None)
                    self.accepted = {name: value for name, value in self.accepted.items() if name[0] != key}

        # the canister

        @rule(seconds=st.sampled_from([0, 1, 2, 5, 20, 30, 61, 130, 301, 601]))
        def sleep(self, seconds: int) -> None:
            self.world.sleep(seconds)

        @rule()
        def timer(self) -> None:
            self.world.sessions.on_timer(self.world.now)

        @rule(who=PEOPLE)
        def trap(self, who: str) -> None:
            state = self.world.sessions.state
            self.world.revoke(user(who), None)
            self.world.sessions.on_timer(self.world.now + 10**12)
            self.world.sessions.state = state

        @rule()
        def upgrade(self) -> None:
            data = self.world.sessions.to_stable()
            self.world.sessions = CanisterSessions.from_stable(
                self.world.config, data, now=self.world.now, seed=bytes(32)
            )

        # what must always be true

        @invariant()
        def heads_never_go_back(self) -> None:
            heads = {raw: decode_head(leaf) for raw, leaf in self.world.sessions.state.heads.items()}
            for raw, old in self.heads.items():
                new = heads.get(raw)
                if new is None or new.registration_id != old.registration_id:
                    continue
                assert new.timestamp_ns >= old.timestamp_ns
                for name in ("attach", "next_out", "next_in", "executed_through", "acked", "expires_at_ns"):
                    assert getattr(new, name) >= getattr(old, name), name
                if new.timestamp_ns == old.timestamp_ns and old.state is SessionState.CLOSED:
                    assert new.state is SessionState.CLOSED
            self.heads = heads

        @invariant()
        def no_key_is_used_twice_and_queues_shrink_at_the_front_only(self) -> None:
            state = self.world.sessions.state
            for gateway, queue in state.queues.items():
                assert sorted(queue.entries) == list(range(queue.first, queue.end))
                assert queue.first >= self.fronts.get(gateway, 0)
                self.fronts[gateway] = queue.first
                for entry in queue.entries.values():
                    before = self.contents.setdefault(entry.key, entry.content)
                    assert entry.content in (before, b"")
                    self.contents[entry.key] = entry.content

        @invariant()
        def the_tree_is_what_the_state_says(self) -> None:
            state = self.world.sessions.state
            messages = {
                entry.key.encode(): hashlib.sha256(entry.content).digest()
                for queue in state.queues.values()
                for entry in queue.entries.values()
            }
            assert dict(state.messages.items()) == messages
            for session in state.sessions.values():
                if session.secure:
                    assert state.heads.get(session.principal.raw) == head_of_session(session).encode()
            registered = {session.principal.raw for session in state.sessions.values() if session.secure}
            assert set(state.heads) == registered | {principal.raw for principal in state.pending_owners}
            for gateway in state.queues:
                self.world.poll_raw(gateway)

        @invariant()
        def totals_are_sums_and_bounds_hold(self) -> None:
            state, config = self.world.sessions.state, self.world.config
            everybody = [*state.sessions.values(), *state.draining.values()]
            for session in everybody:
                inbound, outbound = session.inbound, session.outbound
                held = [*inbound.inbox.values(), *inbound.window.values()]
                assert inbound.held_bytes == sum(len(one.data) for one in held)
                assert outbound.retained_bytes == sum(len(one.content) for one in outbound.retained.values())
                assert all(seq <= inbound.executed_through + config.window_messages for seq in inbound.window)
                assert len(outbound.retained) <= config.retained_messages + 64
                if session.secure and session.state in (SessionState.OPEN, SessionState.DETACHED):
                    assert sorted(outbound.retained) == list(range(outbound.oldest_retained, outbound.next_out))
            assert state.held_bytes == sum(one.inbound.held_bytes for one in everybody) <= config.window_total_bytes
            assert state.retained_bytes == sum(one.outbound.retained_bytes for one in everybody)
            assert state.queued_bytes == sum(queue.bytes for queue in state.queues.values())
            attached = Counter(one.gateway for one in state.sessions.values() if one.state is SessionState.OPEN)
            for gateway, queue in state.queues.items():
                assert queue.bytes == sum(len(entry.content) for entry in queue.entries.values())
                assert dict(queue.shares) == Counter(entry.session for entry in queue.entries.values())
                assert queue.attached == attached[gateway]
                assert (queue.idle_since_ns is None) == (queue.attached > 0)
                assert len(queue.entries) <= config.queue_messages
            assert len(state.sessions) + len(state.pending) <= config.max_sessions

        @invariant()
        def nothing_is_due_that_the_schedule_does_not_know(self) -> None:
            state = self.world.sessions.state
            first = self.world.sessions.next_deadline()
            for session in state.sessions.values():
                deadline = of_session(session, self.world.config)
                assert deadline is None or (first is not None and first <= deadline)
                assert deadline is None or (session.scheduled_ns or 0) <= deadline

        @invariant()
        def messages_are_handled_once_in_order_as_accepted(self) -> None:
            for key, handled in self.handled.items():
                numbers = [seq for seq, _ in handled]
                assert numbers == sorted(set(numbers))
                for seq, data in handled:
                    assert self.accepted.get((key, seq), data) == data

    return Canister


@pytest.mark.req("ICWS-CAN-020", "ICWS-CAN-021", "ICWS-CAN-022", "ICWS-CAN-023", "ICWS-CAN-027", "ICWS-CAN-051")
def test_what_must_always_be_true_is(make_world: Callable[..., Any], make_user: Callable[[str], Any]) -> None:
    run_state_machine_as_test(
        machine_of(make_world, make_user), settings=settings(max_examples=80, stateful_step_count=40, deadline=None)
    )
