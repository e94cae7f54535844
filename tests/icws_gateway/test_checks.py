"""Frames of clients: what is relayed and what is refused, before anything is kept or asked."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_gateway.call_check import check_call
from icws_gateway.client_frame import read_call
from icws_gateway.open_check import OpenedSession, read_open, verify_open
from icws_gateway.refusal import ClientRefused
from icws_secure.limits import MAX_ENVELOPE_BYTES, NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity, DelegatedIdentity, Ed25519Identity, Secp256k1Identity
from icws_secure.sign.request import sign_call, sign_delegation, sign_query
from icws_secure.wire import cbor
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.envelope import Delegation, Envelope
from icws_secure.wire.frames import ClientFrame
from icws_secure.wire.interface import ClientKey, OpenArgument, SecureOpen, encode_open_argument
from icws_secure.wire.principal import Principal
from icws_secure.wire.request_id import request_id

NOW = 1_700_000_000 * NS_PER_S
GATEWAY = Ed25519Identity(bytes(31) + b"g").principal
ME = Ed25519Identity(bytes(31) + b"m")
OTHER = Ed25519Identity(bytes(31) + b"o")
CANISTER = Principal(bytes(9) + b"\x01")
ELSEWHERE = Principal(bytes(8) + b"\x09\x01")
SECURE = SecureOpen(bytes(16), 3, 1, "none")


def delegated(*, expiration_ns: int = NOW + 3_600 * NS_PER_S, signer: Ed25519Identity = OTHER) -> DelegatedIdentity:
    inner = Ed25519Identity(bytes(31) + b"i")
    delegation = Delegation(inner.public_key_der, expiration_ns, None, None)
    return DelegatedIdentity(
        inner, public_key_der=OTHER.public_key_der, delegations=(sign_delegation(signer, delegation),)
    )


def envelope(method: str = "ws_open", identity: Any = ME, **changes: Any) -> Envelope:
    fields = {
        "canister_id": CANISTER,
        "method_name": method,
        "arg": open_arg(),
        "ingress_expiry_ns": NOW + 60 * NS_PER_S,
        "nonce": bytes(16),
    }
    return sign_call(identity, **(fields | changes))


def open_arg(gateway: Principal = GATEWAY, secure: SecureOpen | None = None) -> bytes:
    return encode_open_argument(OpenArgument(7, gateway, secure))


def frame(sent: Envelope) -> bytes:
    return ClientFrame(sent).encode()


def do_open(data: bytes | str, *, max_bytes: int = 65_536) -> tuple[OpenedSession, bytes, bytes]:
    request = read_open(data, gateway=GATEWAY, allows=lambda c: c != ELSEWHERE, max_bytes=max_bytes, now=NOW)
    return request.session, verify_open(request, now=NOW, certificates=None), request.body


def refusal(call: Any, *args: Any, **kwargs: Any) -> CloseCode:
    with pytest.raises(ClientRefused) as error:
        call(*args, **kwargs)
    assert error.value.reason.startswith(error.value.code.label)
    assert len(error.value.reason.encode()) <= 123
    return error.value.code


# opens


@pytest.mark.req("ICWS-GWY-002")
def test_open_of_either_profile_is_read():
    session, identifier, _ = do_open(frame(envelope()))
    assert session == OpenedSession(CANISTER, ClientKey(ME.principal, 7), False, 0)
    assert identifier == envelope().content.request_id
    session, _, _ = do_open(frame(envelope(arg=open_arg(secure=SECURE))))
    assert (session.secure, session.attach) == (True, 3)


def test_open_by_other_keys_and_by_delegation_is_read():
    assert do_open(frame(envelope(identity=Secp256k1Identity(bytes(31) + b"\x05"))))[0].secure is False
    assert do_open(frame(envelope(identity=delegated())))[0].client_key.client_principal == OTHER.principal


def altered(**changes: Any) -> Envelope:
    good = envelope()
    return Envelope(
        **({"content": good.content, "sender_pubkey": good.sender_pubkey, "sender_sig": good.sender_sig} | changes)
    )


@pytest.mark.req("ICWS-GWY-002", "ICWS-GWY-011")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", CloseCode.MALFORMED_FRAME),
        (b"", CloseCode.MALFORMED_FRAME),
        (b"\xff" * 40, CloseCode.MALFORMED_FRAME),
        (cbor.encode({"envelope": {}}), CloseCode.MALFORMED_FRAME),
        (cbor.encode({"envelope": envelope().to_value(), "more": 1}), CloseCode.MALFORMED_FRAME),
        (frame(envelope()) + b"\x00", CloseCode.MALFORMED_FRAME),
        (frame(envelope(arg=b"not candid")), CloseCode.MALFORMED_FRAME),
        (frame(envelope(arg=b"x" * 70_000)), CloseCode.ENVELOPE_TOO_LARGE),
        (frame(envelope(canister_id=ELSEWHERE)), CloseCode.CANISTER_NOT_ALLOWED),
        (frame(envelope("ws_message")), CloseCode.METHOD_NOT_ALLOWED),
        (frame(envelope("transfer")), CloseCode.METHOD_NOT_ALLOWED),
        (frame(envelope(arg=open_arg(gateway=OTHER.principal))), CloseCode.GATEWAY_MISMATCH),
        (frame(altered(sender_sig=bytes(64))), CloseCode.INVALID_SIGNATURE),
        (frame(altered(sender_sig=None)), CloseCode.INVALID_SIGNATURE),
        (frame(altered(sender_pubkey=b"\x30" * 44)), CloseCode.SENDER_MISMATCH),
        (frame(altered(sender_pubkey=OTHER.public_key_der)), CloseCode.SENDER_MISMATCH),
        (frame(altered(content=envelope(arg=open_arg(secure=SECURE)).content)), CloseCode.INVALID_SIGNATURE),
        (frame(envelope(identity=AnonymousIdentity())), CloseCode.INVALID_SIGNATURE),
        (frame(envelope(identity=delegated(signer=ME))), CloseCode.INVALID_SIGNATURE),
        (frame(envelope(identity=delegated(expiration_ns=NOW - 1))), CloseCode.INVALID_SIGNATURE),
    ],
)
def test_open_that_breaks_a_rule_is_refused_with_its_code(data, code):
    assert refusal(do_open, data) is code


def test_query_is_not_an_open():
    query = sign_query(
        ME, canister_id=CANISTER, method_name="ws_open", arg=open_arg(), ingress_expiry_ns=NOW + NS_PER_S
    )
    assert refusal(do_open, frame(query)) is CloseCode.METHOD_NOT_ALLOWED


@pytest.mark.req("ICWS-GWY-021")
@pytest.mark.parametrize(
    ("secure", "seconds", "accepted"),
    [
        (None, -1, False),
        (None, 0, True),
        (None, 330, True),
        (None, 331, False),
        (SECURE, -1, False),
        (SECURE, 90, True),
        (SECURE, 120, True),  # 30 s for clocks that differ
        (SECURE, 121, False),
    ],
)
def test_expiry_of_an_open_is_bounded(secure, seconds, accepted):
    data = frame(envelope(arg=open_arg(secure=secure), ingress_expiry_ns=NOW + seconds * NS_PER_S))
    if accepted:
        do_open(data)
    else:
        assert refusal(do_open, data) is CloseCode.INGRESS_EXPIRY


@pytest.mark.req("ICWS-GWY-020")
def test_secure_open_with_delegations_is_refused_before_any_signature_is_checked():
    chain = delegated().delegations
    content = envelope(arg=open_arg(secure=SECURE)).content
    unsigned = Envelope(content, ME.public_key_der, bytes(64), chain)
    data = frame(unsigned)
    with pytest.raises(ClientRefused) as error:
        read_open(data, gateway=GATEWAY, allows=lambda _: True, max_bytes=65_536, now=NOW)
    assert error.value.code is CloseCode.DELEGATION_NOT_ALLOWED


@pytest.mark.req("ICWS-GWY-020")
def test_chain_that_is_too_long_is_refused_before_any_signature_is_checked():
    link = delegated().delegations[0]
    data = frame(Envelope(envelope().content, ME.public_key_der, bytes(64), (link,) * 21))
    with pytest.raises(ClientRefused):
        read_open(data, gateway=GATEWAY, allows=lambda _: True, max_bytes=65_536, now=NOW)


def test_delegations_cost_more_of_the_budget():
    def cost(identity: Any) -> int:
        data = frame(envelope(identity=identity))
        return read_open(data, gateway=GATEWAY, allows=lambda _: True, max_bytes=65_536, now=NOW).cost

    assert cost(ME) == 1
    assert cost(delegated()) == 11


# calls

LEGACY_SESSION = OpenedSession(CANISTER, ClientKey(ME.principal, 7), False, 0)
SECURE_SESSION = OpenedSession(CANISTER, ClientKey(ME.principal, 7), True, 3)


def do_call(sent: Envelope, session: OpenedSession = LEGACY_SESSION) -> Any:
    return check_call(frame(sent), session, now=NOW, certificates=None)


@pytest.mark.req("ICWS-GWY-004")
@pytest.mark.parametrize(
    ("session", "method", "relayed"),
    [
        (LEGACY_SESSION, "ws_message", True),
        (LEGACY_SESSION, "ws_open", False),
        (LEGACY_SESSION, "ws_close", False),
        (LEGACY_SESSION, "transfer", False),
        (LEGACY_SESSION, "ws_message_batch", False),
        (SECURE_SESSION, "ws_message", True),
        (SECURE_SESSION, "ws_message_batch", True),
        (SECURE_SESSION, "ws_params", True),
        (SECURE_SESSION, "ws_close", True),
        (SECURE_SESSION, "ws_revoke", True),
        (SECURE_SESSION, "ws_audit", True),
        (SECURE_SESSION, "ws_register", False),
        (SECURE_SESSION, "ws_open", False),
        (SECURE_SESSION, "ws_get_messages", False),
    ],
)
def test_methods_of_each_profile(session, method, relayed):
    sent = envelope(method)
    if relayed:
        assert do_call(sent, session).request_id == sent.content.request_id
    else:
        assert refusal(do_call, sent, session) is CloseCode.METHOD_NOT_ALLOWED


@pytest.mark.req("ICWS-GWY-004", "ICWS-GWY-011")
def test_call_to_another_canister_or_from_another_sender_is_refused():
    assert refusal(do_call, envelope("ws_message", canister_id=ELSEWHERE)) is CloseCode.WRONG_CANISTER
    assert refusal(do_call, envelope("ws_message", identity=OTHER)) is CloseCode.SENDER_MISMATCH
    assert refusal(do_call, altered(content=envelope("ws_message").content)) is CloseCode.INVALID_SIGNATURE


@pytest.mark.req("ICWS-GWY-020")
def test_secure_call_with_delegations_is_refused():
    session = OpenedSession(CANISTER, ClientKey(OTHER.principal, 7), True, 3)
    assert refusal(do_call, envelope("ws_message", identity=delegated()), session) is CloseCode.DELEGATION_NOT_ALLOWED
    legacy = OpenedSession(CANISTER, ClientKey(OTHER.principal, 7), False, 0)
    do_call(envelope("ws_message", identity=delegated()), legacy)


@pytest.mark.req("ICWS-GWY-021")
@pytest.mark.parametrize("seconds", [-1, 331])
def test_expired_call_is_refused(seconds):
    sent = envelope("ws_message", ingress_expiry_ns=NOW + seconds * NS_PER_S)
    assert refusal(do_call, sent) is CloseCode.INGRESS_EXPIRY


@pytest.mark.req("ICWS-GWY-004")
@pytest.mark.parametrize("head", [b"\xd9\xd9\xf7\xa1", b"\xa1"])
def test_envelope_is_relayed_in_the_clients_own_bytes(head):
    value = envelope("ws_message").to_value()
    content = dict(reversed(list(value["content"].items())))  # another order than ours
    inner = cbor.encode(
        {"sender_sig": value["sender_sig"], "content": content, "sender_pubkey": value["sender_pubkey"]}
    )
    body = check_call(head + cbor.encode("envelope") + inner, LEGACY_SESSION, now=NOW, certificates=None).body
    assert body == b"\xd9\xd9\xf7" + inner


@pytest.mark.req("ICWS-GWY-004")
def test_envelope_with_an_odd_head_is_relayed_with_the_same_request_id():
    sent = envelope("ws_message")
    odd = b"\xb8\x01" + cbor.encode("envelope") + cbor.encode(sent.to_value())
    try:
        _, content, body = read_call(odd)
    except ClientRefused:
        return  # a strict decoder may refuse it
    assert Envelope.decode(body).content.request_id == content.request_id == request_id(content.to_map())


@pytest.mark.req("ICWS-GWY-018")
def test_frame_of_very_many_items_is_refused_quickly():
    good = envelope("ws_message").to_value()
    bomb = good | {"content": good["content"] | {"more": [[0]] * 500_000}}
    data = cbor.encode({"envelope": bomb})
    started = time.process_time()
    assert refusal(read_call, data) is CloseCode.MALFORMED_FRAME
    assert time.process_time() - started < 0.05
    fine = good | {"content": good["content"] | {"more": [[0]] * 500}}
    read_call(cbor.encode({"envelope": fine}))


@pytest.mark.req("ICWS-GWY-018")
def test_envelope_beyond_what_the_ic_takes_is_refused():
    assert refusal(read_call, bytes(MAX_ENVELOPE_BYTES + 100)) is CloseCode.ENVELOPE_TOO_LARGE


@pytest.mark.req("ICWS-GWY-012")
@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=50))
def test_any_bytes_are_refused_and_nothing_else_happens(data):
    with pytest.raises(ClientRefused):
        do_open(data)
    with pytest.raises(ClientRefused):
        check_call(data, LEGACY_SESSION, now=NOW, certificates=None)


@pytest.mark.req("ICWS-GWY-012")
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_change_of_a_good_frame_is_refused_or_changes_nothing(data):
    good = frame(envelope())
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes((data.draw(st.integers(0, 255)),)) + good[at + 1 :]
    try:
        session, _, _ = do_open(changed)
    except ClientRefused:
        return
    assert session == do_open(good)[0]
