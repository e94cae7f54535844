"""The handshake, ``ws_open``, and the canister's answers to it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from icws_secure.errors import AttachViolation, MisuseError, Reason, Refused, SessionEnded, StallError, TransportError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Attached, ClientConfig, Connect, Disconnect, GatewayLost, GatewayTarget, Opened
from icws_secure.sign import DelegatedIdentity, Ed25519Identity, sign_delegation
from icws_secure.verify import verify_envelope
from icws_secure.wire.close_codes import CloseCode, SessionCloseCode
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.frames import Handshake, KeyedContent, MessagesFrame
from icws_secure.wire.hashtree import encode_tree
from icws_secure.wire.interface import decode_open_argument, encode_open_result
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.message import CanisterMessage, decode_message, message_key
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.service import AttachMessage, decode_service_message, encode_service_message

STRANGER = Ed25519Identity(b"\x09" * 32).principal


def handshaking(kit: Any, principal: Callable[[Any], Principal], **options: Any) -> Any:
    """A world whose first gateway presents another principal."""
    world = kit.World(gateways=2, **options)

    def tamper(frame: Any) -> Iterable[Any]:
        return [Handshake(principal(world), frame.version) if isinstance(frame, Handshake) else frame]

    world.gateways[0].tamper = tamper
    return world


@pytest.mark.req("ICWS-CLT-010")
@pytest.mark.parametrize(
    "principal",
    [
        lambda world: ANONYMOUS,
        lambda world: Principal(b""),
        lambda world: world.ic.canister_id,
        lambda world: Principal(bytes(28) + b"\x03"),
        lambda world: world.client.session_principal,
        lambda world: world.owner.principal,
    ],
    ids=["anonymous", "management", "canister", "derived", "session", "owner"],
)
def test_a_principal_that_is_not_a_gateways_is_refused(kit: Any, principal: Callable[[Any], Principal]) -> None:
    world = handshaking(kit, principal)
    error = world.first_loss()
    assert isinstance(error, AttachViolation)
    assert error.reason is Reason.GATEWAY_PRINCIPAL_INVALID
    assert world.gateways[0].received == []
    world.attached()
    assert world.connection is world.gateways[1]


@pytest.mark.req("ICWS-CLT-011")
def test_another_principal_than_the_pinned_one_is_refused(kit: Any) -> None:
    pinned = kit.World(2, start=False)
    pinned.client = type(pinned.client)(
        replace(pinned.config, gateways=tuple(gateway.target(pinned=True) for gateway in pinned.gateways)),
        owner=pinned.owner,
        root_key=kit.ROOT_KEY,
        entropy=pinned.entropy,
    )
    pinned.gateways[0].tamper = lambda frame: [
        Handshake(STRANGER, frame.version) if isinstance(frame, Handshake) else frame
    ]
    pinned.client.start(pinned.client_now)
    pinned.drain()
    error = pinned.first_loss()
    assert isinstance(error, AttachViolation)
    assert error.reason is Reason.GATEWAY_NOT_PINNED
    pinned.attached()
    assert pinned.client.gateway == pinned.gateways[1].principal


def test_frames_before_the_handshake_are_refused(kit: Any) -> None:
    world = kit.World(gateways=1)
    world.gateways[0].tamper = lambda frame: [b"\xa1\x65drain\xa1\x67seconds\x01"]
    assert isinstance(world.first_loss().reason, Reason)
    assert world.lost[0].reason is Reason.UNEXPECTED_FRAME


def test_a_subprotocol_that_was_not_offered_is_refused(kit: Any) -> None:
    world = kit.World(gateways=1)
    assert world.run_until(lambda: any(isinstance(item, Connect) for item in world.log))
    world.client.connected(world.client_now, "other.1")
    world.drain()
    assert world.lost[0].reason is Reason.UNEXPECTED_FRAME


@pytest.mark.req("ICWS-CLT-012")
def test_the_open_is_signed_by_the_session_key_and_short_lived(kit: Any) -> None:
    world = kit.World(gateways=1).attached()
    envelope = world.gateways[0].received[0]
    assert envelope.sender_delegation is None
    assert verify_envelope(envelope, now=world.now).sender == world.client.session_principal
    assert envelope.content.method_name == "ws_open"
    assert envelope.content.ingress_expiry_ns <= kit.START_NS + 91 * NS_PER_S
    with pytest.raises(MisuseError) as caught:
        ClientConfig(canister_id=kit.CANISTER, open_ttl_ns=91 * NS_PER_S)
    assert caught.value.requirement == "ICWS-CLT-012"


@pytest.mark.req("ICWS-CLT-012")
def test_an_open_is_never_signed_through_a_delegation(kit: Any) -> None:
    world = kit.World(gateways=1)
    own = world.client._core.identity
    other = Ed25519Identity(b"\x05" * 32)
    chain = (sign_delegation(own, Delegation(other.public_key_der, kit.START_NS + 3_600 * NS_PER_S)),)
    world.client._core.identity = DelegatedIdentity(other, own.public_key_der, chain)
    error = world.first_loss()
    assert error.requirement == "ICWS-CLT-012"
    assert world.gateways[0].received == []


@pytest.mark.req("ICWS-CLT-013")
def test_each_open_has_a_higher_number_and_the_same_client_key(kit: Any) -> None:
    world = kit.World(gateways=2).attached()
    for _ in range(3):
        world.break_connection()
        world.attached()
    opens = [decode_open_argument(content.arg) for content in world.ic.calls if content.method_name == "ws_open"]
    numbers = [argument.secure.attach for argument in opens if argument.secure is not None]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 4
    assert {argument.client_nonce for argument in opens} == {world.client.client_key.client_nonce}
    assert [event.attach for event in world.of(Attached)] == numbers
    assert len(world.of(Opened)) == 1


@pytest.mark.req("ICWS-CLT-013")
def test_a_number_is_not_used_again_after_an_open_that_came_to_nothing(kit: Any) -> None:
    world = kit.World(gateways=2)
    world.gateways[0].relays_calls = False
    world.attached()
    held = decode_open_argument(world.gateways[0].held[0].content.arg)
    assert held.secure is not None
    assert held.secure.attach == 1
    assert world.client.attach == 2


@pytest.mark.req("ICWS-CLT-013", "ICWS-CAN-012")
def test_an_open_that_was_held_back_attaches_nothing_after_the_failover(kit: Any) -> None:
    world = kit.World(gateways=2)
    world.gateways[0].relays_calls = False
    world.attached()
    world.gateways[0].relay(world.gateways[0].held[0])
    world.canister_sends(b"still here")
    assert world.run_until(lambda: world.received == [b"still here"])
    world.run(30)
    assert world.ended is None


def refusing(kit: Any, code: str, **options: Any) -> Any:
    """A world whose canister refuses the opens from the second on."""
    world = kit.World(gateways=2, **options).attached()
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        return encode_open_result(Refusal(code, "no")) if method == "ws_open" else honest(caller, method, arg)

    world.ic.execute = execute
    world.break_connection()
    return world


@pytest.mark.req("ICWS-CLT-014")
def test_a_stale_attach_ends_the_session_and_no_higher_number_is_tried(kit: Any) -> None:
    world = refusing(kit, "StaleAttach")
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.SESSION_TAKEN
    assert error.requirement == "ICWS-CLT-014"
    assert world.client.attach == 2


@pytest.mark.req("ICWS-CLT-014")
@pytest.mark.parametrize("subprotocol", [True, False])
def test_a_stale_attach_is_found_out_where_the_gateway_keeps_it_to_itself(kit: Any, subprotocol: bool) -> None:
    world = kit.World(gateways=1, subprotocol=subprotocol, direct_fallback=False).attached()
    world.gateways[0].gives_receipts = False
    honest = world.ic.execute

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_open":
            return encode_open_result(Refusal("StaleAttach", "no"))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    world.break_connection()
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.SESSION_TAKEN


@pytest.mark.req("ICWS-CLT-014")
def test_two_processes_with_one_saved_session_do_not_fight(kit: Any) -> None:
    first = kit.World(gateways=1, names=["gateway-0"], direct_fallback=False).attached()
    saved = first.client.export_state()
    second = kit.World(names=["gateway-1"], ic=first.ic, saved=saved, owner=first.owner, direct_fallback=False)
    second.attached()
    assert second.client.attach == 2
    # the first learns from the certified head that somebody else has its key
    error = first.end(120)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.SESSION_TAKEN
    second.canister_sends(b"mine")
    assert second.run_until(lambda: second.received == [b"mine"])
    assert second.ended is None


@pytest.mark.req("ICWS-CLT-014")
@pytest.mark.parametrize("code", [CloseCode.SUPERSEDED, CloseCode.STALE_ATTACH])
def test_an_open_that_the_ic_is_still_to_execute_is_not_outbid(kit: Any, code: CloseCode) -> None:
    first = kit.World(gateways=1, names=["gateway-0"], direct_fallback=False).attached()
    first.run(1)
    saved = first.client.export_state()
    second = kit.World(names=["gateway-1"], ic=first.ic, saved=saved, owner=first.owner, direct_fallback=False)
    second.gateways[0].relays_calls = False
    assert second.run_until(lambda: second.gateways[0].held)
    # the gateway has given the first one's place away already, and the first asks: nothing has happened yet
    first.break_connection(code)
    assert first.run_until(lambda: first.ic.calls[-1].method_name == "ws_audit")
    second.gateways[0].relay(second.gateways[0].held[0])
    error = first.end(60)
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.SESSION_TAKEN
    second.attached()
    assert second.client.attach == 2
    assert second.ended is None


@pytest.mark.req("ICWS-CLT-014")
def test_a_close_that_names_another_holder_is_looked_into_twice_and_no_longer(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False).attached()
    world.run(1)
    world.break_connection(CloseCode.SUPERSEDED)
    world.attached()
    assert [content.method_name for content in world.ic.calls if content.method_name == "ws_audit"] == ["ws_audit"] * 2
    world.ic.is_reachable = False
    start = world.now
    world.break_connection(CloseCode.SUPERSEDED)
    assert world.run_until(lambda: world.connection is not None)
    assert world.now - start < 6 * NS_PER_S


@pytest.mark.req("ICWS-CLT-071")
def test_a_resume_gap_ends_the_session(kit: Any) -> None:
    error = refusing(kit, "ResumeGap").end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.RESUME_GAP
    assert error.requirement == "ICWS-CLT-071"


@pytest.mark.req("ICWS-CLT-035")
@pytest.mark.parametrize(
    ("refusal", "code"),
    [("Expired", SessionCloseCode.EXPIRED), ("RecentlyRevoked", SessionCloseCode.REVOKED)],
)
def test_certified_refusals_that_end_the_session(kit: Any, refusal: str, code: SessionCloseCode) -> None:
    error = refusing(kit, refusal).end()
    assert isinstance(error, SessionEnded)
    assert error.code == code


def test_a_refusal_that_tells_little_is_followed_by_an_audit(kit: Any) -> None:
    world = refusing(kit, "NotRegistered")
    world.run(5)
    audits = [content for content in world.ic.calls if content.method_name == "ws_audit"]
    assert audits
    assert world.ended is None  # the certified head says that the session is there
    assert any(isinstance(error, Refused) and error.certified for error in world.lost)


def test_a_session_that_was_never_open_ends_with_the_canisters_refusal(kit: Any) -> None:
    world = kit.World(gateways=2)
    honest = world.ic.execute
    world.ic.execute = lambda caller, method, arg: (
        encode_open_result(Refusal("CallerNotAllowed", "no")) if method == "ws_open" else honest(caller, method, arg)
    )
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert isinstance(error.__cause__, Refused)
    assert error.__cause__.code == "CallerNotAllowed"


def attach_message(kit: Any, world: Any, content: AttachMessage, **fields: Any) -> MessagesFrame:
    """An attach message with what the canister would not say."""
    gateway = world.gateways[0].principal
    message = CanisterMessage(
        **{
            "client_key": world.client.client_key,
            "sequence_num": 0,
            "timestamp_ns": world.now,
            "is_service_message": True,
            "content": encode_service_message(content),
            "salt": bytes(16),
            **fields,
        }
    ).encode()
    key = message_key(gateway, world.now)
    tree = MerkleMap.from_items({b"websocket": MerkleMap.from_items({key.encode(): hashlib.sha256(message).digest()})})
    certificate = world.ic.certify(
        (b"canister", world.ic.canister_id.raw, b"certified_data"), tree=world.ic.tree(certified_data=tree.digest())
    )
    witness = encode_tree(tree.witness([(b"websocket", key.encode())]))
    return MessagesFrame((KeyedContent(key, message),), certificate, witness)


def opened_with(kit: Any, change: Callable[[AttachMessage], AttachMessage], *, world: Any = None) -> Any:
    """A world whose first gateway has another attach message."""
    world = kit.World(gateways=2) if world is None else world
    gateway = world.gateways[0]

    def tamper(frame: Any) -> Iterable[Any]:
        if not isinstance(frame, MessagesFrame):
            return [frame]
        honest = decode_service_message(decode_message(frame.messages[0].content).content)
        assert isinstance(honest, AttachMessage)
        return [attach_message(kit, world, change(honest))]

    gateway.tamper = tamper
    return world


@pytest.mark.req("ICWS-CLT-015", "ICWS-CLT-016")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"registration_id": bytes(16)}, Reason.ATTACH_MISMATCH),
        ({"resume_from": 2}, Reason.ATTACH_MISMATCH),
        ({"next_out": 0}, Reason.ATTACH_MISMATCH),
        ({"open_hash": bytes(32)}, Reason.OPEN_HASH_MISMATCH),
    ],
    ids=str,
)
def test_an_attach_message_that_answers_another_open_is_refused(
    kit: Any, changes: dict[str, Any], reason: Reason
) -> None:
    world = opened_with(kit, lambda message: replace(message, **changes))
    if changes == {"next_out": 0}:
        error = world.end()  # less than was certified: the canister's state went back
        assert error.code == SessionCloseCode.STATE_ROLLBACK
        return
    error = world.first_loss()
    assert isinstance(error, AttachViolation)
    assert error.reason is reason
    world.attached()
    assert world.client.attach == 2


@pytest.mark.req("ICWS-CLT-015")
def test_an_attach_message_for_another_client_key_is_refused(kit: Any) -> None:
    world = opened_with(kit, lambda message: replace(message, client_key=replace(message.client_key, client_nonce=1)))
    assert world.first_loss().reason is Reason.ATTACH_MISMATCH


@pytest.mark.req("ICWS-CLT-015")
def test_messages_before_the_attach_message_are_dropped(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False)
    early = CanisterMessage(world.client.client_key, 1, kit.START_NS, False, b"early", bytes(16))

    def tamper(frame: Any) -> Iterable[Any]:
        if not isinstance(frame, MessagesFrame):
            return [frame]
        key = message_key(world.gateways[0].principal, 5)
        tree = MerkleMap.from_items(
            {b"websocket": MerkleMap.from_items({key.encode(): hashlib.sha256(early.encode()).digest()})}
        )
        certificate = world.ic.certify(
            (b"canister", world.ic.canister_id.raw, b"certified_data"),
            tree=world.ic.tree(certified_data=tree.digest()),
        )
        witness = encode_tree(tree.witness([(b"websocket", key.encode())]))
        world.gateways[0].tamper = lambda frame: [frame]
        return [MessagesFrame((KeyedContent(key, early.encode()),), certificate, witness), frame]

    world.gateways[0].tamper = tamper
    world.attached()
    assert world.received == []
    assert world.lost == []


@pytest.mark.req("ICWS-CLT-063")
def test_another_epoch_in_the_attach_message_ends_the_session(kit: Any) -> None:
    error = opened_with(kit, lambda message: replace(message, epoch=message.epoch + 1)).end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.EPOCH_CHANGED


@pytest.mark.req("ICWS-CLT-014")
def test_a_higher_attach_in_an_attach_message_ends_the_session(kit: Any) -> None:
    error = opened_with(kit, lambda message: replace(message, attach=message.attach + 1)).end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.SESSION_TAKEN


@pytest.mark.req("ICWS-CLT-072")
def test_an_attach_message_with_messages_that_were_never_sent_ends_the_session(kit: Any) -> None:
    error = opened_with(kit, lambda message: replace(message, next_in=5)).end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_FORKED


@pytest.mark.req("ICWS-CLT-071")
def test_an_attach_message_with_a_gap_ends_the_session(kit: Any) -> None:
    error = opened_with(kit, lambda message: replace(message, oldest_retained=3, next_out=5)).end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.RESUME_GAP


@pytest.mark.req("ICWS-CLT-062")
def test_an_attach_message_with_less_than_was_accepted_ends_the_session(kit: Any) -> None:
    world = kit.World(gateways=1, direct_fallback=False).attached()
    for n in range(3):
        world.send(b"%d" % n)
    world.run(1)
    world.break_connection()
    opened_with(kit, lambda message: replace(message, next_in=1), world=world)
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.STATE_ROLLBACK


@pytest.mark.req("ICWS-CLT-050")
def test_silence_instead_of_a_handshake_is_left(kit: Any) -> None:
    world = kit.World(gateways=2)
    world.gateways[0].tamper = lambda frame: []
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.reason is Reason.HANDSHAKE_TIMEOUT
    world.attached()


@pytest.mark.req("ICWS-CLT-050")
def test_silence_after_the_open_is_left(kit: Any) -> None:
    world = kit.World(gateways=2)
    world.gateways[0].relays_messages = False
    error = world.first_loss()
    assert isinstance(error, StallError)
    assert error.reason is Reason.OPEN_TIMEOUT
    assert world.now - kit.START_NS < 25 * NS_PER_S
    world.attached()
    assert world.connection is world.gateways[1]


def test_a_connection_that_is_never_made_is_given_up(kit: Any) -> None:
    world = kit.World(gateways=2)
    world.connect = lambda target, connection_id: None
    error = world.first_loss()
    assert isinstance(error, TransportError)
    assert any(isinstance(action, Disconnect) for action in world.log)


def test_without_any_gateway_the_attempt_ends_at_the_users_limit(kit: Any) -> None:
    world = kit.World(gateways=2, direct_fallback=False, open_limit_ns=30 * NS_PER_S)
    for gateway in world.gateways:
        gateway.is_alive = False
    error = world.end()
    assert isinstance(error, SessionEnded)
    assert error.code == SessionCloseCode.NO_GATEWAY
    assert isinstance(error.__cause__, TransportError)
    assert all(isinstance(event.target, GatewayTarget) for event in world.of(GatewayLost))


def test_an_unknown_key_brings_the_parameters_anew(kit: Any) -> None:
    world = kit.World(gateways=2)
    honest = world.ic.execute
    refused: list[bytes] = []

    def execute(caller: Any, method: str, arg: bytes) -> bytes:
        if method == "ws_open" and not refused:
            refused.append(arg)
            return encode_open_result(Refusal("UnknownKey", "rotated"))
        return honest(caller, method, arg)  # type: ignore[no-any-return]

    world.ic.execute = execute
    world.attached()
    assert "ws_params" in [content.method_name for content in world.ic.calls]
