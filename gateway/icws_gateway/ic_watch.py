"""Whether the IC is there: what ``/ready`` rests on, and where the root key of a local replica comes from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.verify.root_key import RootKey

from .config import GatewayConfig
from .ic_client import IcClient
from .logs import logger
from .metrics import GatewayMetrics

__all__ = ["IcWatch"]

_PAUSE: Final = 2.0  # seconds between questions while the IC does not answer
_LOG_EVERY: Final = 30  # questions without an answer between two lines


class IcWatch:
    """Asks the IC for its status at the start, and again whenever nothing else has been answered for a while.

    Args:
        ic: where to ask.
        config: how long a silence may be.
        metrics: readiness is shown there.
        trust: takes the root key that a replica tells; None if it is known already.
    """

    def __init__(
        self, ic: IcClient, config: GatewayConfig, metrics: GatewayMetrics, trust: Callable[[RootKey], None] | None
    ) -> None:
        self._ic = ic
        self._url = config.ic_url
        self._silence = config.ic_silence_seconds
        self._metrics = metrics
        self._trust = trust
        self._failures = 0
        self._log = logger()

    @property
    def is_up(self) -> bool:
        """Whether the IC answered lately, and its root key is known."""
        answered = self._ic.answered_at
        return self._trust is None and answered is not None and time.monotonic() - answered < self._silence

    async def run(self) -> None:
        """Watches until it is cancelled."""
        while True:
            answered = self._ic.answered_at
            quiet = None if answered is None else time.monotonic() - answered
            if self._trust is not None or quiet is None or quiet >= self._silence / 3:
                await self._ask()
            self._metrics.ic_up.set(self.is_up)
            await asyncio.sleep(_PAUSE if self._failures or not self.is_up else self._silence / 6)

    async def _ask(self) -> None:
        try:
            status = await self._ic.status()
            if self._trust is not None and status.root_key is not None:
                self._trust(RootKey.from_der(status.root_key))
            self._trust = None
        except IcwsError as error:
            self._metrics.ic_errors.labels("status", "failed").inc()
            if self._failures % _LOG_EVERY == 0:
                self._log.warning("the IC does not answer", ic=self._url, why=str(error))
            self._failures += 1
            return
        if self._failures:
            self._log.info("the IC answers", ic=self._url)
        self._failures = 0
