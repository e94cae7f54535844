"""What gateways poll, and audits."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.limits import POLL_BYTES
from icws_secure.wire import interface as wire
from icws_secure.wire import registration as reg
from icws_secure.wire.hashtree import ABSENT, UNKNOWN, Found, decode_tree, digest, lookup
from icws_secure.wire.head import EPOCH_PATH, decode_epoch, decode_head, head_path
from icws_secure.wire.message import parse_message_key
from icws_secure.wire.principal import ANONYMOUS
from icws_secure.wire.refusal import RefusalCode

CERTIFICATE = b"the certificate"


def audit(world: Any, caller: Any, *sessions: Any, certificate: bytes | None = CERTIFICATE) -> Any:
    return reg.decode_audit_result(world.sessions.audit(caller, reg.encode_audit_argument(sessions), certificate))


@pytest.mark.req("ICWS-CAN-024")
def test_a_poll_has_at_most_fifty_messages(world: Any, alice: Any) -> None:
    for number in range(120):
        world.send(alice.key, b"%d" % number)
    first = world.poll_raw(alice.gateway)
    assert len(first.messages) == 50
    assert not first.is_end_of_queue
    everything = world.poll_all(alice.gateway)
    nonces = [parse_message_key(output.key)[1] for output in everything]
    assert nonces == list(range(nonces[0], nonces[0] + len(nonces)))
    assert world.poll_raw(alice.gateway, nonces[-1]).is_end_of_queue


@pytest.mark.req("ICWS-CAN-024")
@pytest.mark.parametrize("size", [1 << 20, 600 << 10, 40 << 10])
def test_a_poll_has_at_most_one_and_a_half_mebibytes_and_at_least_one_message(
    make_world: Any, make_alice: Any, size: int
) -> None:
    world = make_world(retained_bytes=64 << 20)
    alice = make_alice(world)
    count = 4 * POLL_BYTES // size
    for _ in range(count):
        world.send(alice.key, bytes(size))
    nonce, polls, messages = 0, 0, 0
    while True:
        arg = wire.encode_get_messages_argument(nonce)
        raw = world.sessions.get_messages(alice.gateway, arg, CERTIFICATE)
        assert len(raw) <= POLL_BYTES
        reply = wire.decode_get_messages_result(raw)
        assert isinstance(reply, wire.CertifiedMessages)
        assert len(reply.messages) >= 1
        polls, messages = polls + 1, messages + len(reply.messages)
        if reply.is_end_of_queue:
            break
        nonce = parse_message_key(reply.messages[-1].key)[1] + 1
    assert messages >= count + 1
    assert polls > 1


@pytest.mark.req("ICWS-CAN-025")
def test_a_poller_is_given_its_own_queue_only(world: Any, alice: Any, make_alice: Any, make_user: Any) -> None:
    bob = make_alice(world, "bob", "another gateway")
    world.send(alice.key, b"alice's")
    world.send(bob.key, b"bob's")
    assert {output.client_key for output in world.poll_all(bob.gateway)} == {bob.key}
    assert {output.client_key for output in world.poll_all(alice.gateway)} == {alice.key}
    for stranger in (make_user("stranger"), alice.principal, alice.owner, ANONYMOUS):
        assert world.poll_all(stranger) == []


def test_a_witness_shows_what_was_polled_and_hides_other_queues(world: Any, alice: Any, make_alice: Any) -> None:
    bob = make_alice(world, "bob", "another gateway")
    world.send(alice.key, b"x")
    (theirs,) = world.poll_raw(bob.gateway).messages
    tree = decode_tree(world.poll_raw(alice.gateway).tree)
    assert lookup(tree, (b"websocket", theirs.key.encode())) is UNKNOWN or not isinstance(
        lookup(tree, (b"websocket", theirs.key.encode())), Found
    )


def test_an_empty_poll_is_empty(world: Any, alice: Any) -> None:
    reply = world.poll_raw(alice.gateway, world.now + 1)
    assert (reply.messages, reply.cert, reply.tree, reply.is_end_of_queue) == ((), b"", b"", True)


@pytest.mark.req("ICWS-CAN-071")
def test_a_poll_without_a_data_certificate_is_refused(world: Any, alice: Any, code_of: Any) -> None:
    arg = wire.encode_get_messages_argument(0)
    reply = wire.decode_get_messages_result(world.sessions.get_messages(alice.gateway, arg, None))
    assert code_of(reply) is RefusalCode.NO_DATA_CERTIFICATE


def test_a_poll_that_cannot_be_read_is_refused(world: Any, alice: Any, code_of: Any) -> None:
    reply = wire.decode_get_messages_result(world.sessions.get_messages(alice.gateway, b"nonsense", CERTIFICATE))
    assert code_of(reply) is RefusalCode.MALFORMED_ARGUMENT


@pytest.mark.req("ICWS-CAN-052")
def test_a_session_and_its_gateway_are_shown_the_certified_head(world: Any, alice: Any) -> None:
    world.send(alice.key, b"x")
    for caller in (alice.principal, alice.gateway):
        answer = audit(world, caller, alice.principal)
        assert answer.epoch == world.sessions.state.epoch_ns
        assert answer.cert == CERTIFICATE
        tree = decode_tree(answer.tree)
        assert digest(tree) == world.sessions.certified_root()
        epoch = lookup(tree, EPOCH_PATH)
        assert isinstance(epoch, Found)
        assert decode_epoch(epoch.value) == answer.epoch
        assert lookup(tree, head_path(alice.principal)) == Found(answer.heads[0])
        assert decode_head(answer.heads[0]) == alice.head


@pytest.mark.req("ICWS-CAN-052")
def test_nobody_else_is_shown_a_head(world: Any, alice: Any, make_alice: Any, make_user: Any, code_of: Any) -> None:
    bob = make_alice(world, "bob", "another gateway")
    for stranger in (alice.owner, bob.gateway, bob.principal, make_user("stranger")):
        assert code_of(audit(world, stranger, alice.principal)) is RefusalCode.NOT_YOUR_SESSION
    answer = audit(world, bob.gateway, bob.principal, alice.principal)
    assert answer.heads[0] is not None
    assert answer.heads[1] is None
    assert not isinstance(lookup(decode_tree(answer.tree), head_path(alice.principal)), Found)


@pytest.mark.req("ICWS-CAN-052")
def test_an_audit_works_as_an_update_too(world: Any, alice: Any) -> None:
    answer = audit(world, alice.principal, alice.principal, certificate=None)
    assert (answer.cert, answer.tree) == (None, None)
    assert decode_head(answer.heads[0]) == alice.head


@pytest.mark.req("ICWS-CAN-052")
def test_the_absence_of_a_session_is_proven(world: Any, alice: Any, make_user: Any) -> None:
    stranger = make_user("stranger")
    answer = audit(world, stranger, stranger)
    assert answer.heads == (None,)
    assert lookup(decode_tree(answer.tree), head_path(stranger)) is ABSENT


def test_an_audit_is_of_fifty_sessions_at_most(world: Any, alice: Any, code_of: Any) -> None:
    assert audit(world, alice.principal, *[alice.principal] * 50).heads[49] is not None
    assert code_of(audit(world, alice.principal, *[alice.principal] * 51)) is RefusalCode.TOO_MANY


def test_the_gateway_of_a_detached_session_can_still_show_its_head(world: Any, alice: Any) -> None:
    world.close(alice.gateway, alice.key, 1)
    assert decode_head(audit(world, alice.gateway, alice.principal).heads[0]).state == "detached"


def test_queries_cannot_be_made_to_raise(world: Any, alice: Any, code_of: Any) -> None:
    assert code_of(reg.decode_audit_result(world.sessions.audit(alice.principal, b"\x00", b""))) is (
        RefusalCode.MALFORMED_ARGUMENT
    )
    assert code_of(reg.decode_sessions_result(world.sessions.sessions(alice.owner, b"\x00"))) is (
        RefusalCode.MALFORMED_ARGUMENT
    )
