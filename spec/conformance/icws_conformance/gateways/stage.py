"""What a case has: connections to the gateway, canisters of its own, and an IC that can be told to lie."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from icws_canister_mock.replica import Canister
from icws_conformance.case import Failed, Finding, NotApplicable
from icws_conformance.clients.world import Recorder
from icws_conformance.gateways.peer import Peer, SecurePeer
from icws_conformance.gateways.under_test import GatewayUnderTest
from icws_conformance.wirelog import WireLog
from icws_secure.wire.envelope import CallContent
from icws_secure.wire.frames import SUBPROTOCOL
from icws_secure.wire.principal import Principal

__all__ = ["QUIET_S", "GatewayCase", "Play", "Stage"]

#: How long something that must not happen is waited for.
QUIET_S: Final = 0.7
_MAX_FRAME: Final = 8 << 20


@dataclass
class Stage:
    """One case's view of the gateway.

    Attributes:
        gateway: under test.
        log: the case's wire log.
        stack: what has to be taken down after the case.
    """

    gateway: GatewayUnderTest
    log: WireLog
    stack: contextlib.AsyncExitStack

    async def peer(self, name: str = "client", *, modern: bool = False, canister: Principal | None = None) -> Peer:
        """A client of ``omnia/1``, with (``modern``) or without our subprotocol.

        Raises:
            Failed: the gateway does not take the connection.
            NotApplicable: it does not speak the subprotocol.
        """
        socket = await self.socket(modern=modern)
        peer = Peer(socket, canister or self.gateway.world.omnia_canister, self.log, name)
        self.stack.push_async_callback(peer.leave)
        return peer

    async def secure_peer(self, name: str = "client", *, like: SecurePeer | None = None) -> SecurePeer:
        """A client of ``icws-secure/1``, registered at the IC; or another connection of the session of ``like``.

        Raises:
            Failed: the gateway does not take the connection.
            NotApplicable: it does not speak the subprotocol.
        """
        socket = await self.socket(modern=True)
        peer = SecurePeer(socket, self.gateway.world.canister, self.log, name)
        self.stack.push_async_callback(peer.leave)
        if like is None:
            peer.register(self.gateway.world.replica)
        else:
            peer.share(like)
        return peer

    async def socket(self, *, modern: bool = False) -> ClientConnection:
        """A WebSocket to the gateway.

        Raises:
            Failed: the gateway does not take the connection.
            NotApplicable: it does not speak the subprotocol.
        """
        try:
            socket = await self.try_socket(modern=modern)
        except (OSError, WebSocketException) as error:
            raise Failed(f"the gateway does not take a connection: {plain(error)}") from error
        if modern and socket.subprotocol != SUBPROTOCOL:
            await socket.close()
            raise NotApplicable(f"the gateway does not speak the subprotocol {SUBPROTOCOL}")
        return socket

    async def try_socket(self, *, modern: bool = False) -> ClientConnection:
        """As :meth:`socket`, but errors are passed on as they are."""
        gateway = self.gateway
        return await connect(
            gateway.url,
            ssl=gateway.tls,
            subprotocols=[Subprotocol(SUBPROTOCOL)] if modern else None,
            compression=None,
            max_size=_MAX_FRAME,
            max_queue=None,
            open_timeout=10,
            close_timeout=2,
        )

    def canister(self, canister: Canister | None = None, *, subnet: str = "app") -> Principal:
        """A canister that only this case uses; by default one that echoes, of the older protocol alone."""
        fresh = Recorder.configured(profiles=frozenset({"omnia"}))() if canister is None else canister
        return self.gateway.world.replica.install(fresh, subnet=subnet)

    async def nothing_reaches(self, peer: Peer) -> None:
        """Nothing of a client reaches the IC, not even a little later.

        Raises:
            Failed: something does.
        """
        await asyncio.sleep(QUIET_S)
        if calls := self.gateway.calls_of(peer.identity.principal):
            self.blame("IC", f"the IC was called: {calls[-1].method_name}")
            raise Failed(f"a call reached the IC: {calls[-1].method_name}")

    async def refused(self, peer: Peer, what: str, limit_s: float = 4.0) -> str:
        """Wait until the gateway closes a connection; return code and reason.

        Raises:
            Failed: it does not, or what should have been refused reaches the IC.
        """
        relayed = self._relayed_from_now_on()
        await peer.until(lambda: peer.closed or relayed(), f"the connection is closed, because {what}", limit_s)
        self._demand_none(relayed(), what)
        return peer.ending

    @contextlib.asynccontextmanager
    async def nothing_relayed(self, what: str) -> AsyncIterator[None]:
        """No client's call reaches the IC while the block runs.

        Raises:
            Failed: one does.
        """
        relayed = self._relayed_from_now_on()
        yield
        self._demand_none(relayed(), what)

    def _relayed_from_now_on(self) -> Callable[[], list[str]]:
        """What has reached the IC since now, in words: calls that are not the gateway's own."""
        gateway = self.gateway
        calls, unreadable = len(gateway.calls), len(gateway.unreadable)

        def relayed() -> list[str]:
            made = [envelope.content for envelope in gateway.calls[calls:]]
            told = [
                f"{content.method_name} of canister {content.canister_id}"
                for content in made
                if isinstance(content, CallContent) and content.method_name != "ws_close"
            ]
            return told + [f"{size} bytes that are no envelope" for size in gateway.unreadable[unreadable:]]

        return relayed

    def _demand_none(self, relayed: Sequence[str], what: str) -> None:
        if relayed:
            self.blame("IC", f"the IC was called: {relayed[0]}")
            raise Failed(f"{what}, and it reached the IC")

    async def goes_on(self, peer: Peer, what: str = "another client's echo", limit_s: float = 10.0) -> None:
        """A client that is open is still served.

        Raises:
            Failed: it is not.
        """
        before = len(peer.messages)
        await peer.say(b"still here")
        await peer.until(lambda: len(peer.messages) > before, what, limit_s)

    def blame(self, source: str, text: str) -> None:
        """Write down what shows the failure."""
        self.log.note(text, source=source, blamed=True)


Play = Callable[[Stage], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class GatewayCase:
    """A case before it is bound to a gateway.

    Attributes:
        name: of the case.
        title: what happens, in a few words.
        requirements: without their ``ICWS-``, the one that the case is meant for first.
        expected: what the gateway does.
        play: the case.
        gain: what somebody would have of it if the gateway did not.
        limit_s: seconds after which the case is given up.
    """

    name: str
    title: str
    requirements: Sequence[str]
    expected: str
    play: Play
    gain: str = ""
    limit_s: float = 40.0


def plain(error: Exception) -> str:
    """What an error of the connection means, in a few words."""
    if isinstance(error, InvalidStatus):
        return f"HTTP status {error.response.status_code}"
    return str(error) or type(error).__name__
