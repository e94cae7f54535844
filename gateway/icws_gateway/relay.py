"""Client calls on their way to the IC: bounded, retried while that can help, and reported."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from icws_secure.errors import DecodeError, IcwsError, TransportError
from icws_secure.wire.http import CallCertificate
from icws_secure.wire.principal import Principal

from .config import GatewayConfig
from .ic_client import IcClient, error_kind
from .metrics import GatewayMetrics
from .receipts import CallFailed, CallOutcome, outcome_name
from .slots import Slots
from .traces import NO_TRACE, Trace

__all__ = ["CallRelay"]

_FIRST_PAUSE: Final = 0.2  # seconds
_LONGEST_PAUSE: Final = 5.0  # seconds


class _CanisterSlots:
    """Calls of one canister under way."""

    __slots__ = ("semaphore", "users")

    def __init__(self, limit: int) -> None:
        self.semaphore = Slots(limit)
        self.users = 0


class CallRelay:
    """Relays calls.

    Args:
        ic: where to.
        config: bounds in total and for each canister, so that a canister that hangs takes no slots of others.
        metrics: outcomes and durations.
    """

    def __init__(self, ic: IcClient, config: GatewayConfig, metrics: GatewayMetrics) -> None:
        self._ic = ic
        self._metrics = metrics
        self._retry_seconds = config.call_retry_seconds
        self._per_canister = config.calls_in_flight_per_canister
        self._total = Slots(config.calls_in_flight)
        self._canisters: dict[Principal, _CanisterSlots] = {}

    def apply(self, config: GatewayConfig) -> None:
        """Takes over changed bounds."""
        self._per_canister = config.calls_in_flight_per_canister
        self._total.change(config.calls_in_flight)
        for slots in self._canisters.values():
            slots.semaphore.change(self._per_canister)

    async def submit(self, canister: Principal, body: bytes, expires_ns: int, trace: Trace = NO_TRACE) -> CallOutcome:
        """Relays one call and says how it ended. Waits for its turn first.

        Args:
            canister: the canister called.
            body: the request, as the client signed it.
            expires_ns: when the IC stops taking it, nanoseconds since 1970.
            trace: of the call; ends here.
        """
        async with self._slot(canister):
            started = time.monotonic()
            outcome = await self._until_answered(canister, body, expires_ns, trace)
        trace.end(outcome_name(outcome), failed=isinstance(outcome, CallFailed))
        self._metrics.calls.labels(outcome_name(outcome)).inc()
        if isinstance(outcome, CallCertificate):
            self._metrics.call_seconds.observe(time.monotonic() - started)
        return outcome

    async def _until_answered(self, canister: Principal, body: bytes, expires_ns: int, trace: Trace) -> CallOutcome:
        give_up = time.monotonic() + self._retry_seconds
        pause = _FIRST_PAUSE
        attempts = 0
        while True:
            attempts += 1
            trace.note(attempts=attempts)
            # [ICWS-GWY-021] it may have expired while it waited for its turn
            if time.time_ns() > expires_ns:
                return CallFailed("the envelope has expired")
            try:
                return await self._ic.call(canister, body)
            except IcwsError as error:
                self._metrics.ic_errors.labels("call", error_kind(error)).inc()
                # The same envelope is the same call however often it arrives, so trying again is safe.
                if not _may_help(error) or time.monotonic() + pause > give_up:
                    return CallFailed(_words(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, is no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    @asynccontextmanager
    async def _slot(self, canister: Principal) -> AsyncIterator[None]:
        # [ICWS-GWY-018]
        slots = self._canisters.setdefault(canister, _CanisterSlots(self._per_canister))
        slots.users += 1
        try:
            if slots.semaphore.locked():
                self._metrics.waits.labels("canister_calls").inc()
            elif self._total.locked():
                self._metrics.waits.labels("calls").inc()
            async with slots.semaphore, self._total:
                self._metrics.calls_in_flight.inc()
                try:
                    yield
                finally:
                    self._metrics.calls_in_flight.dec()
        finally:
            slots.users -= 1
            if not slots.users:
                self._canisters.pop(canister, None)


def _may_help(error: IcwsError) -> bool:
    """Whether another attempt can end otherwise: not after a 4xx, which is about the request itself."""
    if isinstance(error, TransportError):
        status = error.facts.get("status")
        return not isinstance(status, int) or status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, DecodeError)


def _words(error: IcwsError) -> str:
    status = error.facts.get("status")
    return f"the IC answered with HTTP status {status}" if status is not None else "the IC gave no usable answer"
