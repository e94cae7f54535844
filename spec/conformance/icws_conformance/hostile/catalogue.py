"""All attacks by name: what each would gain, what answers it, and how the answer is recognised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Final

from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.attacks import calls, frames, heads, messages, opens, receipts, streams
from icws_conformance.hostile.forge import Forge, Subnet
from icws_conformance.hostile.target import Kind, Target
from icws_secure.errors import MisuseError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.wire.frames import ReceiptStatus
from icws_secure.wire.principal import ANONYMOUS, Principal

__all__ = ["CATALOGUE", "AttackEntry", "Play", "Profile", "Scene", "Stage"]

_HOUR_NS: Final = 3_600 * NS_PER_S
_DAY_NS: Final = 24 * _HOUR_NS
_DEEP_CBOR: Final = b"\x81" * 5_000 + b"\x00"
_HUGE_MAP: Final = b"\xbb" + b"\xff" * 8


class Stage(Enum):
    """When in a session an attack begins."""

    OPEN = "open"  # at the handshake and the first message
    FIRST = "first"  # at the application's first message
    LATER = "later"  # after several messages
    IN_FLIGHT = "in-flight"  # while messages are on their way
    RESUMED = "resumed"  # at the first message after a failover to the hostile gateway


class Profile(Enum):
    """Which protocol the victim speaks, and how much of it the hostile gateway admits."""

    SECURE = "secure"  # icws-secure/1 over the subprotocol
    BARE = "bare"  # icws-secure/1 without the subprotocol: no receipts, no heads
    OMNIA = "omnia"  # omnia/1


ALL: Final = frozenset(Profile)
SUBPROTOCOL: Final = frozenset({Profile.SECURE})
BOTH_SECURE: Final = frozenset({Profile.SECURE, Profile.BARE})
EVERYWHERE: Final = tuple(Stage)
AFTER_THE_OPEN: Final = tuple(stage for stage in Stage if stage is not Stage.OPEN)
AT_THE_OPEN: Final = (Stage.OPEN, Stage.RESUMED)


@dataclass(frozen=True, slots=True)
class Scene:
    """Where an attack is played: the victim's canister, another canister, and a dishonest IC.

    Attributes:
        canister_id: the canister that the victim talks to.
        other_canister_id: another canister of the same subnet.
        maybe_forge: certificates that were never the canister's; None where nobody lends the keys.
        target: which messages are struck, for attacks that strike single messages.
    """

    canister_id: Principal
    other_canister_id: Principal
    maybe_forge: Forge | None = None
    target: Callable[[], Target] = Target

    @property
    def forge(self) -> Forge:
        """The dishonest IC.

        Raises:
            MisuseError: there is none.
        """
        if self.maybe_forge is None:
            raise MisuseError("this attack needs the keys of a local IC", reason=Reason.INVALID_ARGUMENT)
        return self.maybe_forge


@dataclass(frozen=True, slots=True)
class AttackEntry:
    """One attack.

    Attributes:
        name: short, unique; also its name on the command line and in the threat model.
        gain: what the attacker would have if nobody checked.
        answer: what the client, the canister or the IC does.
        requirements: the requirements that answer it.
        make: builds the attack for a scene.
        reasons: why the client leaves the hostile gateway; one of them. Empty: it need not, the attack is without
            effect.
        reasons_at_open: the same at :attr:`Stage.OPEN`; None for no difference.
        profiles: where the answer is promised.
        stages: when it can begin.
        victims: how many clients the attack needs; the last one is struck.
        needs_ic: whether it submits calls to the IC itself.
    """

    name: str
    gain: str
    answer: str
    requirements: tuple[str, ...]
    make: Callable[[Scene], Attack]
    reasons: tuple[Reason, ...] = ()
    reasons_at_open: tuple[Reason, ...] | None = None
    profiles: frozenset[Profile] = ALL
    stages: tuple[Stage, ...] = EVERYWHERE
    victims: int = 1
    needs_ic: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Play:
    """An attack that begins at a stage, on a client of a profile."""

    entry: AttackEntry
    stage: Stage
    profile: Profile

    @property
    def id(self) -> str:
        """Its name as a test."""
        return f"{self.entry.name}-{self.stage.value}-{self.profile.value}"

    @property
    def reasons(self) -> tuple[Reason, ...]:
        """Why the client leaves the hostile gateway; empty if it need not."""
        at_open = self.entry.reasons_at_open
        return at_open if self.stage is Stage.OPEN and at_open is not None else self.entry.reasons


_DISCARDS = "The client discards the frame, delivers nothing after it and goes on through the next gateway."
_REFUSED = "The gateway after it refuses, as the canister would; the client goes on through the next gateway."
_ASKS = "The client asks the IC directly, then goes on through the next gateway; the number and bytes stay the same."


def _messages() -> list[AttackEntry]:
    """What is shown is not what the canister certified."""
    certificate = messages.certificate_of
    return [
        AttackEntry(
            "altered-content",
            "Puts words into the canister's mouth.",
            _DISCARDS,
            ("ICWS-CLT-025", "ICWS-CLT-032"),
            lambda s: messages.altered_content(s.target()),
            (Reason.LEAF_MISMATCH,),
        ),
        AttackEntry(
            "altered-witness",
            "Certifies its own words by its own tree.",
            _DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: messages.altered_witness(s.target()),
            (Reason.CERTIFIED_DATA_MISMATCH,),
        ),
        AttackEntry(
            "leaf-at-the-label",
            "Uses a certified tree that holds no message: the leaf is the label itself, where deployed clients "
            "look when the key is not there.",
            _DISCARDS,
            ("ICWS-CLT-024",),
            lambda s: messages.leaf_at_the_label(s.target(), s.forge, s.canister_id),
            (Reason.PATH_ABSENT, Reason.PATH_UNKNOWN, Reason.PATH_ERROR),
        ),
        AttackEntry(
            "ambiguous-witness",
            "Has one certified tree read in two ways.",
            _DISCARDS,
            ("ICWS-LIB-008",),
            lambda s: messages.ambiguous_witness(s.target(), s.forge, s.canister_id),
            (Reason.TREE_NOT_WELL_FORMED,),
        ),
        AttackEntry(
            "renamed-key",
            "Moves a message to another gateway's queue.",
            _DISCARDS,
            ("ICWS-CLT-024",),
            lambda s: messages.renamed_key(s.target()),
            (Reason.PATH_ABSENT, Reason.PATH_UNKNOWN),
        ),
        AttackEntry(
            "certificate-of-another-canister",
            "Lets a canister of its own speak.",
            _DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: certificate(
                "certificate of another canister", s.target(), s.forge, s.other_canister_id, subnet=Subnet.OWN
            ),
            (Reason.CERTIFIED_DATA_MISMATCH, Reason.PATH_ABSENT, Reason.PATH_UNKNOWN),
        ),
        AttackEntry(
            "certificate-from-another-subnet",
            "Lets a subnet that it bribed speak.",
            _DISCARDS,
            ("ICWS-LIB-013", "ICWS-CLT-022"),
            lambda s: certificate(
                "certificate from another subnet", s.target(), s.forge, s.canister_id, subnet=Subnet.OTHER
            ),
            (Reason.CANISTER_NOT_IN_RANGES,),
        ),
        AttackEntry(
            "forged-certificate",
            "Signs with a key of its own.",
            _DISCARDS,
            ("ICWS-LIB-010",),
            lambda s: certificate("forged certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.NOBODY),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        AttackEntry(
            "self-made-delegation",
            "Signs with a key of its own, and delegates to it.",
            _DISCARDS,
            ("ICWS-LIB-010", "ICWS-LIB-012"),
            lambda s: certificate(
                "self-made delegation", s.target(), s.forge, s.canister_id, subnet=Subnet.SELF_DELEGATED
            ),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        AttackEntry(
            "stale-delegation",
            "Uses a subnet's key after it was replaced.",
            _DISCARDS,
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
            _DISCARDS,
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "stale certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=-_HOUR_NS
            ),
            (Reason.CERTIFICATE_STALE,),
        ),
        AttackEntry(
            "future-certificate",
            "Prepares messages for later.",
            _DISCARDS,
            ("ICWS-CLT-022", "ICWS-LIB-014"),
            lambda s: certificate(
                "future certificate", s.target(), s.forge, s.canister_id, subnet=Subnet.OWN, offset_ns=_HOUR_NS
            ),
            (Reason.CERTIFICATE_FROM_FUTURE,),
        ),
        AttackEntry(
            "message-younger-than-its-certificate",
            "Certifies a message before it was said.",
            _DISCARDS,
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


def _streams() -> list[AttackEntry]:
    """Genuine messages that come again, late, in another order, to another client, or not at all."""
    withheld = (Reason.MESSAGES_WITHHELD, Reason.WRONG_SEQUENCE_NUMBER)
    silence = (
        Reason.RECEIPT_TIMEOUT,
        Reason.MESSAGES_WITHHELD,
        Reason.ACK_TIMEOUT,
        Reason.SILENCE,
    )
    return [
        AttackEntry(
            "replay",
            "Has the client act twice.",
            _DISCARDS,
            ("ICWS-CLT-027", "ICWS-CLT-029", "ICWS-CLT-036"),
            lambda s: streams.Replay(s.target()),
            (Reason.NONCE_NOT_INCREASING, Reason.WRONG_SEQUENCE_NUMBER, Reason.UNEXPECTED_SERVICE_MESSAGE),
        ),
        AttackEntry(
            "duplicate",
            "Has the client act twice.",
            _DISCARDS,
            ("ICWS-CLT-027", "ICWS-CLT-029", "ICWS-CLT-036"),
            lambda s: streams.Duplicate(s.target()),
            (Reason.NONCE_NOT_INCREASING, Reason.WRONG_SEQUENCE_NUMBER, Reason.UNEXPECTED_SERVICE_MESSAGE),
        ),
        AttackEntry(
            "reorder",
            "Changes the meaning of a conversation.",
            _DISCARDS,
            ("ICWS-CLT-029",),
            lambda s: streams.Reorder(s.target()),
            (Reason.WRONG_SEQUENCE_NUMBER,),
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "drop",
            "Hides one message.",
            "The next message has the wrong number, or the certified head shows one that did not come; the canister "
            "has kept it, and the client is given it through the next gateway.",
            ("ICWS-CLT-029", "ICWS-CLT-061", "ICWS-CAN-060", "ICWS-CLT-050"),
            lambda s: streams.Drop(s.target()),
            withheld,
            (Reason.OPEN_TIMEOUT,),
        ),
        AttackEntry(
            "drop-and-hide-heads",
            "Hides the last message and the head that tells of it.",
            "The client asks the IC for the head itself when none is relayed.",
            ("ICWS-CLT-061", "ICWS-CLT-060"),
            lambda s: streams.Drop(Target(s.target().kind, count=None), heads=False),
            (Reason.MESSAGES_WITHHELD,),
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "held-message",
            "Shows a genuine message when its time is over: a price, an offer, a warning.",
            "A message older than the bound is not delivered as new; the client leaves, as after any stall.",
            ("ICWS-CLT-031",),
            lambda s: streams.Delay(s.target(), 1.5),
            (Reason.MESSAGE_TOO_OLD,),
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "another-clients-message",
            "Crosses two conversations: genuine, certified, and with the right number.",
            _DISCARDS,
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.APPLICATION),
            (Reason.WRONG_CLIENT_KEY,),
            stages=(Stage.FIRST, Stage.LATER, Stage.IN_FLIGHT),
            victims=2,
        ),
        AttackEntry(
            "another-clients-acknowledgement",
            "Has a client believe that its messages arrived.",
            _DISCARDS,
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.ACK),
            (Reason.WRONG_CLIENT_KEY,),
            stages=(Stage.LATER,),
            victims=2,
        ),
        AttackEntry(
            "another-clients-open",
            "Opens a session that does not exist.",
            _DISCARDS,
            ("ICWS-CLT-028", "ICWS-CLT-015"),
            lambda s: streams.Crossed(Kind.OPEN),
            (Reason.WRONG_CLIENT_KEY, Reason.ATTACH_MISMATCH),
            stages=(Stage.OPEN,),
            victims=2,
        ),
        AttackEntry(
            "collusion",
            "Two gateways that work together: one shows after the failover what the other was given before.",
            _DISCARDS,
            ("ICWS-CLT-026",),
            lambda s: streams.Collusion(s.target()),
            (Reason.WRONG_GATEWAY,),
            stages=(Stage.RESUMED,),
            profiles=BOTH_SECURE,
        ),
        AttackEntry(
            "silence-before-the-handshake",
            "Keeps a client waiting.",
            "The client waits for a bounded time, then goes on through the next gateway.",
            ("ICWS-CLT-050",),
            lambda s: streams.Silence(handshake=False),
            (Reason.HANDSHAKE_TIMEOUT,),
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "silence-at-the-open",
            "Keeps a client waiting.",
            "The client waits for a bounded time, then goes on through the next gateway.",
            ("ICWS-CLT-050",),
            lambda s: streams.Silence(),
            (Reason.OPEN_TIMEOUT,),
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "silence-after-the-open",
            "Keeps a client in the belief that nothing happens.",
            "The watchdog runs from the open on: receipts, heads, acknowledgements; the IC is asked before anyone is "
            "blamed.",
            ("ICWS-CLT-050", "ICWS-CLT-044", "ICWS-CLT-061"),
            lambda s: streams.Silence(after_open=True),
            silence,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "silence-but-acknowledgements",
            "Hides everything but the signs of life.",
            "The certified head, asked for at the IC, shows what did not come.",
            ("ICWS-CLT-061", "ICWS-CLT-050"),
            lambda s: streams.Silence(after_open=True, acks=True, receipts=True),
            silence,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "nothing-reaches-the-canister",
            "Swallows what the client says.",
            _ASKS,
            ("ICWS-CLT-044", "ICWS-CLT-050", "ICWS-CLT-043"),
            lambda s: streams.Deaf(),
            silence,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
        AttackEntry(
            "nothing-reaches-the-client",
            "Swallows what the canister says.",
            "The certified head shows what did not come; the canister has kept it.",
            ("ICWS-CLT-061", "ICWS-CLT-050"),
            lambda s: streams.Mute(),
            silence,
            profiles=BOTH_SECURE,
            stages=AFTER_THE_OPEN,
        ),
    ]


def _opens() -> list[AttackEntry]:
    """The handshake and the open."""
    stopped = (Reason.CONNECTION_LOST, Reason.OPEN_TIMEOUT)
    return [
        AttackEntry(
            "forged-open",
            "Opens in the victim's name.",
            _REFUSED,
            ("ICWS-GWY-002", "ICWS-LIB-016"),
            lambda s: opens.ForgedOpen(),
            stopped,
            stages=AT_THE_OPEN,
        ),
        AttackEntry(
            "downgraded-profile",
            "Makes a weaker session of a secure one.",
            _REFUSED,
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


def _calls() -> list[AttackEntry]:
    """What the client says: changed, swallowed, repeated, out of order, late."""
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
            _ASKS,
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


def _receipts() -> list[AttackEntry]:
    """Receipts of the client's calls, and the heads that go with them."""
    receipt = partial(AttackEntry, profiles=SUBPROTOCOL, stages=AFTER_THE_OPEN)
    return [
        receipt(
            "withheld-receipt",
            "Leaves open whether the canister acted.",
            _ASKS,
            ("ICWS-CLT-044", "ICWS-CLT-050"),
            lambda s: receipts.WithheldReceipt(),
            (Reason.RECEIPT_TIMEOUT,),
        ),
        receipt(
            "receipt-of-another-call",
            "Passes one execution off as another.",
            _DISCARDS,
            ("ICWS-CLT-040",),
            lambda s: receipts.ForeignReceipt(),
            (Reason.RECEIPT_NOT_FINAL, Reason.RECEIPT_UNMATCHED),
        ),
        receipt(
            "receipt-of-no-call",
            "Confuses the client about what it did.",
            _DISCARDS,
            ("ICWS-CLT-045",),
            lambda s: receipts.UnknownReceipt(),
            (Reason.RECEIPT_UNMATCHED,),
        ),
        receipt(
            "unfinished-receipt",
            "Passes the beginning of an execution off as its end.",
            _DISCARDS,
            ("ICWS-CLT-040",),
            lambda s: receipts.UnfinishedReceipt(s.forge, s.canister_id),
            (Reason.RECEIPT_NOT_FINAL,),
        ),
        receipt(
            "receipt-from-another-subnet",
            "Lets a subnet that it bribed confirm what was never done: request statuses do not name a canister.",
            _DISCARDS,
            ("ICWS-LIB-013", "ICWS-CLT-040"),
            lambda s: receipts.ForgedReceipt(s.forge, s.canister_id, Subnet.OTHER),
            (Reason.CANISTER_NOT_IN_RANGES,),
        ),
        receipt(
            "forged-receipt",
            "Confirms what was never done.",
            _DISCARDS,
            ("ICWS-LIB-010",),
            lambda s: receipts.ForgedReceipt(s.forge, s.canister_id, Subnet.NOBODY),
            (Reason.BAD_BLS_SIGNATURE,),
        ),
        receipt(
            "claimed-rejection",
            "Has the user do again what was done.",
            "A rejection without a certificate proves nothing: the client asks the IC, which knows that the call was "
            "executed.",
            ("ICWS-CLT-040", "ICWS-CLT-042", "ICWS-CLT-044"),
            lambda s: receipts.ClaimedStatus(ReceiptStatus.REJECTED),
        ),
        receipt(
            "claimed-failure",
            "Has the user do again what was done.",
            "A failure that a gateway claims proves nothing; the client sends the same number and bytes again.",
            ("ICWS-CLT-042", "ICWS-CLT-043", "ICWS-CAN-031"),
            lambda s: receipts.ClaimedStatus(ReceiptStatus.FAILED),
        ),
        receipt(
            "claimed-delay",
            "Leaves open for ever whether the canister acted.",
            "After `pending` the client asks the IC itself.",
            ("ICWS-CLT-044",),
            lambda s: receipts.ClaimedStatus(ReceiptStatus.PENDING),
        ),
        receipt(
            "altered-head",
            "Says that nothing was withheld.",
            _DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: heads.AlteredHead(None, s.canister_id),
            (Reason.CERTIFIED_DATA_MISMATCH,),
            stages=(Stage.FIRST, Stage.LATER),
        ),
        receipt(
            "head-from-another-subnet",
            "Lets a subnet that it bribed say that nothing was withheld.",
            _DISCARDS,
            ("ICWS-LIB-013",),
            lambda s: heads.AlteredHead(s.forge, s.canister_id),
            (Reason.CANISTER_NOT_IN_RANGES,),
            stages=(Stage.FIRST, Stage.LATER),
        ),
        receipt(
            "another-sessions-head",
            "Says by another session's head that nothing was withheld.",
            _DISCARDS,
            ("ICWS-CLT-063",),
            lambda s: heads.AnothersHead(),
            (Reason.PATH_UNKNOWN,),
            stages=(Stage.LATER,),
            victims=2,
        ),
        receipt(
            "old-head",
            "Shows an old head for ever, so that later messages are not missed.",
            "A head that is not newer says nothing: the client asks the IC itself, as if none were relayed.",
            ("ICWS-CLT-060", "ICWS-CLT-062"),
            lambda s: heads.OldHead(),
            stages=(Stage.LATER,),
        ),
    ]


def _frames() -> list[AttackEntry]:
    """Frames that are not frames, that may not come, or that only claim something."""
    return [
        AttackEntry(
            "garbage-frame",
            "Breaks the client.",
            _DISCARDS,
            ("ICWS-LIB-001", "ICWS-LIB-023", "ICWS-LIB-024"),
            lambda s: frames.Garbage("garbage frame", b"\x00not a frame"),
            (Reason.TRAILING_BYTES, Reason.MALFORMED, Reason.WRONG_TYPE),
        ),
        AttackEntry(
            "unknown-frame",
            "Has the client skip what it does not know.",
            _DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.Garbage("unknown frame", b"\xa1\x64news\x01"),
            (Reason.UNKNOWN_FIELD,),
        ),
        AttackEntry(
            "text-frame",
            "Breaks the client.",
            _DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.Garbage("text frame", "hello"),
            (Reason.UNEXPECTED_FRAME,),
        ),
        AttackEntry(
            "deep-frame",
            "Exhausts the client's stack.",
            _DISCARDS,
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: frames.Garbage("deep frame", _DEEP_CBOR),
            (Reason.TOO_DEEP,),
        ),
        AttackEntry(
            "huge-frame",
            "Exhausts the client's memory.",
            _DISCARDS,
            ("ICWS-LIB-001", "ICWS-CLT-020"),
            lambda s: frames.Garbage("huge frame", _HUGE_MAP),
            (Reason.TOO_MANY, Reason.TOO_LARGE, Reason.MALFORMED),
        ),
        AttackEntry(
            "second-handshake",
            "Changes its name in the middle of the conversation.",
            _DISCARDS,
            ("ICWS-LIB-024",),
            lambda s: frames.SecondHandshake(),
            (Reason.UNEXPECTED_FRAME,),
        ),
        AttackEntry(
            "invented-drain",
            "Drives clients away from gateway to gateway.",
            "The client goes where it can; no message is lost or doubled by it.",
            ("ICWS-CLT-070",),
            lambda s: frames.InventedDrain(),
            (Reason.CONNECTION_LOST,),
            profiles=SUBPROTOCOL,
        ),
    ]


CATALOGUE: Final[dict[str, AttackEntry]] = {
    entry.name: entry for entry in (*_messages(), *_streams(), *_opens(), *_calls(), *_receipts(), *_frames())
}
