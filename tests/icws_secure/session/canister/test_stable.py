"""Upgrades: the state as bytes and back."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError
from icws_secure.session.canister import CanisterConfig, CanisterSessions
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.refusal import RefusalCode

CONFIG = CanisterConfig()


def upgrade(world: Any) -> None:
    data = world.sessions.to_stable()
    world.sleep(1)
    world.sessions = CanisterSessions.from_stable(world.config, data, now=world.now, seed=b"\x09" * 32)


def everything(world: Any, make_alice: Any, make_user: Any) -> Any:
    """A state with something of everything."""
    alice, bob = make_alice(world), make_alice(world, "bob", "second gateway")
    world.open(make_user("omnia user"), None, alice.gateway)
    world.register(make_user("carol"), make_user("carol's session"))
    world.revoke(make_user("dave"), make_user("dave's session"))
    world.revoke(make_user("dave"), None)
    for number in range(3):
        world.send(alice.key, b"message %d" % number)
        world.send(bob.key, b"message %d" % number)
    world.message(alice.principal, 1)
    world.message(alice.principal, 2, b"behind", handle=False)
    world.message(alice.principal, 4, b"behind a gap", handle=False)
    world.close(bob.gateway, bob.key, 1)
    world.sessions.set_application(b"app", MerkleMap().insert(b"a", MerkleMap().insert(b"b", b"c")))
    return alice


def timeless(state: Any) -> dict[Any, Any]:
    """The sessions, but for what the schedule has noted in them."""
    return {principal: replace(session, scheduled_ns=None) for principal, session in state.sessions.items()}


@pytest.mark.req("ICWS-CAN-065")
def test_state_survives_an_upgrade(world: Any, make_alice: Any, make_user: Any) -> None:
    alice = everything(world, make_alice, make_user)
    before, head, queue = world.sessions.state, alice.head, world.poll_all(alice.gateway)
    upgrade(world)
    after = world.sessions.state
    assert after.epoch_ns == before.epoch_ns
    assert timeless(after) == timeless(before)
    for name in ("pending", "pending_owners", "owners", "refused", "floors", "counter", "seed"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("held_bytes", "retained_bytes", "queued_bytes", "nonce_floor", "ready"):
        assert getattr(after, name) == getattr(before, name), name
    assert alice.head == head
    assert world.poll_all(alice.gateway) == queue
    assert dict(after.messages.items()) == dict(before.messages.items())
    assert dict(after.heads.items()) == dict(before.heads.items())
    assert world.sessions.application_witness([(b"app", b"a", b"b")])


@pytest.mark.req("ICWS-CAN-065")
def test_a_session_goes_on_after_an_upgrade(world: Any, make_alice: Any, make_user: Any) -> None:
    alice = everything(world, make_alice, make_user)
    upgrade(world)
    world.send(alice.key, b"after")
    assert [one.data for one in alice.received() if one.service is None][-1] == b"after"
    assert world.message(alice.principal, 3).refusal is None
    assert alice.head.executed_through == 4
    assert alice.reopen(2, 1) is None
    world.tick(400)
    assert alice.head.state == "detached"


@pytest.mark.req("ICWS-CAN-022", "ICWS-CAN-065")
def test_a_state_that_was_lost_has_another_epoch_and_uses_no_key_twice(world: Any, alice: Any, make_alice: Any) -> None:
    for _ in range(10):
        world.send(alice.key, b"x")
    keys = {output.key for output in world.poll_all(alice.gateway)}
    epoch = world.sessions.state.epoch_ns
    world.sleep(1)
    world.sessions = CanisterSessions.from_stable(world.config, b"", now=world.now, seed=b"\x09" * 32)
    assert world.sessions.state.epoch_ns > epoch
    assert world.head(alice.principal) is None
    again = make_alice(world)
    for _ in range(10):
        world.send(again.key, b"y")
    assert not keys & {output.key for output in world.poll_all(alice.gateway)}


@pytest.mark.req("ICWS-CAN-032")
def test_what_was_being_handled_counts_as_trapped(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, handle=False)
    world.message(alice.principal, 2, handle=False)
    world.sessions.take_delivery(alice.key, world.now)
    upgrade(world)
    assert alice.head.trapped == (1,)
    assert world.sessions.next_delivery(alice.key).seq == 2


def test_deadlines_are_armed_again(world: Any, alice: Any) -> None:
    upgrade(world)
    assert world.sessions.next_deadline() is not None
    world.tick(61)
    assert alice.head.state == "detached"


@pytest.mark.parametrize("data", [b"x", b"\xa0", b"\xa1gversion\x02", b"\xd9\xd9\xf7\xa1gversion\x01"])
def test_what_is_no_state_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        CanisterSessions.from_stable(CONFIG, data, now=1, seed=bytes(32))


@given(st.data())
def test_a_damaged_state_is_refused_or_read(data: Any) -> None:
    machine = CanisterSessions(CONFIG, now=5, seed=bytes(32))
    bytes_ = bytearray(machine.to_stable())
    bytes_[data.draw(st.integers(0, len(bytes_) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(DecodeError):
        CanisterSessions.from_stable(CONFIG, bytes(bytes_), now=6, seed=bytes(32))


@pytest.mark.req("ICWS-LIB-026")
def test_no_representation_shows_a_secret(world: Any, alice: Any) -> None:
    world.message(alice.principal, 1, b"a secret text", handle=False)
    seed = world.sessions.state.seed
    shown = repr(world.sessions.state) + repr(world.sessions) + repr(world.sessions.next_delivery(alice.key))
    assert repr(seed) not in shown
    assert seed.hex() not in shown
    assert "a secret text" not in shown


def test_a_seed_has_32_bytes() -> None:
    with pytest.raises(Exception, match="32 bytes"):
        CanisterSessions(CONFIG, now=1, seed=b"short")


def test_a_rolled_back_state_is_as_it_was(world: Any, alice: Any, code_of: Any) -> None:
    state, root = world.sessions.state, world.sessions.certified_root()
    world.send(alice.key, b"undone")
    world.message(alice.principal, 1)
    world.revoke(alice.owner, None)
    world.sessions.state = state
    assert world.sessions.certified_root() == root
    assert len(alice.received()) == 1
    assert world.message(alice.principal, 1).refusal is None
    assert code_of(world.message(alice.principal, 1, b"other")) is RefusalCode.SEQUENCE_CONFLICT


@pytest.mark.req("ICWS-CAN-065", "ICWS-CAN-022", "ICWS-CAN-005")
def test_after_a_snapshot_a_new_epoch_forgets_sessions_and_uses_no_key_twice(
    world: Any, alice: Any, make_alice: Any, make_user: Any, code_of: Any
) -> None:
    world.sessions.set_application(b"app", b"value")
    carol = make_alice(world, "carol")
    owner = world.sessions.find(carol.key).owner
    assert world.revoke(owner, carol.principal) == 1
    world.send(alice.key, b"x")
    snapshot = world.sessions.state
    for _ in range(10):
        world.send(alice.key, b"x")
    keys = {output.key for output in world.poll_all(alice.gateway)}
    world.sleep(1)
    world.sessions.state = snapshot
    world.sessions.begin_epoch(world.now)
    assert world.sessions.state.epoch_ns > snapshot.epoch_ns
    assert world.head(alice.principal) is None
    assert world.sessions.clients() == ()
    assert world.sessions.application_witness([(b"app",)])
    assert code_of(world.register(owner, carol.principal)) is RefusalCode.RECENTLY_REVOKED
    again = make_alice(world, "dave")
    for _ in range(10):
        world.send(again.key, b"y")
    assert not keys & {output.key for output in world.poll_all(alice.gateway)}
    first = world.sessions.state.epoch_ns
    world.sessions.begin_epoch(world.now)
    assert world.sessions.state.epoch_ns > first
    world.tick(400)  # what is refused is forgotten in time
    assert not world.sessions.state.refused
