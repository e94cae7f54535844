"""Entries: receipts of the client's calls, and the heads that go with them."""

from __future__ import annotations

from functools import partial

from icws_conformance.hostile.attacks import heads, receipts
from icws_conformance.hostile.catalogue.entry import AFTER_THE_OPEN, ASKS, DISCARDS, SUBPROTOCOL, AttackEntry, Stage
from icws_conformance.hostile.forge import Subnet
from icws_secure.errors import Reason
from icws_secure.wire.frames import ReceiptStatus

__all__ = ["entries"]


def entries() -> list[AttackEntry]:
    """The attacks of this kind."""
    receipt = partial(AttackEntry, profiles=SUBPROTOCOL, stages=AFTER_THE_OPEN)
    return [
        receipt(
            "withheld-receipt",
            "Leaves open whether the canister acted.",
            ASKS,
            ("ICWS-CLT-044", "ICWS-CLT-050"),
            lambda s: receipts.WithheldReceipt(),
            (Reason.RECEIPT_TIMEOUT,),
        ),
        receipt(
            "receipt-of-another-call",
            "Passes one execution off as another.",
            DISCARDS,
            ("ICWS-CLT-040",),
            lambda s: receipts.ForeignReceipt(),
            (Reason.RECEIPT_NOT_FINAL, Reason.RECEIPT_UNMATCHED),
        ),
        receipt(
            "receipt-of-no-call",
            "Confuses the client about what it did.",
            DISCARDS,
            ("ICWS-CLT-045",),
            lambda s: receipts.UnknownReceipt(),
            (Reason.RECEIPT_UNMATCHED,),
        ),
        receipt(
            "unfinished-receipt",
            "Passes the beginning of an execution off as its end.",
            DISCARDS,
            ("ICWS-CLT-040",),
            lambda s: receipts.UnfinishedReceipt(s.forge, s.canister_id),
            (Reason.RECEIPT_NOT_FINAL,),
        ),
        receipt(
            "receipt-from-another-subnet",
            "Lets a subnet that it bribed confirm what was never done: request statuses do not name a canister.",
            DISCARDS,
            ("ICWS-LIB-013", "ICWS-CLT-040"),
            lambda s: receipts.ForgedReceipt(s.forge, s.canister_id, Subnet.OTHER),
            (Reason.CANISTER_NOT_IN_RANGES,),
        ),
        receipt(
            "forged-receipt",
            "Confirms what was never done.",
            DISCARDS,
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
            DISCARDS,
            ("ICWS-CLT-023",),
            lambda s: heads.AlteredHead(None, s.canister_id),
            (Reason.CERTIFIED_DATA_MISMATCH,),
            stages=(Stage.FIRST, Stage.LATER),
        ),
        receipt(
            "head-from-another-subnet",
            "Lets a subnet that it bribed say that nothing was withheld.",
            DISCARDS,
            ("ICWS-LIB-013",),
            lambda s: heads.AlteredHead(s.forge, s.canister_id),
            (Reason.CANISTER_NOT_IN_RANGES,),
            stages=(Stage.FIRST, Stage.LATER),
        ),
        receipt(
            "another-sessions-head",
            "Says by another session's head that nothing was withheld.",
            DISCARDS,
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
