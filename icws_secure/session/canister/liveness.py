"""What the clock does: acknowledgements, silence, expiry, gaps, forgetting, in slices."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from icws_secure import limits
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

from . import deadlines, lifecycle, outbound, queues
from .draft import Draft
from .events import Deliver
from .refusal import RefusalError
from .schedule import Due
from .state import CanisterState, Pair, Session
from .table import Cause

__all__ = ["next_ack", "next_deadline", "run"]


def next_ack(draft: Draft, client_key: ClientKey) -> int:
    """When to acknowledge next: after the interval, shortened by a part of up to ``ack_jitter`` that varies."""
    # [ICWS-CAN-041]
    config = draft.config
    label = b"jitter" + client_key.client_principal.raw + draft.now.to_bytes(8, "big")
    part = int.from_bytes(hmac.digest(draft.seed, label, hashlib.sha256)[:4], "big") / (1 << 32)
    return draft.now + config.ack_interval_ns - int(config.ack_interval_ns * config.ack_jitter * part)


def next_deadline(state: CanisterState) -> int | None:
    """When :func:`run` has something to do, or None."""
    due = state.schedule.first()
    retry = None if state.ready_ns is None or not state.ready else state.ready_ns + limits.DELIVERY_RETRY_NS
    times = [time for time in (None if due is None else due.when_ns, retry) if time is not None]
    return min(times, default=None)


def run(draft: Draft) -> None:
    """Do what is due, for at most 200 sessions and a thousand queue entries; what is left stays due."""
    entries = 0
    # [ICWS-CAN-041]
    for _ in range(limits.TIMER_SESSIONS):
        due = draft.schedule.first()
        if due is None or due.when_ns > draft.now or entries >= limits.TRIMMED_PER_TIMER:
            break
        draft.schedule = draft.schedule.without_first()
        entries += _look(draft, due, limits.TRIMMED_PER_TIMER - entries)
    if draft.ready and draft.ready_ns is not None and draft.ready_ns + limits.DELIVERY_RETRY_NS <= draft.now:
        draft.ready_ns = draft.now
        # [ICWS-CAN-034]
        for client_key, _ in zip(draft.ready, range(limits.TIMER_SESSIONS), strict=False):
            draft.say(Deliver(client_key))


def _look(draft: Draft, due: Due, entries: int) -> int:
    """Look at what an entry of the schedule is for, which may long be gone; gives how many queue entries went."""
    key = due.key
    if due.kind == deadlines.QUEUE and isinstance(key, Principal):
        return queues.trim_idle(draft, key, entries)
    if due.kind == deadlines.SESSION and isinstance(key, ClientKey):
        session = draft.find(key)
        if session is not None and session.scheduled_ns == due.when_ns:
            _session(draft, replace(session, scheduled_ns=None))
    elif due.kind == deadlines.PENDING and isinstance(key, tuple):
        _pending(draft, key)
    elif due.kind == deadlines.REFUSED and isinstance(key, tuple):
        until = draft.refused.get(key)
        if until is not None and until <= draft.now:
            draft.refused = draft.refused.delete(key)
            draft.forget_owned(*key)
    elif due.kind == deadlines.FLOOR and isinstance(key, Principal):
        floor = draft.floors.get(key)
        if floor is not None and floor.until_ns <= draft.now:
            draft.floors = draft.floors.delete(key)
    elif due.kind == deadlines.OMNIA and isinstance(key, Principal):
        until = draft.omnia_seen.get(key)
        if until is not None and until <= draft.now:
            draft.omnia_seen = draft.omnia_seen.delete(key)
    return 0


def _pending(draft: Draft, pair: Pair) -> None:
    registration = draft.pending.get(pair)
    # [ICWS-CAN-008] a refreshed registration has a later entry in the schedule
    if registration is not None and registration.refreshed_ns + draft.config.unopened_ttl_ns <= draft.now:
        draft.forget_pending(pair)
        draft.forget_owned(*pair)


def _session(draft: Draft, session: Session) -> None:
    """Everything that the clock does to one session. Ends with the session back in the schedule."""
    config, now = draft.config, draft.now
    if session.state is SessionState.CLOSED:
        forget = deadlines.forget_at(session, config)
        if forget is not None and forget <= now:
            draft.forget(session)
        else:
            draft.put(session)
        return
    cause = _cause(draft, session)
    if cause is not None:
        session = lifecycle.apply(draft, session, cause)
        if session.state is SessionState.CLOSED:
            return
    session = _drop_gaps(draft, session)
    if session.ack_at_ns is not None and session.ack_at_ns <= now:
        session = replace(session, ack_at_ns=next_ack(draft, session.client_key))
        try:
            session = outbound.send_acknowledgement(draft, session)
        except RefusalError:
            # no place for it: the client has long not acknowledged, and is detached if it does not call
            session = replace(session, alive_by_ns=session.alive_by_ns or now + config.keep_alive_timeout_ns)
    draft.put(session)


def _cause(draft: Draft, session: Session) -> Cause | None:
    """What silence or time does to a session now, the gravest first, or None."""
    config, now = draft.config, draft.now
    # [ICWS-CAN-066]
    if session.registration is not None and session.registration.expires_ns <= now:
        return Cause.EXPIRE
    if session.state is SessionState.DETACHED:
        over = session.detached_ns is not None and session.detached_ns + config.resume_window_ns <= now
        return Cause.WINDOW_OVER if over else None
    if session.secure and session.outbound.retained and deadlines.unacked_until(session, config) <= now:
        return Cause.WINDOW_OVER
    # [ICWS-CAN-040]
    if session.alive_by_ns is not None and session.alive_by_ns <= now:
        return Cause.NO_KEEP_ALIVE
    # [ICWS-CAN-016]
    if session.secure and not session.heard and session.attached_ns + config.detach_after_open_ns <= now:
        return Cause.SILENT_OPEN
    return None


def _drop_gaps(draft: Draft, session: Session) -> Session:
    """Drop what has waited behind a gap for longer than the missing message can still come; it can be sent again."""
    inbound = session.inbound
    limit = draft.now - draft.config.gap_ttl_ns
    window, hashes, freed = inbound.window, inbound.hashes, 0
    for seq, held in inbound.window.items():
        # [ICWS-CAN-030]
        if held.received_ns <= limit:
            window, hashes, freed = window.delete(seq), hashes.delete(seq), freed + len(held.data)
    if freed == 0 and len(window) == len(inbound.window):
        return session
    return replace(
        session,
        inbound=replace(inbound, window=window, hashes=hashes, held_bytes=inbound.held_bytes - freed),
    )
