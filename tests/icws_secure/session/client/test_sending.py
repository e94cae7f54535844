"""Messages to the canister: numbers, windows, receipts, and the three ways a send ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from icws_secure.errors import (
    CanisterRejected,
    CertificateError,
    MisuseError,
    Reason,
    ReceiptViolation,
    Refused,
    SessionEnded,
    StallError,
)
from icws_secure.limits import MAX_CONTENT_BYTES, NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import (
    ClientConfig,
    HttpRequest,
    SendAccepted,
    SendExecuted,
    SendRejected,
    SendRelayed,
    SendUnknown,
)
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.frames import ReceiptFrame, ReceiptStatus
from icws_secure.wire.interface import (
    MessageResult,
    MessageState,
    MessageStatus,
    decode_message_argument,
    decode_message_batch_argument,
    encode_message_result,
)
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.service import KeepAliveMessage, SkipMessage, decode_service_message


def quiet(kit: Any, **options: Any) -> Any:
    """An attached world in which the client has shown itself and nothing is under way."""
    world = kit.World(**options).attached()
    world.run(1)
    return world


def numbers(world: Any) -> list[int]:
    """Numbers of the messages in the order in which the canister was called."""
    found: list[int] = []
    for content in world.ic.calls:
        if content.method_name == "ws_message":
            found.append(decode_message_argument(content.arg).sequence_num)
        elif content.method_name == "ws_message_batch":
            found += [message.sequence_num for message in decode_message_batch_argument(content.arg)]
    return found


def settled(world: Any, *send_ids: int, seconds: float = 30) -> list[Any]:
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in send_ids), seconds), world.events
    return [world.outcome(item) for item in send_ids]


def test_a_send_returns_when_the_execution_is_proven(kit: Any) -> None:
    world = kit.World().attached()
    send_id = world.send(b"hello")
    assert settled(world, send_id) == [SendExecuted(send_id)]
    assert world.ic.heard == [b"hello"]


@pytest.mark.parametrize(
    ("confirm", "kind"), [("executed", SendExecuted), ("accepted", SendAccepted), ("relayed", SendRelayed)]
)
def test_a_send_may_be_content_with_less(kit: Any, confirm: Any, kind: type) -> None:
    world = kit.World().attached()
    send_id = world.send(b"hello", confirm=confirm)
    assert settled(world, send_id) == [kind(send_id)]


def test_a_message_sent_before_the_attachment_goes_out_after_it(kit: Any) -> None:
    world = kit.World()
    send_id = world.send(b"early")
    assert isinstance(settled(world, send_id)[0], SendExecuted)


def test_messages_are_executed_in_order_however_many_are_in_flight(kit: Any) -> None:
    world = kit.World().attached()
    messages = [b"%d" % n for n in range(200)]
    ids = [world.send(message) for message in messages]
    settled(world, *ids)
    assert world.ic.heard == messages
    assert numbers(world) == sorted(numbers(world))


def test_a_fast_application_sends_in_batches_where_the_canister_takes_them(kit: Any) -> None:
    world = kit.World().attached()
    ids = [world.send(b"%d" % n) for n in range(60)]
    settled(world, *ids)
    methods = [content.method_name for content in world.ic.calls]
    if "batch" in world.client.parameters.features:
        assert "ws_message_batch" in methods
        assert len(methods) < 40


def test_the_window_of_the_canister_is_kept(kit: Any) -> None:
    world = kit.World(canister=CanisterConfig(window_messages=4)).attached()
    world.gateways[0].gives_receipts = False
    for n in range(20):
        world.send(b"%d" % n)
    world.run(1)
    assert max(numbers(world)) <= 6
    world.gateways[0].gives_receipts = True


@pytest.mark.req("ICWS-CLT-041")
def test_accepted_is_not_executed(kit: Any) -> None:
    world = quiet(kit)
    gateway = world.connection
    gateway.relays_calls = False
    first, second = world.send(b"one"), world.send(b"two")
    world.run(0.2)
    gateway.relays_calls = True
    gateway.relay(gateway.held[1])  # the second before the first: it waits behind a gap
    world.carry(gateway)
    world.run(1)
    assert world.ic.heard == []
    assert world.outcome(second) is None
    gateway.relay(gateway.held[0])
    world.carry(gateway)
    assert settled(world, first, second) == [SendExecuted(first), SendExecuted(second)]
    assert world.ic.heard == [b"one", b"two"]


@pytest.mark.req("ICWS-CLT-041")
def test_an_ok_without_a_status_proves_acceptance_only(kit: Any) -> None:
    world = kit.World().attached()
    world.gateways[0].relays_heads = False
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        reply = honest(caller, method, arg)
        return encode_message_result(MessageResult()) if method == "ws_message" else reply

    world.ic.execute = execute
    send_id = world.send(b"one")
    world.run(0.5)
    assert world.outcome(send_id) is None
    assert isinstance(settled(world, send_id)[0], SendExecuted)  # an audit has told
    assert world.lost == []


@pytest.mark.req("ICWS-CLT-041")
def test_a_handler_that_traps_consumes_its_number_and_is_reported(kit: Any) -> None:
    world = kit.World()

    def handler(ic: Any, key: Any, data: bytes) -> None:
        if data == b"trap":
            raise kit.Trap("no")

    world.ic.handler = handler
    world.attached()
    ids = [world.send(data) for data in (b"one", b"trap", b"two")]
    outcomes = settled(world, *ids)
    assert [type(outcome) for outcome in outcomes] == [SendExecuted, SendRejected, SendExecuted]
    error = outcomes[1].error
    assert isinstance(error, CanisterRejected)
    assert error.reason is Reason.HANDLER_TRAPPED
    assert error.certified
    assert world.ic.heard == [b"one", b"two"]


def test_a_trap_inside_a_batch_is_told_by_the_head(kit: Any) -> None:
    world = kit.World(max_in_flight=1)

    def handler(ic: Any, key: Any, data: bytes) -> None:
        if data == b"3":
            raise kit.Trap("no")

    world.ic.handler = handler
    world.attached()
    ids = [world.send(b"%d" % n) for n in range(6)]
    outcomes = settled(world, *ids)
    assert [type(outcome) for outcome in outcomes] == [SendExecuted] * 3 + [SendRejected] + [SendExecuted] * 2


def test_a_certified_refusal_is_told_and_the_stream_goes_on(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message" and decode_message_argument(arg).content == b"bad":
            return encode_message_result(MessageResult(Refusal("ContentTooLarge", "too large")))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    ids = [world.send(data) for data in (b"one", b"bad", b"two")]
    outcomes = settled(world, *ids)
    assert isinstance(outcomes[1].error, Refused)
    assert outcomes[1].error.code == "ContentTooLarge"
    assert outcomes[1].error.certified
    assert [type(outcome) for outcome in outcomes] == [SendExecuted, SendRejected, SendExecuted]
    assert world.ic.heard == [b"one", b"two"]
    skipped = [
        decode_message_argument(content.arg) for content in world.ic.calls if content.method_name == "ws_message"
    ]
    assert any(
        message.is_service_message and decode_service_message(message.content) == SkipMessage() for message in skipped
    )


def test_a_certified_rejection_is_told_once_a_head_shows_that_the_number_is_free(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message" and decode_message_argument(arg).content == b"bad":
            raise kit.Trap("in accepting")
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    ids = [world.send(data) for data in (b"one", b"bad", b"two")]
    outcomes = settled(world, *ids)
    assert isinstance(outcomes[1].error, CanisterRejected)
    assert outcomes[1].error.certified
    assert world.ic.heard == [b"one", b"two"]


def test_out_of_window_is_tried_again(kit: Any) -> None:
    world = quiet(kit)
    honest = world.ic.execute
    refused: list[int] = []

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message" and len(refused) < 2:
            refused.append(1)
            return encode_message_result(MessageResult(Refusal("OutOfWindow", "later")))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    send_id = world.send(b"one")
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    assert len(refused) == 2
    assert world.lost == []


# receipts ------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-040")
@pytest.mark.parametrize("status", [b"processing", b"received", b"done"])
def test_a_status_that_is_not_final_is_no_receipt(kit: Any, status: bytes) -> None:
    world = kit.World(gateways=2).attached()

    def tamper(frame: Any) -> Iterable[Any]:
        if isinstance(frame, ReceiptFrame):
            known = world.ic.statuses[frame.request_id]
            world.ic.statuses[frame.request_id] = {b"status": status}
            certificate = world.ic.status_certificate(frame.request_id)
            world.ic.statuses[frame.request_id] = known
            return [ReceiptFrame(frame.request_id, ReceiptStatus.CERTIFICATE, certificate)]
        return [frame]

    world.connection.tamper = tamper
    send_id = world.send(b"one")
    error = world.first_loss()
    assert isinstance(error, ReceiptViolation)
    assert error.reason is Reason.RECEIPT_NOT_FINAL
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    assert world.ic.heard == [b"one"]


@pytest.mark.req("ICWS-CLT-040")
def test_a_receipt_of_another_call_is_none(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    world.send(b"one")
    world.run(1)
    other = next(iter(world.ic.statuses))

    def tamper(frame: Any) -> Iterable[Any]:
        if isinstance(frame, ReceiptFrame):
            return [ReceiptFrame(frame.request_id, ReceiptStatus.CERTIFICATE, world.ic.status_certificate(other))]
        return [frame]

    world.connection.tamper = tamper
    send_id = world.send(b"two")
    assert isinstance(world.first_loss(), ReceiptViolation)
    assert isinstance(settled(world, send_id)[0], SendExecuted)


@pytest.mark.req("ICWS-CLT-040")
def test_a_receipt_of_another_subnet_is_none(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    elsewhere = type(kit.CANISTER)(bytes.fromhex("00000000002000010101"))

    def tamper(frame: Any) -> Iterable[Any]:
        if isinstance(frame, ReceiptFrame):
            signer, delegation = world.ic.signer, world.ic.delegation
            world.ic.signer = kit.OTHER_SUBNET
            world.ic.delegation = kit.delegation_for(kit.OTHER_SUBNET, elsewhere, elsewhere, world.now)
            certificate = world.ic.status_certificate(frame.request_id)
            world.ic.signer, world.ic.delegation = signer, delegation
            return [ReceiptFrame(frame.request_id, ReceiptStatus.CERTIFICATE, certificate)]
        return [frame]

    world.connection.tamper = tamper
    world.send(b"one")
    error = world.first_loss()
    assert isinstance(error, CertificateError)
    assert error.reason is Reason.CANISTER_NOT_IN_RANGES


@pytest.mark.req("ICWS-CLT-045")
def test_a_receipt_for_a_call_that_was_never_made_is_a_violation(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    world.to_client(ReceiptFrame(bytes(32), ReceiptStatus.PENDING).encode(), world.connection_id)
    assert world.lost[0].reason is Reason.RECEIPT_UNMATCHED


def test_a_receipt_that_comes_twice_or_late_is_no_violation(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    world.connection.tamper = lambda frame: [frame, frame] if isinstance(frame, ReceiptFrame) else [frame]
    send_id = world.send(b"one")
    settled(world, send_id)
    world.run(1)
    assert world.lost == []


@pytest.mark.req("ICWS-CLT-044")
def test_after_pending_the_ic_is_asked(kit: Any) -> None:
    world = quiet(kit, gateways=2)

    def tamper(frame: Any) -> Iterable[Any]:
        pending = isinstance(frame, ReceiptFrame)
        return [ReceiptFrame(frame.request_id, ReceiptStatus.PENDING)] if pending else [frame]

    world.connection.tamper = tamper
    send_id = world.send(b"one")
    assert isinstance(settled(world, send_id, seconds=5)[0], SendExecuted)
    assert world.lost == []


@pytest.mark.req("ICWS-CLT-044", "ICWS-CLT-050")
def test_a_gateway_that_keeps_receipts_back_has_stalled(kit: Any) -> None:
    world = quiet(kit, gateways=2)
    world.connection.gives_receipts = False
    world.connection.relays_heads = False
    send_id = world.send(b"one", confirm="executed")
    asked = len([action for action in world.log if isinstance(action, HttpRequest)])
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.reason is Reason.RECEIPT_TIMEOUT
    assert world.now - kit.START_NS < 30 * NS_PER_S
    assert len([action for action in world.log if isinstance(action, HttpRequest)]) > asked
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    assert world.ic.heard == [b"one"]


@pytest.mark.req("ICWS-CLT-044", "ICWS-CLT-050")
def test_a_gateway_that_relays_nothing_has_stalled_and_the_message_goes_another_way(kit: Any) -> None:
    world = quiet(kit, gateways=2)
    world.connection.relays_calls = False
    send_id = world.send(b"one")
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.requirement == "ICWS-CLT-050"
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    # what was held back is a duplicate when it comes at last
    for envelope in world.gateways[0].held:
        world.ic.call(envelope)
    assert world.ic.heard == [b"one"]


def test_a_rejection_that_nobody_certified_proves_nothing(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    lies: list[int] = []

    def tamper(frame: Any) -> Iterable[Any]:
        if isinstance(frame, ReceiptFrame) and len(lies) < 2:
            lies.append(1)
            return [ReceiptFrame(frame.request_id, ReceiptStatus.REJECTED, reject_code=5, reject_message="no")]
        return [frame]

    world.connection.tamper = tamper
    send_id = world.send(b"one")
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    assert world.ic.heard == [b"one"]


def test_a_gateway_that_only_ever_fails_is_left(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    world.connection.tamper = lambda frame: (
        [ReceiptFrame(frame.request_id, ReceiptStatus.FAILED, reject_message="no")]
        if isinstance(frame, ReceiptFrame)
        else [frame]
    )
    world.connection.relays_heads = False
    world.connection.relay = lambda envelope: world.gateways[0].send(
        ReceiptFrame(envelope.content.request_id, ReceiptStatus.FAILED, reject_message="no")
    )
    send_id = world.send(b"one")
    assert isinstance(world.first_loss(), StallError)
    assert isinstance(settled(world, send_id)[0], SendExecuted)


@pytest.mark.req("ICWS-CLT-043")
def test_envelopes_live_for_a_minute_at_most_and_messages_keep_number_and_bytes(kit: Any) -> None:
    world = quiet(kit, gateways=2)
    first = world.gateways[0]
    first.relays_calls = False
    send_id = world.send(b"one")
    world.run(1)
    held = first.held[0].content
    assert held.ingress_expiry_ns <= world.now + 60 * NS_PER_S
    world.gateways[1].is_alive = False
    world.ic.is_reachable = False
    world.break_connection()
    world.run(120)
    world.ic.is_reachable = True
    world.gateways[1].is_alive = True
    first.relays_calls = True
    settled(world, send_id, seconds=60)
    again = next(content for content in reversed(world.ic.calls) if content.method_name == "ws_message")
    assert again.request_id != held.request_id
    assert decode_message_argument(again.arg) == decode_message_argument(held.arg)
    with pytest.raises(MisuseError):
        ClientConfig(canister_id=kit.CANISTER, message_ttl_ns=61 * NS_PER_S)


@pytest.mark.req("ICWS-CLT-043")
def test_the_same_envelope_goes_out_again_while_it_lives(kit: Any) -> None:
    world = quiet(kit, gateways=2)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(1)
    held = world.gateways[0].held[0].content
    world.break_connection()
    settled(world, send_id)
    assert held.request_id in [content.request_id for content in world.ic.calls]


# the three ends ------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-CLT-042")
def test_not_executed_needs_proof(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(40)
    assert world.outcome(send_id) is None  # it could still be executed
    outcome = settled(world, send_id, seconds=60)[0]
    assert isinstance(outcome, SendRejected)
    assert outcome.error.reason is Reason.NOT_EXECUTED
    assert world.now > world.gateways[0].held[0].content.ingress_expiry_ns
    # the number is not left open
    world.gateways[0].relays_calls = True
    second = world.send(b"two")
    assert isinstance(settled(world, second)[0], SendExecuted)
    assert world.ic.heard == [b"two"]


@pytest.mark.req("ICWS-CLT-042")
def test_a_message_that_is_executed_at_the_last_moment_is_told_as_executed(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    gateway = world.gateways[0]
    gateway.relays_calls = False
    send_id = world.send(b"one")
    world.run(45)
    world.ic.call(gateway.held[0])
    assert isinstance(settled(world, send_id, seconds=60)[0], SendExecuted)
    assert world.ic.heard == [b"one"]


@pytest.mark.req("ICWS-CLT-042")
def test_absence_before_the_expiry_proves_nothing(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=2 * NS_PER_S, receipt_timeout_ns=5 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(30)
    assert world.outcome(send_id) is None


@pytest.mark.req("ICWS-CLT-042")
def test_where_nothing_can_be_proven_the_outcome_is_unknown(kit: Any) -> None:
    world = quiet(kit, gateways=1, send_timeout_ns=5 * NS_PER_S, receipt_timeout_ns=600 * NS_PER_S)
    world.gateways[0].relays_calls = False
    send_id = world.send(b"one")
    world.run(0.1)
    world.ic.is_reachable = False
    outcome = settled(world, send_id, seconds=300)[0]
    assert isinstance(outcome, SendUnknown)


@pytest.mark.req("ICWS-CLT-042")
def test_a_message_that_never_left_is_certainly_not_executed(kit: Any) -> None:
    world = kit.World(gateways=1, send_timeout_ns=5 * NS_PER_S, open_limit_ns=600 * NS_PER_S, direct_fallback=False)
    world.gateways[0].is_alive = False
    send_id = world.send(b"one")
    outcome = settled(world, send_id)[0]
    assert isinstance(outcome, SendRejected)
    assert outcome.error.reason is Reason.NOT_EXECUTED


@pytest.mark.req("ICWS-CLT-042")
def test_the_end_of_the_session_leaves_what_was_sent_unknown(kit: Any) -> None:
    world = quiet(kit, canister=CanisterConfig(window_messages=1))
    world.connection.gives_receipts = False
    world.connection.relays_heads = False
    sent, waiting = world.send(b"one"), None
    waiting = world.send(b"two")
    world.run(0.1)
    world.ic.is_reachable = False
    world.client._end(SessionEnded("over", code=4010, close_reason="Expired"))
    world.end(11)
    outcome = world.outcome(sent)
    assert isinstance(outcome, SendUnknown)
    assert isinstance(outcome.error, SessionEnded)
    assert isinstance(world.outcome(waiting), SendRejected)
    assert world.outcome(waiting).error.reason is Reason.NOT_EXECUTED


@pytest.mark.req("ICWS-CLT-072")
def test_a_sequence_conflict_ends_the_session_as_forked(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message":
            return encode_message_result(MessageResult(Refusal("SequenceConflict", "other content")))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    send_id = world.send(b"one")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED
    assert isinstance(world.outcome(send_id), SendUnknown)


@pytest.mark.req("ICWS-CLT-072")
def test_progress_beyond_what_was_sent_ends_the_session_as_forked(kit: Any) -> None:
    world = kit.World().attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message":
            return encode_message_result(MessageResult(status=MessageStatus(9, 9, MessageState.EXECUTED)))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    world.send(b"one")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED


# keep-alive ----------------------------------------------------------------------------------------------------------


def keep_alives(world: Any) -> list[int]:
    """What the client's keep-alives have acknowledged."""
    found = []
    for content in world.ic.calls:
        if content.method_name != "ws_message":
            continue
        message = decode_message_argument(content.arg)
        if message.is_service_message:
            service = decode_service_message(message.content)
            if isinstance(service, KeepAliveMessage):
                found.append(service.last_incoming_sequence_num)
    return found


@pytest.mark.req("ICWS-CLT-051")
def test_a_keep_alive_covers_what_the_application_took_and_no_more(kit: Any) -> None:
    world = kit.World(takes=False).attached()
    world.canister_sends(b"one", b"two", b"three")
    assert world.run_until(lambda: len(world.received) == 3)
    assert world.run_until(lambda: len(keep_alives(world)) >= 2, 400)  # after the canister's acknowledgement
    assert set(keep_alives(world)) == {0}
    world.client.taken(2, world.client_now)
    assert world.run_until(lambda: keep_alives(world)[-1] == 2, 400)


@pytest.mark.req("ICWS-CLT-051")
def test_each_acknowledgement_is_answered(kit: Any) -> None:
    world = kit.World().attached()
    before = len(keep_alives(world))
    world.run(1_000)
    assert len(keep_alives(world)) >= before + 2
    assert world.lost == []
    assert world.ended is None


def test_taking_is_told_before_what_is_retained_runs_full(kit: Any) -> None:
    world = kit.World(canister=CanisterConfig(retained_messages=20)).attached()
    for n in range(60):
        world.canister_sends(b"%d" % n)
        world.run(0.2)
    assert world.received == [b"%d" % n for n in range(60)]
    assert keep_alives(world)[-1] >= 50


def test_the_application_cannot_take_what_it_was_not_given(world: Any) -> None:
    with pytest.raises(MisuseError):
        world.client.taken(1, world.client_now)


def test_a_client_that_only_listens_shows_itself_after_the_open(kit: Any) -> None:
    world = kit.World().attached()
    world.run(120)
    assert keep_alives(world)
    assert world.lost == []


# limits --------------------------------------------------------------------------------------------------------------


def test_a_full_queue_and_a_large_message_are_refused(kit: Any) -> None:
    world = kit.World(max_queued_messages=2)
    world.send(b"one")
    world.send(b"two")
    with pytest.raises(MisuseError) as caught:
        world.send(b"three")
    assert caught.value.reason is Reason.LIMIT_EXCEEDED
    with pytest.raises(MisuseError) as caught:
        world.send(bytes(MAX_CONTENT_BYTES + 1))
    assert caught.value.reason is Reason.TOO_LARGE
    world.attached()
    assert world.run_until(lambda: world.outcome(2) is not None)
    assert world.send(b"three") == 3


def test_nothing_can_be_sent_on_a_session_that_is_over(kit: Any) -> None:
    world = kit.World().attached()
    world.close()
    with pytest.raises(MisuseError):
        world.send(b"late")


def test_messages_may_go_by_direct_call_while_a_gateway_delivers(kit: Any) -> None:
    world = kit.World(send_via="direct")
    world.ic.handler = lambda ic, key, data: ic.send(key, data)
    world.attached()
    ids = [world.send(b"%d" % n) for n in range(20)]
    settled(world, *ids)
    assert world.run_until(lambda: len(world.received) == 20)
    methods = [envelope.content.method_name for envelope in world.gateways[0].received]
    assert set(methods) == {"ws_open"}


@pytest.mark.parametrize("late", [False, True])
def test_direct_calls_survive_a_network_that_fails(kit: Any, late: bool) -> None:
    world = kit.World(gateways=0).attached()
    world.ic.delay_replies = late
    calls: list[int] = []

    def fail(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes] | None:
        if request.path.endswith("/call") or request.path.endswith("/read_state"):
            calls.append(1)
            return None if len(calls) % 2 else (status, body)
        return status, body

    world.http_filter = fail
    ids = [world.send(b"%d" % n) for n in range(5)]
    assert all(isinstance(outcome, SendExecuted) for outcome in settled(world, *ids))
    assert world.ic.heard == [b"%d" % n for n in range(5)]


def test_an_uncertified_rejection_of_a_direct_call_is_tried_again(kit: Any) -> None:
    world = kit.World(gateways=0).attached()
    answer = cbor.encode({"status": "non_replicated_rejection", "reject_code": 2, "reject_message": "busy"})
    lies: list[int] = []

    def fail(request: HttpRequest, status: int, body: bytes) -> tuple[int, bytes]:
        if request.path.endswith("/call") and len(lies) < 3:
            lies.append(1)
            return 200, answer
        return status, body

    world.http_filter = fail
    send_id = world.send(b"one")
    assert isinstance(settled(world, send_id)[0], SendExecuted)
    assert world.ic.heard == [b"one"]
