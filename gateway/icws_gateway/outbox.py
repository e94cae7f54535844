"""Frames that wait for a client that reads slowly: bounded by count and bytes, and by bytes for all clients."""

from __future__ import annotations

from collections import deque

from .config import GatewayConfig

__all__ = ["Outbox", "QueueBudget"]


class QueueBudget:
    """Bytes that wait for all clients together.

    Args:
        config: the bounds.
    """

    __slots__ = ("config", "used")

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.used = 0


class Outbox:
    """Frames that wait for one client.

    Args:
        budget: shared with all other clients.
    """

    __slots__ = ("_budget", "_bytes", "_frames")

    def __init__(self, budget: QueueBudget) -> None:
        self._budget = budget
        self._frames: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._bytes

    def put(self, frame: bytes) -> str | None:
        """Appends a frame. Returns the name of the bound that it would cross, and then keeps nothing of it."""
        config, size = self._budget.config, len(frame)
        # [ICWS-GWY-018]
        if len(self._frames) >= config.queue_frames:
            return "queue_frames"
        if self._bytes + size > config.queue_bytes:
            return "queue_bytes"
        if self._budget.used + size > config.queue_total_bytes:
            return "queue_total_bytes"
        self._frames.append(frame)
        self._bytes += size
        self._budget.used += size
        return None

    def take(self) -> bytes | None:
        """The oldest frame, which leaves the queue; None if there is none."""
        if not self._frames:
            return None
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        self._budget.used -= len(frame)
        return frame

    def clear(self) -> None:
        """Drops everything."""
        self._budget.used -= self._bytes
        self._bytes = 0
        self._frames.clear()
