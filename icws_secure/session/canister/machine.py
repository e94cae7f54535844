"""The canister's session machine: bytes and times in, bytes and events out."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.wire import interface, registration
from icws_secure.wire.hashtree import HashTree
from icws_secure.wire.interface import ClientKey, MessageResult, Refusal, RefusalCode
from icws_secure.wire.merkle_map import Subtree
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

from . import admission, certified, inbound, lifecycle, liveness, opening, outbound, polling, registry, stable
from .config import CanisterConfig
from .draft import Draft
from .events import Accepted, CanisterEvent, Delivery, Outcome
from .refusal import RefusalError, refuse
from .state import CanisterState, Session
from .table import Cause

__all__ = ["CanisterSessions"]

_T = TypeVar("_T")


class CanisterSessions:
    """All sessions of one canister, of both profiles.

    Methods named after the canister's take ``caller``, the argument's bytes and canister time, and give an
    :class:`Outcome`. They never raise for what a caller sends: bad input is answered with ``Err "<Code>: <words>"`` and
    changes nothing. After a call that is not a query :meth:`certified_root` and :meth:`next_deadline` may be others:
    set certified data and the timer.

    ``state`` is a frozen value: assigning an earlier one rolls back. A copy of the machine costs as little.

    Args:
        config: the settings.
        now: canister time; the epoch of the new state.
        seed: 32 bytes that nobody can guess.

    Raises:
        MisuseError: the seed has another length.

    Attributes:
        config: the settings.
        state: everything else.
    """

    def __init__(self, config: CanisterConfig, *, now: int, seed: bytes) -> None:
        if len(seed) != 32:
            raise MisuseError("a seed has 32 bytes", reason=Reason.INVALID_ARGUMENT, received=len(seed))
        self.config = config
        # [ICWS-CAN-065] a state that was lost comes back under another epoch
        self.state = Draft(CanisterState(epoch_ns=now, clock_ns=now, seed=seed), config, now).commit()

    def __copy__(self) -> CanisterSessions:
        copy = object.__new__(CanisterSessions)
        copy.config = self.config
        copy.state = self.state
        return copy

    def __deepcopy__(self, memo: dict[int, Any]) -> CanisterSessions:
        return self.__copy__()

    # Methods of the canister ------------------------------------------------------------------------------------------

    def register(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_register``."""

        def rule(draft: Draft) -> bytes:
            argument = _decoded("ws_register", draft.config, arg, registration.decode_register_argument)
            return registration.encode_register_result(registry.register(draft, caller, argument))

        return self._update(now, rule, registration.encode_register_result)

    def params(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_params``."""

        def rule(draft: Draft) -> bytes:
            argument = _decoded("ws_params", draft.config, arg, registration.decode_params_argument)
            return registration.encode_params_result(registry.params(draft, caller, argument))

        return self._update(now, rule, registration.encode_params_result)

    def open(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_open``."""

        def rule(draft: Draft) -> bytes:
            argument = _decoded("ws_open", draft.config, arg, interface.decode_open_argument)
            opening.open_session(draft, caller, argument, arg)
            return interface.encode_open_result()

        return self._update(now, rule, interface.encode_open_result)

    def close(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_close``."""

        def rule(draft: Draft) -> bytes:
            opening.close(draft, caller, _decoded("ws_close", draft.config, arg, interface.decode_close_argument))
            return interface.encode_close_result()

        return self._update(now, rule, interface.encode_close_result)

    def message(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_message``. The message is accepted; see :meth:`next_delivery` for handling it."""

        def rule(draft: Draft) -> tuple[Session, interface.MessageStatus, int]:
            argument = _decoded("ws_message", draft.config, arg, interface.decode_message_argument)
            return *inbound.accept(draft, caller, argument), argument.sequence_num

        return self._message(now, rule)

    def message_batch(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_message_batch``."""

        def rule(draft: Draft) -> tuple[Session, interface.MessageStatus, int]:
            messages = _decoded("ws_message_batch", draft.config, arg, interface.decode_message_batch_argument)
            return *inbound.accept_batch(draft, caller, messages), messages[-1].sequence_num

        return self._message(now, rule)

    def revoke(self, caller: Principal, arg: bytes, now: int) -> Outcome:
        """``ws_revoke``."""

        def rule(draft: Draft) -> bytes:
            argument = _decoded("ws_revoke", draft.config, arg, registration.decode_revoke_argument)
            return registration.encode_revoke_result(registry.revoke(draft, caller, argument))

        return self._update(now, rule, registration.encode_revoke_result)

    def sessions(self, caller: Principal, arg: bytes) -> bytes:
        """``ws_sessions``, a query."""
        try:
            _decoded("ws_sessions", self.config, arg, registration.decode_sessions_argument)
            return registration.encode_sessions_result(registry.sessions_of(self._draft(0), caller))
        except RefusalError as error:
            return registration.encode_sessions_result(error.refusal)

    def audit(self, caller: Principal, arg: bytes, certificate: bytes | None) -> bytes:
        """``ws_audit``, a query, or an update if ``certificate`` is None."""
        try:
            principals = _decoded("ws_audit", self.config, arg, registration.decode_audit_argument)
            return registration.encode_audit_result(polling.audit(self.state, caller, principals, certificate))
        except RefusalError as error:
            return registration.encode_audit_result(error.refusal)

    def get_messages(self, caller: Principal, arg: bytes, certificate: bytes | None) -> bytes:
        """``ws_get_messages``, a query."""
        try:
            nonce = _decoded("ws_get_messages", self.config, arg, interface.decode_get_messages_argument)
            result = polling.get_messages(self.state, self.config, caller, nonce, certificate)
        except RefusalError as error:
            return interface.encode_get_messages_result(error.refusal)
        return interface.encode_get_messages_result(result)

    def inspect(self, caller: Principal, method: str, size: int) -> bool:
        """Whether a user's update call of a session method is worth an execution; the methods check all of it again.

        Args:
            caller: who signed.
            method: one of :data:`~.admission.OMNIA_METHODS` and :data:`~.admission.SECURE_METHODS`.
            size: bytes of the argument.
        """
        return admission.inspect(self.state, self.config, caller, method, size)

    # Handling ---------------------------------------------------------------------------------------------------------

    def next_delivery(self, client_key: ClientKey) -> Delivery | None:
        """What the application is to handle next of a session; None also while it is handling something."""
        session = self._find(client_key)
        return None if session is None else inbound.peek(session)

    def take_delivery(self, client_key: ClientKey, now: int) -> Delivery | None:
        """Begin to handle what is next; if possible call :meth:`finish_delivery` in the same execution."""
        draft = self._draft(now)
        session = draft.find(client_key)
        delivery = None if session is None else inbound.take(draft, session)
        self.state = draft.commit()
        return delivery

    def finish_delivery(self, client_key: ClientKey, seq: int, now: int, *, trapped: bool = False) -> Outcome:
        """What was given out as ``seq`` is handled, or has trapped; without effect if it is not what is next."""
        draft = self._draft(now)
        session = draft.find(client_key)
        if session is not None:
            inbound.finish(draft, session, seq, trapped=trapped)
        self.state = draft.commit()
        return Outcome(b"", tuple(draft.events))

    def message_reply(self, outcome: Outcome) -> bytes:
        """The reply of ``ws_message`` as things are now, after handling."""
        accepted = outcome.accepted
        session = None if accepted is None else self._find(accepted.client_key)
        if accepted is None or session is None:
            return outcome.reply
        status = inbound.status_of(session, accepted.seq, repeated=accepted.repeated)
        return interface.encode_message_result(MessageResult(status=status))

    # The application --------------------------------------------------------------------------------------------------

    def send(self, client_key: ClientKey, data: bytes, now: int) -> None:
        """Give a client a message.

        Raises:
            MisuseError: there is no such session (``WrongState``); the message is too large, or the client has too much
                to acknowledge (``LimitExceeded``, with the refusal's code among the facts).
        """
        failed = self.send_many((client_key,), data, now)
        if failed:
            raise failed[client_key]

    def send_many(self, client_keys: Iterable[ClientKey], data: bytes, now: int) -> dict[ClientKey, MisuseError]:
        """Give a message to many clients, all of them that can have it; gives what stood in the way of the others."""
        draft = self._draft(now)
        failed: dict[ClientKey, MisuseError] = {}
        for client_key in client_keys:
            session = draft.find(client_key)
            if session is None or session.state is SessionState.CLOSED:
                failed[client_key] = MisuseError("there is no such session", reason=Reason.WRONG_STATE)
                continue
            try:
                draft.put(outbound.send(draft, session, data))
            except RefusalError as error:
                failed[client_key] = MisuseError(
                    error.refusal.words,
                    reason=Reason.LIMIT_EXCEEDED,
                    requirement="ICWS-CAN-062",
                    code=error.refusal.code,
                )
        self.state = draft.commit()
        return failed

    def disconnect(self, client_key: ClientKey, now: int) -> Outcome:
        """End a session; one that is over already stays as it is.

        Raises:
            MisuseError: there is no such session.
        """
        draft = self._draft(now)
        session = draft.find(client_key)
        if session is None:
            raise MisuseError("there is no such session", reason=Reason.WRONG_STATE)
        if session.state is not SessionState.CLOSED:
            lifecycle.apply(draft, session, Cause.APPLICATION_CLOSE)
        self.state = draft.commit()
        return Outcome(b"", tuple(draft.events))

    def find(self, client_key: ClientKey) -> Session | None:
        """The session of a client key, also one that is over and remembered, or None."""
        return self._find(client_key)

    def clients(self) -> tuple[ClientKey, ...]:
        """The client keys of all sessions that are not over, in no order."""
        sessions = self.state.sessions.values()
        return tuple(session.client_key for session in sessions if session.state is not SessionState.CLOSED)

    def set_application(self, label: bytes, subtree: Subtree | None) -> None:
        """Certify something of the application's under a label of its own, or nothing any more.

        Args:
            label: of the root; not ``icws`` or ``websocket``.
            subtree: a value, a map, or None.

        Raises:
            MisuseError: the label is not the application's to use.
        """
        certified.check_label(label)
        draft = self._draft(0)
        if subtree is not None:
            draft.application = draft.application.set(label, subtree)
        elif label in draft.application:
            draft.application = draft.application.delete(label)
        self.state = draft.commit()

    def application_witness(self, paths: Sequence[Sequence[bytes]]) -> HashTree:
        """The witness of some paths of the whole tree, for the application's own queries."""
        return self.state.root.witness(paths)

    # The canister around it -------------------------------------------------------------------------------------------

    def certified_root(self) -> bytes:
        """The 32 bytes that certified data must be."""
        return self.state.root.digest()

    def next_deadline(self) -> int | None:
        """When to call :meth:`on_timer`, or None; may be in the past when there was too much to do at once."""
        return liveness.next_deadline(self.state)

    def on_timer(self, now: int) -> tuple[CanisterEvent, ...]:
        """Do what is due, for at most 200 sessions."""
        draft = self._draft(now)
        liveness.run(draft)
        self.state = draft.commit()
        return tuple(draft.events)

    def reseed(self, entropy: bytes) -> None:
        """Mix fresh entropy into the seed, once it can be had."""
        draft = self._draft(0)
        draft.seed = hmac.digest(draft.seed, b"reseed" + entropy, hashlib.sha256)
        self.state = draft.commit()

    def begin_epoch(self, now: int) -> None:
        """Forget all sessions and begin another epoch; what the application certifies, and what is refused, stays.

        For a canister that was put back to a snapshot, of which no code of its own learns: clients would find the state
        of an earlier time. Their sessions end as ``EpochChanged``, and no key of a queue is used twice.
        """
        old = self.state
        clock = max(now, old.clock_ns)
        state = CanisterState(
            # [ICWS-CAN-065]
            epoch_ns=max(clock, old.epoch_ns + 1),
            clock_ns=clock,
            seed=hmac.digest(old.seed, b"epoch" + clock.to_bytes(8, "big"), hashlib.sha256),
            # [ICWS-CAN-022]
            nonce_floor=max([old.nonce_floor, *(queue.end for queue in old.queues.values())]),
            application=old.application,
            suite_keys=old.suite_keys,
        )
        draft = Draft(state, self.config, now)
        # [ICWS-CAN-005] what was revoked, and what has ended here, is not registered again by a call that was withheld
        for pair, until in old.refused.items():
            draft.refuse_pair(pair, until)
        for session in old.sessions.values():
            if session.secure:
                draft.refuse_pair((session.owner, session.principal))
        for owner, floor in old.floors.items():
            draft.put_floor(owner, floor)
        self.state = draft.commit()

    def set_suite_keys(self, keys: object) -> None:
        """Keep the payload provider's own state, an immutable value."""
        draft = self._draft(0)
        draft.suite_keys = keys
        self.state = draft.commit()

    def suite_keys_due(self) -> int | None:
        """When to call :meth:`renew_suite_keys`, or None; canister time, and 0 before the first time."""
        return self.config.suites.due(self.state.suite_keys)

    def renew_suite_keys(self, entropy: bytes, now: int) -> None:
        """Replace keys of the payload suites that are too old, and forget those that are past their grace.

        Args:
            entropy: 32 bytes that nobody can guess.
            now: canister time.
        """
        # [ICWS-PAY-013]
        self.set_suite_keys(self.config.suites.renewed(self.state.suite_keys, entropy, now))

    def to_stable(self) -> bytes:
        """Everything, for :meth:`from_stable` after an upgrade. Holds secrets."""
        return stable.dump(self.state, self.config)

    @classmethod
    def from_stable(cls, config: CanisterConfig, data: bytes, *, now: int, seed: bytes) -> CanisterSessions:
        """The machine that gave ``data``; a new one, of another epoch, if ``data`` is empty.

        Args:
            config: the settings, which may be others.
            data: of :meth:`to_stable`, or empty.
            now: canister time.
            seed: used only if ``data`` is empty.

        Raises:
            DecodeError: ``data`` is something else, or has sessions of a suite that the settings no longer offer.
        """
        machine = cls(config, now=now, seed=seed)
        # [ICWS-CAN-065]
        if data:
            machine.state = stable.load(data, config, now)
        return machine

    def _draft(self, now: int) -> Draft:
        return Draft(self.state, self.config, now)

    def _find(self, client_key: ClientKey) -> Session | None:
        return self._draft(0).find(client_key)

    def _update(self, now: int, rule: Callable[[Draft], bytes], encode: Callable[[Refusal], bytes]) -> Outcome:
        draft = self._draft(now)
        try:
            reply = rule(draft)
        except RefusalError as error:
            # the draft is thrown away: a refusal changes nothing
            return Outcome(encode(error.refusal))
        self.state = draft.commit()
        return Outcome(reply, tuple(draft.events))

    def _message(self, now: int, rule: Callable[[Draft], tuple[Session, interface.MessageStatus, int]]) -> Outcome:
        draft = self._draft(now)
        try:
            session, status, seq = rule(draft)
        except RefusalError as error:
            return Outcome(interface.encode_message_result(MessageResult(error.refusal)))
        except inbound.OmniaClosed as closed:
            self.state = draft.commit()
            return Outcome(interface.encode_message_result(MessageResult(closed.refusal)), tuple(draft.events))
        self.state = draft.commit()
        repeated = status.status is interface.MessageState.DUPLICATE
        reply = interface.encode_message_result(MessageResult(status=status))
        return Outcome(reply, tuple(draft.events), Accepted(session.client_key, seq, repeated))


def _decoded(method: str, config: CanisterConfig, arg: bytes, decode: Callable[[bytes], _T]) -> _T:
    if method in admission.SECURE_METHODS and not config.secure:
        refuse(RefusalCode.CALLER_NOT_ALLOWED, "this canister does not serve secure sessions")
    # [ICWS-CAN-070]
    admission.check_size(config, method, len(arg))
    try:
        return decode(arg)
    except (DecodeError, MisuseError) as error:
        raise RefusalError(RefusalCode.MALFORMED_ARGUMENT, "the argument cannot be read") from error
