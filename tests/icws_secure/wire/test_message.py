"""Canister messages and their keys."""

from __future__ import annotations

import pytest

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.limits import MAX_CONTENT_BYTES
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import (
    TOMBSTONE_CLIENT_KEY,
    CanisterMessage,
    decode_message,
    message_key,
    message_path,
    parse_message_key,
)
from icws_secure.wire.principal import Principal

GATEWAY = Principal.from_text("535yc-uxytb-gfk7h-tny7p-vjkoe-i4krp-3qmcl-uqfgr-cpgej-yqtjq-rqe")
KEY = ClientKey(Principal(b"\x01\x02"), 2**64 - 1)
MESSAGE = CanisterMessage(KEY, 1, 1_700_000_000_000_000_000, False, b"hello")


def fields_of(message: CanisterMessage) -> dict[str, object]:
    value = cbor.decode(message.encode(), what="message")
    assert isinstance(value, dict)
    return value


# Keys -----------------------------------------------------------------------------------------------------------------


@pytest.mark.req("ICWS-LIB-025")
@pytest.mark.parametrize("nonce", [0, 7, 2**64 - 1])
def test_key_is_gateway_and_nonce(nonce: int) -> None:
    key = message_key(GATEWAY, nonce)

    assert key == f"{GATEWAY.to_text()}_{nonce:020}"
    assert parse_message_key(key) == (GATEWAY, nonce)
    assert message_path(key) == (b"websocket", key.encode())


@pytest.mark.parametrize("nonce", [-1, 2**64])
def test_nonce_out_of_range_makes_no_key(nonce: int) -> None:
    with pytest.raises(MisuseError):
        message_key(GATEWAY, nonce)


@pytest.mark.req("ICWS-LIB-025")
@pytest.mark.parametrize(
    "key",
    [
        "",
        "_",
        "websocket",
        GATEWAY.to_text(),
        f"_{7:020}",
        f"{GATEWAY}{7:020}",
        f"{GATEWAY}_{7:019}",
        f"{GATEWAY}_{7:021}",
        f"{GATEWAY}__{7:020}",
        f"{GATEWAY}_+{7:019}",
        f"{GATEWAY}_ {7:019}",
        f"{GATEWAY}_{7:020} ",
        f"{GATEWAY}_{7:020}\n",
        f"{GATEWAY}_{2**64}",
        f"{GATEWAY}_{10**20 - 1}",
        f"{GATEWAY}_" + "٣" * 20,
        f"{GATEWAY}_" + "²" * 20,
        f"{GATEWAY.to_text().upper()}_{7:020}",
        f"{GATEWAY.to_text().replace('-', '')}_{7:020}",
        f" {GATEWAY}_{7:020}",
        f"{GATEWAY.to_text()[:-1]}a_{7:020}",
        f"not-a-principal_{7:020}",
    ],
)
def test_key_of_any_other_form_is_refused(key: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_message_key(key)

    assert caught.value.reason is Reason.WRONG_KEY_FORM
    assert caught.value.requirement == "ICWS-LIB-025"


# Messages -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        MESSAGE,
        CanisterMessage(KEY, 0, 0, True, b"", bytes(range(16))),
        CanisterMessage(TOMBSTONE_CLIENT_KEY, 2**64 - 1, 2**64 - 1, False, bytes(MAX_CONTENT_BYTES)),
    ],
)
def test_message_is_decoded_as_it_was_encoded(message: CanisterMessage) -> None:
    assert decode_message(message.encode()) == message


def test_encoding_is_that_of_deployed_canisters() -> None:
    expected = (
        "d9d9f7a5"
        "6a636c69656e745f6b6579" "a2" "70636c69656e745f7072696e636970616c" "420102"
        "6c636c69656e745f6e6f6e6365" "1bffffffffffffffff"
        "6c73657175656e63655f6e756d" "01" "6974696d657374616d70" "1b17979cfe362a0000"
        "7269735f736572766963655f6d657373616765" "f4" "67636f6e74656e74" "4568656c6c6f"
    )  # fmt: skip

    assert MESSAGE.encode().hex() == expected


def test_message_without_the_self_describe_tag_is_read() -> None:
    assert decode_message(MESSAGE.encode()[3:]) == MESSAGE


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode_message(cbor.encode({**fields_of(MESSAGE), "later": [1, {"a": None}]})) == MESSAGE


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    "changes",
    [
        {"client_key": None},
        {"client_key": []},
        {"client_key": {"client_principal": b"\x04"}},
        {"client_key": {"client_principal": bytes(30), "client_nonce": 1}},
        {"client_key": {"client_principal": "2vxsx-fae", "client_nonce": 1}},
        {"client_key": {"client_principal": b"\x04", "client_nonce": -1}},
        {"sequence_num": -1},
        {"sequence_num": 2**64},
        {"sequence_num": "1"},
        {"sequence_num": True},
        {"timestamp": 2**64},
        {"is_service_message": 0},
        {"is_service_message": None},
        {"content": "hello"},
        {"content": [1, 2]},
        {"content": None},
        {"salt": bytes(15)},
        {"salt": bytes(17)},
        {"salt": "x" * 16},
        {"salt": None},
    ],
)
def test_message_with_a_field_of_another_type_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(DecodeError):
        decode_message(cbor.encode({**fields_of(MESSAGE), **changes}))


@pytest.mark.parametrize("name", ["client_key", "sequence_num", "timestamp", "is_service_message", "content"])
def test_message_without_one_of_its_fields_is_refused(name: str) -> None:
    value = fields_of(MESSAGE)
    del value[name]

    with pytest.raises(DecodeError) as caught:
        decode_message(cbor.encode(value))

    assert caught.value.reason is Reason.MISSING_FIELD


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", b"\xf6", MESSAGE.encode() + b"\x00", MESSAGE.encode()[:-1]])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_message(data)


def test_message_over_the_limit_is_refused() -> None:
    too_large = CanisterMessage(KEY, 1, 1, False, bytes(MAX_CONTENT_BYTES + 2048))

    with pytest.raises(DecodeError) as caught:
        decode_message(too_large.encode())

    assert caught.value.reason is Reason.TOO_LARGE


def test_salt_has_sixteen_bytes() -> None:
    with pytest.raises(MisuseError):
        CanisterMessage(KEY, 1, 1, False, b"", b"short")
