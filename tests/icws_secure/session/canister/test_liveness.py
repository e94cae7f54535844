"""What the clock does."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError
from icws_secure.limits import NS_PER_S
from icws_secure.session.canister import CanisterConfig, Closed, Deliver, Detached
from icws_secure.wire import registration as reg
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import AckMessage, CloseMessage


def acks(alice: Any) -> list[Any]:
    return [one for one in alice.received() if isinstance(one.service, AckMessage)]


def test_a_client_is_acknowledged_within_the_interval(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1)
    world.message(alice.principal, 2)
    world.tick(269)
    assert acks(alice) == []
    world.tick(31)
    (ack,) = acks(alice)
    assert ack.service.last_incoming_sequence_num == 2
    assert ack.seq == 1


@pytest.mark.req("ICWS-CAN-040")
def test_a_keep_alive_timeout_detaches_a_secure_session(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1)
    world.tick(361)
    assert alice.head.state is SessionState.DETACHED
    assert Detached(alice.key, 1) in world.events
    assert alice.head.close_code is None


@pytest.mark.req("ICWS-CAN-040")
@pytest.mark.parametrize("sign", ["keep-alive", "message", "behind a gap", "duplicate", "params", "attach"])
def test_any_valid_call_of_the_session_key_is_a_sign_of_life(world: Any, alice: Any, sign: str, make_user: Any) -> None:
    world.message(alice.principal, 1)
    world.tick(301)
    assert len(acks(alice)) == 1
    if sign == "keep-alive":
        world.keep_alive(alice.principal, 2, 1)
    elif sign == "message":
        world.message(alice.principal, 2)
    elif sign == "behind a gap":
        world.message(alice.principal, 7)
    elif sign == "duplicate":
        world.message(alice.principal, 1)
    elif sign == "params":
        arg = reg.encode_params_argument(alice.parameters.registration_id)
        reply = reg.decode_params_result(world.sessions.params(alice.principal, arg, world.now).reply)
        assert reply == alice.parameters
    else:
        alice.reopen(2, 1, make_user("second"))
    last_seen = world.now
    world.tick(58)
    (info,) = world.list_sessions(alice.owner)
    assert (info.state, info.last_seen_ns) == (SessionState.OPEN, last_seen)


@pytest.mark.req("ICWS-CAN-040")
def test_a_refused_call_is_no_sign_of_life(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1)
    world.tick(301)
    world.message(alice.principal, 99)
    world.message(alice.principal, 1, b"other")
    world.tick(60)
    assert alice.head.state is SessionState.DETACHED


def test_who_answers_every_acknowledgement_stays_attached_until_the_expiry(world: Any, alice: Any) -> None:
    seq = 0
    while alice.head.state is SessionState.OPEN:
        seq += 1
        world.keep_alive(alice.principal, seq, alice.head.next_out - 1)
        world.tick(59)
    assert alice.head.close_code == "Expired"
    assert world.now - alice.parameters.expires_at_ns <= 60 * NS_PER_S
    (close,) = [one for one in alice.received() if isinstance(one.service, CloseMessage)]
    assert close.service.code == "Expired"


@pytest.mark.req("ICWS-CAN-041")
def test_deadlines_are_spread(world: Any, make_alice: Any) -> None:
    people = [make_alice(world, f"user {number}") for number in range(50)]
    deadlines = {world.sessions.find(one.key).ack_at_ns for one in people}
    assert len(deadlines) == 50
    assert max(deadlines) <= world.now + 300 * NS_PER_S
    assert min(deadlines) >= world.now + 270 * NS_PER_S
    assert max(deadlines) - min(deadlines) > 20 * NS_PER_S


@pytest.mark.req("ICWS-CAN-041")
def test_a_timer_run_does_at_most_two_hundred_sessions_and_comes_back_for_the_rest(
    make_world: Any, make_user: Any
) -> None:
    world = make_world()
    for number in range(450):
        world.register(make_user(f"owner {number}"), make_user(f"session {number}"))
    world.sleep(121)
    left = []
    while (deadline := world.sessions.next_deadline()) is not None and deadline <= world.now:
        world.sessions.on_timer(world.now)
        left.append(len(world.sessions.state.pending))
    assert left == [250, 50, 0]
    assert world.sessions.next_deadline() is None


def test_an_interval_below_a_minute_cannot_be_set_for_secure_sessions() -> None:
    CanisterConfig(profiles=frozenset({"omnia"}), ack_interval_ns=NS_PER_S)
    with pytest.raises(MisuseError):
        CanisterConfig(ack_interval_ns=59 * NS_PER_S)


@pytest.mark.parametrize(
    "setting",
    [
        {"profiles": frozenset()},
        {"profiles": frozenset({"other"})},
        {"ack_jitter": 0.6},
        {"max_content_bytes": (1 << 20) + 1},
        {"poll_messages": 51},
        {"refused_ttl_ns": 359 * NS_PER_S},
        {"resume_window_ns": 0},
        {"queue_messages": 0},
    ],
)
def test_a_setting_out_of_its_bounds_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        CanisterConfig(**setting)


@pytest.mark.req("ICWS-CAN-066")
def test_a_detached_session_ends_with_its_resume_window(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    world.close(alice.gateway, alice.key, 1)
    world.tick(599)
    assert alice.head.state is SessionState.DETACHED
    world.tick(1)
    assert (alice.head.state, alice.head.close_code) == (SessionState.CLOSED, "ResumeWindow")
    assert Closed(alice.key, "ResumeWindow") in world.events
    assert world.sessions.state.retained_bytes == 0


@pytest.mark.req("ICWS-CAN-066")
@pytest.mark.parametrize("detached", [True, False])
def test_a_session_ends_at_its_expiry(make_world: Any, make_alice: Any, detached: bool) -> None:
    world = make_world(session_ttl_ns=100 * NS_PER_S)
    alice = make_alice(world)
    world.message(alice.principal, 1)
    if detached:
        world.close(alice.gateway, alice.key, 1)
    world.tick(99)
    assert alice.head.close_code is None
    world.tick(1)
    assert alice.head.close_code == "Expired"


@pytest.mark.req("ICWS-CAN-062")
def test_a_client_that_calls_but_never_acknowledges_is_not_kept_for_ever(world: Any, alice: Any) -> None:
    world.send(alice.key, b"never taken")
    for seq in range(1, 33):
        world.message(alice.principal, seq)
        world.tick(30)
    assert alice.head.close_code == "ResumeWindow"
    (close,) = [one for one in alice.received() if isinstance(one.service, CloseMessage)]
    assert close.service.code == "ResumeWindow"


def test_an_ended_session_is_remembered_for_a_while_and_then_forgotten(world: Any, alice: Any) -> None:
    world.revoke(alice.owner, alice.principal)
    world.handle_all()
    world.tick(599)
    assert world.head(alice.principal) is not None
    world.tick(1)
    assert world.head(alice.principal) is None
    state = world.sessions.state
    assert not state.sessions
    assert not state.owners
    assert not state.queues
    assert (state.held_bytes, state.retained_bytes, state.queued_bytes) == (0, 0, 0)
    assert len(state.messages) == 0
    assert len(state.heads) == 0


@pytest.mark.req("ICWS-CAN-034")
def test_the_timer_looks_after_what_nobody_handled(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    world.sleep(1)
    assert Deliver(alice.key) not in world.sessions.on_timer(world.now)
    world.sleep(1)
    assert world.sessions.next_deadline() <= world.now
    assert Deliver(alice.key) in world.sessions.on_timer(world.now)
    world.handle_all()
    assert world.sessions.next_deadline() > world.now + NS_PER_S


def test_nothing_is_due_at_a_canister_without_sessions(world: Any) -> None:
    assert world.sessions.next_deadline() is None
    assert world.sessions.on_timer(world.now) == ()
