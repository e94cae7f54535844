"""When a session or a queue is to be looked at next, by the clock."""

from __future__ import annotations

from typing import Final

from icws_secure.wire.registration import SessionState

from .config import CanisterConfig
from .state import GatewayQueue, Session

__all__ = [
    "FLOOR",
    "OMNIA",
    "PENDING",
    "QUEUE",
    "REFUSED",
    "SESSION",
    "forget_at",
    "of_queue",
    "of_session",
    "unacked_until",
]

SESSION: Final = "session"
PENDING: Final = "pending"
REFUSED: Final = "refused"
FLOOR: Final = "floor"
OMNIA: Final = "omnia"
QUEUE: Final = "queue"


def of_session(session: Session, config: CanisterConfig) -> int | None:
    """The earliest time at which the clock alone changes a session, or None."""
    state = session.state
    if state is SessionState.CLOSED:
        return forget_at(session, config)
    times = []
    if session.registration is not None:
        times.append(session.registration.expires_ns)
    if state is SessionState.OPEN:
        if session.ack_at_ns is not None:
            times.append(session.ack_at_ns)
        if session.alive_by_ns is not None:
            times.append(session.alive_by_ns)
        if session.secure:
            if not session.heard:
                times.append(session.attached_ns + config.detach_after_open_ns)
            if session.outbound.retained:
                times.append(unacked_until(session, config))
    elif session.detached_ns is not None:
        times.append(session.detached_ns + config.resume_window_ns)
    if session.inbound.window:
        times.append(min(held.received_ns for held in session.inbound.window.values()) + config.gap_ttl_ns)
    return min(times, default=None)


def forget_at(session: Session, config: CanisterConfig) -> int | None:
    """When an ended secure session is forgotten: no ingress message from before and no resume can come then."""
    if session.closed_ns is None or not session.secure:
        return None
    return session.closed_ns + max(config.refused_ttl_ns, config.resume_window_ns)


def unacked_until(session: Session, config: CanisterConfig) -> int:
    """How long the oldest unacknowledged message of an attached session is kept.

    A client that is well acknowledges within one interval and the timeout; the resume window comes on top, so that no
    client that comes back in time finds a gap.
    """
    oldest = session.outbound.retained[session.outbound.oldest_retained]
    return oldest.timestamp_ns + config.resume_window_ns + config.ack_interval_ns + config.keep_alive_timeout_ns


def of_queue(queue: GatewayQueue, config: CanisterConfig) -> int | None:
    """When the front of a queue is old enough to be dropped, or an empty one without sessions, or None."""
    if queue.entries:
        return queue.entries[queue.first].queued_ns + config.ack_interval_ns
    return None if queue.idle_since_ns is None else queue.idle_since_ns + config.ack_interval_ns
