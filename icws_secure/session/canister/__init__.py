"""The canister's side of the sessions: both profiles, without I/O.

:class:`CanisterSessions` is the machine; a kit for some kind of canister owns one, calls it from the canister's methods
and hands deliveries to the application. The rules are in ``registry`` (who may), ``opening`` (attaching), ``inbound``
and ``outbound`` (the two streams), ``queues`` and ``polling`` (what gateways see), ``lifecycle`` with ``table`` (how
sessions change), ``liveness`` (what the clock does) and ``sealing`` with ``suites`` (payload protection).
"""

from __future__ import annotations

from .admission import OMNIA_METHODS, QUERIES, SECURE_METHODS
from .config import OMNIA, SECURE, CanisterConfig
from .events import (
    Accepted,
    Attached,
    CanisterEvent,
    Closed,
    Deliver,
    Delivery,
    DeliveryKind,
    Detached,
    Opened,
    Outcome,
)
from .machine import CanisterSessions
from .refusal import RefusalError, refuse
from .sealing import AttachOffer, PlainSuite, SealedChannel, SuiteProvider
from .state import CanisterState, Session
from .suites import SealedSuites
from .table import OMNIA_TABLE, SECURE_TABLE, Cause, Transition

__all__ = [
    "OMNIA",
    "OMNIA_METHODS",
    "OMNIA_TABLE",
    "QUERIES",
    "SECURE",
    "SECURE_METHODS",
    "SECURE_TABLE",
    "Accepted",
    "AttachOffer",
    "Attached",
    "CanisterConfig",
    "CanisterEvent",
    "CanisterSessions",
    "CanisterState",
    "Cause",
    "Closed",
    "Deliver",
    "Delivery",
    "DeliveryKind",
    "Detached",
    "Opened",
    "Outcome",
    "PlainSuite",
    "RefusalError",
    "SealedChannel",
    "SealedSuites",
    "Session",
    "SuiteProvider",
    "Transition",
    "refuse",
]
