"""The gateway under test as the cases see it, and everything that it says to the IC."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from icws_conformance.clients.world import World
from icws_conformance.gateways.process import GatewayProcess
from icws_conformance.hostile.boundary import Answer, Fetch
from icws_secure.errors import IcwsError, MisuseError, Reason
from icws_secure.wire.envelope import CallContent, Envelope, QueryContent
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.principal import Principal

__all__ = ["BOUNDS", "FEATURES", "Asked", "GatewayUnderTest", "IcHook", "read_bounds"]

BOUNDS: Final[Mapping[str, tuple[int, str]]] = MappingProxyType(
    {
        "connections": (1_024, "connections of one address that must not all be kept"),
        "frames": (10_000, "small frames at once of one client that must not all be read"),
        "calls": (32, "calls of one client under way at the IC, at most"),
        "open-s": (40, "seconds after which a client that opens nothing must be gone"),
        "backlog-mib": (64, "MiB that must not all wait for a client that does not read"),
    }
)
"""The bounds that a gateway is held to where its operator has not set others: value and meaning, by name."""

FEATURES: Final[Mapping[str, str]] = MappingProxyType(
    {"node-signatures": "it verifies the node signatures of polls against the suite's IC too, not only on mainnet"}
)
"""What a gateway may do that cannot be seen from outside, by name."""

IcHook = Callable[[str, Envelope | None, Fetch], Awaitable[Answer]]
"""(path, envelope, fetch) -> what the IC answers; ``fetch`` asks the honest one."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of the gateway to the IC.

    Attributes:
        at: seconds of the monotonic clock.
        path: of the URL.
        envelope: what was posted.
    """

    at: float
    path: str
    envelope: Envelope

    @property
    def version(self) -> str:
        """The version of the endpoint, such as ``v3``."""
        parts = self.path.split("/")
        return parts[2] if len(parts) > 2 else ""


@dataclass
class GatewayUnderTest:
    """The gateway, and what it says to the IC.

    Attributes:
        url: where it listens.
        world: the IC behind it; its own honest gateways are not used.
        process: the process, where the suite has started it.
        tls: how its certificate is checked, for ``wss``.
        identity: the file that it was told to keep its key in, where the command names one.
        features: what it is said to do; names of :data:`FEATURES`.
        bounds: what it is held to; names of :data:`BOUNDS`.
        asked: every call and query that reached the IC by way of it.
        unreadable: sizes of what came to the endpoint for calls and is no envelope, or is larger than one may be.
        answer: what the IC answers; None for the truth.
    """

    url: str
    world: World
    process: GatewayProcess | None = None
    tls: ssl.SSLContext | None = None
    identity: str = ""
    features: frozenset[str] = frozenset()
    bounds: Mapping[str, int] = field(default_factory=lambda: read_bounds(()))
    asked: list[Asked] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)
    answer: IcHook | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the URL."""
        parts = urlsplit(self.url)
        return parts.hostname or "127.0.0.1", parts.port or (443 if parts.scheme == "wss" else 80)

    async def http(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        """The IC as the gateway sees it."""
        envelope: Envelope | None = None
        with contextlib.suppress(IcwsError):
            envelope = Envelope.decode(body)
        if envelope is None and path.endswith("/call"):
            self.unreadable.append(len(body))
        if envelope is not None:
            self.asked.append(Asked(time.monotonic(), path, envelope))
        return await (fetch() if self.answer is None else self.answer(path, envelope, fetch))

    @property
    def calls(self) -> list[Envelope]:
        """Every call that reached the IC, in order."""
        return [asked.envelope for asked in self.asked if isinstance(asked.envelope.content, CallContent)]

    def calls_of(self, sender: Principal) -> list[CallContent]:
        """The calls of one sender that reached the IC."""
        contents = [envelope.content for envelope in self.calls]
        return [c for c in contents if isinstance(c, CallContent) and c.sender == sender]

    def polls_of(self, canister: Principal) -> list[Asked]:
        """The polls of one canister."""
        return [
            asked
            for asked in self.asked
            if isinstance(asked.envelope.content, QueryContent)
            and asked.envelope.content.method_name == "ws_get_messages"
            and asked.envelope.content.canister_id == canister
        ]

    def closes_of(self, key: ClientKey) -> list[CallContent]:
        """Calls of ``ws_close`` that tell of this client."""
        contents = [envelope.content for envelope in self.calls]
        return [
            c
            for c in contents
            if isinstance(c, CallContent)
            and c.method_name == "ws_close"
            and key.client_principal.raw in c.arg
            and key.client_nonce.to_bytes(8, "little") in c.arg
        ]

    async def revive(self, *, suspected: bool = False) -> str:
        """Start the process again if it has ended; return how it had, or nothing.

        Args:
            suspected: something went wrong that the end of the process may be the cause of.

        Raises:
            TransportError: it does not start again.
        """
        if self.process is None:
            return ""
        await asyncio.sleep(0)  # a process that ends now is seen to have ended
        ended = await self.process.end(suspected=suspected)
        if ended:
            await self.process.restart()
        return ended


def read_bounds(texts: tuple[str, ...] | list[str]) -> Mapping[str, int]:
    """The bounds, with those that are given as ``name=number``.

    Raises:
        MisuseError: there is no such bound, or it is no number above zero.
    """
    found = {name: value for name, (value, _) in BOUNDS.items()}
    for text in texts:
        name, _, value = text.partition("=")
        if name not in BOUNDS:
            known = ", ".join(BOUNDS)
            raise MisuseError(
                f"there is no bound of this name; there are {known}", reason=Reason.INVALID_ARGUMENT, bound=name
            )
        if not (value.isascii() and value.isdecimal() and 0 < int(value) <= 10_000_000):
            raise MisuseError("a bound is given as NAME=NUMBER", reason=Reason.INVALID_ARGUMENT, bound=text)
        found[name] = int(value)
    return MappingProxyType(found)
