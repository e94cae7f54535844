"""Makes blocks when there is work, and now and then when there is none; tells those who wait for a call's end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Final

from icws_canister_mock.replica.replica import Replica
from icws_canister_mock.replica.subnet import Block, Subnet
from icws_secure.limits import NS_PER_S

__all__ = ["BlockMaker"]

_log: Final = logging.getLogger("icws.replica")


class BlockMaker:
    """The heartbeat of a replica.

    Args:
        replica: whose blocks to make.
    """

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._work = asyncio.Event()
        self._waiting: dict[bytes, set[asyncio.Future[None]]] = {}
        self._made: dict[str, float] = {}  # by subnet, the loop's time of the last block
        self._making = False

    def wake(self) -> None:
        """There is work: do not wait for the next idle block."""
        self._work.set()

    async def wait_for(self, request_id: bytes, timeout_s: float) -> bool:
        """Wait until a call has ended.

        Args:
            request_id: the call.
            timeout_s: seconds to wait at most.

        Returns:
            Whether it has ended.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(request_id, set()).add(future)
        try:
            await asyncio.wait_for(future, timeout_s)
        except TimeoutError:
            return False
        finally:
            waiting = self._waiting.get(request_id)
            if waiting is not None:
                waiting.discard(future)
                if not waiting:
                    del self._waiting[request_id]
        return True

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Make blocks while the context is open."""
        self._replica.add_block_listener(self._on_block)
        task = asyncio.create_task(self._run(), name="replica blocks")
        try:
            yield
        finally:
            self._replica.remove_block_listener(self._on_block)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _on_block(self, block: Block) -> None:
        if not self._making:
            self.wake()  # the program that embeds the replica made it: there may be a new timer, or a message
        for request_id in block.ended:
            for future in self._waiting.get(request_id, ()):
                if not future.done():
                    future.set_result(None)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._work.clear()
            wait_s = min(self._tend(subnet, loop.time()) for subnet in self._replica.subnets.values())
            await asyncio.sleep(0)  # requests that have come meanwhile join the next block
            if wait_s > 0:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._work.wait(), wait_s)

    def _tend(self, subnet: Subnet, now_s: float) -> float:
        """Make a block if one is due; gives the seconds until the next one is."""
        config = self._replica.config
        since_s = now_s - self._made.get(subnet.info.name, 0.0)
        time_ns = self._replica.time_ns
        if subnet.has_work(time_ns):
            wait_s = config.block_time_ms / 1_000 - since_s
        else:
            wait_s = config.idle_block_ms / 1_000 - since_s
            timer_ns = subnet.next_timer()
            if timer_ns is not None:
                wait_s = min(wait_s, (timer_ns - time_ns) / NS_PER_S)
        if wait_s > 0:
            return wait_s
        self._made[subnet.info.name] = now_s
        self._making = True
        try:
            self._replica.make_block(subnet)
        except Exception:  # noqa: BLE001 - logged, and the other canisters are not to suffer
            # a canister that cannot even be rolled back: the replica lives on for the others
            _log.exception("a block of subnet %s failed", subnet.info.name)
        finally:
            self._making = False
        return 0.0
