"""Which process polls which canister: a lease of a few seconds for each, renewed while it is wanted.

Two that both believe to have it do no harm: both poll. So no fencing is needed, and a lease that Redis forgot costs a
few polls.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from icws_secure.wire.principal import Principal

from .link import RedisLink

__all__ = ["LEASE_SECONDS", "Lease", "release", "renew"]

LEASE_SECONDS: Final = 3.0
_LEGACY_SECONDS: Final = 5.0

# KEYS: lease, wish for old certificates. ARGV: process, lease ms, has old clients, wish ms. -> {mine, wished}
_RENEW: Final = """
if ARGV[3] == '1' then redis.call('SET', KEYS[2], '1', 'PX', ARGV[4]) end
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {1, redis.call('EXISTS', KEYS[2])}
end
return {0, redis.call('EXISTS', KEYS[2])}
"""
# KEYS: lease. ARGV: process
_RELEASE: Final = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


@dataclass(slots=True)
class Lease:
    """What is known of one canister's lease.

    Attributes:
        canister: which.
        has_legacy: whether this process has clients that know only the old form of canister ranges.
        until: time of the monotonic clock until which it is ours.
        wants_legacy: whether any process has such clients.
    """

    canister: Principal
    has_legacy: Callable[[], bool]
    until: float = 0.0
    wants_legacy: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether this process polls the canister for all."""
        return time.monotonic() < self.until


async def renew(link: RedisLink, prefix: str, process: str, leases: Iterable[Lease]) -> bool:
    """Takes or renews leases; those of others stay theirs. Returns whether Redis answered."""
    asked = tuple(leases)
    started = time.monotonic()
    answers = await link.run(
        *(
            (
                _RENEW,
                (_lease_key(prefix, lease), f"{prefix}legacy:{lease.canister}"),
                (process, int(LEASE_SECONDS * 1000), int(lease.has_legacy()), int(_LEGACY_SECONDS * 1000)),
            )
            for lease in asked
        )
    )
    if answers is None:
        return False
    for lease, (mine, wished) in zip(asked, answers, strict=True):
        # from before the question was sent, so that we give up before Redis does
        lease.until = started + LEASE_SECONDS if mine else 0.0
        lease.wants_legacy = bool(wished)
    return True


async def release(link: RedisLink, prefix: str, process: str, leases: Iterable[Lease]) -> None:
    """Gives leases back, so that the next process need not wait for their end."""
    held = [lease for lease in leases if lease.is_ours]
    for lease in held:
        lease.until = 0.0
    if held:
        await link.run(*((_RELEASE, (_lease_key(prefix, lease),), (process,)) for lease in held))


def _lease_key(prefix: str, lease: Lease) -> str:
    return f"{prefix}lease:{lease.canister}"
