"""Opening, attaching again, and what gateways say when a client left."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from icws_secure import limits
from icws_secure.payload import is_weaker
from icws_secure.wire.interface import ClientKey, CloseArgument, OpenArgument, SecureOpen
from icws_secure.wire.message import SALT_BYTES, CanisterMessage
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import AttachMessage, OpenMessage, SessionCloseReason, encode_service_message

from . import lifecycle, liveness, outbound, queues
from .draft import Draft
from .events import Attached, Opened
from .inbound import seen
from .refusal import refuse
from .sealing import AttachOffer, SealedChannel
from .state import Registration, Session
from .table import Cause, transition

__all__ = ["close", "open_session"]


def open_session(draft: Draft, caller: Principal, argument: OpenArgument, raw: bytes) -> None:
    """``ws_open``.

    Args:
        draft: the working copy.
        caller: who signed.
        argument: what ``raw`` says.
        raw: the argument as it came; its hash goes into the attach message.

    Raises:
        RefusalError: the open is refused.
    """
    if caller.is_anonymous:
        refuse(RefusalCode.ANONYMOUS_CALLER, "the anonymous principal cannot open")
    session = draft.sessions.get(caller)
    known = caller in draft.pending_owners or (session is not None and session.secure)
    if argument.secure is not None:
        if not known:
            refuse(RefusalCode.NOT_REGISTERED, "the caller is not a registered session principal")
        _open_secure(draft, caller, argument, argument.secure, sha256(raw).digest())
        return
    # [ICWS-CAN-010] which profile it is, the registry says: an opt that does not fit reads as null
    if known:
        refuse(RefusalCode.SECURE_FIELDS_MISSING, "a registered session principal opens with the secure fields")
    if not draft.config.omnia:
        refuse(RefusalCode.NOT_REGISTERED, "this canister serves registered sessions only")
    _open_omnia(draft, caller, argument)


# omnia/1 --------------------------------------------------------------------------------------------------------------


def _open_omnia(draft: Draft, caller: Principal, argument: OpenArgument) -> None:
    client_key = ClientKey(caller, argument.client_nonce)
    if draft.find(client_key) is not None:
        refuse(RefusalCode.ALREADY_OPEN, "this client key is open")
    old = draft.sessions.get(caller)
    if old is not None:
        lifecycle.apply(draft, old, Cause.REOPEN)
    # [ICWS-CAN-027]
    elif draft.records >= draft.config.max_sessions:
        refuse(RefusalCode.REGISTRATION_FULL, "this canister has too many sessions")
    rule = transition(False, SessionState.REGISTERED, Cause.ATTACH)
    queues.arrive(draft, argument.gateway_principal)
    session = Session(
        client_key=client_key,
        registration=None,
        state=rule.to,
        opened_ns=draft.now,
        changed_ns=draft.now,
        last_seen_ns=draft.now,
        gateway=argument.gateway_principal,
        attached_ns=draft.now,
        heard=True,
        ack_at_ns=liveness.next_ack(draft, client_key),
        announce_open=True,
    )
    session = outbound.send_service(draft, session, OpenMessage(client_key))
    draft.put(session)
    if draft.config.secure:
        draft.remember_omnia(caller, draft.now + limits.OMNIA_REMEMBERED_NS)
    draft.say(Opened(client_key, caller, secure=False))


# icws-secure/1 --------------------------------------------------------------------------------------------------------


def _open_secure(draft: Draft, caller: Principal, argument: OpenArgument, secure: SecureOpen, open_hash: bytes) -> None:
    session = draft.sessions.get(caller)
    if session is None:
        session = _first(draft, caller, argument, secure)
    registration = _check(draft, session, argument, secure)
    offer = AttachOffer(
        suite=secure.suite,
        key_id=secure.key_id,
        enc=secure.enc,
        client_key=session.client_key,
        registration_id=secure.registration_id,
        attach=secure.attach,
        next_in=session.inbound.accepted_through + 1,
        next_out=session.outbound.next_out,
    )
    channel = draft.config.suites.attach(draft.suite_keys, offer, session.channel, draft.now)
    # [ICWS-CAN-061] what was acknowledged is gone
    if secure.resume_from < session.outbound.oldest_retained:
        refuse(RefusalCode.RESUME_GAP, f"the oldest retained message is {session.outbound.oldest_retained}")
    session = outbound.acknowledge(session, secure.resume_from - 1)
    _check_share(draft, argument.gateway_principal, session)
    first_open = session.attach == 0
    session = _bind(draft, session, argument.gateway_principal, secure.attach, channel)
    session = _queue_attach_message(draft, session, registration, secure.resume_from, open_hash)
    session = outbound.queue_again(draft, session)
    if session.state is SessionState.CLOSED:
        queues.depart(draft, session.gateway)
    draft.put(session)
    if first_open:
        draft.say(Opened(session.client_key, registration.owner, secure=True))
    draft.say(Attached(session.client_key, session.attach, session.gateway))


def _bind(draft: Draft, session: Session, gateway: Principal, attach: int, channel: SealedChannel | None) -> Session:
    """Bind a session to the gateway of a new attach, in place of the one before; the queue of the new one counts it."""
    rule = transition(True, session.state, Cause.ATTACH)
    if rule.unqueue:
        session = outbound.unqueue(draft, session)
    if session.state is SessionState.OPEN:
        queues.depart(draft, session.gateway)
    queues.arrive(draft, gateway)
    ended = rule.to is SessionState.CLOSED
    # [ICWS-CAN-012]
    return replace(
        seen(draft, session),
        state=rule.to,
        gateway=gateway,
        attach=attach,
        attached_ns=draft.now,
        heard=False,
        detached_ns=None,
        ack_at_ns=None if ended else liveness.next_ack(draft, session.client_key),
        channel=None if ended else channel,
        announce_open=session.announce_open or session.attach == 0,
    )


def _first(draft: Draft, caller: Principal, argument: OpenArgument, secure: SecureOpen) -> Session:
    """The session of a registration that is opened for the first time, which binds the session principal to it."""
    for owner in draft.pending_owners[caller]:
        registration = draft.pending[owner, caller]
        if registration.registration_id == secure.registration_id:
            break
    else:
        refuse(RefusalCode.WRONG_REGISTRATION, "this is not a registration of the caller")
    if registration.refreshed_ns + draft.config.unopened_ttl_ns <= draft.now:
        refuse(RefusalCode.NOT_REGISTERED, "the registration was not opened in time")
    # [ICWS-CAN-002] what others have registered for this session principal is void
    for other in list(draft.pending_owners[caller]):
        draft.forget_pending((other, caller))
        if other != registration.owner:
            draft.forget_owned(other, caller)
    return Session(
        client_key=ClientKey(caller, argument.client_nonce),
        registration=registration,
        state=SessionState.REGISTERED,
        opened_ns=draft.now,
        changed_ns=draft.now,
        last_seen_ns=draft.now,
        gateway=argument.gateway_principal,
    )


def _check(draft: Draft, session: Session, argument: OpenArgument, secure: SecureOpen) -> Registration:
    registration = session.registration
    # [ICWS-CAN-015]
    if registration is None or secure.registration_id != registration.registration_id:
        refuse(RefusalCode.WRONG_REGISTRATION, "this is not the registration of the caller's session")
    if argument.client_nonce != session.client_key.client_nonce:
        refuse(RefusalCode.WRONG_CLIENT_KEY, "the client key of a session never changes")
    if session.state is SessionState.CLOSED and (
        session.close_code != SessionCloseReason.APPLICATION_CLOSED or not session.outbound.retained
    ):
        refuse(RefusalCode.CLOSED, session.close_code or "the session is over")
    # [ICWS-CAN-066]
    if registration.expires_ns <= draft.now:
        refuse(RefusalCode.EXPIRED, "the registration has expired")
    if session.detached_ns is not None and session.detached_ns + draft.config.resume_window_ns <= draft.now:
        refuse(RefusalCode.CLOSED, SessionCloseReason.RESUME_WINDOW.value)
    # [ICWS-CAN-011]
    if not argument.gateway_principal.is_self_authenticating:
        refuse(RefusalCode.INVALID_GATEWAY_PRINCIPAL, "a gateway principal is self-authenticating")
    # [ICWS-CAN-012]
    if secure.attach <= session.attach:
        refuse(RefusalCode.STALE_ATTACH, f"attach {secure.attach} is not above {session.attach}")
    # [ICWS-PAY-012]
    if registration.minimum_suite is not None and is_weaker(secure.suite, registration.minimum_suite):
        refuse(RefusalCode.SUITE_TOO_WEAK, "the owner has asked for a stronger suite")
    # [ICWS-PAY-003] what is retained is sealed, and so is what the client has still to send
    if session.channel is not None and is_weaker(secure.suite, session.channel.suite):
        refuse(RefusalCode.SUITE_TOO_WEAK, f"the session has agreed on {session.channel.suite}")
    return registration


def _check_share(draft: Draft, gateway: Principal, session: Session) -> None:
    """Attaching again and again must not fill the queue that other sessions of the gateway use."""
    entries = queues.share(draft, gateway, session.principal) + len(session.outbound.retained) + 1
    # [ICWS-CAN-027]
    if entries > limits.QUEUE_SHARE_FACTOR * draft.config.retained_messages + limits.RETAINED_RESERVE:
        refuse(RefusalCode.TOO_MANY, "the session has too many entries in the queue of this gateway")


def _queue_attach_message(
    draft: Draft, session: Session, registration: Registration, resume_from: int, open_hash: bytes
) -> Session:
    # [ICWS-CAN-013] [ICWS-CAN-014]
    message = AttachMessage(
        client_key=session.client_key,
        registration_id=registration.registration_id,
        attach=session.attach,
        epoch=draft.epoch_ns,
        resume_from=resume_from,
        next_in=session.inbound.accepted_through + 1,
        next_out=session.outbound.next_out,
        oldest_retained=session.outbound.oldest_retained,
        open_hash=open_hash,
    )
    encoded = CanisterMessage(
        client_key=session.client_key,
        sequence_num=0,
        timestamp_ns=draft.now,
        is_service_message=True,
        content=encode_service_message(message),
        salt=draft.secret(b"salt", SALT_BYTES),
    ).encode()
    nonce = queues.append(draft, session.gateway, session.client_key, encoded)
    return replace(session, attach_nonce=nonce)


# ws_close -------------------------------------------------------------------------------------------------------------


def close(draft: Draft, caller: Principal, argument: CloseArgument) -> None:
    """``ws_close``: a gateway says that a client left.

    Raises:
        RefusalError: ``NotOpen`` or ``NotYourGateway``.
    """
    session = draft.sessions.get(argument.client_key.client_principal)
    if session is None or session.client_key != argument.client_key:
        refuse(RefusalCode.NOT_OPEN, "there is no session with this client key")
    # [ICWS-CAN-063]
    if session.gateway != caller:
        refuse(RefusalCode.NOT_YOUR_GATEWAY, "the session is not attached through the caller")
    if session.secure and argument.attach is not None and argument.attach != session.attach:
        return
    if session.state is SessionState.OPEN:
        lifecycle.apply(draft, session, Cause.GATEWAY_CLOSE)
