"""The queues that gateways poll.

Nonces are consecutive. A queue loses entries at its front only, and only by age: a poller that is a little behind must
not find a hole. An entry that is taken away elsewhere becomes a tombstone under the same key.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import Final

from icws_secure import limits
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import TOMBSTONE_CLIENT_KEY, message_key
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import RefusalCode

from .draft import Draft
from .refusal import refuse
from .state import Entry, GatewayQueue

__all__ = ["append", "arrive", "depart", "remove", "share", "trim", "trim_idle"]

_EMPTY_HASH: Final = sha256(b"").digest()


def arrive(draft: Draft, gateway: Principal) -> None:
    """One more session is attached through ``gateway``; its queue is made if there is none.

    Raises:
        RefusalError: there are too many gateways.
    """
    queue = draft.queues.get(gateway)
    if queue is None:
        # [ICWS-CAN-027]
        if len(draft.queues) >= draft.config.max_gateways:
            refuse(RefusalCode.TOO_MANY, "this canister has messages for too many gateways")
        # [ICWS-CAN-022] above every nonce that this gateway ever had, without remembering them
        start = max(draft.now, draft.nonce_floor)
        queue = GatewayQueue(first=start, end=start)
    draft.put_queue(gateway, replace(queue, attached=queue.attached + 1, idle_since_ns=None))


def depart(draft: Draft, gateway: Principal) -> None:
    """One session less is attached through ``gateway``."""
    queue = draft.queues[gateway]
    attached = queue.attached - 1
    draft.put_queue(gateway, replace(queue, attached=attached, idle_since_ns=None if attached else draft.now))


def append(draft: Draft, gateway: Principal, client_key: ClientKey, content: bytes) -> int:
    """Certify a message and queue it; gives its nonce.

    Args:
        draft: the working copy.
        gateway: one that a session is attached through.
        client_key: whose message.
        content: the CBOR of the message.

    Raises:
        RefusalError: ``RetentionFull``: the queue is full of entries that are too young to drop.
    """
    config = draft.config
    queue = trim(draft, gateway, config.ack_interval_ns, limits.TRIMMED_PER_SEND)
    if _full(draft, queue, len(content)):
        queue = trim(draft, gateway, limits.QUEUE_MIN_AGE_NS, limits.TRIMMED_PER_SEND)
        # [ICWS-CAN-027]
        if _full(draft, queue, len(content)):
            refuse(RefusalCode.RETENTION_FULL, "the queue of the gateway is full")
    nonce = queue.end
    key = message_key(gateway, nonce)
    session = client_key.client_principal
    # [ICWS-CAN-020]
    draft.messages = draft.messages.insert(key.encode("ascii"), sha256(content).digest())
    draft.put_queue(
        gateway,
        replace(
            queue,
            end=nonce + 1,
            entries=queue.entries.set(nonce, Entry(client_key, key, content, draft.now, session)),
            bytes=queue.bytes + len(content),
            shares=queue.shares.set(session, queue.shares.get(session, 0) + 1),
        ),
    )
    return nonce


def remove(draft: Draft, gateway: Principal, nonces: list[int]) -> None:
    """Turn entries into tombstones; those that are gone already are passed over."""
    queue = draft.queues.get(gateway)
    if queue is None:
        return
    entries, freed = queue.entries, 0
    for nonce in nonces:
        entry = entries.get(nonce)
        if entry is not None and entry.client_key != TOMBSTONE_CLIENT_KEY:
            freed += len(entry.content)
            # [ICWS-CAN-023]
            entries = entries.set(nonce, replace(entry, client_key=TOMBSTONE_CLIENT_KEY, content=b""))
            draft.messages = draft.messages.insert(entry.key.encode("ascii"), _EMPTY_HASH)
    draft.put_queue(gateway, replace(queue, entries=entries, bytes=queue.bytes - freed))


def share(draft: Draft, gateway: Principal, session: Principal) -> int:
    """Entries in a queue, tombstones included, that were made for one session."""
    queue = draft.queues.get(gateway)
    return 0 if queue is None else queue.shares.get(session, 0)


def trim(draft: Draft, gateway: Principal, age_ns: int, count: int) -> GatewayQueue:
    """Drop up to ``count`` entries at the front that are at least ``age_ns`` old."""
    queue = draft.queues[gateway]
    first, entries, freed, shares = queue.first, queue.entries, 0, queue.shares
    while first < queue.end and first - queue.first < count and entries[first].queued_ns + age_ns <= draft.now:
        entry = entries[first]
        freed += len(entry.content)
        draft.messages = draft.messages.remove(entry.key.encode("ascii"))
        entries = entries.delete(first)
        left = shares[entry.session] - 1
        shares = shares.set(entry.session, left) if left else shares.delete(entry.session)
        first += 1
    if first == queue.first:
        return queue
    return draft.put_queue(
        gateway, replace(queue, first=first, entries=entries, bytes=queue.bytes - freed, shares=shares)
    )


def trim_idle(draft: Draft, gateway: Principal, count: int) -> int:
    """Drop what is old in a queue, and the queue itself if it is empty and idle; gives how many entries went."""
    queue = draft.queues.get(gateway)
    if queue is None:
        return 0
    before = len(queue.entries)
    queue = trim(draft, gateway, draft.config.ack_interval_ns, count)
    idle = queue.idle_since_ns
    if not queue.entries and idle is not None and idle + draft.config.ack_interval_ns <= draft.now:
        draft.drop_queue(gateway)
        return before
    # the entry of the schedule that led here is spent
    draft.put_queue(gateway, replace(queue, scheduled_ns=None))
    return before - len(queue.entries)


def _full(draft: Draft, queue: GatewayQueue, size: int) -> bool:
    config = draft.config
    return (
        len(queue.entries) >= config.queue_messages
        or queue.bytes + size > config.queue_bytes
        or draft.queued_bytes + size > config.queue_total_bytes
    )
