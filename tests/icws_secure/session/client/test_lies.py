"""Answers that are false, or true and old: what they must not achieve, in the smallest cases that once went wrong."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from icws_secure.errors import Reason, StallError
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig
from icws_secure.session.client import SendAccepted, SendExecuted, SendRejected
from icws_secure.session.client.allowance import Allowance
from icws_secure.session.client.outbox import Carrier, Kind, Outbox, Waiting
from icws_secure.session.client.settlement import Settlement
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.wire.frames import HeadFrame, MessagesFrame
from icws_secure.wire.head import SessionHead
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    MessageState,
    MessageStatus,
    OutputMessage,
    encode_get_messages_result,
)
from icws_secure.wire.message import message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState


@pytest.mark.req("ICWS-CLT-050", "ICWS-CLT-061")
def test_a_head_that_is_relayed_again_and_again_does_not_hide_that_messages_are_withheld(kit: Any) -> None:
    world = kit.World(2).attached()
    world.run(1)
    gateway = world.connection
    gateway.relays_messages = False
    old = gateway.ic.head_frame(gateway.client_key.client_principal)
    gateway.tamper = lambda frame: [old] if isinstance(frame, HeadFrame) else [frame]
    start = world.now
    world.canister_sends(b"one")
    assert world.first_loss(400).reason is Reason.MESSAGES_WITHHELD
    assert world.now - start < 25 * NS_PER_S
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-050")
def test_a_head_that_is_relayed_again_and_again_is_no_sign_of_life(kit: Any) -> None:
    world = kit.World(2).attached()
    world.run(1)
    gateway = world.connection
    gateway.relays_messages = False
    old = gateway.ic.head_frame(gateway.client_key.client_principal)
    gateway.tamper = lambda frame: [old] if isinstance(frame, HeadFrame) else [frame]
    world.run(20)
    assert world.client._auditor.last_head_at <= world.client_now - 4 * NS_PER_S


@pytest.mark.req("ICWS-CLT-073")
def test_an_answer_to_a_poll_that_no_certificate_covers_moves_nothing_for_good(kit: Any) -> None:
    world = kit.World(0).attached()
    world.run(1)
    poll = world.ic.canister.get_messages
    key = message_key(world.client.session_principal, (1 << 64) - 2)
    stranger = ClientKey(Principal(b"\x07" * 28 + b"\x02"), 5)
    false = CertifiedMessages((OutputMessage(stranger, key, b"x"),), b"c", b"t", True)
    lies = [encode_get_messages_result(false)]
    world.ic.canister.get_messages = lambda caller, arg, cert: lies.pop() if lies else poll(caller, arg, cert)
    assert world.run_until(lambda: not lies)
    world.canister_sends(b"one")
    assert world.run_until(lambda: world.received == [b"one"], 120)
    assert world.ended is None


@pytest.mark.req("ICWS-CLT-041")
@pytest.mark.parametrize("status", [MessageState.EXECUTED, MessageState.TRAPPED])
def test_the_status_of_a_batch_says_nothing_about_other_messages_than_its_last(kit: Any, status: MessageState) -> None:
    told: list[object] = []
    outbox = Outbox(kit.World(1).client.client_key, max_messages=10, max_bytes=1_000)
    settlement = Settlement(outbox, told.append, lambda: None, has_skips=True)
    outbox.put(Waiting(Kind.DATA, b"a", 1, "executed"))
    outbox.put(Waiting(Kind.DATA, b"b", 2, "accepted"))
    first, last = outbox.number(b"a", 1), outbox.number(b"b", 1)
    for entry in (first, last):
        outbox.sent(entry, b"id", Carrier((1, 2), 1, 10))
    settlement.progress(2, 0)  # an acknowledgement was faster than the receipt
    assert told == [SendAccepted(2)]
    settlement.receipt([first], last.seq, MessageStatus(2, 2, status), 1)
    assert told == [SendAccepted(2)]
    assert settlement.wants_head()


@pytest.mark.req("ICWS-CLT-042")
def test_a_rejection_is_final_only_when_no_other_call_with_the_message_can_be_executed(kit: Any) -> None:
    told: list[object] = []
    outbox = Outbox(kit.World(1).client.client_key, max_messages=10, max_bytes=1_000)
    settlement = Settlement(outbox, told.append, lambda: None, has_skips=True)
    outbox.put(Waiting(Kind.DATA, b"a", 1, "executed"))
    entry = outbox.number(b"a", 1)
    outbox.sent(entry, b"first", Carrier((1,), 1, 100))  # nothing was heard of it; a second call was rejected
    entry.rejection = StallError("rejected", reason=Reason.NOT_EXECUTED)
    head = SessionHead(bytes(16), 1, SessionState.OPEN, 1, 1, 0, 0, 1, 50, 1_000)
    settlement.head(head, 500)  # the first has expired; but it may have been accepted behind a gap
    assert told == []
    entry.absent(b"first", 101)
    settlement.head(head, 100)  # from before that was known
    assert told == []
    settlement.head(head, 101)
    assert told == [SendRejected(1, entry.rejection)]


@pytest.mark.req("ICWS-CLT-040")
def test_no_outcome_is_lost_where_many_calls_are_given_up_at_once(kit: Any) -> None:
    world = kit.World(0, max_in_flight=100, canister=CanisterConfig(window_messages=200)).attached()
    world.run(2)
    world.ic.is_reachable = False
    ids = [world.send(b"%d" % n) for n in range(90)]
    world.run(125)
    assert world.client._submissions.message_calls() < 90
    world.ic.is_reachable = True
    assert world.run_until(lambda: all(world.outcome(item) == SendExecuted(item) for item in ids), 200)
    assert world.client._submissions.message_calls() == 0
    assert not world.of(SendRejected)


@pytest.mark.req("ICWS-CLT-020")
def test_a_gateway_cannot_keep_the_client_busy_with_frames_that_bring_nothing(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icws_secure.session.client.allowance.IDLE_CERTIFICATES", 30)
    world = kit.World(1).attached()
    gateway = world.gateways[0]
    verified: list[object] = []
    check = CertificateVerifier.verify

    def counted(self: CertificateVerifier, *args: Any, **more: Any) -> Any:
        verified.append(args)
        return check(self, *args, **more)

    monkeypatch.setattr(CertificateVerifier, "verify", counted)
    for _ in range(200):
        world.ic.now += 1
        gateway.send(world.ic.head_frame(world.client.session_principal))
    world.carry(gateway)
    error = world.first_loss(10)
    assert isinstance(error, StallError)
    assert error.reason is Reason.TOO_MANY
    assert len(verified) < 60


@pytest.mark.req("ICWS-CLT-020", "ICWS-CLT-027")
def test_leftovers_of_an_earlier_attachment_are_borne_however_many_share_a_certificate(
    kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("icws_secure.session.client.allowance.IDLE_CERTIFICATES", 30)
    world = kit.World(1).attached()
    world.canister_sends(b"one")
    world.run(1)
    frame = next(each for each in world.gateways[0].frames if isinstance(each, MessagesFrame))
    world.break_connection()
    world.run(5)
    world.attached()
    for _ in range(200):
        world.gateways[0].send(frame)
    world.carry(world.gateways[0])
    world.canister_sends(b"two")
    world.run(2)
    assert world.received == [b"one", b"two"]
    assert [error.reason for error in world.lost] == [Reason.CONNECTION_LOST]


@pytest.mark.req("ICWS-CLT-020")
def test_heads_of_an_honest_gateway_are_borne_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("icws_secure.session.client.allowance.IDLE_CERTIFICATES", 30)
    certificates = (b"%d" % number for number in itertools.count())
    allowance = Allowance()
    for second in range(1_000):
        for _ in range(20):
            allowance.take(second * NS_PER_S, next(certificates))
    for _ in range(1_000):
        allowance.take(1_000 * NS_PER_S, next(certificates))
        allowance.give_back()
    allowance = Allowance()
    for _ in range(30):
        allowance.take(NS_PER_S, next(certificates))
    with pytest.raises(StallError):
        allowance.take(NS_PER_S, next(certificates))
