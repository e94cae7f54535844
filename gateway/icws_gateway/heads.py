"""Certified heads for attached clients of ``icws-secure/1``: how the client learns in seconds that nothing is withheld.

Every few seconds the canister is asked (``ws_audit``, a query) for the heads of its attached sessions, up to 50 at a
time; the witness is checked and pruned, and each client is sent the certificate with its own head and the epoch.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from icws_secure.errors import IcwsError
from icws_secure.wire.cbor import SELF_DESCRIBE_TAG, encode, encode_head
from icws_secure.wire.head import EPOCH_PATH, head_path
from icws_secure.wire.http import QueryReplied
from icws_secure.wire.principal import Principal
from icws_secure.wire.refusal import Refusal
from icws_secure.wire.registration import decode_audit_result, encode_audit_argument

from .config import GatewayConfig
from .delivery import send_all
from .directory import Directory, Recipient
from .ic_client import IcClient, error_kind
from .metrics import GatewayMetrics
from .node_keys import NodeSignatures
from .pruned_witness import PrunedWitness
from .reply_check import PollRefused, ReplicaFault, ReplyChecker, witnessed

__all__ = ["HeadRelay"]

_BYTES: Final = 2  # CBOR's major type
_FRAME: Final = SELF_DESCRIBE_TAG + b"\xa1" + encode("head") + b"\xa2" + encode("cert")
_TREE: Final = encode("tree")
_BATCH: Final = 50  # sessions a question; the canister's limit


class HeadRelay:
    """Relays heads.

    Args:
        gateway: our principal.
        ic: where to ask.
        directory: who is attached.
        config: the interval between two rounds, and how many questions may be under way. The default of eight for one
            canister is enough for 10,000 sessions at 200 ms each.
        metrics: outcomes.
        signatures: checks node signatures, where that is on.
    """

    def __init__(
        self,
        gateway: Principal,
        ic: IcClient,
        directory: Directory,
        config: GatewayConfig,
        metrics: GatewayMetrics,
        signatures: Callable[[], NodeSignatures | None],
    ) -> None:
        self._gateway = gateway
        self._ic = ic
        self._directory = directory
        self._interval = config.head_interval_seconds
        self._most = config.heads_in_flight
        self._most_of_canister = config.heads_in_flight_per_canister
        self._metrics = metrics
        self._signatures = signatures
        self._under_way: set[asyncio.Task[None]] = set()
        self._busy: Counter[Principal] = Counter()

    def apply(self, config: GatewayConfig) -> None:
        """Takes over changed bounds."""
        self._most = config.heads_in_flight
        self._most_of_canister = config.heads_in_flight_per_canister

    async def run(self) -> None:
        """Relays until it is cancelled."""
        # [ICWS-GWY-017]
        try:
            while True:
                batches = [batch for canister in self._directory for batch in _batches(canister.by_owner.values())]
                # spread over the interval, so that neither the IC nor this process sees a wave
                pause = self._interval / (len(batches) + 1)
                for batch in batches:
                    await asyncio.sleep(pause)
                    self._ask_soon(batch)
                await asyncio.sleep(pause)
        finally:
            for task in tuple(self._under_way):
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    def _ask_soon(self, batch: Sequence[Recipient]) -> None:
        canister = batch[0].session.canister
        # a canister that hangs must not use up what others need: its next question waits for the round after
        # [ICWS-GWY-018]
        full = len(self._under_way) >= self._most
        if full or self._busy[canister] >= self._most_of_canister:
            self._metrics.limits.labels("heads" if full else "canister_heads").inc()
            self._metrics.heads.labels("skipped").inc(len(batch))
            return
        task = asyncio.create_task(self._ask(canister, batch))
        self._under_way.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._metrics.internal_errors.inc()

    async def _ask(self, canister: Principal, batch: Sequence[Recipient]) -> None:
        outcome = "failed"
        self._busy[canister] += 1
        try:
            certificate, witness = await self._audit(canister, batch)
            self._send(batch, certificate, witness)
            outcome = "sent"
        except ReplicaFault as error:
            self._metrics.replica_faults.labels(error.kind).inc()
        except PollRefused:
            outcome = "refused"
        except IcwsError as error:
            self._metrics.ic_errors.labels("audit", error_kind(error)).inc()
        finally:
            self._busy -= Counter((canister,))
            self._metrics.heads.labels(outcome).inc(len(batch))

    def _send(self, batch: Sequence[Recipient], certificate: bytes, witness: PrunedWitness) -> None:
        """Each client gets its own head and the epoch: a :class:`~icws_secure.wire.frames.HeadFrame`, whose parts are
        put together here because all but the witness is the same for all."""
        start = _FRAME + encode_head(_BYTES, len(certificate)) + certificate + _TREE
        parts = witness.show_each_beside(EPOCH_PATH)

        def frame(session: Principal) -> bytes:
            path = head_path(session)
            tree = parts.get(path) or witness.show((EPOCH_PATH, path))
            return start + encode_head(_BYTES, len(tree)) + tree

        send_all(
            ((client, frame(client.session.client_key.client_principal)) for client in batch), "head", self._metrics
        )

    async def _audit(self, canister: Principal, batch: Sequence[Recipient]) -> tuple[bytes, PrunedWitness]:
        """Certificate and witness of the heads.

        Raises:
            ReplicaFault: the answer contradicts itself.
            PollRefused: the canister refused, or the question was rejected.
            IcwsError: no answer, or a malformed one.
        """
        sessions = tuple(client.session.client_key.client_principal for client in batch)
        content, response, _ = await self._ic.query(canister, "ws_audit", encode_audit_argument(sessions))
        signatures = self._signatures()
        if signatures is not None:
            await signatures.check(canister, content, response)
        if not isinstance(response, QueryReplied):
            raise PollRefused(response.error_code or "rejected")
        audit = decode_audit_result(response.arg)
        if isinstance(audit, Refusal):
            raise PollRefused(audit.code)
        if audit.cert is None or audit.tree is None:
            raise ReplicaFault("certificate", "an audit without a certificate")
        data = ReplyChecker(canister, self._gateway).certified_data(audit.cert)
        return audit.cert, witnessed(audit.tree, data)


def _batches(clients: Iterable[Recipient]) -> list[list[Recipient]]:
    """Clients to ask for together. Neighbours in the canister's tree share most of their witness."""
    wanted = [client for client in clients if client.modern and client.session.secure and client.attached]
    wanted.sort(key=_session)
    return [wanted[start : start + _BATCH] for start in range(0, len(wanted), _BATCH)]


def _session(client: Recipient) -> bytes:
    return client.session.client_key.client_principal.raw
