"""Audit: what the certified head says about the session, and asking for it when nobody shows it.

Gateways of our subprotocol relay the head every few seconds. The client asks the IC itself when they do not, when
only a head can tell what became of a message, when the canister's refusal calls for it, and on demand: by query, and
after three answers that do not count, by update.

A head tells that messages were withheld: the gateway has a grace time to bring what it shows. It ends the session
where the canister says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ...errors import (
    CertificateError,
    IcwsError,
    MessageViolation,
    Reason,
    SessionEnded,
    StallError,
    StateViolation,
)
from ...limits import NS_PER_S
from ...verify.head import VerifiedHead, read_audit_reply, verify_head
from ...wire.close_codes import SessionCloseCode
from ...wire.frames import HeadFrame
from ...wire.head import SessionHead
from ...wire.http import QueryReplied
from ...wire.interface import Refusal
from ...wire.registration import SessionState as HeadState
from ...wire.registration import decode_audit_result, encode_audit_argument
from .attachment import Attachment
from .calls import Answered, Outcome, QueryAnswered
from .core import Purpose, SessionCore, What
from .endings import end_of_close_code, ended_by

__all__ = ["Auditor"]

_QUERY_TTL_NS: Final = 60 * NS_PER_S
_CALL_TTL_NS: Final = 60 * NS_PER_S
_MAX_BEFORE_START_NS: Final = 15 * NS_PER_S  # an answer may be that much older than the question
_MAX_MISSES: Final = 3  # queries that do not count, before the audit goes by update
_RETRY_NS: Final = 1 * NS_PER_S
_SOON_NS: Final = 1 * NS_PER_S  # a relayed head may come first
_AT_ONCE: Final = frozenset({"Revoked", "Expired", "ResumeWindow"})  # closes after which nothing more is delivered


@dataclass(frozen=True, slots=True)
class _Owed:
    """Messages that the gateway must bring: all up to ``through``, by session time ``due``; ``before`` were there."""

    through: int
    due: int
    before: int


class Auditor:
    """Keeps an eye on the certified head of one secure session.

    Args:
        core: the session.
    """

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._next_at: int | None = None
        self._is_asking = False
        self._started_ic = 0
        self._known_before = 0
        self._misses = 0
        self._owed: _Owed | None = None
        self._latest_owed = 0
        self._head_frame: HeadFrame | None = None
        self._closing: tuple[SessionEnded, int] | None = None
        self._paused = False
        self.last_head_at: int | None = None
        """Session time of the last head that counted."""

    # asking

    def attached(self, attachment: Attachment) -> None:
        """An attachment is verified: heads are expected from now on."""
        self._owed = None
        self._latest_owed = 0
        self._schedule()

    def lost(self) -> None:
        """An attachment is over: nobody owes anything."""
        self._owed = None
        self._latest_owed = 0

    def want(self) -> None:
        """Audit at once."""
        self._next_at = self._core.now

    def want_soon(self) -> None:
        """Audit unless a head is relayed within a moment."""
        soon = self._core.now + _SOON_NS
        self._next_at = soon if self._next_at is None else min(self._next_at, soon)

    def want_proof(self) -> None:
        """Audit at once, by update: the canister itself is to say."""
        self._misses = _MAX_MISSES
        self._next_at = self._core.now

    def want_alone(self) -> None:
        """Audit at once; every request under way was given up, and there is no attachment to judge any more."""
        self._is_asking = False
        self._owed = None
        self._closing = None
        self._next_at = self._core.now

    def pause(self, paused: bool) -> None:
        """The shell has stopped reading, or reads again: meanwhile nothing is owed."""
        self._paused = paused
        if not paused and self._owed is not None:
            self._owed = self._demand(self._owed.through)

    def tick(self) -> None:
        """Ask if it is time; see whether what is owed has come.

        Raises:
            MessageViolation: messages are withheld.
            SessionEnded: the session was closed by the canister, and what was to come before has not.
        """
        core = self._core
        if not core.is_secure or core.certified is None:
            return
        self._check_owed()
        if self._closing is not None and core.now >= self._closing[1]:
            raise self._closing[0]
        if self._is_asking or self._next_at is None or core.now < self._next_at:
            return
        self._is_asking = True
        self._next_at = None
        self._started_ic = core.ic
        self._known_before = core.certified.latest_time_ns
        argument = encode_audit_argument((core.identity.principal,))
        if self._misses >= _MAX_MISSES:
            # [ICWS-CLT-060]
            envelope = core.sign_call("ws_audit", argument, _CALL_TTL_NS)
            core.calls.post(Purpose(What.AUDIT_CALL), core.identity, envelope)
        else:
            core.calls.query(Purpose(What.AUDIT_QUERY), core.sign_query("ws_audit", argument, _QUERY_TTL_NS))

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        if not self._core.is_secure or self._core.certified is None:
            return None
        times = [
            None if self._is_asking else self._next_at,
            self._owed.due if self._owed is not None and not self._paused else None,
            self._closing[1] if self._closing is not None else None,
        ]
        return min((time for time in times if time is not None), default=None)

    def _schedule(self, age_ns: int = 0) -> None:
        """When the client asks next, if no head is relayed before; ``age_ns`` is the age of the latest one."""
        core = self._core
        attachment = core.attached
        if attachment is None:
            self._next_at = None
            return
        interval = core.config.audit_interval_ns
        if attachment.has_subprotocol:
            interval = core.config.head_interval_ns
        if age_ns >= interval:
            return
        jitter = int.from_bytes(core.entropy(2), "big")
        self._next_at = core.now + interval - age_ns - (interval // 4) * jitter // (1 << 16)

    # answers

    def relayed(self, frame: HeadFrame) -> None:
        """Take a head that the gateway relayed.

        Raises:
            DecodeError, CertificateError: it does not verify.
            MessageViolation, StallError: the attachment is to end.
            StateViolation, SessionEnded: the session is over.
        """
        core = self._core
        verified = verify_head(
            frame.cert,
            frame.tree,
            verifier=core.verifier,
            canister_id=core.config.canister_id,
            session=core.identity.principal,
            now=core.ic,
        )
        self._take(verified, frame, is_relayed=True)

    def outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take the answer to an audit; one that does not count is a miss.

        Raises:
            MessageViolation, StallError: the attachment is to end.
            StateViolation, SessionEnded: the session is over.
        """
        if not self._is_asking:
            return
        self._is_asking = False
        try:
            read = self._read(outcome)
        except (StateViolation, SessionEnded):
            raise
        except IcwsError:
            read = None
        if read is None:
            self._missed(by_update=outcome.purpose.what is What.AUDIT_CALL)
            return
        self._misses = 0
        self._schedule()
        self._take(*read)

    def _read(self, outcome: Outcome[Purpose]) -> tuple[VerifiedHead, HeadFrame | None] | None:
        """The head of an answer, and what shows it to others; nothing does in the answer to an update."""
        core = self._core
        _, certified = core.registered()
        if isinstance(outcome, Answered):
            return read_audit_reply(outcome.receipt, not_before_ns=self._known_before), None
        if not isinstance(outcome, QueryAnswered) or not isinstance(outcome.response, QueryReplied):
            return None
        audit = decode_audit_result(outcome.response.arg)
        if isinstance(audit, Refusal) or audit.cert is None or audit.tree is None:
            return None
        verified = verify_head(
            audit.cert,
            audit.tree,
            verifier=core.verifier,
            canister_id=core.config.canister_id,
            session=core.identity.principal,
            now=core.ic,
        )
        # [ICWS-CLT-060]
        if verified.time_ns < certified.latest_time_ns or verified.time_ns < self._started_ic - _MAX_BEFORE_START_NS:
            raise CertificateError(
                "the audit is older than what is known",
                reason=Reason.AUDIT_STALE,
                requirement="ICWS-CLT-060",
                time=verified.time_ns,
                known=certified.latest_time_ns,
            )
        return verified, HeadFrame(audit.cert, audit.tree)

    def _missed(self, *, by_update: bool) -> None:
        core = self._core
        self._misses = 0 if by_update else self._misses + 1
        wait = core.config.audit_interval_ns // 4 if by_update else _RETRY_NS
        self._next_at = core.now + wait

    # what a head says

    def _take(self, verified: VerifiedHead, frame: HeadFrame | None, *, is_relayed: bool = False) -> None:
        core = self._core
        _, certified = core.registered()
        # [ICWS-CLT-062] [ICWS-CLT-063]
        head = certified.accept(verified)
        if head is None or certified.head is not head:
            return  # from before the registration, or older than the latest
        # [ICWS-CLT-050] what is relayed again and again gets no younger, and puts no question off
        age_ns = max(0, core.ic - verified.time_ns)
        self.last_head_at = core.now - age_ns
        self._head_frame = frame
        if is_relayed:
            self._schedule(age_ns)
        core.settlement.head(head, verified.not_before_ns)
        self._check_attach(head)
        if head.state is HeadState.CLOSED:
            core.settlement.closed(head)
            self._closed(head)
        attachment = core.attached
        if attachment is not None and head.attach == attachment.attach:
            self._owe(head)
            if head.state is HeadState.DETACHED:
                raise StallError(
                    "the canister has detached this attachment", reason=Reason.SILENCE, requirement="ICWS-CLT-050"
                )

    def _check_attach(self, head: SessionHead) -> None:
        # [ICWS-CLT-014]
        if head.attach > self._core.attach:
            raise ended_by(
                SessionCloseCode.SESSION_TAKEN,
                requirement="ICWS-CLT-014",
                own=self._core.attach,
                certified=head.attach,
            )

    def _closed(self, head: SessionHead) -> None:
        """The canister has closed; what it sent before may still be fetched, where the application closed."""
        core = self._core
        # [ICWS-CLT-035]
        end = end_of_close_code(head.close_code)
        missing = head.next_out - 1 - core.inbound.received_through
        if missing <= 0 or head.close_code in _AT_ONCE:
            raise end
        if self._closing is None:
            self._closing = (end, core.now + core.config.attach_timeout_ns)

    def _owe(self, head: SessionHead) -> None:
        self._latest_owed = max(self._latest_owed, head.next_out - 1)
        if self._owed is None and self._latest_owed > self._core.inbound.received_through:
            self._owed = self._demand(self._latest_owed)

    def _demand(self, through: int) -> _Owed:
        core = self._core
        return _Owed(through, core.now + core.config.withhold_grace_ns, core.inbound.received_through)

    def _check_owed(self) -> None:
        owed = self._owed
        if owed is None:
            return
        received = self._core.inbound.received_through
        if received >= owed.through:
            self._owed = self._demand(self._latest_owed) if self._latest_owed > received else None
        elif self._core.now >= owed.due and not self._paused:
            # [ICWS-CLT-061]
            if received == owed.before:
                raise MessageViolation(
                    "the canister has sent messages that did not arrive",
                    reason=Reason.MESSAGES_WITHHELD,
                    requirement="ICWS-CLT-061",
                    received_through=received,
                    sent_through=owed.through,
                )
            # They are coming, slowly; how old each may be when it arrives is bounded on its own.
            self._owed = self._demand(owed.through)

    @property
    def latest_frame(self) -> HeadFrame | None:
        """What shows the latest head, as a gateway relays it, for evidence; None where nothing does."""
        return self._head_frame
