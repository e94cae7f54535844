"""Detaching and ending sessions: what the tables say, carried out."""

from __future__ import annotations

from dataclasses import replace

from immutables import Map

from icws_secure.wire.registration import SessionState
from icws_secure.wire.service import CloseMessage, CloseReason, SessionCloseReason

from . import outbound, queues
from .draft import Draft
from .events import Closed, Detached
from .refusal import RefusalError
from .state import Held, Session
from .table import Cause, Transition, transition

__all__ = ["apply"]


def apply(draft: Draft, session: Session, cause: Cause) -> Session:
    """Do to a session what its table says, and keep it.

    Raises:
        MisuseError: the table has nothing for this.
    """
    rule = transition(session.secure, session.state, cause)
    return _end(draft, session, rule) if rule.to is SessionState.CLOSED else _detach(draft, session, rule)


def _detach(draft: Draft, session: Session, rule: Transition) -> Session:
    session = _leave(draft, session, rule)
    session = replace(session, state=rule.to, detached_ns=draft.now)
    draft.say(Detached(session.client_key, session.attach))
    return draft.put(session)


def _end(draft: Draft, session: Session, rule: Transition) -> Session:
    if session.state is SessionState.CLOSED:
        # revoked after it had ended: what waits to be fetched is given up too
        session = _drop_retained(draft, outbound.unqueue(draft, session))
        return draft.put(replace(session, close_code=rule.code))
    inbound = session.inbound
    # [ICWS-CAN-037]
    kept: Map[int, Held] = inbound.inbox if rule.keep_inbox else Map()
    if inbound.delivering is not None and inbound.delivering in inbound.inbox:
        kept = kept.set(inbound.delivering, inbound.inbox[inbound.delivering])
    session = replace(
        session,
        inbound=replace(
            inbound,
            inbox=kept,
            window=Map(),
            held_bytes=sum(len(held.data) for held in kept.values()),
        ),
    )
    was_open = session.state is SessionState.OPEN
    if was_open and rule.unqueue:
        session = outbound.unqueue(draft, session)
    fetchable = rule.code == SessionCloseReason.APPLICATION_CLOSED
    if rule.message is not None and (was_open or fetchable):
        session = _say_goodbye(draft, session, rule.message, rule.code)
    if was_open:
        session = _leave(draft, session, replace(rule, unqueue=False))
    session = replace(
        session,
        state=rule.to,
        closed_ns=draft.now,
        close_code=rule.code,
        detached_ns=None,
        announce_close=True,
        channel=None,  # its keys go with the session
    )
    if not fetchable:
        session = _drop_retained(draft, session)
    draft.say(Closed(session.client_key, rule.code or ""))
    return draft.put(session)


def _say_goodbye(draft: Draft, session: Session, reason: CloseReason, code: str | None) -> Session:
    try:
        if session.secure and code is not None:
            return outbound.send_service(draft, session, CloseMessage(reason, SessionCloseReason(code)))
        return outbound.send_service(draft, session, CloseMessage(reason))
    except RefusalError:
        # the queue is full: the certified head says it too
        return session


def _drop_retained(draft: Draft, session: Session) -> Session:
    """Give up what the client has not acknowledged; what is queued stays queued."""
    return replace(session, outbound=replace(session.outbound, retained=Map(), retained_bytes=0))


def _leave(draft: Draft, session: Session, rule: Transition) -> Session:
    """Part a session from its gateway."""
    if rule.unqueue:
        session = outbound.unqueue(draft, session)
    queues.depart(draft, session.gateway)
    return replace(session, ack_at_ns=None, alive_by_ns=None)
