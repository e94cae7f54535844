"""What the parts of one session share: settings, keys, clock, certified state, the two streams, and the way out.

Each part (:mod:`.registering`, :mod:`.attaching`, :mod:`.receiving`, :mod:`.sending`, :mod:`.auditing`,
:mod:`.closing`) decides about one thing and holds nothing that another needs; what they share is here, without
decisions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ...errors import MisuseError
from ...sign.identity import Identity
from ...sign.request import sign_call, sign_query
from ...verify.certificate import CertificateVerifier
from ...wire.envelope import Envelope
from ...wire.interface import ClientKey
from ...wire.registration import Parameters
from .actions import Action, SaveState
from .attachment import Attachment
from .calls import IcCalls
from .certified import CertifiedState
from .clock import SessionClock
from .config import ClientConfig
from .events import Event
from .gateways import GatewayPool
from .inbound import InboundStream
from .outbox import Outbox
from .settlement import Settlement
from .table import Phase, SessionState, SessionStates

__all__ = ["Purpose", "SessionCore", "What"]

_NONCE_BYTES = 16


class What(StrEnum):
    """What a request to the IC is for."""

    REGISTER = "register"
    PARAMETERS = "parameters"
    OPEN = "open"
    MESSAGE = "message"
    RECEIPT = "receipt"
    PROOF = "proof"
    AUDIT_QUERY = "audit query"
    AUDIT_CALL = "audit call"
    POLL = "poll"
    REVOKE = "revoke"


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a request to the IC is for, and for which attachment or attempt."""

    what: What
    serial: int = 0


class SessionCore:
    """The shared state of one session.

    Args:
        config: the settings.
        owner: the user's identity; None for a restored session.
        identity: signs the session's calls.
        client_nonce: second half of the client key.
        verifier: holds the root key.
        entropy: gives that many unpredictable bytes.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        owner: Identity | None,
        identity: Identity,
        client_nonce: int,
        verifier: CertificateVerifier,
        entropy: Callable[[int], bytes],
    ) -> None:
        self.config = config
        self.owner = owner
        self.identity = identity
        self.verifier = verifier
        self.entropy = entropy
        self.clock = SessionClock()
        self.states = SessionStates()
        self.pool = GatewayPool(config.gateways, config, entropy)
        self.client_key = ClientKey(identity.principal, client_nonce)
        self.calls: IcCalls[Purpose] = IcCalls(
            config.canister_id,
            verifier=verifier,
            clock=self.clock,
            act=self.act,
            timeout_ns=config.http_timeout_ns,
        )
        self.parameters: Parameters | None = None
        self.certified: CertifiedState | None = None
        self.inbound = InboundStream()
        self.outbox = self.new_outbox(next_seq=1)
        self.settlement = self.new_settlement()
        self.attachment: Attachment | None = None
        self.attach = 0
        """Highest attach number that was used."""
        self.was_opened = False
        self._actions: list[Action] = []
        self._events: list[Event] = []
        self._export: Callable[[], bytes] | None = None

    # facts

    @property
    def is_secure(self) -> bool:
        """Whether the profile is ``icws-secure/1``."""
        return self.config.profile == "secure"

    @property
    def now(self) -> int:
        """Session time, for deadlines."""
        return self.clock.now

    @property
    def ic(self) -> int:
        """Calibrated time, for certified times and ingress expiries."""
        return self.clock.ic

    @property
    def is_over(self) -> bool:
        """Whether the session has ended."""
        return self.states.state is SessionState.ENDED

    @property
    def attached(self) -> Attachment | None:
        """The attachment, if it is verified."""
        attachment = self.attachment
        return attachment if attachment is not None and attachment.phase is Phase.ATTACHED else None

    def registered(self) -> tuple[Parameters, CertifiedState]:
        """The certified parameters and state of a secure session.

        Raises:
            MisuseError: not registered.
        """
        if self.parameters is None or self.certified is None:
            raise MisuseError("the session is not registered")
        return self.parameters, self.certified

    def new_outbox(self, *, next_seq: int) -> Outbox:
        """An empty outbox with the limits of the settings."""
        return Outbox(
            self.client_key,
            next_seq=next_seq,
            max_messages=self.config.max_queued_messages,
            max_bytes=self.config.max_queued_bytes,
        )

    def new_settlement(self) -> Settlement:
        """A settlement for the outbox."""
        return Settlement(self.outbox, self.tell, self.save, has_skips=self.is_secure)

    def renew_client_key(self) -> None:
        """Take a new client nonce (omnia: every open has its own)."""
        # [ICWS-CLT-013]
        if self.is_secure:
            raise MisuseError("the client key of a secure session never changes", requirement="ICWS-CLT-013")
        self.client_key = ClientKey(self.identity.principal, int.from_bytes(self.entropy(8), "big"))
        self.outbox.client_key = self.client_key

    # requests

    def sign_call(self, method: str, arg: bytes, ttl_ns: int) -> Envelope:
        """A call of the session key that expires ``ttl_ns`` from now."""
        return sign_call(
            self.identity,
            canister_id=self.config.canister_id,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=self.ic + ttl_ns,
            nonce=self.entropy(_NONCE_BYTES),
        )

    def sign_query(self, method: str, arg: bytes, ttl_ns: int) -> Envelope:
        """A query of the session key that expires ``ttl_ns`` from now."""
        return sign_query(
            self.identity,
            canister_id=self.config.canister_id,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=self.ic + ttl_ns,
            nonce=self.entropy(_NONCE_BYTES),
        )

    # the way out

    def act(self, action: Action) -> None:
        """Ask the shell for something."""
        self._actions.append(action)

    def tell(self, event: Event) -> None:
        """Tell the application something."""
        self._events.append(event)

    def exports_with(self, export: Callable[[], bytes]) -> None:
        """Set what :meth:`save` stores."""
        self._export = export

    def save(self) -> None:
        """Have the state stored before the actions that follow, if the settings ask for it."""
        if self.config.persist and self.is_secure and self._export is not None and self.parameters is not None:
            if self._actions and isinstance(self._actions[-1], SaveState):
                self._actions.pop()
            self.act(SaveState(self._export()))

    def take_actions(self) -> list[Action]:
        """Hand the actions over."""
        actions, self._actions = self._actions, []
        return actions

    def take_events(self) -> list[Event]:
        """Hand the events over."""
        events, self._events = self._events, []
        return events
