"""What the parts of one gateway share."""

from __future__ import annotations

from dataclasses import dataclass

from icws_secure.sign.identity import Identity
from icws_secure.verify.certificate import CertificateVerifier

from .admission import Admission
from .closer import Closer
from .cluster import Cluster
from .config import GatewayConfig
from .directory import Directory
from .logs import ClientLog
from .metrics import GatewayMetrics
from .pollers import Pollers
from .relay import CallRelay
from .traces import Traces

__all__ = ["Services"]


@dataclass(slots=True)
class Services:
    """The parts that a connection works with.

    Attributes:
        config: the settings in effect; replaced on reload.
        identity: the gateway's.
        metrics: its metrics.
        admission: counts and rates of addresses.
        directory: clients by canister and key.
        pollers: polls of the canisters that have clients.
        relay: calls to the IC.
        closer: ``ws_close`` for clients that left.
        traces: of opens and calls.
        log: lines about single clients.
        cluster: processes of the same principal; None if there are none.
        certificates: verifies canister signatures in delegations; None until the root key is known.
        draining: no new clients.
    """

    config: GatewayConfig
    identity: Identity
    metrics: GatewayMetrics
    admission: Admission
    directory: Directory
    pollers: Pollers
    relay: CallRelay
    closer: Closer
    traces: Traces
    log: ClientLog
    cluster: Cluster | None = None
    certificates: CertificateVerifier | None = None
    draining: bool = False
