"""What the demo is played on: a local Internet Computer with canisters, gateways before it, and impatient clients."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

from icws_canister_mock.canister.samples import Chat, Echo
from icws_canister_mock.replica import Replica, ReplicaConfig, serve_replica
from icws_client import ClientConfig, connect
from icws_client.options import Options
from icws_secure.limits import MAX_MESSAGE_TTL_NS, MIN_ACK_INTERVAL_NS, NS_PER_MS, NS_PER_S
from icws_secure.wire.principal import Principal

__all__ = ["LeapingClock", "Stage", "raise_stage"]

FLAT_INTERVAL: Final = Echo.configured(ack_interval_ns=MIN_ACK_INTERVAL_NS, ack_jitter=0.0)


class LeapingClock:
    """The machine's clock, until it is told to leap."""

    def __init__(self) -> None:
        self._ahead_ns = 0

    def now_ns(self) -> int:
        """Nanoseconds since 1970, plus all leaps."""
        return time.time_ns() + self._ahead_ns

    def leap(self, by_ns: int) -> None:
        """Go forward by so many nanoseconds at once."""
        self._ahead_ns += by_ns


@dataclass(frozen=True)
class Stage:
    """A local Internet Computer that is being served.

    Attributes:
        replica: the IC.
        clock: its clock.
        ic_url: where it is.
        chat: a canister with a chat room.
        echo: a canister that says back what it is told.
        other: a third canister, on the subnet of the others, which has no part in any conversation.
    """

    replica: Replica
    clock: LeapingClock
    ic_url: str
    chat: Principal
    echo: Principal
    other: Principal

    def connect(self, gateways: list[str], canister: Principal, **options: Any) -> connect[bytes]:
        """A client of this stage; ``options`` are those of :class:`icws_client.connect`."""
        given: Options = {"ic_url": self.ic_url, "root_key": self.replica.root_key_der, "open_timeout": 15.0}
        given |= {"close_timeout": 3.0, "config": impatient(canister)}
        given |= options  # type: ignore[typeddict-item] # a dictionary of unknown keys; connect checks them
        return connect(gateways, canister_id=canister, **given)


def impatient(canister: Principal) -> ClientConfig:
    """Settings of a client that waits seconds where others wait a minute: nobody watches a demo for long."""
    return ClientConfig(
        canister_id=canister,
        backoff_initial_ns=50 * NS_PER_MS,
        attach_timeout_ns=4 * NS_PER_S,
        handshake_timeout_ns=4 * NS_PER_S,
        receipt_timeout_ns=2 * NS_PER_S,
        head_interval_ns=2 * NS_PER_S,
        withhold_grace_ns=1 * NS_PER_S,
        message_ttl_ns=MAX_MESSAGE_TTL_NS,
    )


@contextlib.asynccontextmanager
async def raise_stage() -> AsyncIterator[Stage]:
    """A stage, for as long as the block runs."""
    clock = LeapingClock()
    replica = Replica(ReplicaConfig(clock=clock, idle_block_ms=200))
    chat, echo, other = (replica.install(canister) for canister in (Chat(), FLAT_INTERVAL(), Echo()))
    async with serve_replica(replica) as server:
        yield Stage(replica, clock, server.url, chat, echo, other)
