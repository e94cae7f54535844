"""What a case is: a name, the requirements that it tests, and a run that ends in a finding."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from icws_conformance.verdict import Verdict
from icws_conformance.wirelog import Entry, WireLog

__all__ = ["Case", "Failed", "Finding", "Inconclusive", "NotApplicable", "Result"]


class Failed(Exception):  # noqa: N818 - a finding, no error
    """The implementation does not hold to what the case is about.

    Args:
        seen: what it did, one sentence.
    """


class NotApplicable(Exception):  # noqa: N818
    """The implementation does not claim what the case is about; the text says what."""


class Inconclusive(Exception):  # noqa: N818
    """Nothing was shown, neither way; the text says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen in a case that was passed.

    Attributes:
        seen: one sentence.
    """

    seen: str


@dataclass(frozen=True, slots=True)
class Case:
    """One case.

    Attributes:
        id: unique in its target; what is typed after ``--case``.
        title: one sentence: what is done.
        requirements: ids; the first is the one that it is meant for.
        expected: one sentence: what an implementation that holds to them does.
        run: does it, writes the wire log, and returns a finding or raises :class:`Failed`, :class:`NotApplicable` or
            :class:`Inconclusive`.
        limit_s: seconds after which it is inconclusive.
        gain: what an attacker would have of a failure; empty where the requirement says it.
    """

    id: str
    title: str
    requirements: tuple[str, ...]
    expected: str
    run: Callable[[WireLog], Awaitable[Finding]]
    limit_s: float = 30.0
    gain: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case.

    Attributes:
        case: its id.
        title: its title.
        requirements: its requirements.
        expected: what was expected.
        seen: what was seen.
        verdict: the verdict.
        reason: why it is not applicable, inconclusive or an expected failure; else empty.
        gain: what an attacker would have.
        seconds: how long it took.
        command: the command that runs this case alone.
        log: what was sent and received.
    """

    case: str
    title: str
    requirements: tuple[str, ...]
    expected: str
    seen: str
    verdict: Verdict
    reason: str
    gain: str
    seconds: float
    command: str
    log: tuple[Entry, ...] = field(default=())
