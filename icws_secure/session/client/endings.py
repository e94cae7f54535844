"""How a session ends: the error for each close code, and which certified facts lead to which."""

from __future__ import annotations

from typing import Final

from ...errors import IcwsError, Reason, SessionEnded, StateViolation
from ...wire.close_codes import SessionCloseCode
from ...wire.service import CloseMessage, CloseReason, SessionCloseReason

__all__ = ["because", "end_of_close_code", "end_of_close_message", "end_of_violation", "ended_by"]

_BY_CLOSE_CODE: Final = {
    SessionCloseReason.APPLICATION_CLOSED: SessionCloseCode.APPLICATION_CLOSED,
    SessionCloseReason.CLIENT_CLOSED: SessionCloseCode.CLIENT_CLOSED,
    SessionCloseReason.EXPIRED: SessionCloseCode.EXPIRED,
    SessionCloseReason.REVOKED: SessionCloseCode.REVOKED,
    SessionCloseReason.RESUME_WINDOW: SessionCloseCode.RESUME_WINDOW,
    SessionCloseReason.INVALID_SERVICE_MESSAGE: SessionCloseCode.INVALID_SERVICE_MESSAGE,
}

_BY_CLOSE_REASON: Final = {
    CloseReason.CLOSED_BY_APPLICATION: SessionCloseCode.APPLICATION_CLOSED,
    CloseReason.KEEP_ALIVE_TIMEOUT: SessionCloseCode.KEEP_ALIVE_TIMEOUT,
    CloseReason.WRONG_SEQUENCE_NUMBER: SessionCloseCode.WRONG_SEQUENCE_NUMBER,
    CloseReason.INVALID_SERVICE_MESSAGE: SessionCloseCode.INVALID_SERVICE_MESSAGE,
}

_BY_VIOLATION: Final = {
    Reason.EPOCH_CHANGED: SessionCloseCode.EPOCH_CHANGED,
    Reason.STATE_ROLLBACK: SessionCloseCode.STATE_ROLLBACK,
    Reason.STATE_FORKED: SessionCloseCode.STATE_FORKED,
}


def ended_by(end: SessionCloseCode, *, requirement: str | None = None, **facts: object) -> SessionEnded:
    """The error for a close code of the table in the specification."""
    return SessionEnded(
        end.description,
        code=int(end),
        close_reason=end.label,
        reason=_reason_of(end),
        requirement=requirement,
        **facts,
    )


def end_of_close_message(message: CloseMessage) -> SessionEnded:
    """The end that a certified close message of the canister makes."""
    if message.code is not None:
        return ended_by(_BY_CLOSE_CODE[message.code])
    return ended_by(_BY_CLOSE_REASON[message.reason])


def end_of_close_code(code: str | None) -> SessionEnded:
    """The end that the head of a closed session tells; a code that is not known counts as the application's close."""
    try:
        return ended_by(_BY_CLOSE_CODE[SessionCloseReason(code or "")])
    except ValueError:
        return ended_by(SessionCloseCode.APPLICATION_CLOSED, requirement=None)


def end_of_violation(violation: StateViolation) -> SessionEnded:
    """The end that a violation of certified state makes."""
    end = ended_by(
        _BY_VIOLATION.get(violation.reason, SessionCloseCode.STATE_ROLLBACK),
        requirement=violation.requirement,
        **dict(violation.facts),
    )
    end.__cause__ = violation
    return end


def because(end: SessionEnded, cause: IcwsError | None) -> SessionEnded:
    """``end`` with what led to it."""
    end.__cause__ = cause
    return end


def _reason_of(end: SessionCloseCode) -> Reason:
    return {
        SessionCloseCode.EPOCH_CHANGED: Reason.EPOCH_CHANGED,
        SessionCloseCode.STATE_ROLLBACK: Reason.STATE_ROLLBACK,
        SessionCloseCode.STATE_FORKED: Reason.STATE_FORKED,
        SessionCloseCode.SESSION_TAKEN: Reason.SESSION_TAKEN,
        SessionCloseCode.RESUME_GAP: Reason.RESUME_GAP,
        SessionCloseCode.NO_GATEWAY: Reason.NO_GATEWAY,
    }.get(end, Reason.SESSION_ENDED)
