"""The parts by themselves: tables, clock, gateways, evidence, settings."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import (
    AttachViolation,
    DecodeError,
    MessageViolation,
    MisuseError,
    OrderViolation,
    Reason,
    SessionEnded,
    StateViolation,
)
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.client import ClientConfig, Evidence, GatewayLost, GatewayTarget, recheck
from icws_secure.session.client.attachment import Expected, check_attach_message, check_open_message
from icws_secure.session.client.clock import SessionClock
from icws_secure.session.client.gateways import GatewayPool
from icws_secure.session.client.outbox import Kind, Outbox, Waiting
from icws_secure.session.client.table import (
    PHASE_TABLE,
    SESSION_TABLE,
    AttachmentPhases,
    Phase,
    PhaseEvent,
    SessionEvent,
    SessionState,
    SessionStates,
)
from icws_secure.verify.head import VerifiedHead
from icws_secure.verify.message import VerifiedMessage
from icws_secure.verify.receipt import VerifiedReceipt
from icws_secure.wire.frames import Handshake, HeadFrame, MessagesFrame, ReceiptFrame, ReceiptStatus
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.service import AttachMessage, OpenMessage

# tables --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "event"), list(itertools.product(SessionState, SessionEvent)))
def test_each_pair_of_session_state_and_event_is_a_change_or_an_error(state: SessionState, event: SessionEvent) -> None:
    states = SessionStates()
    states.state = state
    if (state, event) in SESSION_TABLE:
        states.apply(event)
        assert states.state is SESSION_TABLE[state, event]
    else:
        assert not states.allows(event)
        with pytest.raises(MisuseError) as caught:
            states.apply(event)
        assert caught.value.reason is Reason.WRONG_STATE
        assert states.state is state


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, PhaseEvent)))
def test_each_pair_of_phase_and_event_is_a_change_or_an_error(phase: Phase, event: PhaseEvent) -> None:
    phases = AttachmentPhases()
    phases.state = phase
    if (phase, event) in PHASE_TABLE:
        phases.apply(event)
        assert phases.state is PHASE_TABLE[phase, event]
    else:
        with pytest.raises(MisuseError):
            phases.apply(event)


def test_the_last_states_are_final() -> None:
    assert not any(state is SessionState.ENDED for state, _ in SESSION_TABLE)
    assert not any(phase is Phase.OVER for phase, _ in PHASE_TABLE)


def test_every_state_can_be_reached() -> None:
    assert set(SESSION_TABLE.values()) | {SessionState.NEW} == set(SessionState)
    assert set(PHASE_TABLE.values()) | {Phase.CONNECTING} == set(Phase)


# clock ---------------------------------------------------------------------------------------------------------------


def test_session_time_goes_forward_only() -> None:
    clock = SessionClock()
    times = [clock.advance(wall) for wall in (100, 110, 50, 60, 1_000)]
    assert times == [100, 110, 110, 120, 1_060]
    assert clock.to_wall(clock.now + 5) == 1_005


def test_ic_time_is_the_wall_clock_as_corrected() -> None:
    clock = SessionClock()
    clock.advance(100)
    clock.calibrate(-7)
    assert clock.ic == 93
    clock.advance(50)
    assert clock.ic == 43


# gateways ------------------------------------------------------------------------------------------------------------

TARGETS = tuple(GatewayTarget(f"ws://{name}") for name in "abc")


def pool(jitter: int = 0) -> GatewayPool:
    config = ClientConfig(canister_id=Any)  # type: ignore[arg-type]
    return GatewayPool(TARGETS, config, lambda size: jitter.to_bytes(size, "big"))


def test_the_first_gateway_is_preferred() -> None:
    assert pool().choose(0) == TARGETS[0]


def test_a_gateway_that_failed_waits_longer_each_time() -> None:
    gateways = pool(jitter=(1 << 32) - 1)
    waits = []
    now = 0
    for _ in range(12):
        gateways.failed(TARGETS[0], now)
        waits.append(gateways.health(TARGETS[0]).ready_at - now)
    assert waits == sorted(waits)
    assert waits[0] <= 250 * NS_PER_MS
    assert waits[-1] <= 30 * NS_PER_S
    assert waits[-1] > 29 * NS_PER_S


def test_the_wait_is_spread_by_half() -> None:
    low, high = pool(0), pool((1 << 32) - 1)
    for gateways in (low, high):
        gateways.failed(TARGETS[0], 0)
    assert low.health(TARGETS[0]).ready_at * 2 - 1 <= high.health(TARGETS[0]).ready_at + 2


def test_who_was_caught_comes_after_who_failed() -> None:
    gateways = pool()
    gateways.failed(TARGETS[0], 0, caught=True)
    gateways.failed(TARGETS[1], 0)
    gateways.failed(TARGETS[1], 0)
    gateways.drains(TARGETS[2], 0, 10 * NS_PER_S)
    later = 5 * NS_PER_S
    assert gateways.choose(later) == TARGETS[1]
    assert gateways.is_exhausted(later)
    gateways.worked(TARGETS[1])
    assert not gateways.is_exhausted(later)


def test_when_all_must_wait_it_says_until_when() -> None:
    gateways = pool()
    for target in TARGETS:
        gateways.failed(target, 0)
    assert gateways.choose(0) is None
    ready = gateways.ready_at()
    assert ready is not None
    assert gateways.choose(ready) is not None


def test_no_gateways_are_exhausted() -> None:
    empty = GatewayPool((), ClientConfig(canister_id=Any), bytes)  # type: ignore[arg-type]
    assert empty.is_exhausted(0)
    assert empty.ready_at() is None
    assert empty.choose(0) is None


# outbox --------------------------------------------------------------------------------------------------------------


def test_bytes_and_messages_of_the_outbox_are_counted_to_the_end(kit: Any) -> None:
    outbox = Outbox(ClientKey(kit.CANISTER, 1), max_messages=2, max_bytes=10)
    outbox.put(Waiting(Kind.DATA, b"12345", 1))
    with pytest.raises(MisuseError):
        outbox.put(Waiting(Kind.DATA, b"123456", 2))
    outbox.put(Waiting(Kind.DATA, b"12345", 2))
    with pytest.raises(MisuseError):
        outbox.put(Waiting(Kind.DATA, b"", 3))
    entries = [outbox.number(b"12345", 0), outbox.number(b"12345", 0)]
    for entry in entries:
        outbox.drop(entry)
        outbox.drop(entry)
    outbox.put(Waiting(Kind.DATA, b"1234567890", 4))


def test_keep_alives_wait_in_front_and_once(kit: Any) -> None:
    outbox = Outbox(ClientKey(kit.CANISTER, 1), max_messages=2, max_bytes=10)
    outbox.put(Waiting(Kind.DATA, b"1", 1))
    outbox.put_keep_alive()
    outbox.put_keep_alive()
    assert [item.kind for item in outbox.waiting] == [Kind.KEEP_ALIVE, Kind.DATA]


# evidence ------------------------------------------------------------------------------------------------------------


def test_a_record_holds_offline(kit: Any) -> None:
    world = kit.World(2).attached()

    def tamper(frame: Any) -> Any:
        if isinstance(frame, MessagesFrame):
            return [MessagesFrame(frame.messages, frame.cert, frame.tree[:-1] + bytes([frame.tree[-1] ^ 1]))]
        return [frame]

    world.connection.tamper = tamper
    world.canister_sends(b"one")
    world.first_loss()
    evidence = world.of(GatewayLost)[0].evidence
    again = Evidence.decode(evidence.encode())
    assert again == evidence
    found = recheck(again)
    assert found is not None
    assert str(found.reason) == evidence.reason == "CertifiedDataMismatch"
    assert found.requirement == evidence.requirement


@pytest.mark.parametrize("what", ["order", "handshake", "receipt", "head", "withheld", "garbage"])
def test_each_kind_of_record_can_be_checked_again(kit: Any, what: str) -> None:
    world = kit.World(2)
    if what == "handshake":
        world.gateways[0].tamper = lambda frame: [Handshake(ANONYMOUS)]
    else:
        world.attached()
        world.run(1)
    if what == "order":
        world.connection.tamper = lambda frame: [frame, frame] if isinstance(frame, MessagesFrame) else [frame]
        world.canister_sends(b"one")
    elif what == "receipt":
        world.to_client(ReceiptFrame(bytes(32), ReceiptStatus.PENDING).encode(), world.connection_id)
    elif what == "head":
        frame = world.ic.head_frame(world.client.session_principal)
        spoilt = HeadFrame(frame.cert, frame.tree[:-1] + bytes([frame.tree[-1] ^ 1]))
        world.to_client(spoilt.encode(), world.connection_id)
    elif what == "withheld":
        world.connection.relays_messages = False
        world.canister_sends(b"one")
    elif what == "garbage":
        world.to_client(b"\xff", world.connection_id)
    world.first_loss()
    evidence = world.of(GatewayLost)[0].evidence
    assert evidence is not None
    found = recheck(Evidence.decode(evidence.encode()))
    assert found is not None
    assert str(found.reason) == evidence.reason


def test_a_record_of_honest_bytes_proves_nothing(kit: Any) -> None:
    world = kit.World(2).attached()
    settings = world.client._settings(world.client._core.attachment)
    world.canister_sends(b"one")
    assert world.run_until(lambda: world.received == [b"one"])
    honest = [frame for frame in world.gateways[0].frames if isinstance(frame, MessagesFrame)][-1]
    settings["ic_now"] = world.now
    record = Evidence("frame", "LeafMismatch", "", "", (honest.encode(),), settings)
    assert recheck(record) is None


def test_a_record_that_is_none_is_refused() -> None:
    for data in (b"", b"\xa0", b"\xff" * 100):
        with pytest.raises(DecodeError):
            Evidence.decode(data)
    with pytest.raises(DecodeError):
        recheck(Evidence("frame", "x", "", "", (b"\xa0",), {}))


# attach message ------------------------------------------------------------------------------------------------------


def expecting(client_key: ClientKey, *, next_in_floor: int, next_out_floor: int) -> Expected:
    return Expected(
        client_key=client_key,
        registration_id=bytes(16),
        epoch=1,
        attach=1,
        resume_from=3,
        resumed_after_ns=0,
        open_hash=bytes(32),
        next_in_floor=next_in_floor,
        next_out_floor=next_out_floor,
    )


@pytest.mark.req("ICWS-CLT-015", "ICWS-CLT-072")
@pytest.mark.parametrize(
    ("changes", "error", "requirement"),
    [
        ({"client_key": ClientKey(Principal(b"\x01"), 2)}, AttachViolation, "ICWS-CLT-015"),
        ({"registration_id": b"\x01" * 16}, AttachViolation, "ICWS-CLT-015"),
        ({"attach": 2}, AttachViolation, "ICWS-CLT-015"),
        ({"resume_from": 2}, AttachViolation, "ICWS-CLT-015"),
        ({"open_hash": b"\x01" * 32}, AttachViolation, "ICWS-CLT-016"),
        ({"epoch": 2}, StateViolation, "ICWS-CLT-063"),
        ({"next_in": 3}, StateViolation, "ICWS-CLT-062"),
        ({"next_out": 6}, StateViolation, "ICWS-CLT-062"),
        ({"next_in": 10}, StateViolation, "ICWS-CLT-072"),
        ({"oldest_retained": 4}, SessionEnded, "ICWS-CLT-071"),
    ],
    ids=str,
)
def test_an_attach_message_is_compared_in_full(changes: dict[str, Any], error: type[Any], requirement: str) -> None:
    client_key = ClientKey(Principal(b"\x01"), 1)
    expected = expecting(client_key, next_in_floor=4, next_out_floor=7)
    honest = AttachMessage(client_key, bytes(16), 1, 1, 3, 5, 8, 3, bytes(32))
    check_attach_message(honest, expected, next_seq=9)
    with pytest.raises(error) as caught:
        check_attach_message(replace(honest, **changes), expected, next_seq=9)
    assert caught.value.requirement == requirement


@pytest.mark.req("ICWS-CLT-015")
def test_an_attach_message_does_not_start_before_what_was_asked_for() -> None:
    client_key = ClientKey(Principal(b"\x01"), 1)
    expected = expecting(client_key, next_in_floor=0, next_out_floor=0)
    with pytest.raises(AttachViolation):
        check_attach_message(AttachMessage(client_key, bytes(16), 1, 1, 3, 5, 2, 1, bytes(32)), expected, next_seq=9)


@pytest.mark.req("ICWS-CLT-015")
def test_an_open_message_is_the_first_and_for_this_client() -> None:
    client_key = ClientKey(Principal(b"\x01"), 1)
    check_open_message(OpenMessage(client_key), client_key, 1)
    for message, seq in ((OpenMessage(ClientKey(Principal(b"\x01"), 2)), 1), (OpenMessage(client_key), 2)):
        with pytest.raises(MessageViolation) as caught:
            check_open_message(message, client_key, seq)
        assert caught.value.requirement == "ICWS-CLT-015"


# settings and verified values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"open_ttl_ns": 91 * NS_PER_S},
        {"open_ttl_ns": 0},
        {"message_ttl_ns": 61 * NS_PER_S},
        {"message_ttl_ns": -1},
        {"sign_with": "owner"},
        {"profile": "omnia", "minimum_suite": "hpke-x25519"},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(kit: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        ClientConfig(canister_id=kit.CANISTER, **settings)


def test_verified_values_are_made_by_the_verifier_alone() -> None:
    for make in (
        lambda: VerifiedMessage(0, None, 0, b""),
        lambda: VerifiedReceipt(None),  # type: ignore[arg-type]
        lambda: VerifiedHead(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(MisuseError):
            make()


def test_an_order_violation_names_both_numbers(kit: Any) -> None:
    world = kit.World(2).attached()
    world.connection.tamper = lambda frame: [frame, frame] if isinstance(frame, MessagesFrame) else [frame]
    world.canister_sends(b"one")
    error = world.first_loss()
    assert isinstance(error, OrderViolation)
    assert set(error.facts) == {"last", "received"}


@pytest.mark.req("ICWS-CLT-013")
def test_the_client_key_of_a_secure_session_never_changes(world: Any) -> None:
    before = world.client.client_key
    with pytest.raises(MisuseError):
        world.client._core.renew_client_key()
    assert world.client.client_key == before


def test_a_machine_can_be_started_once(world: Any) -> None:
    with pytest.raises(MisuseError):
        world.client.start(world.client_now)
