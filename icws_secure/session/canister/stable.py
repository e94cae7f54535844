"""The state as bytes, for upgrades: CBOR, with a version in front.

The certified tree, the schedule and the totals follow from the rest and are made anew. What the application was
handling when the old code stopped counts as trapped: it may have run.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

from immutables import Map

from icws_secure.errors import DecodeError, MisuseError, Reason
from icws_secure.wire import cbor
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.merkle_map import MerkleMap, Subtree
from icws_secure.wire.message import message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import SessionState

from . import inbound
from .config import CanisterConfig
from .draft import Draft
from .refusal import RefusalError
from .state import (
    CanisterState,
    Entry,
    Floor,
    GatewayQueue,
    Held,
    HeldKind,
    Inbound,
    Outbound,
    Registration,
    Retained,
    Session,
)

__all__ = ["dump", "load"]

_VERSION: Final = 1
_MAX_ITEMS: Final = 1 << 32
_MAX_BYTES: Final = 1 << 40
_FIELDS: Final[dict[str, type]] = {
    **dict.fromkeys(("version", "epoch", "clock", "counter", "nonce_floor"), int),
    **dict.fromkeys(("seed", "suite_keys"), bytes),
    **dict.fromkeys(("sessions", "draining", "pending", "refused", "floors"), list),
    **dict.fromkeys(("omnia_seen", "queues", "application"), list),
}


# Writing --------------------------------------------------------------------------------------------------------------


def dump(state: CanisterState, config: CanisterConfig) -> bytes:
    """The state as bytes, secrets included."""
    return cbor.encode_self_described(
        {
            "version": _VERSION,
            "epoch": state.epoch_ns,
            "clock": state.clock_ns,
            "seed": state.seed,
            "counter": state.counter,
            "nonce_floor": state.nonce_floor,
            "sessions": [_session(session) for session in state.sessions.values()],
            "draining": [_session(session) for session in state.draining.values()],
            "pending": [_registration(registration) for registration in state.pending.values()],
            "refused": [[owner.raw, session.raw, until] for (owner, session), until in state.refused.items()],
            "floors": [[owner.raw, floor.created_at_ns, floor.until_ns] for owner, floor in state.floors.items()],
            "omnia_seen": [[principal.raw, until] for principal, until in state.omnia_seen.items()],
            "queues": [_queue(gateway, queue) for gateway, queue in state.queues.items()],
            "application": [[label, _subtree(subtree)] for label, subtree in state.application.items()],
            "suite_keys": config.suites.keys_to_stable(state.suite_keys),
        }
    )


def _registration(value: Registration) -> list[object]:
    return [
        *(value.owner.raw, value.session_principal.raw, value.registration_id),
        *(value.created_ns, value.refreshed_ns, value.expires_ns, value.minimum_suite),
    ]


def _session(value: Session) -> list[object]:
    return [
        *(value.principal.raw, value.client_key.client_nonce),
        None if value.registration is None else _registration(value.registration),
        *(str(value.state), value.opened_ns, value.changed_ns, value.last_seen_ns, value.gateway.raw),
        *(value.attach, value.attach_nonce, value.attached_ns, value.heard, value.detached_ns),
        *(value.closed_ns, value.close_code, value.ack_at_ns, value.alive_by_ns),
        *(value.announce_open, value.announce_close),
        _outbound(value.outbound),
        _inbound(value.inbound),
        None if value.channel is None else value.channel.to_stable(),
    ]


def _outbound(value: Outbound) -> list[object]:
    retained = [[seq, kept.content, kept.timestamp_ns, kept.nonce] for seq, kept in value.retained.items()]
    return [value.next_out, value.acked, retained]


def _inbound(value: Inbound) -> list[object]:
    return [
        *(value.accepted_through, value.executed_through),
        [[seq, held.kind.value, held.data, held.received_ns] for seq, held in value.inbox.items()],
        [[seq, held.kind.value, held.data, held.received_ns] for seq, held in value.window.items()],
        [[seq, digest] for seq, digest in value.hashes.items()],
        *(value.delivering, list(value.trapped)),
    ]


def _queue(gateway: Principal, value: GatewayQueue) -> list[object]:
    entries = [
        [
            entry.client_key.client_principal.raw,
            entry.client_key.client_nonce,
            entry.content,
            entry.queued_ns,
            entry.session.raw,
        ]
        for entry in (value.entries[nonce] for nonce in range(value.first, value.end))
    ]
    return [gateway.raw, value.first, value.attached, value.idle_since_ns, entries]


def _subtree(value: Subtree) -> object:
    if isinstance(value, bytes):
        return value
    return [[label, _subtree(below)] for label, below in value.items()]


# Reading --------------------------------------------------------------------------------------------------------------


def load(data: bytes, config: CanisterConfig, now: int) -> CanisterState:
    """The state that gave ``data``, at canister time ``now``.

    Raises:
        DecodeError: ``data`` is something else, or of a version that is not known.
    """
    try:
        value: Any = cbor.decode(data, what="the session state", max_bytes=_MAX_BYTES, max_items=_MAX_ITEMS)
        if value["version"] != _VERSION:
            raise DecodeError("a session state of another version", reason=Reason.UNSUPPORTED)
        state = _load(cbor.fields(value, what="the session state", required=_FIELDS), config, now)
        state.root.digest()  # now, rather than at the first call: whatever cannot be hashed was no state
        return state
    except RefusalError as error:  # of a suite that the settings no longer offer
        raise DecodeError(f"the settings do not fit the session state: {error}", reason=Reason.UNSUPPORTED) from error
    except (MisuseError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise DecodeError("this is not a session state", reason=Reason.MALFORMED) from error


def _load(value: Any, config: CanisterConfig, now: int) -> CanisterState:
    base = CanisterState(
        epoch_ns=value["epoch"],
        clock_ns=value["clock"],
        seed=value["seed"],
        counter=value["counter"],
        nonce_floor=value["nonce_floor"],
        suite_keys=config.suites.keys_from_stable(value["suite_keys"]),
        application=Map((label, _read_subtree(subtree)) for label, subtree in value["application"]),
    )
    draft = Draft(base, config, now)
    for item in value["queues"]:
        _restore_queue(draft, item)
    for item in value["pending"]:
        draft.put_pending(_read_registration(item))
    sessions = [draft.restore(_read_session(item, config)) for item in value["sessions"] + value["draining"]]
    for owner, principal, until in value["refused"]:
        draft.refuse_pair((Principal(owner), Principal(principal)), until)
    for owner, created_at, until in value["floors"]:
        draft.put_floor(Principal(owner), Floor(created_at, until))
    for principal, until in value.get("omnia_seen", ()):
        draft.remember_omnia(Principal(principal), until)
    for session in sessions:
        # [ICWS-CAN-032]
        if session.inbound.delivering is not None:
            inbound.finish(draft, session, session.inbound.delivering, trapped=True)
    return draft.commit()


def _read_registration(item: Any) -> Registration:
    owner, principal, *rest = item
    return Registration(Principal(owner), Principal(principal), *rest)


def _read_session(item: Any, config: CanisterConfig) -> Session:
    principal, client_nonce, registration, state, opened, changed, last_seen, gateway, *rest = item
    attach, attach_nonce, attached, heard, detached, closed, close_code, ack_at, alive_by, *rest = rest
    announce_open, announce_close, outbound, inbound_, channel = rest
    return Session(
        client_key=ClientKey(Principal(principal), client_nonce),
        registration=None if registration is None else _read_registration(registration),
        state=SessionState(state),
        opened_ns=opened,
        changed_ns=changed,
        last_seen_ns=last_seen,
        gateway=Principal(gateway),
        attach=attach,
        attach_nonce=attach_nonce,
        attached_ns=attached,
        heard=heard,
        detached_ns=detached,
        closed_ns=closed,
        close_code=close_code,
        ack_at_ns=ack_at,
        alive_by_ns=alive_by,
        announce_open=announce_open,
        announce_close=announce_close,
        outbound=_read_outbound(outbound),
        inbound=_read_inbound(inbound_),
        channel=None if channel is None else config.suites.restore(channel),
    )


def _read_outbound(item: Any) -> Outbound:
    next_out, acked, retained = item
    return Outbound(
        next_out=next_out,
        acked=acked,
        retained=Map((seq, Retained(content, timestamp, nonce)) for seq, content, timestamp, nonce in retained),
        retained_bytes=sum(len(content) for _, content, _, _ in retained),
    )


def _read_inbound(item: Any) -> Inbound:
    accepted, executed, inbox, window, hashes, delivering, trapped = item
    return Inbound(
        accepted_through=accepted,
        executed_through=executed,
        inbox=_read_held(inbox),
        window=_read_held(window),
        held_bytes=sum(len(data) for _, _, data, _ in inbox + window),
        hashes=Map((seq, digest) for seq, digest in hashes),
        delivering=delivering,
        trapped=tuple(trapped),
    )


def _read_held(items: Any) -> Map[int, Held]:
    return Map((seq, Held(HeldKind(kind), data, received)) for seq, kind, data, received in items)


def _restore_queue(draft: Draft, item: Any) -> None:
    gateway_raw, first, attached, idle_since, items = item
    gateway = Principal(gateway_raw)
    entries: dict[int, Entry] = {}
    shares: dict[Principal, int] = {}
    for nonce, (principal, client_nonce, content, queued, session_raw) in enumerate(items, first):
        session = Principal(session_raw)
        key = message_key(gateway, nonce)
        entries[nonce] = Entry(ClientKey(Principal(principal), client_nonce), key, content, queued, session)
        shares[session] = shares.get(session, 0) + 1
        draft.messages = draft.messages.insert(key.encode("ascii"), sha256(content).digest())
    draft.put_queue(
        gateway,
        GatewayQueue(
            first=first,
            end=first + len(entries),
            entries=Map(entries),
            bytes=sum(len(entry.content) for entry in entries.values()),
            attached=attached,
            idle_since_ns=idle_since,
            shares=Map(shares),
        ),
    )


def _read_subtree(value: Any) -> Subtree:
    if isinstance(value, bytes):
        return value
    tree = MerkleMap()
    for label, below in value:
        tree = tree.insert(label, _read_subtree(below))
    return tree
