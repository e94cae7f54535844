"""Calls of one client under way: how many may be, and which."""

from __future__ import annotations

import asyncio

__all__ = ["CallLane"]


class CallLane:
    """Bounds the calls of one client and knows their request ids.

    A reader that waits for room does not read from its socket meanwhile, so what a client can have waiting here is
    bounded by the socket's buffers. With room for one call, calls are relayed strictly one after another.
    """

    __slots__ = ("_ids", "_waiters")

    def __init__(self) -> None:
        self._ids: set[bytes] = set()
        self._waiters: list[asyncio.Future[None]] = []

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, request_id: bytes) -> bool:
        return request_id in self._ids

    async def below(self, count: int) -> None:
        """Waits until fewer than ``count`` calls are under way."""
        while len(self._ids) >= count:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    def enter(self, request_id: bytes) -> None:
        """A call is under way."""
        self._ids.add(request_id)

    def leave(self, request_id: bytes) -> None:
        """It ended."""
        self._ids.discard(request_id)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
