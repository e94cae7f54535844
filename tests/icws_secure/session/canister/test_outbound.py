"""Messages to the client: numbering, certifying, retaining, queueing."""

from __future__ import annotations

import contextlib
import hashlib
from typing import Any

import pytest

from icws_secure.errors import MisuseError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.wire.hashtree import Found, decode_tree, lookup
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY, message_path, parse_message_key
from icws_secure.wire.service import AckMessage


def fill(world: Any, alice: Any, size: int) -> list[bytes]:
    """Send until the canister will not take any more."""
    sent: list[bytes] = []
    with contextlib.suppress(MisuseError):
        while len(sent) < 100:
            data = b"%*d" % (size, len(sent))
            world.send(alice.key, data)
            sent.append(data)
    assert len(sent) < 100
    return sent


@pytest.mark.req("ICWS-CAN-020")
def test_every_message_is_certified_in_the_execution_that_sends_it(world: Any, alice: Any) -> None:
    before = world.sessions.certified_root()
    world.send(alice.key, b"hello")
    assert world.sessions.certified_root() != before
    reply = world.poll_raw(alice.gateway)
    tree = decode_tree(reply.tree)
    for output in reply.messages:
        assert lookup(tree, message_path(output.key)) == Found(hashlib.sha256(output.content).digest())


@pytest.mark.req("ICWS-CAN-021")
def test_numbers_increase_by_one_and_times_never_decrease(world: Any, alice: Any) -> None:
    for step in (0, 5, -3, -10, 1):
        world.sleep(step)
        world.send(alice.key, b"x")
    received = alice.received()
    assert [one.seq for one in received] == [0, 1, 2, 3, 4, 5]
    times = [one.message.timestamp_ns for one in received]
    assert times == sorted(times)
    head = alice.head
    assert head.next_out == 6
    assert head.timestamp_ns == times[-1]


@pytest.mark.req("ICWS-CAN-022")
def test_a_new_queue_starts_at_the_canisters_time(world: Any, alice: Any) -> None:
    assert alice.received()[0].nonce == world.now
    world.send(alice.key, b"x")
    assert [one.nonce for one in alice.received()] == [world.now, world.now + 1]


@pytest.mark.req("ICWS-CAN-022")
def test_a_queue_that_was_dropped_starts_above_its_old_nonces(world: Any, alice: Any, make_user: Any) -> None:
    for _ in range(5):
        world.send(alice.key, b"x")
    last = alice.received()[-1].nonce
    world.close(alice.gateway, alice.key, 1)
    world.tick(301)
    assert alice.gateway not in world.sessions.state.queues
    world.now -= 1_000 * NS_PER_S  # a clock that goes back does not matter
    alice.reopen(2, 1)
    assert alice.received()[0].nonce > last


@pytest.mark.req("ICWS-CAN-023")
def test_a_removed_entry_becomes_a_tombstone_under_the_same_key(world: Any, alice: Any, make_alice: Any) -> None:
    bob = make_alice(world, "bob")
    world.send(alice.key, b"alice's")
    world.send(bob.key, b"bob's")
    keys = [output.key for output in world.poll_raw(alice.gateway).messages]
    world.close(alice.gateway, alice.key, 1)
    outputs = world.poll_raw(alice.gateway).messages
    assert [output.key for output in outputs] == keys
    assert [output.client_key for output in outputs] == [
        TOMBSTONE_CLIENT_KEY,
        bob.key,
        TOMBSTONE_CLIENT_KEY,
        bob.key,
    ]
    assert [output.content == b"" for output in outputs] == [True, False, True, False]


@pytest.mark.req("ICWS-CAN-023")
def test_a_queue_loses_entries_at_its_front_by_age_only(world: Any, alice: Any) -> None:
    for number in range(20):
        world.send(alice.key, b"%d" % number)
    world.sleep(299)
    world.send(alice.key, b"young")
    assert len(world.poll_raw(alice.gateway).messages) == 22
    world.sleep(1)
    world.send(alice.key, b"younger")
    # five at a time: a send costs the same however much there is to drop
    assert len(world.poll_raw(alice.gateway).messages) == 18
    world.sessions.on_timer(world.now)
    nonces = [parse_message_key(output.key)[1] for output in world.poll_raw(alice.gateway).messages]
    assert nonces == list(range(nonces[0], nonces[0] + 2))
    # what the queue has lost is retained all the same
    outbound = world.sessions.find(alice.key).outbound
    assert sorted(outbound.retained) == list(range(1, outbound.next_out))


@pytest.mark.req("ICWS-CAN-026")
def test_every_message_of_a_secure_session_has_a_salt_of_its_own(world: Any, alice: Any, make_alice: Any) -> None:
    bob = make_alice(world, "bob")
    for key in (alice.key, bob.key, alice.key):
        world.send(key, b"same")
    salts = [one.message.salt for one in alice.received() + bob.received()]
    assert len(set(salts)) == 5
    assert all(salt is not None and len(salt) == 16 for salt in salts)


@pytest.mark.req("ICWS-CAN-026")
def test_salts_follow_from_the_seed(world: Any, alice: Any) -> None:
    state = world.sessions.state
    world.send(alice.key, b"x")
    first = alice.received()[-1].message.salt
    world.sessions.state = state
    world.sessions.reseed(b"entropy")
    world.send(alice.key, b"x")
    assert alice.received()[-1].message.salt != first


@pytest.mark.req("ICWS-CAN-062")
def test_at_the_count_bound_send_fails_and_nothing_is_dropped(make_world: Any, make_alice: Any) -> None:
    world = make_world(retained_messages=5)
    alice = make_alice(world)
    sent = fill(world, alice, 10)
    with pytest.raises(MisuseError) as raised:
        world.send(alice.key, b"x")
    assert raised.value.reason is Reason.LIMIT_EXCEEDED
    assert raised.value.requirement == "ICWS-CAN-062"
    assert raised.value.facts["code"] == "RetentionFull"
    alice.reopen(2, 1)
    assert [one.data for one in alice.received() if one.seq and one.service is None] == sent
    through = alice.head.next_out - 1
    world.keep_alive(alice.principal, 1, through)
    world.send(alice.key, b"again")


@pytest.mark.req("ICWS-CAN-062")
@pytest.mark.parametrize("bound", ["retained_bytes", "retained_total_bytes"])
def test_at_a_byte_bound_send_fails(make_world: Any, make_alice: Any, bound: str) -> None:
    world = make_world(**{bound: 1000})
    alice = make_alice(world)
    world.send(alice.key, bytes(500))
    before = world.sessions.certified_root()
    with pytest.raises(MisuseError) as raised:
        world.send(alice.key, bytes(500))
    assert raised.value.reason is Reason.LIMIT_EXCEEDED
    assert world.sessions.certified_root() == before


@pytest.mark.req("ICWS-CAN-062")
def test_clients_that_never_acknowledge_do_not_silence_the_others(make_world: Any, make_alice: Any) -> None:
    world = make_world(retained_bytes=32_000, retained_total_bytes=80_000)
    bob = make_alice(world, "bob")
    for number in range(4):
        idle = make_alice(world, f"idle {number}")
        for _ in range(40):
            world.sessions.send_many((idle.key,), bytes(1_000), world.now)
    assert 58_000 < world.sessions.state.retained_bytes < 64_000
    world.send(bob.key, bytes(1_000))
    with pytest.raises(MisuseError) as raised:
        world.send(bob.key, bytes(1_000))  # more than a modest session holds
    assert raised.value.facts["code"] == "RetentionFull"


def test_a_client_that_is_far_behind_is_asked_for_a_sign_of_life_early(make_world: Any, make_alice: Any) -> None:
    world = make_world(retained_messages=10)
    alice = make_alice(world)
    for _ in range(6):
        world.send(alice.key, b"x")
    assert isinstance(alice.received()[-1].service, AckMessage)
    world.keep_alive(alice.principal, 1, 6)
    for _ in range(3):
        world.send(alice.key, b"x")
    assert sum(isinstance(one.service, AckMessage) for one in alice.received()) == 1


@pytest.mark.req("ICWS-CAN-035")
def test_content_over_the_limit_is_not_sent(make_world: Any, make_alice: Any) -> None:
    world = make_world(max_content_bytes=10)
    alice = make_alice(world)
    with pytest.raises(MisuseError) as raised:
        world.send(alice.key, bytes(11))
    assert raised.value.facts["code"] == "ContentTooLarge"
    world.send(alice.key, bytes(10))


def test_there_is_nothing_to_send_to_who_is_gone(world: Any, alice: Any, make_user: Any) -> None:
    with pytest.raises(MisuseError) as raised:
        world.send(ClientKey(make_user("nobody"), 7), b"x")
    assert raised.value.reason is Reason.WRONG_STATE
    world.sessions.disconnect(alice.key, world.now)
    with pytest.raises(MisuseError):
        world.send(alice.key, b"x")
    with pytest.raises(MisuseError):
        world.sessions.disconnect(ClientKey(make_user("nobody"), 7), world.now)
    world.sessions.disconnect(alice.key, world.now)


def test_a_broadcast_reaches_whoever_it_can(make_world: Any, make_alice: Any) -> None:
    world = make_world(retained_messages=1)
    alice, bob = make_alice(world), make_alice(world, "bob")
    world.send(alice.key, b"x")
    failed = world.sessions.send_many([alice.key, bob.key], b"all", world.now)
    assert list(failed) == [alice.key]
    assert [one.data for one in bob.received()[1:] if one.service is None] == [b"all"]


@pytest.mark.req("ICWS-CAN-027")
@pytest.mark.parametrize("bound", [{"queue_messages": 3}, {"queue_bytes": 2_000}, {"queue_total_bytes": 2_000}])
def test_a_full_queue_drops_only_what_clients_would_refuse_for_its_age(
    make_world: Any, make_alice: Any, bound: dict[str, int]
) -> None:
    world = make_world(**bound)
    alice = make_alice(world)
    size = 500 if "queue_messages" not in bound else 10
    fill(world, alice, size)
    with pytest.raises(MisuseError) as raised:
        world.send(alice.key, bytes(size))
    assert raised.value.facts["code"] == "RetentionFull"
    world.sleep(59)
    with pytest.raises(MisuseError):
        world.send(alice.key, bytes(size))
    world.sleep(1)
    world.send(alice.key, bytes(size))


def test_messages_of_a_session_that_was_closed_stay_until_they_are_old(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    world.sessions.disconnect(alice.key, world.now)
    world.tick(299)
    assert [one.seq for one in alice.received()] == [0, 1, 2]
    world.tick(2)
    assert alice.gateway not in world.sessions.state.queues
    assert world.sessions.state.queued_bytes == 0
