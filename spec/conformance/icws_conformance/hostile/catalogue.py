"""All attacks by name, with what each is, what it would gain, and which requirements answer it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.attacks import garbage, messages, opens, receipts, streams
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.target import Kind, Target
from icws_secure.limits import NS_PER_S
from icws_secure.wire.principal import ANONYMOUS, Principal

__all__ = ["CATALOGUE", "AttackEntry", "Scene"]


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an attack is played: the victim's canister, another canister, and a dishonest IC.

    Attributes:
        canister_id: the canister that the victim talks to.
        other_canister_id: another canister of the same subnet.
        forge: certificates that were never the canister's.
        target: which messages are struck, for attacks that strike single messages.
    """

    canister_id: Principal
    other_canister_id: Principal
    forge: Forge
    target: Callable[[], Target] = Target


@dataclass(frozen=True, slots=True)
class AttackEntry:
    """One attack.

    Attributes:
        name: short, unique; also its name on the command line.
        gain: what the attacker would have if nobody checked.
        requirements: the requirements that answer it.
        make: builds the attack for a scene.
        victims: how many clients the attack needs; the last one is struck.
    """

    name: str
    gain: str
    requirements: tuple[str, ...]
    make: Callable[[Scene], Attack]
    victims: int = 1


HOUR_NS = 3_600 * NS_PER_S
DEEP_CBOR = b"\x81" * 5_000 + b"\x00"
HUGE_MAP = b"\xbb" + b"\xff" * 8


def _entries() -> list[AttackEntry]:
    certificate = messages.certificate_of
    return [
        AttackEntry(
            "altered-content",
            "puts words into the canister's mouth",
            ("ICWS-CLT-025",),
            lambda s: messages.altered_content(s.target()),
        ),
        AttackEntry(
            "altered-witness",
            "certifies its own words by its own tree",
            ("ICWS-CLT-023",),
            lambda s: messages.altered_witness(s.target()),
        ),
        AttackEntry(
            "leaf-at-the-label",
            "uses a certified tree that holds no message key",
            ("ICWS-CLT-024",),
            lambda s: messages.leaf_at_the_label(s.target(), s.forge, s.canister_id),
        ),
        AttackEntry(
            "renamed-key",
            "moves a message to another gateway's queue",
            ("ICWS-CLT-024", "ICWS-CLT-026"),
            lambda s: messages.renamed_key(s.target()),
        ),
        AttackEntry(
            "certificate-of-another-canister",
            "lets a canister of its own speak",
            ("ICWS-CLT-023",),
            lambda s: certificate(
                "certificate of another canister", s.target(), s.forge, s.other_canister_id, subnet=Subnet.OWN
            ),
        ),
        AttackEntry(
            "certificate-from-another-subnet",
            "lets a subnet that it bribed speak",
            ("ICWS-LIB-013",),
            lambda s: certificate(
                "certificate from another subnet", s.target(), s.forge, s.canister_id, subnet=Subnet.OTHER
            ),
        ),
        AttackEntry(
            "forged-certificate",
            "signs with a key of its own",
            ("ICWS-LIB-010", "ICWS-LIB-012"),
            lambda s: certificate("forged certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.NOBODY),
        ),
        AttackEntry(
            "stale-certificate",
            "shows yesterday's truth as today's",
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "stale certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=-HOUR_NS
            ),
        ),
        AttackEntry(
            "future-certificate",
            "prepares messages for later",
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "future certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=HOUR_NS
            ),
        ),
        AttackEntry(
            "replay", "has the client act twice", ("ICWS-CLT-027", "ICWS-CLT-029"), lambda s: streams.Replay(s.target())
        ),
        AttackEntry(
            "duplicate",
            "has the client act twice",
            ("ICWS-CLT-027", "ICWS-CLT-029"),
            lambda s: streams.Duplicate(s.target()),
        ),
        AttackEntry(
            "reorder", "changes the meaning of a conversation", ("ICWS-CLT-029",), lambda s: streams.Reorder(s.target())
        ),
        AttackEntry("drop", "hides one message", ("ICWS-CLT-029", "ICWS-CLT-061"), lambda s: streams.Drop(s.target())),
        AttackEntry(
            "drop-and-hide-heads",
            "hides the last message and the head that tells of it",
            ("ICWS-CLT-061",),
            lambda s: streams.Drop(s.target(), heads=False),
        ),
        AttackEntry(
            "another-clients-message",
            "crosses two conversations",
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.APPLICATION),
            victims=2,
        ),
        AttackEntry(
            "another-clients-acknowledgement",
            "has a client believe that its messages arrived",
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.ACK),
            victims=2,
        ),
        AttackEntry(
            "another-clients-open",
            "opens a session that does not exist",
            ("ICWS-CLT-015",),
            lambda s: opens.ReplacedOpen(),
            victims=2,
        ),
        AttackEntry(
            "forged-open", "opens in the victim's name", ("ICWS-GWY-002", "ICWS-LIB-016"), lambda s: opens.ForgedOpen()
        ),
        AttackEntry(
            "downgraded-profile",
            "makes a weaker session of a secure one",
            ("ICWS-GWY-002", "ICWS-CLT-016", "ICWS-CAN-010"),
            lambda s: opens.DowngradedOpen(),
        ),
        AttackEntry(
            "anonymous-gateway",
            "binds the session to a queue that anyone can poll",
            ("ICWS-CLT-010",),
            lambda s: opens.LyingPrincipal(ANONYMOUS),
        ),
        AttackEntry(
            "another-gateways-principal",
            "binds the session to a queue of somebody else",
            ("ICWS-GWY-002",),
            lambda s: opens.LyingPrincipal(Principal.self_authenticating(b"somebody else")),
        ),
        AttackEntry(
            "withheld-open",
            "hands an open in after the client has moved on",
            ("ICWS-CAN-012",),
            lambda s: opens.WithheldOpen(),
        ),
        AttackEntry(
            "silence-at-the-open", "keeps a client waiting", ("ICWS-CLT-050",), lambda s: streams.SilentAfter(0)
        ),
        AttackEntry(
            "silence-after-the-open",
            "keeps a client in the belief that nothing happens",
            ("ICWS-CLT-050",),
            lambda s: streams.SilentAfter(1),
        ),
        AttackEntry(
            "silence-after-some-messages", "stops in the middle", ("ICWS-CLT-050",), lambda s: streams.SilentAfter(3)
        ),
        AttackEntry(
            "silence-but-acknowledgements",
            "hides everything but the signs of life",
            ("ICWS-CLT-061",),
            lambda s: streams.SilentAfter(1, acks=True, receipts=True),
        ),
        AttackEntry(
            "nothing-reaches-the-canister",
            "swallows what the client says",
            ("ICWS-CLT-044", "ICWS-CLT-050"),
            lambda s: streams.Deaf(),
        ),
        AttackEntry(
            "nothing-reaches-the-client", "swallows what the canister says", ("ICWS-CLT-061",), lambda s: streams.Mute()
        ),
        AttackEntry(
            "withheld-receipt",
            "leaves open whether the canister acted",
            ("ICWS-CLT-044",),
            lambda s: receipts.WithheldReceipt(),
        ),
        AttackEntry(
            "receipt-of-another-call",
            "passes one execution off as another",
            ("ICWS-CLT-040", "ICWS-CLT-045"),
            lambda s: receipts.ForeignReceipt(),
        ),
        AttackEntry(
            "invented-rejection",
            "has a client do again what was done",
            ("ICWS-CLT-040", "ICWS-CLT-042"),
            lambda s: receipts.InventedRejection(),
        ),
        AttackEntry(
            "garbage-frame",
            "breaks the client",
            ("ICWS-LIB-024",),
            lambda s: garbage.Garbage("garbage frame", b"\x00not a frame"),
        ),
        AttackEntry(
            "deep-frame",
            "exhausts the client's stack",
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: garbage.Garbage("deep frame", DEEP_CBOR),
        ),
        AttackEntry(
            "huge-frame",
            "exhausts the client's memory",
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: garbage.Garbage("huge frame", HUGE_MAP),
        ),
    ]


CATALOGUE: dict[str, AttackEntry] = {entry.name: entry for entry in _entries()}
