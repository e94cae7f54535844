"""Messages to the canister: numbers, windows, batches, limits, and what is told of them."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import (
    CanisterRejected,
    MisuseError,
    Reason,
    Refused,
)
from icws_secure.limits import MAX_CONTENT_BYTES
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import (
    HttpRequest,
    SendAccepted,
    SendExecuted,
    SendRejected,
    SendRelayed,
)
from icws_secure.wire import cbor
from icws_secure.wire.interface import (
    MessageResult,
    decode_message_argument,
    encode_message_result,
)
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.service import SkipMessage, decode_service_message

from .sends import numbers, quiet, settled


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
