"""One canister's polls, shared: who polls, what is handed on, and when a process must help itself.

A process that follows is told of each answer the place that was asked for. So it knows how far whoever polls has come,
and that something was lost on the way, even if nothing comes after it. It polls for itself

* from its start until the first word of whoever polls, and to learn its place in the queue;
* when it is behind for longer than answers take to overtake each other;
* when it has heard nothing for a while;
* when Redis does not answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from icws_secure.errors import IcwsError
from icws_secure.wire import cbor

from ..metrics import GatewayMetrics
from .leases import Lease
from .link import RedisLink

__all__ = ["QueueSharing", "SharedReply"]

_PATIENCE: Final = 0.3  # seconds to be behind, since answers to polls ahead overtake each other
_EMPTY_EVERY: Final = 0.5  # seconds between empty answers that are handed on, as signs of life
_MAX_REPLY_BYTES: Final = 4 << 20  # what a query may answer, and room for what is around it
_NEVER: Final = float("-inf")


@dataclass(frozen=True, slots=True)
class SharedReply:
    """The answer to a poll, as another process had it. Nothing of it is checked.

    Attributes:
        nonce: the place that was asked for.
        arg: Candid, as the canister sent it.
    """

    nonce: int
    arg: bytes

    def encode(self) -> bytes:
        """As it is published."""
        return cbor.encode({"nonce": self.nonce, "arg": self.arg})

    @classmethod
    def decode(cls, data: bytes) -> SharedReply:
        """Read one.

        Raises:
            DecodeError: it is not one.
        """
        value: dict[str, Any] = cbor.fields(
            cbor.decode(data, what="a shared reply", max_bytes=_MAX_REPLY_BYTES, max_depth=1, max_items=16),
            what="a shared reply",
            required={"nonce": int, "arg": bytes},
        )
        return cls(value["nonce"], value["arg"])


class QueueSharing:
    """The part of a poller that knows of other processes.

    Args:
        link: to them.
        prefix: of names in Redis.
        lease: who polls.
        stale: seconds without a word after which a process polls for itself.
        metrics: counts.
    """

    def __init__(self, link: RedisLink, prefix: str, lease: Lease, stale: float, metrics: GatewayMetrics) -> None:
        self._link = link
        self._lease = lease
        self._stale = stale
        self._metrics = metrics
        self._replies = f"{prefix}replies:{lease.canister}"
        self._calls = f"{prefix}calls:{lease.canister}"
        self._heard_at = _NEVER
        self._heard_through = 0
        self._behind_since: float | None = None
        self._empty_at = _NEVER
        self._take: Callable[[SharedReply], None] | None = None
        self._hurry: Callable[[], None] | None = None

    @property
    def lease(self) -> Lease:
        """Who polls."""
        return self._lease

    @property
    def leads(self) -> bool:
        """Whether this process polls for all, or has nobody to rely on."""
        return self._lease.is_ours or not self._link.is_up

    @property
    def wants_legacy(self) -> bool:
        """Whether another process has clients that know only the old form of canister ranges."""
        return self._lease.wants_legacy

    def start(self, take: Callable[[SharedReply], None], hurry: Callable[[], None]) -> None:
        """Begins to listen.

        Args:
            take: is given answers of whoever polls.
            hurry: is called when a client of another process had a call executed.
        """
        self._take, self._hurry = take, hurry
        self._link.listen(self._calls, self._heard_of_a_call)
        self.follow_or_lead()

    def stop(self) -> None:
        """Listens no more."""
        self._take = self._hurry = None
        self._link.ignore(self._calls)
        self._link.ignore(self._replies)

    def follow_or_lead(self) -> None:
        """Does what the lease asks for, after it was renewed or lost."""
        if self._take is None:
            return
        if self._lease.is_ours:
            # what this process publishes it need not hear
            self._link.ignore(self._replies)
            self._heard_at, self._behind_since = _NEVER, None
        else:
            self._link.listen(self._replies, self._heard)

    def not_before(self, position: int) -> float:
        """When to poll for oneself, by the monotonic clock, given the place in the queue that is due."""
        if self.leads or time.monotonic() - self._heard_at > self._stale:
            return 0.0
        if position >= self._heard_through:
            self._behind_since = None
            return self._heard_at + self._stale
        # a place in the queue is not learnt by waiting
        if not position:
            return 0.0
        if self._behind_since is None:
            self._behind_since = time.monotonic()
        return self._behind_since + _PATIENCE

    def hand_on(self, reply: SharedReply, *, empty: bool) -> None:
        """Gives the others an answer that was checked, if they rely on this process."""
        if not self._lease.is_ours:
            return
        now = time.monotonic()
        if empty:
            if now - self._empty_at < _EMPTY_EVERY:
                return
            self._empty_at = now
        self._link.publish(self._replies, reply.encode())
        self._metrics.shared_replies.labels("handed_on").inc()

    def executed(self) -> None:
        """Tells whoever polls that a call of a client of ours was executed."""
        if not self.leads:
            self._link.publish(self._calls, b"")

    def heard_through(self, end: int) -> None:
        """An answer was read: whoever polls has come as far as ``end``."""
        self._heard_at = time.monotonic()
        self._heard_through = end

    def _heard(self, data: bytes) -> None:
        if self._take is None or self._lease.is_ours:
            return
        try:
            reply = SharedReply.decode(data)
        except IcwsError:
            self._metrics.shared_replies.labels("unreadable").inc()
            return
        self._take(reply)

    def _heard_of_a_call(self, _: bytes) -> None:
        if self._hurry is not None and self._lease.is_ours:
            self._hurry()
