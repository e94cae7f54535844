"""What became of a relayed call: the receipt for the client, and what the gateway itself must know.

A certificate is passed on byte for byte; the gateway looks into it only for the outcome of the open, and believes it no
more than it needs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from icws_secure.errors import IcwsError
from icws_secure.wire.certificate import decode_certificate
from icws_secure.wire.frames import ReceiptFrame, ReceiptStatus
from icws_secure.wire.hashtree import Found, HashTree, lookup
from icws_secure.wire.http import CallAccepted, CallCertificate, CallRejected
from icws_secure.wire.interface import decode_open_result

__all__ = ["CallFailed", "CallOutcome", "open_refusal", "outcome_name", "receipt"]

_WORDS: Final = 200  # characters of a reject message that are passed on


@dataclass(frozen=True, slots=True)
class CallFailed:
    """The IC could not be reached, or took nothing.

    Attributes:
        words: why, for people.
    """

    words: str


CallOutcome: TypeAlias = CallAccepted | CallCertificate | CallRejected | CallFailed
"""How relaying a call ended."""

_NAMES: Final[dict[type[CallOutcome], str]] = {
    CallAccepted: "pending",
    CallCertificate: "certificate",
    CallRejected: "rejected",
    CallFailed: "failed",
}


def outcome_name(outcome: CallOutcome) -> str:
    """Label of the outcome for the metric."""
    return _NAMES[type(outcome)]


def receipt(request_id: bytes, outcome: CallOutcome) -> bytes:
    """The receipt frame for a call."""
    match outcome:
        case CallCertificate(certificate):
            # [ICWS-GWY-010] unchanged: only the client verifies it
            frame = ReceiptFrame(request_id, ReceiptStatus.CERTIFICATE, certificate=certificate)
        case CallAccepted():
            # [ICWS-GWY-010]
            frame = ReceiptFrame(request_id, ReceiptStatus.PENDING)
        case CallRejected(code, message, error_code):
            frame = ReceiptFrame(
                request_id,
                ReceiptStatus.REJECTED,
                reject_code=code,
                reject_message=message[:_WORDS],
                error_code=error_code,
            )
        case CallFailed(words):
            frame = ReceiptFrame(request_id, ReceiptStatus.FAILED, reject_message=words)
    return frame.encode()


def open_refusal(request_id: bytes, outcome: CallOutcome) -> str | None:
    """Why the canister did not open, as far as the answer says so; None if it did, or may have."""
    match outcome:
        case CallRejected(code, _, error_code):
            return f"rejected with {error_code or code}"
        case CallCertificate(certificate):
            return _certified_refusal(request_id, certificate)
        case _:
            return None


def _certified_refusal(request_id: bytes, certificate: bytes) -> str | None:
    try:
        tree = decode_certificate(certificate).tree
        status = _leaf(tree, request_id, b"status")
        if status == b"rejected":
            error_code = _leaf(tree, request_id, b"error_code") or b""
            return f"rejected {error_code.decode('ascii', 'replace')[:16]}".rstrip()
        reply = _leaf(tree, request_id, b"reply")
        refusal = decode_open_result(reply) if status == b"replied" and reply is not None else None
    except IcwsError:
        return None  # the client judges it; here it says nothing
    return None if refusal is None else refusal.code or "the canister gave no code"


def _leaf(tree: HashTree, request_id: bytes, name: bytes) -> bytes | None:
    shown = lookup(tree, (b"request_status", request_id, name))
    return shown.value if isinstance(shown, Found) else None
