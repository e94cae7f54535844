"""Opening: ``ws_open`` of an attachment, and the canister's answers to it.

The answer that counts is the certified attach message (omnia: open message). A refusal counts when it is certified,
and only for the newest open: an older one may well be refused because a newer one was faster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...errors import AttachViolation, IcwsError, MisuseError, PayloadViolation, Reason, StallError
from ...limits import MAX_CERTIFICATE_AGE_NS, NS_PER_S
from ...verify.message import VerifiedMessage
from ...verify.receipt import VerifiedReceipt
from ...verify.registration import refused_by, rejected_by
from ...verify.request_status import Rejected
from ...wire.close_codes import SessionCloseCode
from ...wire.frames import ClientFrame
from ...wire.interface import Refusal, RefusalCode, decode_open_result
from ...wire.principal import Principal
from ...wire.service import AttachMessage, OpenMessage, decode_service_message
from .actions import SendFrame
from .attachment import (
    Attachment,
    Expected,
    check_attach_message,
    check_open_message,
    hash_of,
    open_argument,
)
from .calls import Answered, Outcome, Unanswered
from .channel import PayloadOffer
from .core import Purpose, SessionCore, What
from .endings import because, ended_by
from .events import Attached, Opened
from .inbound import InboundStream
from .registering import Registrar
from .submissions import Submission, Submissions
from .table import Phase, PhaseEvent, SessionEvent

__all__ = ["Opener"]

_ASK_NS: Final = 20 * NS_PER_S  # how long the IC is asked what it answered to an open
_SYS_TRANSIENT: Final = 2
_REMEMBERED: Final = 16  # opens whose refusal may still arrive

_ENDS: Final = {
    RefusalCode.STALE_ATTACH: (SessionCloseCode.SESSION_TAKEN, "ICWS-CLT-014"),
    RefusalCode.RESUME_GAP: (SessionCloseCode.RESUME_GAP, "ICWS-CLT-071"),
    RefusalCode.EXPIRED: (SessionCloseCode.EXPIRED, "ICWS-CLT-035"),
    RefusalCode.RECENTLY_REVOKED: (SessionCloseCode.REVOKED, "ICWS-CLT-035"),
}
"""Certified refusals of the newest open that end the session."""

_TELLS_LITTLE: Final = frozenset(
    {
        RefusalCode.NOT_REGISTERED,
        RefusalCode.CLOSED,
        RefusalCode.WRONG_REGISTRATION,
        RefusalCode.NOT_YOUR_SESSION,
        RefusalCode.SESSION_PRINCIPAL_BOUND,
        RefusalCode.WRONG_CLIENT_KEY,
    }
)
"""Refusals that only an audit explains: the session may be over, or the canister have lost its state."""

_MAY_PASS: Final = frozenset(
    {RefusalCode.INVALID_GATEWAY_PRINCIPAL, RefusalCode.ALREADY_OPEN, RefusalCode.UNKNOWN_KEY, RefusalCode.TOO_MANY}
)
"""Refusals after which another attempt makes sense, even for a session that was never open."""


class Opener:
    """Sends ``ws_open`` for the attachments of one session and takes what the canister says to it.

    Args:
        core: the session.
        submissions: where the receipt of an open is waited for.
        registrar: refreshes the parameters when the canister's key has changed.
        attached: called when an attachment is verified.
    """

    def __init__(
        self,
        core: SessionCore,
        submissions: Submissions,
        registrar: Registrar,
        attached: Callable[[Attachment], None],
    ) -> None:
        self._core = core
        self._submissions = submissions
        self._registrar = registrar
        self._on_attached = attached
        self._opens: dict[bytes, int] = {}  # attachment serials by request id
        self._latest = b""
        self.wants_audit = False
        """Whether the canister has refused an open in a way that only an authoritative audit explains."""

    def open(self, attachment: Attachment, gateway: Principal) -> None:
        """Send ``ws_open`` for the queue of ``gateway``."""
        core = self._core
        # [ICWS-CLT-012]
        if core.is_secure and core.identity.delegations:
            raise MisuseError("a session key signs without delegation", requirement="ICWS-CLT-012")
        argument = self._secure_argument(attachment, gateway) if core.is_secure else self._omnia_argument(gateway)
        # [ICWS-CLT-012] the settings bound the time to live
        envelope = core.sign_call("ws_open", argument, core.config.open_ttl_ns)
        self._latest = envelope.content.request_id
        self._opens[self._latest] = attachment.serial
        while len(self._opens) > _REMEMBERED:
            del self._opens[next(iter(self._opens))]
        attachment.gateway = gateway
        attachment.open_envelope = envelope
        attachment.phases.apply(PhaseEvent.OPEN_SENT)
        attachment.deadline = core.now + core.config.attach_timeout_ns
        core.save()
        if attachment.is_direct:
            core.calls.post(Purpose(What.OPEN, attachment.serial), core.identity, envelope)
            return
        self._submissions.add(Submission(envelope, (), attachment.serial, True, core.now))
        core.act(SendFrame(ClientFrame(envelope).encode()))

    def ask(self, attachment: Attachment) -> None:
        """The gateway did not bring an answer: ask the IC what it said to the open."""
        if attachment.open_envelope is not None and not attachment.is_direct:
            call = attachment.open_envelope.content
            self._core.calls.ask(
                Purpose(What.OPEN, attachment.serial),
                self._core.identity,
                call.request_id,
                expires_ns=call.ingress_expiry_ns,
                limit_ns=_ASK_NS,
            )

    def opening_message(self, verified: VerifiedMessage) -> bool:
        """Take a verified message while the attachment is opening.

        Returns:
            whether it was the attach message (omnia: the open message); if not, it is dropped.

        Raises:
            AttachViolation, MessageViolation: it does not answer our open.
            StateViolation: certified state went back, forked or was lost.
            SessionEnded: another holder of the key has attached, or what is missing is no longer kept.
        """
        attachment = self._core.attachment
        message = verified.message
        if attachment is None or message is None:
            return False
        if not self._core.is_secure:
            self._take_open_message(attachment, verified)
            return True
        # [ICWS-CLT-015] anything else is of an earlier attachment through the same gateway
        if message.sequence_num != 0 or not message.is_service_message:
            return False
        service = decode_service_message(message.content)
        if not isinstance(service, AttachMessage) or service.attach < attachment.attach:
            return False
        self.check_not_taken(service)
        self._take_attach_message(attachment, verified, service)
        return True

    def check_not_taken(self, message: AttachMessage) -> None:
        """Check that a certified attach message is not that of another holder of the key.

        Raises:
            SessionEnded: it is.
        """
        # [ICWS-CLT-014]
        if message.attach > self._core.attach:
            raise ended_by(
                SessionCloseCode.SESSION_TAKEN,
                requirement="ICWS-CLT-014",
                own=self._core.attach,
                certified=message.attach,
            )

    def receipt(self, submission: Submission, receipt: VerifiedReceipt) -> None:
        """Take the receipt of an open from the gateway; raises as :meth:`outcome`."""
        self._answered(receipt, submission.serial)

    def outcome(self, outcome: Outcome[Purpose]) -> None:
        """Take what the IC said to an open.

        Raises:
            SessionEnded: a certified refusal of the newest open that ends the session.
            Refused: any other, of the attachment that is being made.
            CanisterRejected: the call was rejected.
            StallError, TransportError: a direct open was not answered.
        """
        if isinstance(outcome, Answered):
            self._answered(outcome.receipt, outcome.purpose.serial)
            return
        attachment = self._opening(outcome.purpose.serial)
        if attachment is None or not attachment.is_direct:
            return  # a gateway's open has its own deadline
        if isinstance(outcome, Unanswered):
            raise outcome.error
        raise StallError("the open was not executed", reason=Reason.OPEN_TIMEOUT, requirement="ICWS-CLT-050")

    def _opening(self, serial: int) -> Attachment | None:
        attachment = self._core.attachment
        if attachment is None or attachment.serial != serial or attachment.phase is not Phase.OPENING:
            return None
        return attachment

    def _answered(self, receipt: VerifiedReceipt, serial: int) -> None:
        core = self._core
        if core.certified is not None:
            core.certified.saw_time(receipt.certificate_time_ns)
        attachment = self._opening(serial)
        if isinstance(receipt.answer, Rejected):
            if attachment is not None:
                self._fail(rejected_by(receipt.answer), may_pass=receipt.answer.code == _SYS_TRANSIENT)
            return
        refusal = decode_open_result(receipt.answer.arg)
        if refusal is not None:
            self._refused(refusal, receipt.request_id == self._latest, attachment)
        elif attachment is not None and attachment.is_direct:
            attachment.is_polling = True

    def _refused(self, refusal: Refusal, is_latest: bool, attachment: Attachment | None) -> None:
        # [ICWS-CLT-014] an older open is refused as stale when a newer one of ours was faster
        if not is_latest:
            return
        error = refused_by(refusal)
        for code, (end, requirement) in _ENDS.items():
            # [ICWS-CLT-014] [ICWS-CLT-071]
            if refusal.code == code and self._core.is_secure:
                raise because(ended_by(end, requirement=requirement), error)
        if refusal.code == RefusalCode.UNKNOWN_KEY and self._core.is_secure:
            self._registrar.refresh()
        self.wants_audit = self.wants_audit or refusal.code in _TELLS_LITTLE
        if attachment is not None:
            self._fail(error, may_pass=refusal.code in _MAY_PASS or refusal.code in _TELLS_LITTLE)

    def _fail(self, error: IcwsError, *, may_pass: bool) -> None:
        """The attachment that is being made has failed; a session that was never open fails with it."""
        if not self._core.was_opened and not may_pass:
            raise because(ended_by(SessionCloseCode.NO_GATEWAY), error)
        raise error

    def _secure_argument(self, attachment: Attachment, gateway: Principal) -> bytes:
        core = self._core
        parameters, certified = core.registered()
        # [ICWS-CLT-013]
        core.attach += 1
        attachment.attach = core.attach
        channel = core.config.channel
        offer = PayloadOffer()
        if channel is not None:
            try:
                offer = channel.offer(parameters, core.client_key, core.attach)
            except PayloadViolation as error:
                # [ICWS-PAY-012] the canister's certified word: no other gateway changes it
                raise because(ended_by(SessionCloseCode.NO_GATEWAY), error) from error
        argument = open_argument(
            core.client_key,
            gateway,
            registration_id=parameters.registration_id,
            attach=core.attach,
            resume_from=core.inbound.resume_from,
            offer=offer,
        )
        attachment.expected = Expected(
            client_key=core.client_key,
            registration_id=parameters.registration_id,
            epoch=parameters.epoch,
            attach=core.attach,
            resume_from=core.inbound.resume_from,
            resumed_after_ns=core.inbound.taken_timestamp_ns,
            open_hash=hash_of(argument),
            next_in_floor=certified.floor("next_in"),
            next_out_floor=max(certified.floor("next_out"), core.inbound.received_through + 1),
        )
        return argument

    def _omnia_argument(self, gateway: Principal) -> bytes:
        core = self._core
        if len(self._opens) > 0 and core.config.client_nonce is None:
            # An earlier open of this session may still take effect: its client key is not used again.
            core.renew_client_key()
        return open_argument(core.client_key, gateway)

    def _take_attach_message(self, attachment: Attachment, verified: VerifiedMessage, message: AttachMessage) -> None:
        core = self._core
        parameters, certified = core.registered()
        if attachment.expected is None:
            raise MisuseError("a secure attachment without an open", reason=Reason.WRONG_STATE)
        # [ICWS-CLT-015] [ICWS-CLT-016]
        check_attach_message(message, attachment.expected, next_seq=core.outbox.next_seq)
        time_ns = verified.certificate_time_ns
        certified.at_least("attach", message.attach, time_ns)
        certified.at_least("next_in", message.next_in, time_ns)
        certified.at_least("next_out", message.next_out, time_ns)
        certified.at_least("oldest_retained", message.oldest_retained, time_ns)
        core.inbound.begin(
            resume_from=attachment.expected.resume_from,
            resumed_after_ns=attachment.expected.resumed_after_ns,
            attach_nonce=verified.nonce,
            retained_below=message.next_out,
            max_age_ns=core.config.max_message_age_ns,
            max_retained_age_ns=parameters.resume_window_ns + core.config.max_message_age_ns,
        )
        if core.config.channel is not None:
            core.config.channel.attached(attachment.attach, next_in=message.next_in, next_out=message.next_out)
        core.settlement.progress(message.next_in - 1, 0)
        self._attached(attachment)

    def _take_open_message(self, attachment: Attachment, verified: VerifiedMessage) -> None:
        core = self._core
        message = verified.message
        service = None
        if message is not None and message.is_service_message:
            service = decode_service_message(message.content)
        # [ICWS-CLT-015]
        if message is None or not isinstance(service, OpenMessage):
            raise AttachViolation(
                "the first message is not the open message", requirement="ICWS-CLT-015", reason=Reason.ATTACH_MISMATCH
            )
        check_open_message(service, core.client_key, message.sequence_num)
        core.inbound = InboundStream()
        core.inbound.begin(
            resume_from=1,
            resumed_after_ns=0,
            attach_nonce=-1,
            retained_below=0,
            max_age_ns=MAX_CERTIFICATE_AGE_NS,  # nothing has calibrated the clock more closely
            max_retained_age_ns=MAX_CERTIFICATE_AGE_NS,
        )
        incoming = core.inbound.check(verified, core.ic)
        if incoming is not None:
            core.inbound.commit(incoming)
        self._attached(attachment)

    def _attached(self, attachment: Attachment) -> None:
        core = self._core
        attachment.phases.apply(PhaseEvent.ATTACH_VERIFIED)
        attachment.deadline = None
        attachment.attached_at = core.now
        core.states.apply(SessionEvent.ATTACHED)
        core.calls.drop(self._latest)
        self._on_attached(attachment)
        if not core.was_opened:
            core.was_opened = True
            core.tell(Opened(attachment.attach))
        if attachment.gateway is not None:
            core.tell(Attached(attachment.target, attachment.gateway, attachment.attach))
