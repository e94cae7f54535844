"""What a canister written in Python is, and what the replica gives it.

A canister is a subclass of :class:`Canister` whose public methods carry :func:`update` or :func:`query`::

    class Counter(Canister):
        def init(self, arg: bytes) -> None:
            self.count = 0

        @update("increment")
        def increment(self, arg: bytes) -> bytes:
            self.count += 1
            return self.count.to_bytes(8, "big")

        @query("read")
        def read(self, arg: bytes) -> bytes:
            return self.count.to_bytes(8, "big")

Arguments and replies are bytes (Candid, or whatever the canister likes). The rules are the IC's:

* An update method may be ``async def`` and await :meth:`CanisterApi.call`, nothing else. Other messages of the canister
  may run while it waits. Each stretch between two awaits is one *execution*: time stands still in it, and it happens
  whole or not at all.
* An exception is a trap. The state returns to what it was before the *current* execution, so up to the last await;
  calls made and timers or certified data set in it are forgotten. After an await, reach state through ``self`` again:
  an object held across the await may be of a state that another message's trap has thrown away.
* :meth:`CanisterApi.reject` is not a trap: state changes stay.
* A query keeps nothing. It sees the last certified state, and :meth:`CanisterApi.data_certificate` is of that state.
"""

from __future__ import annotations

import copy
import enum
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NoReturn, Protocol, TypeVar

from icws_secure.wire.principal import Principal

__all__ = ["CallRejected", "Canister", "CanisterApi", "CanisterReject", "CanisterTrap", "Method", "query", "update"]

_MARK = "__icws_method__"
_F = TypeVar("_F", bound=Callable[..., Any])


class CanisterTrap(Exception):  # noqa: N818 - a trap is the IC's word for it
    """The canister gave up this execution: its state is rolled back. Raised by :meth:`CanisterApi.trap`."""


class CanisterReject(Exception):  # noqa: N818
    """The canister answers with a rejection (code 4) and keeps its state. Raised by :meth:`CanisterApi.reject`."""


class CallRejected(Exception):  # noqa: N818
    """A call to another canister was rejected.

    Attributes:
        code: the IC's reject code, 1 to 6.
        message: the reject message.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (reject code {code})")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Method:
    """A public method: its name on the wire, its kind, and the attribute of the class that implements it."""

    name: str
    kind: Literal["update", "query"]
    attribute: str


def update(name: str | None = None) -> Callable[[_F], _F]:
    """Publish ``(self, arg: bytes) -> bytes`` as an update method, plain or ``async def``.

    Args:
        name: name on the wire; by default the function's own.
    """
    return _publish("update", name)


def query(name: str | None = None) -> Callable[[_F], _F]:
    """Publish ``(self, arg: bytes) -> bytes`` as a query method. It cannot be ``async def``: it cannot call.

    Args:
        name: name on the wire; by default the function's own.

    Raises:
        TypeError: the function is ``async def``.
    """
    return _publish("query", name)


def _publish(kind: Literal["update", "query"], name: str | None) -> Callable[[_F], _F]:
    def mark(function: _F) -> _F:
        if kind == "query" and inspect.iscoroutinefunction(function):
            raise TypeError(f"query method {function.__name__} cannot be async: a query makes no calls")
        setattr(function, _MARK, (kind, name or function.__name__))
        return function

    return mark


class CanisterApi(Protocol):
    """The system interface of a canister, as ``self.ic``. The replica puts it there before ``init``."""

    @property
    def id(self) -> Principal:
        """The canister's own id."""

    @property
    def caller(self) -> Principal:
        """Who made the call being executed: a user, a canister, or the management canister (for timers)."""

    @property
    def time_ns(self) -> int:
        """Nanoseconds since 1970: the block's time, constant in one execution, never decreasing."""

    @property
    def cycles(self) -> int:
        """The cycle balance, less what calls of this execution carry."""

    @property
    def cycles_available(self) -> int:
        """Cycles that came with the call and are not accepted yet; they go back with the reply."""

    def accept_cycles(self, amount: int) -> int:
        """Take up to ``amount`` cycles of those that came with the call; gives the number taken."""

    def set_certified_data(self, data: bytes) -> None:
        """Set the certified data, up to 32 bytes. Not in a query or ``inspect_message``, which trap."""

    def data_certificate(self) -> bytes | None:
        """The certificate of this canister's certified data, in a query call; None in any other execution."""

    def set_timer_at(self, time_ns: int | None) -> int | None:
        """Arm the one global timer, or disarm it with None; gives the previous setting.

        :meth:`Canister.on_timer` is called once when block time has reached ``time_ns``. Install and upgrade disarm it.
        """

    async def call(self, canister: Principal, method: str, arg: bytes, cycles: int = 0) -> bytes:
        """Call another canister, this one, or the management canister: ``reply = await self.ic.call(...)``.

        The await ends the execution: what it has done is committed and the call is sent.

        Raises:
            CallRejected: at the await, with the IC's reject code.
        """

    def notify(self, canister: Principal, method: str, arg: bytes, cycles: int = 0) -> None:
        """Call without waiting: sent if this execution succeeds, the reply is dropped."""

    async def raw_rand(self) -> bytes:
        """32 random bytes, by a call to the management canister."""

    def trap(self, message: str) -> NoReturn:
        """Give up this execution (IC0503). Raises :class:`CanisterTrap`."""

    def reject(self, message: str) -> NoReturn:
        """Answer the call with a rejection (code 4, IC0406); state stays. Raises :class:`CanisterReject`."""

    def log(self, text: str) -> None:
        """Write one line to the replica's log of this canister. Never a secret."""


class Canister:
    """Base class of canisters written in Python. See the module's text for the rules."""

    ic: CanisterApi
    methods: ClassVar[Mapping[str, Method]] = MappingProxyType({})
    #: Public metadata, for example the Candid interface as ``candid:service``.
    metadata: ClassVar[Mapping[str, bytes]] = MappingProxyType({})
    #: Metadata that only the canister's controllers may read.
    private_metadata: ClassVar[Mapping[str, bytes]] = MappingProxyType({})

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        methods = dict(cls.methods)
        for attribute, value in vars(cls).items():
            published = getattr(value, _MARK, None)
            if published is not None:
                kind, name = published
                methods[name] = Method(name, kind, attribute)
        cls.methods = MappingProxyType(methods)

    def init(self, arg: bytes) -> None:
        """Called once at installation. An exception means that the canister is not installed."""

    def pre_upgrade(self) -> bytes:
        """Called on the old code before an upgrade; gives the bytes for the new code. A trap stops the upgrade."""
        return b""

    def post_upgrade(self, arg: bytes, stable: bytes) -> None:
        """Called on the new code after an upgrade, in place of ``init``. Timers are disarmed: arm them again.

        Args:
            arg: the argument of the upgrade.
            stable: what :meth:`pre_upgrade` gave.
        """

    def on_timer(self) -> Awaitable[None] | None:
        """Called when the global timer fires, which disarms it. May be ``async def``."""

    def inspect_message(self, caller: Principal, method: str, arg: bytes) -> bool:
        """Whether to accept a user's update call. Runs on one node and keeps nothing: check again in the method."""
        return True

    def snapshot(self) -> object:
        """The whole state, as a value that later executions do not change.

        Taken before each execution, so its cost is part of every message. The default copies all attributes deeply; a
        canister with much state keeps it in immutable structures and overrides this and :meth:`restore`. A snapshot may
        be restored any number of times.
        """
        return copy.deepcopy(_state(self), {id(self): _Place.CANISTER, id(self.ic): _Place.API})

    def restore(self, snapshot: object) -> None:
        """Return to the state of ``snapshot``, which :meth:`snapshot` of this or another instance of the class gave."""
        if not isinstance(snapshot, dict):
            raise TypeError("not a snapshot of this canister")
        api = self.ic
        state = copy.deepcopy(snapshot, {id(_Place.CANISTER): self, id(_Place.API): api})
        self.__dict__.clear()
        self.__dict__.update(state)
        self.ic = api

    def query_view(self, ic: CanisterApi) -> Canister:
        """The instance that a query runs on: same class and state, thrown away afterwards.

        Override it where :meth:`restore` is not enough to make a working copy of ``copy.copy(self)``.

        Args:
            ic: the system interface of the query, for the new instance's ``ic``.
        """
        view = copy.copy(self)
        view.ic = ic
        view.restore(self.snapshot())
        return view


class _Place(enum.Enum):
    """What stands in a snapshot for the canister itself and for its ``ic``, so that a copy refers to its own."""

    CANISTER = 1
    API = 2


def _state(canister: Canister) -> dict[str, Any]:
    return {name: value for name, value in vars(canister).items() if name != "ic"}
