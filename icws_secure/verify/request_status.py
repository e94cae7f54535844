"""What a certificate says about one request: nothing, under way, or how it ended.

Only :class:`Replied` and :class:`Rejected` are final. :class:`AbsentStatus` is a proof that the subnet did not know
the request at the certificate's time; :class:`UnknownStatus` is none: whoever made the certificate left the request
out of sight.

Source: IC interface specification, "Request status" in "The system state tree".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..errors import CertificateError, DecodeError, MisuseError, Reason
from ..wire.hashtree import ABSENT, UNKNOWN, Found
from ..wire.leb128 import decode_unsigned_exact
from .certificate import VerifiedCertificate

__all__ = [
    "AbsentStatus",
    "Done",
    "Processing",
    "Received",
    "Rejected",
    "Replied",
    "RequestStatus",
    "UnknownStatus",
    "read_request_status",
]


@dataclass(frozen=True, slots=True)
class Replied:
    """The call replied.

    Attributes:
        arg: the reply, as the canister gave it.
    """

    arg: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The call was rejected.

    Attributes:
        code: the IC's reject code, 1 to 6.
        message: the reject message.
        error_code: a text such as ``IC0503``, or None.
    """

    code: int
    message: str
    error_code: str | None


@dataclass(frozen=True, slots=True)
class Processing:
    """The first effect of the call has happened, or will."""


@dataclass(frozen=True, slots=True)
class Received:
    """The call is in the subnet's state, and nothing of it has happened."""


@dataclass(frozen=True, slots=True)
class Done:
    """The call ended, and how is no longer kept."""


@dataclass(frozen=True, slots=True)
class AbsentStatus:
    """The subnet did not know the call at the certificate's time."""


@dataclass(frozen=True, slots=True)
class UnknownStatus:
    """The certificate does not show the call, and does not prove its absence."""


RequestStatus: TypeAlias = Replied | Rejected | Processing | Received | Done | AbsentStatus | UnknownStatus
"""What :func:`read_request_status` returns."""

_UNDER_WAY: Final[dict[bytes, RequestStatus]] = {
    b"processing": Processing(),
    b"received": Received(),
    b"done": Done(),
}
_REJECT_CODES: Final = range(1, 7)


def read_request_status(certificate: VerifiedCertificate, request_id: bytes) -> RequestStatus:
    """Reads the status of one request.

    Args:
        certificate: verified for the canister that was called, since a status is not keyed by canister: any subnet
        could claim it.
        request_id: the id of the request, 32 bytes, computed by the caller from what it sent.

    Raises:
        MisuseError: the certificate was verified for no canister and no subnet.
        CertificateError: the status is there but cannot be read, or a part of it is withheld.
    """
    if not certificate.is_scoped:
        raise MisuseError("the certificate was not verified for a canister", reason=Reason.WRONG_STATE)
    path = (b"request_status", request_id)
    status = certificate.lookup((*path, b"status"))
    if status is ABSENT:
        return AbsentStatus()
    if status is UNKNOWN:
        return UnknownStatus()
    if not isinstance(status, Found):
        raise _unreadable("status", Reason.PATH_ERROR)
    if status.value == b"replied":
        return Replied(_leaf(certificate, path, b"reply"))
    if status.value == b"rejected":
        return Rejected(
            code=_reject_code(_leaf(certificate, path, b"reject_code")),
            message=_text(_leaf(certificate, path, b"reject_message"), "reject_message"),
            error_code=_error_code(certificate, path),
        )
    # [ICWS-LIB-010] Fail closed: a status that is not known is not one of those that are.
    if status.value not in _UNDER_WAY:
        raise _unreadable("status", Reason.MALFORMED)
    return _UNDER_WAY[status.value]


def _leaf(certificate: VerifiedCertificate, path: tuple[bytes, bytes], name: bytes) -> bytes:
    shown = certificate.lookup((*path, name))
    if isinstance(shown, Found):
        return shown.value
    reasons = {ABSENT: Reason.PATH_ABSENT, UNKNOWN: Reason.PATH_UNKNOWN}
    raise _unreadable(name.decode(), reasons.get(shown, Reason.PATH_ERROR))


def _error_code(certificate: VerifiedCertificate, path: tuple[bytes, bytes]) -> str | None:
    if certificate.lookup((*path, b"error_code")) is ABSENT:
        return None
    return _text(_leaf(certificate, path, b"error_code"), "error_code")


def _reject_code(value: bytes) -> int:
    try:
        code = decode_unsigned_exact(value, what="reject_code")
    except DecodeError as error:
        raise _unreadable("reject_code", Reason.MALFORMED) from error
    if code not in _REJECT_CODES:
        raise _unreadable("reject_code", Reason.MALFORMED)
    return code


def _text(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(name, Reason.MALFORMED) from error


def _unreadable(name: str, reason: Reason) -> CertificateError:
    return CertificateError(
        f"the request's {name} cannot be read", reason=reason, requirement="ICWS-LIB-010", field=name
    )
