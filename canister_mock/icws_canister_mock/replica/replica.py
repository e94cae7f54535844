"""The local Internet Computer: a root subnet and two application subnets with canisters written in Python.

To use one inside a program::

    replica = Replica(ReplicaConfig(seed=bytes(32)))
    counter = replica.install(Counter())
    async with serve_replica(replica) as server:
        ...                                      # an agent talks to server.url, with replica.root_key_der

Without a server nothing happens by itself: :meth:`Replica.make_blocks` and :meth:`Replica.run_until_idle` make
blocks, and :meth:`Replica.call` calls a canister without an envelope.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from icws_canister_mock.replica import execution
from icws_canister_mock.replica.canister_api import Canister
from icws_canister_mock.replica.certification import Delegations, RangesForm
from icws_canister_mock.replica.clock import Clock, SystemClock
from icws_canister_mock.replica.keys import SEED_BYTES, NodeKey, SubnetKey, derive
from icws_canister_mock.replica.management import Management
from icws_canister_mock.replica.messages import Ingress, Message, Response
from icws_canister_mock.replica.rejects import ErrorCode, Rejected, Result
from icws_canister_mock.replica.routing import RoutingTable
from icws_canister_mock.replica.slot import CanisterSnapshot, Slot, Status
from icws_canister_mock.replica.state_tree import SubnetInfo, ranges_tree, subnets_tree
from icws_canister_mock.replica.subnet import Block, Subnet
from icws_canister_mock.replica.system_api import Mode, SystemApi
from icws_canister_mock.replica.vetkd import VetKd
from icws_secure.errors import MisuseError, Reason
from icws_secure.limits import MAX_INGRESS_TTL_NS
from icws_secure.wire.principal import ANONYMOUS, MANAGEMENT, Principal

__all__ = ["Replica", "ReplicaConfig"]

_R = TypeVar("_R")
_T: Final = 10**12  # cycles
_NODES: Final = 2  # a subnet
_SUBNETS: Final = (
    # name, type, first and last number of its canister ids
    ("root", "system", 0x0000000000000000, 0x00000000000FFFFF),
    ("app", "application", 0x8000000000100000, 0x80000000001FFFFF),
    ("app2", "application", 0x8000000000200000, 0x80000000002FFFFF),
)
_MAX_BLOCKS_TO_IDLE: Final = 10_000


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """How a replica behaves.

    Attributes:
        seed: 32 bytes that all keys and random numbers follow from; None draws one.
        clock: where the time comes from.
        block_time_ms: the shortest time between two blocks of a subnet while there is work, milliseconds.
        idle_block_ms: the longest time between two blocks, milliseconds: certified time gets no older than this.
        sync_call_timeout_ms: how long the synchronous call endpoints wait for the outcome before they answer 202.
        cycles: balance of a new canister.
    """

    seed: bytes | None = field(default=None, repr=False)
    clock: Clock = field(default_factory=SystemClock)
    block_time_ms: int = 0
    idle_block_ms: int = 1_000
    sync_call_timeout_ms: int = 10_000
    cycles: int = 100 * _T


class Replica:
    """A local Internet Computer. Not safe for use from several threads.

    Args:
        config: how it behaves.
    """

    def __init__(self, config: ReplicaConfig | None = None) -> None:
        self.config = config or ReplicaConfig()
        seed = self.config.seed if self.config.seed is not None else secrets.token_bytes(SEED_BYTES)
        self.clock = self.config.clock
        self.routing = RoutingTable()
        self.subnets: dict[str, Subnet] = {}
        self._by_id: dict[Principal, Subnet] = {}
        self._listeners: list[Callable[[Block], None]] = []
        self.vetkd = VetKd(derive(seed, "vetkd")[:SEED_BYTES])
        for name, kind, first, last in _SUBNETS:
            self._add_subnet(seed, name, kind, first, last)
        self.root = self.subnets["root"]
        self.root_key_der: bytes = self.root.info.key.public_key.der
        self.delegations = Delegations(self.root.id, lambda: self.root.state, self.routing)
        self._announced = -1
        self._calls = 0
        self._publish_directory()

    @property
    def time_ns(self) -> int:
        """The present, nanoseconds since 1970. Block times follow it."""
        return self.clock.now_ns()

    def subnet_of(self, canister: Principal) -> Subnet | None:
        """The subnet whose ranges hold a canister id."""
        subnet = self.routing.subnet_of(canister)
        return None if subnet is None else self._by_id[subnet]

    def subnet_by_id(self, subnet: Principal) -> Subnet | None:
        """The subnet with an id."""
        return self._by_id.get(subnet)

    # canisters

    def install(
        self,
        canister: Canister,
        canister_id: Principal | None = None,
        arg: bytes = b"",
        subnet: str = "app",
        controllers: Iterable[Principal] = (),
    ) -> Principal:
        """Create a canister and install code on it; it can be called at once.

        Args:
            canister: a new instance, used for nothing else.
            canister_id: an id to have, which the subnet's ranges then include; None takes the subnet's next.
            arg: for ``init``.
            subnet: ``root``, ``app`` or ``app2``.
            controllers: who controls it, as the state tree shows.

        Returns:
            Its id.

        Raises:
            MisuseError: no such subnet, the id is taken or unusable, or ``init`` trapped.
        """
        home = self.subnets.get(subnet)
        if home is None:
            raise MisuseError("there is no such subnet", reason=Reason.INVALID_ARGUMENT, subnet=subnet)
        if canister_id is not None and self._find(canister_id) is not None:
            raise MisuseError("there is a canister with this id", reason=Reason.INVALID_ARGUMENT, id=canister_id)
        new_id = self.routing.new_id(home.id) if canister_id is None else canister_id
        now = max(self.time_ns, home.state.time_ns + 1)
        slot = Slot(new_id, canister, tuple(controllers), now, now, self.config.cycles)
        self._set_up(slot, canister, lambda: canister.init(arg), now)
        if canister_id is not None:
            self.routing.place(canister_id, home.id)
        home.canisters[new_id] = slot
        self._publish_directory()
        self.make_block(home)
        return new_id

    def upgrade(self, canister_id: Principal, canister: Canister, arg: bytes = b"") -> None:
        """Replace a canister's code, by ``pre_upgrade`` of the old and ``post_upgrade`` of the new.

        Certified data stays; timers are disarmed; calls that it has not answered are rejected.

        Raises:
            MisuseError: no such canister, or one of the two trapped, and then nothing has changed.
        """
        home, slot, old = self._installed(canister_id)
        now = max(self.time_ns, home.state.time_ns + 1)
        before = slot.checkpoint(old)
        stable = self._guarded(slot, old.pre_upgrade, now, lambda: slot.roll_back(old, before))

        def undo() -> None:
            slot.canister = old
            slot.roll_back(old, before)

        slot.canister = canister
        slot.timer_ns = None
        self._set_up(slot, canister, lambda: canister.post_upgrade(arg, stable), now, undo)
        home.abandon(slot, f"Canister {canister_id} was upgraded before it answered")
        slot.installed_ns = now
        self.make_block(home)

    def reinstall(self, canister_id: Principal, canister: Canister, arg: bytes = b"") -> None:
        """Replace a canister's code and forget its state.

        Raises:
            MisuseError: no such canister, or ``init`` trapped, and then nothing has changed.
        """
        home, slot, old = self._installed(canister_id)
        now = max(self.time_ns, home.state.time_ns + 1)
        before = slot.checkpoint(old)

        def undo() -> None:
            slot.canister = old
            slot.roll_back(old, before)

        slot.canister, slot.timer_ns, slot.certified_data = canister, None, b""
        self._set_up(slot, canister, lambda: canister.init(arg), now, undo)
        home.abandon(slot, f"Canister {canister_id} was reinstalled before it answered")
        slot.installed_ns = now
        self.make_block(home)

    def stop(self, canister_id: Principal) -> None:
        """Stop a canister: new calls are rejected; it is stopping until it owes and awaits no answer.

        Raises:
            MisuseError: no such canister.
        """
        home, slot = self._located(canister_id)
        busy = slot.contexts or slot.outstanding
        slot.status = Status.STOPPING if busy else Status.STOPPED
        self.make_block(home)

    def start(self, canister_id: Principal) -> None:
        """Start a canister that was stopped.

        Raises:
            MisuseError: no such canister.
        """
        home, slot = self._located(canister_id)
        slot.status = Status.RUNNING
        self.make_block(home)

    def snapshot_canister(self, canister_id: Principal) -> CanisterSnapshot:
        """Take a snapshot of a canister's state.

        Raises:
            MisuseError: no such canister.
        """
        home, slot, canister = self._installed(canister_id)
        return CanisterSnapshot(
            canister_id, home.state.time_ns, canister.snapshot(), slot.certified_data, slot.timer_ns
        )

    def load_snapshot(self, canister_id: Principal, snapshot: CanisterSnapshot) -> None:
        """Return a canister to a snapshot of its own. None of its code runs; calls that it has not answered are
        rejected.

        Raises:
            MisuseError: no such canister, or the snapshot is another's.
        """
        home, slot, canister = self._installed(canister_id)
        if snapshot.canister != canister_id:
            raise MisuseError("this is another canister's snapshot", reason=Reason.INVALID_ARGUMENT)
        home.abandon(slot, f"Canister {canister_id} was returned to a snapshot before it answered")
        canister.restore(snapshot.state)
        slot.certified_data, slot.timer_ns = snapshot.certified_data, snapshot.timer_ns
        self.make_block(home)

    def set_cycles(self, canister_id: Principal, cycles: int) -> None:
        """Set a canister's cycle balance.

        Raises:
            MisuseError: no such canister.
        """
        self._located(canister_id)[1].cycles = cycles

    def canister(self, canister_id: Principal) -> Canister:
        """The running instance of a canister, for a test to look at.

        Raises:
            MisuseError: no such canister.
        """
        return self._installed(canister_id)[2]

    # blocks

    def has_work(self) -> bool:
        """Whether some subnet has a message or a timer to execute now."""
        now = self.time_ns
        return any(subnet.has_work(now) for subnet in self.subnets.values())

    def make_block(self, subnet: Subnet) -> Block:
        """Make one block on one subnet."""
        block = subnet.make_block(self.time_ns)
        for listener in list(self._listeners):
            listener(block)
        return block

    def make_blocks(self, *, only_with_work: bool = False) -> list[Block]:
        """Make one block on every subnet, or on those that have something to do."""
        now = self.time_ns
        chosen = [subnet for subnet in self.subnets.values() if not only_with_work or subnet.has_work(now)]
        return [self.make_block(subnet) for subnet in chosen]

    def run_until_idle(self) -> None:
        """Make blocks until no message is left and no timer is due.

        Raises:
            MisuseError: canisters keep each other busy without end.
        """
        for _ in range(_MAX_BLOCKS_TO_IDLE):
            if not self.has_work():
                return
            self.make_blocks(only_with_work=True)
        raise MisuseError("the canisters do not come to rest", reason=Reason.LIMIT_EXCEEDED)

    def add_block_listener(self, listener: Callable[[Block], None]) -> None:
        """Have ``listener`` called after each block."""
        self._listeners.append(listener)

    def remove_block_listener(self, listener: Callable[[Block], None]) -> None:
        """Undo :meth:`add_block_listener`."""
        self._listeners.remove(listener)

    # calls without envelopes

    def call(self, canister_id: Principal, method: str, arg: bytes, *, sender: Principal = ANONYMOUS) -> Result:
        """Call a canister as a user would, without an envelope, and make blocks until it has answered.

        Raises:
            MisuseError: the canisters came to rest without an answer.
        """
        subnet = self.subnet_of(canister_id) or self.root
        self._calls += 1
        request_id = hashlib.sha256(b"embedded call %d" % self._calls).digest()
        expiry = self.time_ns + MAX_INGRESS_TTL_NS
        subnet.accept(Ingress(request_id, sender, canister_id, method, arg, expiry, len(arg)))
        self.run_until_idle()
        entry = subnet.history.get(request_id)
        if entry is None or entry.result is None:
            raise MisuseError("the canister does not answer this call", reason=Reason.WRONG_STATE, method=method)
        return entry.result

    def query(
        self,
        canister_id: Principal,
        method: str,
        arg: bytes,
        *,
        sender: Principal = ANONYMOUS,
        form: RangesForm = RangesForm.SHARDED,
    ) -> Result:
        """Answer a query call from the last certified state.

        Args:
            canister_id: the canister.
            method: a query method.
            arg: its argument.
            sender: the caller.
            form: where the data certificate's delegation shows the canister ranges.
        """
        subnet = self.subnet_of(canister_id)
        slot = None if subnet is None else subnet.canisters.get(canister_id)
        refused = execution.refusal(slot, canister_id)
        if subnet is None or slot is None or refused is not None:
            return refused or Rejected(ErrorCode.CANISTER_NOT_FOUND, f"Canister {canister_id} not found")
        state = subnet.state

        def certificate() -> bytes:
            return state.data_certificate(canister_id, self.delegations.issue(subnet.id, form, canister_id))

        return execution.run_query(slot, sender, method, arg, state.time_ns, certificate)

    # the machinery

    def _add_subnet(self, seed: bytes, name: str, kind: str, first: int, last: int) -> None:
        nodes = tuple(NodeKey(seed, f"{name} {number}") for number in range(_NODES))
        info = SubnetInfo(name, kind, SubnetKey(seed, name), nodes)
        self.routing.add_subnet(info.id, first, last)
        management = Management(derive(seed, f"management {name}")[:SEED_BYTES], name)
        self.vetkd.serve(management)
        subnet = Subnet(info, management, send=lambda message: self._route(info.id, message), start_ns=self.time_ns)
        self.subnets[name] = self._by_id[info.id] = subnet

    def _route(self, origin: Principal, message: Message) -> None:
        """Carry a canister's message to its receiver's subnet. Where there is none, the origin refuses it."""
        if isinstance(message, Response):
            receiver = message.request.sender
        else:
            receiver = message.canister if isinstance(message, Ingress) else message.receiver
        subnet = None if receiver == MANAGEMENT else self.subnet_of(receiver)
        (subnet or self._by_id[origin]).deliver(message)

    def _publish_directory(self) -> None:
        """Let all subnets show the ranges as they are now. The root subnet's next block certifies them."""
        if self._announced == self.routing.version:
            return
        self._announced = self.routing.version
        infos = [subnet.info for subnet in self.subnets.values()]
        ranges = ranges_tree(infos, self.routing)
        for subnet in self.subnets.values():
            subnet.replace_directory(subnets_tree(infos, self.routing, subnet.id), ranges)
        for subnet in self.subnets.values():
            self.make_block(subnet)

    def _set_up(
        self,
        slot: Slot,
        canister: Canister,
        run: Callable[[], object],
        now: int,
        undo: Callable[[], None] = lambda: None,
    ) -> None:
        canister.ic = SystemApi(slot, mode=Mode.SET_UP, time_ns=now)
        self._guarded(slot, run, now, undo)
        code = f"{type(canister).__module__}.{type(canister).__qualname__}"
        slot.module_hash = hashlib.sha256(code.encode()).digest()
        slot.changed = True

    def _guarded(self, slot: Slot, run: Callable[[], _R], now: int, undo: Callable[[], None]) -> _R:
        """Run a step of an installation; if it traps, undo all of it."""
        try:
            return execution.set_up(slot, run, now)
        except Exception as error:
            undo()
            raise MisuseError(
                f"the canister trapped while it was being set up: {error}", reason=Reason.INVALID_ARGUMENT
            ) from error

    def _find(self, canister_id: Principal) -> tuple[Subnet, Slot] | None:
        subnet = self.subnet_of(canister_id)
        slot = None if subnet is None else subnet.canisters.get(canister_id)
        return None if subnet is None or slot is None else (subnet, slot)

    def _located(self, canister_id: Principal) -> tuple[Subnet, Slot]:
        found = self._find(canister_id)
        if found is None:
            raise MisuseError("there is no such canister", reason=Reason.INVALID_ARGUMENT, id=canister_id)
        return found

    def _installed(self, canister_id: Principal) -> tuple[Subnet, Slot, Canister]:
        subnet, slot = self._located(canister_id)
        if slot.canister is None:
            raise MisuseError("the canister has no code", reason=Reason.INVALID_ARGUMENT, id=canister_id)
        return subnet, slot, slot.canister
