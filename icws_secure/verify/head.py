"""Verification of a session's certified head: where the canister says the session stands.

:func:`verify_head` takes these steps, in this order:

1. Sizes are within bounds.
2. The certificate is valid for the canister, and fresh.
3. The witness is well formed, and its digest is the canister's certified data.
4. The epoch is shown.
5. The head of the session is shown, or is proven to be absent. What is merely not shown proves nothing.

An audit by update has no witness: :func:`read_audit_reply` takes epoch and head from the certified reply instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..errors import CertificateError, DecodeError, MisuseError, Reason
from ..limits import MAX_CERTIFICATE_BYTES, MAX_WITNESS_BYTES
from ..wire.hashtree import ABSENT, Found
from ..wire.head import EPOCH_PATH, SessionHead, decode_epoch, decode_head, head_path
from ..wire.interface import Refusal
from ..wire.principal import Principal
from ..wire.registration import decode_audit_result
from .certificate import CertificateVerifier
from .receipt import VerifiedReceipt
from .registration import refused_by, rejected_by
from .request_status import Rejected
from .witness import verify_witness

__all__ = ["VerifiedHead", "read_audit_reply", "verify_head"]

_TOKEN: Final = object()


@dataclass(frozen=True, slots=True)
class _Facts:
    epoch: int
    head: SessionHead | None
    not_before_ns: int
    time_ns: int


class VerifiedHead:
    """What the canister certified about a session; only this module makes them.

    Attributes:
        epoch: the canister's epoch.
        head: where the session stands; None where it is proven that there is no such session.
        not_before_ns: the state described is at least as new as this certified time.
        time_ns: the state described is not newer than this certified time; the same as ``not_before_ns`` for a witness.
    """

    __slots__ = ("epoch", "head", "not_before_ns", "time_ns")

    def __init__(self, facts: _Facts, *, token: object = None) -> None:
        if token is not _TOKEN:
            raise MisuseError("only the verifier makes verified heads")
        self.epoch = facts.epoch
        self.head = facts.head
        self.not_before_ns = facts.not_before_ns
        self.time_ns = facts.time_ns


def verify_head(
    certificate: bytes,
    tree: bytes,
    *,
    verifier: CertificateVerifier,
    canister_id: Principal,
    session: Principal,
    now: int,
) -> VerifiedHead:
    """Verify a head with its witness, by the steps in this module's docstring.

    Args:
        certificate: CBOR of the certificate.
        tree: CBOR of the witness.
        verifier: holds the root key and the bounds of certified times.
        canister_id: the canister.
        session: the session principal.
        now: the client's clock, nanoseconds since 1970.

    Raises:
        DecodeError: bytes that are malformed or too long.
        CertificateError: a step failed.
    """
    # 1. [ICWS-CLT-020]
    if len(certificate) > MAX_CERTIFICATE_BYTES or len(tree) > MAX_WITNESS_BYTES:
        raise DecodeError("the head is too long", reason=Reason.TOO_LARGE, requirement="ICWS-CLT-020")
    # 2. [ICWS-CLT-022]
    verified = verifier.verify(certificate, now=now, canister_id=canister_id)
    # 3. [ICWS-CLT-023]
    witness = verify_witness(verified, canister_id, tree)
    # 4.
    epoch = witness.lookup(EPOCH_PATH)
    if not isinstance(epoch, Found):
        raise _not_shown("epoch")
    # 5. [ICWS-CLT-063]
    head = witness.lookup(head_path(session))
    if isinstance(head, Found):
        shown = decode_head(head.value)
    elif head is ABSENT:
        shown = None
    else:
        raise _not_shown("head")
    facts = _Facts(decode_epoch(epoch.value), shown, verified.time_ns, verified.time_ns)
    return VerifiedHead(facts, token=_TOKEN)


def read_audit_reply(receipt: VerifiedReceipt, *, not_before_ns: int) -> VerifiedHead:
    """Read the reply of ``ws_audit`` that was called as an update for one session.

    Args:
        receipt: of the call.
        not_before_ns: largest certified time known before the call was sent; the call was executed later.

    Raises:
        Refused: the canister refused.
        CanisterRejected: the call was rejected.
        DecodeError: the reply does not decode, or is about another number of sessions.
    """
    if isinstance(receipt.answer, Rejected):
        raise rejected_by(receipt.answer)
    audit = decode_audit_result(receipt.answer.arg)
    if isinstance(audit, Refusal):
        raise refused_by(audit)
    if len(audit.heads) != 1:
        raise DecodeError("the audit is not about one session", reason=Reason.MALFORMED, received=len(audit.heads))
    head = None if audit.heads[0] is None else decode_head(audit.heads[0])
    facts = _Facts(audit.epoch, head, not_before_ns, receipt.certificate_time_ns)
    return VerifiedHead(facts, token=_TOKEN)


def _not_shown(what: str) -> CertificateError:
    return CertificateError(
        f"the witness does not show the {what}", reason=Reason.PATH_UNKNOWN, requirement="ICWS-CLT-063"
    )
