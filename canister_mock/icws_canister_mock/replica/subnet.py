"""One subnet: canisters, the messages between them, and blocks.

A block takes in users' calls, fires timers and executes messages in the order in which they came, until none is left
or the block's bounds are reached; then the state tree is brought up to date and becomes the certified state. What
does not fit waits for the next block. The work of a block depends on what is in it, not on what was before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from icws_canister_mock.replica import execution
from icws_canister_mock.replica.certification import CertifiedState
from icws_canister_mock.replica.execution import Outcome
from icws_canister_mock.replica.history import IngressHistory
from icws_canister_mock.replica.limits import (
    MAX_BLOCK_INGRESS_BYTES,
    MAX_BLOCK_INGRESS_MESSAGES,
    MAX_INGRESS_POOL,
    MAX_ROUND_EXECUTIONS,
)
from icws_canister_mock.replica.management import Management, ManagementCall
from icws_canister_mock.replica.messages import CallContext, Ingress, Message, Request, Response
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Result
from icws_canister_mock.replica.slot import Slot, Status
from icws_canister_mock.replica.state_tree import SubnetInfo, canister_tree, metrics
from icws_secure.wire.leb128 import encode_unsigned
from icws_secure.wire.merkle_map import MerkleMap
from icws_secure.wire.principal import MANAGEMENT, Principal

__all__ = ["Block", "Subnet"]

_log: Final = logging.getLogger("icws.replica.canister")
_TIME: Final = b"time"
_CANISTER: Final = b"canister"
_REQUEST_STATUS: Final = b"request_status"
_SUBNET: Final = b"subnet"


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was made.

    Attributes:
        subnet: whose.
        height: its number, from 1.
        time_ns: its time.
        ended: request ids of the users' calls that ended in it.
    """

    subnet: Principal
    height: int
    time_ns: int
    ended: tuple[bytes, ...]


class Subnet:
    """A subnet.

    Args:
        info: keys and names.
        management: answers its canisters' calls to the management canister.
        send: takes messages for canisters that are not here.
        start_ns: time of the state before the first block.
    """

    def __init__(
        self, info: SubnetInfo, management: Management, *, send: Callable[[Message], None], start_ns: int
    ) -> None:
        self.info = info
        self.canisters: dict[Principal, Slot] = {}
        self.history = IngressHistory()
        self.management = management
        self._send = send
        self._pool: dict[bytes, Ingress] = {}
        self._queue: deque[Message] = deque()
        self._updates = 0
        self._tree = MerkleMap().insert(_TIME, encode_unsigned(start_ns))
        self.state = CertifiedState(0, start_ns, self._tree, info.key)

    @property
    def id(self) -> Principal:
        """The principal of the subnet's key."""
        return self.info.id

    @property
    def pool_is_full(self) -> bool:
        """Whether no further call can be taken in at present."""
        return len(self._pool) >= MAX_INGRESS_POOL

    def has_work(self, now_ns: int) -> bool:
        """Whether a block would have something to do."""
        if self._pool or self._queue:
            return True
        deadline = self.next_timer()
        return deadline is not None and deadline <= now_ns

    def next_timer(self) -> int | None:
        """When the next timer of a canister fires, ns since 1970."""
        armed = (slot.timer_ns for slot in self.canisters.values() if slot.status is Status.RUNNING)
        return min((timer_ns for timer_ns in armed if timer_ns is not None), default=None)

    def knows(self, request_id: bytes) -> bool:
        """Whether a call with this id was accepted before and is not forgotten."""
        return request_id in self._pool or self.history.get(request_id) is not None

    def accept(self, ingress: Ingress) -> None:
        """Put a user's call into the pool, to be taken in by the next block."""
        self._pool[ingress.request_id] = ingress

    def deliver(self, message: Message) -> None:
        """Put a canister's message into the queue."""
        self._queue.append(message)

    def replace_directory(self, subnets: MerkleMap, ranges: MerkleMap) -> None:
        """Take over what the registry says of all subnets; seen from the next block on."""
        self._tree = self._tree.insert(_SUBNET, subnets).insert(b"canister_ranges", ranges)

    def make_block(self, now_ns: int) -> Block:
        """Make the next block.

        Args:
            now_ns: present time; the block's is later than that of the block before in any case.
        """
        time_ns = max(now_ns, self.state.time_ns + 1)
        self.history.forget_old(time_ns)
        self._take_in(time_ns)
        for slot in self.canisters.values():
            if slot.status is Status.RUNNING and slot.timer_ns is not None and slot.timer_ns <= time_ns:
                context = CallContext(MANAGEMENT, None)
                self._finish(slot, context, execution.fire_timer(slot, context, time_ns), time_ns)
        for _ in range(MAX_ROUND_EXECUTIONS):
            if not self._queue:
                break
            self._execute(self._queue.popleft(), time_ns)
        return self._certify(time_ns)

    def abandon(self, slot: Slot, why: str) -> None:
        """Reject all calls that a canister has not answered: its code is about to go."""
        for context in list(slot.contexts):
            if context.coroutine is not None:
                _close(context)
            self._answer(slot, context, Rejected(ErrorCode.TRAPPED, why), self.state.time_ns)

    def _take_in(self, time_ns: int) -> None:
        size = 0
        taken: list[bytes] = []
        for request_id, ingress in self._pool.items():
            size += ingress.size
            if len(taken) >= MAX_BLOCK_INGRESS_MESSAGES or (taken and size > MAX_BLOCK_INGRESS_BYTES):
                break
            taken.append(request_id)
        for request_id in taken:
            ingress = self._pool.pop(request_id)
            # one that expired in the pool is dropped without a trace, as if it had never come
            if ingress.ingress_expiry_ns >= time_ns and not self.history.is_full:
                self.history.receive(ingress)
                self._queue.append(ingress)

    def _execute(self, message: Message, time_ns: int) -> None:
        if isinstance(message, Response):
            self._resume(message, time_ns)
            return
        if isinstance(message, Request) and message.receiver == MANAGEMENT:
            call = ManagementCall(message.sender, message.arg, message.cycles)
            result = self.management.answer(message.method, call)
            self._send(Response(message, result, call.cycles))
            return
        if isinstance(message, Ingress):
            self._updates += 1
            receiver, context = message.canister, CallContext(message.sender, message)
        else:
            receiver, context = message.receiver, CallContext(message.sender, message, message.cycles)
        slot = self.canisters.get(receiver)
        refused = execution.refusal(slot, receiver)
        if slot is None or refused is not None:
            self._reply_to(context, refused or Rejected(ErrorCode.CANISTER_NOT_FOUND, "no such canister"), time_ns)
            return
        self._finish(slot, context, execution.start(slot, context, message.method, message.arg, time_ns), time_ns)

    def _resume(self, response: Response, time_ns: int) -> None:
        request = response.request
        slot = self.canisters.get(request.sender)
        if slot is None:
            return
        slot.cycles += response.refund
        slot.outstanding[request.receiver] -= 1
        if not slot.outstanding[request.receiver]:
            del slot.outstanding[request.receiver]
        context = request.context
        if context is not None and not context.closed:
            self._finish(slot, context, execution.resume(slot, context, response.result, time_ns), time_ns)
        _stop_if_idle(slot)

    def _finish(self, slot: Slot, context: CallContext, outcome: Outcome, time_ns: int) -> None:
        for request in outcome.requests:
            slot.outstanding[request.receiver] += 1
            self._send(request)
        if outcome.result is not None:
            self._answer(slot, context, outcome.result, time_ns)
            return
        slot.contexts.add(context)
        if isinstance(context.origin, Ingress):
            self.history.process(context.origin.request_id)

    def _answer(self, slot: Slot, context: CallContext, result: Result, time_ns: int) -> None:
        slot.contexts.discard(context)
        context.closed = True
        self._reply_to(context, result, time_ns)
        _stop_if_idle(slot)

    def _reply_to(self, context: CallContext, result: Result, time_ns: int) -> None:
        if isinstance(context.origin, Ingress):
            self.history.finish(context.origin.request_id, result, time_ns)
        elif isinstance(context.origin, Request):
            self._send(Response(context.origin, result, context.cycles_available))

    def _certify(self, time_ns: int) -> Block:
        ended = self.history.commit()
        tree = self._tree.insert(_TIME, encode_unsigned(time_ns))
        # the real tree has no label with nothing below it
        tree = tree.insert(_REQUEST_STATUS, self.history.tree) if self.history.tree else tree.remove(_REQUEST_STATUS)
        tree = self._with_canisters(tree)
        own = _below(_below(tree, _SUBNET), self.id.raw).insert(
            b"metrics", metrics(canisters=len(self.canisters), updates=self._updates)
        )
        self._tree = tree.insert(_SUBNET, _below(tree, _SUBNET).insert(self.id.raw, own))
        self.state = CertifiedState(self.state.height + 1, time_ns, self._tree, self.info.key)
        return Block(self.id, self.state.height, time_ns, tuple(ended))

    def _with_canisters(self, tree: MerkleMap) -> MerkleMap:
        below = _below(tree, _CANISTER)
        changed = False
        for slot in self.canisters.values():
            old = _below(below, slot.id.raw)
            if slot.changed or slot.certified_data != old.get(b"certified_data"):
                below = below.insert(slot.id.raw, canister_tree(slot, old))
                slot.changed = False
                changed = True
        return tree.insert(_CANISTER, below) if changed else tree


def _below(tree: MerkleMap, label: bytes) -> MerkleMap:
    subtree = tree.get(label)
    return subtree if isinstance(subtree, MerkleMap) else MerkleMap()


def _stop_if_idle(slot: Slot) -> None:
    if slot.status is Status.STOPPING and not slot.contexts and not slot.outstanding:
        slot.status = Status.STOPPED


def _close(context: CallContext) -> None:
    """End a coroutine that will not be resumed. What its ``finally`` blocks do no longer counts."""
    coroutine, context.coroutine = context.coroutine, None
    if coroutine is None:
        return
    try:
        coroutine.close()
    except Exception:  # noqa: BLE001 - whatever the canister raises is its own affair, and never the replica's
        _log.warning("a canister's method raised while it was being abandoned", exc_info=True)
