"""Opening, attaching again, detaching."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import Attached, Detached, Opened
from icws_secure.wire import interface as wire
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import AttachMessage, OpenMessage


@pytest.fixture
def registered(world: Any, make_user: Any) -> tuple[Principal, Any, Principal]:
    """A registered session principal, its parameters, and a gateway."""
    owner, session, gateway = make_user("alice"), make_user("session"), make_user("gateway")
    return session, world.register(owner, session), gateway


@pytest.mark.req("ICWS-CAN-010")
def test_a_registered_session_principal_cannot_open_without_the_secure_fields(
    world: Any, registered: Any, code_of: Any
) -> None:
    session, parameters, gateway = registered
    assert code_of(world.open(session, None, gateway)) is RefusalCode.SECURE_FIELDS_MISSING
    assert world.open(session, parameters, gateway) is None
    before = world.sessions.state
    assert code_of(world.open(session, None, gateway, client_nonce=9)) is RefusalCode.SECURE_FIELDS_MISSING
    assert world.sessions.state is before
    world.revoke(session, session)
    assert code_of(world.open(session, None, gateway)) is RefusalCode.SECURE_FIELDS_MISSING


def test_the_secure_fields_need_a_registration(world: Any, registered: Any, make_user: Any, code_of: Any) -> None:
    _, parameters, gateway = registered
    assert code_of(world.open(make_user("stranger"), parameters, gateway)) is RefusalCode.NOT_REGISTERED


def test_without_omnia_only_registered_sessions_open(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(profiles=frozenset({"secure"}))
    assert code_of(world.open(make_user("user"), None, make_user("gateway"))) is RefusalCode.NOT_REGISTERED


def test_the_anonymous_principal_cannot_open(world: Any, registered: Any, code_of: Any) -> None:
    _, parameters, gateway = registered
    assert code_of(world.open(ANONYMOUS, None, gateway)) is RefusalCode.ANONYMOUS_CALLER
    assert code_of(world.open(ANONYMOUS, parameters, gateway)) is RefusalCode.ANONYMOUS_CALLER


@pytest.mark.req("ICWS-CAN-011")
@pytest.mark.parametrize("gateway", [ANONYMOUS, MANAGEMENT, Principal(bytes.fromhex("00000000000000020101"))])
def test_a_gateway_principal_is_self_authenticating(
    world: Any, registered: Any, code_of: Any, gateway: Principal
) -> None:
    session, parameters, _ = registered
    assert code_of(world.open(session, parameters, gateway)) is RefusalCode.INVALID_GATEWAY_PRINCIPAL


@pytest.mark.req("ICWS-CAN-012")
@pytest.mark.parametrize("attach", [0, 3, 4])
def test_an_attach_that_is_not_above_the_stored_one_is_refused_and_changes_nothing(
    world: Any, alice: Any, make_user: Any, code_of: Any, attach: int
) -> None:
    assert alice.reopen(4, 1) is None
    before = world.sessions.state
    assert code_of(alice.reopen(attach, 1, make_user("other gateway"))) is RefusalCode.STALE_ATTACH
    assert world.sessions.state is before


@pytest.mark.req("ICWS-CAN-012")
def test_the_newest_attach_alone_receives(world: Any, alice: Any, make_user: Any) -> None:
    other = make_user("other gateway")
    world.send(alice.key, b"one")
    assert alice.reopen(2, 1, other) is None
    world.send(alice.key, b"two")
    assert alice.received() == []
    assert [received.data for received in alice.received(other)[1:]] == [b"one", b"two"]


@pytest.mark.req("ICWS-CAN-012")
def test_a_withheld_open_that_arrives_late_attaches_nothing(
    world: Any, registered: Any, make_user: Any, code_of: Any
) -> None:
    session, parameters, gateway = registered
    other = make_user("other gateway")
    withheld = world.open_argument(parameters, gateway, attach=1)
    assert world.open(session, parameters, other, attach=2) is None
    outcome = world.sessions.open(session, withheld, world.now)
    assert code_of(wire.decode_open_result(outcome.reply)) is RefusalCode.STALE_ATTACH
    assert world.sessions.state.sessions[session].gateway == other


@pytest.mark.req("ICWS-CAN-013")
def test_an_attach_queues_first_an_attach_message_with_all_of_its_fields(
    world: Any, alice: Any, make_user: Any
) -> None:
    for text in (b"one", b"two", b"three"):
        world.send(alice.key, text)
    world.message(alice.principal, 1)
    world.keep_alive(alice.principal, 2, 1)
    gateway = make_user("other gateway")
    raw = world.open_argument(alice.parameters, gateway, attach=5, resume_from=3)
    world.sleep(1)
    assert wire.decode_open_result(world.sessions.open(alice.principal, raw, world.now).reply) is None
    first, *rest = alice.received(gateway)
    assert first.seq == 0
    assert first.message.is_service_message
    assert first.message.timestamp_ns == world.now
    assert first.service == AttachMessage(
        client_key=alice.key,
        registration_id=alice.parameters.registration_id,
        attach=5,
        epoch=world.sessions.state.epoch_ns,
        resume_from=3,
        next_in=3,
        next_out=4,
        oldest_retained=3,
        open_hash=hashlib.sha256(raw).digest(),
    )
    assert [(received.seq, received.data) for received in rest] == [(3, b"three")]


@pytest.mark.req("ICWS-CAN-014")
def test_a_secure_session_has_no_open_message(world: Any, alice: Any) -> None:
    alice.reopen(2, 1)
    assert not any(isinstance(received.service, OpenMessage) for received in alice.received())
    assert alice.head.next_out == 1


@pytest.mark.req("ICWS-CAN-015")
def test_the_registration_id_is_the_sessions_own(world: Any, alice: Any, make_alice: Any, code_of: Any) -> None:
    bob = make_alice(world, "bob")
    refusal = world.open(alice.principal, bob.parameters, alice.gateway, attach=2)
    assert code_of(refusal) is RefusalCode.WRONG_REGISTRATION


@pytest.mark.req("ICWS-CAN-015")
def test_the_client_key_never_changes(world: Any, alice: Any, code_of: Any) -> None:
    refusal = world.open(alice.principal, alice.parameters, alice.gateway, attach=2, client_nonce=8)
    assert code_of(refusal) is RefusalCode.WRONG_CLIENT_KEY


@pytest.mark.req("ICWS-CAN-016")
@pytest.mark.parametrize("speaks", [True, False])
def test_an_attach_without_a_call_of_the_session_key_is_detached_after_a_minute(
    world: Any, alice: Any, speaks: bool
) -> None:
    world.tick(59)
    if speaks:
        world.message(alice.principal, 1)
    world.tick(2)
    assert alice.head.state is (SessionState.OPEN if speaks else SessionState.DETACHED)


def test_events_tell_the_first_open_from_later_ones(world: Any, alice: Any, make_user: Any) -> None:
    gateway = make_user("other gateway")
    alice.reopen(2, 1, gateway)
    kinds = [event for event in world.events if isinstance(event, Opened | Attached)]
    assert kinds == [
        Opened(alice.key, alice.owner, secure=True),
        Attached(alice.key, 1, alice.gateway),
        Attached(alice.key, 2, gateway),
    ]


@pytest.mark.req("ICWS-CAN-060")
def test_unacknowledged_messages_are_queued_again_byte_for_byte(world: Any, alice: Any, make_user: Any) -> None:
    world.send(alice.key, b"one")
    world.send(alice.key, b"two")
    before = [output.content for output in world.poll_all(alice.gateway)[1:]]
    for attach, gateway in enumerate((alice.gateway, make_user("second"), alice.gateway), 2):
        world.sleep(100)
        assert alice.reopen(attach, 1, gateway) is None
        attached = [o for o in world.poll_all(gateway) if o.client_key == alice.key][1:]
        assert [output.content for output in attached] == before


@pytest.mark.req("ICWS-CAN-060")
def test_what_was_sent_while_detached_is_queued_at_the_next_attach(world: Any, alice: Any) -> None:
    world.close(alice.gateway, alice.key, 1)
    world.send(alice.key, b"while away")
    assert alice.received() == []
    assert alice.reopen(2, 1) is None
    assert [received.data for received in alice.received()[1:]] == [b"while away"]


@pytest.mark.req("ICWS-CAN-061")
def test_a_resume_from_before_what_is_retained_is_a_gap(world: Any, alice: Any, code_of: Any) -> None:
    for _ in range(3):
        world.send(alice.key, b"x")
    world.keep_alive(alice.principal, 1, 2)
    for resume_from in (0, 1, 2):
        assert code_of(alice.reopen(2, resume_from)) is RefusalCode.RESUME_GAP
    assert alice.reopen(2, 3) is None


@pytest.mark.req("ICWS-CAN-042")
def test_a_resume_from_beyond_what_was_sent_is_refused(world: Any, alice: Any, code_of: Any) -> None:
    world.send(alice.key, b"x")
    assert code_of(alice.reopen(2, 3)) is RefusalCode.ACK_OUT_OF_RANGE
    assert alice.reopen(2, 2) is None
    assert alice.head.acked == 1


@pytest.mark.req("ICWS-CAN-063")
def test_the_bound_gateway_detaches_and_ends_nothing(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    assert world.close(alice.gateway, alice.key, 1) is None
    assert alice.head.state is SessionState.DETACHED
    assert alice.head.close_code is None
    assert world.events[-1] == Detached(alice.key, 1)
    assert [output.client_key for output in world.poll_raw(alice.gateway).messages] == [TOMBSTONE_CLIENT_KEY] * 2


@pytest.mark.req("ICWS-CAN-063")
@pytest.mark.parametrize("attach", [1, 3])
def test_a_close_for_another_attach_has_no_effect(world: Any, alice: Any, attach: int) -> None:
    alice.reopen(2, 1)
    before = world.sessions.state.sessions
    assert world.close(alice.gateway, alice.key, attach) is None
    assert world.sessions.state.sessions == before


@pytest.mark.req("ICWS-CAN-063")
def test_only_the_bound_gateway_may_close(world: Any, alice: Any, make_user: Any, code_of: Any) -> None:
    alice.reopen(2, 1, make_user("second"))
    for stranger in (alice.gateway, make_user("stranger"), alice.principal, alice.owner):
        assert code_of(world.close(stranger, alice.key, 2)) is RefusalCode.NOT_YOUR_GATEWAY
    assert alice.head.state is SessionState.OPEN
    unknown = ClientKey(alice.principal, 99)
    assert code_of(world.close(alice.gateway, unknown)) is RefusalCode.NOT_OPEN


def test_a_gateway_that_knows_no_attach_numbers_detaches_the_newest(world: Any, alice: Any) -> None:
    assert world.close(alice.gateway, alice.key) is None
    assert alice.head.state is SessionState.DETACHED
    assert world.close(alice.gateway, alice.key) is None


@pytest.mark.req("ICWS-CAN-066")
def test_a_session_cannot_be_resumed_after_its_window_even_before_the_timer_runs(
    world: Any, alice: Any, code_of: Any
) -> None:
    world.close(alice.gateway, alice.key, 1)
    world.sleep(599)
    assert alice.reopen(2, 1) is None
    world.close(alice.gateway, alice.key, 2)
    world.sleep(600)
    assert code_of(alice.reopen(3, 1)) is RefusalCode.CLOSED


@pytest.mark.req("ICWS-CAN-066")
def test_an_expired_session_cannot_be_resumed(make_world: Any, make_alice: Any, code_of: Any) -> None:
    world = make_world(session_ttl_ns=30 * NS_PER_S)
    alice = make_alice(world)
    world.sleep(30)
    assert code_of(alice.reopen(2, 1)) is RefusalCode.EXPIRED


def test_a_session_is_its_own_gateway(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    assert alice.reopen(2, 1, alice.principal) is None
    assert [received.data for received in alice.received(alice.principal)[1:]] == [b"x"]


def test_what_the_application_said_before_it_closed_can_still_be_fetched(
    world: Any, alice: Any, make_user: Any, code_of: Any
) -> None:
    world.send(alice.key, b"last words")
    world.sessions.disconnect(alice.key, world.now)
    world.sleep(30)
    gateway = make_user("second")
    assert alice.reopen(2, 1, gateway) is None
    attach, words, close = alice.received(gateway)
    assert attach.service.next_out == 3
    assert words.data == b"last words"
    assert close.service.code == "ApplicationClosed"
    assert alice.head.state is SessionState.CLOSED
    # with everything taken there is nothing more to come for
    assert alice.reopen(3, 3, gateway) is None
    assert code_of(alice.reopen(4, 3, gateway)) is RefusalCode.CLOSED
    assert world.sessions.state.queues[gateway].attached == 0


@pytest.mark.parametrize("end", ["revoke", "client", "window"])
def test_a_session_that_is_over_cannot_be_attached(
    world: Any, alice: Any, code_of: Any, end: str, close_itself: Any
) -> None:
    world.send(alice.key, b"x")
    if end == "revoke":
        world.revoke(alice.owner, alice.principal)
    elif end == "client":
        close_itself(alice, 1)
    else:
        world.close(alice.gateway, alice.key, 1)
        world.tick(601)
    assert alice.head.state is SessionState.CLOSED
    assert code_of(alice.reopen(2, 1)) is RefusalCode.CLOSED


@pytest.mark.req("ICWS-CAN-027")
def test_attaching_again_and_again_does_not_fill_a_gateways_queue(
    make_world: Any, make_alice: Any, code_of: Any
) -> None:
    world = make_world(retained_messages=2)
    alice = make_alice(world)
    attach = 1
    while (refusal := alice.reopen(attach + 1, 1)) is None:
        attach += 1
        assert attach < 200
    assert code_of(refusal) is RefusalCode.TOO_MANY
    bob = make_alice(world, "bob")
    assert len(bob.received()) == 1
    world.tick(301)
    assert alice.reopen(attach + 1, 1) is None


@pytest.mark.req("ICWS-CAN-027")
def test_the_number_of_gateways_is_bounded(make_world: Any, make_alice: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(max_gateways=2)
    alice = make_alice(world)
    assert alice.reopen(2, 1, make_user("second")) is None
    assert code_of(alice.reopen(3, 1, make_user("third"))) is RefusalCode.TOO_MANY
    world.tick(301)
    assert alice.reopen(3, 1, make_user("third")) is None


@pytest.mark.req("ICWS-CAN-070", "ICWS-CAN-072")
@pytest.mark.parametrize("arg", [b"", b"DIDL", b"DIDL\x00\x00", b"x" * 10_000])
def test_an_open_that_cannot_be_read_is_refused(world: Any, alice: Any, code_of: Any, arg: bytes) -> None:
    before = world.sessions.state
    outcome = world.sessions.open(alice.principal, arg, world.now)
    assert code_of(wire.decode_open_result(outcome.reply)) is RefusalCode.MALFORMED_ARGUMENT
    assert world.sessions.state is before
