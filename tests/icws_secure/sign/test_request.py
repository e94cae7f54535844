"""Requests as they are signed."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import MisuseError, Reason
from icws_secure.sign import (
    AnonymousIdentity,
    Ed25519Identity,
    sign_call,
    sign_content,
    sign_query,
    sign_read_state,
)
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent, ReadStateContent
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
USER = Ed25519Identity(b"\x01" * 32)
METHOD: dict[str, Any] = {"canister_id": CANISTER, "method_name": "m", "arg": b"a", "ingress_expiry_ns": NOW}


@pytest.mark.parametrize("nonce", [None, b"", bytes(16), bytes(32)])
def test_call_carries_what_was_asked_for(nonce: bytes | None) -> None:
    env = sign_call(USER, **METHOD, nonce=nonce)
    assert env.content == CallContent(CANISTER, "m", b"a", USER.principal, NOW, nonce)
    assert env.sender_pubkey == USER.public_key_der
    assert env.sender_sig == USER.sign(b"\x0aic-request" + env.content.request_id)
    assert env.sender_delegation is None
    assert Envelope.decode(env.encode()) == env


def test_query_and_read_state_are_of_their_kinds() -> None:
    assert isinstance(sign_query(USER, **METHOD).content, QueryContent)
    env = sign_read_state(USER, paths=[[b"time"], [b"request_status", bytes(32)]], ingress_expiry_ns=NOW)
    assert isinstance(env.content, ReadStateContent)
    assert env.content.paths == ((b"time",), (b"request_status", bytes(32)))


@pytest.mark.req("ICWS-LIB-016")
def test_anonymous_request_is_unsigned() -> None:
    env = sign_call(AnonymousIdentity(), **METHOD, nonce=None)
    assert (env.sender_pubkey, env.sender_sig, env.sender_delegation) == (None, None, None)


def test_long_nonce_is_misuse() -> None:
    with pytest.raises(MisuseError) as caught:
        sign_call(USER, **METHOD, nonce=bytes(33))
    assert caught.value.reason is Reason.TOO_LARGE


def test_content_of_another_sender_is_misuse() -> None:
    content = CallContent(CANISTER, "m", b"", CANISTER, NOW)
    with pytest.raises(MisuseError) as caught:
        sign_content(USER, content)
    assert caught.value.reason is Reason.SENDER_MISMATCH
