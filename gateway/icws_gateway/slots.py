"""How much may be under way at once; what is more waits, in order. The number can be changed at any time."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Slots"]


class Slots:
    """A semaphore whose bound a reload may change.

    Args:
        limit: how many may be inside.
    """

    __slots__ = ("_inside", "_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._inside = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def locked(self) -> bool:
        """Whether the next one has to wait."""
        return bool(self._waiting) or self._inside >= self._limit

    def change(self, limit: int) -> None:
        """Sets another bound. Those who are inside beyond a lower one stay; nobody enters until there is room."""
        self._limit = limit
        self._admit()

    async def __aenter__(self) -> None:
        if not self.locked():
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()  # it was this one's turn already
            else:
                self._waiting.remove(turn)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self._inside < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._inside += 1
                turn.set_result(None)
