"""Proving that a message which the application no longer waits for was not executed.

A message that was sent may still be executed until its last envelope has expired. After that the IC is asked about
each call that carried it; when all are certified to be absent, a head that does not show its number as accepted is
the proof. [ICWS-CLT-042] Where the proof cannot be had in time, the outcome is unknown.
"""

from __future__ import annotations

from typing import Final

from ...errors import IcwsError, Reason, StallError
from ...limits import NS_PER_S
from .calls import Missing, Outcome, Unanswered
from .core import Purpose, SessionCore, What
from .outbox import Entry
from .submissions import Submissions

__all__ = ["Prover"]

_ASK_NS: Final = 30 * NS_PER_S
_MARGIN_NS: Final = 1 * NS_PER_S
_LIMIT_NS: Final = 180 * NS_PER_S  # after which nothing more can be proven: the IC forgets statuses after five minutes


class Prover:
    """Finds out what became of withdrawn messages of one session.

    Args:
        core: the session.
        submissions: keeps the envelopes of calls.
    """

    def __init__(self, core: SessionCore, submissions: Submissions) -> None:
        self._core = core
        self._submissions = submissions
        self._begun: dict[int, int] = {}  # session time at which a number was withdrawn
        self._asked: set[bytes] = set()

    def tick(self) -> None:
        """Ask about the calls of withdrawn messages that have expired."""
        core = self._core
        if core.config.send_timeout_ns is None:
            return
        needed = {request_id for entry in core.outbox.entries.values() for request_id in entry.calls}
        self._submissions.forget_envelopes(needed)
        for entry in self._withdrawn():
            begun = self._begun.setdefault(entry.seq, core.now)
            if core.now - begun >= _LIMIT_NS:
                self._unknown(entry, _no_proof())
                continue
            for request_id, expires_ns in entry.calls.items():
                envelope = self._submissions.envelope(request_id)
                is_due = core.ic > expires_ns + _MARGIN_NS and not core.calls.is_open(request_id)
                if envelope is not None and request_id not in self._asked and is_due:
                    self._asked.add(request_id)
                    core.calls.ask(Purpose(What.PROOF, entry.seq), core.identity, envelope, limit_ns=_ASK_NS)

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        core = self._core
        times: list[int] = []
        for entry in self._withdrawn():
            times.append(self._begun.get(entry.seq, core.now) + _LIMIT_NS)
            for request_id, expires_ns in entry.calls.items():
                if request_id not in self._asked and not core.calls.is_open(request_id):
                    times.append(core.now + max(0, expires_ns + 2 * _MARGIN_NS - core.ic))
        return min(times, default=None)

    def outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take what the IC said about a call of a withdrawn message; an answer itself goes to the receipts."""
        core = self._core
        entry = core.outbox.entries.get(outcome.purpose.serial)
        if entry is None or not entry.withdrawn or not isinstance(outcome, Missing | Unanswered):
            return
        self._asked.discard(outcome.request_id)
        if isinstance(outcome, Unanswered):
            self._unknown(entry, outcome.error)
        elif outcome.certificate_time_ns > outcome.expires_ns:
            entry.calls.pop(outcome.request_id, None)
            if not entry.calls:
                self._absent(entry, outcome.certificate_time_ns)

    def _absent(self, entry: Entry, time_ns: int) -> None:
        if self._core.is_secure:
            entry.absent_since_ns = time_ns  # a head is wanted now, see Settlement.wants_head
        else:
            # [ICWS-CLT-042] an omnia canister executes a message in its call or not at all
            self._core.settlement.not_executed(entry)

    def _unknown(self, entry: Entry, error: IcwsError) -> None:
        self._begun.pop(entry.seq, None)
        self._core.settlement.unknown(entry, error)

    def _withdrawn(self) -> list[Entry]:
        return [entry for entry in self._core.outbox.entries.values() if entry.withdrawn]


def _no_proof() -> StallError:
    return StallError(
        "no proof of the message's fate could be had", reason=Reason.OUTCOME_UNKNOWN, requirement="ICWS-CLT-042"
    )
