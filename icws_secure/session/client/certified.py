"""What the canister has certified about the session so far, and the check that it never goes back.

Everything that is certified at some time sets a floor: from that time on no certificate may show less. A complete
head sets a ceiling as well: no earlier certificate may have shown more. Either is broken only by a canister that was
put back to an older state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import Reason, StateViolation
from ...verify.head import VerifiedHead
from ...wire.head import SessionHead
from ...wire.registration import SessionState

__all__ = ["COUNTERS", "CertifiedState"]

COUNTERS: Final = (
    "attach",
    "next_out",
    "next_in",
    "executed_through",
    "acked",
    "oldest_retained",
    "timestamp_ns",
)
"""Fields of a head that never decrease within an epoch."""


@dataclass(frozen=True, slots=True)
class _Floor:
    value: int
    time_ns: int


class CertifiedState:
    """The floors and the latest head of one session.

    Args:
        epoch: certified at registration.
        registration_id: 16 bytes, certified at registration.
        registered_at: certified time of the registration, nanoseconds since 1970.
    """

    def __init__(self, epoch: int, registration_id: bytes, registered_at: int) -> None:
        self.epoch = epoch
        self.registration_id = registration_id
        self.registered_at = registered_at
        self.latest_time_ns = registered_at
        """Largest certified time that was verified for this canister."""
        self.head: SessionHead | None = None
        """The latest head."""
        self._head_not_before = 0
        self._floors: dict[str, _Floor] = {}

    def floor(self, counter: str) -> int:
        """The highest value of ``counter`` that was certified, 0 before any."""
        floor = self._floors.get(counter)
        return 0 if floor is None else floor.value

    def floors(self) -> tuple[tuple[str, int, int], ...]:
        """The floors, to be saved: counter, value, and since which certified time."""
        return tuple((counter, floor.value, floor.time_ns) for counter, floor in self._floors.items())

    def saw_time(self, time_ns: int) -> None:
        """A certificate of that time was verified for this canister."""
        self.latest_time_ns = max(self.latest_time_ns, time_ns)

    def at_least(self, counter: str, value: int, time_ns: int) -> None:
        """At certified time ``time_ns`` the counter was at least ``value``.

        Raises:
            StateViolation: a later certificate has shown less.
        """
        self.saw_time(time_ns)
        # [ICWS-CLT-062]
        if self.head is not None and time_ns <= self._head_not_before and value > getattr(self.head, counter):
            raise _rollback(counter, expected=value, received=getattr(self.head, counter))
        self._raise(counter, value, time_ns)

    def accept(self, verified: VerifiedHead) -> SessionHead | None:
        """Check a head against all that was certified before, and keep it.

        Returns:
            the head; None for one that says nothing: from before the registration, or, while the session was not
                opened, of a registration of the same session principal by somebody else.

        Raises:
            StateViolation: the epoch is another or the session is absent (``EpochChanged``), or state went back
                (``StateRollback``).
        """
        if verified.time_ns < self.registered_at:
            return None
        # [ICWS-CLT-063]
        if verified.epoch != self.epoch:
            raise StateViolation(
                "the canister has lost its state",
                reason=Reason.EPOCH_CHANGED,
                requirement="ICWS-CLT-063",
                expected=self.epoch,
                received=verified.epoch,
            )
        head = verified.head
        if head is not None and self._is_of_another_owner(head):
            return None
        # [ICWS-CLT-063]
        if head is None or head.registration_id != self.registration_id:
            raise StateViolation(
                "the canister does not know the session", reason=Reason.EPOCH_CHANGED, requirement="ICWS-CLT-063"
            )
        for counter in COUNTERS:
            self._check(counter, getattr(head, counter), verified)
        self.saw_time(verified.time_ns)
        for counter in COUNTERS:
            self._raise(counter, getattr(head, counter), verified.time_ns)
        if verified.not_before_ns >= self._head_not_before:
            self.head = head
            self._head_not_before = verified.not_before_ns
        return head

    def _is_of_another_owner(self, head: SessionHead) -> bool:
        # [ICWS-CAN-001] anybody can name a session principal; only its holder can open, which makes the head its own
        is_other = head.registration_id != self.registration_id
        return is_other and head.state is SessionState.REGISTERED and self.floor("attach") == 0

    def _check(self, counter: str, value: int, verified: VerifiedHead) -> None:
        floor = self._floors.get(counter)
        # [ICWS-CLT-062]
        if floor is not None and value < floor.value and verified.not_before_ns >= floor.time_ns:
            raise _rollback(counter, expected=floor.value, received=value)
        # [ICWS-CLT-062]
        if self.head is not None and verified.time_ns <= self._head_not_before and value > getattr(self.head, counter):
            raise _rollback(counter, expected=value, received=getattr(self.head, counter))

    def _raise(self, counter: str, value: int, time_ns: int) -> None:
        floor = self._floors.get(counter)
        if floor is None or value > floor.value or (value == floor.value and time_ns < floor.time_ns):
            self._floors[counter] = _Floor(value, time_ns)


def _rollback(counter: str, *, expected: int, received: int) -> StateViolation:
    return StateViolation(
        "a later certificate shows less than an earlier one",
        reason=Reason.STATE_ROLLBACK,
        requirement="ICWS-CLT-062",
        counter=counter,
        expected=expected,
        received=received,
    )
