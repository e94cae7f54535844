"""The system interface of one canister, as the canister sees it, for one execution at a time."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Generator
from typing import Final, NoReturn

from icws_canister_mock.replica.canister_api import CallRejected, CanisterReject, CanisterTrap
from icws_canister_mock.replica.limits import MAX_CALL_ARG_BYTES, MAX_CERTIFIED_DATA_BYTES, MAX_OUTSTANDING_CALLS
from icws_canister_mock.replica.messages import CallContext, Request
from icws_canister_mock.replica.rejects import RejectCode, Replied, Result
from icws_canister_mock.replica.slot import Slot
from icws_secure.wire.candid import decode, encode
from icws_secure.wire.candid_types import Blob
from icws_secure.wire.principal import MANAGEMENT, Principal

__all__ = ["ContractViolation", "Mode", "Suspension", "SystemApi"]

_log: Final = logging.getLogger("icws.replica.canister")


class ContractViolation(CanisterTrap):
    """The canister used the system interface in a way that the IC does not allow (IC0504)."""


class Mode(enum.Enum):
    """What kind of execution runs, which decides what it may do."""

    IDLE = "between executions"
    SET_UP = "an installation or upgrade"
    UPDATE = "an update"
    QUERY = "a query"
    INSPECT = "inspect_message"


class Suspension:
    """What a canister's coroutine gives out at an await: the request that it waits for."""

    __slots__ = ("request",)

    def __init__(self, request: Request) -> None:
        self.request = request

    def __await__(self) -> Generator[Suspension, Result, bytes]:
        result = yield self
        if isinstance(result, Replied):
            return result.arg
        raise CallRejected(result.code, result.message)


class SystemApi:
    """Implements :class:`~icws_canister_mock.replica.canister_api.CanisterApi`.

    Args:
        slot: the canister.
        mode: the kind of the execution that begins now; the executor changes it by :meth:`begin`.
        time_ns: block time.
        context: the call being executed.
        certificate: makes the data certificate, where the execution may see it.
    """

    def __init__(
        self,
        slot: Slot,
        *,
        mode: Mode = Mode.IDLE,
        time_ns: int = 0,
        context: CallContext | None = None,
        certificate: Callable[[], bytes] | None = None,
    ) -> None:
        self._slot = slot
        self._mode = mode
        self._time_ns = time_ns
        self._context = context
        self._certificate = certificate
        self.requests: list[Request] = []

    def begin(self, mode: Mode, time_ns: int, context: CallContext | None) -> None:
        """Begin an execution: everything that is seen through this object is of that execution."""
        self._mode = mode
        self._time_ns = time_ns
        self._context = context
        self.requests = []

    @property
    def id(self) -> Principal:
        """The canister's own id."""
        return self._slot.id

    @property
    def caller(self) -> Principal:
        """Who made the call being executed."""
        return MANAGEMENT if self._context is None else self._context.caller

    @property
    def time_ns(self) -> int:
        """Nanoseconds since 1970: the block's time."""
        return self._time_ns

    @property
    def cycles(self) -> int:
        """The cycle balance."""
        return self._slot.cycles

    @property
    def cycles_available(self) -> int:
        """Cycles that came with the call and are not accepted yet."""
        return 0 if self._context is None else self._context.cycles_available

    def accept_cycles(self, amount: int) -> int:
        """Take up to ``amount`` of the cycles that came with the call."""
        self._demand(Mode.UPDATE, what="accept cycles")
        if self._context is None or amount < 0:
            return 0
        taken = min(amount, self._context.cycles_available)
        self._context.cycles_available -= taken
        self._slot.cycles += taken
        return taken

    def set_certified_data(self, data: bytes) -> None:
        """Set the certified data, up to 32 bytes."""
        self._demand(Mode.UPDATE, Mode.SET_UP, what="set certified data")
        if len(data) > MAX_CERTIFIED_DATA_BYTES:
            raise ContractViolation(f"certified data of {len(data)} bytes, the limit is {MAX_CERTIFIED_DATA_BYTES}")
        self._slot.certified_data = bytes(data)

    def data_certificate(self) -> bytes | None:
        """The certificate of the certified data, in a query call."""
        return None if self._certificate is None else self._certificate()

    def set_timer_at(self, time_ns: int | None) -> int | None:
        """Arm or disarm the global timer."""
        self._demand(Mode.UPDATE, Mode.SET_UP, what="set the timer")
        previous, self._slot.timer_ns = self._slot.timer_ns, time_ns
        return previous

    async def call(self, canister: Principal, method: str, arg: bytes, cycles: int = 0) -> bytes:
        """Call another canister and wait for its reply."""
        return await Suspension(self._request(canister, method, arg, cycles, self._context))

    def notify(self, canister: Principal, method: str, arg: bytes, cycles: int = 0) -> None:
        """Call another canister without waiting."""
        self.requests.append(self._request(canister, method, arg, cycles, None))

    async def raw_rand(self) -> bytes:
        """32 random bytes from the management canister."""
        (random,) = decode([Blob], await self.call(MANAGEMENT, "raw_rand", encode([], [])))
        return bytes(random)

    def trap(self, message: str) -> NoReturn:
        """Give up this execution."""
        raise CanisterTrap(message)

    def reject(self, message: str) -> NoReturn:
        """Answer with a rejection, keeping the state."""
        raise CanisterReject(message)

    def log(self, text: str) -> None:
        """Write a line to the replica's log."""
        _log.info("%s: %s", self._slot.id, text)

    def _request(
        self, canister: Principal, method: str, arg: bytes, cycles: int, context: CallContext | None
    ) -> Request:
        self._demand(Mode.UPDATE, what="call another canister")
        if len(arg) > MAX_CALL_ARG_BYTES:
            raise ContractViolation(f"an argument of {len(arg)} bytes, the limit is {MAX_CALL_ARG_BYTES}")
        if not 0 <= cycles <= self._slot.cycles:
            raise ContractViolation(f"{cycles} cycles for a call, the balance is {self._slot.cycles}")
        unsent = sum(1 for request in self.requests if request.receiver == canister)
        if self._slot.outstanding[canister] + unsent >= MAX_OUTSTANDING_CALLS:
            raise CallRejected(RejectCode.SYS_TRANSIENT, f"too many calls to {canister} are not answered yet")
        self._slot.cycles -= cycles
        return Request(self._slot.id, canister, method, bytes(arg), cycles, context)

    def _demand(self, *modes: Mode, what: str) -> None:
        if self._mode not in modes:
            raise ContractViolation(f"{self._mode.value} cannot {what}")
