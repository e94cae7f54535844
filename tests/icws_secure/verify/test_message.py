"""Messages as a deployed canister certified them, and the bounds of a frame."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import DecodeError, IcwsError, MessageViolation, MisuseError, Reason
from icws_secure.limits import MAX_CERTIFICATE_BYTES, MAX_FRAME_MESSAGES, MAX_MESSAGE_CONTENT_BYTES, MAX_WITNESS_BYTES
from icws_secure.verify import CertificateVerifier, RootKey
from icws_secure.verify.message import MessageSource, VerifiedMessage, verify_messages
from icws_secure.wire.frames import KeyedContent
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import decode_message, parse_message_key
from icws_secure.wire.principal import Principal


def verify(vector: dict[str, Any], **changes: Any) -> tuple[VerifiedMessage, ...]:
    """Verify a recorded message for the client and gateway that it is for."""
    key, content = vector["message_key"], bytes.fromhex(vector["content_hex"])
    try:
        gateway, client_key = parse_message_key(key)[0], decode_message(content).client_key
    except IcwsError:
        gateway, client_key = Principal(b"\x01"), ClientKey(Principal(b"\x01"), 0)
    plain: dict[str, Any] = {"gateway": gateway, "client_key": client_key}
    plain |= {"canister_id": Principal.from_text(vector["canister_id"])}
    root_key = RootKey.from_der(bytes.fromhex(vector["root_key_der_hex"]))
    return verify_messages(
        [KeyedContent(key, content)],
        bytes.fromhex(vector["certificate_hex"]),
        bytes.fromhex(vector["witness_tree_hex"]),
        verifier=CertificateVerifier(root_key),
        source=MessageSource(**{**plain, **changes}),
        now=int(vector["now_ns"]),
    )


@pytest.mark.req("ICWS-CLT-021", "ICWS-CLT-024", "ICWS-CLT-025")
@pytest.mark.vectors("certificate")
def test_recorded_messages(vector: dict[str, Any]) -> None:
    if "message_key" not in vector:
        pytest.skip("a certificate without a message")
    good = vector.get("expect", "accept") == "accept" and vector["content_matches"]
    if vector["name"] == "utils_message":
        # genuine, and its content is of an older shape than any canister sends today
        with pytest.raises(DecodeError):
            verify(vector)
    elif good:
        (message,) = verify(vector)
        assert message.certificate_time_ns == int(vector["time_ns"])
        assert message.content_sha256.hex() == vector["content_sha256_hex"]
        assert message.message is not None
    else:
        with pytest.raises(IcwsError) as caught:
            verify(vector)
        assert not isinstance(caught.value, MisuseError)


@pytest.mark.req("ICWS-CLT-026", "ICWS-CLT-028")
@pytest.mark.vectors("certificate")
def test_a_recorded_message_is_for_its_client_and_gateway_alone(vector: dict[str, Any]) -> None:
    if vector["name"] not in ("VALID_OPEN_MESSAGE", "VALID_ACK_MESSAGE"):
        pytest.skip("not a message that is good")
    (message,) = verify(vector)
    assert message.message is not None
    own = message.message.client_key
    with pytest.raises(MessageViolation) as caught:
        verify(vector, client_key=ClientKey(own.client_principal, own.client_nonce ^ 1))
    assert caught.value.reason is Reason.WRONG_CLIENT_KEY
    with pytest.raises(MessageViolation) as caught:
        verify(vector, gateway=own.client_principal)
    assert caught.value.reason is Reason.WRONG_GATEWAY


@pytest.mark.req("ICWS-CLT-020")
@pytest.mark.parametrize(
    ("messages", "certificate", "tree"),
    [
        ([], b"", b""),
        ([KeyedContent("", b"")] * (MAX_FRAME_MESSAGES + 1), b"", b""),
        ([KeyedContent("", bytes(MAX_MESSAGE_CONTENT_BYTES + 1))], b"", b""),
        ([KeyedContent("", b"")], bytes(MAX_CERTIFICATE_BYTES + 1), b""),
        ([KeyedContent("", b"")], b"", bytes(MAX_WITNESS_BYTES + 1)),
    ],
    ids=["none", "too many", "content", "certificate", "witness"],
)
def test_bounds_come_before_any_cryptography(messages: Any, certificate: bytes, tree: bytes) -> None:
    verifier: Any = None  # it is not reached
    source: Any = None
    with pytest.raises(DecodeError) as caught:
        verify_messages(messages, certificate, tree, verifier=verifier, source=source, now=0)
    assert caught.value.requirement == "ICWS-CLT-020"
