"""Answers to polls: what a replica says must hold together before anybody is shown it."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_gateway.delivery import deliver
from icws_gateway.directory import CanisterClients
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.open_check import OpenedSession
from icws_gateway.reply_check import PollRefused, ReplicaFault, ReplyChecker
from icws_secure.wire.certificate import CertificateDelegation, encode_certificate
from icws_secure.wire.frames import MessageFrame, MessagesFrame, decode_gateway_frame
from icws_secure.wire.hashtree import ABSENT, UNKNOWN, Found, decode_tree, encode_tree, lookup
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    OutputMessage,
    Refusal,
    encode_get_messages_result,
)
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY, CanisterMessage, message_key, message_path
from icws_secure.wire.principal import Principal

GATEWAY = Principal.self_authenticating(b"gateway")
CANISTER = Principal(bytes(9) + b"\x01")
ALICE = ClientKey(Principal.self_authenticating(b"alice"), 1)
BOB = ClientKey(Principal.self_authenticating(b"bob"), 2)
TIME = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True, params=["usual", "general"])
def reader(request, monkeypatch):
    """All of it with the quick readers, where those read something, and without."""
    if request.param == "general":
        monkeypatch.setattr("icws_gateway.reply_check.usual_reply", lambda _: None)
        monkeypatch.setattr("icws_gateway.reply_check.usual_witness", lambda _: None)


def content_of(key: ClientKey, number: int, text: bytes = b"hi") -> bytes:
    return CanisterMessage(key, number, TIME, False, text).encode()


def queue(*keys: ClientKey, first: int = 100) -> list[OutputMessage]:
    return [OutputMessage(key, message_key(GATEWAY, first + n), content_of(key, n + 1)) for n, key in enumerate(keys)]


def certificate(root: bytes, canister: Principal = CANISTER, delegation: CertificateDelegation | None = None) -> bytes:
    state = MerkleMap.from_items(
        {
            b"canister": MerkleMap.from_items(
                {canister.raw: MerkleMap.from_items({b"certified_data": root, b"module_hash": bytes(32)})}
            ),
            b"time": encode_unsigned(TIME),
        }
    )
    witness = state.witness([(b"time",), (b"canister", canister.raw, b"certified_data")])
    return encode_certificate(witness, bytes(48), delegation)


def tree_of(messages: list[OutputMessage]) -> MerkleMap:
    leaves = {message.key.encode(): sha256(message.content).digest() for message in messages}
    leaves |= {message_key(GATEWAY, n).encode(): bytes(32) for n in range(40)}  # other messages of the queue
    return MerkleMap.from_items({b"icws": b"x", b"websocket": MerkleMap.from_items(leaves)})


def reply(queued: list[OutputMessage], grown: MerkleMap | None = None, /, **changes: object) -> CertifiedMessages:
    grown = grown if grown is not None else tree_of(queued)
    witness = grown.witness([message_path(message.key) for message in queued])
    result = CertifiedMessages(tuple(queued), certificate(grown.digest()), encode_tree(witness), True)
    return replace(result, **changes)


def check(result: CertifiedMessages | Refusal):
    return ReplyChecker(CANISTER, GATEWAY).check(encode_get_messages_result(result))


def fault(result: CertifiedMessages) -> str:
    with pytest.raises(ReplicaFault) as error:
        check(result)
    return error.value.kind


def test_true_reply_passes():
    found = check(reply(queue(ALICE, BOB, ALICE), is_end_of_queue=False))
    assert [message.nonce for message in found.messages] == [100, 101, 102]
    assert found.more
    assert found.time_ns == TIME


def test_empty_reply_needs_no_certificate():
    found = check(CertifiedMessages((), b"", b"", True))
    assert found.messages == ()
    assert not found.more


def test_refusal_of_the_canister_is_not_a_fault():
    with pytest.raises(PollRefused):
        check(Refusal("NotYourGateway", "who are you"))


def test_tombstone_passes():
    messages = queue(ALICE)
    messages.append(OutputMessage(TOMBSTONE_CLIENT_KEY, message_key(GATEWAY, 101), b""))
    assert len(check(reply(messages)).messages) == 2


@pytest.mark.req("ICWS-GWY-007")
def test_altered_content_is_a_fault():
    messages = queue(ALICE, BOB)
    altered = [messages[0], replace(messages[1], content=content_of(BOB, 2, b"ho"))]
    assert fault(reply(messages, messages=tuple(altered))) == "leaf"


@pytest.mark.req("ICWS-GWY-007")
def test_swapped_keys_are_a_fault():
    one, two = queue(ALICE, ALICE)
    swapped = (replace(one, content=two.content), replace(two, content=one.content))
    assert fault(reply([one, two], messages=swapped)) == "leaf"


@pytest.mark.req("ICWS-GWY-007")
def test_witness_of_another_root_is_a_fault():
    messages = queue(ALICE)
    other = tree_of(queue(BOB))
    assert fault(reply(messages, cert=certificate(other.digest()))) == "root"


@pytest.mark.req("ICWS-GWY-007")
def test_message_that_the_witness_does_not_show_is_a_fault():
    messages = queue(ALICE, BOB)
    tree = tree_of(messages)
    witness = encode_tree(tree.witness([message_path(messages[0].key)]))
    assert fault(reply(messages, tree, tree=witness)) == "leaf"


@pytest.mark.req("ICWS-GWY-007")
@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"cert": b""}, "certificate"),
        ({"cert": b"\xd9\xd9\xf7\xa0"}, "certificate"),
        ({"cert": certificate(bytes(32), Principal(bytes(8) + b"\x05\x01"))}, "certificate"),
        ({"tree": b""}, "witness"),
        ({"tree": b"\x82\x04\x41\x00"}, "witness"),
    ],
)
def test_broken_parts_are_faults(changes, kind):
    assert fault(reply(queue(ALICE), **changes)) == kind


@pytest.mark.parametrize(
    "key",
    [
        message_key(Principal.self_authenticating(b"other gateway"), 100),
        message_key(GATEWAY, 100).replace("_", "_+", 1)[:-1],
        message_key(GATEWAY, 100) + "0",
        GATEWAY.to_text() + "_100",
        "",
    ],
)
def test_key_of_another_form_or_queue_is_a_fault(key):
    messages = [OutputMessage(ALICE, key, content_of(ALICE, 1))]
    assert fault(reply(messages)) == "key"


@pytest.mark.req("ICWS-GWY-008")
def test_message_addressed_to_another_client_than_its_own_is_a_fault():
    message = OutputMessage(BOB, message_key(GATEWAY, 100), content_of(ALICE, 1))
    assert fault(reply([message])) == "addressee"


@pytest.mark.parametrize("content", [b"nothing", b""])
def test_content_that_is_no_message_is_a_fault(content):
    assert fault(reply([OutputMessage(BOB, message_key(GATEWAY, 100), content)])) == "content"


def test_certificate_with_old_ranges_is_readable_by_all():
    subnet = Principal.self_authenticating(b"subnet")

    def delegation(place: dict[bytes, object]) -> CertificateDelegation:
        inner = MerkleMap.from_items(place)  # type: ignore[arg-type]
        return CertificateDelegation(subnet, encode_certificate(inner.witness([(name,) for name in place]), bytes(48)))

    old = delegation({b"subnet": MerkleMap.from_items({subnet.raw: MerkleMap.from_items({b"canister_ranges": b"x"})})})
    new = delegation({b"canister_ranges": MerkleMap.from_items({subnet.raw: MerkleMap.from_items({b"": b"x"})})})
    checker = ReplyChecker(CANISTER, GATEWAY)
    assert checker.readable_by_all(certificate(bytes(32)))
    assert checker.readable_by_all(certificate(bytes(32), delegation=old))
    assert not checker.readable_by_all(certificate(bytes(32), delegation=new))


@pytest.mark.req("ICWS-GWY-012")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_of_a_reply_is_a_fault_or_harmless(data):
    good = encode_get_messages_result(reply(queue(ALICE, BOB)))
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes((data.draw(st.integers(0, 255)),)) + good[at + 1 :]
    try:
        found = ReplyChecker(CANISTER, GATEWAY).check(changed)
    except (ReplicaFault, PollRefused):
        return
    true = {message.nonce: message.content for message in check(reply(queue(ALICE, BOB))).messages}
    assert {message.nonce: message.content for message in found.messages}.items() <= true.items()


# delivery


class Inbox:
    def __init__(self, key: ClientKey, *, modern: bool) -> None:
        self.session = OpenedSession(CANISTER, key, modern, 1)
        self.modern = modern
        self.attached = True
        self.frames: list[MessageFrame | MessagesFrame] = []

    def send(self, frame: bytes) -> bool:
        self.frames.append(decode_gateway_frame(frame))  # type: ignore[arg-type]
        return True

    def post(self, frame: bytes, kind: str) -> None:
        self.send(frame)

    def refuse(self, why: object) -> None:
        raise AssertionError(why)


@pytest.mark.req("ICWS-GWY-008")
@pytest.mark.parametrize("modern", [True, False])
def test_client_is_shown_its_own_messages_only(modern):
    messages = queue(*([ALICE, BOB] * 10))
    found = check(reply(messages))
    clients = CanisterClients(CANISTER)
    alice, bob = Inbox(ALICE, modern=modern), Inbox(BOB, modern=False)
    clients.put(alice)
    clients.put(bob)
    deliver(found, found.messages, clients, GatewayMetrics())
    shown = set()
    for sent in alice.frames:
        tree = decode_tree(sent.tree)
        assert tree.digest == tree_of(messages).digest()
        keys = {m.key for m in sent.messages} if isinstance(sent, MessagesFrame) else {sent.key}
        shown |= keys
        for message in messages:
            answer = lookup(tree, message_path(message.key))
            if message.key in keys:
                assert answer == Found(sha256(message.content).digest())
            else:
                assert answer in (UNKNOWN, ABSENT)
                assert sha256(message.content).digest() not in sent.tree
        assert b"icws" not in sent.tree
    assert shown == {message.key for message in messages if message.client_key == ALICE}
    assert len(alice.frames) == (1 if modern else 10)


def test_messages_of_clients_that_are_not_here_are_skipped():
    found = check(reply(queue(ALICE, BOB)))
    clients = CanisterClients(CANISTER)
    bob = Inbox(BOB, modern=True)
    clients.put(bob)
    metrics = GatewayMetrics()
    deliver(found, found.messages, clients, metrics)
    assert len(bob.frames) == 1
    assert metrics.registry.get_sample_value("icws_gateway_messages_skipped_total") == 1


def test_pruned_witness_is_small():
    messages = queue(*[ALICE] * 50)
    found = check(reply(messages))
    clients = CanisterClients(CANISTER)
    alice = Inbox(ALICE, modern=False)
    clients.put(alice)
    deliver(found, found.messages, clients, GatewayMetrics())
    whole = len(reply(messages).tree)
    assert max(len(sent.tree) for sent in alice.frames) < whole / 8


@pytest.mark.req("ICWS-GWY-012")
@pytest.mark.parametrize("nonce", [(1 << 64) - 1, 1 << 64, 10**20 - 1])
def test_a_nonce_after_which_nothing_can_be_asked_for_is_a_fault(nonce: int) -> None:
    key = f"{GATEWAY.to_text()}_{nonce:020d}"
    with pytest.raises(ReplicaFault) as caught:
        check(reply([OutputMessage(ALICE, key, content_of(ALICE, 1))]))
    assert caught.value.kind == "key"
