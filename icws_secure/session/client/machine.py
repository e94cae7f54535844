"""The client's session as one sans-I/O machine: inputs and ``now`` in, actions, events and the next deadline out.

Every input goes the same way: the clock advances, the part concerned takes the input, then every part does what has
become due. A part says what is wrong by raising, and here it is decided once what that means:

* :class:`SessionEnded`, :class:`StateViolation`: the session is over;
* any other error of ours: the attachment is over, the session goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...errors import (
    DecodeError,
    IcwsError,
    MisuseError,
    PayloadViolation,
    ProtocolViolation,
    Reason,
    SessionEnded,
    StateViolation,
    TransportError,
)
from ...payload import SuiteName
from ...sign.identity import Ed25519Identity, Identity
from ...verify.certificate import CertificateVerifier
from ...verify.root_key import RootKey
from ...wire.close_codes import CloseCode, SessionCloseCode
from ...wire.frames import (
    DrainFrame,
    GatewayFrame,
    Handshake,
    HeadFrame,
    KeyedContent,
    MessageFrame,
    MessagesFrame,
    ReceiptFrame,
    decode_gateway_frame,
)
from ...wire.interface import ClientKey
from ...wire.principal import Principal
from ...wire.registration import Parameters
from .actions import Action
from .attaching import Attacher
from .attachment import Attachment
from .auditing import Auditor
from .calls import Answered, Outcome
from .closing import Closer, check_close
from .concluding import Concluder
from .config import ClientConfig, Confirm, GatewayTarget
from .core import Purpose, SessionCore, What
from .endings import end_of_violation
from .events import Ended, Event
from .evidence import Evidence, evidence_of
from .persistence import decode_saved, encode_saved
from .polling import Poller
from .proving import Prover
from .receipts import Gone, Receipts
from .receiving import Receiver
from .registering import Registrar
from .restoring import client_nonce_of, identity_of, restore, saved_of
from .sending import Sender
from .submissions import Submissions
from .table import Phase, SessionEvent, SessionState
from .watching import Watchdog

__all__ = ["ClientSession"]


class ClientSession:
    """One session of one client with one canister, over any number of gateways.

    The shell calls an input, then drains :meth:`actions` (in order) and :meth:`events`, then sleeps until
    :meth:`next_deadline` or the next input. ``now`` is always wall-clock time in nanoseconds since 1970; it may jump.

    Inputs never raise because of what a peer sent: peers' faults become events. They raise :class:`MisuseError` only
    for wrong use by the shell or the application.

    Args:
        config: the settings.
        owner: the user's own identity; signs the registration. May be None when ``saved`` is given.
        root_key: the pinned root key of the IC.
        entropy: gives that many unpredictable bytes.
        saved: what :meth:`export_state` (or :class:`SaveState`) gave earlier; the session is resumed.

    Raises:
        MisuseError: settings that do not fit together; ``owner`` missing.
        DecodeError: ``saved`` is malformed.
    """

    def __init__(
        self,
        config: ClientConfig,
        *,
        owner: Identity | None,
        root_key: RootKey,
        entropy: Callable[[int], bytes],
        saved: bytes | None = None,
    ) -> None:
        restored = None if saved is None else decode_saved(saved)
        self._root_key = root_key
        core = SessionCore(
            config,
            owner=owner,
            identity=identity_of(config, owner, entropy, restored),
            client_nonce=client_nonce_of(config, entropy, restored),
            verifier=CertificateVerifier(root_key),
            entropy=entropy,
        )
        self._core = core
        self._submissions = Submissions()
        self._registrar = Registrar(core)
        self._sender = Sender(core, self._submissions)
        self._receipts = Receipts(core, self._submissions)
        self._attacher = Attacher(core, self._sender, self._registrar, self._submissions, self._attached)
        self._receiver = Receiver(core, self._attacher.opener)
        self._poller = Poller(core, self._receiver)
        self._auditor = Auditor(core)
        self._watchdog = Watchdog(core, self._receiver, self._auditor)
        self._prover = Prover(core, self._submissions)
        self._closer = Closer(core)
        self._concluder = Concluder(core, self._submissions, self._auditor)
        core.exports_with(self.export_state)
        if restored is not None:
            restore(core, restored)

    # what the application sees

    @property
    def state(self) -> SessionState:
        """Where the session is."""
        return self._core.states.state

    @property
    def session_principal(self) -> Principal:
        """Principal that signs the session's calls."""
        return self._core.identity.principal

    @property
    def canister_id(self) -> Principal:
        """The canister."""
        return self._core.config.canister_id

    @property
    def client_key(self) -> ClientKey:
        """The session's name at the canister; fixed for the life of a secure session."""
        return self._core.client_key

    @property
    def parameters(self) -> Parameters | None:
        """The certified parameters, None before registration and in the omnia profile."""
        return self._core.parameters

    @property
    def suite(self) -> str | None:
        """Name of the payload suite: ``none`` without protection; None before it is agreed on."""
        channel = self._core.config.channel
        return SuiteName.NONE.value if channel is None else channel.suite

    @property
    def target(self) -> GatewayTarget | None:
        """The gateway in use or being tried; None when there is none (detached or direct)."""
        attachment = self._core.attachment
        return None if attachment is None else attachment.target

    @property
    def gateway(self) -> Principal | None:
        """Principal of the gateway attached to; the session's own when direct; None when detached."""
        attachment = self._core.attached
        return None if attachment is None else attachment.gateway

    @property
    def attach(self) -> int:
        """Number of the latest attachment, 0 before the first and in the omnia profile."""
        return self._core.attach

    # intents of the application

    def start(self, now: int) -> None:
        """Begin: register (secure) or connect (omnia). A restored session attaches at once.

        Raises:
            MisuseError: it was started before, or there is no owner to register it.
        """
        core = self._core
        core.clock.advance(now)
        if core.states.state is not SessionState.NEW:
            raise MisuseError("the session was started already", reason=Reason.WRONG_STATE)
        self._attacher.begin()
        if core.is_secure and core.parameters is None:
            self._registrar.start()
            core.states.apply(SessionEvent.REGISTER)
        else:
            core.states.apply(SessionEvent.SEEK)
        self._run()

    def send(self, data: bytes, now: int, *, confirm: Confirm = "executed") -> int:
        """Queue a message to the canister; sent as soon as order and windows allow, across attachments.

        Returns:
            the send id that later events carry; ids increase by one from 1.

        Raises:
            MisuseError: the queue is full (``LimitExceeded``), the message too large (``TooLarge``), or the session
                closing or ended (``WrongState``).
        """
        self._require(SessionState.CLOSING, SessionState.ENDED)
        self._core.clock.advance(now)
        send_id = self._sender.send(data, confirm)
        self._run()
        return send_id

    def taken(self, through_seq: int, now: int) -> None:
        """The application has (with persistence: has durably) all messages up to ``through_seq``. [ICWS-CLT-051]

        Raises:
            MisuseError: a number that was not delivered.
        """
        self._core.clock.advance(now)
        self._sender.taken(*self._core.inbound.take(through_seq))
        if self._core.config.channel is not None:
            self._core.config.channel.taken(self._core.inbound.taken_through)
        self._core.save()
        self._run()

    def close(self, now: int, code: int = 1000, reason: str = "") -> None:
        """End the session: queued messages first, then the close itself; :class:`Ended` follows within
        ``close_timeout_ns``.

        Without effect on a session that is closing or has ended.

        Args:
            now: the time.
            code: WebSocket close code for the gateway: 1000, or 3000 to 4999.
            reason: for the gateway's logs, at most 123 bytes of UTF-8.

        Raises:
            MisuseError: no WebSocket can be closed so.
        """
        check_close(code, reason)
        self._core.clock.advance(now)
        if self._core.states.state in (SessionState.CLOSING, SessionState.ENDED):
            return
        self._guard(None, lambda: self._closer.close(code, reason))
        self._run()

    def audit(self, now: int) -> None:
        """Ask the IC for the certified head at once (secure profile; without effect otherwise)."""
        self._core.clock.advance(now)
        self._auditor.want()
        self._run()

    def reading_paused(self, now: int) -> None:
        """The shell stops reading the socket, the application being slow: silence is now nobody's fault."""
        self._core.clock.advance(now)
        self._auditor.pause(True)
        self._poller.pause(True)
        self._watchdog.pause(True)
        self._run()

    def reading_resumed(self, now: int) -> None:
        """The shell reads the socket again."""
        self._core.clock.advance(now)
        self._auditor.pause(False)
        self._poller.pause(False)
        self._watchdog.pause(False)
        self._run()

    # inputs from the transport

    def connected(self, now: int, subprotocol: str | None = None) -> None:
        """The WebSocket is open; ``subprotocol`` is what was agreed, None for none."""
        self._core.clock.advance(now)
        self._guard(self._attacher.socket, lambda: self._attacher.connected(subprotocol))
        self._run()

    def connect_failed(self, error: TransportError, now: int) -> None:
        """The WebSocket could not be opened."""
        self._core.clock.advance(now)
        socket = self._attacher.socket
        if socket is not None:
            self._lose(socket, error, is_dead=True)
        self._run()

    def receive_frame(self, data: bytes | str, now: int) -> None:
        """A complete WebSocket message arrived (a text message is a violation)."""
        core = self._core
        core.clock.advance(now)
        socket = self._attacher.socket
        if socket is not None and not core.is_over:
            settings = self._settings(socket)
            self._guard(socket, lambda: self._frame(socket, data), data, settings)
        self._run()

    def disconnected(self, code: int, reason: str, now: int) -> None:
        """The gateway closed the WebSocket, or it broke (1006)."""
        self._core.clock.advance(now)
        self._guard(None, lambda: self._attacher.disconnected(code, reason))
        self._run()

    def http_response(self, request_id: int, status: int, body: bytes, now: int) -> None:
        """The answer to :class:`HttpRequest` ``request_id``."""
        self._core.clock.advance(now)
        self._outcome(self._core.calls.responded(request_id, status, body))
        self._run()

    def http_failed(self, request_id: int, error: TransportError, now: int) -> None:
        """:class:`HttpRequest` ``request_id`` got no answer."""
        self._core.clock.advance(now)
        self._outcome(self._core.calls.failed(request_id, error))
        self._run()

    def tick(self, now: int) -> None:
        """Time has passed; call at :meth:`next_deadline`, harmless at any time."""
        self._core.clock.advance(now)
        self._run()

    # outputs

    def actions(self) -> list[Action]:
        """Take what is to be done, in order."""
        return self._core.take_actions()

    def events(self) -> list[Event]:
        """Take what has happened, in order."""
        return self._core.take_events()

    def next_deadline(self) -> int | None:
        """When :meth:`tick` is due, nanoseconds since 1970, or None."""
        core = self._core
        if core.states.state in (SessionState.NEW, SessionState.ENDED):
            return None
        times = [part.next_deadline() for part in (core.calls, self._auditor, self._receipts)]
        if self._concluder.end is not None:
            times.append(self._concluder.next_deadline())
            return core.clock.to_wall(min(time for time in times if time is not None))
        parts = (self._attacher, self._poller, self._watchdog, self._prover, self._sender, self._closer)
        times += [part.next_deadline() for part in parts]
        if core.config.send_timeout_ns is not None:
            times.append(core.outbox.next_give_up_at())
        first = min((time for time in times if time is not None), default=None)
        return None if first is None else core.clock.to_wall(first)

    def export_state(self) -> bytes:
        """Return what another process needs to resume the session, the secret session key included.

        Raises:
            MisuseError: there is nothing to resume yet (not registered), or the session has ended, or the profile is
            omnia.
        """
        core = self._core
        self._require(SessionState.ENDED)
        if not core.is_secure or core.parameters is None or core.certified is None:
            raise MisuseError("there is nothing to save", reason=Reason.WRONG_STATE)
        if not isinstance(core.identity, Ed25519Identity):
            raise MisuseError("the session key cannot be saved", reason=Reason.UNSUPPORTED)
        return encode_saved(saved_of(core, core.identity))

    # inside: inputs

    def _frame(self, socket: Attachment, data: bytes | str) -> None:
        if isinstance(data, str):
            raise DecodeError("a gateway sends binary messages only", reason=Reason.UNEXPECTED_FRAME)
        frame = decode_gateway_frame(data)
        if isinstance(frame, Handshake):
            self._attacher.handshake(frame)
        elif socket.phase not in (Phase.OPENING, Phase.ATTACHED):
            raise _misplaced()
        elif isinstance(frame, MessageFrame):
            self._messages(socket, [KeyedContent(frame.key, frame.content)], frame.cert, frame.tree)
        elif not socket.has_subprotocol:
            raise _misplaced()
        else:
            self._subprotocol_frame(socket, frame)

    def _subprotocol_frame(self, socket: Attachment, frame: GatewayFrame) -> None:
        if isinstance(frame, MessagesFrame):
            self._messages(socket, frame.messages, frame.cert, frame.tree)
        elif isinstance(frame, ReceiptFrame):
            opened = self._receipts.frame(frame)
            if opened is not None:
                self._attacher.opener.receipt(*opened)
        elif isinstance(frame, DrainFrame):
            self._attacher.drains(frame.seconds)
        elif isinstance(frame, HeadFrame) and self._core.is_secure and socket.phase is Phase.ATTACHED:
            socket.idle.take(self._core.now, frame.cert)
            self._auditor.relayed(frame)

    def _messages(self, socket: Attachment, messages: Sequence[KeyedContent], cert: bytes, tree: bytes) -> None:
        before = socket.phase, self._core.inbound.next_seq
        socket.idle.take(self._core.now, cert)
        self._receiver.messages(socket, messages, cert, tree)
        if (socket.phase, self._core.inbound.next_seq) != before:
            socket.idle.give_back()

    def _outcome(self, outcome: Outcome[Purpose] | None) -> None:
        if outcome is None or self._core.is_over:
            return
        take: dict[What, Callable[[Outcome[Purpose]], None]] = {
            What.PARAMETERS: self._registrar.refreshed,
            What.OPEN: self._attacher.opener.outcome,
            What.MESSAGE: self._receipts.message_outcome,
            What.RECEIPT: self._receipts.asked_outcome,
            What.PROOF: self._proof_outcome,
            What.AUDIT_QUERY: self._auditor.outcome,
            What.AUDIT_CALL: self._auditor.outcome,
            What.POLL: self._poller.outcome,
        }
        what = outcome.purpose.what
        if what is What.REGISTER:
            self._registered(outcome)
        elif what is What.REVOKE:
            self._guard(None, self._closer.revoked)
        else:
            self._guard(self._core.attachment, lambda: take[what](outcome))
            if what is What.MESSAGE and isinstance(outcome, Answered):
                self._poller.soon()
            elif what is What.AUDIT_CALL:
                self._attacher.audited()

    def _proof_outcome(self, outcome: Outcome[Purpose]) -> None:
        self._prover.outcome(outcome)
        self._receipts.proof_outcome(outcome, self._core.outbox.entries.get(outcome.purpose.serial))

    def _registered(self, outcome: Outcome[Purpose]) -> None:
        try:
            self._registrar.registered(outcome)
        except IcwsError as error:
            self._end(error)

    # inside: time

    def _run(self) -> None:
        """Let every part do what is due."""
        core = self._core
        if core.states.state in (SessionState.NEW, SessionState.ENDED):
            return
        for outcome in core.calls.tick(core.now):
            self._outcome(outcome)
        if self._attacher.opener.wants_audit:
            self._attacher.opener.wants_audit = False
            self._auditor.want_proof()
        steps: tuple[Callable[[], None], ...] = (
            self._closer.tick,
            self._attacher.tick,
            self._receipts.tick,
            self._auditor.tick,
            self._watchdog.tick,
            self._give_up,
            self._prover.tick,
            self._poller.tick,
            self._sender.flush,
            self._closer.tick,
            self._attacher.seek,  # for what was lost in between
        )
        if self._concluder.end is not None:
            steps = (self._receipts.tick, self._auditor.tick, self._concluder.tick)
        for step in steps:
            if core.is_over:
                return
            self._guard(core.attachment, step)
        if not core.is_over and core.is_secure and core.settlement.wants_head():
            self._auditor.want_soon()

    def _give_up(self) -> None:
        if self._core.config.send_timeout_ns is not None:
            self._core.settlement.give_up(self._core.now)

    # inside: what went wrong

    def _guard(
        self,
        attachment: Attachment | None,
        step: Callable[[], None],
        received: bytes | str | None = None,
        settings: dict[str, object] | None = None,
    ) -> None:
        try:
            step()
        except SessionEnded as error:
            self._end(error)
        except StateViolation as error:
            self._end(end_of_violation(error))
        except IcwsError as error:
            # [ICWS-CLT-032] [ICWS-CLT-035] whatever else is wrong ends the attachment, not the session
            if isinstance(error, Gone):
                self._auditor.want_proof()
            if attachment is not None:
                self._lose(attachment, error, self._evidence(error, received, settings))

    def _lose(
        self, attachment: Attachment, error: IcwsError, evidence: Evidence | None = None, *, is_dead: bool = False
    ) -> None:
        try:
            self._attacher.lose(attachment, error, evidence, is_dead=is_dead)
        except SessionEnded as end:
            self._end(end)
        if self._core.attachment is None:
            self._auditor.lost()

    def _end(self, error: IcwsError) -> None:
        core = self._core
        if core.is_over:
            return
        held = self._concluder.held(error)
        if held is not None:
            self._conclude(held)
            return
        error = self._concluder.first(error)
        core.states.apply(SessionEvent.END)
        core.settlement.end(error)
        if core.config.channel is not None:
            core.config.channel.close()
        self._attacher.leave(*self._goodbye(error))
        core.calls.drop_all()
        self._submissions.clear()
        core.tell(Ended(error))

    def _conclude(self, end: SessionEnded) -> None:
        """The canister has closed while messages have no outcome: leave, and ask the IC about them before the end."""
        if self._concluder.end is None:
            self._attacher.leave(*self._goodbye(end))
            self._core.calls.drop_all()
            self._concluder.begin(end, self._closer.next_deadline())

    def _goodbye(self, error: IcwsError) -> tuple[int, str]:
        code = error.code if isinstance(error, SessionEnded) else None
        if code == SessionCloseCode.CLIENT_CLOSED:
            return self._closer.code, self._closer.words
        if code == SessionCloseCode.APPLICATION_CLOSED:
            return int(CloseCode.CLOSED_BY_APPLICATION), CloseCode.CLOSED_BY_APPLICATION.label
        if code == SessionCloseCode.VERIFICATION_FAILED:
            return int(CloseCode.VERIFICATION_FAILED), CloseCode.VERIFICATION_FAILED.label
        return int(CloseCode.NORMAL), CloseCode.NORMAL.label

    def _attached(self, attachment: Attachment) -> None:
        self._watchdog.attached(attachment)
        self._auditor.attached(attachment)

    def _require(self, *forbidden: SessionState) -> None:
        if self._core.states.state in forbidden:
            raise MisuseError("not in this state", reason=Reason.WRONG_STATE, state=str(self._core.states.state))

    # inside: evidence

    def _evidence(
        self, error: IcwsError, received: bytes | str | None, settings: dict[str, object] | None
    ) -> Evidence | None:
        # What does not open was certified by the canister: no gateway is to blame, and nobody without keys can tell.
        if not isinstance(error, ProtocolViolation) or isinstance(error, PayloadViolation):
            return None
        if isinstance(received, bytes) and settings is not None:
            return evidence_of(error, "frame", received, settings)
        frame = self._auditor.latest_frame
        attachment = self._core.attachment
        if error.reason is Reason.MESSAGES_WITHHELD and frame is not None and attachment is not None:
            return evidence_of(error, "withheld", frame.encode(), self._settings(attachment))
        return None

    def _settings(self, attachment: Attachment) -> dict[str, object]:
        """What the check of the next frame depends on."""
        core = self._core
        own = core.identity.principal.raw + (core.owner.principal.raw if core.owner is not None else b"")
        pinned = attachment.target.principal if attachment.target is not None else None
        settings: dict[str, object] = {
            "root_key": self._root_key.raw,
            "canister": core.config.canister_id.raw,
            "client_principal": core.client_key.client_principal.raw,
            "client_nonce": core.client_key.client_nonce,
            "ic_now": core.ic,
            "own": own,
            "pinned": b"" if pinned is None else pinned.raw,
            "outstanding": self._submissions.known_ids(),
            "phase": str(attachment.phase),
            "subprotocol": int(attachment.has_subprotocol),
        }
        if attachment.gateway is not None:
            settings["gateway"] = attachment.gateway.raw
        if attachment.phase is Phase.ATTACHED:
            settings |= core.inbound.counters()
        return settings


def _misplaced() -> DecodeError:
    return DecodeError("the frame may not come here", reason=Reason.UNEXPECTED_FRAME, requirement="ICWS-LIB-024")
