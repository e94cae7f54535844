"""The certified tree."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError
from icws_secure.wire.hashtree import Found, digest, lookup
from icws_secure.wire.head import decode_epoch
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.registration import SessionState


def labels(world: Any) -> list[bytes]:
    return list(world.sessions.state.root)


@pytest.mark.req("ICWS-CAN-050")
def test_the_root_holds_icws_websocket_and_the_applications_labels(world: Any, alice: Any) -> None:
    world.sessions.set_application(b"assets", MerkleMap().insert(b"index", b"hash"))
    world.sessions.set_application(b"z", b"value")
    assert labels(world) == [b"assets", b"icws", b"websocket", b"z"]
    tree = world.sessions.application_witness([(b"assets", b"index"), (b"z",)])
    assert digest(tree) == world.sessions.certified_root()
    assert lookup(tree, (b"assets", b"index")) == Found(b"hash")
    assert lookup(tree, (b"z",)) == Found(b"value")
    assert len(world.poll_raw(alice.gateway).messages) == 1
    world.sessions.set_application(b"z", None)
    world.sessions.set_application(b"z", None)
    assert labels(world) == [b"assets", b"icws", b"websocket"]


@pytest.mark.req("ICWS-CAN-050")
@pytest.mark.parametrize("label", [b"", b"icws", b"websocket"])
def test_an_application_cannot_have_the_protocols_labels(world: Any, label: bytes) -> None:
    before = world.sessions.certified_root()
    with pytest.raises(MisuseError):
        world.sessions.set_application(label, b"x")
    assert world.sessions.certified_root() == before


def test_a_canister_of_omnia_alone_has_no_icws(make_world: Any) -> None:
    assert labels(make_world(profiles=frozenset({"omnia"}))) == [b"websocket"]


def test_the_epoch_is_when_the_state_was_made(world: Any) -> None:
    tree = world.sessions.application_witness([(b"icws", b"epoch")])
    leaf = lookup(tree, (b"icws", b"epoch"))
    assert isinstance(leaf, Found)
    assert decode_epoch(leaf.value) == world.now


@pytest.mark.req("ICWS-CAN-051")
def test_every_change_of_a_head_is_certified_at_once(
    world: Any, make_user: Any, make_alice: Any, close_itself: Any
) -> None:
    owner, session = make_user("owner"), make_user("session")
    world.register(owner, session)
    head = world.head(session)
    assert (head.state, head.attach, head.next_out, head.next_in) == (SessionState.REGISTERED, 0, 1, 1)

    alice = make_alice(world)
    seen = [alice.head]

    def changed(**expected: Any) -> None:
        head = alice.head
        assert head != seen[-1]
        assert head.timestamp_ns == world.now
        assert {name: getattr(head, name) for name in expected} == expected
        seen.append(head)

    world.sleep(1)
    world.send(alice.key, b"x")
    changed(next_out=2)
    world.sleep(1)
    world.message(alice.principal, 1, handle=False)
    changed(next_in=2, executed_through=0)
    world.sleep(1)
    world.handle_all(trap=lambda seq: True)
    changed(executed_through=1, trapped=(1,))
    world.sleep(1)
    world.keep_alive(alice.principal, 2, 1)
    changed(next_in=3, executed_through=2, acked=1, oldest_retained=2)
    world.sleep(1)
    world.close(alice.gateway, alice.key, 1)
    changed(state=SessionState.DETACHED)
    world.sleep(1)
    alice.reopen(2, 2)
    changed(state=SessionState.OPEN, attach=2)
    world.sleep(1)
    parameters = world.register(alice.owner, alice.principal)
    changed(expires_at_ns=parameters.expires_at_ns)
    world.sleep(1)
    close_itself(alice, 3)
    changed(state=SessionState.CLOSED, close_code="ClientClosed")


def test_a_head_does_not_change_by_being_looked_at_or_by_time(world: Any, alice: Any) -> None:
    before = alice.head
    world.sleep(5)
    world.message(alice.principal, 99)
    world.poll_all(alice.gateway)
    assert alice.head == before


def test_before_the_open_the_head_is_that_of_the_first_registration(world: Any, make_user: Any) -> None:
    session = make_user("session")
    first = world.register(make_user("one"), session)
    world.sleep(1)
    world.register(make_user("two"), session)
    assert world.head(session).registration_id == first.registration_id
    world.tick(119)
    assert world.head(session) is not None
    assert world.head(session).registration_id != first.registration_id
