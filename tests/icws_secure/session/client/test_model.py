"""A client and a canister under arbitrary losses, doublings, disorder, forgeries, crashes, resumes and clock jumps.

Whatever gateways and network do: what one side's application sent, the other's was given exactly once and in order, or
an error was raised. There is never a silent gap, and never a wrong word about a message.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from icws_secure.errors import Reason, SessionEnded
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.session.client import Message, SendExecuted, SendRejected, SendUnknown
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.frames import HeadFrame, MessagesFrame, ReceiptFrame

HONEST_ENDS = {SessionCloseCode.RESUME_WINDOW, SessionCloseCode.EXPIRED}
GATEWAYS = st.integers(0, 2)


def corrupt(frame: Any) -> bytes:
    data = bytearray(frame.encode())
    data[len(data) // 2] ^= 0x40
    return bytes(data)


class Tampering:
    """What a gateway does to frames, by turns."""

    def __init__(self, kinds: tuple[type, ...], deeds: list[str]) -> None:
        self.kinds = kinds
        self.deeds = deeds
        self.held: list[Any] = []

    def __call__(self, frame: Any) -> Iterable[Any]:
        if not isinstance(frame, self.kinds) or not self.deeds:
            return [*self._release(), frame]
        deed = self.deeds.pop(0)
        if deed == "drop":
            return []
        if deed == "double":
            return [frame, frame]
        if deed == "corrupt":
            return [corrupt(frame)]
        if deed == "hold":
            self.held.append(frame)
            return []
        return [frame, *self._release()]

    def _release(self) -> list[Any]:
        held, self.held = self.held, []
        return held


class Model(RuleBasedStateMachine):
    """The rules are what may happen; the invariants and the end are what must hold."""

    kit: Any

    @initialize(
        takes=st.booleans(), subprotocol=st.booleans(), echo=st.booleans(), patience=st.sampled_from([None, 5, 40])
    )
    def start(self, takes: bool, subprotocol: bool, echo: bool, patience: int | None) -> None:
        self.options = {
            "takes": takes,
            "subprotocol": subprotocol,
            "persist": True,
            "open_limit_ns": 10**13,
            "send_timeout_ns": None if patience is None else patience * NS_PER_S,
        }
        self.world = self.kit.World(3, **self.options)
        self.names = [gateway.url.removeprefix("ws://") for gateway in self.world.gateways]
        self.sent: list[bytes] = []
        self.sends: dict[bytes, tuple[Any, int]] = {}
        self.given: list[bytes] = []
        self.canister_sent: list[bytes] = []
        self.abandoned: set[bytes] = set()
        self.offset = 0
        if echo:
            self.world.ic.handler = self.echo
        self.world.run(1)

    def echo(self, ic: Any, key: Any, data: bytes) -> None:
        ic.send(key, b"re:" + data)
        self.canister_sent.append(b"re:" + data)

    # what the applications do

    @precondition(lambda self: self.world.ended is None)
    @rule(count=st.integers(1, 8))
    def client_sends(self, count: int) -> None:
        for _ in range(count):
            if self.world.ended is not None:
                break
            data = b"c%d" % len(self.sent)
            self.sent.append(data)
            self.sends[data] = (self.world, self.world.send(data))

    @precondition(lambda self: self.world.ended is None and self.world.client.attach > 0)
    @rule(count=st.integers(1, 8))
    def canister_sends(self, count: int) -> None:
        key = self.world.client.client_key
        session = self.world.ic.canister.find(key)
        if session is None or str(session.state) == "closed":
            return
        for _ in range(count):
            data = b"s%d" % len(self.canister_sent)
            self.canister_sent.append(data)
            self.world.ic.send(key, data)

    @precondition(lambda self: not self.world.takes and self.world.ended is None)
    @rule(behind=st.integers(0, 3))
    def application_takes(self, behind: int) -> None:
        events = [event for event in self.world.events if isinstance(event, Message)]
        if len(events) > behind:
            self.world.client.taken(events[-1 - behind].seq, self.world.client_now)
            self.world.drain()

    # what happens to them

    @rule(seconds=st.sampled_from([0.01, 0.05, 0.2, 1, 6, 30]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(which=GATEWAYS)
    def a_gateway_dies(self, which: int) -> None:
        self.world.kill(self.world.gateways[which])

    @rule(which=GATEWAYS)
    def a_gateway_comes_back(self, which: int) -> None:
        gateway = self.world.gateways[which]
        gateway.is_alive = gateway.relays_messages = gateway.relays_calls = gateway.relays_heads = True
        gateway.gives_receipts = True

    @rule()
    def the_connection_breaks(self) -> None:
        self.world.break_connection()

    @rule(which=GATEWAYS, what=st.sampled_from(["relays_messages", "relays_calls", "relays_heads", "gives_receipts"]))
    def a_gateway_stops_doing_something(self, which: int, what: str) -> None:
        setattr(self.world.gateways[which], what, False)

    @rule(which=GATEWAYS)
    def a_gateway_submits_what_it_held_back(self, which: int) -> None:
        gateway = self.world.gateways[which]
        held, gateway.held = gateway.held, []
        for envelope in reversed(held):
            self.world.ic.call(envelope)

    @rule(
        which=GATEWAYS,
        kinds=st.sampled_from([(MessagesFrame,), (ReceiptFrame,), (HeadFrame,), (MessagesFrame, ReceiptFrame)]),
        deeds=st.lists(st.sampled_from(["drop", "double", "corrupt", "hold", "pass"]), min_size=1, max_size=4),
    )
    def a_gateway_tampers(self, which: int, kinds: tuple[type, ...], deeds: list[str]) -> None:
        self.world.gateways[which].tamper = Tampering(kinds, list(deeds))

    @rule(reachable=st.booleans(), late=st.booleans())
    def the_ic_changes(self, reachable: bool, late: bool) -> None:
        self.world.ic.is_reachable = reachable
        self.world.ic.delay_replies = late

    @rule(seconds=st.sampled_from([-20, 0, 20]))
    def the_clock_jumps(self, seconds: int) -> None:
        self.world.clock_error_ns = seconds * NS_PER_S

    @rule()
    def the_canister_is_upgraded(self) -> None:
        ic = self.world.ic
        ic.canister = CanisterSessions.from_stable(
            CanisterConfig(), ic.canister.to_stable(), now=ic.now, seed=b"\x09" * 32
        )

    @precondition(lambda self: self.world.saved is not None and self.world.ended is None)
    @rule()
    def the_client_dies_and_is_resumed(self) -> None:
        old = self.world
        self.given += old.received if old.takes else self.taken_of(old)
        for data, (world, send_id) in self.sends.items():
            if world is old and old.outcome(send_id) is None:
                self.abandoned.add(data)  # nobody waits for its outcome any more
        if old.connection is not None:
            old.connection.left()
        self.world = self.kit.World(names=self.names, ic=old.ic, saved=old.saved, **self.options)
        self.world.clock_error_ns = old.clock_error_ns

    def taken_of(self, world: Any) -> list[bytes]:
        """What the application had taken when its process died; the rest comes again."""
        through = world.client._core.inbound.taken_through
        return [event.data for event in world.events if isinstance(event, Message) and event.seq <= through]

    # what must hold

    @invariant()
    def the_client_was_given_a_prefix_of_what_the_canister_sent(self) -> None:
        if hasattr(self, "given"):
            got = self.given + self.world.received
            assert got == self.canister_sent[: len(got)]

    @invariant()
    def the_canister_was_given_messages_once_and_in_order(self) -> None:
        if hasattr(self, "sent"):
            heard = self.world.ic.heard
            assert len(set(heard)) == len(heard)
            places = [self.sent.index(data) for data in heard]
            assert places == sorted(places)

    @invariant()
    def what_the_client_says_about_a_message_is_true(self) -> None:
        if not hasattr(self, "sends"):
            return
        heard = set(self.world.ic.heard)
        for data, (world, send_id) in self.sends.items():
            outcome = world.outcome(send_id)
            if isinstance(outcome, SendExecuted):
                assert data in heard
            elif isinstance(outcome, SendRejected):
                assert outcome.error.reason is Reason.NOT_EXECUTED
                assert data not in heard

    def teardown(self) -> None:
        """When all is well again, all arrives; or the session has ended with an honest reason."""
        if not hasattr(self, "world"):
            return
        world = self.world
        world.clock_error_ns = 0
        world.ic.is_reachable, world.ic.delay_replies = True, False
        for gateway in world.gateways:
            gateway.tamper = lambda frame: [frame]
            gateway.is_alive = gateway.relays_messages = gateway.relays_calls = gateway.relays_heads = True
            gateway.gives_receipts = True
        waiting = [data for data in self.sent if data not in self.abandoned]

        def done() -> bool:
            got = len(self.given) + len(world.received)
            return world.ended is not None or (
                got == len(self.canister_sent)
                and all(item.outcome(send_id) is not None for item, send_id in map(self.sends.get, waiting))  # type: ignore[misc]
            )

        assert world.run_until(done, 900), (world.lost[-3:], world.client.state, len(world.received))
        if world.ended is not None:
            assert isinstance(world.ended, SessionEnded)
            assert world.ended.code in HONEST_ENDS, world.ended
            return
        heard = set(world.ic.heard)
        for data in waiting:
            item, send_id = self.sends[data]
            if isinstance(item.outcome(send_id), SendUnknown):
                assert self.options["send_timeout_ns"] is not None
                continue
            assert isinstance(item.outcome(send_id), SendExecuted) == (data in heard)
        assert self.given + world.received == self.canister_sent


@pytest.mark.req("ICWS-CLT-070", "ICWS-CLT-035", "ICWS-CLT-041", "ICWS-CLT-042")
def test_exactly_once_in_order_or_an_error(kit: Any) -> None:
    Model.kit = kit
    run_state_machine_as_test(
        Model,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
