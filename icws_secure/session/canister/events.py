"""What the canister's sessions tell the kit."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

__all__ = [
    "Accepted",
    "Attached",
    "CanisterEvent",
    "Closed",
    "Deliver",
    "Delivery",
    "DeliveryKind",
    "Detached",
    "Opened",
    "Outcome",
]


@dataclass(frozen=True, slots=True)
class Opened:
    """A session was opened for the first time.

    Attributes:
        client_key: of the session.
        owner: who registered it; in ``omnia/1`` the client itself.
        secure: whether it is of ``icws-secure/1``.
    """

    client_key: ClientKey
    owner: Principal
    secure: bool


@dataclass(frozen=True, slots=True)
class Attached:
    """A secure session has a new attach, number ``attach``, through ``gateway``."""

    client_key: ClientKey
    attach: int
    gateway: Principal


@dataclass(frozen=True, slots=True)
class Detached:
    """Attach number ``attach`` of a secure session is over; the session goes on."""

    client_key: ClientKey
    attach: int


@dataclass(frozen=True, slots=True)
class Closed:
    """A session is over, for the reason ``code``."""

    client_key: ClientKey
    code: str


@dataclass(frozen=True, slots=True)
class Deliver:
    """Something waits for the application: see :meth:`~.machine.CanisterSessions.next_delivery`."""

    client_key: ClientKey


CanisterEvent: TypeAlias = Opened | Attached | Detached | Closed | Deliver
"""Any event."""


class DeliveryKind(Enum):
    """Which handler of the application a delivery is for."""

    OPENED = "opened"
    MESSAGE = "message"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, repr=False)
class Delivery:
    """One thing for the application to handle.

    Attributes:
        client_key: of the session.
        kind: which handler.
        seq: the message's number; 0 for opened, 2^64 for closed.
        data: the message; empty for the others.
        code: why the session is over; empty for the others.
    """

    client_key: ClientKey
    kind: DeliveryKind
    seq: int
    data: bytes = field(default=b"", repr=False)
    code: str = ""

    def __repr__(self) -> str:  # [ICWS-LIB-026]
        return f"Delivery({self.client_key!r}, {self.kind}, {self.seq}, <{len(self.data)} bytes>, {self.code!r})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that a call has handed in.

    Attributes:
        client_key: of its session.
        seq: its number; of a batch, the last.
        repeated: whether the canister had it before.
    """

    client_key: ClientKey
    seq: int
    repeated: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a call has led to.

    Attributes:
        reply: the bytes to answer.
        events: what happened, in order.
        accepted: the message that was taken, for :meth:`~icws_secure.session.canister.CanisterSessions.message_reply`.
    """

    reply: bytes = field(repr=False)
    events: tuple[CanisterEvent, ...] = ()
    accepted: Accepted | None = None
