"""The frames of a client that is open: what must hold before a call is relayed.

The steps, in this order, cheap ones first:

1. The frame is one call envelope.
2. It is for the canister of the open, and for a method that a client of its profile calls through a gateway.
3. Its sender is the one of the open; in a secure session there are no delegations.
4. The expiry is within bounds and the signature is valid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.envelope import verify_envelope
from icws_secure.wire.close_codes import CloseCode

from .client_frame import read_call
from .open_check import OpenedSession
from .refusal import ClientRefused, refusal_of

__all__ = ["OMNIA_METHODS", "SECURE_METHODS", "CheckedCall", "check_call"]

OMNIA_METHODS: Final = frozenset({"ws_message"})
"""What a client of ``omnia/1`` calls after its open."""

SECURE_METHODS: Final = frozenset({"ws_message", "ws_message_batch", "ws_params", "ws_audit", "ws_revoke", "ws_close"})
"""What a client of ``icws-secure/1`` may have relayed. Registration never goes through a gateway."""


@dataclass(frozen=True, slots=True)
class CheckedCall:
    """A call that may be relayed.

    Attributes:
        request_id: 32 bytes.
        body: the request, with the client's own bytes.
        expires_ns: when the IC stops taking it, nanoseconds since 1970.
    """

    request_id: bytes
    body: bytes = field(repr=False)
    expires_ns: int


def check_call(
    frame: bytes | str, session: OpenedSession, *, now: int, certificates: CertificateVerifier | None
) -> CheckedCall:
    """Takes all steps.

    Args:
        frame: as received.
        session: what the connection opened.
        now: nanoseconds since 1970.
        certificates: for canister signatures in delegations; without it those are refused.

    Raises:
        ClientRefused: a step failed.
    """
    # 1.
    envelope, content, body = read_call(frame)
    # 2.
    # [ICWS-GWY-004]
    if content.canister_id != session.canister:
        raise ClientRefused(CloseCode.WRONG_CANISTER, "the call is for another canister")
    # [ICWS-GWY-004]
    if content.method_name not in (SECURE_METHODS if session.secure else OMNIA_METHODS):
        raise ClientRefused(CloseCode.METHOD_NOT_ALLOWED, "this method is not relayed")
    # 3.
    # [ICWS-GWY-004]
    if content.sender != session.client_key.client_principal:
        raise ClientRefused(CloseCode.SENDER_MISMATCH, "the call has another sender than the open")
    # [ICWS-GWY-020]
    if session.secure and envelope.sender_delegation is not None:
        raise ClientRefused(CloseCode.DELEGATION_NOT_ALLOWED, "the session key signs itself")
    # 4.
    # [ICWS-GWY-021]
    try:
        verified = verify_envelope(envelope, now=now, certificates=certificates)
    except IcwsError as error:
        raise refusal_of(error, signature=True) from error
    return CheckedCall(verified.request_id, body, content.ingress_expiry_ns)
