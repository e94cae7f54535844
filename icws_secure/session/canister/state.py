"""The state of a canister's sessions: frozen records and persistent maps.

One :class:`CanisterState` is a value: keeping a snapshot or rolling back is an assignment. Nothing here decides
anything; the rules are in the modules beside this one, which work on a
:class:`~icws_secure.session.canister.draft.Draft`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from immutables import Map

from icws_secure.wire.interface import ClientKey
from icws_secure.wire.merkle_map import MerkleMap, Subtree
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

from .schedule import EMPTY_SCHEDULE, Schedule
from .sealing import SealedChannel

__all__ = [
    "CLOSE_SEQ",
    "OPEN_SEQ",
    "CanisterState",
    "Entry",
    "Floor",
    "GatewayQueue",
    "Held",
    "HeldKind",
    "Inbound",
    "Outbound",
    "Pair",
    "Registration",
    "Retained",
    "Session",
]

OPEN_SEQ: Final = 0
"""Stands for "the session was opened" where messages are numbered from 1."""

CLOSE_SEQ: Final = 1 << 64
"""Stands for "the session is over": above every number."""

_NOTHING: Final[Map[Any, Any]] = Map()
_EMPTY_TREE: Final = MerkleMap()

Pair: TypeAlias = tuple[Principal, Principal]
"""Owner and session principal: what the registry is keyed by."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What an owner has registered.

    Attributes:
        owner: who.
        session_principal: the session key's principal.
        registration_id: 16 bytes.
        created_ns: canister time of the first registration.
        refreshed_ns: canister time of the latest registration of this pair.
        expires_ns: end of the session.
        minimum_suite: weakest payload suite the owner wants, or None.
    """

    owner: Principal
    session_principal: Principal
    registration_id: bytes
    created_ns: int
    refreshed_ns: int
    expires_ns: int
    minimum_suite: str | None = None


class HeldKind(Enum):
    """What is done with a message from the client once its turn has come."""

    MESSAGE = "message"
    """handed to the application"""
    NOTHING = "nothing"
    """a keep-alive or skip, whose effect it has had on arrival"""
    CLOSE = "close"
    """ends the session"""


@dataclass(frozen=True, slots=True)
class Held:
    """A message from the client that is not handled yet: behind a gap, or waiting for the application."""

    kind: HeldKind
    data: bytes = field(repr=False)
    received_ns: int


@dataclass(frozen=True, slots=True)
class Inbound:
    """The stream from the client.

    Attributes:
        accepted_through: every message up to this number was accepted.
        executed_through: every message up to this number was handled.
        inbox: accepted messages not handled yet: the numbers in between.
        window: messages behind a gap.
        held_bytes: bytes in both.
        hashes: of the latest accepted contents and those in the window, by number.
        delivering: number that the application is handling in an execution that has not ended, or None.
        trapped: numbers whose handler trapped, the latest 32.
    """

    accepted_through: int = 0
    executed_through: int = 0
    inbox: Map[int, Held] = _NOTHING
    window: Map[int, Held] = _NOTHING
    held_bytes: int = 0
    hashes: Map[int, bytes] = _NOTHING
    delivering: int | None = None
    trapped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Retained:
    """A message to the client that it has not acknowledged.

    Attributes:
        content: the certified bytes, which never change.
        timestamp_ns: when it was made.
        nonce: its place in the queue of the newest attach, or None.
    """

    content: bytes = field(repr=False)
    timestamp_ns: int
    nonce: int | None


@dataclass(frozen=True, slots=True)
class Outbound:
    """The stream to the client.

    Attributes:
        next_out: number of the next message.
        acked: highest number acknowledged; the next is the oldest that is retained.
        retained: secure sessions only: the numbers from acked + 1 to next_out - 1; none once the session is given up.
        retained_bytes: bytes of them.
    """

    next_out: int = 1
    acked: int = 0
    retained: Map[int, Retained] = _NOTHING
    retained_bytes: int = 0

    @property
    def oldest_retained(self) -> int:
        """Lowest number that can still be queued again; the next one if there is none."""
        return self.next_out - len(self.retained)


@dataclass(frozen=True, slots=True)
class Session:
    """A session that was opened.

    Attributes:
        client_key: fixed for life.
        registration: None in ``omnia/1``.
        state: see :mod:`~icws_secure.session.canister.table`.
        opened_ns: when it was first opened.
        changed_ns: when its head last changed.
        last_seen_ns: last valid call of the session key.
        gateway: of the newest attach.
        attach: number of the newest attach.
        attach_nonce: of the newest attach message, in the gateway's queue.
        attached_ns: when the newest attach was made.
        heard: whether the session key has called since.
        detached_ns: when it was detached, if it is.
        closed_ns: when it ended, if it has.
        close_code: why.
        ack_at_ns: when to acknowledge next, while attached.
        alive_by_ns: when to have heard of the client, after an acknowledgement.
        scheduled_ns: the earliest time that the schedule will look at this session.
        announce_open: whether the application is still to be told that the session was opened.
        announce_close: whether it is still to be told that it is over.
        outbound: the stream to the client.
        inbound: the stream from the client.
        channel: payload protection of the newest attach, None without.
    """

    client_key: ClientKey
    registration: Registration | None
    state: SessionState
    opened_ns: int
    changed_ns: int
    last_seen_ns: int
    gateway: Principal
    attach: int = 0
    attach_nonce: int | None = None
    attached_ns: int = 0
    heard: bool = False
    detached_ns: int | None = None
    closed_ns: int | None = None
    close_code: str | None = None
    ack_at_ns: int | None = None
    alive_by_ns: int | None = None
    scheduled_ns: int | None = None
    announce_open: bool = False
    announce_close: bool = False
    outbound: Outbound = Outbound()
    inbound: Inbound = Inbound()
    channel: SealedChannel | None = None

    @property
    def principal(self) -> Principal:
        """Who signs the session's calls."""
        return self.client_key.client_principal

    @property
    def secure(self) -> bool:
        """Whether the session is of ``icws-secure/1``."""
        return self.registration is not None

    @property
    def owner(self) -> Principal:
        """Whose session it is; in ``omnia/1`` the client's own."""
        return self.principal if self.registration is None else self.registration.owner


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in a gateway's queue.

    Attributes:
        client_key: whose message; that of a tombstone if it was removed.
        key: the message key.
        content: the certified bytes; empty if it was removed.
        queued_ns: when it was queued.
        session: whose entry it was first: what the bound for each session counts by.
    """

    client_key: ClientKey
    key: str
    content: bytes = field(repr=False)
    queued_ns: int
    session: Principal


@dataclass(frozen=True, slots=True)
class GatewayQueue:
    """The messages for one gateway, at consecutive nonces.

    Attributes:
        first: nonce of the entry at the front.
        end: nonce of the next entry.
        entries: by nonce, from first to end - 1.
        bytes: bytes of their contents.
        attached: sessions attached through this gateway.
        idle_since_ns: when the last of them left, or None.
        shares: entries, tombstones too, by session.
    """

    first: int
    end: int
    entries: Map[int, Entry] = _NOTHING
    bytes: int = 0
    attached: int = 0
    idle_since_ns: int | None = None
    scheduled_ns: int | None = None
    shares: Map[Principal, int] = _NOTHING


@dataclass(frozen=True, slots=True)
class Floor:
    """What an owner's revoke-all leaves behind.

    Attributes:
        created_at_ns: registrations up to this signed time are refused.
        until_ns: as long as an ingress message from before may live.
    """

    created_at_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True, repr=False)
class CanisterState:
    """Everything.

    Attributes:
        epoch_ns: when this state was created.
        clock_ns: the latest canister time seen.
        seed: 32 secret bytes: salts, registration ids and jitter are made of it.
        counter: how many salts and ids were made.
        sessions: opened ones of both profiles, by who signs; ended secure ones while they are remembered.
        draining: ended ``omnia/1`` sessions of which the application has not handled everything.
        pending: registrations not opened yet.
        pending_owners: who has registered a session principal that is not opened yet.
        owners: the session principals of an owner: pending, live and remembered ones.
        refused: revoked pairs without a session, and until when they are refused.
        floors: what revoke-all has left.
        omnia_seen: who has opened as ``omnia/1``, and until when that is remembered; both profiles only.
        queues: by gateway.
        nonce_floor: above every nonce of a queue that was dropped.
        held_bytes: client messages not handled, all sessions.
        retained_bytes: unacknowledged messages, all sessions.
        queued_bytes: all queues.
        schedule: when to look at what.
        ready: sessions with something for the application.
        ready_ns: since when there is one.
        messages: the tree below ``websocket``.
        heads: the tree below ``icws/head``.
        application: the application's labels.
        root: the whole certified tree.
        suite_keys: the payload provider's own.
    """

    epoch_ns: int
    clock_ns: int
    seed: bytes
    counter: int = 0
    sessions: Map[Principal, Session] = _NOTHING
    draining: Map[ClientKey, Session] = _NOTHING
    pending: Map[Pair, Registration] = _NOTHING
    pending_owners: Map[Principal, Map[Principal, None]] = _NOTHING
    owners: Map[Principal, Map[Principal, None]] = _NOTHING
    refused: Map[Pair, int] = _NOTHING
    floors: Map[Principal, Floor] = _NOTHING
    omnia_seen: Map[Principal, int] = _NOTHING
    queues: Map[Principal, GatewayQueue] = _NOTHING
    nonce_floor: int = 0
    held_bytes: int = 0
    retained_bytes: int = 0
    queued_bytes: int = 0
    schedule: Schedule = EMPTY_SCHEDULE
    ready: Map[ClientKey, None] = _NOTHING
    ready_ns: int | None = None
    messages: MerkleMap = _EMPTY_TREE
    heads: MerkleMap = _EMPTY_TREE
    application: Map[bytes, Subtree] = _NOTHING
    root: MerkleMap = _EMPTY_TREE
    suite_keys: object = None

    def __repr__(self) -> str:  # [ICWS-LIB-026] the seed is a secret
        return f"<CanisterState of {len(self.sessions)} sessions, {len(self.queues)} queues, at {self.clock_ns}>"
