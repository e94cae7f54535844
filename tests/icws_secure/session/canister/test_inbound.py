"""Messages from the client: accepting, ordering, handling."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import Closed, DeliveryKind
from icws_secure.wire import interface as wire
from icws_secure.wire import service
from icws_secure.wire.interface import ClientKey, MessageState, MessageStatus, WebsocketMessage
from icws_secure.wire.principal import ANONYMOUS
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState


def status(accepted: int, executed: int, state: MessageState) -> wire.MessageResult:
    return wire.MessageResult(None, MessageStatus(accepted, executed, state))


def batch(world: Any, alice: Any, first: int, contents: list[bytes], *, client_nonce: int = 7) -> wire.MessageResult:
    messages = tuple(
        WebsocketMessage(ClientKey(alice.principal, client_nonce), seq, world.now, False, content)
        for seq, content in enumerate(contents, first)
    )
    outcome = world.sessions.message_batch(alice.principal, wire.encode_message_batch_argument(messages), world.now)
    world.handle_all()
    return wire.decode_message_batch_result(world.sessions.message_reply(outcome))


@pytest.mark.req("ICWS-CAN-033")
def test_a_message_is_accepted_and_then_executed(world: Any, alice: Any) -> None:
    assert world.message(alice.principal, 1, handle=False) == status(1, 0, MessageState.ACCEPTED)
    assert world.handle_all() == [(alice.key, "message", 1, b"hello")]
    assert world.message(alice.principal, 2) == status(2, 2, MessageState.EXECUTED)


@pytest.mark.req("ICWS-CAN-030", "ICWS-CAN-033", "ICWS-CAN-034")
def test_messages_behind_a_gap_wait_and_are_then_handled_in_order_one_by_one(world: Any, alice: Any) -> None:
    assert world.message(alice.principal, 3, b"three") == status(0, 0, MessageState.ACCEPTED)
    assert world.message(alice.principal, 2, b"two") == status(0, 0, MessageState.ACCEPTED)
    assert world.handle_all() == []
    assert world.message(alice.principal, 1, b"one", handle=False) == status(3, 0, MessageState.ACCEPTED)
    assert [data for _, _, _, data in world.handle_all()] == [b"one", b"two", b"three"]
    assert alice.head.executed_through == 3


@pytest.mark.req("ICWS-CAN-032")
def test_nothing_else_of_a_session_is_given_out_while_something_is_handled(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    world.message(alice.principal, 2, handle=False)
    delivery = world.sessions.take_delivery(alice.key, world.now)
    assert delivery.seq == 1
    assert world.sessions.next_delivery(alice.key) is None
    assert world.sessions.take_delivery(alice.key, world.now) is None
    world.sessions.finish_delivery(alice.key, 1, world.now)
    assert world.sessions.next_delivery(alice.key).seq == 2


@pytest.mark.req("ICWS-CAN-032")
def test_a_handler_that_traps_consumes_its_number_and_is_reported(world: Any, alice: Any) -> None:
    for seq in (1, 2, 3):
        world.message(alice.principal, seq, handle=False)
    world.handle_all(trap=lambda seq: seq == 2)
    head = alice.head
    assert (head.next_in, head.executed_through, head.trapped) == (4, 3, (2,))
    assert world.message(alice.principal, 2).status.status is MessageState.TRAPPED


@pytest.mark.req("ICWS-CAN-032")
def test_a_trap_is_counted_once_whoever_reports_it(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    world.message(alice.principal, 2, handle=False)
    world.sessions.finish_delivery(alice.key, 1, world.now, trapped=True)
    before = world.sessions.state.sessions
    world.sessions.finish_delivery(alice.key, 1, world.now, trapped=True)
    world.sessions.finish_delivery(alice.key, 7, world.now, trapped=True)
    assert world.sessions.state.sessions == before
    assert alice.head.trapped == (1,)


def test_a_head_lists_the_latest_trapped_numbers(world: Any, alice: Any) -> None:
    for seq in range(1, 41):
        world.message(alice.principal, seq, handle=False)
        world.handle_all(trap=lambda seq: True)
    assert alice.head.trapped == tuple(range(9, 41))


def test_the_application_hears_of_the_open_before_any_message(world: Any, make_user: Any) -> None:
    owner, session, gateway = make_user("owner"), make_user("session"), make_user("gateway")
    world.open(session, world.register(owner, session), gateway)
    world.message(session, 1, handle=False)
    assert [kind for _, kind, _, _ in world.handle_all()] == ["opened", "message"]


@pytest.mark.req("ICWS-CAN-030")
def test_what_is_out_of_the_window_is_refused_without_closing(world: Any, alice: Any, code_of: Any) -> None:
    assert world.message(alice.principal, 32).refusal is None
    before = world.sessions.state
    assert code_of(world.message(alice.principal, 33)) is RefusalCode.OUT_OF_WINDOW
    assert world.sessions.state is before
    assert world.message(alice.principal, 1).refusal is None
    assert world.message(alice.principal, 33).refusal is None


@pytest.mark.req("ICWS-CAN-030")
def test_the_window_is_bounded_in_bytes_but_for_the_next_message(world: Any, alice: Any, code_of: Any) -> None:
    half = bytes(128 << 10)
    assert world.message(alice.principal, 2, half).refusal is None
    assert world.message(alice.principal, 3, half).refusal is None
    assert code_of(world.message(alice.principal, 4, b"x")) is RefusalCode.OUT_OF_WINDOW
    assert world.message(alice.principal, 1, bytes(1 << 20)).refusal is None
    assert alice.head.executed_through == 3
    assert world.sessions.state.held_bytes == 0


@pytest.mark.req("ICWS-CAN-030", "ICWS-CAN-027")
def test_what_all_sessions_hold_is_bounded(make_world: Any, make_alice: Any, code_of: Any) -> None:
    world = make_world(window_total_bytes=1000)
    alice, bob = make_alice(world), make_alice(world, "bob")
    assert world.message(alice.principal, 2, bytes(700)).refusal is None
    assert code_of(world.message(bob.principal, 2, bytes(51))) is RefusalCode.OUT_OF_WINDOW
    assert code_of(world.message(bob.principal, 1, bytes(301))) is RefusalCode.OUT_OF_WINDOW
    world.message(alice.principal, 1)
    assert world.message(bob.principal, 1, bytes(301)).refusal is None


@pytest.mark.req("ICWS-CAN-030")
def test_gaps_that_others_leave_keep_nobody_from_speaking_in_order(
    make_world: Any, make_alice: Any, code_of: Any
) -> None:
    world = make_world(window_total_bytes=1000)
    bob = make_alice(world, "bob")
    for number in range(5):
        hostile = make_alice(world, f"hostile {number}")
        world.message(hostile.principal, 2, bytes(250))
    assert world.sessions.state.held_bytes == 750
    assert world.message(bob.principal, 1, bytes(250)).refusal is None


@pytest.mark.req("ICWS-CAN-030")
def test_a_message_behind_a_gap_is_dropped_after_six_minutes_and_can_be_sent_again(world: Any, alice: Any) -> None:
    world.message(alice.principal, 2, b"two")
    for _ in range(12):
        world.tick(30)
        world.sessions.params(alice.principal, b"", world.now)
        world.keep_alive(alice.principal, 40, 0)  # out of the window: no sign of life, but the point is the gap
    assert not world.sessions.find(alice.key).inbound.window
    assert world.sessions.state.held_bytes == 0
    assert world.message(alice.principal, 2, b"another two").refusal is None


@pytest.mark.req("ICWS-CAN-031")
def test_the_same_message_again_is_a_duplicate(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, b"one")
    world.message(alice.principal, 3, b"three")
    assert world.message(alice.principal, 1, b"one") == status(1, 1, MessageState.DUPLICATE)
    assert world.message(alice.principal, 3, b"three") == status(1, 1, MessageState.DUPLICATE)
    assert world.handle_all() == []


@pytest.mark.req("ICWS-CAN-031")
@pytest.mark.parametrize("seq", [1, 3])
def test_the_same_number_with_other_content_is_a_conflict(world: Any, alice: Any, code_of: Any, seq: int) -> None:
    world.message(alice.principal, 1, b"one")
    world.message(alice.principal, 3, b"three")
    before = world.sessions.state
    assert code_of(world.message(alice.principal, seq, b"other")) is RefusalCode.SEQUENCE_CONFLICT
    assert world.sessions.state is before


@pytest.mark.req("ICWS-CAN-031")
def test_the_kind_of_a_message_is_part_of_what_is_compared(world: Any, alice: Any, code_of: Any) -> None:
    content = service.encode_service_message(service.KeepAliveMessage(0))
    world.message(alice.principal, 1, content)
    assert code_of(world.message(alice.principal, 1, content, is_service=True)) is RefusalCode.SEQUENCE_CONFLICT


@pytest.mark.req("ICWS-CAN-031")
def test_a_number_older_than_the_kept_hashes_is_stale(world: Any, alice: Any, code_of: Any) -> None:
    for seq in range(1, 98):
        world.message(alice.principal, seq, b"x")
    assert code_of(world.message(alice.principal, 1, b"x")) is RefusalCode.STALE
    assert world.message(alice.principal, 2, b"x").status.status is MessageState.DUPLICATE
    assert code_of(world.message(alice.principal, 0, b"x")) is RefusalCode.STALE
    assert len(world.sessions.find(alice.key).inbound.hashes) == 96


@pytest.mark.req("ICWS-CAN-035")
def test_content_over_the_limit_is_refused(make_world: Any, make_alice: Any, code_of: Any) -> None:
    world = make_world(max_content_bytes=100)
    alice = make_alice(world)
    assert code_of(world.message(alice.principal, 1, bytes(101))) is RefusalCode.CONTENT_TOO_LARGE
    assert code_of(world.message(alice.principal, 1, bytes(5000))) is RefusalCode.CONTENT_TOO_LARGE
    assert world.message(alice.principal, 1, bytes(100)).refusal is None


def test_only_the_holder_of_an_open_session_may_send(world: Any, alice: Any, make_alice: Any, code_of: Any) -> None:
    bob = make_alice(world, "bob")
    assert code_of(world.message(alice.owner, 1)) is RefusalCode.NOT_OPEN
    assert code_of(world.message(alice.principal, 1, client_nonce=8)) is RefusalCode.WRONG_CLIENT_KEY
    message = WebsocketMessage(bob.key, 1, world.now, False, b"x")
    outcome = world.sessions.message(alice.principal, wire.encode_message_argument(message), world.now)
    assert code_of(wire.decode_message_result(outcome.reply)) is RefusalCode.WRONG_CLIENT_KEY


def test_a_detached_session_still_takes_messages(world: Any, alice: Any) -> None:
    world.close(alice.gateway, alice.key, 1)
    assert world.message(alice.principal, 1).status.status is MessageState.EXECUTED
    assert alice.head.state is SessionState.DETACHED


@pytest.mark.req("ICWS-CAN-066")
def test_an_expired_session_takes_nothing(make_world: Any, make_alice: Any, code_of: Any) -> None:
    world = make_world(session_ttl_ns=30 * NS_PER_S)
    alice = make_alice(world)
    world.sleep(30)
    assert code_of(world.message(alice.principal, 1)) is RefusalCode.EXPIRED


@pytest.mark.req("ICWS-CAN-042")
def test_an_acknowledgement_beyond_what_was_sent_is_refused(world: Any, alice: Any, code_of: Any) -> None:
    world.send(alice.key, b"x")
    assert code_of(world.keep_alive(alice.principal, 1, 2)) is RefusalCode.ACK_OUT_OF_RANGE
    assert world.keep_alive(alice.principal, 1, 1).refusal is None
    assert (alice.head.acked, alice.head.oldest_retained, alice.head.next_in) == (1, 2, 2)


@pytest.mark.req("ICWS-CAN-042")
def test_an_acknowledgement_never_goes_back(world: Any, alice: Any) -> None:
    for _ in range(3):
        world.send(alice.key, b"x")
    world.keep_alive(alice.principal, 2, 3)
    world.keep_alive(alice.principal, 1, 1)
    assert alice.head.acked == 3
    assert world.sessions.state.retained_bytes == 0


def test_an_acknowledgement_behind_a_gap_counts_on_arrival(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    assert world.keep_alive(alice.principal, 5, 1).refusal is None
    assert alice.head.acked == 1


@pytest.mark.parametrize(
    "message",
    [
        service.OpenMessage(ClientKey(ANONYMOUS, 1)),
        service.AckMessage(0),
        b"not candid",
    ],
)
def test_a_service_message_that_clients_do_not_send_is_refused_and_ends_nothing(
    world: Any, alice: Any, code_of: Any, message: Any
) -> None:
    content = message if isinstance(message, bytes) else service.encode_service_message(message)
    refusal = world.message(alice.principal, 1, content, is_service=True)
    assert code_of(refusal) is RefusalCode.INVALID_SERVICE_MESSAGE
    assert alice.head.state is SessionState.OPEN
    assert alice.head.next_in == 1


def test_a_skip_takes_a_number_and_does_nothing(world: Any, alice: Any) -> None:
    content = service.encode_service_message(service.SkipMessage())
    assert world.message(alice.principal, 1, content, is_service=True) == status(1, 1, MessageState.EXECUTED)
    assert world.message(alice.principal, 2) == status(2, 2, MessageState.EXECUTED)


def test_a_keep_alive_waits_its_turn_before_it_counts_as_executed(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    assert world.keep_alive(alice.principal, 2, 0, handle=False) == status(2, 0, MessageState.ACCEPTED)
    world.handle_all()
    assert alice.head.executed_through == 2


def test_a_client_that_closes_has_its_earlier_messages_handled_first(world: Any, alice: Any, close_itself: Any) -> None:
    world.message(alice.principal, 1, b"before", handle=False)
    world.message(alice.principal, 3, b"after the close", handle=False)
    close_itself(alice, 2)
    assert alice.head.state is SessionState.CLOSED
    assert alice.head.close_code == "ClientClosed"
    assert alice.head.executed_through == 2
    assert world.events[-1] == Closed(alice.key, "ClientClosed") or Closed(alice.key, "ClientClosed") in world.events
    assert world.handle_all() == []


@pytest.mark.req("ICWS-CAN-037")
def test_after_a_close_of_the_application_waiting_messages_are_not_handled(
    world: Any, alice: Any, code_of: Any
) -> None:
    world.message(alice.principal, 1, handle=False)
    world.sessions.disconnect(alice.key, world.now)
    assert [kind for _, kind, _, _ in world.handle_all()] == [DeliveryKind.CLOSED.value]
    assert code_of(world.message(alice.principal, 2)) is RefusalCode.CLOSED
    assert (alice.head.next_in, alice.head.executed_through) == (2, 0)


def test_a_close_while_a_message_is_handled_lets_it_end(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    world.message(alice.principal, 2, handle=False)
    world.sessions.take_delivery(alice.key, world.now)
    world.revoke(alice.owner, alice.principal)
    assert world.sessions.next_delivery(alice.key) is None
    world.sessions.finish_delivery(alice.key, 1, world.now)
    assert alice.head.executed_through == 1
    assert [kind for _, kind, _, _ in world.handle_all()] == ["closed"]
    assert world.sessions.state.held_bytes == 0


# batches


def test_a_batch_is_taken_whole(world: Any, alice: Any) -> None:
    assert batch(world, alice, 1, [b"one", b"two", b"three"]) == status(3, 3, MessageState.EXECUTED)
    assert batch(world, alice, 2, [b"two", b"three", b"four"]) == status(4, 4, MessageState.EXECUTED)
    assert batch(world, alice, 3, [b"three", b"four"]) == status(4, 4, MessageState.DUPLICATE)


def test_a_batch_is_refused_whole(world: Any, alice: Any, code_of: Any) -> None:
    world.message(alice.principal, 2, b"two")
    before = world.sessions.state
    assert code_of(batch(world, alice, 1, [b"one", b"other"])) is RefusalCode.SEQUENCE_CONFLICT
    assert code_of(batch(world, alice, 1, [])) is RefusalCode.MALFORMED_ARGUMENT
    assert code_of(batch(world, alice, 3, [b"x"] * 33)) is RefusalCode.TOO_MANY
    assert code_of(batch(world, alice, 30, [b"x"] * 10)) is RefusalCode.OUT_OF_WINDOW
    assert world.sessions.state is before


def test_the_numbers_of_a_batch_are_consecutive(world: Any, alice: Any, code_of: Any) -> None:
    messages = tuple(WebsocketMessage(alice.key, seq, world.now, False, b"x") for seq in (1, 3))
    outcome = world.sessions.message_batch(alice.principal, wire.encode_message_batch_argument(messages), world.now)
    assert code_of(wire.decode_message_batch_result(outcome.reply)) is RefusalCode.MALFORMED_ARGUMENT


def test_batches_are_for_secure_sessions(world: Any, make_user: Any, code_of: Any) -> None:
    user = make_user("user")
    world.open(user, None, make_user("gateway"))
    messages = (WebsocketMessage(ClientKey(user, 7), 1, world.now, False, b"x"),)
    outcome = world.sessions.message_batch(user, wire.encode_message_batch_argument(messages), world.now)
    assert code_of(wire.decode_message_batch_result(outcome.reply)) is RefusalCode.CALLER_NOT_ALLOWED


@pytest.mark.req("ICWS-CAN-072")
@pytest.mark.parametrize("arg", [b"", b"DIDL\x00\x00", b"\xff" * 50])
def test_a_message_that_cannot_be_read_is_refused(world: Any, alice: Any, code_of: Any, arg: bytes) -> None:
    outcome = world.sessions.message(alice.principal, arg, world.now)
    assert code_of(wire.decode_message_result(outcome.reply)) is RefusalCode.MALFORMED_ARGUMENT
