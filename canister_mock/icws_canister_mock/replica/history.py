"""The ingress history: what became of users' calls, as the state tree shows it below ``/request_status``.

received -> processing -> replied | rejected -> (done) -> forgotten. A status is kept for five minutes after the call
ended, and until the envelope has expired, so that no call is executed twice. When replies take up too much room the
oldest become ``done``: known to have ended, with the outcome lost.

Source: IC interface specification, "Overview of canister calling".
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from icws_canister_mock.replica.limits import INGRESS_HISTORY_BYTES, INGRESS_HISTORY_ENTRIES, INGRESS_STATUS_TTL_NS
from icws_canister_mock.replica.messages import Ingress
from icws_canister_mock.replica.rejects import Replied, Result
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import Principal

__all__ = ["CallStatus", "Entry", "IngressHistory"]


class CallStatus(StrEnum):
    """How far a call has come."""

    RECEIVED = "received"
    PROCESSING = "processing"
    REPLIED = "replied"
    REJECTED = "rejected"
    DONE = "done"

    @property
    def is_final(self) -> bool:
        """Whether the call has ended."""
        return self in (CallStatus.REPLIED, CallStatus.REJECTED, CallStatus.DONE)


@dataclass(slots=True)
class Entry:
    """One call.

    Attributes:
        sender: the only one who may read its status.
        canister: the canister that was called.
        ingress_expiry_ns: until when the same envelope could be sent again.
        result: the outcome of a call that was replied to or rejected.
    """

    sender: Principal
    canister: Principal
    ingress_expiry_ns: int
    status: CallStatus
    result: Result | None = None


class IngressHistory:
    """The statuses of all calls that the subnet remembers.

    ``tree`` is what :meth:`commit` made of them last.

    Args:
        max_bytes: bytes of replies to keep.
    """

    def __init__(self, *, max_bytes: int = INGRESS_HISTORY_BYTES) -> None:
        self.tree = MerkleMap()
        self._entries: dict[bytes, Entry] = {}
        self._max_bytes = max_bytes
        self._bytes = 0
        self._ended: deque[bytes] = deque()  # request ids in the order in which their calls ended
        self._forget: list[tuple[int, bytes]] = []  # heap of (when, request id)
        self._changed: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_full(self) -> bool:
        """Whether no further call can be remembered, so that none may be accepted."""
        return len(self._entries) >= INGRESS_HISTORY_ENTRIES

    def get(self, request_id: bytes) -> Entry | None:
        """What is known of a call."""
        return self._entries.get(request_id)

    def receive(self, ingress: Ingress) -> None:
        """A block has taken the call in."""
        self._entries[ingress.request_id] = Entry(
            ingress.sender, ingress.canister, ingress.ingress_expiry_ns, CallStatus.RECEIVED
        )
        self._changed.add(ingress.request_id)

    def process(self, request_id: bytes) -> None:
        """The call has had its first effect and goes on."""
        self._entries[request_id].status = CallStatus.PROCESSING
        self._changed.add(request_id)

    def finish(self, request_id: bytes, result: Result, time_ns: int) -> None:
        """The call has ended.

        Args:
            request_id: the call.
            result: how it ended.
            time_ns: block time.
        """
        entry = self._entries[request_id]
        entry.result = result
        entry.status = CallStatus.REPLIED if isinstance(result, Replied) else CallStatus.REJECTED
        self._bytes += _size(result)
        self._ended.append(request_id)
        heapq.heappush(self._forget, (max(time_ns + INGRESS_STATUS_TTL_NS, entry.ingress_expiry_ns), request_id))
        self._changed.add(request_id)
        while self._bytes > self._max_bytes:
            self._drop_outcome(self._ended.popleft())

    def forget_old(self, time_ns: int) -> None:
        """Forget the calls whose time is over."""
        while self._forget and self._forget[0][0] < time_ns:
            _, request_id = heapq.heappop(self._forget)
            self._drop_outcome(request_id)
            del self._entries[request_id]
        while self._ended and self._ended[0] not in self._entries:
            self._ended.popleft()

    def commit(self) -> list[bytes]:
        """Bring ``tree`` up to date.

        Returns:
            The request ids of calls that have ended since the last time.
        """
        ended = []
        for request_id in sorted(self._changed):
            entry = self._entries.get(request_id)
            if entry is None:
                self.tree = self.tree.remove(request_id)
                continue
            self.tree = self.tree.insert(request_id, _status_tree(entry))
            if entry.status.is_final:
                ended.append(request_id)
        self._changed.clear()
        return ended

    def _drop_outcome(self, request_id: bytes) -> None:
        entry = self._entries.get(request_id)
        if entry is None or entry.result is None:
            return
        self._bytes -= _size(entry.result)
        entry.result = None
        entry.status = CallStatus.DONE
        self._changed.add(request_id)


def _size(result: Result) -> int:
    return len(result.arg) if isinstance(result, Replied) else len(result.message)


def _status_tree(entry: Entry) -> MerkleMap:
    tree = MerkleMap().insert(b"status", entry.status.encode())
    if entry.result is None:
        return tree
    if isinstance(entry.result, Replied):
        return tree.insert(b"reply", entry.result.arg)
    return (
        tree.insert(b"reject_code", encode_unsigned(entry.result.code))
        .insert(b"reject_message", entry.result.message.encode())
        .insert(b"error_code", entry.result.error.encode())
    )
