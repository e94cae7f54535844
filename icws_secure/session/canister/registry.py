"""Who may have sessions: registering, listing, revoking.

The registry is keyed by owner *and* session principal. A session principal is visible to everybody who relays for it,
so anybody can name it; only its holder can open, and that binds it to one registration for ever.
"""

from __future__ import annotations

from dataclasses import replace

from icws_secure.limits import REFUSED_TTL_NS
from icws_secure.payload import is_weaker
from icws_secure.wire.interface import REGISTRATION_ID_BYTES, SECURE_PROFILE
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode
from icws_secure.wire.registration import Parameters, RegisterArgument, RevokeArgument, SessionInfo, SessionState

from . import lifecycle
from .draft import Draft
from .inbound import seen
from .refusal import RefusalError, refuse
from .state import Floor, Pair, Registration
from .table import Cause

__all__ = ["FEATURES", "parameters", "params", "register", "revoke", "sessions_of"]

FEATURES = ("batch",)
"""What the certified parameters list as features."""


# ws_register ----------------------------------------------------------------------------------------------------------


def register(draft: Draft, caller: Principal, argument: RegisterArgument) -> Parameters:
    """``ws_register``: the caller says that a session principal is the caller's.

    Raises:
        RefusalError: the registration is refused.
    """
    pair = caller, argument.session_principal
    _check_caller(draft, caller)
    _check_session_principal(draft, pair)
    _check_time(draft, caller, argument.created_at_ns)
    expires = _expiry(draft, argument.expires_at_ns)
    _check_suite(draft, argument.minimum_suite)
    live = _refreshed(draft, pair, argument, expires)
    if live is not None:
        return parameters(draft, live)
    # [ICWS-CAN-005]
    if pair in draft.refused:
        refuse(RefusalCode.RECENTLY_REVOKED, "this session principal was revoked a moment ago")
    _make_room(draft, caller, argument.evict)
    registration = Registration(
        owner=caller,
        session_principal=argument.session_principal,
        registration_id=draft.secret(b"registration", REGISTRATION_ID_BYTES),
        created_ns=draft.now,
        refreshed_ns=draft.now,
        expires_ns=expires,
        minimum_suite=argument.minimum_suite,
    )
    draft.put_pending(registration)
    return parameters(draft, registration)


def _check_caller(draft: Draft, caller: Principal) -> None:
    # [ICWS-CAN-003]
    if caller.is_anonymous:
        refuse(RefusalCode.ANONYMOUS_CALLER, "the anonymous principal cannot register")
    if not caller.is_self_authenticating:
        refuse(RefusalCode.CALLER_NOT_ALLOWED, "owners have keys of their own; canisters cannot register")
    session = draft.sessions.get(caller)
    if session is not None and session.secure and session.state is not SessionState.CLOSED:
        refuse(RefusalCode.CALLER_NOT_ALLOWED, "a session principal cannot register")


def _check_session_principal(draft: Draft, pair: Pair) -> None:
    caller, principal = pair
    # [ICWS-CAN-002]
    if not principal.is_self_authenticating or principal == caller:
        refuse(RefusalCode.INVALID_SESSION_PRINCIPAL, "a session principal is self-authenticating and not the owner's")
    # [ICWS-CAN-001]
    session = draft.sessions.get(principal)
    if session is not None and (session.registration is None or session.owner != caller):
        refuse(RefusalCode.SESSION_PRINCIPAL_BOUND, "this session principal is bound to another registration")
    # [ICWS-CAN-009] a session key is made for one registration, so this is not one; its holder would be locked out
    if principal in draft.omnia_seen:
        refuse(RefusalCode.SESSION_PRINCIPAL_BOUND, "this principal opens sessions of its own, without a registration")


def _check_time(draft: Draft, caller: Principal, created_at_ns: int) -> None:
    floor = draft.floors.get(caller)
    # [ICWS-CAN-005]
    if floor is not None and created_at_ns <= floor.created_at_ns:
        refuse(RefusalCode.REGISTRATION_TOO_OLD, "the owner has revoked all registrations up to this time")
    # a floor is kept as long as ingress messages live, so what is signed for an older time must not come later
    if created_at_ns < draft.now - REFUSED_TTL_NS:
        refuse(RefusalCode.REGISTRATION_TOO_OLD, "created_at is too long ago")
    if created_at_ns > draft.now + REFUSED_TTL_NS:
        refuse(RefusalCode.MALFORMED_ARGUMENT, "created_at is in the future")


def _expiry(draft: Draft, asked_ns: int | None) -> int:
    # [ICWS-CAN-006]
    cap = draft.now + draft.config.session_ttl_ns
    expires = cap if asked_ns is None else min(asked_ns, cap)
    if expires <= draft.now:
        refuse(RefusalCode.EXPIRED, "the expiry asked for is over")
    return expires


def _check_suite(draft: Draft, minimum: str | None) -> None:
    offered = draft.config.suites.suites(draft.suite_keys, draft.now)
    # [ICWS-PAY-012]
    if minimum is not None and all(is_weaker(suite.name, minimum) for suite in offered):
        refuse(RefusalCode.SUITE_TOO_WEAK, "no suite is as strong as the one asked for")


def _refreshed(draft: Draft, pair: Pair, argument: RegisterArgument, expires: int) -> Registration | None:
    """The pair's live registration with its expiry extended, or None if it has none."""
    # [ICWS-CAN-004] nothing but times changes, and no expiry comes nearer
    pending = draft.pending.get(pair)
    if pending is not None:
        pending = replace(pending, refreshed_ns=draft.now, expires_ns=max(pending.expires_ns, expires))
        draft.put_pending(pending)
        return pending
    session = draft.sessions.get(pair[1])
    if session is None or session.registration is None:
        return None
    # [ICWS-CAN-005]
    if session.state is SessionState.CLOSED:
        code = {"Revoked": RefusalCode.RECENTLY_REVOKED, "Expired": RefusalCode.EXPIRED}
        refuse(code.get(session.close_code or "", RefusalCode.CLOSED), "the session of this pair is over")
    if session.registration.expires_ns <= draft.now:
        refuse(RefusalCode.EXPIRED, "the session of this pair has expired")
    registration = replace(session.registration, expires_ns=max(session.registration.expires_ns, expires))
    draft.put(replace(session, registration=registration))
    return registration


def _make_room(draft: Draft, owner: Principal, evict: Principal | None) -> None:
    config = draft.config
    owned = draft.owners.get(owner)
    mine = [] if owned is None else list(owned)
    live = [principal for principal in mine if _is_live(draft, (owner, principal))]
    # [ICWS-CAN-007]
    if len(live) >= config.max_sessions_per_owner:
        unopened = [principal for principal in live if (owner, principal) in draft.pending]
        if evict is not None and evict in live:
            _revoke_pair(draft, (owner, evict))
        elif unopened:
            oldest = min(unopened, key=lambda principal: draft.pending[owner, principal].refreshed_ns)
            draft.forget_pending((owner, oldest))
            draft.forget_owned(owner, oldest)
        else:
            refuse(RefusalCode.TOO_MANY_SESSIONS, " ".join(principal.to_text() for principal in live))
    # [ICWS-CAN-027]
    if len(mine) - len(live) > config.max_ended_per_owner:
        refuse(RefusalCode.TOO_MANY_SESSIONS, "the owner has ended too many sessions a moment ago")
    # [ICWS-CAN-008]
    if draft.records >= config.max_sessions:
        refuse(RefusalCode.REGISTRATION_FULL, "this canister has too many sessions")
    if not live and 4 * draft.records >= 3 * config.max_sessions:
        welcome = config.allow_register is not None and config.allow_register(owner)
        if not welcome:
            refuse(RefusalCode.REGISTRATION_FULL, "this canister takes no new owners at the moment")


def _is_live(draft: Draft, pair: Pair) -> bool:
    if pair in draft.pending:
        return True
    session = draft.sessions.get(pair[1])
    return session is not None and session.owner == pair[0] and session.state is not SessionState.CLOSED


def parameters(draft: Draft, registration: Registration) -> Parameters:
    """What a session may rely on."""
    config = draft.config
    return Parameters(
        registration_id=registration.registration_id,
        session_principal=registration.session_principal,
        owner=registration.owner,
        profile=SECURE_PROFILE,
        epoch=draft.epoch_ns,
        expires_at_ns=registration.expires_ns,
        ack_interval_ns=config.ack_interval_ns,
        keep_alive_timeout_ns=config.keep_alive_timeout_ns,
        resume_window_ns=config.resume_window_ns,
        detach_after_open_ns=config.detach_after_open_ns,
        window_messages=config.window_messages,
        window_bytes=config.window_bytes,
        max_content_bytes=config.max_content_bytes,
        retained_messages=config.retained_messages,
        retained_bytes=config.retained_bytes,
        suites=config.suites.suites(draft.suite_keys, draft.now),
        features=FEATURES,
    )


# ws_params ------------------------------------------------------------------------------------------------------------


def params(draft: Draft, caller: Principal, registration_id: bytes) -> Parameters:
    """``ws_params``: the session key asks for the parameters anew, since keys rotate.

    Raises:
        RefusalError: the caller has no such registration.
    """
    session = draft.sessions.get(caller)
    if session is not None and session.registration is not None:
        if session.registration.registration_id != registration_id:
            refuse(RefusalCode.WRONG_REGISTRATION, "this is not the registration of the caller's session")
        if session.state is SessionState.CLOSED:
            refuse(RefusalCode.CLOSED, session.close_code or "the session is over")
        if session.registration.expires_ns <= draft.now:
            refuse(RefusalCode.EXPIRED, "the registration has expired")
        draft.put(seen(draft, session))
        return parameters(draft, session.registration)
    for owner in draft.pending_owners.get(caller, ()):
        registration = draft.pending[owner, caller]
        if registration.registration_id == registration_id:
            return parameters(draft, registration)
    raise RefusalError(RefusalCode.NOT_REGISTERED, "the caller is not a registered session principal")


# ws_revoke, ws_sessions -----------------------------------------------------------------------------------------------


def revoke(draft: Draft, caller: Principal, argument: RevokeArgument) -> int:
    """``ws_revoke``: the owner ends one session or all, the session key its own; gives how many have ended.

    Raises:
        RefusalError: ``AnonymousCaller``, ``RegistrationTooOld``, ``TooMany``.
    """
    if caller.is_anonymous:
        refuse(RefusalCode.ANONYMOUS_CALLER, "the anonymous principal has no sessions")
    if abs(argument.created_at_ns - draft.now) > REFUSED_TTL_NS:
        refuse(RefusalCode.REGISTRATION_TOO_OLD, "created_at is not the present time")
    if argument.session is None:
        return _revoke_all(draft, caller, argument.created_at_ns)
    if argument.session == caller:
        return _revoke_own(draft, caller)
    # [ICWS-CAN-064] the pair holds the caller: another owner's session is out of reach
    pair = caller, argument.session
    count = _revoke_pair(draft, pair)
    if count == 0 and pair not in draft.refused and _owns_nothing(draft, pair):
        _check_memory(draft, caller)
        # a registration may be on its way: one that was withheld must not come after this
        draft.refuse_pair(pair)
    return count


def _revoke_own(draft: Draft, caller: Principal) -> int:
    """A session key gives itself up: its session, or whatever is registered for it."""
    session = draft.sessions.get(caller)
    if session is not None and session.secure:
        return _revoke_pair(draft, (session.owner, caller))
    return sum(_revoke_pair(draft, (owner, caller)) for owner in list(draft.pending_owners.get(caller, ())))


def _owns_nothing(draft: Draft, pair: Pair) -> bool:
    session = draft.sessions.get(pair[1])
    return session is None or session.owner != pair[0]


def _revoke_all(draft: Draft, owner: Principal, created_at_ns: int) -> int:
    owned = draft.owners.get(owner)
    count = sum(_revoke_pair(draft, (owner, principal)) for principal in (() if owned is None else list(owned)))
    old = draft.floors.get(owner)
    if old is None and owned is None:
        _check_memory(draft, owner)
    floor = created_at_ns if old is None else max(old.created_at_ns, created_at_ns)
    # registrations signed up to 6 min ahead of canister time are taken, so the floor must outlive those too
    until = draft.now + 2 * REFUSED_TTL_NS
    draft.put_floor(owner, Floor(floor, until))
    return count


def _check_memory(draft: Draft, owner: Principal) -> None:
    """Strangers must not fill the memory with things that never were."""
    owned = draft.owners.get(owner)
    ended = 0 if owned is None else sum(not _is_live(draft, (owner, principal)) for principal in owned)
    # [ICWS-CAN-027]
    if ended >= draft.config.max_ended_per_owner or 4 * draft.records >= 3 * draft.config.max_sessions:
        refuse(RefusalCode.TOO_MANY, "too much is remembered to be refused")


def _revoke_pair(draft: Draft, pair: Pair) -> int:
    if pair in draft.pending:
        draft.forget_pending(pair)
        draft.refuse_pair(pair)
        return 1
    session = draft.sessions.get(pair[1])
    if session is None or session.registration is None or session.owner != pair[0]:
        return 0
    if session.close_code == "Revoked":
        return 0
    was_live = session.state is not SessionState.CLOSED
    lifecycle.apply(draft, session, Cause.REVOKE)
    return int(was_live)


def sessions_of(draft: Draft, caller: Principal) -> tuple[SessionInfo, ...]:
    """``ws_sessions``: the caller's own.

    Raises:
        RefusalError: ``AnonymousCaller``.
    """
    if caller.is_anonymous:
        refuse(RefusalCode.ANONYMOUS_CALLER, "the anonymous principal has no sessions")
    # [ICWS-CAN-064]
    found = []
    for principal in draft.owners.get(caller, ()):
        pending = draft.pending.get((caller, principal))
        session = draft.sessions.get(principal)
        if pending is not None:
            found.append(_info(pending, SessionState.REGISTERED, 0, pending.refreshed_ns))
        elif session is not None and session.registration is not None and session.owner == caller:
            found.append(_info(session.registration, session.state, session.attach, session.last_seen_ns))
    return tuple(sorted(found, key=lambda info: (info.created_at_ns, info.session_principal)))


def _info(registration: Registration, state: SessionState, attach: int, last_seen_ns: int) -> SessionInfo:
    return SessionInfo(
        session_principal=registration.session_principal,
        registration_id=registration.registration_id,
        created_at_ns=registration.created_ns,
        expires_at_ns=registration.expires_ns,
        state=state,
        attach=attach,
        last_seen_ns=last_seen_ns,
    )
