"""Registration: the direct, owner-signed call that a session begins with, and the parameters it brings.

``ws_params``, signed by the session key, brings them anew: when the canister's key has changed, and when certified
times no longer agree with the clock.
"""

from __future__ import annotations

from ...errors import IcwsError, MisuseError, ProtocolViolation, Reason, RegistrationViolation, TransportError
from ...limits import NS_PER_S
from ...sign.identity import expires_at_ns
from ...sign.request import sign_call
from ...verify.registration import RegistrationRequest, clock_offset_ns, verify_registration
from ...verify.request_status import Rejected
from ...wire.registration import RegisterArgument, encode_params_argument, encode_register_argument
from .calls import Answered, Outcome, Unanswered
from .certified import CertifiedState
from .channel import check_plain
from .core import Purpose, SessionCore, What
from .events import Registered
from .table import SessionEvent

__all__ = ["Registrar"]

_TTL_NS = 180 * NS_PER_S
_NONCE_BYTES = 16


class Registrar:
    """Registers one session, and refreshes its parameters."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self._request: RegistrationRequest | None = None
        self.is_refreshing = False
        """Whether ``ws_params`` is under way."""

    def start(self) -> None:
        """Send ``ws_register``.

        Raises:
            MisuseError: there is no owner, or it is anonymous or the session key itself.
        """
        core = self._core
        owner = core.owner
        # [ICWS-CLT-006]
        if owner is None or owner.principal.is_anonymous or owner.principal == core.identity.principal:
            raise MisuseError("a session is registered by an identity of its owner", requirement="ICWS-CLT-006")
        expires = self._wished_expiry()
        self._request = RegistrationRequest(owner.principal, core.identity.principal, expires)
        argument = RegisterArgument(
            session_principal=core.identity.principal,
            created_at_ns=core.ic,
            expires_at_ns=expires,
            evict=core.config.evict,
            minimum_suite=core.config.minimum_suite,
        )
        # [ICWS-CLT-001] a direct call: it reaches the IC's HTTPS interface, and no gateway sees it
        envelope = sign_call(
            owner,
            canister_id=core.config.canister_id,
            method_name="ws_register",
            arg=encode_register_argument(argument),
            ingress_expiry_ns=core.ic + _TTL_NS,
            nonce=core.entropy(_NONCE_BYTES),
        )
        core.calls.post(Purpose(What.REGISTER), owner, envelope, strict=True)

    def refresh(self) -> None:
        """Send ``ws_params``, unless it is under way."""
        core = self._core
        parameters, _ = core.registered()
        if self.is_refreshing:
            return
        self.is_refreshing = True
        envelope = core.sign_call("ws_params", encode_params_argument(parameters.registration_id), _TTL_NS)
        core.calls.post(Purpose(What.PARAMETERS), core.identity, envelope)

    def registered(self, outcome: Outcome[Purpose]) -> None:
        """Take the outcome of ``ws_register``.

        Raises:
            IcwsError: the attempt has failed; which error says why.
        """
        core = self._core
        request = self._request
        if request is None or not isinstance(outcome, Answered):
            raise self._not_registered(outcome)
        # [ICWS-CLT-004]
        offset = clock_offset_ns(
            outcome.receipt.certificate_time_ns,
            asked_at=outcome.asked_at,
            answered_at=outcome.answered_at,
        )
        # [ICWS-CLT-002]
        parameters = verify_registration(outcome.receipt, request, now=core.ic + offset)
        # [ICWS-PAY-012]
        if core.config.channel is None:
            check_plain(parameters, core.config.minimum_suite)
        else:
            core.config.channel.negotiate(parameters)
        core.clock.calibrate(core.clock.offset_ns + offset)
        core.parameters = parameters
        core.certified = CertifiedState(
            parameters.epoch, parameters.registration_id, outcome.receipt.certificate_time_ns
        )
        core.states.apply(SessionEvent.REGISTERED)
        core.tell(Registered(parameters.registration_id, parameters.epoch, parameters.expires_at_ns))

    def refreshed(self, outcome: Outcome[Purpose]) -> None:
        """Take the outcome of ``ws_params``; what is not usable changes nothing.

        Raises:
            StateViolation: another epoch.
        """
        core = self._core
        self.is_refreshing = False
        if not isinstance(outcome, Answered) or isinstance(outcome.receipt.answer, Rejected):
            return
        known, certified = core.registered()
        request = RegistrationRequest(
            known.owner, known.session_principal, None, registration_id=known.registration_id, epoch=known.epoch
        )
        offset = _nearest_offset(
            outcome.receipt.certificate_time_ns, asked_at=outcome.asked_at, answered_at=outcome.answered_at
        )
        core.parameters = verify_registration(outcome.receipt, request, now=core.ic + offset)
        core.clock.calibrate(core.clock.offset_ns + offset)
        certified.saw_time(outcome.receipt.certificate_time_ns)

    def _wished_expiry(self) -> int | None:
        core = self._core
        chain = None if core.owner is None else expires_at_ns(core.owner)
        wishes = [time for time in (core.config.expires_at_ns, chain) if time is not None]
        # [ICWS-CLT-003]
        return min(wishes, default=None)

    def _not_registered(self, outcome: Outcome[Purpose]) -> IcwsError:
        error = outcome.error if isinstance(outcome, Unanswered) else None
        if isinstance(error, TransportError | ProtocolViolation):
            return error
        # [ICWS-CLT-005] an uncertified rejection is an error, and no reason to try another profile
        violation = RegistrationViolation(
            "the registration was not answered by a certificate",
            reason=Reason.NOT_CERTIFIED,
            requirement="ICWS-CLT-005",
        )
        violation.__cause__ = error
        return violation


def _nearest_offset(certificate_time_ns: int, *, asked_at: int, answered_at: int) -> int:
    """The smallest correction of the clock, however large: the certificate answers our own call."""
    if certificate_time_ns < asked_at:
        return certificate_time_ns - asked_at
    return max(0, certificate_time_ns - answered_at)
