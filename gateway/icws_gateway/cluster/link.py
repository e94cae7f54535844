"""The connection to Redis: commands with a time limit, channels that are listened to, messages that are sent.

Nothing in here raises because of Redis: it is there or it is not, and :attr:`RedisLink.is_up` says so.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from icws_secure.errors import MisuseError, Reason

from ..logs import logger
from ..metrics import GatewayMetrics

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import PubSub

__all__ = ["Listener", "RedisLink"]

Listener = Callable[[bytes], None]
"""Is given what was published on a channel; anything may have been."""

_FIRST_PAUSE: Final = 0.2  # seconds before a lost connection is tried again; doubles
_LONGEST_PAUSE: Final = 5.0
_LISTEN: Final = 0.2  # seconds that one wait for messages takes at the most; other wishes are followed in between
_HEALTH: Final = 5  # seconds after which a silent connection is tried


class RedisLink:
    """One process's way to the others.

    Args:
        url: of the server, with its password if it has one; never logged.
        timeout: seconds for a command.
        most_waiting_bytes: of messages that wait to be sent; what is beyond is dropped.
        metrics: counts.

    Raises:
        MisuseError: the package for Redis is not installed, or the URL is not one of Redis.
    """

    def __init__(self, url: str, *, timeout: float, most_waiting_bytes: int, metrics: GatewayMetrics) -> None:
        self._redis = _client(url, timeout)
        self._failures = _failures()
        self._timeout = timeout
        self._most_waiting_bytes = most_waiting_bytes
        self._metrics = metrics
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._waiting_bytes = 0
        self._some_waiting = asyncio.Event()
        self._listeners: dict[str, Listener] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._up = False
        self._stopping = False
        self._log = logger()

    @property
    def is_up(self) -> bool:
        """Whether the last command was answered."""
        return self._up

    @property
    def waiting_bytes(self) -> int:
        """Bytes of messages that wait to be sent."""
        return self._waiting_bytes

    def start(self) -> None:
        """Begins to send and to listen, in the running loop."""
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._listen())]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    async def stop(self) -> None:
        """Ends; what waits to be sent is dropped."""
        # the package may swallow a cancellation that comes while one of its own time limits ends
        self._stopping = True
        self._some_waiting.set()
        self._changed.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(self._timeout):
                await self._redis.aclose()
        except self._failures:
            self._log.debug("the connection to Redis was not closed well")

    async def run(self, *scripts: tuple[str, Sequence[str], Sequence[str | int]]) -> list[Any] | None:
        """Runs Lua scripts, all in one exchange.

        Args:
            scripts: each with its keys and its arguments.

        Returns:
            Their answers, or None if Redis did not give them.
        """
        try:
            async with asyncio.timeout(self._timeout):
                pipe = self._redis.pipeline(transaction=False)
                for script, keys, arguments in scripts:
                    pipe.eval(script, len(keys), *keys, *arguments)
                answers: list[Any] = await pipe.execute()
        except self._failures as error:
            self._note(up=False, why=error)
            return None
        self._note(up=True)
        return answers

    def publish(self, channel: str, message: bytes) -> None:
        """Sends a message to whoever listens now; never waits, and may lose it."""
        if self._waiting_bytes + len(message) > self._most_waiting_bytes:
            self._metrics.limits.labels("redis_queue_bytes").inc()
            return
        self._waiting.append((channel, message))
        self._waiting_bytes += len(message)
        self._some_waiting.set()

    def listen(self, channel: str, listener: Listener) -> None:
        """Has ``listener`` given what is published on ``channel``, soon."""
        self._listeners[channel] = listener
        self._changed.set()

    def ignore(self, channel: str) -> None:
        """Undoes :meth:`listen`."""
        if self._listeners.pop(channel, None) is not None:
            self._changed.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            # a mistake of ours: whoever relies on being told polls for itself after a while
            self._metrics.internal_errors.inc()
            self._log.error("sharing failed inside the gateway", exc_info=error)

    async def _send_all(self) -> None:
        while not self._stopping:
            self._some_waiting.clear()
            while self._waiting and not self._stopping:
                channel, message = self._waiting.popleft()
                self._waiting_bytes -= len(message)
                try:
                    async with asyncio.timeout(self._timeout):
                        await self._redis.publish(channel, message)
                except self._failures as error:
                    self._note(up=False, why=error)
            if not self._stopping:
                await self._some_waiting.wait()

    async def _listen(self) -> None:
        pause = _FIRST_PAUSE
        while not self._stopping:
            heard = False
            pubsub = self._redis.pubsub()
            try:
                while not self._stopping:
                    await self._follow_wishes(pubsub)
                    if not pubsub.subscribed:
                        self._changed.clear()
                        if not self._listeners:
                            await self._changed.wait()
                        continue
                    message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=_LISTEN)
                    heard, pause = True, _FIRST_PAUSE
                    if message is not None:
                        self._give(message)
            except self._failures as error:
                self._note(up=False, why=error)
            finally:
                await self._let_go(pubsub)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, is no secret
            if not heard:
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _follow_wishes(self, pubsub: PubSub) -> None:
        """Subscribes to what is wanted and to nothing else."""
        have = {name.decode() if isinstance(name, bytes) else name for name in pubsub.channels}
        async with asyncio.timeout(self._timeout):
            if missing := self._listeners.keys() - have:
                await pubsub.subscribe(*missing)
            if surplus := have - self._listeners.keys():
                await pubsub.unsubscribe(*surplus)

    async def _let_go(self, pubsub: PubSub) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await pubsub.aclose()  # type: ignore[no-untyped-call] # the package says nothing of it
        except self._failures:
            self._log.debug("a subscription was not closed well")

    def _give(self, message: dict[str, Any]) -> None:
        channel, data = message["channel"], message["data"]
        listener = self._listeners.get(channel.decode() if isinstance(channel, bytes) else channel)
        if listener is not None and isinstance(data, bytes):
            listener(data)

    def _note(self, *, up: bool, why: BaseException | None = None) -> None:
        if why is not None:
            self._metrics.cluster_errors.inc()
        if up is not self._up:
            self._up = up
            self._metrics.cluster_up.set(up)
            # the name alone: messages of connection errors may hold the address with its password
            words = {} if why is None else {"error": type(why).__name__}
            (self._log.info if up else self._log.warning)("Redis answers" if up else "Redis does not answer", **words)


def _client(url: str, timeout: float) -> Redis:
    try:
        from redis.asyncio import Redis
    except ImportError as error:
        raise MisuseError("redis_url needs the package redis: pip install 'icws-secure[cluster]'") from error
    try:
        return Redis.from_url(url, socket_connect_timeout=timeout, health_check_interval=_HEALTH)
    except ValueError as error:
        raise MisuseError("redis_url is not a URL of Redis", reason=Reason.INVALID_ARGUMENT) from error


def _failures() -> tuple[type[BaseException], ...]:
    from redis.exceptions import RedisError

    return (RedisError, OSError, TimeoutError)
