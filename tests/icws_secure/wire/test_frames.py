"""Frames between client and gateway: exactly the documented shapes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.limits import MAX_ENVELOPE_BYTES, MAX_FRAME_BYTES, MAX_FRAME_MESSAGES
from icws_secure.wire import cbor
from icws_secure.wire.envelope import CallContent, Delegation, Envelope, SignedDelegation
from icws_secure.wire.frames import (
    SUBPROTOCOL,
    ClientFrame,
    DrainFrame,
    GatewayFrame,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    ReceiptStatus,
    decode_client_frame,
    decode_gateway_frame,
)
from icws_secure.wire.principal import Principal

GATEWAY = Principal.self_authenticating(b"gateway")
SENDER = Principal.self_authenticating(b"sender")
CALL = CallContent(Principal(b"\x01\x01"), "ws_open", b"DIDL", SENDER, 1_700_000_000_000_000_000, nonce=b"n" * 16)
ENVELOPE = Envelope(CALL, b"key", b"sig", (SignedDelegation(Delegation(b"key2", 5), b"sig2"),))
REQUEST = bytes(range(32))

FRAMES: list[GatewayFrame] = [
    Handshake(GATEWAY),
    Handshake(GATEWAY, SUBPROTOCOL),
    MessageFrame("key", b"content", b"cert", b"tree"),
    MessagesFrame((KeyedContent("a", b"1"), KeyedContent("b", b"")), b"cert", b"tree"),
    ReceiptFrame(REQUEST, ReceiptStatus.CERTIFICATE, certificate=b"cert"),
    ReceiptFrame(REQUEST, ReceiptStatus.PENDING),
    ReceiptFrame(REQUEST, ReceiptStatus.REJECTED, reject_code=4, reject_message="no"),
    ReceiptFrame(REQUEST, ReceiptStatus.REJECTED, reject_code=5, reject_message="trap", error_code="IC0503"),
    ReceiptFrame(REQUEST, ReceiptStatus.FAILED, reject_message="timeout"),
    HeadFrame(b"cert", b"tree"),
    DrainFrame(30),
]


def value_of(frame: GatewayFrame | ClientFrame) -> dict[str, Any]:
    value = cbor.decode(frame.encode(), what="frame")
    assert isinstance(value, dict)
    return value


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize("frame", FRAMES)
def test_gateway_frame_is_decoded_as_it_was_encoded(frame: GatewayFrame) -> None:
    assert decode_gateway_frame(frame.encode()) == frame
    assert decode_gateway_frame(frame.encode().removeprefix(cbor.SELF_DESCRIBE_TAG)) == frame


def test_legacy_frames_have_the_fields_of_deployed_gateways() -> None:
    assert value_of(FRAMES[0]) == {"gateway_principal": GATEWAY.raw}
    assert value_of(FRAMES[2]) == {"key": "key", "content": b"content", "cert": b"cert", "tree": b"tree"}


@pytest.mark.parametrize("envelope", [ENVELOPE, Envelope(CALL, b"key", b"sig")])
def test_client_frame_is_decoded_as_it_was_encoded(envelope: Envelope) -> None:
    decoded = decode_client_frame(ClientFrame(envelope).encode())

    assert decoded == ClientFrame(envelope)
    assert decoded.envelope.content.request_id == CALL.request_id


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize("frame", FRAMES)
def test_gateway_frame_with_another_field_is_refused(frame: GatewayFrame) -> None:
    value = value_of(frame)
    for name, extra in [("later", 1), ("key", "x"), ("gateway_principal", b""), ("envelope", {}), ("drain", None)]:
        if name in value:
            continue
        with pytest.raises(DecodeError):
            decode_gateway_frame(cbor.encode({**value, name: extra}))


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize("frame", FRAMES)
def test_gateway_frame_without_a_field_is_refused(frame: GatewayFrame) -> None:
    value = value_of(frame)
    for name in value.keys() - {"version"}:
        with pytest.raises(DecodeError):
            decode_gateway_frame(cbor.encode({other: item for other, item in value.items() if other != name}))


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        None,
        {"key": "k"},
        {"envelope": {}},
        {"gateway_principal": "2vxsx-fae"},
        {"gateway_principal": bytes(30)},
        {"gateway_principal": b"\x04", "version": "icws-secure.2"},
        {"gateway_principal": b"\x04", "version": None},
        {"key": "k", "content": "text", "cert": b"", "tree": b""},
        {"key": b"k", "content": b"", "cert": b"", "tree": b""},
        {"key": "k", "content": b"", "cert": b"", "tree": None},
        {"messages": [], "cert": b"", "tree": b""},
        {"messages": {}, "cert": b"", "tree": b""},
        {"messages": [{"key": "k"}], "cert": b"", "tree": b""},
        {"messages": [{"key": "k", "content": b"", "cert": b""}], "cert": b"", "tree": b""},
        {"messages": [{"key": "k", "content": b""}] * (MAX_FRAME_MESSAGES + 1), "cert": b"", "tree": b""},
        {"head": {"cert": b""}},
        {"head": {"cert": b"", "tree": b"", "head": b""}},
        {"head": b""},
        {"drain": {"seconds": -1}},
        {"drain": {}},
        {"drain": 5},
        {"receipt": {"request_id": REQUEST}},
        {"receipt": {"request_id": REQUEST[1:], "status": "pending"}},
        {"receipt": {"request_id": REQUEST, "status": "executed"}},
        {"receipt": {"request_id": REQUEST, "status": "certificate"}},
        {"receipt": {"request_id": REQUEST, "status": "certificate", "certificate": b"", "reject_code": 1}},
        {"receipt": {"request_id": REQUEST, "status": "pending", "certificate": b""}},
        {"receipt": {"request_id": REQUEST, "status": "pending", "certificate": None}},
        {"receipt": {"request_id": REQUEST, "status": "rejected", "reject_message": "no"}},
        {"receipt": {"request_id": REQUEST, "status": "rejected", "reject_code": "4", "reject_message": "no"}},
        {"receipt": {"request_id": REQUEST, "status": "failed", "reject_message": "no", "error_code": "x"}},
        {"receipt": {"request_id": REQUEST, "status": "pending"}, "key": "k"},
    ],
)
def test_gateway_frame_of_no_documented_shape_is_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        decode_gateway_frame(cbor.encode(value))


@pytest.mark.req("ICWS-LIB-024")
@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        {"envelope": None},
        {"envelope": b""},
        {"envelope": {}},
        {"envelope": {"content": {}}},
        {**value_of(ClientFrame(ENVELOPE)), "later": 1},
        {"gateway_principal": b"\x04"},
    ],
)
def test_client_frame_of_no_documented_shape_is_refused(value: object) -> None:
    with pytest.raises(DecodeError):
        decode_client_frame(cbor.encode(value))


@pytest.mark.req("ICWS-LIB-024")
def test_field_written_twice_is_refused() -> None:
    twice = b"\xa2" + (cbor.encode("drain") + cbor.encode({"seconds": 1})) * 2

    with pytest.raises(DecodeError) as caught:
        decode_gateway_frame(twice)

    assert caught.value.reason is Reason.DUPLICATE_KEY


@pytest.mark.req("ICWS-LIB-024")
def test_frame_over_the_limit_is_refused_unread() -> None:
    for decode, limit in ((decode_gateway_frame, MAX_FRAME_BYTES), (decode_client_frame, MAX_ENVELOPE_BYTES + 64)):
        with pytest.raises(DecodeError) as caught:
            decode(bytes(limit + 1))
        assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "fields",
    [
        {"status": ReceiptStatus.CERTIFICATE},
        {"status": ReceiptStatus.PENDING, "certificate": b""},
        {"status": ReceiptStatus.REJECTED, "reject_code": 4},
        {"status": ReceiptStatus.FAILED},
    ],
)
def test_receipt_with_fields_of_another_status_cannot_be_made(fields: dict[str, Any]) -> None:
    with pytest.raises(MisuseError):
        ReceiptFrame(REQUEST, **fields)


def test_messages_frame_without_messages_cannot_be_encoded() -> None:
    with pytest.raises(MisuseError):
        MessagesFrame((), b"", b"").encode()


@pytest.mark.req("ICWS-LIB-023")
@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*FRAMES, ClientFrame(ENVELOPE)]), st.data())
def test_damaged_frame_is_decoded_or_refused_but_nothing_else(
    frame: GatewayFrame | ClientFrame, data: st.DataObject
) -> None:
    damaged = bytearray(frame.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    for decode in (decode_client_frame, decode_gateway_frame):
        try:
            decode(bytes(damaged))
        except DecodeError as error:
            assert isinstance(error, DecodeError)  # noqa: PT017  either outcome is right
