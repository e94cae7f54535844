"""When an attack has come to nothing. One rule for all of them, from what the client's application saw."""

from __future__ import annotations

from dataclasses import dataclass

from icws_secure.errors import IcwsError, ProtocolViolation, StallError

__all__ = ["Outcome", "Verdict", "judge"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened to one client under one attack.

    Attributes:
        struck: how often the attacker did what it came for.
        is_secure: whether the session runs under certified parameters of ``icws-secure/1``.
        expected: what the canister had to say to this client, in order.
        delivered: what the client's application was given, in order.
        executed: messages of the client that are proven executed.
        error: why the client left the attacker; None if it never did.
        failure: what ended the client; None if it came to its end in order.
    """

    struck: int
    is_secure: bool
    expected: tuple[bytes, ...]
    delivered: tuple[bytes, ...]
    executed: int
    error: IcwsError | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement.

    Attributes:
        is_caught: whether the attack came to nothing.
        did: what the client did, in a few words.
        requirement: the requirement that the client's own error names; empty where the client was never reached.
    """

    is_caught: bool
    did: str
    requirement: str = ""


def judge(outcome: Outcome) -> Verdict:
    """An attack is caught if it struck, and the client's application all the same was given everything the canister
    said, exactly once, in order, and nothing else, with its own messages proven executed, in a secure session."""
    total = len(outcome.expected)
    if not outcome.struck:
        return Verdict(False, "the attack never struck, so nothing is shown")
    wrong = _first_difference(outcome)
    if wrong is not None:
        return Verdict(False, f"was given {wrong!r}, which the canister never said there")
    if outcome.failure is not None:
        return Verdict(False, f"did not recover: {outcome.failure}")
    if not outcome.is_secure:
        return Verdict(False, "accepted a weaker profile")
    if outcome.delivered != outcome.expected:
        return Verdict(False, f"lost {total - len(outcome.delivered)} of {total} messages")
    if outcome.executed != total:
        return Verdict(False, f"has no proof for {total - outcome.executed} of {total} messages of its own")
    if outcome.error is None:
        return Verdict(True, "was not harmed, and stayed")
    return Verdict(True, _why(outcome.error), outcome.error.requirement or "")


def _first_difference(outcome: Outcome) -> bytes | None:
    """The first message delivered that is not the one the canister said at that place."""
    for place, message in enumerate(outcome.delivered):
        if place >= len(outcome.expected) or message != outcome.expected[place]:
            return message
    return None


def _why(error: IcwsError) -> str:
    """Why the client left the attacker."""
    if isinstance(error, ProtocolViolation):
        return f"refused: {error.reason}"
    if isinstance(error, StallError):
        return f"noticed: {error.reason}"
    # the honest gateway behind the attacker turned it away: its words begin with the name of the close code
    words = str(error.facts.get("words", "")).partition(":")[0]
    return f"was cut off: {words or error.reason}"
