"""The watchdog: silences that no other deadline notices. It runs from the attachment on, also for a client that never
sends.

=====================================  ==============================================================================
silence                                noticed by
=====================================  ==============================================================================
after the open                         the attachment's own deadlines (:mod:`.attaching`)
after any message                      heads, relayed or asked for, and what they show (:mod:`.auditing`)
of receipts (one direction only)       asking the IC about the message (:mod:`.receipts`); omnia: here
of acknowledgements, and of all else   here: neither an acknowledgement nor a head for an interval and its grace
=====================================  ==============================================================================
"""

from __future__ import annotations

from ...errors import Reason, StallError
from .attachment import Attachment
from .auditing import Auditor
from .core import SessionCore
from .receiving import Receiver

__all__ = ["Watchdog"]


class Watchdog:
    """Notices when nothing certified has come for too long.

    Args:
        core: the session.
        receiver: knows the acknowledgements.
        auditor: knows the heads.
    """

    def __init__(self, core: SessionCore, receiver: Receiver, auditor: Auditor) -> None:
        self._core = core
        self._receiver = receiver
        self._auditor = auditor
        self._attached_at = 0
        self._show_at: int | None = None  # while the shell does not read: when the client shows that it is there
        self._mark: tuple[int, int] | None = None  # omnia: a number that was sent, and when

    def attached(self, attachment: Attachment) -> None:
        """An attachment is verified."""
        self._attached_at = attachment.attached_at
        self._mark = None

    def pause(self, paused: bool) -> None:
        """The shell has stopped reading, or reads again: that silence is nobody's fault."""
        self._show_at = self._core.now if paused else None
        if not paused:
            self._attached_at = self._core.now

    def tick(self) -> None:
        """See whether the time is over.

        Raises:
            StallError: it is.
        """
        core = self._core
        if not core.is_secure:
            self._mark_sent()
        elif self._show_at is not None and core.now >= self._show_at and core.attached is not None:
            # The canister's acknowledgements are not read, and would not be answered.
            core.outbox.put_keep_alive()
            self._show_at = core.now + core.registered()[0].keep_alive_timeout_ns // 2
        due = self._due()
        # [ICWS-CLT-050]
        if due is not None and core.now >= due:
            raise StallError(
                "nothing certified has come for longer than an acknowledgement interval",
                reason=Reason.ACK_TIMEOUT,
                requirement="ICWS-CLT-050",
                interval_ns=self._interval(),
                grace_ns=core.config.ack_grace_ns,
            )

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        if self._show_at is not None:
            return self._show_at if self._core.is_secure and self._core.attached is not None else None
        return self._due()

    def _due(self) -> int | None:
        if self._core.attached is None or self._show_at is not None:
            return None
        times = [self._attached_at, self._receiver.last_ack_at]
        if self._core.is_secure:
            times.append(self._auditor.last_head_at)
        last = max(time for time in times if time is not None)
        due = last + self._interval() + self._core.config.ack_grace_ns
        return (
            due if self._mark is None else min(due, self._mark[1] + self._interval() + self._core.config.ack_grace_ns)
        )

    def _interval(self) -> int:
        parameters = self._core.parameters
        return self._core.config.omnia_ack_interval_ns if parameters is None else parameters.ack_interval_ns

    def _mark_sent(self) -> None:
        """Remember a message that is not acknowledged: an acknowledgement must cover it in time."""
        sent_through = self._core.outbox.next_seq - 1
        if self._mark is not None and self._receiver.last_ack >= self._mark[0]:
            self._mark = None
        if self._mark is None and sent_through > self._receiver.last_ack:
            self._mark = (sent_through, self._core.now)
