"""Messages in the vetKeys libraries' AES-GCM format."""

from __future__ import annotations

import pytest

from icws_secure.errors import MisuseError, PayloadViolation, Reason
from icws_secure.vetkd import GCM_OVERHEAD_BYTES, DerivedKeyMaterial

MATERIAL = DerivedKeyMaterial(bytes(range(32)))
NONCE = b"nonce 12byte"


def refuse(data: bytes, domain: bytes = b"domain", associated_data: bytes = b"data") -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        MATERIAL.decrypt_message(data, domain, associated_data)
    return caught.value.reason


@pytest.mark.parametrize("message", [b"", b"a", bytes(1000)])
@pytest.mark.parametrize("associated_data", [b"", b"data"])
def test_round_trip(message: bytes, associated_data: bytes) -> None:
    sealed = MATERIAL.encrypt_message(message, b"domain", associated_data, nonce=NONCE)
    assert len(sealed) == len(message) + GCM_OVERHEAD_BYTES
    assert MATERIAL.decrypt_message(sealed, b"domain", associated_data) == message


def test_other_domain_data_or_key_is_refused() -> None:
    sealed = MATERIAL.encrypt_message(b"message", b"domain", b"data", nonce=NONCE)
    assert refuse(sealed, domain=b"other") is Reason.OPEN_FAILED
    assert refuse(sealed, associated_data=b"") is Reason.OPEN_FAILED
    with pytest.raises(PayloadViolation):
        DerivedKeyMaterial(bytes(32)).decrypt_message(sealed, b"domain", b"data")


def test_every_changed_byte_is_refused() -> None:
    sealed = MATERIAL.encrypt_message(b"message", b"domain", b"data", nonce=NONCE)
    for position in range(len(sealed)):
        changed = sealed[:position] + bytes((sealed[position] ^ 1,)) + sealed[position + 1 :]
        assert refuse(changed) is (Reason.MALFORMED if position < 8 else Reason.OPEN_FAILED)


@pytest.mark.req("ICWS-PAY-015")
def test_message_without_header_is_refused_however_it_was_made() -> None:
    sealed = MATERIAL.encrypt_message(b"message that is long enough", b"domain", b"", nonce=NONCE)
    assert refuse(sealed[8:], associated_data=b"") is Reason.MALFORMED


@pytest.mark.parametrize("length", [0, 8, 20, 35])
def test_short_message_is_refused(length: int) -> None:
    assert refuse(b"IC GCMv2".ljust(36, b"x")[:length]) is Reason.MALFORMED


@pytest.mark.parametrize("nonce", [b"", bytes(11), bytes(13)])
def test_nonce_of_another_length_is_misuse(nonce: bytes) -> None:
    with pytest.raises(MisuseError):
        MATERIAL.encrypt_message(b"", b"", b"", nonce=nonce)


def test_material_of_another_length_is_misuse() -> None:
    with pytest.raises(MisuseError):
        DerivedKeyMaterial(bytes(31))
