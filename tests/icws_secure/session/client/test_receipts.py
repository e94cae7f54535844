"""Receipts: which are taken for proof, what is done without, and which envelopes go out again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from icws_secure.errors import (
    CertificateError,
    MisuseError,
    Reason,
    ReceiptViolation,
    StallError,
)
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import (
    ClientConfig,
    HttpRequest,
    SendExecuted,
)
from icws_secure.wire.frames import ReceiptFrame, ReceiptStatus
from icws_secure.wire.interface import (
    decode_message_argument,
)

from .sends import quiet, settled


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
