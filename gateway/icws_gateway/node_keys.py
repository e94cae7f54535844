"""Node signatures of polls: one node of the canister's subnet vouches for each answer.

Checked against the main network, where anybody may stand between this gateway and the replicas: it keeps a stranger
from feeding the gateway answers that waste its clients' time. The clients do not rely on it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from icws_secure.errors import IcwsError, Reason, SignatureError
from icws_secure.limits import NS_PER_S
from icws_secure.sign.identity import AnonymousIdentity
from icws_secure.sign.request import sign_read_state
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.verify.query import node_keys_from_certificate, verify_query_response
from icws_secure.wire.der import PublicKey
from icws_secure.wire.envelope import QueryContent
from icws_secure.wire.http import QueryResponse
from icws_secure.wire.principal import Principal

from .ic_client import IcClient
from .metrics import GatewayMetrics
from .reply_check import ReplicaFault

__all__ = ["NodeSignatures"]

_REFRESH: Final = 3_600.0  # seconds
_LEAST_REFRESH: Final = 10.0  # seconds between two readings for one canister
_TTL_NS: Final = 120 * NS_PER_S


class NodeSignatures:
    """Checks answers to queries.

    Args:
        ic: where node keys are read.
        certificates: verifies them under the pinned root key.
        kept: canisters whose subnet's keys are remembered.
        metrics: counts those that are forgotten.
    """

    def __init__(self, ic: IcClient, certificates: CertificateVerifier, kept: int, metrics: GatewayMetrics) -> None:
        self._kept = kept
        self._metrics = metrics
        self._ic = ic
        self._certificates = certificates
        self._keys: OrderedDict[Principal, tuple[float, Mapping[Principal, PublicKey]]] = OrderedDict()
        self._reading: dict[Principal, asyncio.Task[Mapping[Principal, PublicKey]]] = {}

    async def check(self, canister: Principal, content: QueryContent, response: QueryResponse) -> None:
        """Verifies the signatures of an answer; an unknown node has the keys read again, once.

        Raises:
            ReplicaFault: they are missing or not valid.
            IcwsError: the keys cannot be read.
        """
        keys = await self._node_keys(canister, _REFRESH)
        try:
            try:
                verify_query_response(content, response, node_keys=keys, now=time.time_ns())
            except SignatureError as error:
                if error.reason is not Reason.UNKNOWN_NODE:
                    raise
                keys = await self._node_keys(canister, _LEAST_REFRESH)
                verify_query_response(content, response, node_keys=keys, now=time.time_ns())
        # [ICWS-GWY-016]
        except SignatureError as error:
            raise ReplicaFault("node_signature", error.message) from error

    async def _node_keys(self, canister: Principal, oldest: float) -> Mapping[Principal, PublicKey]:
        known = self._known(canister, oldest)
        if known is not None:
            return known
        # polls that are under way together read the keys once
        reading = self._reading.get(canister)
        if reading is None:
            reading = self._reading[canister] = asyncio.create_task(self._read(canister))
            reading.add_done_callback(lambda _: self._reading.pop(canister, None))
        return await asyncio.shield(reading)

    def _known(self, canister: Principal, oldest: float) -> Mapping[Principal, PublicKey] | None:
        known = self._keys.get(canister)
        return known[1] if known is not None and time.monotonic() - known[0] < oldest else None

    async def _read(self, canister: Principal) -> Mapping[Principal, PublicKey]:
        envelope = sign_read_state(
            AnonymousIdentity(),
            paths=[[b"subnet"]],
            ingress_expiry_ns=time.time_ns() + _TTL_NS,
            nonce=secrets.token_bytes(16),
        )
        data = await self._ic.read_state(canister, envelope.encode())
        try:
            certificate = self._certificates.verify(data, now=time.time_ns(), canister_id=canister)
            keys = node_keys_from_certificate(certificate)
        except IcwsError as error:
            raise ReplicaFault("node_keys", error.message) from error
        self._keys[canister] = (time.monotonic(), keys)
        while len(self._keys) > self._kept:
            self._metrics.limits.labels("node_key_cache").inc()
            self._keys.popitem(last=False)
        return keys
