"""A canister's place on a subnet: its code and state, and what the IC keeps beside them."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field

from icws_canister_mock.replica.canister_api import Canister
from icws_canister_mock.replica.messages import CallContext
from icws_secure.wire.principal import Principal

__all__ = ["CanisterSnapshot", "Checkpoint", "Slot", "Status"]


class Status(enum.Enum):
    """Whether a canister takes calls."""

    RUNNING = "running"
    STOPPING = "stopping"  # takes answers only, until it owes none
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a trap returns to: the canister's state, and what it may set about itself."""

    state: object
    certified_data: bytes
    timer_ns: int | None
    cycles: int


@dataclass(frozen=True, slots=True)
class CanisterSnapshot:
    """A canister's snapshot, to load into it later. Loading runs none of the canister's code.

    Attributes:
        canister: whose it is.
        taken_ns: block time when it was taken.
    """

    canister: Principal
    taken_ns: int
    state: object
    certified_data: bytes
    timer_ns: int | None


@dataclass(eq=False, slots=True)
class Slot:
    """One canister.

    Attributes:
        id: its id.
        canister: code and state; None while nothing is installed.
        certified_data: up to 32 bytes, part of the state tree.
        timer_ns: when the global timer fires; None while it is not armed.
        cycles: the balance.
        contexts: calls that it has not answered.
        outstanding: by canister, its own calls that are not answered.
        created_ns, installed_ns: block times.
        changed: whether code or controllers are not in the state tree as they are here.
    """

    id: Principal
    canister: Canister | None
    controllers: tuple[Principal, ...]
    created_ns: int
    installed_ns: int
    cycles: int
    status: Status = Status.RUNNING
    certified_data: bytes = b""
    timer_ns: int | None = None
    module_hash: bytes | None = None
    contexts: set[CallContext] = field(default_factory=set)
    outstanding: Counter[Principal] = field(default_factory=Counter)
    changed: bool = True

    def checkpoint(self, canister: Canister) -> Checkpoint:
        """The state to return to if the execution that begins now traps."""
        return Checkpoint(canister.snapshot(), self.certified_data, self.timer_ns, self.cycles)

    def roll_back(self, canister: Canister, checkpoint: Checkpoint) -> None:
        """Undo an execution."""
        canister.restore(checkpoint.state)
        self.certified_data = checkpoint.certified_data
        self.timer_ns = checkpoint.timer_ns
        self.cycles = checkpoint.cycles
