from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icws_secure.errors import DecodeError, Reason
from icws_secure.wire.der import PublicKey
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal

LEDGER = "ryjl3-tyaaa-aaaaa-aaaba-cai"


@pytest.mark.req("ICWS-LIB-002")
@pytest.mark.vectors("principal")
def test_vector(vector: dict[str, Any]) -> None:
    if vector.get("expect") == "reject":
        with pytest.raises(DecodeError):
            Principal.from_text(vector["text"])
        return
    principal = Principal(bytes.fromhex(vector["hex"]))
    assert principal.to_text() == vector["text"]
    assert Principal.from_text(vector["text"]) == principal
    if "der_hex" in vector:
        der = bytes.fromhex(vector["der_hex"])
        assert Principal.self_authenticating(der) == principal
        assert PublicKey.from_der(der).principal == principal


@given(st.binary(max_size=29))
def test_text_leads_back_to_the_bytes(raw: bytes) -> None:
    principal = Principal(raw)
    assert Principal.from_text(principal.to_text()) == principal
    assert Principal.from_text(principal.to_text().upper()) == principal
    assert bytes(principal) == raw


@pytest.mark.req("ICWS-LIB-002")
@pytest.mark.parametrize(
    "text",
    [
        LEDGER.replace("-", ""),
        LEDGER + "-",
        "-" + LEDGER,
        LEDGER.replace("-", "--", 1),
        LEDGER.replace("ryjl3-", "ryjl-3"),
        " " + LEDGER,
        LEDGER + "\n",
        LEDGER[:-1],
        LEDGER[:-1] + "j",  # the spare bits of the last character are set
        LEDGER[:-1] + "1",  # no character of base32
        LEDGER + "=",
        "r\u212ayjl3",  # the Kelvin sign is k in lower case
        "aaaaa-aa".replace("aaaaa", "aaaab"),
        "a" * 64,
        "aaaaa",
        "-",
        "\x00",
    ],
)
def test_text_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        Principal.from_text(text)
    assert caught.value.requirement == "ICWS-LIB-002"


@pytest.mark.req("ICWS-LIB-002")
@given(st.binary(max_size=29), st.integers(0, 62), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567-"))
def test_text_with_one_other_character_is_refused(raw: bytes, at: int, character: str) -> None:
    text = Principal(raw).to_text()
    at %= len(text)
    changed = text[:at] + character + text[at + 1 :]
    if changed != text:
        with pytest.raises(DecodeError):
            Principal.from_text(changed)


@pytest.mark.req("ICWS-LIB-002")
def test_more_than_29_bytes_are_refused() -> None:
    with pytest.raises(DecodeError) as caught:
        Principal(bytes(30))
    assert caught.value.reason is Reason.TOO_LARGE


def test_order_is_that_of_byte_strings() -> None:
    principals = [MANAGEMENT, Principal(b"\x00"), Principal(b"\x00\x00"), Principal(b"\x01"), ANONYMOUS]
    others = principals[::-1]
    others.sort()
    assert others == principals
    assert Principal(b"\x02" * 29) < ANONYMOUS
    assert Principal(b"\x05") >= ANONYMOUS


def test_classes_are_told_by_the_last_byte() -> None:
    assert ANONYMOUS.to_text() == "2vxsx-fae"
    assert ANONYMOUS.is_anonymous
    assert MANAGEMENT.to_text() == "aaaaa-aa"
    assert not MANAGEMENT.is_anonymous
    assert not MANAGEMENT.is_opaque
    assert not MANAGEMENT.is_self_authenticating
    assert Principal.from_text(LEDGER).is_opaque
    user = Principal.self_authenticating(b"key")
    assert user.is_self_authenticating
    assert not user.is_opaque
    assert not Principal(b"\x02").is_self_authenticating
    assert not Principal(b"\x04" * 2).is_anonymous


def test_principals_are_values() -> None:
    one, two = Principal(b"\x04"), Principal(b"\x04")
    one.to_text()
    assert one == two
    assert len({one, two}) == 1
    assert repr(one) == "Principal('2vxsx-fae')"
    assert str(one) == "2vxsx-fae"
    with pytest.raises(AttributeError):
        one.raw = b""  # type: ignore[misc]  # this is what must not work
