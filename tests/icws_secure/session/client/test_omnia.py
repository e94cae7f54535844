"""The omnia profile: one attachment is one session, and everything that can be checked is checked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from icws_secure.errors import AttachViolation, CertificateError, Reason, SessionEnded, StallError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Opened, SendExecuted, SendRejected, SendRelayed
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.frames import MessageFrame, MessagesFrame
from icws_secure.wire.interface import decode_message_argument, decode_open_argument


def echo(ic: Any, key: Any, data: bytes) -> None:
    ic.send(key, b"re:" + data)


@pytest.mark.parametrize("subprotocol", [True, False])
def test_messages_go_both_ways(kit: Any, subprotocol: bool) -> None:
    world = kit.World(1, profile="omnia", subprotocol=subprotocol)
    world.ic.handler = echo
    world.attached()
    ids = [world.send(b"%d" % n, confirm="relayed") for n in range(10)]
    ids.append(world.send(b"last"))
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in ids))
    assert world.outcome(ids[0]) == SendRelayed(ids[0])
    assert world.outcome(ids[-1]) == SendExecuted(ids[-1])
    assert world.run_until(lambda: len(world.received) == 11)
    assert world.ic.heard == [*(b"%d" % n for n in range(10)), b"last"]
    assert world.client.attach == 0


def test_no_secure_method_is_called(kit: Any) -> None:
    world = kit.World(1, profile="omnia").attached()
    world.run(600)
    assert {content.method_name for content in world.ic.calls} <= {"ws_open", "ws_message"}
    (first,) = [content for content in world.ic.calls if content.method_name == "ws_open"]
    assert decode_open_argument(first.arg).secure is None
    assert world.client.parameters is None


def test_the_owner_may_sign_itself(kit: Any) -> None:
    world = kit.World(1, profile="omnia", sign_with="owner").attached()
    assert world.client.session_principal == world.owner.principal


def test_acknowledgements_are_answered_and_confirm(kit: Any) -> None:
    world = kit.World(1, profile="omnia", subprotocol=False).attached()
    for n in range(3):
        world.send(b"%d" % n, confirm="relayed")
    world.run(1_000)
    assert world.ended is None
    numbers = [
        decode_message_argument(content.arg) for content in world.ic.calls if content.method_name == "ws_message"
    ]
    assert [message.sequence_num for message in numbers] == list(range(1, len(numbers) + 1))
    assert sum(message.is_service_message for message in numbers) >= 2


@pytest.mark.req("ICWS-CLT-015")
def test_anything_before_the_open_message_is_refused(kit: Any) -> None:
    world = kit.World(2, profile="omnia")
    gateway = world.gateways[0]

    def tamper(frame: Any) -> Iterable[Any]:
        return [] if isinstance(frame, MessagesFrame | MessageFrame) else [frame]

    gateway.tamper = tamper
    world.run(1)
    world.canister_sends(b"one")
    gateway.tamper = lambda frame: [frame]
    error = world.first_loss()
    assert isinstance(error, AttachViolation)
    assert world.received == []


@pytest.mark.req("ICWS-CLT-013")
def test_each_attempt_before_the_open_has_a_client_key_of_its_own(kit: Any) -> None:
    world = kit.World(2, profile="omnia")
    world.gateways[0].relays_messages = False
    world.attached()
    keys = [
        decode_open_argument(content.arg).client_nonce for content in world.ic.calls if content.method_name == "ws_open"
    ]
    assert len(keys) == len(set(keys)) == 2


def test_a_message_that_was_meddled_with_ends_the_session(kit: Any) -> None:
    world = kit.World(2, profile="omnia").attached()

    def tamper(frame: Any) -> Iterable[Any]:
        if isinstance(frame, MessagesFrame):
            return [MessagesFrame(frame.messages, frame.cert, frame.tree[:-1] + bytes([frame.tree[-1] ^ 1]))]
        return [frame]

    world.connection.tamper = tamper
    world.canister_sends(b"one")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.VERIFICATION_FAILED
    assert isinstance(error.__cause__, CertificateError)
    assert error.__cause__.reason is Reason.CERTIFIED_DATA_MISMATCH
    assert world.received == []
    assert len(world.of(Opened)) == 1


def test_a_lost_connection_ends_the_session(kit: Any) -> None:
    world = kit.World(2, profile="omnia").attached()
    world.break_connection()
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.NO_GATEWAY


@pytest.mark.req("ICWS-CLT-050")
def test_a_client_that_only_listens_notices_silence(kit: Any) -> None:
    world = kit.World(1, profile="omnia", subprotocol=False).attached()
    world.connection.relays_messages = False
    error = world.end(400)
    assert isinstance(error, SessionEnded)
    assert isinstance(error.__cause__, StallError)
    assert error.__cause__.reason is Reason.ACK_TIMEOUT


@pytest.mark.req("ICWS-CLT-050")
def test_a_gateway_that_drops_one_direction_is_noticed(kit: Any) -> None:
    world = kit.World(1, profile="omnia", subprotocol=False).attached()
    world.connection.relays_calls = False
    world.send(b"one", confirm="relayed")
    error = world.end(700)
    assert isinstance(error, SessionEnded)


@pytest.mark.parametrize(
    ("method", "code"),
    [("disconnect", SessionCloseCode.APPLICATION_CLOSED)],
)
def test_a_certified_close_ends_the_session(kit: Any, method: str, code: SessionCloseCode) -> None:
    world = kit.World(1, profile="omnia").attached()
    world.ic.canister.disconnect(world.client.client_key, world.now)
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == code


def test_a_number_out_of_order_ends_the_session_as_the_canister_says(kit: Any) -> None:
    world = kit.World(1, profile="omnia", subprotocol=False).attached()
    gateway = world.connection
    gateway.relays_calls = False
    world.send(b"one", confirm="relayed")
    world.send(b"two", confirm="relayed")
    world.run(0.2)
    gateway.relay(gateway.held[1])
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.WRONG_SEQUENCE_NUMBER


def test_direct_calls_keep_the_order(kit: Any) -> None:
    world = kit.World(0, profile="omnia").attached()
    world.ic.delay_replies = True
    ids = [world.send(b"%d" % n) for n in range(5)]
    assert world.run_until(lambda: all(world.outcome(item) is not None for item in ids), 60)
    assert world.ic.heard == [b"%d" % n for n in range(5)]


def test_a_direct_message_that_traps_is_told(kit: Any) -> None:
    world = kit.World(0, profile="omnia").attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_message" and decode_message_argument(arg).content == b"bad":
            raise kit.Trap("no")
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    bad, good = world.send(b"bad"), world.send(b"good")
    assert world.run_until(lambda: world.outcome(bad) is not None and world.outcome(good) is not None, 20)
    assert isinstance(world.outcome(bad), SendRejected)
    assert world.ended is None or world.ended.code == SessionCloseCode.WRONG_SEQUENCE_NUMBER


def test_a_close_needs_no_confirmation(kit: Any) -> None:
    world = kit.World(1, profile="omnia").attached()
    world.send(b"last words", confirm="relayed")
    world.close()
    error = world.end(1)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.CLIENT_CLOSED
    world.run(0.2)
    assert world.ic.heard == [b"last words"]


def test_a_wrong_clock_of_some_minutes_is_borne(kit: Any) -> None:
    world = kit.World(1, profile="omnia", start=False)
    world.clock_error_ns = -200 * NS_PER_S
    honest = world.ic.call

    def call(envelope: Any) -> Any:
        now, world.ic.now = world.ic.now, envelope.content.ingress_expiry_ns - NS_PER_S
        try:
            return honest(envelope)
        finally:
            world.ic.now = now

    world.ic.call = call
    world.client.start(world.client_now)
    world.drain()
    world.run(2)
    assert world.lost == []
