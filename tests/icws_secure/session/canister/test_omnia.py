"""The profile ``omnia/1``, as deployed canisters behave."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError
from icws_secure.session.canister import Closed, Opened
from icws_secure.wire import service
from icws_secure.wire.interface import ClientKey, MessageState
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.service import AckMessage, CloseMessage, CloseReason, OpenMessage


@pytest.fixture(params=["omnia", "both"])
def omnia(request: Any, make_world: Any) -> Any:
    """A canister that serves ``omnia/1``, alone or beside the other profile."""
    profiles = {"omnia"} if request.param == "omnia" else {"omnia", "secure"}
    return make_world(profiles=frozenset(profiles))


@pytest.fixture
def bob(omnia: Any, make_user: Any) -> Any:
    """A client key with an open session through ``gateway``."""
    assert omnia.open(make_user("bob"), None, make_user("gateway")) is None
    omnia.handle_all()
    return ClientKey(make_user("bob"), 7)


@pytest.fixture
def gateway(make_user: Any) -> Any:
    return make_user("gateway")


def test_the_first_message_is_the_open_message_as_number_one(omnia: Any, bob: Any, gateway: Any) -> None:
    (first,) = omnia.received(gateway, bob)
    assert first.seq == 1
    assert first.service == OpenMessage(bob)
    assert first.message.salt is None
    assert omnia.events[0] == Opened(bob, bob.client_principal, secure=False)
    omnia.send(bob, b"x")
    assert [one.seq for one in omnia.received(gateway, bob)] == [1, 2]


def test_a_client_key_that_is_open_cannot_be_opened_again(omnia: Any, bob: Any, gateway: Any, code_of: Any) -> None:
    assert code_of(omnia.open(bob.client_principal, None, gateway)) is RefusalCode.ALREADY_OPEN


def test_another_client_key_of_the_same_principal_closes_the_first(
    omnia: Any, bob: Any, gateway: Any, code_of: Any
) -> None:
    assert omnia.open(bob.client_principal, None, gateway, client_nonce=8) is None
    assert {(key.client_nonce, kind) for key, kind, _, _ in omnia.handle_all()} == {(7, "closed"), (8, "opened")}
    assert Closed(bob, "ClientClosed") in omnia.events
    assert [one.service for one in omnia.received(gateway, bob)] == [OpenMessage(bob)]
    assert code_of(omnia.message(bob.client_principal, 1)) is RefusalCode.WRONG_CLIENT_KEY
    assert omnia.message(bob.client_principal, 1, client_nonce=8).refusal is None
    assert omnia.sessions.state.queues[gateway].attached == 1
    assert not omnia.sessions.state.draining


def test_messages_are_taken_in_order(omnia: Any, bob: Any) -> None:
    for seq in (1, 2, 3):
        result = omnia.message(bob.client_principal, seq)
        assert result.status.status is MessageState.EXECUTED
    assert omnia.keep_alive(bob.client_principal, 4, 999).refusal is None
    assert omnia.message(bob.client_principal, 5).refusal is None


@pytest.mark.req("ICWS-CAN-036")
@pytest.mark.parametrize("seq", [0, 1, 3, 40])
def test_another_number_than_the_next_closes_the_client(
    omnia: Any, bob: Any, gateway: Any, code_of: Any, seq: int
) -> None:
    omnia.message(bob.client_principal, 1)
    assert code_of(omnia.message(bob.client_principal, seq)) is RefusalCode.NOT_OPEN
    assert omnia.received(gateway, bob)[-1].service == CloseMessage(CloseReason.WRONG_SEQUENCE_NUMBER)
    assert Closed(bob, "WrongSequenceNumber") in omnia.events
    assert code_of(omnia.message(bob.client_principal, 2)) is RefusalCode.NOT_OPEN
    with pytest.raises(MisuseError):
        omnia.send(bob, b"x")


@pytest.mark.parametrize("content", [b"junk", service.encode_service_message(AckMessage(1))])
def test_a_service_message_that_cannot_be_read_closes_the_client(
    omnia: Any, bob: Any, gateway: Any, code_of: Any, content: bytes
) -> None:
    result = omnia.message(bob.client_principal, 1, content, is_service=True)
    assert code_of(result) is RefusalCode.INVALID_SERVICE_MESSAGE
    assert omnia.received(gateway, bob)[-1].service == CloseMessage(CloseReason.INVALID_SERVICE_MESSAGE)


def test_a_wrong_client_key_closes_nobody(omnia: Any, bob: Any, make_user: Any, code_of: Any) -> None:
    assert code_of(omnia.message(bob.client_principal, 1, client_nonce=8)) is RefusalCode.WRONG_CLIENT_KEY
    assert code_of(omnia.message(make_user("stranger"), 1)) is RefusalCode.NOT_OPEN
    assert omnia.message(bob.client_principal, 1).refusal is None


def test_the_gateway_closes_its_client(omnia: Any, bob: Any, gateway: Any, make_user: Any, code_of: Any) -> None:
    assert code_of(omnia.close(make_user("another"), bob)) is RefusalCode.NOT_YOUR_GATEWAY
    omnia.message(bob.client_principal, 1, b"last", handle=False)
    assert omnia.close(gateway, bob) is None
    # what was accepted is still handled, and then the close
    assert [(kind, data) for _, kind, _, data in omnia.handle_all()] == [("message", b"last"), ("closed", b"")]
    assert code_of(omnia.close(gateway, bob)) is RefusalCode.NOT_OPEN
    assert not omnia.sessions.state.sessions
    assert not omnia.sessions.state.draining
    assert omnia.sessions.state.held_bytes == 0
    assert omnia.open(bob.client_principal, None, gateway) is None


def test_the_application_closes(omnia: Any, bob: Any, gateway: Any) -> None:
    omnia.send(bob, b"x")
    omnia.sessions.disconnect(bob, omnia.now)
    assert omnia.received(gateway, bob)[-1].service == CloseMessage(CloseReason.CLOSED_BY_APPLICATION)
    assert omnia.handle_all()[-1][1] == "closed"


@pytest.mark.req("ICWS-CAN-040")
def test_a_client_that_does_not_answer_an_acknowledgement_is_closed(omnia: Any, bob: Any, gateway: Any) -> None:
    omnia.message(bob.client_principal, 1)
    omnia.tick(300)
    ack = omnia.received(gateway, bob)[-1]
    assert ack.service == AckMessage(1)
    omnia.tick(61)
    assert omnia.received(gateway, bob)[-1].service == CloseMessage(CloseReason.KEEP_ALIVE_TIMEOUT)
    assert Closed(bob, "KeepAliveTimeout") in omnia.events


def test_a_client_that_answers_stays(omnia: Any, bob: Any, gateway: Any) -> None:
    for seq in range(1, 30):
        omnia.keep_alive(bob.client_principal, seq, 0)
        omnia.tick(59)
    assert bob in omnia.sessions.clients()


def test_a_client_that_says_nothing_after_the_open_is_left_alone_until_an_acknowledgement(omnia: Any, bob: Any) -> None:
    omnia.tick(260)
    assert bob in omnia.sessions.clients()


def test_an_idle_gateways_queue_is_dropped_after_an_interval(omnia: Any, bob: Any, gateway: Any) -> None:
    omnia.close(gateway, bob)
    omnia.tick(299)
    assert gateway in omnia.sessions.state.queues
    omnia.tick(2)
    assert gateway not in omnia.sessions.state.queues
    assert len(omnia.sessions.state.messages) == 0


@pytest.mark.req("ICWS-CAN-027")
def test_the_number_of_sessions_is_bounded(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(max_sessions=2)
    for name in ("one", "two"):
        assert world.open(make_user(name), None, make_user("gateway")) is None
    assert code_of(world.open(make_user("three"), None, make_user("gateway"))) is RefusalCode.REGISTRATION_FULL
    assert world.open(make_user("one"), None, make_user("gateway"), client_nonce=8) is None


@pytest.mark.req("ICWS-CAN-073")
def test_any_gateway_principal_goes_as_in_deployed_canisters(omnia: Any, make_user: Any) -> None:
    assert omnia.open(make_user("user"), None, Principal(bytes.fromhex("00000000000000020101"))) is None


@pytest.mark.req("ICWS-CAN-027")
def test_what_waits_for_the_application_is_bounded(make_world: Any, make_user: Any, code_of: Any) -> None:
    world = make_world(window_total_bytes=100)
    world.open(make_user("bob"), None, make_user("gateway"))
    world.handle_all()
    assert world.message(make_user("bob"), 1, bytes(80), handle=False).refusal is None
    assert code_of(world.message(make_user("bob"), 2, bytes(21), handle=False)) is RefusalCode.OUT_OF_WINDOW
    world.handle_all()
    assert world.message(make_user("bob"), 2, bytes(21)).refusal is None
