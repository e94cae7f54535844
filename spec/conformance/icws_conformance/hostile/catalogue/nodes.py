"""Entries: a boundary node, between client and IC."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from icws_conformance.hostile.attacks import nodes
from icws_conformance.hostile.catalogue.entry import NodeEntry
from icws_conformance.hostile.forge import Subnet
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S
from icws_secure.wire.principal import Principal

__all__ = ["entries"]

_HOUR_NS: Final = 3_600 * NS_PER_S
_DAY_NS: Final = 86_400 * NS_PER_S


def entries() -> list[NodeEntry]:
    """The attacks of this kind."""
    ends = "The attempt ends with an error; nothing is tried instead."
    forged = nodes.ForgedAnswer
    return [
        NodeEntry(
            "denied-registration",
            "Makes an `omnia/1` session of a secure one by denying the method.",
            ends,
            ("ICWS-CLT-005",),
            lambda s: nodes.DeniedMethod(),
            (Reason.NOT_CERTIFIED,),
        ),
        NodeEntry(
            "registration-of-another-call",
            "Gives a client the parameters of another session.",
            "A certificate that does not show the client's own call is no answer to it; the client asks on.",
            ("ICWS-CLT-002", "ICWS-CLT-040"),
            lambda s: nodes.ForeignAnswer(),
        ),
        NodeEntry(
            "registration-from-another-subnet",
            "Lets a subnet that it bribed set keys, intervals and limits.",
            ends,
            ("ICWS-LIB-013", "ICWS-CLT-002"),
            lambda s: forged(s.forge, Subnet.OTHER),
            (Reason.CANISTER_NOT_IN_RANGES,),
        ),
        NodeEntry(
            "forged-registration",
            "Sets keys, intervals and limits itself.",
            ends,
            ("ICWS-LIB-010", "ICWS-CLT-002"),
            lambda s: forged(s.forge, Subnet.NOBODY),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        NodeEntry(
            "downgraded-registration",
            "Makes an `omnia/1` session of a secure one by a certified reply; this takes the subnet or the canister.",
            ends,
            ("ICWS-CLT-005", "ICWS-CLT-007"),
            lambda s: forged(s.forge, Subnet.OWN, lambda p: replace(p, profile="omnia/1")),
            (Reason.PROFILE_UNAVAILABLE,),
        ),
        NodeEntry(
            "registration-for-another-owner",
            "Has a client believe that it speaks as somebody else.",
            ends,
            ("ICWS-CLT-007", "ICWS-CLT-002"),
            lambda s: forged(
                s.forge, Subnet.OWN, lambda p: replace(p, owner=Principal.self_authenticating(b"somebody else"))
            ),
            (Reason.REGISTRATION_MISMATCH,),
        ),
        NodeEntry(
            "registration-without-limits",
            "Switches the watchdog off by certified intervals of years; this takes the subnet or the canister.",
            ends,
            ("ICWS-CLT-007",),
            lambda s: forged(s.forge, Subnet.OWN, lambda p: replace(p, resume_window_ns=365 * _DAY_NS)),
            (Reason.PARAMETER_OUT_OF_RANGE,),
        ),
        NodeEntry(
            "registration-at-another-time",
            "Turns the client's clock, and with it every check of freshness.",
            "A certified time more than 30 s off ends the attempt; nobody is blamed.",
            ("ICWS-CLT-004",),
            lambda s: forged(s.forge, Subnet.OWN, offset_ns=-_HOUR_NS),
            (Reason.CLOCK_SKEW,),
        ),
        NodeEntry(
            "old-audit",
            "Answers audits with an old head, so that a gateway's withholding does not come out.",
            "An old answer does not count; after three the audit goes by update, which no single node can answer.",
            ("ICWS-CLT-060",),
            lambda s: nodes.OldAudit(),
        ),
        NodeEntry(
            "altered-poll",
            "Puts words into the canister's mouth where a client polls for itself.",
            "A client without a gateway verifies what it polls as it verifies what gateways show.",
            ("ICWS-CLT-073", "ICWS-CLT-025"),
            lambda s: nodes.AlteredPoll(),
            (Reason.LEAF_MISMATCH,),
            direct=True,
        ),
    ]
