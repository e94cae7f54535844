"""What a gateway may do to messages on their way to the client, and what comes of it: nothing, and another gateway."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from icws_secure.errors import MessageViolation, ProtocolViolation, Reason, StallError
from icws_secure.limits import MAX_CERTIFICATE_BYTES, NS_PER_S
from icws_secure.session.client import Disconnect, GatewayLost, SessionState
from icws_secure.sign import Ed25519Identity
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import HeadFrame, KeyedContent, MessagesFrame
from icws_secure.wire.hashtree import Fork, Labeled, encode_tree
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    decode_get_messages_result,
    encode_get_messages_argument,
)
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.service import (
    AckMessage,
    KeepAliveMessage,
    OpenMessage,
    SkipMessage,
    encode_service_message,
)

Attack = Callable[[Any, Any, MessagesFrame], Iterable[Any]]
"""Takes the kit, the world and an honest frame; gives what the gateway sends instead."""


def forged(kit: Any, world: Any, content: bytes, key: str, **changes: Any) -> MessagesFrame:
    """A frame that a canister with another state could have certified: all signatures are good."""
    leaves = MerkleMap.from_items({key.encode(): _sha256(content)})
    tree = MerkleMap.from_items({b"websocket": leaves})
    certificate = world.ic.certify(
        (b"canister", world.ic.canister_id.raw, b"certified_data"),
        tree=world.ic.tree(certified_data=tree.digest(), **changes),
    )
    witness = tree.witness([(b"websocket", key.encode())])
    return MessagesFrame((KeyedContent(key, content),), certificate, encode_tree(witness))


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def certified(
    kit: Any, world: Any, *, nonce: int | None = None, gateway: Principal | None = None, **fields: Any
) -> Any:
    """A message that the canister certified, with some fields of its own choice."""
    plain: dict[str, Any] = {
        "client_key": world.client.client_key,
        "sequence_num": 1,
        "timestamp_ns": world.now,
        "is_service_message": False,
        "content": b"forged",
        "salt": bytes(16),
    }
    message = CanisterMessage(**{**plain, **fields})
    name = gateway if gateway is not None else world.connection.principal
    return forged(kit, world, message.encode(), message_key(name, world.now + 10**12 if nonce is None else nonce))


def altered_content(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    item = frame.messages[0]
    return [MessagesFrame((KeyedContent(item.key, item.content[:-1] + b"X"),), frame.cert, frame.tree)]


def altered_witness(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [MessagesFrame(frame.messages, frame.cert, frame.tree[:-1] + bytes([frame.tree[-1] ^ 1]))]


def altered_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [MessagesFrame(frame.messages, frame.cert[:-1] + bytes([frame.cert[-1] ^ 1]), frame.tree)]


def forged_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    world.ic.signer = kit.OTHER_SUBNET
    return [certified(kit, world)]


def certificate_of_another_subnet(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    elsewhere = Principal(bytes.fromhex("00000000002000010101"))
    world.ic.signer = kit.OTHER_SUBNET
    world.ic.delegation = kit.delegation_for(kit.OTHER_SUBNET, elsewhere, elsewhere, world.now)
    return [certified(kit, world)]


def certificate_of_another_canister(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    other = Principal(bytes.fromhex("00000000001000020101"))
    own = world.ic.canister_id
    world.ic.canister_id = other
    answer = certified(kit, world)
    world.ic.canister_id = own
    return [answer]


def stale_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    item = frame.messages[0]
    return [forged(kit, world, item.content, item.key, time_ns=world.now - 301 * NS_PER_S)]


def future_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    item = frame.messages[0]
    return [forged(kit, world, item.content, item.key, time_ns=world.now + 302 * NS_PER_S)]


def label_as_leaf(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    """The witness' leaf is at the label ``websocket`` itself, which deployed clients fall back to."""
    item = frame.messages[0]
    tree = MerkleMap.from_items({b"websocket": _sha256(item.content)})
    certificate = world.ic.certify(
        (b"canister", world.ic.canister_id.raw, b"certified_data"), tree=world.ic.tree(certified_data=tree.digest())
    )
    return [MessagesFrame(frame.messages, certificate, encode_tree(tree.witness([(b"websocket",)])))]


def label_twice(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    """A canister's tree that is not well formed has two readings under one digest."""
    item = frame.messages[0]
    once = MerkleMap.from_items({b"websocket": MerkleMap.from_items({item.key.encode(): _sha256(item.content)})})
    shown = once.witness([(b"websocket", item.key.encode())])
    assert isinstance(shown, Labeled)
    twice = Fork(shown, shown)
    certificate = world.ic.certify(
        (b"canister", world.ic.canister_id.raw, b"certified_data"), tree=world.ic.tree(certified_data=twice.digest)
    )
    return [MessagesFrame(frame.messages, certificate, encode_tree(twice))]


def key_of_another_message(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    item = frame.messages[0]
    key = message_key(world.connection.principal, int(item.key[-20:]) + 7)
    return [MessagesFrame((KeyedContent(key, item.content),), frame.cert, frame.tree)]


def key_of_odd_form(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    item = frame.messages[0]
    return [forged(kit, world, item.content, item.key[:-20] + str(int(item.key[-20:])))]


def queue_of_another_gateway(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, gateway=world.gateways[1].principal)]


def message_of_another_client(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    stranger = Ed25519Identity(b"\x07" * 32).principal
    return [certified(kit, world, client_key=ClientKey(stranger, world.client.client_key.client_nonce))]


def message_of_another_client_nonce(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    own = world.client.client_key
    return [certified(kit, world, client_key=ClientKey(own.client_principal, own.client_nonce ^ 1))]


def acknowledgement_of_another_client(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    stranger = Ed25519Identity(b"\x07" * 32).principal
    content = encode_service_message(AckMessage(0))
    return [certified(kit, world, client_key=ClientKey(stranger, 1), is_service_message=True, content=content)]


def number_skipped(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, sequence_num=2)]


def number_zero(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, sequence_num=0)]


def younger_than_its_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, timestamp_ns=world.now + 1)]


def older_than_a_minute(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, timestamp_ns=world.now - 61 * NS_PER_S)]


def acknowledges_too_much(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    content = encode_service_message(AckMessage(1_000))
    return [certified(kit, world, is_service_message=True, content=content)]


def service_message_of_a_client(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    content = encode_service_message(KeepAliveMessage(0))
    return [certified(kit, world, is_service_message=True, content=content)]


def open_message_in_a_secure_session(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    content = encode_service_message(OpenMessage(world.client.client_key))
    return [certified(kit, world, is_service_message=True, content=content)]


def service_message_that_is_none(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [certified(kit, world, is_service_message=True, content=b"DIDL nonsense")]


def content_that_is_none(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [forged(kit, world, b"\xa0", message_key(world.connection.principal, world.now + 10**12))]


def too_long_certificate(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [MessagesFrame(frame.messages, frame.cert + bytes(MAX_CERTIFICATE_BYTES), frame.tree)]


def deep_tree(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    deep = b"\x83\x02\x41a" * 100_000 + b"\x81\x00"
    return [MessagesFrame(frame.messages, frame.cert, deep)]


def garbage(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [b"\xff\x00garbage"]


def unknown_frame(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [cbor.encode({"surprise": 1})]


def second_handshake(kit: Any, world: Any, frame: MessagesFrame) -> Iterable[Any]:
    return [cbor.encode({"gateway_principal": world.connection.principal.raw})]


ATTACKS: list[tuple[Attack, Reason, str]] = [
    (altered_content, Reason.LEAF_MISMATCH, "ICWS-CLT-025"),
    (altered_witness, Reason.CERTIFIED_DATA_MISMATCH, "ICWS-CLT-023"),
    (altered_certificate, Reason.BAD_BLS_POINT, "ICWS-CLT-022"),
    (forged_certificate, Reason.BAD_BLS_SIGNATURE, "ICWS-CLT-022"),
    (certificate_of_another_subnet, Reason.CANISTER_NOT_IN_RANGES, "ICWS-CLT-022"),
    (certificate_of_another_canister, Reason.PATH_ABSENT, "ICWS-CLT-023"),
    (stale_certificate, Reason.CERTIFICATE_STALE, "ICWS-CLT-022"),
    (future_certificate, Reason.CERTIFICATE_FROM_FUTURE, "ICWS-CLT-022"),
    (label_as_leaf, Reason.PATH_ABSENT, "ICWS-CLT-024"),
    (label_twice, Reason.TREE_NOT_WELL_FORMED, "ICWS-CLT-023"),
    (key_of_another_message, Reason.PATH_ABSENT, "ICWS-CLT-024"),
    (key_of_odd_form, Reason.WRONG_KEY_FORM, "ICWS-CLT-026"),
    (queue_of_another_gateway, Reason.WRONG_GATEWAY, "ICWS-CLT-026"),
    (message_of_another_client, Reason.WRONG_CLIENT_KEY, "ICWS-CLT-028"),
    (message_of_another_client_nonce, Reason.WRONG_CLIENT_KEY, "ICWS-CLT-028"),
    (acknowledgement_of_another_client, Reason.WRONG_CLIENT_KEY, "ICWS-CLT-028"),
    (number_skipped, Reason.WRONG_SEQUENCE_NUMBER, "ICWS-CLT-029"),
    (number_zero, Reason.UNEXPECTED_SERVICE_MESSAGE, "ICWS-CLT-036"),
    (younger_than_its_certificate, Reason.TIMESTAMP_AFTER_CERTIFICATE, "ICWS-CLT-030"),
    (acknowledges_too_much, Reason.ACK_OUT_OF_RANGE, "ICWS-CLT-034"),
    (service_message_of_a_client, Reason.UNEXPECTED_SERVICE_MESSAGE, "ICWS-CLT-036"),
    (open_message_in_a_secure_session, Reason.UNEXPECTED_SERVICE_MESSAGE, "ICWS-CLT-036"),
    (service_message_that_is_none, Reason.MALFORMED, "ICWS-CLT-036"),
    (content_that_is_none, Reason.MISSING_FIELD, "ICWS-CLT-021"),
    (too_long_certificate, Reason.TOO_LARGE, "ICWS-CLT-020"),
    (deep_tree, Reason.TOO_DEEP, "ICWS-CLT-020"),
    (garbage, Reason.MALFORMED, "ICWS-CLT-032"),
    (unknown_frame, Reason.UNKNOWN_FIELD, "ICWS-CLT-032"),
    (second_handshake, Reason.UNEXPECTED_FRAME, "ICWS-CLT-032"),
]


def once(kit: Any, world: Any, attack: Attack) -> None:
    """Let the gateway in use do ``attack`` to the next message, and nothing afterwards."""
    gateway = world.connection
    signer, delegation = world.ic.signer, world.ic.delegation

    def tamper(frame: Any) -> Iterable[Any]:
        if not isinstance(frame, MessagesFrame):
            return [frame]
        gateway.tamper = lambda frame: [frame]
        result = list(attack(kit, world, frame))
        world.ic.signer, world.ic.delegation = signer, delegation
        return result

    gateway.tamper = tamper


@pytest.mark.req(
    "ICWS-CLT-020",
    "ICWS-CLT-021",
    "ICWS-CLT-022",
    "ICWS-CLT-023",
    "ICWS-CLT-024",
    "ICWS-CLT-025",
    "ICWS-CLT-026",
    "ICWS-CLT-028",
    "ICWS-CLT-029",
    "ICWS-CLT-030",
    "ICWS-CLT-032",
    "ICWS-CLT-034",
    "ICWS-CLT-035",
    "ICWS-CLT-036",
)
@pytest.mark.parametrize(
    ("attack", "reason"),
    [pytest.param(attack, reason, id=f"{attack.__name__} {requirement}") for attack, reason, requirement in ATTACKS],
)
def test_a_message_that_was_meddled_with_costs_the_gateway_and_nothing_else(
    kit: Any, attack: Attack, reason: Reason
) -> None:
    world = kit.World(gateways=2).attached()
    bad = world.connection
    once(kit, world, attack)
    world.canister_sends(b"one", b"two")
    error = world.first_loss()
    assert isinstance(error, ProtocolViolation)
    assert error.reason is reason
    assert world.received == []
    assert world.ended is None
    lost = world.of(GatewayLost)[0]
    assert lost.target.url == bad.url
    assert lost.evidence is not None
    assert lost.evidence.reason == str(reason)
    # the other gateway brings both, once and in order
    assert world.run_until(lambda: world.received == [b"one", b"two"])
    assert world.connection is world.gateways[1]
    assert len(world.lost) == 1


@pytest.mark.req("ICWS-CLT-031")
def test_a_message_that_is_too_old_is_a_stall_and_no_violation(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    once(kit, world, older_than_a_minute)
    world.canister_sends(b"one")
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.reason is Reason.MESSAGE_TOO_OLD
    assert world.of(GatewayLost)[0].evidence is None
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-031")
def test_retained_messages_may_be_as_old_as_the_resume_window(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False).attached()
    gateway = world.gateways[0]
    gateway.is_alive = False
    world.break_connection()
    world.run(1)
    world.canister_sends(b"one")
    world.run(120)
    gateway.is_alive = True
    assert world.run_until(lambda: world.received == [b"one"])


@pytest.mark.req("ICWS-CLT-027")
def test_a_message_that_comes_twice_is_refused(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    gateway = world.connection
    gateway.tamper = lambda frame: [frame, frame] if isinstance(frame, MessagesFrame) else [frame]
    world.canister_sends(b"one")
    assert world.first_loss().reason is Reason.NONCE_NOT_INCREASING
    gateway.tamper = lambda frame: [frame]
    assert world.run_until(lambda: world.client.gateway is not None)
    world.run(5)
    assert world.received == [b"one"]


@pytest.mark.req("ICWS-CLT-027", "ICWS-CLT-029")
def test_messages_that_change_places_are_refused(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    held: list[Any] = []

    def swap(frame: Any) -> Iterable[Any]:
        if not isinstance(frame, MessagesFrame):
            return [frame]
        held.append(frame)
        return [held[1], held[0]] if len(held) == 2 else [] if len(held) == 1 else [frame]

    world.connection.tamper = swap
    world.canister_sends(b"one")
    world.run(0.2)
    world.canister_sends(b"two")
    assert world.first_loss().reason is Reason.WRONG_SEQUENCE_NUMBER
    assert world.run_until(lambda: world.received == [b"one", b"two"])


@pytest.mark.req("ICWS-CLT-029")
def test_a_message_that_is_dropped_is_noticed_at_the_next_one(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    dropped: list[Any] = []

    def drop(frame: Any) -> Iterable[Any]:
        if isinstance(frame, MessagesFrame) and not dropped:
            dropped.append(frame)
            return []
        return [frame]

    world.connection.tamper = drop
    world.canister_sends(b"one")
    world.run(0.2)
    world.canister_sends(b"two")
    assert world.first_loss().reason is Reason.WRONG_SEQUENCE_NUMBER
    assert world.run_until(lambda: world.received == [b"one", b"two"])


@pytest.mark.req("ICWS-CLT-033")
def test_a_shared_frame_with_one_bad_message_delivers_none(kit: Any) -> None:
    world = kit.World(gateways=2).attached()

    def spoil(frame: Any) -> Iterable[Any]:
        if isinstance(frame, MessagesFrame) and len(frame.messages) == 3:
            last = KeyedContent(frame.messages[2].key, frame.messages[2].content + b"X")
            return [MessagesFrame((*frame.messages[:2], last), frame.cert, frame.tree)]
        return [frame]

    world.connection.tamper = spoil
    world.canister_sends(b"one", b"two", b"three")
    assert world.first_loss().reason is Reason.LEAF_MISMATCH
    assert world.received == []
    assert world.run_until(lambda: world.received == [b"one", b"two", b"three"])


@pytest.mark.req("ICWS-CLT-032")
def test_nothing_is_delivered_after_a_failure(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False).attached()

    def spoil(frame: Any) -> Iterable[Any]:
        if isinstance(frame, MessagesFrame):
            return [*altered_content(kit, world, frame), frame]
        return [frame]

    world.connection.tamper = spoil
    world.canister_sends(b"one")
    world.first_loss()
    assert world.received == []
    assert world.client.state is SessionState.DETACHED


@pytest.mark.req("ICWS-CLT-030")
def test_timestamps_never_decrease(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    first = certified(kit, world, sequence_num=1, timestamp_ns=world.now, nonce=world.now + 10**12)
    second = certified(kit, world, sequence_num=2, timestamp_ns=world.now - 1, nonce=world.now + 10**12 + 1)
    world.to_client(first.encode(), world.connection_id)
    assert world.received == [b"forged"]
    world.to_client(second.encode(), world.connection_id)
    assert world.lost[0].reason is Reason.TIMESTAMP_DECREASING
    assert isinstance(world.lost[0], MessageViolation)


@pytest.mark.req("ICWS-CLT-034")
def test_acknowledgements_never_decrease(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    for n in range(3):
        world.send(b"%d" % n)
    world.run(1)
    for seq, ack in ((1, 3), (2, 1)):
        content = encode_service_message(AckMessage(ack))
        frame = certified(
            kit, world, sequence_num=seq, is_service_message=True, content=content, nonce=world.now + 10**12 + seq
        )
        world.to_client(frame.encode(), world.connection_id)
    assert world.lost[0].reason is Reason.ACK_DECREASING


def test_a_skipped_number_and_a_tombstone_pass_in_silence(kit: Any) -> None:
    world = kit.World(gateways=1).attached()
    nonce = world.now + 10**12
    tombstone = forged(kit, world, b"", message_key(world.connection.principal, nonce))
    skip = certified(
        kit, world, is_service_message=True, content=encode_service_message(SkipMessage()), nonce=nonce + 1
    )
    message = certified(kit, world, sequence_num=2, nonce=nonce + 2)
    for frame in (tombstone, skip, message):
        world.to_client(frame.encode(), world.connection_id)
    assert world.lost == []
    assert world.received == [b"forged"]


def test_a_text_message_is_a_violation(world: Any) -> None:
    world.client.receive_frame("text", world.client_now)
    world.drain()
    assert world.lost[0].reason is Reason.UNEXPECTED_FRAME


def test_frames_of_the_subprotocol_need_the_subprotocol(kit: Any) -> None:
    world = kit.World(gateways=2, subprotocol=False).attached()
    frame = world.ic.head_frame(world.client.session_principal)
    world.to_client(frame.encode(), world.connection_id)
    assert world.lost[0].reason is Reason.UNEXPECTED_FRAME


def test_a_gateway_without_the_subprotocol_serves_too(kit: Any) -> None:
    world = kit.World(gateways=1, subprotocol=False)
    world.ic.handler = lambda ic, key, data: ic.send(key, data)
    world.attached()
    send_id = world.send(b"hello")
    assert world.run_until(lambda: world.received == [b"hello"] and world.outcome(send_id) is not None)
    assert world.lost == []


def test_the_gateway_is_told_that_verification_failed(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    world.to_client(b"garbage", world.connection_id)
    goodbye = next(action for action in world.log if isinstance(action, Disconnect))
    assert goodbye.code == CloseCode.VERIFICATION_FAILED
    assert goodbye.reason.startswith("VerificationFailed: ")


def test_messages_of_an_earlier_attachment_through_the_same_gateway_are_dropped(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False).attached()
    gateway = world.gateways[0]
    held: list[Any] = []

    def hold(frame: Any) -> Iterable[Any]:
        if isinstance(frame, MessagesFrame):
            held.append(frame)
            return []
        return [frame]

    gateway.tamper = hold
    world.canister_sends(b"one")
    world.run(0.5)
    assert len(held) == 1
    gateway.tamper = lambda frame: [frame]
    world.break_connection()
    # what was queued for the attachment before comes before and after the new attach message
    gateway.tamper = lambda frame: [*held, frame, *held] if isinstance(frame, MessagesFrame) else [frame]
    assert world.run_until(lambda: world.client.gateway is not None)
    gateway.tamper = lambda frame: [frame]
    world.canister_sends(b"two")
    assert world.run_until(lambda: world.received == [b"one", b"two"])
    assert [error.reason for error in world.lost] == [Reason.CONNECTION_LOST]


def test_a_relayed_head_needs_its_certificate(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    frame = world.ic.head_frame(world.client.session_principal)
    bad = HeadFrame(frame.cert, frame.tree[:-1] + bytes([frame.tree[-1] ^ 1]))
    world.to_client(bad.encode(), world.connection_id)
    assert isinstance(world.lost[0], ProtocolViolation)


def test_direct_polls_are_verified_the_same_way(kit: Any) -> None:
    world = kit.World(gateways=0).attached()
    world.canister_sends(b"one")
    first = decode_get_messages_result(
        world.ic.canister.get_messages(
            world.client.session_principal, encode_get_messages_argument(0), world.ic.data_certificate()
        )
    )
    assert isinstance(first, CertifiedMessages)
    assert first.messages

    def tamper(request: Any, status: int, body: bytes) -> tuple[int, bytes]:
        return status, body.replace(b"one", b"0ne")

    world.http_filter = tamper
    assert world.first_loss().reason is Reason.LEAF_MISMATCH
    world.http_filter = None
    assert world.run_until(lambda: world.received == [b"one"])
