"""Calls of the session that were handed over and have no outcome yet, and a memory of those that have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from ...wire.envelope import Envelope

__all__ = ["Submission", "Submissions"]

_IN_EVIDENCE: Final = 64  # past request ids in a record
_REMEMBERED: Final = 4_096  # request ids of calls whose receipt may still come, late or a second time


@dataclass(slots=True)
class Submission:
    """One call that was handed over. Times are session time.

    Attributes:
        envelope: the call.
        seqs: numbers of the messages that it carries; empty for ``ws_open``.
        serial: of the attachment.
        by_gateway: whether the gateway was to relay it.
        sent_at: when.
        receipt_due: when the client asks the IC itself; None where it waits for no receipt, or has asked.
        is_pending: whether the gateway said that the outcome is to come.
    """

    envelope: Envelope
    seqs: tuple[int, ...]
    serial: int
    by_gateway: bool
    sent_at: int
    receipt_due: int | None = None
    is_pending: bool = False

    @property
    def request_id(self) -> bytes:
        """Id of the call."""
        return self.envelope.content.request_id


class Submissions:
    """The open calls of one session, by request id, and the ids of past ones (bounded)."""

    def __init__(self) -> None:
        self._open: dict[bytes, Submission] = {}
        self._past: dict[bytes, None] = {}

    def __iter__(self) -> Iterator[Submission]:
        return iter(list(self._open.values()))

    def add(self, submission: Submission) -> None:
        """A call was handed over, perhaps again."""
        self._open[submission.request_id] = submission
        self._past.pop(submission.request_id, None)

    def find(self, request_id: bytes) -> Submission | None:
        """The open call of that id."""
        return self._open.get(request_id)

    def is_past(self, request_id: bytes) -> bool:
        """Whether that was a call of this session, of which nothing more is expected."""
        return request_id in self._past

    def finish(self, submission: Submission) -> None:
        """The outcome of a call is known, or no longer waited for."""
        if self._open.pop(submission.request_id, None) is None:
            return
        self._past[submission.request_id] = None
        while len(self._past) > _REMEMBERED:
            del self._past[next(iter(self._past))]

    def message_calls(self) -> int:
        """How many open calls carry messages."""
        return sum(1 for submission in self._open.values() if submission.seqs)

    def known_ids(self) -> bytes:
        """Request ids of open and of recent calls, joined; for evidence."""
        return b"".join((*self._open, *list(self._past)[-_IN_EVIDENCE:]))

    def clear(self) -> None:
        """Forget all."""
        self._open.clear()
        self._past.clear()
