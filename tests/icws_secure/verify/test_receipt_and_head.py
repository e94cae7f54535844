"""Receipts and heads: their bounds come first, and no one else makes verified ones."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.limits import MAX_CERTIFICATE_BYTES, MAX_WITNESS_BYTES
from icws_secure.verify.head import VerifiedHead, verify_head
from icws_secure.verify.receipt import VerifiedReceipt, verify_receipt
from icws_secure.wire.principal import Principal

UNREACHED: Any = None
CANISTER = Principal(b"\x01")


@pytest.mark.req("ICWS-CLT-020", "ICWS-CLT-040")
def test_a_receipt_that_is_too_long_is_refused_before_it_is_looked_into() -> None:
    with pytest.raises(DecodeError) as caught:
        verify_receipt(bytes(MAX_CERTIFICATE_BYTES + 1), verifier=UNREACHED, canister_id=CANISTER, request_id=bytes(32))
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.req("ICWS-CLT-020")
@pytest.mark.parametrize(
    ("certificate", "tree"), [(MAX_CERTIFICATE_BYTES + 1, 0), (0, MAX_WITNESS_BYTES + 1)], ids=["certificate", "tree"]
)
def test_a_head_that_is_too_long_is_refused_before_it_is_looked_into(certificate: int, tree: int) -> None:
    with pytest.raises(DecodeError) as caught:
        verify_head(bytes(certificate), bytes(tree), verifier=UNREACHED, canister_id=CANISTER, session=CANISTER, now=0)
    assert caught.value.reason is Reason.TOO_LARGE


def test_only_the_verifier_makes_receipts_and_heads() -> None:
    for kind in (VerifiedReceipt, VerifiedHead):
        with pytest.raises(MisuseError):
            kind(UNREACHED)
