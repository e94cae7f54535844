"""What the quick reader of polls accepts is what the general decoder makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icws_secure.errors import DecodeError
from icws_secure.wire.candid import Arguments, Blob, Bool, Nat64, Opt, PrincipalType, Record, Text, Variant, Vec
from icws_secure.wire.interface import (
    POLL_RESULT,
    CertifiedMessages,
    ClientKey,
    OutputMessage,
    Refusal,
    decode_get_messages_result,
    encode_get_messages_result,
)
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY
from icws_secure.wire.principal import Principal
from icws_secure.wire.usual_reply import UsualReply, read_usual_client, usual_reply

pytestmark = pytest.mark.req("ICWS-LIB-021")

CLIENT_KEYS = st.builds(
    ClientKey, st.binary(max_size=5).map(Principal.self_authenticating), st.integers(0, (1 << 64) - 1)
)
MESSAGES = st.builds(
    OutputMessage,
    CLIENT_KEYS,
    st.text(st.characters(max_codepoint=127), max_size=127),
    st.binary(max_size=300) | st.sampled_from([127, 128, 16_383, 16_384]).map(bytes),
)
ALICE = ClientKey(Principal.self_authenticating(b"alice"), 1 << 60)
USUAL = CertifiedMessages(
    (OutputMessage(ALICE, "key 1", b"one"), OutputMessage(ALICE, "key 2", bytes(200))), b"cert", b"tree", False
)


def assert_alike(found: UsualReply, data: bytes) -> None:
    general = decode_get_messages_result(data)
    assert isinstance(general, CertifiedMessages)
    messages = tuple(
        OutputMessage(ClientKey(*read_usual_client(client)), key.decode("ascii"), content)
        for key, content, client in found.messages
    )
    assert CertifiedMessages(messages, found.cert, found.tree, found.is_end_of_queue) == general


@settings(max_examples=100, deadline=None)
@given(
    st.builds(CertifiedMessages, st.lists(MESSAGES, max_size=60).map(tuple), st.binary(), st.binary(), st.booleans())
)
def test_every_reply_with_messages_for_sessions_is_usual(result: CertifiedMessages) -> None:
    data = encode_get_messages_result(result)
    found = usual_reply(data)
    assert found is not None
    assert_alike(found, data)


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_no_other_bytes_are_read_in_another_way(data: st.DataObject) -> None:
    good = encode_get_messages_result(USUAL)
    at = data.draw(st.integers(0, len(good)))
    changed = good[:at] + data.draw(st.binary(max_size=3)) + good[at + data.draw(st.integers(0, 2)) :]
    found = usual_reply(changed)
    if found is not None:
        assert_alike(found, changed)


def test_every_single_byte_counts() -> None:
    good = encode_get_messages_result(USUAL)
    for at in range(len(good)):
        for byte in {0, 1, 2, 0x7F, 0x80, 0xFF, good[at] ^ 1, good[at] ^ 0x80}:
            changed = good[:at] + bytes((byte,)) + good[at + 1 :]
            found = usual_reply(changed)
            if found is not None:
                assert_alike(found, changed)
        assert usual_reply(good[:at]) is None


@pytest.mark.parametrize(
    "result",
    [
        Refusal("NotYourGateway", "who are you"),
        CertifiedMessages((OutputMessage(TOMBSTONE_CLIENT_KEY, "key", b""),), b"cert", b"tree"),
        CertifiedMessages((OutputMessage(ALICE, "schlüssel", b""),), b"cert", b"tree"),
        CertifiedMessages((OutputMessage(ALICE, "k" * 128, b""),), b"cert", b"tree"),
        CertifiedMessages((OutputMessage(ALICE, "key", b""),) * 1_001, b"cert", b"tree"),
    ],
)
def test_what_is_not_usual_is_left_to_the_general_decoder(result: CertifiedMessages | Refusal) -> None:
    data = encode_get_messages_result(result)
    assert usual_reply(data) is None
    assert decode_get_messages_result(data) == result


@pytest.mark.parametrize("data", [b"", b"DIDL", b"DIDX\x00\x00", b"DIDL\x00\x01", bytes(100)])
def test_what_is_no_candid_is_left_to_the_general_decoder(data: bytes) -> None:
    assert usual_reply(data) is None
    with pytest.raises(DecodeError):
        decode_get_messages_result(data)


def test_a_key_whose_length_takes_two_bytes_is_not_read_as_a_shorter_one() -> None:
    # read with its first byte alone the length would be 128 too, from the second byte on, and all the rest would fit
    content = bytes(9)
    key = "k" * 127 + chr(1 + len(content))
    data = encode_get_messages_result(CertifiedMessages((OutputMessage(ALICE, key, content),), b"cert", b"tree"))
    assert usual_reply(data) is None


def declared(**changes: object) -> Arguments:
    """The types of a reply, some of them changed."""
    client_key = {"client_principal": PrincipalType, "client_nonce": Nat64}
    output = {"client_key": Record(client_key), "key": Text, "content": Blob}
    messages = {"messages": Vec(Record(output)), "cert": Blob, "tree": Blob, "is_end_of_queue": Bool}
    return Arguments(Variant({"Ok": Record({**messages, **changes}), "Err": Text}))  # type: ignore[dict-item]


@pytest.mark.parametrize("changes", [{"is_end_of_queue": Opt(Bool)}, {"more": Nat64}, {"cert": Opt(Blob)}])
def test_only_the_types_of_the_interface_are_usual(changes: dict[str, object]) -> None:
    value = {"messages": (), "cert": b"c", "tree": b"t", "is_end_of_queue": True}
    assert usual_reply(declared().encode(("Ok", value))) == ([], b"c", b"t", True)
    data = declared(**changes).encode(("Ok", dict.fromkeys(changes, 7) | value))
    assert POLL_RESULT.values_at(data) is None
    assert usual_reply(data) is None
