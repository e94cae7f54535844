"""Verification of the answer to ``ws_register`` and ``ws_params``: all that a session may rely on.

:func:`verify_registration` takes these steps, in this order:

1. The receipt (certificate, canister, request id, final status) was verified by
   :func:`icws_secure.verify.receipt.verify_receipt`.
2. The certificate was made while the client waited; this calibrates the client's clock.
3. A rejection, and a missing method above all, is an error. So is anything that was not certified: nothing is tried
   instead.
4. The reply decodes completely; a refusal is raised as one.
5. Registration id, session principal, owner and profile are those asked for.
6. Every parameter is within the protocol's bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import CanisterRejected, DecodeError, Reason, Refused, RegistrationViolation, TrustUnavailable
from ..limits import (
    MAX_CLOCK_SKEW_NS,
    MAX_CONTENT_BYTES,
    MAX_RESUME_WINDOW_NS,
    MAX_SUITES,
    MAX_WINDOW_BYTES,
    MAX_WINDOW_MESSAGES,
    MIN_ACK_INTERVAL_NS,
)
from ..wire.interface import SECURE_PROFILE, Refusal
from ..wire.principal import Principal
from ..wire.registration import Parameters, decode_register_result
from .receipt import VerifiedReceipt
from .request_status import Rejected

__all__ = ["RegistrationRequest", "clock_offset_ns", "refused_by", "rejected_by", "verify_registration"]

_NO_SUCH_METHOD = "IC0536"


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What was asked for.

    Attributes:
        owner: principal that signed ``ws_register``.
        session_principal: of the session key.
        expires_at_ns: the end that was asked for, or None for the canister's own.
        registration_id: for ``ws_params``: the registration there is; None at the first registration.
        epoch: for ``ws_params``: the epoch there is; None at the first registration.
    """

    owner: Principal
    session_principal: Principal
    expires_at_ns: int | None = None
    registration_id: bytes | None = None
    epoch: int | None = None


def clock_offset_ns(certificate_time_ns: int, *, asked_at: int, answered_at: int) -> int:
    """What to add to the local clock, by a certificate that was made between asking and being answered.

    Args:
        certificate_time_ns: its certified time.
        asked_at: local time at which the call was first sent.
        answered_at: local time at which the answer arrived.

    Returns:
        the smallest correction that puts the certificate between the two, nanoseconds; 0 if it is.

    Raises:
        TrustUnavailable: the correction is more than 30 s (``ClockSkew``).
    """
    if certificate_time_ns < asked_at:
        offset = certificate_time_ns - asked_at
    elif certificate_time_ns > answered_at:
        offset = certificate_time_ns - answered_at
    else:
        offset = 0
    # [ICWS-CLT-004]
    if abs(offset) > MAX_CLOCK_SKEW_NS:
        raise TrustUnavailable(
            "the local clock disagrees with certified time",
            reason=Reason.CLOCK_SKEW,
            requirement="ICWS-CLT-004",
            offset_ns=offset,
            limit_ns=MAX_CLOCK_SKEW_NS,
        )
    return offset


def verify_registration(receipt: VerifiedReceipt, request: RegistrationRequest, *, now: int) -> Parameters:
    """Read the certified parameters of a session, by steps 3 to 6 of this module's docstring.

    Args:
        receipt: of the call of ``ws_register`` or ``ws_params``.
        request: what was asked for.
        now: the calibrated clock, nanoseconds since 1970.

    Raises:
        RegistrationViolation: the canister has no such method, or answers with what may not be used.
        CanisterRejected: the call was rejected otherwise.
        Refused: the canister refused.
    """
    # 3. [ICWS-CLT-005]
    if isinstance(receipt.answer, Rejected):
        raise rejected_by(receipt.answer)
    # 4. [ICWS-CLT-002]
    try:
        result = decode_register_result(receipt.answer.arg)
    except DecodeError as error:
        raise RegistrationViolation(
            "the reply does not decode", reason=Reason.MALFORMED, requirement="ICWS-CLT-002"
        ) from error
    if isinstance(result, Refusal):
        raise refused_by(result)
    # 5. and 6.
    _check_identity(result, request)
    _check_bounds(result, request, now)
    return result


def refused_by(refusal: Refusal, *, certified: bool = True) -> Refused:
    """The error for a refusal of the canister, with its own words."""
    return Refused(refusal.words[:200], code=refusal.code, certified=certified)


def rejected_by(rejected: Rejected) -> CanisterRejected | RegistrationViolation:
    """The error for a certified rejection of a registration call."""
    # [ICWS-CLT-005]
    if rejected.error_code == _NO_SUCH_METHOD:
        return RegistrationViolation(
            "the canister does not speak icws-secure/1",
            reason=Reason.PROFILE_UNAVAILABLE,
            requirement="ICWS-CLT-005",
            error_code=rejected.error_code,
        )
    return CanisterRejected(
        rejected.message[:200],
        reject_code=rejected.code,
        error_code=rejected.error_code,
        certified=True,
        requirement="ICWS-CLT-005",
    )


def _check_identity(found: Parameters, request: RegistrationRequest) -> None:
    # [ICWS-CLT-005]
    if found.profile != SECURE_PROFILE:
        raise RegistrationViolation(
            "the canister answers with another profile",
            reason=Reason.PROFILE_UNAVAILABLE,
            requirement="ICWS-CLT-005",
            received=repr(found.profile[:40]),
        )
    for name, received, expected in (
        ("session principal", found.session_principal, request.session_principal),
        ("owner", found.owner, request.owner),
        ("registration id", found.registration_id, request.registration_id or found.registration_id),
        ("epoch", found.epoch, found.epoch if request.epoch is None else request.epoch),
    ):
        # [ICWS-CLT-007]
        if received != expected:
            raise RegistrationViolation(
                f"the reply is about another {name}",
                reason=Reason.REGISTRATION_MISMATCH,
                requirement="ICWS-CLT-007",
            )


def _check_bounds(found: Parameters, request: RegistrationRequest, now: int) -> None:
    latest = found.expires_at_ns if request.expires_at_ns is None else request.expires_at_ns
    bounds: tuple[tuple[str, int, int, int], ...] = (
        ("expires_at", found.expires_at_ns, now + 1, latest),
        ("ack_interval_ns", found.ack_interval_ns, MIN_ACK_INTERVAL_NS, MAX_RESUME_WINDOW_NS),
        ("keep_alive_timeout_ns", found.keep_alive_timeout_ns, 1, MAX_RESUME_WINDOW_NS),
        ("resume_window_ns", found.resume_window_ns, 1, MAX_RESUME_WINDOW_NS),
        ("detach_after_open_ns", found.detach_after_open_ns, 1, MAX_RESUME_WINDOW_NS),
        ("window_messages", found.window_messages, 1, MAX_WINDOW_MESSAGES),
        ("window_bytes", found.window_bytes, 1, MAX_WINDOW_BYTES),
        ("max_content_bytes", found.max_content_bytes, 1, MAX_CONTENT_BYTES),
        ("retained_messages", found.retained_messages, 1, 1 << 32),
        ("retained_bytes", found.retained_bytes, 1, 1 << 40),
        ("suites", len(found.suites), 0, MAX_SUITES),
        ("features", len(found.features), 0, MAX_SUITES),
    )
    for name, received, lowest, highest in bounds:
        # [ICWS-CLT-007]
        if not lowest <= received <= highest:
            raise RegistrationViolation(
                f"the certified parameter {name} is out of range",
                reason=Reason.PARAMETER_OUT_OF_RANGE,
                requirement="ICWS-CLT-007",
                received=received,
                lowest=lowest,
                highest=highest,
            )
