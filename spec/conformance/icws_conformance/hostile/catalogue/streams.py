"""Entries: genuine messages that come again, late, in another order, to another client, or not at all."""

from __future__ import annotations

from icws_conformance.hostile.attacks import streams
from icws_conformance.hostile.catalogue.entry import (
    AFTER_THE_OPEN,
    ASKS,
    AT_THE_OPEN,
    BOTH_SECURE,
    DISCARDS,
    AttackEntry,
    Stage,
)
from icws_conformance.hostile.target import Kind, Target
from icws_secure.errors import Reason

__all__ = ["entries"]


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
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
            DISCARDS,
            ("ICWS-CLT-027", "ICWS-CLT-029", "ICWS-CLT-036"),
            lambda s: streams.Replay(s.target()),
            (Reason.NONCE_NOT_INCREASING, Reason.WRONG_SEQUENCE_NUMBER, Reason.UNEXPECTED_SERVICE_MESSAGE),
        ),
        AttackEntry(
            "duplicate",
            "Has the client act twice.",
            DISCARDS,
            ("ICWS-CLT-027", "ICWS-CLT-029", "ICWS-CLT-036"),
            lambda s: streams.Duplicate(s.target()),
            (Reason.NONCE_NOT_INCREASING, Reason.WRONG_SEQUENCE_NUMBER, Reason.UNEXPECTED_SERVICE_MESSAGE),
        ),
        AttackEntry(
            "reorder",
            "Changes the meaning of a conversation.",
            DISCARDS,
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
            DISCARDS,
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.APPLICATION),
            (Reason.WRONG_CLIENT_KEY,),
            stages=(Stage.FIRST, Stage.LATER, Stage.IN_FLIGHT),
            victims=2,
        ),
        AttackEntry(
            "another-clients-acknowledgement",
            "Has a client believe that its messages arrived.",
            DISCARDS,
            ("ICWS-CLT-028",),
            lambda s: streams.Crossed(Kind.ACK),
            (Reason.WRONG_CLIENT_KEY,),
            stages=(Stage.LATER,),
            victims=2,
        ),
        AttackEntry(
            "another-clients-open",
            "Opens a session that does not exist.",
            DISCARDS,
            ("ICWS-CLT-028", "ICWS-CLT-015"),
            lambda s: streams.Crossed(Kind.OPEN),
            (Reason.WRONG_CLIENT_KEY, Reason.ATTACH_MISMATCH),
            stages=(Stage.OPEN,),
            victims=2,
        ),
        AttackEntry(
            "collusion",
            "Two gateways that work together: one shows after the failover what the other was given before.",
            DISCARDS,
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
            ASKS,
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
