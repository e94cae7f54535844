"""What became of calls that were handed over: receipts from the gateway, answers to direct calls, and asking the IC.

Only a certificate counts (:func:`icws_secure.verify.receipt.verify_receipt`). A gateway that says nothing is asked
after at the IC before it is blamed, and even then it has only stalled.
"""

from __future__ import annotations

from typing import Final

from ...errors import DecodeError, IcwsError, Reason, ReceiptViolation, StallError, StateViolation
from ...limits import NS_PER_S
from ...verify.receipt import VerifiedReceipt, verify_receipt
from ...verify.registration import refused_by, rejected_by
from ...verify.request_status import Rejected
from ...wire.frames import ReceiptFrame, ReceiptStatus
from ...wire.interface import MessageState, MessageStatus, Refusal, RefusalCode, decode_message_result
from .calls import Answered, Missing, Outcome, Unanswered
from .core import Purpose, SessionCore, What
from .outbox import Entry, Kind
from .sending import carried_by, entries_of
from .submissions import Submission, Submissions

__all__ = ["Gone", "Receipts"]

_LOOK_AGAIN_NS: Final = 30 * NS_PER_S  # after which a message that the canister keeps behind a gap is sent again
_ASK_LIMIT_NS: Final = 30 * NS_PER_S  # how long the IC is asked about one call
_ASK_AGAIN_NS: Final = 1 * NS_PER_S
_MAX_ATTEMPTS: Final = 5  # of one message, before another way is tried
_SYS_TRANSIENT: Final = 2

_TRY_LATER: Final = frozenset(
    {RefusalCode.OUT_OF_WINDOW, RefusalCode.TOO_MANY, RefusalCode.RETENTION_FULL, RefusalCode.BUDGET}
)
_GONE: Final = frozenset(
    {
        RefusalCode.DETACHED,
        RefusalCode.NOT_OPEN,
        RefusalCode.NOT_REGISTERED,
        RefusalCode.WRONG_REGISTRATION,
        RefusalCode.NOT_YOUR_SESSION,
        RefusalCode.CLOSED,
        RefusalCode.EXPIRED,
        RefusalCode.RECENTLY_REVOKED,
        RefusalCode.WRONG_CLIENT_KEY,
    }
)


class Gone(StallError):  # noqa: N818 - named like Refused and SessionEnded
    """The canister takes no messages of this attachment, or of the session; an audit is to tell why."""


class Receipts:
    """Takes the outcomes of one session's calls.

    Args:
        core: the session.
        submissions: the calls without an outcome.
    """

    def __init__(self, core: SessionCore, submissions: Submissions) -> None:
        self._core = core
        self._submissions = submissions

    def frame(self, frame: ReceiptFrame) -> tuple[Submission, VerifiedReceipt] | None:
        """Take a receipt frame of the gateway.

        Returns:
            call and receipt of a ``ws_open``, for the attachment to judge; None otherwise.

        Raises:
            ReceiptViolation: it belongs to no call of ours, or proves nothing.
            CertificateError: its certificate is not valid for the canister.
            DecodeError: its certificate is malformed.
            StallError: the gateway cannot relay.
            StateViolation: the canister has another message with this number.
        """
        core = self._core
        submission = self._submissions.find(frame.request_id)
        if submission is None:
            # [ICWS-CLT-045]
            if not self._submissions.is_past(frame.request_id):
                raise ReceiptViolation(
                    "the receipt belongs to no call of this session",
                    reason=Reason.RECEIPT_UNMATCHED,
                    requirement="ICWS-CLT-045",
                )
            return None
        if frame.status is ReceiptStatus.PENDING:
            submission.is_pending = True
            self._ask(submission)
        elif frame.certificate is None:
            self._not_relayed(submission, frame)
        else:
            receipt = verify_receipt(
                frame.certificate,
                verifier=core.verifier,
                canister_id=core.config.canister_id,
                request_id=submission.request_id,
            )
            if not submission.seqs:
                self._submissions.finish(submission)
                return submission, receipt
            self._settle(submission.request_id, submission.seqs, receipt)
        return None

    def message_outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take the outcome of a message that was sent by direct call.

        Raises:
            StallError, StateViolation: as :meth:`frame`.
        """
        core = self._core
        submission = self._find(outcome)
        if submission is None:
            return
        if isinstance(outcome, Answered):
            self._settle(submission.request_id, submission.seqs, outcome.receipt)
            return
        self._submissions.finish(submission)
        for entry in entries_of(core, submission):
            if isinstance(outcome, Missing) and _is_final(outcome):
                entry.absent(outcome.request_id, outcome.certificate_time_ns)
            if (
                core.is_secure
                or isinstance(outcome, Missing)
                or submission.envelope.content.ingress_expiry_ns > core.ic
            ):
                core.outbox.send_again(entry, self._retry_at(entry))
            elif isinstance(outcome, Unanswered):
                # An omnia canister takes a number that comes twice, in two envelopes, for a fault.
                core.settlement.unknown(entry, outcome.error)

    def proof_outcome(self, outcome: Outcome[Purpose], entry: Entry | None) -> None:
        """Take the answer to a call of a withdrawn message that was asked about when it had expired.

        Raises:
            StallError, StateViolation: as :meth:`frame`.
        """
        if not isinstance(outcome, Answered) or entry is None:
            return
        carrier = entry.calls.get(outcome.receipt.request_id)
        if carrier is not None:
            self._settle(outcome.receipt.request_id, carrier.seqs, outcome.receipt)

    def asked_outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take what the IC said about a message that the gateway was to relay.

        Raises:
            StallError: the gateway did not relay it, or keeps its receipt back.
            StateViolation: as :meth:`frame`.
        """
        core = self._core
        submission = self._find(outcome)
        if submission is None:
            return
        is_current = core.attached is not None and core.attached.serial == submission.serial
        if isinstance(outcome, Answered):
            self._settle(submission.request_id, submission.seqs, outcome.receipt)
            if is_current and core.attached is not None and core.attached.has_subprotocol and not submission.is_pending:
                raise _stalled("the gateway keeps back the receipt of a message")
            return
        late = core.now - submission.sent_at >= core.config.receipt_timeout_ns
        gone = isinstance(outcome, Missing) and _is_final(outcome)
        if not late and not gone:
            submission.receipt_due = core.now + _ASK_AGAIN_NS
            return
        self._submissions.finish(submission)
        for entry in entries_of(core, submission):
            core.outbox.send_again(entry, core.now)
            if isinstance(outcome, Missing) and gone:
                entry.absent(outcome.request_id, outcome.certificate_time_ns)
        if is_current:
            # [ICWS-CLT-044] the IC was asked first, and this is a stall: nobody is proven to be at fault
            raise _stalled("the gateway does not get a message to the canister")

    def tick(self) -> None:
        """Ask the IC about receipts that are late."""
        for submission in self._submissions:
            if submission.receipt_due is not None and submission.receipt_due <= self._core.now:
                self._ask(submission)

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        return min((item.receipt_due for item in self._submissions if item.receipt_due is not None), default=None)

    def _find(self, outcome: Outcome[Purpose]) -> Submission | None:
        if isinstance(outcome, Answered):
            return self._submissions.find(outcome.receipt.request_id)
        if isinstance(outcome, Missing | Unanswered):
            return self._submissions.find(outcome.request_id)
        return None

    def _ask(self, submission: Submission) -> None:
        # [ICWS-CLT-044]
        submission.receipt_due = None
        self._core.calls.ask(
            Purpose(What.RECEIPT if submission.seqs else What.OPEN, submission.serial),
            self._core.identity,
            submission.request_id,
            expires_ns=submission.envelope.content.ingress_expiry_ns,
            limit_ns=_ASK_LIMIT_NS,
        )

    def _not_relayed(self, submission: Submission, frame: ReceiptFrame) -> None:
        """One node's rejection, or the gateway's failure: neither proves anything, so the message goes out again."""
        core = self._core
        self._submissions.finish(submission)
        entries = entries_of(core, submission)
        for entry in entries:
            core.outbox.send_again(entry, self._retry_at(entry))
        if not submission.seqs or any(entry.attempts >= _MAX_ATTEMPTS for entry in entries):
            raise StallError(
                "the gateway does not get a call to the canister",
                reason=Reason.RECEIPT_TIMEOUT,
                requirement="ICWS-CLT-050",
                status=str(frame.status),
                reject_code=frame.reject_code,
                error_code=frame.error_code,
            )

    # what a receipt says

    def _settle(self, request_id: bytes, seqs: tuple[int, ...], receipt: VerifiedReceipt) -> None:
        core = self._core
        submission = self._submissions.find(request_id)
        if submission is not None:
            self._submissions.finish(submission)
        core.calls.drop(request_id)
        if core.certified is not None:
            core.certified.saw_time(receipt.certificate_time_ns)
        entries = carried_by(core, request_id, seqs)
        for entry in entries:
            entry.envelope = None  # this call has its answer, and would only be given it again
        if isinstance(receipt.answer, Rejected):
            self._rejected(entries, receipt, receipt.answer)
            return
        try:
            result = decode_message_result(receipt.answer.arg)
        except DecodeError as error:
            # The canister answers what cannot be read; whether it took the message, a head will tell.
            self._to_be_seen(entries, receipt, error)
            return
        if result.status is not None and core.certified is not None:
            core.certified.at_least("next_in", result.status.accepted_through + 1, receipt.certificate_time_ns)
        if result.refusal is not None:
            self._refused(entries, len(seqs), receipt, result.refusal)
        elif result.status is not None:
            core.settlement.receipt(entries, max(seqs), result.status, core.now + _LOOK_AGAIN_NS)
        elif core.is_secure:
            # [ICWS-CLT-041] an Ok alone proves acceptance, not execution
            for entry in entries:
                core.settlement.accepted(entry, core.now + _LOOK_AGAIN_NS)
                entry.own_status = MessageState.ACCEPTED
        else:
            core.settlement.acknowledged(max(seqs))

    def _rejected(self, entries: list[Entry], receipt: VerifiedReceipt, rejected: Rejected) -> None:
        core = self._core
        error = rejected_by(rejected)
        for entry in entries:
            # what the canister keeps behind a gap it still has, whatever it answers to another call
            passes = rejected.code == _SYS_TRANSIENT or entry.was_accepted
            if passes or (core.is_secure and entry.kind is not Kind.DATA):
                entry.came_to_nothing(receipt.request_id, receipt.certificate_time_ns)
                core.outbox.send_again(entry, self._retry_at(entry))
            elif core.is_secure:
                self._to_be_seen([entry], receipt, error)
            else:
                core.settlement.reject(entry, error)
                core.outbox.unnumber(entry)

    def _to_be_seen(self, entries: list[Entry], receipt: VerifiedReceipt, error: IcwsError) -> None:
        for entry in entries:
            entry.came_to_nothing(receipt.request_id, receipt.certificate_time_ns)
            entry.rejection = error

    def _refused(self, entries: list[Entry], count: int, receipt: VerifiedReceipt, refusal: Refusal) -> None:
        core = self._core
        code = refusal.code
        if code != RefusalCode.STALE:
            for entry in entries:
                entry.came_to_nothing(receipt.request_id, receipt.certificate_time_ns)
        if count > 1 and code not in _GONE:
            for entry in entries:  # which of them it was is not said
                entry.alone = True
                core.outbox.send_again(entry, core.now)
            return
        for entry in entries:
            if code == RefusalCode.SEQUENCE_CONFLICT:
                self._conflict(entry)
            elif code == RefusalCode.STALE:
                # Accepted so long ago that the canister cannot compare; a head tells about its execution.
                accepted = max(core.outbox.accepted_through, entry.seq)
                core.settlement.receipt(
                    [entry], entry.seq, MessageStatus(accepted, 0, MessageState.DUPLICATE), core.now
                )
            elif code in _TRY_LATER or code in _GONE:
                core.outbox.send_again(entry, self._retry_at(entry))
            elif entry.kind is Kind.DATA and (entry.is_void or not core.is_secure):
                core.settlement.reject(entry, refused_by(refusal))
            else:
                self._to_be_seen([entry], receipt, refused_by(refusal))
        if code in _GONE:
            raise Gone(
                "the canister takes no messages of this attachment",
                reason=Reason.SILENCE,
                requirement="ICWS-CLT-050",
                code=code,
            )

    def _conflict(self, entry: Entry) -> None:
        # [ICWS-CLT-072]
        if entry.kind is not Kind.SKIP:
            raise StateViolation(
                "the canister has another message with a number of this session",
                reason=Reason.STATE_FORKED,
                requirement="ICWS-CLT-072",
                sequence_num=entry.seq,
            )
        # The skip came too late: the message that was given up had been accepted after all.
        self._core.outbox.drop(entry)

    def _retry_at(self, entry: Entry) -> int:
        config = self._core.config
        return self._core.now + min(config.retry_initial_ns << min(entry.attempts, 16), config.retry_max_ns)


def _is_final(missing: Missing[Purpose]) -> bool:
    """Whether the call can no longer be executed: it had expired when it was absent."""
    return missing.certificate_time_ns > missing.expires_ns


def _stalled(words: str) -> StallError:
    return StallError(words, reason=Reason.RECEIPT_TIMEOUT, requirement="ICWS-CLT-050")
