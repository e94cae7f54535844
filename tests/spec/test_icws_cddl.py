"""``spec/icws.cddl`` and the decoders agree on what is a document of the protocol and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from icws_secure.errors import DecodeError, PayloadViolation, Reason
from icws_secure.payload import (
    Direction,
    HopChannel,
    HopEnd,
    HopSession,
    Room,
    RoomDelivery,
    RoomEpoch,
    RoomKeys,
    RoomPost,
    RoomRefusal,
    RoomSender,
    decode_room_message,
    decode_room_post,
    room_input,
)
from icws_secure.payload.hop import hop_external, hop_info
from icws_secure.payload.room import room_external
from icws_secure.vetkd import VetKey
from icws_secure.wire import cbor, frames, hashtree, head, message
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.envelope import CallContent, Delegation, Envelope, ReadStateContent, SignedDelegation
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/certificates_upstream.json").read_text())["vectors"]

CERTIFICATE = next(bytes.fromhex(v["certificate_hex"]) for v in VECTORS if v.get("expect", "accept") == "accept")
TREE = cbor.encode([1, [2, b"a", [3, b"x"]], [1, [4, bytes(32)], [2, b"c", [0]]]])
GATEWAY = Principal.self_authenticating(b"gateway")
SENDER = Principal.self_authenticating(b"sender")
KEY = message.message_key(GATEWAY, 7)
MESSAGE = message.CanisterMessage(ClientKey(SENDER, 2**64 - 1), 1, 2, False, b"content", bytes(16))
LINK = SignedDelegation(Delegation(b"key", 5, (SENDER,), "queries"), b"signature")
CALL = CallContent(SENDER, "ws_open", b"DIDL", SENDER, 9, nonce=b"nonce")
HEAD = head.SessionHead(bytes(16), 1, SessionState.CLOSED, 2, 3, 4, 5, 6, 7, 8, "Revoked", (1, 2))
REQUEST = bytes(32)
STATUS = frames.ReceiptStatus

DOCUMENTS: list[tuple[str, bytes, Callable[[bytes], object]]] = [
    *(
        ("gateway-frame", frame.encode(), frames.decode_gateway_frame)
        for frame in (
            frames.Handshake(GATEWAY, frames.SUBPROTOCOL),
            frames.MessageFrame(KEY, MESSAGE.encode(), CERTIFICATE, TREE),
            frames.MessagesFrame((frames.KeyedContent(KEY, MESSAGE.encode()),) * 2, CERTIFICATE, TREE),
            frames.ReceiptFrame(REQUEST, STATUS.CERTIFICATE, certificate=CERTIFICATE),
            frames.ReceiptFrame(REQUEST, STATUS.PENDING),
            frames.ReceiptFrame(REQUEST, STATUS.REJECTED, reject_code=4, reject_message="no", error_code="IC0503"),
            frames.ReceiptFrame(REQUEST, STATUS.FAILED, reject_message="no"),
            frames.HeadFrame(CERTIFICATE, TREE),
            frames.DrainFrame(30),
        )
    ),
    ("client-frame", frames.ClientFrame(Envelope(CALL, b"key", b"sig", (LINK,))).encode(), frames.decode_client_frame),
    ("envelope", Envelope(ReadStateContent(((b"time",),), SENDER, 9)).encode(), Envelope.decode),
    ("canister-message", MESSAGE.encode(), message.decode_message),
    ("session-head", HEAD.encode(), head.decode_head),
    ("hash-tree", TREE, hashtree.decode_tree),
    ("certificate", CERTIFICATE, decode_certificate),
]


class Grammar(Protocol):
    """What the fixture gives."""

    def takes(self, rule: str, data: bytes) -> bool: ...


def decoder_takes(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except DecodeError:
        return False
    return True


def variations(value: Any) -> Iterator[Any]:
    """The value with one thing changed: a field gone, renamed or of another type, an element gone or added."""
    yield from (None, [], {}, "text", b"\x01" * 3, -1, 2**64 - 1, True)
    if isinstance(value, dict):
        for name, item in value.items():
            rest = {other: part for other, part in value.items() if other != name}
            yield rest
            yield {**rest, f"{name}_": item}
            yield from ({**value, name: changed} for changed in variations(item))
    elif isinstance(value, list):
        yield value[:-1]
        yield [*value, *value[-1:]]
        for index, item in enumerate(value):
            yield from ([*value[:index], changed, *value[index + 1 :]] for changed in variations(item))


@pytest.mark.parametrize(("rule", "data", "decode"), DOCUMENTS)
def test_document_is_taken_by_grammar_and_decoder(
    grammar: Grammar, rule: str, data: bytes, decode: Callable[[bytes], object]
) -> None:
    assert grammar.takes(rule, data)
    assert grammar.takes(rule, data.removeprefix(cbor.SELF_DESCRIBE_TAG))
    assert decoder_takes(decode, data)


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize(("rule", "data", "decode"), DOCUMENTS[:-1])
def test_what_the_grammar_refuses_the_decoder_refuses(
    grammar: Grammar, rule: str, data: bytes, decode: Callable[[bytes], object]
) -> None:
    for value in variations(cbor.decode(data, what="document")):
        varied = cbor.encode(value)
        # The decoder of a frame leaves the byte strings in it to other decoders, the grammar looks into them.
        if decoder_takes(decode, varied) and not grammar.takes(rule, varied):
            assert rule == "gateway-frame", value
            assert {"content", "cert", "tree", "certificate", "key"} & _keys_at_any_depth(value)
        if grammar.takes(rule, varied):
            assert decoder_takes(decode, varied), value


def _keys_at_any_depth(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys_at_any_depth, value.values()))
    return set().union(*map(_keys_at_any_depth, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("cose-encrypt0", [cbor.encode({1: 24, 4: bytes(8)}), {5: bytes(12)}, bytes(32)]),
        ("cose-encrypt0", [cbor.encode({1: 3, 4: bytes(16)}), {5: bytes(12)}, bytes(32)]),
        ("hop-aad", ["icws-secure/1", bytes(10), [bytes(29), 7], "c2s", 1]),
        ("room-aad", ["icws-secure/1", bytes(10), b"room", 1, bytes(29), 1]),
        ("hpke-info", ["icws-secure/1", bytes(10), [bytes(29), 7], bytes(16), 1, "hpke-x25519", b"id"]),
        ("call-response", {"status": "replied", "certificate": CERTIFICATE}),
        ("call-response", {"status": "non_replicated_rejection", "reject_code": 4, "reject_message": "no"}),
        ("read-state-response", {"certificate": CERTIFICATE}),
        ("query-response", {"status": "replied", "reply": {"arg": b""}, "signatures": []}),
    ],
)
def test_grammar_takes_other_structures_of_the_protocol(grammar: Grammar, rule: str, value: object) -> None:
    assert grammar.takes(rule, cbor.encode(value))


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("cose-encrypt0", [cbor.encode({1: 1, 4: bytes(8)}), {5: bytes(12)}, bytes(32)]),
        ("cose-encrypt0", [cbor.encode({1: 24, 4: bytes(8)}), {5: bytes(12), 6: b""}, bytes(32)]),
        ("cose-encrypt0", [cbor.encode({1: 24}), {5: bytes(12)}, bytes(32)]),
        ("cose-encrypt0", [cbor.encode({1: 24, 4: bytes(8)}), {5: bytes(13)}, bytes(32)]),
        ("cose-encrypt0", [cbor.encode({1: 24, 4: b"\x01"}), {5: bytes(12)}, bytes(32)]),
        ("room-post", ["post", b"room", b"in clear"]),
        ("room-message", ["message", b"room", 1, bytes(29), b"in clear"]),
        ("hop-aad", ["icws-secure/1", bytes(10), [bytes(29), 7], "up", 1]),
    ],
)
def test_grammar_refuses_sealed_payloads_of_another_form(grammar: Grammar, rule: str, value: object) -> None:
    assert not grammar.takes(rule, cbor.encode(value))


VETKEY = VetKey(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb")
)
ROOM = Room(SENDER, b"kitchen", 3)
SEALED = RoomSender(RoomKeys(VETKEY, ROOM), SENDER).seal(b"hello")[1]
HOP = HopSession(GATEWAY, ClientKey(SENDER, 7), bytes(16))
ROOM_DOCUMENTS: list[tuple[str, bytes, Callable[[bytes], object]]] = [
    ("room-post", RoomPost(b"kitchen", SEALED).encode(), decode_room_post),
    *(
        ("room-message", said.encode(), decode_room_message)
        for said in (
            RoomDelivery(b"kitchen", 3, SENDER, SEALED),
            RoomEpoch(b"kitchen", 4),
            RoomRefusal(b"kitchen", 4, 1, "StaleRoomEpoch"),
        )
    ),
]


@pytest.mark.req("ICWS-PAY-001", "ICWS-PAY-007", "ICWS-PAY-008", "ICWS-PAY-009")
def test_grammar_takes_what_seals_are_made_of(grammar: Grammar) -> None:
    hop = HopChannel(HOP, HopEnd.CLIENT).attached(1, secret=bytes(32), key_id=None, next_in=1, next_out=1)
    for rule, data in (
        ("cose-encrypt0", SEALED),
        ("cose-encrypt0", hop.seal(1, b"hello")[1]),
        ("hop-aad", hop_external(HOP, Direction.TO_CLIENT, 2**64 - 1)),
        ("room-aad", room_external(ROOM, SENDER, 1)),
        ("hpke-info", hop_info(HOP, 1, b"key id 8")),
        ("room-input", room_input(2**60, b"kitchen", 3)),
    ):
        assert grammar.takes(rule, data), rule


@pytest.mark.req("ICWS-PAY-003")
@pytest.mark.parametrize(("rule", "data", "decode"), ROOM_DOCUMENTS)
def test_grammar_and_decoder_agree_on_what_rooms_say(
    grammar: Grammar, rule: str, data: bytes, decode: Callable[[bytes], Any]
) -> None:
    assert grammar.takes(rule, data)
    assert decode(data).encode() == data
    for value in variations(cbor.decode(data, what="document")):
        varied = cbor.encode(value)
        assert room_decoder_takes(decode, varied) == grammar.takes(rule, varied), value


def room_decoder_takes(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except PayloadViolation as error:
        return error.reason is not Reason.UNSEALED
    return True
