"""Entries: the handshake and the open."""

from __future__ import annotations

from icws_conformance.hostile.attacks import opens
from icws_conformance.hostile.catalogue.entry import AT_THE_OPEN, BOTH_SECURE, REFUSED, AttackEntry
from icws_secure.errors import Reason
from icws_secure.wire.principal import ANONYMOUS, Principal

__all__ = ["entries"]


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
    stopped = (Reason.CONNECTION_LOST, Reason.OPEN_TIMEOUT)
    return [
        AttackEntry(
            "forged-open",
            "Opens in the victim's name.",
            REFUSED,
            ("ICWS-GWY-002", "ICWS-LIB-016"),
            lambda s: opens.ForgedOpen(),
            stopped,
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "downgraded-profile",
            "Makes a weaker session of a secure one.",
            REFUSED,
            ("ICWS-GWY-002", "ICWS-LIB-016", "ICWS-CLT-016", "ICWS-CAN-010"),
            lambda s: opens.AlteredOpen(opens.downgraded),
            stopped,
            profiles=BOTH_SECURE,
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "anonymous-gateway",
            "Binds the session to a queue that anyone can poll.",
            "Client and canister refuse gateway principals that are not self-authenticating.",
            ("ICWS-CLT-010", "ICWS-CAN-011"),
            lambda s: opens.LyingPrincipal(ANONYMOUS),
            (Reason.GATEWAY_PRINCIPAL_INVALID,),
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "canister-as-gateway",
            "Binds the session to a queue that a canister of its own polls.",
            "Client and canister refuse gateway principals that are not self-authenticating.",
            ("ICWS-CLT-010", "ICWS-CAN-011"),
            lambda s: opens.LyingPrincipal(s.other_canister_id),
            (Reason.GATEWAY_PRINCIPAL_INVALID,),
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "another-gateways-principal",
            "Binds the session to a queue of somebody else.",
            "The named gateway is the only one that can poll that queue; who does not deliver is left.",
            ("ICWS-GWY-002", "ICWS-CAN-025", "ICWS-CAN-016"),
            lambda s: opens.LyingPrincipal(Principal.self_authenticating(b"somebody else")),
            stopped,
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "withheld-open",
            "Hands an open in after the client has moved on, and so takes the session away from the new gateway.",
            "The canister refuses an attach number that is not above the newest.",
            ("ICWS-CAN-012", "ICWS-CLT-013"),
            lambda s: opens.WithheldOpen(),
            (Reason.CONNECTION_LOST,),
            profiles=BOTH_SECURE,
            stages=AT_THE_OPEN,
            needs_ic=True,
        ),
    ]
