"""Attaching: which gateway, connection and handshake, losing an attachment and finding the next, direct mode and the
way back.

An attachment is lost by a violation, a stall or a broken connection; the session goes on. In the omnia profile there
is nothing to resume, and the loss of an opened attachment is the end.

While the client is its own gateway it looks from time to time whether a gateway is there again. That *probe* goes on
beside the direct attachment until the gateway has presented itself; then the session changes over.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import (
    AttachViolation,
    CertificateError,
    IcwsError,
    PayloadViolation,
    ProtocolViolation,
    Reason,
    StallError,
    TransportError,
)
from ...limits import NS_PER_S
from ...wire.close_codes import CloseCode, SessionCloseCode, close_reason
from ...wire.frames import SUBPROTOCOL, Handshake
from .actions import Connect, Disconnect
from .attachment import Attachment, check_gateway, negotiated
from .config import GatewayTarget
from .core import SessionCore
from .endings import because, ended_by
from .events import GatewayLost
from .evidence import Evidence
from .opening import Opener
from .registering import Registrar
from .sending import Sender
from .submissions import Submissions
from .table import Phase, PhaseEvent, SessionEvent, SessionState

__all__ = ["Attacher"]

_DRAIN_GRACE_NS = 60 * NS_PER_S
_MAX_DOUBLINGS = 8
_AUDIT_FIRST_NS = 5 * NS_PER_S  # how long the canister's word is waited for before another number is tried
_SEEKING = frozenset({SessionState.DETACHED, SessionState.CLOSING})
_WRONG_CLOCK = frozenset({Reason.CERTIFICATE_STALE, Reason.CERTIFICATE_FROM_FUTURE})
_AUDITED_CLOSES = frozenset({CloseCode.STALE_ATTACH, CloseCode.SUPERSEDED, CloseCode.OPEN_REFUSED})
# A gateway gives these for an open that the IC may execute only after a first audit.
_AUDITED_TWICE = frozenset({CloseCode.STALE_ATTACH, CloseCode.SUPERSEDED})


class Attacher:
    """Seeks and ends the attachments of one session.

    Args:
        core: the session.
        sender: is told when messages may flow, and when no longer.
        registrar: refreshes the parameters when the clock is in doubt.
        submissions: where the receipt of an open is waited for.
        attached: called when an attachment is verified.
    """

    def __init__(
        self,
        core: SessionCore,
        sender: Sender,
        registrar: Registrar,
        submissions: Submissions,
        attached: Callable[[Attachment], None],
    ) -> None:
        self._core = core
        self._sender = sender
        self._registrar = registrar
        self._on_attached = attached
        self.opener = Opener(core, submissions, registrar, self._attached)
        self._probe: Attachment | None = None
        self._serial = 0
        self._limit_at: int | None = None
        self._switch_back_at: int | None = None
        self._direct_failures = 0
        self._direct_ready_at = 0
        self._last_error: IcwsError | None = None
        self._audit_first_until: int | None = None
        self._looks_again = False

    @property
    def socket(self) -> Attachment | None:
        """The attachment, or probe, that the WebSocket belongs to."""
        if self._probe is not None:
            return self._probe
        attachment = self._core.attachment
        return attachment if attachment is not None and not attachment.is_direct else None

    # seeking

    def begin(self) -> None:
        """The session has started: the first attachment has its limit."""
        self._limit_at = self._core.now + self._core.config.open_limit_ns

    def seek(self) -> None:
        """Start an attachment if there is none and one may be tried now.

        Raises:
            SessionEnded: the session has expired, or the user's limit has passed.
        """
        core = self._core
        self._check_limits()
        if core.states.state not in _SEEKING or core.attachment is not None or self._waits_for_audit():
            return
        if self._probe is not None:
            core.attachment, self._probe = self._probe, None
            return
        if self._registrar.is_refreshing:
            return
        if self._takes_direct():
            if core.now >= self._direct_ready_at:
                self._attach_directly()
            return
        target = core.pool.choose(core.now)
        if target is not None:
            core.attachment = self._connect(target)

    def audited(self) -> None:
        """The canister has answered an audit by update, or nobody has: what is to be tried may be tried."""
        if self._looks_again and self._waits_for_audit():
            self._looks_again = False
            self.opener.wants_audit = True
        else:
            self._audit_first_until = None

    def _waits_for_audit(self) -> bool:
        until = self._audit_first_until
        return self._core.is_secure and until is not None and self._core.now < until

    def _check_limits(self) -> None:
        core = self._core
        # [ICWS-CLT-035] the expiry is certified, and the limit is the user's own
        if core.parameters is not None and core.ic >= core.parameters.expires_at_ns:
            raise ended_by(SessionCloseCode.EXPIRED, expires_at=core.parameters.expires_at_ns)
        if core.attached is None and self._limit_at is not None and core.now >= self._limit_at:
            raise because(ended_by(SessionCloseCode.NO_GATEWAY), self._last_error or core.calls.last_error)

    def _takes_direct(self) -> bool:
        config = self._core.config
        if not config.gateways:
            return True
        return self._core.is_secure and config.direct_fallback and self._core.pool.is_exhausted(self._core.now)

    def _connect(self, target: GatewayTarget) -> Attachment:
        timeout_ns = self._core.config.connect_timeout_ns
        self._serial += 1
        self._core.act(Connect(target, (SUBPROTOCOL,), timeout_ns))
        return Attachment(self._serial, target, self._core.now + timeout_ns)

    def _attach_directly(self) -> None:
        core = self._core
        self._serial += 1
        core.attachment = Attachment(self._serial, None, None)
        if len(core.pool):
            self._switch_back_at = core.now + core.config.switch_back_ns
        # [ICWS-CLT-073] the session's own principal takes the gateway's place, and all else is the same
        self.opener.open(core.attachment, core.identity.principal)

    # connection and handshake

    def connected(self, subprotocol: str | None) -> None:
        """The WebSocket is open.

        Raises:
            AttachViolation: the gateway chose a subprotocol that was not offered.
        """
        attachment = self.socket
        if attachment is None or attachment.phase is not Phase.CONNECTING:
            return
        attachment.has_subprotocol = negotiated(subprotocol)
        attachment.phases.apply(PhaseEvent.CONNECTED)
        attachment.deadline = self._core.now + self._core.config.handshake_timeout_ns

    def handshake(self, handshake: Handshake) -> None:
        """Take the gateway's first frame and send ``ws_open``.

        Raises:
            AttachViolation: the frame is out of place, or the principal not acceptable.
        """
        core = self._core
        attachment = self.socket
        if attachment is None or attachment.target is None or attachment.phase is not Phase.HANDSHAKE:
            raise AttachViolation("a handshake out of place", reason=Reason.UNEXPECTED_FRAME)
        own = {core.identity.principal}
        if core.owner is not None:
            own.add(core.owner.principal)
        # [ICWS-CLT-010] [ICWS-CLT-011]
        gateway = check_gateway(handshake, attachment.target, frozenset(own))
        if attachment is self._probe:
            # The gateway is there: the session leaves the direct attachment, and the canister changes over at the open.
            self._leave_direct()
            core.attachment, self._probe = attachment, None
        self.opener.open(attachment, gateway)

    def _leave_direct(self) -> None:
        core = self._core
        if core.attachment is not None:
            core.attachment.phases.apply(PhaseEvent.LEFT)
            self._sender.lost(core.attachment)
            core.attachment = None
            core.states.apply(SessionEvent.LOST)

    def _attached(self, attachment: Attachment) -> None:
        if attachment.target is not None:
            self._core.pool.worked(attachment.target)
            self._switch_back_at = None
        self._direct_failures = 0
        self._limit_at = None
        self._sender.attached()
        self._on_attached(attachment)

    # losing

    def drains(self, seconds: int) -> None:
        """The gateway said that it will close.

        Raises:
            TransportError: another gateway is ready, so the session goes there now.
        """
        core = self._core
        attachment = core.attachment
        if attachment is None or attachment.target is None:
            return
        core.pool.drains(attachment.target, core.now, min(seconds, 86_400) * NS_PER_S + _DRAIN_GRACE_NS)
        if core.pool.better_than(attachment.target, core.now):
            raise TransportError("the gateway will close", reason=Reason.CONNECTION_LOST, seconds=seconds)

    def disconnected(self, code: int, reason: str) -> None:
        """The gateway closed the WebSocket, or it broke.

        Raises:
            SessionEnded: as :meth:`lose`.
        """
        attachment = self.socket
        if attachment is None:
            return
        if code in (CloseCode.GOING_AWAY, CloseCode.DRAINING) and attachment.target is not None:
            self._core.pool.drains(attachment.target, self._core.now, _DRAIN_GRACE_NS)
        # What the gateway gives as its reason proves nothing; the canister is asked.
        if code in _AUDITED_CLOSES:
            self.opener.wants_audit = True
            # [ICWS-CLT-014] a higher number, tried before the answer, would push out another holder of the session
            self._audit_first_until = self._core.now + _AUDIT_FIRST_NS
            self._looks_again = code in _AUDITED_TWICE
        words = "".join(char for char in reason if char.isprintable())[:123]
        error = TransportError(
            "the gateway closed the connection", reason=Reason.CONNECTION_LOST, code=code, words=words
        )
        self.lose(attachment, error, is_dead=True)

    def lose(
        self, attachment: Attachment, error: IcwsError, evidence: Evidence | None = None, *, is_dead: bool = False
    ) -> None:
        """End an attachment; the session goes on. [ICWS-CLT-032]

        Args:
            attachment: which; nothing happens if it is over.
            error: why.
            evidence: what the gateway was caught at, if it was.
            is_dead: whether the WebSocket is closed already.

        Raises:
            SessionEnded: in the omnia profile, if it was opened.
        """
        core = self._core
        if attachment.phase is Phase.OVER:
            return
        phase = attachment.phase
        attachment.phases.apply(PhaseEvent.LEFT)
        self._last_error = error
        if not attachment.is_direct and not is_dead:
            core.act(Disconnect(*_farewell(error)))
        self._remember(attachment, error)
        if attachment is self._probe:
            self._probe = None
            self._switch_back_at = core.now + core.config.switch_back_ns
            if evidence is not None:
                core.tell(GatewayLost(attachment.target, error, evidence))
            return
        core.attachment = None
        if core.states.allows(SessionEvent.LOST):
            core.states.apply(SessionEvent.LOST)
        core.tell(GatewayLost(attachment.target, error, evidence))
        self._sender.lost(attachment)
        if phase is Phase.OPENING:
            self.opener.ask(attachment)
        if core.is_secure:
            self._after_loss(error)
        elif core.was_opened:
            is_violation = isinstance(error, ProtocolViolation)
            end = SessionCloseCode.VERIFICATION_FAILED if is_violation else SessionCloseCode.NO_GATEWAY
            raise because(ended_by(end), error)

    def _remember(self, attachment: Attachment, error: IcwsError) -> None:
        core = self._core
        if attachment.target is not None:
            caught = isinstance(error, ProtocolViolation) and not isinstance(error, PayloadViolation)
            core.pool.failed(attachment.target, core.now, caught=caught)
            return
        wait = core.config.backoff_initial_ns << min(self._direct_failures, _MAX_DOUBLINGS)
        self._direct_failures += 1
        self._direct_ready_at = core.now + min(wait, core.config.backoff_max_ns)

    def _after_loss(self, error: IcwsError) -> None:
        core = self._core
        if core.was_opened and self._limit_at is None and core.config.give_up_ns is not None:
            self._limit_at = core.now + core.config.give_up_ns
        if isinstance(error, CertificateError) and error.reason in _WRONG_CLOCK:
            # Either the gateway holds certificates back or our clock has gone wrong: a certified answer tells.
            self._registrar.refresh()

    def leave(self, code: int, words: str) -> None:
        """The session is over: close what there is."""
        core = self._core
        socket = self.socket
        for attachment in (self._probe, core.attachment):
            if attachment is not None and attachment.phase is not Phase.OVER:
                attachment.phases.apply(PhaseEvent.LEFT)
        if socket is not None:
            core.act(Disconnect(code, words))
        self._probe = core.attachment = None

    # time

    def tick(self) -> None:
        """End what is late, try what is due.

        Raises:
            SessionEnded: as :meth:`seek` and :meth:`lose`.
        """
        core = self._core
        for attachment in (self._probe, core.attachment):
            if attachment is not None and attachment.deadline is not None and attachment.deadline <= core.now:
                self.lose(attachment, _late(attachment))
        attached = core.attached
        due = self._switch_back_at is not None and self._switch_back_at <= core.now
        if due and self._probe is None and attached is not None and attached.is_direct:
            target = core.pool.choose(core.now)
            self._switch_back_at = core.now + core.config.switch_back_ns
            if target is not None:
                self._probe = self._connect(target)
        self.seek()

    def next_deadline(self) -> int | None:
        """Session time at which :meth:`tick` is due."""
        core = self._core
        times = [self._limit_at if core.attached is None else None]
        times += [item.deadline for item in (self._probe, core.attachment) if item is not None]
        if core.parameters is not None:
            times.append(core.now + max(0, core.parameters.expires_at_ns - core.ic))
        if core.attached is not None and core.attached.is_direct:
            times.append(self._switch_back_at)
        seeks = core.states.state in _SEEKING and core.attachment is None and self._probe is None
        if seeks and self._waits_for_audit():
            times.append(self._audit_first_until)
        elif seeks and not self._registrar.is_refreshing:
            times.append(self._direct_ready_at if self._takes_direct() else core.pool.ready_at())
        return min((time for time in times if time is not None), default=None)


def _farewell(error: IcwsError) -> tuple[int, str]:
    """Close code and reason towards the gateway."""
    if isinstance(error, ProtocolViolation):
        return int(CloseCode.VERIFICATION_FAILED), close_reason(CloseCode.VERIFICATION_FAILED, str(error.reason))
    return int(CloseCode.GOING_AWAY), close_reason(CloseCode.GOING_AWAY, str(error.reason))


def _late(attachment: Attachment) -> IcwsError:
    if attachment.phase is Phase.CONNECTING:
        return TransportError("the connection was not made in time", reason=Reason.CONNECTION_FAILED)
    # [ICWS-CLT-050]
    if attachment.phase is Phase.HANDSHAKE:
        return StallError(
            "the gateway did not present itself", reason=Reason.HANDSHAKE_TIMEOUT, requirement="ICWS-CLT-050"
        )
    return StallError(
        "the canister's answer to the open did not arrive", reason=Reason.OPEN_TIMEOUT, requirement="ICWS-CLT-050"
    )
