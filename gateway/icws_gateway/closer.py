"""``ws_close`` calls: the canister is told which client left, so that it need not wait for a keep-alive."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections import deque
from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import Identity
from icws_secure.sign.request import sign_call
from icws_secure.wire.http import CallRejected
from icws_secure.wire.interface import CloseArgument, encode_close_argument

from .config import GatewayConfig
from .ic_client import IcClient, error_kind
from .metrics import GatewayMetrics
from .open_check import OpenedSession

__all__ = ["Closer"]

_WORKERS: Final = 16  # closes under way
_ATTEMPTS: Final = 4
_FIRST_PAUSE: Final = 0.5  # seconds
_TTL_NS: Final = 240 * NS_PER_S


class Closer:
    """Sends ``ws_close`` for clients that left, in the background.

    Args:
        ic: where to.
        identity: the gateway's, to which the sessions are bound.
        most_waiting: closes that may wait; more are dropped, the canister notices by itself.
        metrics: outcomes.
    """

    def __init__(self, ic: IcClient, identity: Identity, most_waiting: int, metrics: GatewayMetrics) -> None:
        self._most_waiting = most_waiting
        self._ic = ic
        self._identity = identity
        self._metrics = metrics
        self._waiting: deque[OpenedSession] = deque()
        self._workers: set[asyncio.Task[None]] = set()

    def apply(self, config: GatewayConfig) -> None:
        """Takes over the changed bound."""
        self._most_waiting = config.closes_waiting

    def close(self, session: OpenedSession) -> None:
        """Tells the canister that a client left, some time soon."""
        # [ICWS-GWY-018]
        if len(self._waiting) >= self._most_waiting:
            self._metrics.limits.labels("closes_waiting").inc()
            self._metrics.ws_closes.labels("dropped").inc()
            return
        self._waiting.append(session)
        if len(self._workers) < _WORKERS:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)

    async def finish(self, seconds: float) -> None:
        """Waits until all are sent, at most ``seconds``; what is left then is dropped."""
        if self._workers:
            await asyncio.wait(tuple(self._workers), timeout=seconds)
        for worker in tuple(self._workers):
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._metrics.ws_closes.labels("dropped").inc(len(self._waiting))
        self._waiting.clear()

    async def _work(self) -> None:
        while self._waiting:
            outcome = await self._send(self._waiting.popleft())
            self._metrics.ws_closes.labels(outcome).inc()

    async def _send(self, session: OpenedSession) -> str:
        # [ICWS-GWY-013] with the attach number, so that a later attach of the same session is not touched
        argument = CloseArgument(session.client_key, session.attach if session.secure else None)
        body = sign_call(
            self._identity,
            canister_id=session.canister,
            method_name="ws_close",
            arg=encode_close_argument(argument),
            ingress_expiry_ns=time.time_ns() + _TTL_NS,
            nonce=secrets.token_bytes(16),
        ).encode()
        for attempt in range(_ATTEMPTS):
            if attempt:
                pause = _FIRST_PAUSE * 2.0**attempt
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, is no secret
            try:
                answer = await self._ic.call(session.canister, body)
            except IcwsError as error:
                self._metrics.ic_errors.labels("close", error_kind(error)).inc()
                continue
            return "rejected" if isinstance(answer, CallRejected) else "sent"
        return "failed"
