"""Entries: what the client says: changed, swallowed, repeated, out of order, late."""

from __future__ import annotations

from icws_conformance.hostile.attacks import calls
from icws_conformance.hostile.catalogue.entry import AFTER_THE_OPEN, ASKS, BOTH_SECURE, AttackEntry, Stage
from icws_secure.errors import Reason

__all__ = ["entries"]


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
    lost = (Reason.RECEIPT_TIMEOUT, Reason.CONNECTION_LOST, Reason.SILENCE)
    return [
        AttackEntry(
            "altered-call",
            "Puts words into the user's mouth.",
            "The IC refuses a call whose signature does not fit; the client says it again elsewhere.",
            ("ICWS-LIB-016", "ICWS-GWY-004", "ICWS-CLT-050"),
            lambda s: calls.AlteredCall(),
            lost,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
            needs_ic=True,
        ),
        AttackEntry(
            "dropped-call",
            "Swallows one message of the user.",
            ASKS,
            ("ICWS-CLT-044", "ICWS-CLT-043", "ICWS-CLT-050"),
            lambda s: calls.DroppedCall(),
            lost,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "repeated-call",
            "Has the canister act twice.",
            "One request id is executed once; one number is accepted once.",
            ("ICWS-CAN-031", "ICWS-GWY-021"),
            lambda s: calls.RepeatedCall(),
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
            needs_ic=True,
        ),
        AttackEntry(
            "reordered-calls",
            "Has the canister hear things in another order.",
            "The canister's reorder window puts them right.",
            ("ICWS-CAN-030", "ICWS-CAN-034"),
            lambda s: calls.ReorderedCalls(),
            profiles=BOTH_SECURE,
            stages=(Stage.IN_FLIGHT,),
        ),
        AttackEntry(
            "held-calls",
            "Hands messages in when the user has long acted otherwise.",
            "The client says the same number and bytes again elsewhere, which the canister takes once; envelopes "
            "expire within 60 s; failure is reported only when it is proven.",
            ("ICWS-CLT-042", "ICWS-CLT-043", "ICWS-CAN-031", "ICWS-CLT-050"),
            lambda s: calls.HeldCalls(),
            lost,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
            needs_ic=True,
        ),
    ]
