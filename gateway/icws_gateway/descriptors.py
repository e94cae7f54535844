"""File descriptors: how many this process may have, and who gets them.

Without a share of their own, the gateway's connections to the IC would be at the mercy of whoever opens sockets: at
the system's bound, neither could be made any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .config import GatewayConfig

__all__ = ["Descriptors", "raise_limit"]

_OWN: Final = 64  # standard streams, listening sockets, files, the event loop's


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What may be open at once.

    Attributes:
        sockets: connections of clients, those before their handshake included.
        ic_connections: connections to the IC.
    """

    sockets: int
    ic_connections: int

    @classmethod
    def divided(cls, config: GatewayConfig, limit: int | None = None) -> Descriptors:
        """A share for each: the IC's is what calls and polls need, but at most a quarter of all.

        Args:
            config: the bounds that are wished for.
            limit: descriptors that this process may have; by default the system is asked.
        """
        wished = config.calls_in_flight + config.polls_in_flight
        most = limit if limit is not None else _limit()
        if most is None:
            return cls(config.max_connections + config.max_waiting_sockets, wished)
        ic_connections = max(1, min(wished, most // 4))
        return cls(max(1, most - ic_connections - _OWN), ic_connections)


def raise_limit() -> None:
    """Lets this process have as many descriptors as the system allows it to ask for."""
    try:
        import resource
    except ImportError:  # no such bound on this system
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return  # systems that name a bound and refuse it: it stays as it was


def _limit() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft
