"""A session under every interleaving of sends, losses, doublings, disorder, crashes, resumes, upgrades and clock
jumps, as a hypothesis state machine.

The rules are what may happen, one frame, request or execution at a time; the invariants and the end are what must
hold: each side was given exactly once and in order what the other sent, or an error was raised. Never a silent gap,
never a wrong word about a message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from model_ic import CANISTER, ECHO, START_NS, Ic
from model_network import Crash, Network, Outcome

from icws_secure.errors import Reason, SessionEnded
from icws_secure.limits import NS_PER_MS, NS_PER_S, RESUME_WINDOW_NS
from icws_secure.session.canister import CanisterConfig, SealedSuites
from icws_secure.session.client import SendAccepted, SendExecuted, SendRejected, SessionState
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.interface import ClientKey

__all__ = ["OmniaSession", "SealedSession", "SecureSession"]

RARELY = st.integers(0, 19).map(lambda number: number == 19)
SOMETIMES = st.integers(0, 5).map(lambda number: number == 5)
TROUBLE = (
    "connection breaks",
    "gateway dies",
    "gateway dies with the open",
    "gateway comes back",
    "gateway says that the client left",
    "clock jumps",
    "canister is upgraded",
    "canister is stopped",
    "canister is started",
    "next handler traps",
    "client crashes",
    "client will crash",
)
DISASTERS = (
    "client closes",
    "canister closes",
    "canister loses its state",
    "canister is put back",
    "much time passes",
)
PLACE = st.integers(0, 3)
BEHIND = st.sampled_from([0, 0, 0, 1, 3])
GATEWAY = st.integers(0, 1)
WELL_SECONDS = 700  # within which everything must have come right


@dataclass
class Sent:
    """A message that the client's application gave to the client.

    Attributes:
        data: the message.
        send_id: of the process that sent it.
        confirm: what it waits for.
        outcome: what it was told in the end.
        orphaned: its process ended first; nobody waits for its outcome.
    """

    data: bytes
    send_id: int
    confirm: Any
    outcome: Outcome | None = None
    orphaned: bool = False


class SecureSession(RuleBasedStateMachine):
    """The profile ``icws-secure/1``."""

    profile = "secure"
    sealed = False
    config = CanisterConfig()

    # the beginning

    @initialize(
        persist=st.booleans(),
        timeout=st.sampled_from([None, None, 20, 250, 400]),
        prompt=st.sampled_from([True] * 4 + [False]),
        lazy=st.booleans(),
    )
    def begin(self, persist: bool, timeout: int | None, prompt: bool, lazy: bool) -> None:
        self.sent: list[Sent] = []
        self.state_was_lost = False
        self.was_put_back = False
        self.clock_was_wrong = False
        self.is_closing = False
        self.client_closed = False
        self.canister_closed = False
        self.network = Network(
            Ic(self.config),
            profile=self.profile,
            sealed=self.sealed,
            persist=persist and self.profile == "secure",
            send_timeout_ns=None if timeout is None else timeout * NS_PER_S,
        )
        self.network.takes_at_once = not lazy
        if prompt:
            self.network.run_well(lambda: self.network.client.gateway is not None, 20)

    @property
    def ic(self) -> Ic:
        return self.network.ic

    def step(self, deed: Callable[[], object]) -> None:
        """Do something that may be the end of the client's process."""
        try:
            deed()
        except Crash:
            self.restart()
        self.note_outcomes()

    def note_outcomes(self) -> None:
        for sent in self.sent:
            if sent.outcome is None and not sent.orphaned:
                sent.outcome = self.network.outcomes.get(sent.send_id)

    # the applications

    def can_send(self) -> bool:
        closing = (SessionState.CLOSING, SessionState.ENDED)
        return self.network.ended is None and self.network.client.state not in closing

    @precondition(can_send)
    @rule(
        count=st.integers(1, 4),
        echo=st.booleans(),
        confirm=st.sampled_from(["executed", "executed", "accepted", "relayed"]),
    )
    def client_sends(self, count: int, echo: bool, confirm: Any) -> None:
        def send() -> None:
            for _ in range(count):
                data = (ECHO if echo else b"note ") + b"%06d" % len(self.sent)
                send_id = self.network.client.send(data, self.network.client_now, confirm=confirm)
                self.sent.append(Sent(data, send_id, confirm))
            self.network.drain()

        self.step(send)

    @precondition(lambda self: self.network.client.gateway is not None)
    @rule(count=st.integers(1, 3))
    def canister_sends(self, count: int) -> None:
        for _ in range(count):
            self.ic.say(self.network.client.client_key, b"said")

    @rule(count=st.integers(1, 4))
    def application_takes(self, count: int) -> None:
        self.step(lambda: self.network.take(count))

    # the canister

    @rule(at_once=st.booleans())
    def canister_hands_over(self, at_once: bool) -> None:
        self.ic.handles_at_once = at_once

    @precondition(lambda self: self.ic.has_work)
    @rule(trap=st.booleans())
    def canister_handles(self, trap: bool) -> None:
        self.ic.traps = trap
        self.ic.handle()
        self.ic.traps = False

    @precondition(lambda self: self.network.client.gateway is not None and self.can_send())
    @rule(count=st.integers(1, 3), trapped=st.integers(0, 3), head=st.booleans())
    def messages_are_handled_after_their_answer(self, count: int, trapped: int, head: bool) -> None:
        """The canister accepts and answers, and shows its head; then it handles, and one handler traps; then all goes
        on."""
        self.ic.handles_at_once = False
        self.client_sends(count, False, "executed")
        self.step(lambda: [self.network.do_next(handles=False) for _ in range(10)])
        if head and self.network.connection is not None:
            self.network.relay_head(self.network.connection)
            self.step(lambda: [self.network.do_next(handles=False) for _ in range(5)])
        for number in range(count):
            if self.ic.has_work:
                self.canister_handles(number == trapped)
        self.ic.handles_at_once = True
        if self.can_send():
            self.client_sends(1, False, "executed")
        self.all_goes_well_for_a_while(10)

    @precondition(lambda self: self.network.connection is not None and self.can_send())
    @rule(seconds=st.sampled_from([5, 60, 320]), stopped=st.booleans())
    def second_of_two_messages_waits_behind_a_gap(self, seconds: int, stopped: bool) -> None:
        """The first is lost, and nobody tells of the second; for a time the IC is out of reach, or rejects calls."""
        network = self.network
        self.client_sends(2, False, "executed")
        if network.connection is None or len(network.connection.calls) < 2:
            return
        second = network.connection.calls[-1]
        network.connection.calls.clear()
        self.ic.call(second)
        self.ic.is_stopped = stopped
        for _ in range(seconds // 5):
            self.step(lambda: network.pass_time(5 * NS_PER_S))
            if stopped:
                self.step(lambda: [network.do_next() for _ in range(10)])
            else:
                self.step(network.fail_all)
        self.ic.is_stopped = False

    # gateways

    @precondition(lambda self: self.network.connecting is not None)
    @rule()
    def connection_is_answered(self) -> None:
        self.step(self.network.answer_connect)

    @precondition(lambda self: self.network.connection is not None and self.network.connection.calls)
    @rule(place=PLACE, lost=st.sampled_from(["nothing", "nothing", "nothing", "receipt", "call"]), twice=RARELY)
    def gateway_relays(self, place: int, lost: str, twice: bool) -> None:
        gateway = self.network.open_connection
        envelope = gateway.calls.pop(place % len(gateway.calls))
        if twice:
            gateway.calls.append(envelope)
        if lost != "call":
            self.network.relay(gateway, envelope, with_receipt=lost == "nothing")

    @precondition(lambda self: any(gateway.withheld for gateway in self.network.gateways))
    @rule(which=GATEWAY, place=PLACE)
    def gateway_submits_what_it_withheld(self, which: int, place: int) -> None:
        withheld = self.network.gateways[which].withheld
        if withheld:
            self.ic.call(withheld.pop(-1 - place % len(withheld)))

    @precondition(lambda self: self.network.connection is not None)
    @rule(behind=BEHIND)
    def gateway_polls(self, behind: int) -> None:
        self.network.poll(self.network.open_connection, behind=behind)

    @precondition(lambda self: self.network.connection is not None)
    @rule(behind=BEHIND)
    def gateway_relays_the_head(self, behind: int) -> None:
        self.network.relay_head(self.network.open_connection, behind=behind)

    @precondition(lambda self: self.network.connection is not None and self.network.connection.frames)
    @rule(place=st.sampled_from([0, 0, 0, 0, 1, 2]), twice=RARELY)
    def frame_arrives(self, place: int, twice: bool) -> None:
        frames = self.network.open_connection.frames
        self.step(lambda: self.network.deliver(place % len(frames), keep=twice))

    @precondition(lambda self: self.network.connection is not None and len(self.network.connection.frames) > 0)
    @rule(place=PLACE)
    def frame_is_lost(self, place: int) -> None:
        self.network.lose_frame(place % len(self.network.open_connection.frames))

    # the IC

    @precondition(lambda self: self.network.requests)
    @rule(
        place=PLACE,
        how=st.sampled_from(["answer", "answer", "answer", "answer", "execute", "fail", "500", "202"]),
        behind=BEHIND,
    )
    def request_arrives(self, place: int, how: str, behind: int) -> None:
        request = self.network.requests[place % len(self.network.requests)]
        if how == "answer":
            self.step(lambda: self.network.answer(request, behind=behind))
        elif how == "execute":
            self.network.execute(request)
        elif how == "202":
            self.network.execute(request)
            self.step(lambda: self.network.answer_with(request, 202))
        elif how == "500":
            self.step(lambda: self.network.answer_with(request, 500))
        else:
            self.step(lambda: self.network.fail(request))

    # what should happen

    @rule(count=st.integers(1, 30))
    def all_goes_well_for_a_while(self, count: int) -> None:
        def work() -> None:
            for _ in range(count):
                self.network.do_next()

        self.step(work)

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def all_goes_well_for_a_time(self, seconds: int) -> None:
        self.step(lambda: self.network.run_well(lambda: False, seconds))

    @precondition(lambda self: self.network.ended is None)
    @rule(count=st.integers(1, 3))
    def messages_are_exchanged(self, count: int) -> None:
        if self.can_send():
            self.client_sends(count, True, "executed")
        self.all_goes_well_for_a_while(30)

    # time, and the client's process

    @rule(milliseconds=st.sampled_from([1, 100, 1_000, 5_000, 20_000, 60_000]))
    def time_passes(self, milliseconds: int) -> None:
        self.step(lambda: self.network.pass_time(milliseconds * NS_PER_MS))

    # trouble

    @rule(what=st.sampled_from(TROUBLE), which=GATEWAY, number=st.integers(0, 9))
    def trouble(self, what: str, which: int, number: int) -> None:
        """Something that a session must get over."""
        network, gateway = self.network, self.network.gateways[which]
        match what:
            case "connection breaks" if network.connection is not None:
                code = (1006, 1006, 1001, 4410, 4412, 4431, 4502)[number % 7]
                self.step(lambda: network.break_connection(code))
            case "gateway dies":
                self.step(lambda: network.crash(gateway))
            case "gateway dies with the open":
                self.step(self.lose_an_open)
            case "gateway comes back":
                gateway.is_up = True
            case "gateway says that the client left":
                network.tell_that_it_left(gateway)
            case "clock jumps":
                self.clock_was_wrong = True
                network.clock_error_ns = (0, 1, -1, 20, -20, 200, -200, 3_600, -3_600, 0)[number] * NS_PER_S
                self.step(network.tick)
            case "canister is upgraded":
                self.ic.upgrade()
            case "canister is stopped" | "canister is started":
                self.ic.is_stopped = what == "canister is stopped"
            case "next handler traps":
                self.ic.traps = True
            case "client crashes" if network.can_be_restored:
                self.restart()
            case "client will crash" if network.can_be_restored:
                network.crash_after = number

    @precondition(lambda self: self.network.can_be_restored and self.network.client.gateway is not None)
    @rule(count=st.integers(1, 3))
    def client_crashes_before_the_application_has_taken(self, count: int) -> None:
        """What was received and not taken must come again, whatever the canister was told in between."""
        self.network.takes_at_once = False
        self.canister_sends(count)
        self.all_goes_well_for_a_while(10)
        if self.network.connection is not None:
            self.step(self.network.break_connection)
        self.all_goes_well_for_a_while(20)
        if self.network.can_be_restored:
            self.restart()
        self.network.takes_at_once = True

    @precondition(lambda self: self.network.client.gateway is not None)
    @rule(count=st.integers(1, 3))
    def open_is_executed_and_kept_quiet(self, count: int) -> None:
        """The canister speaks under an attach of which the client never hears."""
        self.step(self.lose_an_open)
        for gateway in self.network.gateways:
            while gateway.withheld:
                self.ic.call(gateway.withheld.pop(0))
            gateway.is_up = True
        for _ in range(count):
            self.ic.say(self.network.client.client_key, b"said")
        self.all_goes_well_for_a_while(20)

    def lose_an_open(self) -> None:
        """A gateway dies, and so does the next one, which has the open and may submit it at any time."""
        network = self.network
        if network.connection is not None:
            network.crash(network.connection)
        for _ in range(20):
            if network.connection is not None and network.connection.calls:
                network.crash(network.connection)
                return
            network.pass_time(NS_PER_S // 4)
            network.do_next()

    @rule(what=st.sampled_from(DISASTERS), really=SOMETIMES)
    def disaster(self, what: str, really: bool) -> None:
        """Something that a session may end by."""
        network, key = self.network, self.network.client.client_key
        if not really or network.ended is not None:
            return
        match what:
            case "client closes":
                self.is_closing = self.client_closed = True
                self.step(lambda: network.give(lambda: network.client.close(network.client_now)))
            case "canister closes" if self.ic.sessions.find(key) is not None:
                self.canister_closes(key)
            case "canister loses its state":
                self.state_was_lost = True
                self.ic.lose_state()
            case "canister is put back" if self.ic.has_snapshot and network.client.gateway is not None:
                self.put_back()
            case "much time passes":
                self.step(lambda: network.pass_time(400 * NS_PER_S))

    def canister_closes(self, key: ClientKey) -> None:
        self.canister_closed = True
        self.ic.close(key)

    @precondition(lambda self: self.network.connection is not None and self.can_send())
    @rule(count=st.integers(1, 3), receipts=st.booleans(), really=SOMETIMES)
    def canister_closes_while_a_handler_runs(self, count: int, receipts: bool, really: bool) -> None:
        """It has accepted messages and is in the middle of the first: nobody may be told that it was not executed."""
        network, key = self.network, self.network.client.client_key
        if not really or self.ic.sessions.find(key) is None:
            return
        self.ic.handles_at_once = False
        self.client_sends(count, False, "executed")
        while network.connection is not None and network.connection.calls:
            network.relay(network.connection, network.connection.calls.pop(0), with_receipt=receipts)
        finish = self.ic.begin_to_handle(key)
        self.canister_closes(key)
        self.step(lambda: [network.do_next(handles=False) for _ in range(40)])
        finish()
        self.ic.handles_at_once = True

    def put_back(self) -> None:
        self.was_put_back = True
        self.ic.load_snapshot()
        # What nobody looks at cannot be noticed: a canister that has caught up again looks like one that never fell
        # behind.
        self.step(lambda: self.network.give(lambda: self.network.client.audit(self.network.client_now)))
        for request in list(self.network.requests):
            if request in self.network.requests:
                self.step(partial(self.network.answer, request))

    @precondition(lambda self: self.network.client.gateway is not None and not self.ic.has_snapshot)
    @rule()
    def snapshot_is_taken(self) -> None:
        self.ic.take_snapshot()

    def restart(self) -> None:
        self.note_outcomes()
        for sent in self.sent:
            sent.orphaned = sent.orphaned or sent.outcome is None
        self.is_closing = False
        self.network.restart_client()

    # what must always hold

    @invariant()
    def client_was_given_what_the_canister_said(self) -> None:
        got = self.network.delivered
        stories = [self.ic.story, *self.ic.lost_stories]
        assert any(got == story.said[: len(got)] for story in stories), (got, self.ic.story.said)

    @invariant()
    def canister_was_given_messages_once_and_in_order(self) -> None:
        for story in (self.ic.story, *self.ic.lost_stories):
            numbers = [int(data[-6:]) for data in story.heard]
            assert numbers == sorted(set(numbers)), story.heard

    @invariant()
    def what_the_client_was_told_is_true(self) -> None:
        heard = set(self.ic.story.heard)
        ever = heard.union(*(story.heard for story in self.ic.lost_stories))
        for sent in self.sent:
            match sent.outcome:
                case SendExecuted():
                    assert sent.data in ever, sent
                case SendRejected(_, error) if error.reason is Reason.HANDLER_TRAPPED:
                    assert sent.data not in heard, sent
                case SendRejected():
                    assert sent.data not in heard, sent

    @invariant()
    def no_honest_gateway_is_accused(self) -> None:
        excused = self.state_was_lost or self.was_put_back or self.clock_was_wrong
        assert excused or not self.network.accusations, self.network.accusations

    # the end

    def teardown(self) -> None:
        if not hasattr(self, "network"):
            return
        network = self.network
        network.crash_after = None
        network.clock_error_ns = 0
        network.takes_at_once = True
        well = network.run_well(self.all_is_done, WELL_SECONDS)
        self.note_outcomes()
        self.client_was_given_what_the_canister_said()
        self.canister_was_given_messages_once_and_in_order()
        self.what_the_client_was_told_is_true()
        self.no_honest_gateway_is_accused()
        assert well, (network.client.state, network.losses[-3:], network.delivered, self.ic.story, self.open_sends())
        if network.ended is not None:
            self.check_end(network.ended)
            assert all(sent.outcome is not None for sent in self.open_sends())
            return
        assert network.delivered == self.ic.story.said
        heard = set(self.ic.story.heard)
        for sent in self.sent:
            if isinstance(sent.outcome, SendExecuted):
                assert sent.data in heard or self.was_put_back, sent
            elif isinstance(sent.outcome, SendAccepted):
                pass  # its handler may have trapped
            elif sent.confirm == "relayed" and sent.outcome is None and not sent.orphaned:
                pass  # the same

    def open_sends(self) -> list[Sent]:
        """Messages whose outcome somebody still waits for."""
        return [sent for sent in self.sent if sent.outcome is None and not sent.orphaned and sent.confirm != "relayed"]

    def all_is_done(self) -> bool:
        self.note_outcomes()
        network = self.network
        if network.ended is not None:
            return True
        if self.is_closing or network.client.gateway is None:
            return False
        arrived = network.delivered == self.ic.story.said and not network.untaken
        return arrived and not self.open_sends() and not network.client._core.outbox.entries

    def check_end(self, error: Exception) -> None:
        """The session ended for a reason that there was."""
        if self.network.client.parameters is None:
            return  # it never came to be
        assert isinstance(error, SessionEnded), error
        session = self.ic.sessions.find(self.network.client.client_key)
        certified = None if session is None else session.close_code
        forgotten = session is None and self.ic.now - START_NS > RESUME_WINDOW_NS
        damaged = self.state_was_lost or self.was_put_back
        reasons = {
            SessionCloseCode.CLIENT_CLOSED: self.client_closed,
            SessionCloseCode.APPLICATION_CLOSED: self.canister_closed,
            SessionCloseCode.RESUME_WINDOW: certified == "ResumeWindow" or damaged,
            SessionCloseCode.EPOCH_CHANGED: self.state_was_lost or forgotten,
            SessionCloseCode.STATE_ROLLBACK: self.was_put_back,
            SessionCloseCode.STATE_FORKED: self.was_put_back,
            SessionCloseCode.RESUME_GAP: self.was_put_back,
            SessionCloseCode.NO_GATEWAY: not self.network.was_attached,
        }
        assert any(error.code == code and is_so for code, is_so in reasons.items()), (error, error.__cause__, certified)


class SealedSession(SecureSession):
    """With content that is sealed to keys of the canister, which change all the time."""

    sealed = True
    config = CanisterConfig(suites=SealedSuites(canister=CANISTER, lifetime_ns=100 * NS_PER_S))


class OmniaSession(SecureSession):
    """The profile ``omnia/1``: a connection is a session, and its loss an error."""

    profile = "omnia"

    def put_back(self) -> None:
        """Left out: nothing that ``omnia/1`` certifies would show it."""

    def check_end(self, error: Exception) -> None:
        """Whatever ends an omnia session, an error says so."""
        assert isinstance(error, SessionEnded), error
