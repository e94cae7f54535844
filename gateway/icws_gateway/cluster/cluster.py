"""All of what one process shares with the others of its gateway."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from typing import Final

from icws_secure.wire.principal import Principal

from ..config import GatewayConfig
from ..metrics import GatewayMetrics
from ..open_check import OpenedSession
from . import leases
from .claims import ALIVE_SECONDS, Claims, Superseded
from .leases import Lease
from .link import RedisLink
from .sharing import QueueSharing

__all__ = ["Cluster"]

_ROUND: Final = 1.0  # seconds between renewals
_TOGETHER: Final = 256  # claims that are given up in one exchange
_ALIVE: Final = "redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])"
_GONE: Final = "redis.call('DEL', KEYS[1])"


class Cluster:
    """The processes that have this gateway's principal, as one of them sees them.

    Args:
        url: of Redis.
        gateway: the principal; what belongs to another is not touched.
        config: bounds.
        metrics: counts.
        superseded: is told when a client of this process has opened at another, with the later attach.

    Raises:
        MisuseError: Redis cannot be used as configured.
    """

    def __init__(
        self,
        url: str,
        gateway: Principal,
        config: GatewayConfig,
        metrics: GatewayMetrics,
        superseded: Callable[[Superseded], None],
    ) -> None:
        self._metrics = metrics
        self._stale = config.redis_stale_seconds
        # the braces keep all names in one slot of a Redis cluster, as scripts with several keys want
        self._prefix = f"icws:{{{gateway}}}:"
        self._process = secrets.token_hex(8)
        self._link = RedisLink(
            url,
            timeout=config.redis_timeout_seconds,
            most_waiting_bytes=config.redis_queue_bytes,
            metrics=metrics,
        )
        self._claims = Claims(self._link, self._prefix, self._process, superseded)
        self._queues: dict[Principal, QueueSharing] = {}
        self._released: list[Lease] = []
        self._left: deque[OpenedSession] = deque()
        self._most_left = config.closes_waiting
        self._soon = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begins to share. Returns when Redis has answered once, or did not in time."""
        self._link.start()
        self._claims.start()
        await self._round()
        self._task = asyncio.create_task(self._run(), name="cluster")

    async def stop(self) -> None:
        """Gives everything up, so that the others need not wait."""
        self._stopping = True
        self._soon.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        await self._release_claims()
        held = [queue.lease for queue in self._queues.values()]
        await leases.release(self._link, self._prefix, self._process, (*held, *self._released))
        await self._link.run((_GONE, (self._alive,), ()))
        await self._link.stop()

    def join(self, canister: Principal, has_legacy: Callable[[], bool]) -> QueueSharing:
        """This process has clients of a canister.

        Args:
            canister: which.
            has_legacy: whether one of them knows only the old form of canister ranges.
        """
        queue = self._queues[canister] = QueueSharing(
            self._link, self._prefix, Lease(canister, has_legacy), self._stale, self._metrics
        )
        self._soon.set()
        return queue

    def leave(self, canister: Principal) -> None:
        """It has none any more."""
        queue = self._queues.pop(canister, None)
        if queue is not None:
            queue.stop()
            self._released.append(queue.lease)
            self._soon.set()

    async def claim(self, session: OpenedSession) -> None:
        """Makes the session of a verified open this process's.

        Raises:
            ClientRefused: its client key is connected at another process, and the open is not a higher attach.
        """
        await self._claims.claim(session)

    def release(self, session: OpenedSession) -> None:
        """A client has left."""
        # [ICWS-GWY-018]
        if len(self._left) >= self._most_left:
            self._metrics.limits.labels("closes_waiting").inc()
            return
        self._left.append(session)

    @property
    def _alive(self) -> str:
        return f"{self._prefix}alive:{self._process}"

    async def _run(self) -> None:
        while not self._stopping:
            try:
                async with asyncio.timeout(_ROUND):
                    await self._soon.wait()
            except TimeoutError:
                pass
            await self._round()

    async def _round(self) -> None:
        self._soon.clear()
        await self._release_claims()
        released, self._released = self._released, []
        await leases.release(self._link, self._prefix, self._process, released)
        alive = int(ALIVE_SECONDS * 1000)
        if await self._link.run((_ALIVE, (self._alive,), (alive,))) is None:
            return
        queues = tuple(self._queues.values())
        await leases.renew(self._link, self._prefix, self._process, [queue.lease for queue in queues])
        for queue in queues:
            queue.follow_or_lead()
        self._metrics.cluster_leases.set(sum(queue.lease.is_ours for queue in queues))

    async def _release_claims(self) -> None:
        """Gives up the claims of clients that left. Those that Redis does not hear of end with this process."""
        while self._left:
            part = [self._left.popleft() for _ in range(min(_TOGETHER, len(self._left)))]
            await self._claims.release(part)
