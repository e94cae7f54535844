"""Which gateway next: order of preference, backoff with jitter, and a memory of who failed and who was caught."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .config import ClientConfig, GatewayTarget

__all__ = ["GatewayHealth", "GatewayPool"]

_MAX_DOUBLINGS = 16
_GIVE_WAY_AFTER = 2  # failures in a row after which the direct attachment is worth more than another try


@dataclass(slots=True)
class GatewayHealth:
    """What is remembered of one gateway. Times are session time.

    Attributes:
        failures: attempts and attachments lost in a row.
        ready_at: not to be tried before.
        distrusted_until: it was caught; tried only when nothing else is ready.
        draining_until: it said that it will close.
    """

    failures: int = 0
    ready_at: int = 0
    distrusted_until: int = 0
    draining_until: int = 0


class GatewayPool:
    """The gateways of one session.

    Args:
        targets: in order of preference.
        config: backoff and distrust.
        entropy: gives that many unpredictable bytes.
    """

    def __init__(self, targets: Sequence[GatewayTarget], config: ClientConfig, entropy: Callable[[int], bytes]) -> None:
        self._targets = tuple(targets)
        self._health = {target: GatewayHealth() for target in self._targets}
        self._config = config
        self._entropy = entropy

    def __len__(self) -> int:
        return len(self._targets)

    def health(self, target: GatewayTarget) -> GatewayHealth:
        """What is remembered of ``target``."""
        return self._health[target]

    def choose(self, now: int) -> GatewayTarget | None:
        """The gateway to try now, or None when each of them must wait."""
        ready = [target for target in self._targets if self._health[target].ready_at <= now]
        if not ready:
            return None
        return min(ready, key=lambda target: self._rank(target, now))

    def ready_at(self) -> int | None:
        """When the first gateway may be tried; None when there are none."""
        return min((health.ready_at for health in self._health.values()), default=None)

    def better_than(self, target: GatewayTarget, now: int) -> bool:
        """Whether another gateway is ready that has not failed lately."""
        return any(
            other != target and health.ready_at <= now and not health.failures and health.draining_until <= now
            for other, health in self._health.items()
        )

    def is_exhausted(self, now: int) -> bool:
        """Whether none is worth waiting for: each has failed twice in a row, was caught, or drains."""
        return all(
            health.failures >= _GIVE_WAY_AFTER or health.distrusted_until > now or health.draining_until > now
            for health in self._health.values()
        )

    def worked(self, target: GatewayTarget) -> None:
        """An attachment through ``target`` was verified."""
        health = self._health[target]
        health.failures = 0
        health.draining_until = 0

    def failed(self, target: GatewayTarget, now: int, *, caught: bool = False) -> None:
        """An attempt or an attachment is lost.

        Args:
            target: the gateway.
            now: session time.
            caught: whether it broke the protocol, rather than failed.
        """
        health = self._health[target]
        health.failures += 1
        doublings = min(health.failures - 1, _MAX_DOUBLINGS)
        wait = min(self._config.backoff_initial_ns << doublings, self._config.backoff_max_ns)
        # Between half of it and all of it, so that clients of a gateway that died do not come back as one.
        jitter = int.from_bytes(self._entropy(4), "big")
        health.ready_at = now + wait // 2 + (wait // 2) * jitter // (1 << 32)
        if caught:
            health.distrusted_until = now + self._config.distrust_ns

    def drains(self, target: GatewayTarget, now: int, seconds_ns: int) -> None:
        """The gateway said that it will close in that time; it is tried last until it has had time to come back."""
        self._health[target].draining_until = now + seconds_ns

    def _rank(self, target: GatewayTarget, now: int) -> tuple[bool, bool, int, int]:
        health = self._health[target]
        return (
            health.distrusted_until > now,
            health.draining_until > now,
            health.failures,
            self._targets.index(target),
        )
