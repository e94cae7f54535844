"""Proving that a message was not executed.

A message that was sent may still be executed until the last call that carried it has expired; and one that was
accepted behind a gap waits there with its number unused. So *not executed*, and the canister's rejection of one call
among several, are told only when each of those calls is certified to have come to nothing, and a head after that does
not show the number as accepted. [ICWS-CLT-042]

The IC forgets what a call answered, five minutes after its execution: from then on absence proves nothing. So it is
asked about each call soon after its expiry, before anybody needs the answer. [ICWS-CLT-046] Where the proof cannot be
had, the outcome is unknown.
"""

from __future__ import annotations

from typing import Final

from ...errors import Reason, StallError
from ...limits import NS_PER_S
from .calls import Missing, Outcome
from .core import Purpose, SessionCore, What
from .outbox import Carrier, Entry
from .submissions import Submissions

__all__ = ["Prover"]

_ASK_NS: Final = 30 * NS_PER_S  # how long the IC is asked about one call, and then not again
_MARGIN_NS: Final = 1 * NS_PER_S
_LIMIT_NS: Final = 180 * NS_PER_S  # after which a proof that the application waits for is given up


class Prover:
    """Finds out what became of the calls of one session's messages. What it knows of a message is kept with that.

    Args:
        core: the session.
        submissions: the calls whose receipts are waited for.
    """

    def __init__(self, core: SessionCore, submissions: Submissions) -> None:
        self._core = core
        self._submissions = submissions

    def tick(self) -> None:
        """Ask about calls that have expired; end what cannot be proven."""
        core = self._core
        for entry in list(core.outbox.entries.values()):
            if _is_awaited(entry) and self._conclude(entry):
                continue
            for request_id, carrier in self._questions(entry):
                if self._ask_at(carrier) <= core.now:
                    carrier.ask_at = core.now + _ASK_NS
                    core.calls.ask(
                        Purpose(What.PROOF, entry.seq),
                        core.identity,
                        request_id,
                        expires_ns=carrier.expires_ns,
                        limit_ns=_ASK_NS,
                    )

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        times: list[int] = []
        for entry in self._core.outbox.entries.values():
            if _is_awaited(entry):
                times.append(self._limit_at(entry))
            times += [self._ask_at(carrier) for _, carrier in self._questions(entry)]
        return min(times, default=None)

    def outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take what the IC said about a call; an answer itself goes to the receipts."""
        core = self._core
        entry = core.outbox.entries.get(outcome.purpose.serial)
        if entry is None or not isinstance(outcome, Missing) or outcome.certificate_time_ns <= outcome.expires_ns:
            return
        if core.certified is not None:
            core.certified.saw_time(outcome.certificate_time_ns)  # the head that is wanted now must be newer
        entry.absent(outcome.request_id, outcome.certificate_time_ns)

    def _conclude(self, entry: Entry) -> bool:
        """End a message that somebody waits for, where nothing more is to be found out; gives whether it was."""
        core = self._core
        if entry.unproven_since is None:
            entry.unproven_since = core.now
        if entry.beyond_proof or core.now >= self._limit_at(entry):
            core.settlement.unknown(entry, entry.rejection or _no_proof())
        elif entry.is_void and not core.is_secure:
            # [ICWS-CLT-042] an omnia canister executes a message in its call or not at all
            core.settlement.not_executed(entry)
        else:
            return False
        return True

    def _limit_at(self, entry: Entry) -> int:
        since = entry.unproven_since
        return (self._core.now if since is None else since) + _LIMIT_NS

    def _questions(self, entry: Entry) -> list[tuple[bytes, Carrier]]:
        """The calls of a message that the IC is to be asked about."""
        if not (_is_awaited(entry) or (entry.give_up_at is not None and not entry.was_accepted)):
            return []
        core = self._core
        return [
            (request_id, carrier)
            for request_id, carrier in entry.calls.items()
            if not core.calls.is_open(request_id)
            and (entry.withdrawn or self._submissions.find(request_id) is None)  # else its receipt is waited for
        ]

    def _ask_at(self, carrier: Carrier) -> int:
        core = self._core
        return max(carrier.ask_at, core.now + carrier.expires_ns + _MARGIN_NS - core.ic)


def _is_awaited(entry: Entry) -> bool:
    """Whether the application is to be told as soon as there is a proof."""
    return entry.withdrawn or (entry.rejection is not None and not entry.is_void)


def _no_proof() -> StallError:
    return StallError(
        "no proof of the message's fate could be had", reason=Reason.OUTCOME_UNKNOWN, requirement="ICWS-CLT-042"
    )
