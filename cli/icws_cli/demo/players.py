"""One attack played out: a client that wants to talk to a canister, and an attacker between the two."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from icws_canister_mock.replica.forge import forge_for
from icws_cli.demo.attacks import MethodDenied, Shown
from icws_cli.demo.stage import Stage
from icws_cli.demo.verdict import Outcome
from icws_client import Connection
from icws_conformance.hostile import Attack, AttackEntry, HostileGateway
from icws_conformance.hostile.boundary import HostileBoundary
from icws_conformance.hostile.catalogue import Scene
from icws_conformance.hostile.target import Target
from icws_secure.errors import IcwsError
from icws_secure.limits import MIN_ACK_INTERVAL_NS, NS_PER_S
from icws_secure.session.client import Event, GatewayLost

__all__ = ["play"]

HALF: Final = 3
EXPECTED: Final = tuple(f"pay {n} to Ben".encode() for n in range(1, 2 * HALF + 1))
OTHERS: Final = tuple(f"pay {n} to Eve".encode() for n in range(1, HALF + 1))
LEAP_NS: Final = MIN_ACK_INTERVAL_NS - 5 * NS_PER_S  # a clock further ahead would refuse what the client signs
LEAP_AGE_S: Final = 5.2
STRIKE_S: Final = 5.0
PATIENCE_S: Final = 1.5

Pause = Callable[[], Awaitable[None]]


async def play(shown: Shown, stage: Stage, honest: str, limit_s: float) -> Outcome:
    """Play one attack.

    Args:
        shown: the attack.
        stage: where; its clock is changed if the attack needs that.
        honest: address of an honest gateway, which the attacker stands in front of, and which the client may turn to.
        limit_s: seconds after which the client counts as lost.
    """
    if shown.entry is None:
        return await _at_the_boundary(stage, honest, limit_s)
    return await _at_the_gateway(shown.entry, stage, honest, limit_s, leaps=shown.leaps)


async def _at_the_gateway(entry: AttackEntry, stage: Stage, honest: str, limit_s: float, *, leaps: bool) -> Outcome:
    scene = Scene(stage.echo, stage.other, forge_for(stage.replica), lambda: Target(skip=1))
    attack = entry.make(scene)
    async with HostileGateway(honest, attack, ic_url=stage.ic_url) as hostile, contextlib.AsyncExitStack() as stack:
        victim = _Client(stage, hostile.url)
        try:
            async with asyncio.timeout(limit_s):
                opened = time.monotonic()
                if entry.victims > 1:
                    other = await stack.enter_async_context(stage.connect([hostile.url], stage.echo))
                    await _Client(stage, hostile.url).talk(other, OTHERS)
                pause = _leap(stage, attack, opened) if leaps else partial(_until_struck, attack, PATIENCE_S)
                await victim.visit([hostile.url, honest], pause)
        except TimeoutError:
            victim.failure = "no end in time"
        return victim.outcome(attack.struck)


async def _at_the_boundary(stage: Stage, honest: str, limit_s: float) -> Outcome:
    """The attacker answers for the IC; the client is given another boundary node afterwards."""
    hook = MethodDenied()
    client = _Client(stage, "")
    async with HostileBoundary(stage.ic_url, hook) as boundary:
        try:
            async with asyncio.timeout(limit_s):
                await client.visit([honest], _no_pause, ic_url=boundary.url)
                if client.failure is not None:
                    client.turn_away()
                    await client.visit([honest], _no_pause)
        except TimeoutError:
            client.failure = "no end in time"
    return client.outcome(hook.struck)


class _Client:
    """A client's application: what it was given, what was proven to it, and why it left the attacker."""

    def __init__(self, stage: Stage, attacker: str) -> None:
        self._stage = stage
        self._attacker = attacker
        self.delivered: list[bytes] = []
        self.executed = 0
        self.is_secure = False
        self.error: IcwsError | None = None
        self.failure: str | None = None
        self._ended_by: IcwsError | None = None

    def outcome(self, struck: int) -> Outcome:
        """All of it, with how often the attacker struck."""
        return Outcome(struck, self.is_secure, EXPECTED, tuple(self.delivered), self.executed, self.error, self.failure)

    async def visit(self, gateways: list[str], pause: Pause, **options: Any) -> None:
        """One whole session: the first half of the messages, a pause, the second half."""
        try:
            async with self._stage.connect(gateways, self._stage.echo, on_event=self._on_event, **options) as ws:
                self.is_secure = ws.parameters is not None and ws.parameters.profile == "icws-secure/1"
                await self.talk(ws, EXPECTED[:HALF])
                await pause()
                await self.talk(ws, EXPECTED[HALF:])
        except IcwsError as error:
            self._ended_by, self.failure = error, str(error)

    async def talk(self, ws: Connection[bytes], messages: tuple[bytes, ...]) -> None:
        """Send all, and take what comes until as many have come."""
        sends = [asyncio.create_task(self._send(ws, message)) for message in messages]
        try:
            for _ in messages:
                self.delivered.append(await ws.recv())
            await asyncio.gather(*sends)
        finally:
            for send in sends:
                send.cancel()
            await asyncio.gather(*sends, return_exceptions=True)

    def turn_away(self) -> None:
        """The session failed; this was the attacker's doing, and the next goes another way."""
        self.error, self.failure, self._ended_by = self._ended_by, None, None

    async def _send(self, ws: Connection[bytes], message: bytes) -> None:
        await ws.send(message)
        self.executed += 1

    def _on_event(self, event: Event) -> None:
        if isinstance(event, GatewayLost) and event.target is not None and event.target.url == self._attacker:
            self.error = self.error or event.error


async def _no_pause() -> None:
    pass


def _leap(stage: Stage, attack: Attack, opened: float) -> Pause:
    """Let the canister's clock run ahead to its next acknowledgements, once the sessions are old enough for that."""

    async def pause() -> None:
        await asyncio.sleep(max(0.0, opened + LEAP_AGE_S + STRIKE_S / 10 - time.monotonic()))
        stage.clock.leap(LEAP_NS)
        await _until_struck(attack, STRIKE_S)

    return pause


async def _until_struck(attack: Attack, limit_s: float) -> None:
    """Give the attacker the time that some attacks need: what they strike comes once in a while."""
    limit = time.monotonic() + limit_s
    while not attack.struck and time.monotonic() < limit:  # noqa: ASYNC110 - an attack counts, it tells nobody
        await asyncio.sleep(0.05)
