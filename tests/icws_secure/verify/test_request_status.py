"""What a certificate says about a request."""

from __future__ import annotations

from typing import Any

import pytest

from icws_secure.errors import CertificateError, MisuseError, Reason
from icws_secure.verify import (
    AbsentStatus,
    Done,
    Processing,
    Received,
    Rejected,
    Replied,
    UnknownStatus,
    read_request_status,
)
from icws_secure.wire.hashtree import Pruned
from icws_secure.wire.principal import Principal

NOW = 1_795_000_000_000_000_000
CANISTER = Principal(bytes.fromhex("00000000003002100101"))
ID = bytes(range(32))
REJECTED = {b"status": b"rejected", b"reject_code": b"\x04", b"reject_message": b"no"}


def read(issuer: Any, request: Any, request_id: bytes = ID) -> object:
    content = {b"request_status": {request_id: request}}
    certificate = issuer.verifier().verify(issuer.certificate(content), now=NOW, canister_id=CANISTER)
    return read_request_status(certificate, ID)


def refuse(issuer: Any, request: Any) -> Reason:
    with pytest.raises(CertificateError) as caught:
        read(issuer, request)
    return caught.value.reason


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({b"status": b"replied", b"reply": b"DIDL"}, Replied(b"DIDL")),
        ({b"status": b"replied", b"reply": b""}, Replied(b"")),
        (REJECTED, Rejected(4, "no", None)),
        ({**REJECTED, b"error_code": b"IC0503"}, Rejected(4, "no", "IC0503")),
        ({b"status": b"processing"}, Processing()),
        ({b"status": b"received"}, Received()),
        ({b"status": b"done"}, Done()),
    ],
)
def test_status_is_read(issuer: Any, request_: Any, status: object) -> None:
    assert read(issuer, request_) == status


@pytest.mark.parametrize("other", [bytes(32), b"\xff" * 32])
def test_request_that_is_not_there_is_absent(issuer: Any, other: bytes) -> None:
    assert read(issuer, {b"status": b"replied", b"reply": b""}, request_id=other) == AbsentStatus()


def test_request_that_is_withheld_is_unknown(issuer: Any) -> None:
    content = {b"request_status": Pruned(bytes(32))}
    certificate = issuer.verifier().verify(issuer.certificate(content), now=NOW, canister_id=CANISTER)
    assert read_request_status(certificate, ID) == UnknownStatus()


@pytest.mark.req("ICWS-LIB-023")
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({b"status": b"replied"}, Reason.PATH_ABSENT),
        ({b"status": b"replied", b"reply": Pruned(bytes(32))}, Reason.PATH_UNKNOWN),
        ({b"status": b"replied", b"reply": {b"x": b"y"}}, Reason.PATH_ERROR),
        ({b"status": {b"x": b"y"}}, Reason.PATH_ERROR),
        ({b"status": b"executed"}, Reason.MALFORMED),
        ({b"status": b"rejected", b"reject_code": b"\x04"}, Reason.PATH_ABSENT),
        ({**REJECTED, b"reject_code": b"\x00"}, Reason.MALFORMED),
        ({**REJECTED, b"reject_code": b"\x07"}, Reason.MALFORMED),
        ({**REJECTED, b"reject_code": b""}, Reason.MALFORMED),
        ({**REJECTED, b"reject_message": b"\xff"}, Reason.MALFORMED),
        ({**REJECTED, b"error_code": b"\xff"}, Reason.MALFORMED),
        ({**REJECTED, b"error_code": Pruned(bytes(32))}, Reason.PATH_UNKNOWN),
    ],
)
def test_status_that_cannot_be_read_is_refused(issuer: Any, request_: Any, reason: Reason) -> None:
    assert refuse(issuer, request_) is reason


def test_certificate_without_scope_is_misuse(issuer: Any) -> None:
    certificate = issuer.verifier().verify(issuer.certificate(), now=NOW)
    with pytest.raises(MisuseError):
        read_request_status(certificate, ID)
