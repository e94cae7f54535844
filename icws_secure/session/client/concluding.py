"""The end that the canister makes, while messages have no outcome: they are asked after before the session is over.

The certified close may arrive before the receipt of the very message whose handler closed. So nothing more is sent and
the gateway is left, but the IC is asked about the calls under way, and in the secure profile for the head: a closed
session accepts nothing more, so its head also proves what was not executed. All that within the limit of a close;
what is not proven by then is *unknown*.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from ...errors import IcwsError, SessionEnded
from ...wire.close_codes import SessionCloseCode
from .auditing import Auditor
from .core import SessionCore
from .submissions import Submissions
from .table import SessionEvent, SessionState

__all__ = ["Concluder"]

_BY_CANISTER: Final = frozenset(
    {
        SessionCloseCode.APPLICATION_CLOSED,
        SessionCloseCode.EXPIRED,
        SessionCloseCode.REVOKED,
        SessionCloseCode.RESUME_WINDOW,
        SessionCloseCode.INVALID_SERVICE_MESSAGE,
        SessionCloseCode.KEEP_ALIVE_TIMEOUT,
        SessionCloseCode.WRONG_SEQUENCE_NUMBER,
    }
)


class Concluder:
    """Holds back the end of one session.

    Args:
        core: the session.
        submissions: the calls whose receipts are waited for.
        auditor: asks for the head.
    """

    def __init__(self, core: SessionCore, submissions: Submissions, auditor: Auditor) -> None:
        self._core = core
        self._submissions = submissions
        self._auditor = auditor
        self._limit_at = 0
        self.end: SessionEnded | None = None
        """How the session is going to end; None while nothing is held back."""

    def held(self, error: IcwsError) -> SessionEnded | None:
        """The end ``error`` where it has to wait for the outcomes of messages, else None. [ICWS-CLT-042]"""
        if not _is_by_canister(error) or not self._is_waited_for():
            return None
        if self.end is not None and self._core.now >= self._limit_at:
            return None
        return error

    def first(self, error: IcwsError) -> IcwsError:
        """What the application is told: the end that was held back, unless ``error`` is of another kind."""
        return self.end if self.end is not None and _is_by_canister(error) else error

    def begin(self, end: SessionEnded, closes_at: int | None) -> None:
        """Ask about everything that is under way; the attachment is over, and no request is.

        Args:
            end: the end that is held back.
            closes_at: session time at which a close by the application would have been over, or None.
        """
        core = self._core
        if core.states.state is not SessionState.CLOSING:
            core.states.apply(SessionEvent.CLOSE)
        self.end = end
        self._limit_at = core.now + core.config.close_timeout_ns if closes_at is None else closes_at
        for submission in self._submissions:
            if submission.seqs:
                submission.receipt_due = core.now
            else:
                self._submissions.finish(submission)
        self._auditor.want_alone()

    def tick(self) -> None:
        """See whether there is anything left to wait for.

        Raises:
            SessionEnded: there is not, or the limit has passed.
        """
        if self.end is None:
            return
        core = self._core
        if not core.is_secure:
            for entry in list(core.outbox.entries.values()):
                # [ICWS-CLT-042] an omnia canister executes a message in its call or not at all
                if entry.was_sent and entry.is_void:
                    core.settlement.not_executed(entry)
        if self.held(self.end) is None:
            raise self.end

    def next_deadline(self) -> int:
        """Session time of the limit."""
        return self._limit_at

    def _is_waited_for(self) -> bool:
        """Whether the application waits for what only the IC can tell."""
        return any(
            entry.send_id is not None and entry.was_sent and entry.confirm != "relayed"
            for entry in self._core.outbox.entries.values()
        )


def _is_by_canister(error: IcwsError) -> TypeGuard[SessionEnded]:
    return isinstance(error, SessionEnded) and error.code in _BY_CANISTER
