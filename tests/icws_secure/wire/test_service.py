"""Service messages of both profiles."""

from __future__ import annotations

import pytest

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.wire import candid as c
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.service import (
    AckMessage,
    AttachMessage,
    CloseMessage,
    CloseReason,
    KeepAliveMessage,
    OpenMessage,
    ServiceMessage,
    SessionCloseReason,
    SkipMessage,
    decode_service_message,
    encode_service_message,
)

KEY = ClientKey(Principal.self_authenticating(b"session"), 7)
OMNIA: list[ServiceMessage] = [
    OpenMessage(KEY),
    AckMessage(0),
    KeepAliveMessage(2**64 - 1),
    *(CloseMessage(reason) for reason in CloseReason),
]
SECURE: list[ServiceMessage] = [
    AttachMessage(KEY, bytes(range(16)), 2, 3, 4, 5, 6, 7, bytes(range(32))),
    SkipMessage(),
    *(CloseMessage(CloseReason.CLOSED_BY_APPLICATION, code) for code in SessionCloseReason),
]
_KEY = c.Record({"client_principal": c.PrincipalType, "client_nonce": c.Nat64})
_LAST = c.Record({"last_incoming_sequence_num": c.Nat64})
_CLOSE = c.Record({"reason": c.Variant({str(reason): c.Null for reason in CloseReason})})
DEPLOYED = c.Variant(
    {
        "OpenMessage": c.Record({"client_key": _KEY}),
        "AckMessage": _LAST,
        "KeepAliveMessage": _LAST,
        "CloseMessage": _CLOSE,
    }
)


@pytest.mark.parametrize("message", OMNIA + SECURE)
def test_service_message_is_decoded_as_it_was_encoded(message: ServiceMessage) -> None:
    assert decode_service_message(encode_service_message(message)) == message


@pytest.mark.parametrize("message", OMNIA)
def test_message_of_omnia_has_the_type_of_deployed_peers_and_no_other(message: ServiceMessage) -> None:
    data = encode_service_message(message)
    (value,) = c.decode([DEPLOYED], data)

    assert c.encode([DEPLOYED], [value]) == data


@pytest.mark.parametrize("message", SECURE[:2])
def test_message_of_secure_sessions_means_nothing_to_deployed_peers(message: ServiceMessage) -> None:
    with pytest.raises(DecodeError):
        c.decode([DEPLOYED], encode_service_message(message))


def test_close_code_is_passed_over_by_deployed_peers() -> None:
    message = CloseMessage(CloseReason.CLOSED_BY_APPLICATION, SessionCloseReason.REVOKED)

    (value,) = c.decode([DEPLOYED], encode_service_message(message))

    assert value == ("CloseMessage", {"reason": ("ClosedByApplication", None)})


@pytest.mark.req("ICWS-LIB-023")
def test_unknown_case_is_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        decode_service_message(c.encode([c.Variant({"LaterMessage": c.Null})], [("LaterMessage", None)]))

    assert caught.value.reason is Reason.WRONG_TYPE


@pytest.mark.req("ICWS-LIB-024")
def test_close_code_outside_the_list_is_refused() -> None:
    close = c.Record({"reason": c.Variant({"ClosedByApplication": c.Null}), "code": c.Text})
    data = c.encode(
        [c.Variant({"CloseMessage": close})],
        [("CloseMessage", {"reason": ("ClosedByApplication", None), "code": "Whim"})],
    )

    with pytest.raises(DecodeError):
        decode_service_message(data)


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize("message", OMNIA + SECURE)
def test_truncated_service_message_is_refused(message: ServiceMessage) -> None:
    data = encode_service_message(message)
    for size in range(len(data)):
        with pytest.raises(DecodeError):
            decode_service_message(data[:size])


@pytest.mark.parametrize(("registration_id", "open_hash"), [(bytes(15), bytes(32)), (bytes(16), bytes(31))])
def test_attach_message_with_a_value_of_another_length_is_refused(registration_id: bytes, open_hash: bytes) -> None:
    names = ("attach", "epoch", "resume_from", "next_in", "next_out", "oldest_retained")
    attach = c.Record(
        {"client_key": _KEY, "registration_id": c.Blob, **dict.fromkeys(names, c.Nat64), "open_hash": c.Blob}
    )
    value = {
        "client_key": {"client_principal": KEY.client_principal, "client_nonce": 7},
        "registration_id": registration_id,
        **dict.fromkeys(names, 1),
        "open_hash": open_hash,
    }

    with pytest.raises(DecodeError):
        decode_service_message(c.encode([c.Variant({"AttachMessage": attach})], [("AttachMessage", value)]))
    with pytest.raises(MisuseError):
        AttachMessage(KEY, registration_id, 1, 1, 1, 1, 1, 1, open_hash)
