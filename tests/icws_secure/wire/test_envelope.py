from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.limits import MAX_ENVELOPE_BYTES, MAX_NONCE_BYTES, MAX_PATH_LABELS, MAX_READ_STATE_PATHS
from icws_secure.wire import cbor
from icws_secure.wire.envelope import (
    CallContent,
    Content,
    Delegation,
    Envelope,
    QueryContent,
    ReadStateContent,
    SignedDelegation,
)
from icws_secure.wire.principal import ANONYMOUS, Principal
from icws_secure.wire.request_id import Value, hash_of_map, request_id

CANISTER = Principal.from_text("rdmx6-jaaaa-aaaaa-aaadq-cai")
EXPIRY = 1_795_000_000_123_456_789
CALL = CallContent(CANISTER, "ws_open", b"DIDL", ANONYMOUS, EXPIRY, b"nonce")
CONTENTS: list[Content] = [
    CALL,
    QueryContent(CANISTER, "ws_get_messages", b"", ANONYMOUS, EXPIRY),
    ReadStateContent(((b"time",), (b"request_status", bytes(32)), ()), ANONYMOUS, EXPIRY, b""),
]
LINK = SignedDelegation(Delegation(b"key", EXPIRY), b"signature")
VALUE: dict[str, Any] = {
    "request_type": "call",
    "canister_id": CANISTER.raw,
    "method_name": "ws_open",
    "arg": b"DIDL",
    "sender": b"\x04",
    "ingress_expiry": EXPIRY,
    "nonce": b"nonce",
}


def refusal_of(content: object, **outer: object) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        Envelope.decode(cbor.encode({"content": content, **outer}))
    return caught.value


@pytest.mark.req("ICWS-LIB-004")
@pytest.mark.vectors("envelope")
def test_vector_has_its_request_id_and_sender(vector: dict[str, Any]) -> None:
    # whether it is acceptable is for the verifier to say
    envelope = Envelope.decode(bytes.fromhex(vector["envelope_hex"]))
    assert envelope.content.request_id.hex() == vector["request_id_hex"]
    assert envelope.content.sender.to_text() == vector["sender"]
    assert Envelope.decode(envelope.encode()) == envelope
    assert envelope.content.to_map()["request_type"] == vector["endpoint"]


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: type(content).__name__)
@pytest.mark.parametrize(
    "outer", [(), (b"key", b"signature"), (b"key", b"signature", (LINK, LINK)), (b"key", b"signature", ())], ids=len
)
def test_what_was_written_is_read(content: Content, outer: tuple[Any, ...]) -> None:
    envelope = Envelope(content, *outer)
    again = Envelope.decode(envelope.encode())
    assert again == envelope
    assert again.encode() == envelope.encode()
    assert Envelope.from_value(envelope.to_value()) == envelope
    assert again.content.request_id == request_id(content.to_map()) == content.request_id
    assert hash(again.content) == hash(content)


def test_fields_that_are_not_given_are_left_out() -> None:
    assert Envelope(CONTENTS[1]).to_value().keys() == {"content"}
    assert "nonce" not in CONTENTS[1].to_map()
    assert CONTENTS[2].to_map()["nonce"] == b""


def test_tag_in_front_makes_no_difference() -> None:
    data = cbor.encode({"content": VALUE})
    assert Envelope.decode(data) == Envelope.decode(cbor.SELF_DESCRIBE_TAG + data) == Envelope(CALL)


@pytest.mark.req("ICWS-LIB-004")
def test_unknown_fields_of_the_content_are_kept_and_count() -> None:
    info: dict[str, Value] = {"info": b"i", "signer": CANISTER.raw, "sig": b"s", "list": [1, "x", [b""]]}
    envelope = Envelope.decode(cbor.encode({"content": {**VALUE, "sender_info": info}}))
    assert envelope.content.extra == {"sender_info": info}
    assert envelope.content.request_id == hash_of_map({**VALUE, "sender_info": info}) != CALL.request_id
    assert Envelope.decode(envelope.encode()) == envelope


@pytest.mark.req("ICWS-LIB-004")
@given(
    st.dictionaries(
        st.text(max_size=8).filter(lambda name: name not in VALUE),
        st.integers(0, 2**64) | st.binary(max_size=4),
        max_size=4,
    )
)
def test_every_field_of_the_content_counts(extra: dict[str, Any]) -> None:
    content = Envelope.decode(cbor.encode({"content": {**VALUE, **extra}})).content
    assert content.request_id == hash_of_map({**VALUE, **extra})


@pytest.mark.req("ICWS-LIB-004")
@pytest.mark.parametrize("item", [None, True, [None], {"x": False}, {1: 2}, {"x": {b"": 1}}], ids=repr)
def test_unknown_field_that_cannot_be_hashed_is_refused(item: object) -> None:
    refusal = refusal_of({**VALUE, "more": item})
    assert refusal.reason is Reason.WRONG_TYPE
    assert refusal.requirement == "ICWS-LIB-004"


@pytest.mark.parametrize("name", sorted(VALUE.keys() - {"nonce"}))
def test_missing_field_is_refused(name: str) -> None:
    refusal_of({field: item for field, item in VALUE.items() if field != name})


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("request_type", "submit"),
        ("request_type", b"call"),
        ("request_type", []),
        ("canister_id", CANISTER.to_text()),
        ("canister_id", bytes(30)),
        ("method_name", b"ws_open"),
        ("arg", [68, 73, 68, 76]),
        ("sender", None),
        ("ingress_expiry", -1),
        ("ingress_expiry", True),
        ("ingress_expiry", 2**64),
        ("ingress_expiry", "1"),
        ("nonce", None),
        ("nonce", 1),
        ("nonce", bytes(MAX_NONCE_BYTES + 1)),
    ],
    ids=repr,
)
def test_other_types_and_ranges_are_refused(name: str, item: object) -> None:
    refusal_of({**VALUE, name: item})


def test_nonce_may_have_32_bytes() -> None:
    content = Envelope.decode(cbor.encode({"content": {**VALUE, "nonce": bytes(MAX_NONCE_BYTES)}})).content
    assert content.nonce == bytes(32)


@pytest.mark.parametrize("content", [None, [], b"", "x", {1: 2}], ids=repr)
def test_content_that_is_no_map_is_refused(content: object) -> None:
    refusal_of(content)


@pytest.mark.parametrize(
    "outer",
    [
        {"sender_pubkey": False},
        {"sender_sig": "text"},
        {"sender_delegation": {}},
        {"sender_delegation": [None]},
        {"sender_delegation": [{"delegation": {"pubkey": b"", "expiration": 1}}]},
        {"sender_delegation": [{"delegation": {"pubkey": b""}, "signature": b""}]},
        {"sender_delegation": [{"delegation": {"pubkey": b"", "expiration": 1, "more": 1}, "signature": b""}]},
        {"sender_delegation": [{"delegation": {"pubkey": b"", "expiration": 1}, "signature": b"", "more": 1}]},
        {"sender_delegation": [{"delegation": {"pubkey": b"", "expiration": 1, "targets": None}, "signature": b""}]},
        {"sender_delegation": [{"delegation": {"pubkey": b"", "expiration": 1, "targets": ["x"]}, "signature": b""}]},
        {
            "sender_delegation": [
                {"delegation": {"pubkey": b"", "expiration": 1, "targets": [bytes(30)]}, "signature": b""}
            ]
        },
        {"more": 1},
    ],
    ids=repr,
)
def test_other_fields_around_the_content_are_refused(outer: dict[str, object]) -> None:
    refusal_of(VALUE, **outer)


@pytest.mark.parametrize("name", ["sender_pubkey", "sender_sig", "sender_delegation"])
def test_null_around_the_content_is_none(name: str) -> None:
    # ic-py sends it with anonymous requests
    envelope = Envelope.decode(cbor.encode({"content": VALUE, name: None}))
    assert envelope == Envelope.decode(cbor.encode({"content": VALUE}))
    assert getattr(envelope, name) is None


@pytest.mark.req("ICWS-LIB-027")
def test_maps_of_indefinite_length_are_read() -> None:
    # as Jackson, and so the Java agent, writes objects
    pairs = b"".join(cbor.encode(name) + cbor.encode(item) for name, item in VALUE.items())
    written = b"\xd9\xd9\xf7\xbf" + cbor.encode("content") + b"\xbf" + pairs + b"\xff\xff"
    assert Envelope.decode(written) == Envelope.decode(cbor.encode({"content": VALUE}))


class TestReadState:
    def read(self, paths: object) -> Content:
        value = {"request_type": "read_state", "sender": b"\x04", "ingress_expiry": EXPIRY, "paths": paths}
        return Envelope.from_value({"content": value}).content

    def test_paths_are_bounded(self) -> None:
        content = self.read([[b""] * MAX_PATH_LABELS] * MAX_READ_STATE_PATHS)
        assert isinstance(content, ReadStateContent)
        assert len(content.paths) == MAX_READ_STATE_PATHS
        longer: list[list[list[bytes]]] = [[[b""] * (MAX_PATH_LABELS + 1)], [[]] * (MAX_READ_STATE_PATHS + 1)]
        for paths in longer:
            with pytest.raises(DecodeError) as caught:
                self.read(paths)
            assert caught.value.reason is Reason.TOO_MANY

    @pytest.mark.parametrize("paths", [None, {}, [b"time"], [["time"]], [[None]], [[[b""]]]], ids=repr)
    def test_other_paths_are_refused(self, paths: object) -> None:
        with pytest.raises(DecodeError):
            self.read(paths)


class TestDelegation:
    FULL = Delegation(b"key", EXPIRY, (CANISTER, Principal(b"")), "queries")

    @pytest.mark.parametrize("link", [FULL, Delegation(b"key", EXPIRY), Delegation(b"key", EXPIRY, ())])
    def test_what_was_written_is_read(self, link: Delegation) -> None:
        signed = SignedDelegation(link, b"signature")
        assert SignedDelegation.from_value(cbor.decode(cbor.encode(signed.to_value()), what="a link")) == signed
        assert link.hash() == hash_of_map(link.to_map())

    def test_every_field_counts(self) -> None:
        variants = [
            self.FULL,
            Delegation(b"kez", EXPIRY, (CANISTER, Principal(b"")), "queries"),
            Delegation(b"key", EXPIRY + 1, (CANISTER, Principal(b"")), "queries"),
            Delegation(b"key", EXPIRY, (CANISTER,), "queries"),
            Delegation(b"key", EXPIRY, (), "queries"),
            Delegation(b"key", EXPIRY, None, "queries"),
            Delegation(b"key", EXPIRY, (CANISTER, Principal(b"")), "all"),
            Delegation(b"key", EXPIRY, (CANISTER, Principal(b""))),
        ]
        assert len({link.hash() for link in variants}) == len(variants)


@pytest.mark.req("ICWS-LIB-001")
def test_size_is_bounded() -> None:
    with pytest.raises(DecodeError) as caught:
        Envelope.decode(Envelope(CallContent(CANISTER, "m", bytes(MAX_ENVELOPE_BYTES), ANONYMOUS, EXPIRY)).encode())
    assert caught.value.reason is Reason.TOO_LARGE


def test_extra_field_cannot_take_the_name_of_another() -> None:
    with pytest.raises(MisuseError):
        _ = CallContent(CANISTER, "m", b"", ANONYMOUS, EXPIRY, extra={"sender": b""}).request_id
