"""Polls of one canister's queue. What to ask and when is decided by the cursor, the pace and the probe; this is the
shell around them: tasks, timeouts, failures."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from icws_secure.errors import IcwsError
from icws_secure.verify.certificate import CertificateVerifier
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.http import QueryReplied
from icws_secure.wire.interface import encode_get_messages_argument
from icws_secure.wire.principal import Principal

from .cluster.sharing import QueueSharing, SharedReply
from .config import GatewayConfig
from .delivery import deliver
from .directory import Directory
from .ic_client import IcClient, error_kind
from .logs import logger
from .metrics import GatewayMetrics
from .node_keys import NodeSignatures
from .poll_pace import PollPace
from .queue_cursor import CursorConflict, QueueCursor
from .refusal import ClientRefused
from .reply_check import CheckedReply, PollRefused, QueuedMessage, ReplicaFault, ReplyChecker
from .restart_probe import ProbeVerdict, RestartProbe
from .slots import Slots
from .traces import NO_TRACE, Trace, Traces

__all__ = ["CanisterPoller", "PollProgress"]

METHOD: Final = "ws_get_messages"
_LEGACY_VERSION: Final = 2
_NEW_VERSION: Final = 3
_LOG_EVERY: Final = 64  # failures in a row between two lines


@dataclass(frozen=True, slots=True)
class PollProgress:
    """How far the polls of a canister are.

    Attributes:
        position: the nonce that is due next.
        failures: polls that failed since the last one that did not.
        newest_ns: time of the newest certificate, nanoseconds since 1970; 0 before the first.
    """

    position: int
    failures: int
    newest_ns: int


class CanisterPoller:
    """Polls one canister while it has clients.

    Args:
        canister: which.
        gateway: our principal.
        ic: where to ask.
        directory: whose messages are wanted.
        config: intervals and bounds.
        metrics: counts.
        slots: bounds polls under way in total.
        signatures: checks node signatures, None where that is off.
        certificates: verifies certificates, None until the root key is known.
        refuse: closes all clients without our subprotocol; for an IC that has nothing they can read.
        traces: of polls that brought something or failed, and of what was delivered.
        sharing: processes of the same principal, None if this is the only one.
    """

    def __init__(
        self,
        canister: Principal,
        gateway: Principal,
        *,
        ic: IcClient,
        directory: Directory,
        config: GatewayConfig,
        metrics: GatewayMetrics,
        slots: Slots,
        signatures: Callable[[], NodeSignatures | None],
        certificates: Callable[[], CertificateVerifier | None],
        refuse: Callable[[Principal, ClientRefused], None],
        traces: Traces,
        sharing: QueueSharing | None = None,
    ) -> None:
        now = time.monotonic()
        self._canister = canister
        self._name = canister.to_text()
        self._ic = ic
        self._directory = directory
        self._metrics = metrics
        self._slots = slots
        self._signatures = signatures
        self._certificates = certificates
        self._refuse = refuse
        self._traces = traces
        self._sharing = sharing
        self._checker = ReplyChecker(canister, gateway)
        self._cursor: QueueCursor[CheckedReply, QueuedMessage] = QueueCursor(
            config.polls_ahead, config.poll_ahead_bytes
        )
        self._pace = PollPace(
            interval=config.poll_interval_ms / 1000,
            idle_interval=config.poll_idle_interval_ms / 1000,
            idle_after=config.poll_idle_after_seconds,
            min_gap=config.poll_min_gap_ms / 1000,
            longest_backoff=config.poll_backoff_seconds,
            now=now,
        )
        self._probe = RestartProbe(now)
        self._probing = False
        self._newest_ns = 0
        self._polls: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._log = logger(canister=self._name)
        self._task: asyncio.Task[None] | None = None

    @property
    def progress(self) -> PollProgress:
        """How far it is."""
        return PollProgress(self._cursor.position, self._pace.failures, self._newest_ns)

    def start(self) -> None:
        """Begins to poll, in the running loop."""
        if self._sharing is not None:
            self._sharing.start(self._hear, self._hurry)
        self._task = asyncio.create_task(self._run(), name=f"poller {self._canister}")

    async def stop(self) -> None:
        """Ends, with all polls under way."""
        tasks = [task for task in (self._task, *self._polls) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def executed(self) -> None:
        """A relayed call was executed; its answer is probably in the queue."""
        self._probe.executed()
        if self._sharing is not None:
            self._sharing.executed()
        self._hurry()

    def _hurry(self) -> None:
        self._pace.executed(time.monotonic())
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            now = time.monotonic()
            due = self._due_at()
            if due <= now:
                self._pace.started(now)
                self._start(self._cursor.position)
                continue
            if self._leads and not self._pace.failures:
                while (ahead := self._cursor.next_ahead()) is not None:
                    self._start(ahead)
            self._maybe_probe(now)
            await self._sleep_until(due)

    @property
    def _leads(self) -> bool:
        return self._sharing is None or self._sharing.leads

    def _due_at(self) -> float:
        due = self._pace.due_at(self._cursor.asked_at(self._cursor.position))
        return due if self._sharing is None else max(due, self._sharing.not_before(self._cursor.position))

    async def _sleep_until(self, due: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, min(due - time.monotonic(), 60.0))):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _start(self, nonce: int) -> None:
        self._cursor.started(nonce)
        self._spawn(self._poll(nonce))

    def _maybe_probe(self, now: float) -> None:
        clients = self._directory.of(self._canister)
        if self._probing or self._pace.failures or clients is None or not clients.has_omnia:
            return
        nonce = self._probe.wanted(self._cursor.position, now)
        if nonce is not None:
            self._probing = True
            self._spawn(self._ask_probe(nonce))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._polls.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._polls.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._metrics.internal_errors.inc()
            self._log.error("poll failed inside the gateway", error=type(error).__name__, exc_info=error)

    async def _poll(self, nonce: int) -> None:
        """One poll of the queue; always ends in the cursor's ``failed`` or ``received``."""
        done = False
        trace = self._traces.begin("poll", canister=self._name, nonce=nonce)
        try:
            reply = await self._ask(nonce, trace)
            if reply is None:
                self._pace.failed(time.monotonic(), random.random())  # noqa: S311 - spreads load, is no secret
                return
            at_position = nonce == self._cursor.position
            if not self._may_move(nonce, reply, trace):
                self._pace.failed(time.monotonic(), random.random())  # noqa: S311 - spreads load, is no secret
                return
            done = True
            if not self._take(nonce, reply, trace):
                return
            if reply.messages:
                trace.end("messages", messages=len(reply.messages))
            if at_position:
                self._probe.polled(messages=bool(reply.messages))
                self._pace.replied(time.monotonic(), messages=len(reply.messages), more=reply.more)
        finally:
            if not done:
                self._cursor.failed(nonce)

    def _hear(self, shared: SharedReply) -> None:
        """Takes what another process was told. It is checked like a replica's word; what is not due here and now must
        be genuine, too."""
        try:
            reply = self._checker.check(shared.arg)
            outcome = self._follow(shared.nonce, reply)
        except (ReplicaFault, PollRefused, CursorConflict):
            outcome = "refused"
        self._metrics.shared_replies.labels(outcome).inc()
        self._wake.set()

    def _follow(self, nonce: int, reply: CheckedReply) -> str:
        """Goes along with whoever polls. Returns what came of it.

        Raises:
            CursorConflict: the answer contradicts another; nothing of it was taken.
        """
        position = self._cursor.position
        end = reply.messages[-1].nonce + 1 if reply.messages else nonce
        if self._sharing is not None:
            self._sharing.heard_through(end)
        self._probe.polled(messages=bool(reply.messages) and end > position)
        # one's place is learnt from one's own polls, so that nothing before it was missed
        if not self._cursor.is_placed or not self._is_readable(reply):
            return "behind"
        is_due = nonce == position and (not reply.messages or reply.messages[0].nonce == nonce)
        if reply.messages and not is_due and not self._is_genuine(reply):
            return "refused"
        self._cursor.started(nonce)
        self._accept(nonce, reply, NO_TRACE)
        return "taken"

    def _is_readable(self, reply: CheckedReply) -> bool:
        return not reply.messages or not self._has_legacy() or self._checker.readable_by_all(reply.certificate)

    def _may_move(self, nonce: int, reply: CheckedReply, trace: Trace) -> bool:
        """Whether the queue may be followed to where a reply's messages are.

        What begins where it was asked for is for the clients to verify. Another place would move all of them, and one
        node's word is not enough for that.
        """
        if not reply.messages or reply.messages[0].nonce == nonce:
            return True
        return self._is_genuine(reply, trace)

    def _is_genuine(self, reply: CheckedReply, trace: Trace = NO_TRACE) -> bool:
        certificates = self._certificates()
        if certificates is None:
            return True
        try:
            # [ICWS-GWY-012]
            certificates.verify(reply.certificate, now=time.time_ns(), canister_id=self._canister)
        except IcwsError as error:
            self._fault("certificate", str(error), trace)
            return False
        return True

    def _take(self, nonce: int, reply: CheckedReply, trace: Trace) -> bool:
        try:
            self._accept(nonce, reply, trace)
        except CursorConflict as error:
            self._fault("conflict", str(error), trace)
            self._pace.failed(time.monotonic(), random.random())  # noqa: S311 - spreads load, is no secret
            return False
        return True

    def _accept(self, nonce: int, reply: CheckedReply, trace: Trace) -> None:
        """Moves on in the queue, and delivers what is due.

        Raises:
            CursorConflict: the answer contradicts another; nothing of it was taken.
        """
        gaps, let_go = self._cursor.gaps, self._cursor.let_go
        runs = self._cursor.received(nonce, reply, reply.messages, more=reply.more)
        self._metrics.gaps.inc(self._cursor.gaps - gaps)
        # [ICWS-GWY-018]
        if self._cursor.let_go > let_go:
            self._metrics.limits.labels("poll_ahead_bytes").inc(self._cursor.let_go - let_go)
        self._newest_ns = max(self._newest_ns, reply.time_ns)
        clients = self._directory.of(self._canister)
        for run in runs:
            self._pace.brought(time.monotonic(), len(run.entries))
            self._metrics.poll_messages.inc(len(run.entries))
            lag = max(0.0, (time.time_ns() - run.reply.time_ns) / 1e9)
            self._metrics.poll_lag.observe(lag)
            if clients is not None:
                part = trace.child("deliver", canister=self._name, messages=len(run.entries))
                deliver(run.reply, run.entries, clients, self._metrics)
                part.end("delivered", lag_ms=round(1_000 * lag, 1))

    async def _ask_probe(self, nonce: int) -> None:
        try:
            reply = await self._ask(nonce)
            if reply is None:
                return
            first = reply.messages[0] if reply.messages else None
            position = self._cursor.position
            verdict = self._probe.answered(
                nonce,
                (first.nonce, first.leaf) if first is not None else None,
                position=position,
                known=self._cursor.leaf_at(position - 1),
                fresh=reply.time_ns >= self._newest_ns,
                delivered=self._cursor.leaf_at(first.nonce) if first is not None else None,
            )
            if verdict is ProbeVerdict.RESTARTED and self._is_genuine(reply):
                self._metrics.restarts.inc()
                self._log.warning("the canister began its queue anew")
                self._cursor.restart()
                self._pace.executed(time.monotonic())
        finally:
            self._probing = False

    async def _ask(self, nonce: int, trace: Trace = NO_TRACE) -> CheckedReply | None:
        """The checked answer to a poll, or None if there is none that can be used."""
        arg = encode_get_messages_argument(nonce)
        started = time.monotonic()
        try:
            reply = None
            while reply is None:
                reply = await self._ask_once(nonce, arg)
        except ReplicaFault as error:
            self._fault(error.kind, str(error), trace)
            return None
        except PollRefused as error:
            self._failed("refused", str(error), trace)
            return None
        except IcwsError as error:
            self._metrics.ic_errors.labels("query", error_kind(error)).inc()
            self._failed("failed", error.message, trace)
            return None
        self._metrics.polls.labels("messages" if reply.messages else "empty").inc()
        self._metrics.poll_seconds.observe(time.monotonic() - started)
        return reply

    async def _ask_once(self, nonce: int, arg: bytes) -> CheckedReply | None:
        """One question; None if the answer's certificates are in a form that a client who came meanwhile cannot read.

        Raises:
            ReplicaFault: the answer contradicts itself.
            PollRefused: the canister refused, or the poll was rejected.
            IcwsError: no answer, or a malformed one.
        """
        legacy = self._has_legacy()
        others = self._sharing is not None and self._sharing.wants_legacy
        # [ICWS-GWY-014]
        prefer = _LEGACY_VERSION if legacy or others else _NEW_VERSION
        if self._slots.locked():
            self._metrics.waits.labels("polls").inc()
        # [ICWS-GWY-018]
        async with self._slots:
            self._metrics.polls_in_flight.inc()
            try:
                content, response, version = await self._ic.query(self._canister, METHOD, arg, prefer=prefer)
            finally:
                self._metrics.polls_in_flight.dec()
        signatures = self._signatures()
        if signatures is not None:
            await signatures.check(self._canister, content, response)
        if not isinstance(response, QueryReplied):
            raise PollRefused(response.error_code or f"reject code {response.reject_code}")
        reply = self._checker.check(response.arg)
        if self._sharing is not None:
            self._sharing.hand_on(SharedReply(nonce, response.arg), empty=not reply.messages)
        if version == _LEGACY_VERSION or not self._has_legacy() or not reply.messages:
            return reply
        if self._checker.readable_by_all(reply.certificate):
            return reply
        # [ICWS-GWY-014]
        if not legacy:
            return None
        # [ICWS-GWY-014] the old endpoint is gone: a typed refusal is better than messages that fail to verify
        self._refuse(
            self._canister,
            ClientRefused(CloseCode.UNSUPPORTED_SUBPROTOCOL, "this IC's certificates need the subprotocol"),
        )
        return reply

    def _has_legacy(self) -> bool:
        clients = self._directory.of(self._canister)
        return clients is not None and clients.has_legacy

    def _fault(self, kind: str, words: str, trace: Trace) -> None:
        self._metrics.replica_faults.labels(kind).inc()
        self._failed("fault", words, trace)

    def _failed(self, outcome: str, words: str, trace: Trace) -> None:
        trace.end(outcome, failed=True)
        self._metrics.polls.labels(outcome).inc()
        if self._pace.failures % _LOG_EVERY == 0:
            self._log.warning("polls fail", outcome=outcome, why=words)
