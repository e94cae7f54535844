"""The working copy of the state during one execution.

Rules change a draft as they go; only :meth:`Draft.commit` makes a new state of it. A rule that raises has changed
nothing. The draft also keeps what follows from a session mechanically: byte totals, its place in the schedule, whether
something waits for the application, and its certified head.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace

from immutables import Map

from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

from . import certified, deadlines
from .config import CanisterConfig
from .events import CanisterEvent, Deliver
from .state import CLOSE_SEQ, OPEN_SEQ, CanisterState, Floor, GatewayQueue, HeldKind, Pair, Registration, Session

__all__ = ["Draft", "next_item"]

_NOTHING: Map[Principal, None] = Map()


def next_item(session: Session) -> int | None:
    """What of a session the application is to handle next: a number, ``OPEN_SEQ``, ``CLOSE_SEQ``, or None."""
    inbound = session.inbound
    if inbound.delivering is not None:
        return None
    if session.announce_open:
        return OPEN_SEQ
    held = inbound.inbox.get(inbound.executed_through + 1)
    if held is not None and held.kind is HeldKind.MESSAGE:
        return inbound.executed_through + 1
    return CLOSE_SEQ if session.announce_close else None


class Draft:
    """A mutable copy of a :class:`CanisterState`, field by field, with the operations that rules need.

    Args:
        state: what to start from.
        config: the canister's settings.
        now: canister time; time that goes back is held at the latest seen.
    """

    __slots__ = (
        "_changed",
        "_deliver",
        "application",
        "clock_ns",
        "config",
        "counter",
        "draining",
        "epoch_ns",
        "events",
        "floors",
        "heads",
        "held_bytes",
        "messages",
        "nonce_floor",
        "omnia_seen",
        "owners",
        "pending",
        "pending_owners",
        "queued_bytes",
        "queues",
        "ready",
        "ready_ns",
        "refused",
        "retained_bytes",
        "root",
        "schedule",
        "seed",
        "sessions",
        "suite_keys",
    )

    def __init__(self, state: CanisterState, config: CanisterConfig, now: int) -> None:
        self.config = config
        self.events: list[CanisterEvent] = []
        self._changed: set[Principal] = set()
        self._deliver: dict[ClientKey, None] = {}
        self.epoch_ns = state.epoch_ns
        # [ICWS-CAN-021]
        self.clock_ns = max(now, state.clock_ns)
        self.seed = state.seed
        self.counter = state.counter
        self.sessions = state.sessions
        self.draining = state.draining
        self.pending = state.pending
        self.pending_owners = state.pending_owners
        self.owners = state.owners
        self.refused = state.refused
        self.floors = state.floors
        self.omnia_seen = state.omnia_seen
        self.queues = state.queues
        self.nonce_floor = state.nonce_floor
        self.held_bytes = state.held_bytes
        self.retained_bytes = state.retained_bytes
        self.queued_bytes = state.queued_bytes
        self.schedule = state.schedule
        self.ready = state.ready
        self.ready_ns = state.ready_ns
        self.messages = state.messages
        self.heads = state.heads
        self.application = state.application
        self.root = state.root
        self.suite_keys = state.suite_keys

    @property
    def now(self) -> int:
        """Canister time of this execution."""
        return self.clock_ns

    def commit(self) -> CanisterState:
        """The new state, certified tree and all."""
        # [ICWS-CAN-051]
        for principal in self._changed:
            self._certify_head(principal)
        for client_key in self._deliver:
            if client_key in self.ready:
                self.events.append(Deliver(client_key))
        return CanisterState(
            epoch_ns=self.epoch_ns,
            clock_ns=self.clock_ns,
            seed=self.seed,
            counter=self.counter,
            sessions=self.sessions,
            draining=self.draining,
            pending=self.pending,
            pending_owners=self.pending_owners,
            owners=self.owners,
            refused=self.refused,
            floors=self.floors,
            omnia_seen=self.omnia_seen,
            queues=self.queues,
            nonce_floor=self.nonce_floor,
            held_bytes=self.held_bytes,
            retained_bytes=self.retained_bytes,
            queued_bytes=self.queued_bytes,
            schedule=self.schedule,
            ready=self.ready,
            ready_ns=self.ready_ns,
            messages=self.messages,
            heads=self.heads,
            application=self.application,
            root=certified.assemble(self),
            suite_keys=self.suite_keys,
        )

    def secret(self, label: bytes, size: int) -> bytes:
        """``size`` bytes, up to 32, that nobody can guess and that never come twice."""
        self.counter += 1
        return hmac.digest(self.seed, label + self.counter.to_bytes(8, "big"), hashlib.sha256)[:size]

    # Sessions ---------------------------------------------------------------------------------------------------------

    def find(self, client_key: ClientKey) -> Session | None:
        """The session of a client key, live, remembered or draining."""
        session = self.sessions.get(client_key.client_principal)
        if session is not None and session.client_key == client_key:
            return session
        return self.draining.get(client_key)

    def put(self, session: Session) -> Session:
        """Keep ``session`` in place of what it was before; gives it with its place in the schedule."""
        old = self.find(session.client_key)
        if session.secure and (old is None or certified.facts(old) != certified.facts(session)):
            session = replace(session, changed_ns=self.now)
            self._changed.add(session.principal)
        return self._place(session, old)

    def restore(self, session: Session) -> Session:
        """Keep a session that was read from stable memory, with its times as they are."""
        if session.registration is not None:
            self.remember_owned(session.owner, session.principal)
            self._changed.add(session.principal)
        return self._place(session, None)

    def _place(self, session: Session, old: Session | None) -> Session:
        self._count(old, session)
        when = deadlines.of_session(session, self.config)
        if when is not None and (session.scheduled_ns is None or when < session.scheduled_ns):
            self.schedule = self.schedule.add(when, deadlines.SESSION, session.client_key)
            session = replace(session, scheduled_ns=when)
        self._keep(session, old)
        return session

    def forget(self, session: Session) -> None:
        """Remove every trace of a session but its queue entries."""
        self._count(self.find(session.client_key), None)
        self.ready = self.ready.delete(session.client_key) if session.client_key in self.ready else self.ready
        if session.client_key in self.draining:
            self.draining = self.draining.delete(session.client_key)
            return
        self.sessions = self.sessions.delete(session.principal)
        if session.registration is not None:
            self.forget_owned(session.owner, session.principal)
        self._changed.add(session.principal)

    def _keep(self, session: Session, old: Session | None) -> None:
        key = session.client_key
        waits = next_item(session) is not None
        if waits:
            if not self.ready:
                self.ready_ns = self.now
            self.ready = self.ready.set(key, None)
            self._deliver[key] = None
        elif key in self.ready:
            self.ready = self.ready.delete(key)
        if session.secure or session.state is not SessionState.CLOSED:
            self.sessions = self.sessions.set(session.principal, session)
            return
        # an omnia session that is over makes place for the principal's next, and stays until the application knows
        if old is not None and self.sessions.get(session.principal) is old:
            self.sessions = self.sessions.delete(session.principal)
        if session.announce_close or session.inbound.delivering is not None:
            self.draining = self.draining.set(key, session)
        elif key in self.draining:
            self.draining = self.draining.delete(key)

    def _count(self, old: Session | None, new: Session | None) -> None:
        if old is not None:
            self.held_bytes -= old.inbound.held_bytes
            self.retained_bytes -= old.outbound.retained_bytes
        if new is not None:
            self.held_bytes += new.inbound.held_bytes
            self.retained_bytes += new.outbound.retained_bytes

    def _certify_head(self, principal: Principal) -> None:
        session = self.sessions.get(principal)
        if session is not None and session.secure:
            leaf = certified.head_of_session(session).encode()
        elif principal in self.pending_owners:
            # several owners may have named one session principal; the first to do so is the one shown before the open
            first = min(
                (self.pending[owner, principal] for owner in self.pending_owners[principal]),
                key=lambda registration: (registration.created_ns, registration.registration_id),
            )
            leaf = certified.head_of_registration(first).encode()
        else:
            self.heads = self.heads.remove(principal.raw)
            return
        self.heads = self.heads.insert(principal.raw, leaf)

    # Registrations ----------------------------------------------------------------------------------------------------

    def put_pending(self, registration: Registration) -> None:
        """Keep a registration that is not opened yet."""
        pair = registration.owner, registration.session_principal
        self.pending = self.pending.set(pair, registration)
        owners = self.pending_owners.get(pair[1], _NOTHING)
        self.pending_owners = self.pending_owners.set(pair[1], owners.set(pair[0], None))
        self.remember_owned(*pair)
        self.schedule = self.schedule.add(
            registration.refreshed_ns + self.config.unopened_ttl_ns, deadlines.PENDING, pair
        )
        self._changed.add(pair[1])

    def forget_pending(self, pair: Pair) -> None:
        """Remove a registration that is not opened yet; the owner's list is left to the caller."""
        self.pending = self.pending.delete(pair)
        owners = self.pending_owners[pair[1]].delete(pair[0])
        self.pending_owners = (
            self.pending_owners.set(pair[1], owners) if owners else self.pending_owners.delete(pair[1])
        )
        self._changed.add(pair[1])

    def remember_owned(self, owner: Principal, session: Principal) -> None:
        """Put a session principal on its owner's list."""
        self.owners = self.owners.set(owner, self.owners.get(owner, _NOTHING).set(session, None))

    def forget_owned(self, owner: Principal, session: Principal) -> None:
        """Take a session principal off its owner's list."""
        owned = self.owners.get(owner, _NOTHING)
        if session in owned:
            owned = owned.delete(session)
            self.owners = self.owners.set(owner, owned) if owned else self.owners.delete(owner)

    def refuse_pair(self, pair: Pair, until: int | None = None) -> None:
        """Refuse registrations of a pair for as long as a withheld one may live, or until a given time."""
        if until is None:
            until = self.now + self.config.refused_ttl_ns
        self.refused = self.refused.set(pair, until)
        self.remember_owned(*pair)
        self.schedule = self.schedule.add(until, deadlines.REFUSED, pair)

    def put_floor(self, owner: Principal, floor: Floor) -> None:
        """Keep what a revoke-all leaves behind."""
        self.floors = self.floors.set(owner, floor)
        self.schedule = self.schedule.add(floor.until_ns, deadlines.FLOOR, owner)

    def remember_omnia(self, principal: Principal, until: int) -> None:
        """Remember that a principal has opened as ``omnia/1``; above the bound nobody is added."""
        # [ICWS-CAN-027]
        if principal in self.omnia_seen or len(self.omnia_seen) < self.config.max_sessions:
            self.omnia_seen = self.omnia_seen.set(principal, until)
            self.schedule = self.schedule.add(until, deadlines.OMNIA, principal)

    @property
    def records(self) -> int:
        """Registrations, sessions and what is remembered of them: what ``max_sessions`` bounds."""
        return (
            len(self.sessions) + len(self.draining) + len(self.pending) + len(self.refused) + len(self.floors)
        )  # [ICWS-CAN-027]

    # Queues -----------------------------------------------------------------------------------------------------------

    def put_queue(self, gateway: Principal, queue: GatewayQueue) -> GatewayQueue:
        """Keep a queue; gives it with its place in the schedule."""
        old = self.queues.get(gateway)
        self.queued_bytes += queue.bytes - (0 if old is None else old.bytes)
        when = deadlines.of_queue(queue, self.config)
        if when is not None and (queue.scheduled_ns is None or when < queue.scheduled_ns):
            self.schedule = self.schedule.add(when, deadlines.QUEUE, gateway)
            queue = replace(queue, scheduled_ns=when)
        self.queues = self.queues.set(gateway, queue)
        return queue

    def drop_queue(self, gateway: Principal) -> None:
        """Remove an empty queue. The next of this gateway starts above its nonces."""
        queue = self.queues[gateway]
        self.nonce_floor = max(self.nonce_floor, queue.end)
        self.queues = self.queues.delete(gateway)

    def say(self, event: CanisterEvent) -> None:
        """Report an event."""
        self.events.append(event)
