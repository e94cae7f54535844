"""Entries: what is shown is not what the canister certified."""

from __future__ import annotations

from typing import Final

from icws_conformance.hostile.attacks import messages
from icws_conformance.hostile.catalogue.entry import DISCARDS, AttackEntry
from icws_conformance.hostile.forge import Subnet
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S

__all__ = ["entries"]

_HOUR_NS: Final = 3_600 * NS_PER_S
_DAY_NS: Final = 86_400 * NS_PER_S


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
    certificate = messages.certificate_of
    return [
        AttackEntry(
            "altered-content",
            "Puts words into the canister's mouth.",
            DISCARDS,
            ("ICWS-CLT-025", "ICWS-CLT-032"),
            lambda s: messages.altered_content(s.target()),
            (Reason.LEAF_MISMATCH,),
        ),
        AttackEntry(
            "altered-witness",
            "Certifies its own words by its own tree.",
            DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: messages.altered_witness(s.target()),
            (Reason.CERTIFIED_DATA_MISMATCH,),
        ),
        AttackEntry(
            "leaf-at-the-label",
            "Uses a certified tree that holds no message: the leaf is the label itself, where deployed clients "
            "look when the key is not there.",
            DISCARDS,
            ("ICWS-CLT-024",),
            lambda s: messages.leaf_at_the_label(s.target(), s.forge, s.canister_id),
            (Reason.PATH_ABSENT, Reason.PATH_UNKNOWN, Reason.PATH_ERROR),
        ),
        AttackEntry(
            "ambiguous-witness",
            "Has one certified tree read in two ways.",
            DISCARDS,
            ("ICWS-LIB-008",),
            lambda s: messages.ambiguous_witness(s.target(), s.forge, s.canister_id),
            (Reason.TREE_NOT_WELL_FORMED,),
        ),
        AttackEntry(
            "renamed-key",
            "Moves a message to another gateway's queue.",
            DISCARDS,
            ("ICWS-CLT-024",),
            lambda s: messages.renamed_key(s.target()),
            (Reason.PATH_ABSENT, Reason.PATH_UNKNOWN),
        ),
        AttackEntry(
            "certificate-of-another-canister",
            "Lets a canister of its own speak.",
            DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: certificate(
                "certificate of another canister", s.target(), s.forge, s.other_canister_id, subnet=Subnet.OWN
            ),
            (Reason.CERTIFIED_DATA_MISMATCH, Reason.PATH_ABSENT, Reason.PATH_UNKNOWN),
        ),
        AttackEntry(
            "certificate-from-another-subnet",
            "Lets a subnet that it bribed speak.",
            DISCARDS,
            ("ICWS-LIB-013", "ICWS-CLT-022"),
            lambda s: certificate(
                "certificate from another subnet", s.target(), s.forge, s.canister_id, subnet=Subnet.OTHER
            ),
            (Reason.CANISTER_NOT_IN_RANGES,),
        ),
        AttackEntry(
            "forged-certificate",
            "Signs with a key of its own.",
            DISCARDS,
            ("ICWS-LIB-010",),
            lambda s: certificate("forged certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.NOBODY),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        AttackEntry(
            "self-made-delegation",
            "Signs with a key of its own, and delegates to it.",
            DISCARDS,
            ("ICWS-LIB-010", "ICWS-LIB-012"),
            lambda s: certificate(
                "self-made delegation", s.target(), s.forge, s.canister_id, subnet=Subnet.SELF_DELEGATED
            ),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        AttackEntry(
            "stale-delegation",
            "Uses a subnet's key after it was replaced.",
            DISCARDS,
            ("ICWS-LIB-014",),
            lambda s: certificate(
                "stale delegation",
                s.target(),
                s.forge,
                s.canister_id,
                subnet=Subnet.OWN,
                delegation_age_ns=40 * _DAY_NS,
            ),
            (Reason.DELEGATION_STALE,),
        ),
        AttackEntry(
            "stale-certificate",
            "Shows yesterday's truth as today's.",
            DISCARDS,
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "stale certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=-_HOUR_NS
            ),
            (Reason.CERTIFICATE_STALE,),
        ),
        AttackEntry(
            "future-certificate",
            "Prepares messages for later.",
            DISCARDS,
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "future certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=_HOUR_NS
            ),
            (Reason.CERTIFICATE_FROM_FUTURE,),
        ),
        AttackEntry(
            "message-younger-than-its-certificate",
            "Certifies a message before it was said.",
            DISCARDS,
            ("ICWS-CLT-030",),
            lambda s: certificate(
                "message younger than its certificate",
                s.target(),
                s.forge,
                s.canister_id,
                subnet=Subnet.OWN,
                ahead_ns=NS_PER_S,
            ),
            (Reason.TIMESTAMP_AFTER_CERTIFICATE,),
        ),
    ]
