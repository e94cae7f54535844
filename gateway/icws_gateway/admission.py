"""Who may connect and how much it may send: counts and rates, in total and for each address.

Addresses are grouped as their owners are: an IPv4 address alone, IPv6 by /64. The table of addresses is bounded; only
those without connections and with full buckets are forgotten. Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from icws_secure.wire.close_codes import CloseCode

from .config import GatewayConfig
from .rates import TokenBucket
from .refusal import ClientRefused

__all__ = ["AddressBudget", "Admission", "FrameBudget", "HeldBytes", "client_address", "is_trusted"]

_SWEEP_EVERY: Final = 1_024  # admissions between two sweeps of the table
_MAX_HOPS: Final = 16  # entries of X-Forwarded-For that are looked at

Network = IPv4Network | IPv6Network


def client_address(peer: str, forwarded: Iterable[str], proxies: Sequence[Network]) -> str:
    """The address that limits are counted for.

    Args:
        peer: address of the socket's other end.
        forwarded: values of the ``X-Forwarded-For`` headers, in order.
        proxies: networks whose word is taken. The header is read from its end, and only as far as trust goes: what a
            client wrote there itself is never believed.
    """
    address = _parse(peer)
    if address is not None and any(address in network for network in proxies):
        hops = [hop.strip() for value in forwarded for hop in value.split(",")][-_MAX_HOPS:]
        for hop in reversed(hops):
            nearer = _parse(hop)
            if nearer is None:
                break
            address = nearer
            if not any(nearer in network for network in proxies):
                break
    return _group(address) if address is not None else peer


def is_trusted(peer: str, proxies: Sequence[Network]) -> bool:
    """Whether the other end of a socket is a proxy whose word is taken."""
    address = _parse(peer)
    return address is not None and any(address in network for network in proxies)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _group(address: IPv4Address | IPv6Address) -> str:
    if isinstance(address, IPv6Address) and not address.is_loopback:
        return str(ip_network((address, 64), strict=False))
    return str(address)


class HeldBytes:
    """Bytes of all clients' frames that were received and are not done with: unread, or in a call."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class AddressBudget:
    """What one address has under way and may still send."""

    __slots__ = ("bytes", "config", "connections", "frames", "held", "name", "opens", "pool")

    def __init__(self, name: str, config: GatewayConfig, now: float, pool: HeldBytes | None = None) -> None:
        self.name = name
        self.config = config
        self.pool = pool if pool is not None else HeldBytes()
        self.held = 0
        self.connections = 0
        self.opens = TokenBucket(config.opens_per_second_per_address, config.open_burst_per_address, now)
        self.frames = TokenBucket(config.messages_per_second_per_address, config.message_burst_per_address, now)
        self.bytes = TokenBucket(config.bytes_per_second_per_address, config.byte_burst_per_address, now)

    def apply(self, config: GatewayConfig) -> None:
        """Takes over changed rates."""
        self.config = config
        self.opens.change(config.opens_per_second_per_address, config.open_burst_per_address)
        self.frames.change(config.messages_per_second_per_address, config.message_burst_per_address)
        self.bytes.change(config.bytes_per_second_per_address, config.byte_burst_per_address)

    def is_idle(self, now: float) -> bool:
        """Whether forgetting it changes nothing."""
        return not self.connections and all(bucket.is_full(now) for bucket in (self.opens, self.frames, self.bytes))


class FrameBudget:
    """What one connection may send, within what its address may."""

    __slots__ = ("_address", "_bytes", "_frames", "_held")

    def __init__(self, address: AddressBudget, config: GatewayConfig, now: float) -> None:
        self._address = address
        self._held = 0
        self._frames = TokenBucket(config.messages_per_second_per_client, config.message_burst_per_client, now)
        self._bytes = TokenBucket(config.bytes_per_second_per_client, config.byte_burst_per_client, now)

    def take(self, size: int, now: float) -> str | None:
        """Counts one frame of ``size`` bytes. Returns the name of the limit it crosses, or None."""
        # [ICWS-GWY-018]
        if not self._frames.take(1, now):
            return "client_frames"
        if not self._bytes.take(size, now):
            return "client_bytes"
        if not self._address.frames.take(1, now):
            return "address_frames"
        if not self._address.bytes.take(size, now):
            return "address_bytes"
        return None

    def hold(self, size: int) -> str | None:
        """Counts bytes that are kept from now on. Returns the name of the limit they would cross, or None."""
        address = self._address
        # [ICWS-GWY-018] what waits for a canister that hangs is memory, however slowly it came
        if address.held + size > address.config.held_bytes_per_address:
            return "address_held_bytes"
        if address.pool.used + size > address.config.held_total_bytes:
            return "held_total_bytes"
        self._count(size)
        return None

    def release(self, size: int) -> None:
        """Bytes are kept no longer. After :meth:`close` nothing is left to release."""
        self._count(-min(size, self._held))

    def close(self) -> None:
        """The connection is gone, with all that was kept of it."""
        self._count(-self._held)

    def _count(self, size: int) -> None:
        self._held += size
        self._address.held += size
        self._address.pool.used += size


class Admission:
    """Counts connections and hands out budgets.

    Args:
        config: the limits.

    Attributes:
        held: bytes of frames that are kept.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self._config = config
        self._addresses: dict[str, AddressBudget] = {}
        self._connections = 0
        self.held = HeldBytes()
        self._since_sweep = 0

    @property
    def connections(self) -> int:
        """Connections that were admitted and have not left."""
        return self._connections

    def apply(self, config: GatewayConfig) -> None:
        """Takes over changed limits, for addresses that are known too."""
        self._config = config
        for budget in self._addresses.values():
            budget.apply(config)

    def enter(self, address: str, now: float) -> AddressBudget:
        """Admits a connection from ``address``, a group that :func:`client_address` made. It ends with :meth:`leave`.

        Raises:
            ClientRefused: a bound is reached, in total or for the address.
        """
        config = self._config
        # [ICWS-GWY-018]
        if self._connections >= config.max_connections:
            raise ClientRefused(CloseCode.TOO_MANY_CONNECTIONS, "the gateway is full", limit="connections")
        budget = self._addresses.get(address)
        if budget is None:
            self._make_room(now)
            budget = self._addresses[address] = AddressBudget(address, config, now, self.held)
        # [ICWS-GWY-018]
        if budget.connections >= config.max_connections_per_address:
            raise ClientRefused(
                CloseCode.TOO_MANY_CONNECTIONS, "too many connections from this address", limit="address_connections"
            )
        # [ICWS-GWY-018]
        if not budget.opens.take(1, now):
            raise ClientRefused(CloseCode.RATE_LIMITED, "too many new connections", limit="address_opens")
        self._connections += 1
        budget.connections += 1
        return budget

    def leave(self, budget: AddressBudget) -> None:
        """The connection is gone."""
        self._connections -= 1
        budget.connections -= 1

    def _make_room(self, now: float) -> None:
        self._since_sweep += 1
        most = self._config.max_addresses
        if self._since_sweep < _SWEEP_EVERY and len(self._addresses) < most:
            return
        self._since_sweep = 0
        for name in [name for name, budget in self._addresses.items() if budget.is_idle(now)]:
            del self._addresses[name]
        # [ICWS-GWY-018]
        if len(self._addresses) >= most:
            raise ClientRefused(CloseCode.TOO_MANY_CONNECTIONS, "too many addresses", limit="addresses")
