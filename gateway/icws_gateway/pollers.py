"""One poller for each canister that has clients, and none for others."""

from __future__ import annotations

import asyncio

from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.wire.principal import Principal

from .cluster import Cluster
from .config import GatewayConfig
from .directory import Directory
from .ic_client import IcClient
from .metrics import GatewayMetrics
from .node_keys import NodeSignatures
from .poller import CanisterPoller, PollProgress
from .refusal import ClientRefused
from .slots import Slots
from .traces import Traces

__all__ = ["Pollers"]


class Pollers:
    """The pollers of a gateway.

    Args:
        gateway: our principal.
        ic: where to ask.
        directory: who wants messages.
        config: intervals and bounds.
        metrics: counts.
        traces: of polls and deliveries.

    Attributes:
        signatures: checks node signatures; None where that is off.
        certificates: verifies certificates; None until the root key is known.
        cluster: processes that polls are shared with; None if there are none.
    """

    def __init__(
        self,
        gateway: Principal,
        ic: IcClient,
        directory: Directory,
        config: GatewayConfig,
        metrics: GatewayMetrics,
        traces: Traces,
    ) -> None:
        self._gateway = gateway
        self._ic = ic
        self._directory = directory
        self._config = config
        self._metrics = metrics
        self._traces = traces
        self._slots = Slots(config.polls_in_flight)
        self._pollers: dict[Principal, CanisterPoller] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self.signatures: NodeSignatures | None = None
        self.certificates: CertificateVerifier | None = None
        self.cluster: Cluster | None = None

    def apply(self, config: GatewayConfig) -> None:
        """Takes over the changed bound of polls in total."""
        self._config = config
        self._slots.change(config.polls_in_flight)

    def ensure(self, canister: Principal) -> None:
        """Starts to poll a canister, if that is not under way. A queue is read from its start: the canister may have
        dropped and begun it anew since we last looked."""
        if canister not in self._pollers:
            sharing = None if self.cluster is None else self.cluster.join(canister, lambda: self._has_legacy(canister))
            poller = CanisterPoller(
                canister,
                self._gateway,
                ic=self._ic,
                directory=self._directory,
                config=self._config,
                metrics=self._metrics,
                slots=self._slots,
                signatures=lambda: self.signatures,
                certificates=lambda: self.certificates,
                refuse=self._refuse_legacy,
                traces=self._traces,
                sharing=sharing,
            )
            self._pollers[canister] = poller
            poller.start()
            self._metrics.canisters.set(len(self._pollers))

    def progress(self, canister: Principal) -> PollProgress | None:
        """How far the polls of a canister are; None if it is not polled."""
        poller = self._pollers.get(canister)
        return poller.progress if poller is not None else None

    def executed(self, canister: Principal) -> None:
        """A relayed call of a canister's client was executed."""
        poller = self._pollers.get(canister)
        if poller is not None:
            poller.executed()

    def release(self, canister: Principal) -> None:
        """Ends the polls of a canister without clients."""
        if self._directory.of(canister) is not None:
            return
        poller = self._pollers.pop(canister, None)
        if poller is not None:
            if self.cluster is not None:
                self.cluster.leave(canister)
            task = asyncio.create_task(poller.stop())
            self._stopping.add(task)
            task.add_done_callback(self._stopping.discard)
            self._metrics.canisters.set(len(self._pollers))

    async def stop(self) -> None:
        """Ends all."""
        pollers, self._pollers = tuple(self._pollers.values()), {}
        await asyncio.gather(*(poller.stop() for poller in pollers), *self._stopping)
        self._metrics.canisters.set(0)

    def _has_legacy(self, canister: Principal) -> bool:
        clients = self._directory.of(canister)
        return clients is not None and clients.has_legacy

    def _refuse_legacy(self, canister: Principal, why: ClientRefused) -> None:
        clients = self._directory.of(canister)
        for client in tuple(clients.by_owner.values()) if clients is not None else ():
            if not client.modern:
                client.refuse(why)
