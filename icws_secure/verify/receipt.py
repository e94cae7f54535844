"""Verification of receipts: certified answers to the client's own calls.

:func:`verify_receipt` takes these steps, in this order:

1. The certificate is within bounds and valid for the canister. Its age does not matter: what a call answered stays
   true. The canister does, because request statuses are not kept by canister: any other subnet could certify one.
2. The status at ``/request_status/<request id>`` is read.
3. ``replied`` and ``rejected`` are receipts. ``received``, ``processing`` and ``done`` are none, nor is a status that
   is absent or not shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import DecodeError, MisuseError, Reason, ReceiptViolation
from ..limits import MAX_CERTIFICATE_BYTES
from ..wire.principal import Principal
from .certificate import CertificateVerifier
from .request_status import Rejected, Replied, read_request_status

__all__ = ["VerifiedReceipt", "verify_receipt"]

_TOKEN: Final = object()


@dataclass(frozen=True, slots=True)
class _Facts:
    request_id: bytes
    answer: Replied | Rejected
    certificate_time_ns: int


class VerifiedReceipt:
    """The certified outcome of one call; only :func:`verify_receipt` makes them.

    Attributes:
        request_id: 32 bytes, the call.
        answer: the reply's bytes, or the rejection.
        certificate_time_ns: time of the certificate, nanoseconds since 1970; the call was executed before.
    """

    __slots__ = ("answer", "certificate_time_ns", "request_id")

    def __init__(self, facts: _Facts, *, token: object = None) -> None:
        if token is not _TOKEN:
            raise MisuseError("only verify_receipt makes receipts")
        self.request_id = facts.request_id
        self.answer = facts.answer
        self.certificate_time_ns = facts.certificate_time_ns


def verify_receipt(
    certificate: bytes, *, verifier: CertificateVerifier, canister_id: Principal, request_id: bytes
) -> VerifiedReceipt:
    """Verify the certified answer to a call, by the steps in this module's docstring.

    Args:
        certificate: CBOR of the certificate.
        verifier: holds the root key.
        canister_id: the canister called.
        request_id: 32 bytes, computed by the client from its own envelope.

    Raises:
        DecodeError: the certificate is malformed or too long.
        CertificateError: step 1.
        ReceiptViolation: step 3 (``ReceiptNotFinal``), or the status is malformed.
    """
    # 1. [ICWS-CLT-040]
    if len(certificate) > MAX_CERTIFICATE_BYTES:
        raise DecodeError(
            "the receipt is too long", reason=Reason.TOO_LARGE, requirement="ICWS-CLT-020", limit=MAX_CERTIFICATE_BYTES
        )
    verified = verifier.verify_ignoring_age(certificate, canister_id=canister_id)
    # 2.
    status = read_request_status(verified, request_id)
    # 3. [ICWS-CLT-040]
    if not isinstance(status, Replied | Rejected):
        raise ReceiptViolation(
            "the certificate does not show an answer to the call",
            reason=Reason.RECEIPT_NOT_FINAL,
            requirement="ICWS-CLT-040",
            status=type(status).__name__,
        )
    return VerifiedReceipt(_Facts(request_id, status, verified.time_ns), token=_TOKEN)
