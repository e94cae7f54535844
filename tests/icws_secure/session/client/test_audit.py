"""Certified heads: what is withheld, what went back, what was lost, and silence."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MessageViolation, Reason, SessionEnded, StallError, StateViolation
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.session.client import GatewayLost, HttpRequest, SendExecuted
from icws_secure.session.client.certified import COUNTERS, CertifiedState
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.envelope import Envelope
from icws_secure.wire.frames import DrainFrame, HeadFrame, MessagesFrame
from icws_secure.wire.head import SessionHead, decode_head
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import (
    Audit,
    RegisterArgument,
    RevokeArgument,
    SessionState,
    encode_audit_result,
    encode_register_argument,
    encode_revoke_argument,
)

from .sends import quiet


def audits(world: Any) -> list[str]:
    """Kinds of the audits that the client has asked for."""
    found = []
    for action in world.log:
        if isinstance(action, HttpRequest):
            content = Envelope.decode(action.body).content
            if getattr(content, "method_name", None) == "ws_audit":
                found.append(action.path.rsplit("/", 1)[1])
    return found


# silence -------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-061", "ICWS-CLT-050")
def test_messages_that_are_withheld_are_noticed_by_the_relayed_head(kit: Any) -> None:
    world = quiet(kit, 2)
    world.connection.relays_messages = False
    start = world.now
    world.canister_sends(b"one")
    error = world.first_loss()
    assert isinstance(error, MessageViolation)
    assert error.reason is Reason.MESSAGES_WITHHELD
    assert world.now - start < 12 * NS_PER_S
    assert world.of(GatewayLost)[0].evidence.kind == "withheld"
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-061", "ICWS-CLT-050")
def test_a_gateway_that_withholds_heads_too_is_found_out_by_an_audit(kit: Any) -> None:
    world = quiet(kit, 2)
    world.connection.relays_messages = False
    world.connection.relays_heads = False
    start = world.now
    world.canister_sends(b"one")
    assert world.first_loss().reason is Reason.MESSAGES_WITHHELD
    assert world.now - start < 25 * NS_PER_S
    assert audits(world) == ["query"]
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-050")
def test_without_the_subprotocol_the_client_audits_itself(kit: Any) -> None:
    world = quiet(kit, 2, subprotocol=False)
    world.connection.relays_messages = False
    start = world.now
    world.canister_sends(b"one")
    assert world.first_loss(120).reason is Reason.MESSAGES_WITHHELD
    assert world.now - start < 70 * NS_PER_S
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-050", "ICWS-CLT-061")
def test_silence_after_some_messages_is_noticed(kit: Any) -> None:
    world = quiet(kit, 2)
    world.canister_sends(b"one", b"two")
    world.run(1)
    world.connection.relays_messages = False
    world.canister_sends(b"three")
    assert world.first_loss().reason is Reason.MESSAGES_WITHHELD
    assert world.run_until(lambda: world.received == [b"one", b"two", b"three"])


@pytest.mark.req("ICWS-CLT-050")
def test_acknowledgements_that_are_withheld_are_noticed(kit: Any) -> None:
    world = quiet(kit, 2)
    gateway = world.connection
    world.run(250)
    gateway.relays_messages = False  # from here on only what is acknowledged would come
    assert world.first_loss(120).reason is Reason.MESSAGES_WITHHELD
    assert world.run_until(lambda: world.client.gateway is not None)
    assert world.ended is None


@pytest.mark.req("ICWS-CLT-050")
def test_silence_of_everything_is_a_stall_also_where_the_ic_cannot_be_asked(kit: Any) -> None:
    world = quiet(kit, 2, direct_fallback=False)
    world.connection.relays_messages = False
    world.connection.relays_heads = False
    world.ic.is_reachable = False
    error = world.first_loss(600)
    assert isinstance(error, StallError)
    assert error.reason in (Reason.ACK_TIMEOUT, Reason.RECEIPT_TIMEOUT)
    assert error.requirement == "ICWS-CLT-050"


def test_a_slow_application_is_nobodys_fault(kit: Any) -> None:
    world = quiet(kit, 2)
    world.connection.relays_messages = False
    world.client.reading_paused(world.client_now)
    world.canister_sends(b"one")
    world.run(400)
    assert world.lost == []
    world.client.reading_resumed(world.client_now)
    world.connection.relays_messages = True
    assert world.run_until(lambda: world.received == [b"one"])


def test_a_gateway_that_is_slow_but_delivers_is_kept(kit: Any) -> None:
    world = quiet(kit, 2)
    world.connection.relays_messages = False
    world.canister_sends(b"one")
    world.run(4)
    world.connection.relays_messages = True
    assert world.run_until(lambda: world.received == [b"one"])
    world.run(30)
    assert world.lost == []


# audits --------------------------------------------------------------------------------------------------------------


def test_an_audit_on_demand(kit: Any) -> None:
    world = quiet(kit, 1)
    world.client.audit(world.client_now)
    world.drain()
    world.run(1)
    assert audits(world) == ["query"]
    assert world.lost == []


def test_relayed_heads_spare_the_audits(kit: Any) -> None:
    world = quiet(kit, 1)
    world.run(100)
    assert audits(world) == []


@pytest.mark.req("ICWS-CLT-060")
def test_an_audit_that_is_older_than_what_is_known_does_not_count(kit: Any) -> None:
    world = quiet(kit, 2)
    world.connection.relays_heads = False
    world.connection.relays_messages = False
    recorded: list[bytes] = []

    def replay(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes]:
        content = Envelope.decode(request.body).content
        if request.path.endswith("/query") and getattr(content, "method_name", "") == "ws_audit":
            recorded.append(body)
            return status, recorded[0]
        return status, body

    world.http_filter = replay
    world.client.audit(world.client_now)
    world.drain()
    world.run(20)
    assert audits(world)[0] == "query"
    world.canister_sends(b"one")  # the replica goes on showing the time before
    start = world.now
    assert world.first_loss(60).reason is Reason.MESSAGES_WITHHELD
    assert "call" in audits(world)
    assert audits(world)[: audits(world).index("call")].count("query") >= 3
    assert world.now - start < 40 * NS_PER_S


@pytest.mark.req("ICWS-CLT-060")
@pytest.mark.parametrize("answer", ["garbage", "rejected", "nothing"])
def test_after_three_misses_the_audit_goes_by_update(kit: Any, answer: str) -> None:
    world = quiet(kit, 1)

    def spoil(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes] | None:
        if not request.path.endswith("/query"):
            return status, body
        if answer == "nothing":
            return None
        if answer == "rejected":
            return 200, cbor.encode({"status": "rejected", "reject_code": 5, "reject_message": "no"})
        return 200, b"garbage"

    world.http_filter = spoil
    world.client.audit(world.client_now)
    world.drain()
    world.run(10)
    assert audits(world) == ["query", "query", "query", "call"]
    assert world.lost == []


@pytest.mark.req("ICWS-CLT-060")
def test_an_audit_must_not_be_older_than_its_start(kit: Any) -> None:
    world = quiet(kit, 1, subprotocol=False)
    stale = world.ic.data_certificate()
    witness = world.ic.witness((b"icws",))

    def replay(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes]:
        if request.path.endswith("/query"):
            reply = encode_audit_result(Audit(kit.START_NS, (None,), stale, witness))
            return 200, cbor.encode({"status": "replied", "reply": {"arg": reply}, "signatures": []})
        return status, body

    world.run(20)  # now it is older than 15 s
    world.http_filter = replay
    world.client.audit(world.client_now)
    world.drain()
    world.run(10)
    assert "call" in audits(world)


# what went back, what was lost ---------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-062")
def test_a_canister_that_was_put_back_ends_the_session(kit: Any) -> None:
    world = quiet(kit, 1)
    snapshot = world.ic.canister.state
    world.canister_sends(b"one", b"two")
    assert world.run_until(lambda: len(world.received) == 2)
    world.run(6)
    world.ic.canister.state = snapshot
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_ROLLBACK
    assert isinstance(error.__cause__, StateViolation)


@pytest.mark.req("ICWS-CLT-062")
def test_a_rollback_is_noticed_through_messages_alone(kit: Any) -> None:
    world = quiet(kit, 2)
    snapshot = world.ic.canister.state
    world.canister_sends(b"one", b"two")
    assert world.run_until(lambda: len(world.received) == 2)
    world.ic.canister.state = snapshot
    world.break_connection()
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_ROLLBACK


@pytest.mark.req("ICWS-CLT-063")
def test_a_canister_that_lost_its_state_ends_the_session_at_once(kit: Any) -> None:
    world = quiet(kit, 1)
    world.ic.canister = CanisterSessions(CanisterConfig(), now=world.now, seed=b"\x08" * 32)
    start = world.now
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.EPOCH_CHANGED
    assert error.requirement == "ICWS-CLT-063"
    assert world.now - start < 20 * NS_PER_S


@pytest.mark.req("ICWS-CLT-063")
def test_certified_absence_of_the_session_ends_it(kit: Any) -> None:
    world = quiet(kit, 1)
    empty = CanisterSessions(CanisterConfig(), now=kit.START_NS, seed=b"\x08" * 32)  # the same epoch
    world.ic.canister = empty
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.EPOCH_CHANGED


def test_an_upgrade_that_keeps_the_state_goes_unnoticed(kit: Any) -> None:
    world = quiet(kit, 1)
    world.ic.canister = CanisterSessions.from_stable(
        CanisterConfig(), world.ic.canister.to_stable(), now=world.now, seed=b"\x08" * 32
    )
    send_id = world.send(b"after")
    world.canister_sends(b"one")
    assert world.run_until(lambda: world.received == [b"one"] and world.outcome(send_id) == SendExecuted(send_id))
    world.run(30)
    assert world.lost == []
    assert world.ended is None


@pytest.mark.req("ICWS-CLT-035")
def test_a_revoked_session_ends(kit: Any) -> None:
    world = quiet(kit, 1)
    argument = RevokeArgument(world.client.session_principal, world.now)
    world.ic.canister.revoke(world.owner.principal, encode_revoke_argument(argument), world.now)
    error = world.end(30)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.REVOKED


@pytest.mark.req("ICWS-CLT-035")
def test_an_expired_session_ends(kit: Any) -> None:
    world = quiet(kit, 1, expires_at_ns=kit.START_NS + 120 * NS_PER_S)
    error = world.end(150)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.EXPIRED
    assert world.now >= kit.START_NS + 118 * NS_PER_S


@pytest.mark.req("ICWS-CLT-035")
def test_the_end_of_the_resume_window_ends_the_session(kit: Any) -> None:
    world = quiet(kit, 1, direct_fallback=False)
    world.kill(world.gateways[0])
    world.run(world.client.parameters.resume_window_ns / NS_PER_S + 400)
    world.gateways[0].is_alive = True
    error = world.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code in (SessionCloseCode.RESUME_WINDOW, SessionCloseCode.EPOCH_CHANGED)


@pytest.mark.req("ICWS-CLT-035")
def test_a_gateway_cannot_end_a_session(kit: Any) -> None:
    world = quiet(kit, 2, direct_fallback=False)
    for code in (1000, 1011, 4000, 4001, 4401, 4410, 4411, 4412):
        world.break_connection(code, "Revoked: you are out")
        world.run(2)
        world.attached()
    assert world.ended is None


def test_a_gateway_that_detaches_is_noticed(kit: Any) -> None:
    world = quiet(kit, 2)
    gateway = world.connection
    client_key = gateway.client_key
    gateway.left()
    gateway.client_key = client_key  # and goes on as if nothing had happened
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.reason is Reason.SILENCE
    world.attached()
    assert world.client.attach == 2


def test_a_drain_notice_sends_the_client_elsewhere(kit: Any) -> None:
    world = quiet(kit, 2)
    gateway = world.connection
    gateway.send(DrainFrame(30))
    world.carry(gateway)
    world.run(1)
    assert world.connection is world.gateways[1]
    assert world.lost[0].reason is Reason.CONNECTION_LOST


def test_a_drain_notice_of_the_only_gateway_is_borne(kit: Any) -> None:
    world = quiet(kit, 1)
    world.connection.send(DrainFrame(30))
    world.carry(world.connection)
    world.run(1)
    assert world.lost == []


def test_an_old_head_says_nothing(kit: Any) -> None:
    world = quiet(kit, 1)
    old = world.ic.head_frame(world.client.session_principal)
    world.run(10)
    world.canister_sends(b"one")
    assert world.run_until(lambda: world.received == [b"one"])
    world.run(10)
    world.to_client(old.encode(), world.connection_id)
    world.run(10)
    assert world.lost == []
    assert world.ended is None


def test_frames_that_do_not_concern_messages_leave_them_alone(kit: Any) -> None:
    world = quiet(kit, 1)
    assert any(isinstance(frame, HeadFrame) for frame in world.gateways[0].frames)
    assert any(isinstance(frame, MessagesFrame) for frame in world.gateways[0].frames)


# floors --------------------------------------------------------------------------------------------------------------


def head(**changes: int) -> SessionHead:
    values: dict[str, Any] = dict.fromkeys(COUNTERS, 5)
    return SessionHead(bytes(16), state=SessionState.OPEN, expires_at_ns=1 << 60, **{**values, **changes})


class Certified:
    """Stands for a verified head; the real ones are made by the verifier alone."""

    def __init__(self, shown: SessionHead | None, time_ns: int, *, epoch: int = 1, not_before_ns: int | None = None):
        self.head = shown
        self.epoch = epoch
        self.time_ns = time_ns
        self.not_before_ns = time_ns if not_before_ns is None else not_before_ns


@pytest.mark.req("ICWS-CLT-062")
@pytest.mark.parametrize("counter", COUNTERS)
def test_no_counter_goes_back(counter: str) -> None:
    state: Any = CertifiedState(1, bytes(16), 0)
    state.accept(Certified(head(), 10))
    state.accept(Certified(head(**{counter: 6}), 11))
    state.accept(Certified(head(), 10))  # earlier, and so it may show less
    with pytest.raises(StateViolation) as caught:
        state.accept(Certified(head(), 12))
    assert caught.value.reason is Reason.STATE_ROLLBACK
    assert state.floor(counter) == 6


@pytest.mark.req("ICWS-CLT-062")
def test_an_earlier_certificate_does_not_show_more() -> None:
    state: Any = CertifiedState(1, bytes(16), 0)
    state.accept(Certified(head(), 10))
    with pytest.raises(StateViolation):
        state.accept(Certified(head(next_out=6), 9))
    with pytest.raises(StateViolation):
        state.at_least("next_out", 6, 9)
    state.at_least("next_out", 6, 11)
    with pytest.raises(StateViolation):
        state.accept(Certified(head(), 12))


def test_an_audit_by_update_is_compared_with_what_was_known_when_it_was_sent() -> None:
    state: Any = CertifiedState(1, bytes(16), 0)
    state.at_least("next_out", 7, 11)
    assert state.accept(Certified(head(), 12, not_before_ns=10)) is not None
    with pytest.raises(StateViolation):
        state.accept(Certified(head(), 13, not_before_ns=11))


@pytest.mark.req("ICWS-CLT-063")
def test_a_head_from_before_the_registration_says_nothing() -> None:
    state: Any = CertifiedState(1, bytes(16), 100)
    assert state.accept(Certified(None, 99, epoch=7)) is None
    with pytest.raises(StateViolation) as caught:
        state.accept(Certified(head(), 100, epoch=7))
    assert caught.value.reason is Reason.EPOCH_CHANGED
    with pytest.raises(StateViolation) as caught:
        state.accept(Certified(None, 100))
    assert caught.value.reason is Reason.EPOCH_CHANGED


@pytest.mark.req("ICWS-CLT-063", "ICWS-CAN-001")
def test_a_registration_of_the_same_session_principal_by_a_stranger_says_nothing(kit: Any) -> None:
    world = kit.World(start=False)
    stranger = Principal(b"\x07" * 28 + b"\x02")
    argument = RegisterArgument(world.client.session_principal, world.now)  # a boundary node saw it, and was faster
    world.ic.canister.register(stranger, encode_register_argument(argument), world.now)
    world.gateways[0].relays_calls = False
    world.client.start(world.client_now)
    world.drain()
    world.run(1)
    shown = decode_head(world.ic.canister.state.heads.get(world.client.session_principal.raw))
    assert shown.registration_id != world.client.parameters.registration_id
    world.client.audit(world.client_now)
    world.run(5)
    assert world.ended is None
    world.gateways[0].relays_calls = True
    world.break_connection()
    world.attached()
    world.client.audit(world.client_now)
    world.run(5)
    assert world.ended is None
