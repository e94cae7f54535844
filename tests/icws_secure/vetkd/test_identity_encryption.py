"""Identity-based encryption, with one thing wrong at a time."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from icws_secure.errors import MisuseError, PayloadViolation, Reason
from icws_secure.vetkd import IBE_OVERHEAD_BYTES, VetKey, ibe_decrypt, ibe_encrypt

SEED = bytes(range(32))
IDENTITY = b"alice"


def refuse(key: VetKey, data: bytes) -> Reason:
    with pytest.raises(PayloadViolation) as caught:
        ibe_decrypt(key, data)
    return caught.value.reason


@pytest.mark.parametrize("message", [b"", b"a", bytes(500)])
def test_round_trip(dealer: Any, message: bytes) -> None:
    sealed = ibe_encrypt(dealer.public_key(), IDENTITY, message, seed=SEED)
    assert len(sealed) == len(message) + IBE_OVERHEAD_BYTES
    assert ibe_decrypt(VetKey(dealer.vetkey(IDENTITY)), sealed) == message


def test_key_of_another_identity_or_context_is_refused(dealer: Any) -> None:
    sealed = ibe_encrypt(dealer.public_key(), IDENTITY, b"message", seed=SEED)
    assert refuse(VetKey(dealer.vetkey(b"bob")), sealed) is Reason.OPEN_FAILED
    assert refuse(VetKey(dealer.vetkey(IDENTITY, context=b"other")), sealed) is Reason.OPEN_FAILED


def test_changed_bytes_are_refused(dealer: Any) -> None:
    key = VetKey(dealer.vetkey(IDENTITY))
    sealed = ibe_encrypt(dealer.public_key(), IDENTITY, b"message", seed=SEED)
    for position in range(0, len(sealed), 5):
        refuse(key, sealed[:position] + bytes((sealed[position] ^ 1,)) + sealed[position + 1 :])
    assert refuse(key, sealed[:-1]) is Reason.OPEN_FAILED
    assert refuse(key, sealed + b"\x00") is Reason.OPEN_FAILED
    assert refuse(key, sealed[: IBE_OVERHEAD_BYTES - 1]) is Reason.MALFORMED


@pytest.mark.req("ICWS-PAY-014")
@pytest.mark.parametrize("point", [b"\xc0" + bytes(95), bytes(96), b"\x80" + bytes(95)])
def test_point_that_must_not_be_used_is_refused(dealer: Any, point: bytes) -> None:
    sealed = ibe_encrypt(dealer.public_key(), IDENTITY, b"message", seed=SEED)
    changed = sealed[:8] + point + sealed[104:]
    assert refuse(VetKey(dealer.vetkey(IDENTITY)), changed) is Reason.BAD_BLS_POINT


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_seed_of_another_length_is_misuse(dealer: Any, seed: bytes) -> None:
    with pytest.raises(MisuseError):
        ibe_encrypt(dealer.public_key(), IDENTITY, b"", seed=seed)


def test_missing_library_is_misuse(dealer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py_arkworks_bls12381", None)
    with pytest.raises(MisuseError) as caught:
        ibe_encrypt(dealer.public_key(), IDENTITY, b"", seed=SEED)
    assert caught.value.reason is Reason.UNSUPPORTED
