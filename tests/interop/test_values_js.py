"""Principals, Candid values and certificates: ours are read by the JavaScript packages, and theirs by us."""

from __future__ import annotations

import time
from typing import Any

import pytest

from icws_canister_mock.replica import Canister, RangesForm, ReplicaServer
from icws_secure.verify import CertificateVerifier, RootKey
from icws_secure.wire.candid import decode
from icws_secure.wire.candid_types import Blob
from icws_secure.wire.hashtree import Found
from icws_secure.wire.interface import (
    CertifiedMessages,
    ClientKey,
    CloseArgument,
    MessageResult,
    MessageState,
    MessageStatus,
    OpenArgument,
    OutputMessage,
    SecureOpen,
    WebsocketMessage,
    decode_close_argument,
    decode_get_messages_argument,
    decode_get_messages_result,
    decode_message_argument,
    decode_message_result,
    decode_open_argument,
    encode_close_argument,
    encode_get_messages_argument,
    encode_get_messages_result,
    encode_message_argument,
    encode_message_result,
    encode_open_argument,
)
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.service import (
    AckMessage,
    CloseMessage,
    CloseReason,
    KeepAliveMessage,
    OpenMessage,
    decode_service_message,
    encode_service_message,
)

pytestmark = pytest.mark.node

KEY = ClientKey(Principal.self_authenticating(b"\1\2\3\4"), 2**53 - 1)
GATEWAY = Principal.self_authenticating(b"gateway")
MESSAGE = WebsocketMessage(KEY, 7, 8, False, b"\x00\xff")
PRINCIPALS = [ANONYMOUS, MANAGEMENT, GATEWAY, Principal(bytes.fromhex("80000000001000010101")), Principal(b"\x03" * 29)]
SECURE = SecureOpen(bytes(16), 1, 1, "none", b"key", b"sealed")
STATUS = MessageStatus(7, 6, MessageState.ACCEPTED)

KEY_THERE = {"client_principal": KEY.client_principal.to_text(), "client_nonce": KEY.client_nonce}
OURS = {
    "open": encode_open_argument(OpenArgument(5, GATEWAY)),
    "open secure": encode_open_argument(OpenArgument(5, GATEWAY, SECURE)),
    "close": encode_close_argument(CloseArgument(KEY)),
    "close secure": encode_close_argument(CloseArgument(KEY, 3)),
    "message": encode_message_argument(MESSAGE),
    "result": encode_message_result(MessageResult(Refusal("Stale", "too old"))),
    "result secure": encode_message_result(MessageResult(None, STATUS)),
    "poll": encode_get_messages_argument(50),
    "messages": encode_get_messages_result(
        CertifiedMessages((OutputMessage(KEY, "k", b"\1\2"),), b"\3", b"\4", is_end_of_queue=False)
    ),
    "messages refused": encode_get_messages_result(Refusal("NotOpen", "no")),
    "service open": encode_service_message(OpenMessage(KEY)),
    "service ack": encode_service_message(AckMessage(3)),
    "service keep-alive": encode_service_message(KeepAliveMessage(4)),
    "service close": encode_service_message(CloseMessage(CloseReason.KEEP_ALIVE_TIMEOUT)),
}
READ_THERE: dict[str, Any] = {
    "open": {"client_nonce": 5, "gateway_principal": GATEWAY.to_text()},
    "open secure": {"client_nonce": 5, "gateway_principal": GATEWAY.to_text()},
    "close": {"client_key": KEY_THERE},
    "close secure": {"client_key": KEY_THERE},
    "message": {
        "msg": {
            "client_key": KEY_THERE,
            "sequence_num": 7,
            "timestamp": 8,
            "is_service_message": False,
            "content": "00ff",
        }
    },
    "result": {"Err": "Stale: too old"},
    "result secure": {"Ok": None},
    "poll": {"nonce": 50},
    "messages": {
        "Ok": {
            "messages": [{"client_key": KEY_THERE, "key": "k", "content": "0102"}],
            "cert": "03",
            "tree": "04",
            "is_end_of_queue": False,
        }
    },
    "messages refused": {"Err": "NotOpen: no"},
    "service open": {"OpenMessage": {"client_key": KEY_THERE}},
    "service ack": {"AckMessage": {"last_incoming_sequence_num": 3}},
    "service keep-alive": {"KeepAliveMessage": {"last_incoming_sequence_num": 4}},
    "service close": {"CloseMessage": {"reason": {"KeepAliveTimeout": None}}},
}


@pytest.fixture
async def exchange(node: Any, server: ReplicaServer, greeter: type[Canister]) -> dict[str, Any]:
    """What the other side said, with the certificate that it was given."""
    canister = server.replica.install(greeter())
    root_key = server.replica.root_key_der
    said: dict[str, Any] = await node(
        "values.mjs",
        principals=[principal.raw.hex() for principal in PRINCIPALS],
        candid={name: data.hex() for name, data in OURS.items()},
        certificate=_flat_certificate(server, canister).hex(),
        rootKey=root_key.hex(),
        canister=canister.to_text(),
    )
    return said | {"canister": canister, "root_key": root_key}


def _flat_certificate(server: ReplicaServer, canister: Principal) -> bytes:
    """A certificate with the older form of canister ranges, the only one that these packages know."""
    answer: Any = server.replica.query(canister, "certified", b"", form=RangesForm.FLAT)
    certificate: bytes = decode([Blob, Blob], answer.arg)[1]
    return certificate


def test_our_values_are_read_there(exchange: dict[str, Any]) -> None:
    assert exchange["principals"] == [principal.to_text() for principal in PRINCIPALS]
    assert exchange["candid"] == READ_THERE
    assert exchange["certifiedData"] == b"certified".hex()


def test_their_values_are_read_here(exchange: dict[str, Any]) -> None:
    own = exchange["own"]
    principal = Principal(bytes.fromhex(own["principal"]["raw"]))
    assert principal == Principal.from_text(own["principal"]["text"]) == Principal.self_authenticating(b"\1\2\3\4")
    key = ClientKey(principal, 2**64 - 1)
    data = {name: bytes.fromhex(text) for name, text in own["candid"].items()}
    assert decode_open_argument(data["open"]) == OpenArgument(2**64 - 1, principal)
    assert decode_close_argument(data["close"]) == CloseArgument(key)
    assert decode_message_argument(data["message"]) == WebsocketMessage(key, 7, 8, False, b"\x00\xff")
    refusal = decode_message_result(data["result"]).refusal
    assert refusal is not None
    assert refusal.text == "äß€"
    assert decode_get_messages_argument(data["poll"]) == 50
    assert decode_get_messages_result(data["messages"]) == CertifiedMessages(
        (OutputMessage(key, "k", b"\1"),), b"\2", b"", is_end_of_queue=False
    )
    assert decode_service_message(data["service open"]) == OpenMessage(key)
    assert decode_service_message(data["service ack"]) == AckMessage(3)
    assert decode_service_message(data["service keep-alive"]) == KeepAliveMessage(4)
    assert decode_service_message(data["service close"]) == CloseMessage(CloseReason.KEEP_ALIVE_TIMEOUT)


def test_a_certificate_that_they_encoded_verifies_here(exchange: dict[str, Any]) -> None:
    canister = exchange["canister"]
    verifier = CertificateVerifier(RootKey.from_der(exchange["root_key"]))
    verified = verifier.verify(bytes.fromhex(exchange["own"]["certificate"]), now=time.time_ns(), canister_id=canister)
    assert verified.lookup([b"canister", canister.raw, b"certified_data"]) == Found(b"certified")
