"""Cases from the catalogue of attacks: each is played on the client, with an honest gateway to turn to.

Verdicts rest on what went over the wire, on what the canister heard, and on what the application was given; the errors
that a client tells are compared only where it says that it uses this project's names.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.clients.driver import Driver, Drivers
from icws_conformance.clients.world import World
from icws_conformance.hostile import CATALOGUE, Attack, HostileGateway, PassThrough
from icws_conformance.hostile.catalogue import AttackEntry, Profile, Scene, Stage
from icws_conformance.hostile.target import Kind, Target
from icws_conformance.wirelog import WireLog
from icws_secure.errors import Reason, TransportError
from icws_secure.wire.principal import Principal

__all__ = ["attack_case", "attack_cases", "attack_tap"]

#: The order in which a stage is chosen for an attack.
_STAGES: Final = (Stage.FIRST, Stage.LATER, Stage.OPEN, Stage.IN_FLIGHT, Stage.RESUMED)
_BEFORE: Final = 2
_AFTER: Final = 3
_QUIET_S: Final = 2.5
_LEAVE_S: Final = 6.0
_STEP_S: Final = 0.25
_LIMIT_S: Final = 50.0
#: Acknowledgements come once a minute: too seldom for a suite that ends in three.
_LEFT_OUT: Final = frozenset({"another-clients-acknowledgement", "held-message"})
_SILENCE: Final = frozenset(
    {
        Reason.HANDSHAKE_TIMEOUT,
        Reason.OPEN_TIMEOUT,
        Reason.RECEIPT_TIMEOUT,
        Reason.ACK_TIMEOUT,
        Reason.SILENCE,
        Reason.MESSAGES_WITHHELD,
        Reason.CONNECTION_LOST,
    }
)


def attack_cases(world: World, drivers: Drivers) -> list[Case]:
    """One case for each attack and profile."""
    return [attack_case(world, drivers, entry, profile, stage) for entry, profile, stage in _plays()]


def attack_case(world: World, drivers: Drivers, entry: AttackEntry, profile: Profile, stage: Stage) -> Case:
    """The case of an attack on a client of a profile, from a stage on."""
    return Case(
        id=f"{profile.value}/{entry.name}",
        title=f"{entry.name.replace('-', ' ')} ({profile.value})",
        requirements=tuple(sorted(entry.requirements, key=lambda name: not name.startswith("ICWS-CLT"))),
        expected=entry.answer,
        run=partial(_Play(world, drivers, entry, profile, stage).run),
        limit_s=_LIMIT_S,
        gain=entry.gain,
    )


def _plays() -> Iterator[tuple[AttackEntry, Profile, Stage]]:
    for entry in CATALOGUE.values():
        if entry.name in _LEFT_OUT:
            continue
        for profile in (Profile.SECURE, Profile.OMNIA):
            stages = [stage for stage in _STAGES if stage in entry.stages]
            if profile is Profile.OMNIA:
                stages = [stage for stage in stages if stage is not Stage.RESUMED]
            if profile in entry.profiles and stages:
                yield entry, profile, stages[0]


def attack_tap(attack: Attack, log: WireLog) -> Callable[[str, bytes], None]:
    """Writes down what passes the hostile gateway, and says of which frames the attack is the author."""
    seen = attack.struck

    def tap(source: str, data: bytes) -> None:
        nonlocal seen
        struck, seen = attack.struck > seen, attack.struck
        if source == "client":
            log.sent("client", "hostile gateway", "frame", data)
        else:
            log.sent("hostile gateway", "client", "frame, as the attack has it" if struck else "frame", data)

    return tap


@dataclass
class _Scene:
    """What came of a play, so far."""

    attack: Attack
    client: Driver
    sent: list[bytes] = field(default_factory=list)
    sends: list[asyncio.Task[dict[str, Any]]] = field(default_factory=list)
    session: Principal | None = None


@dataclass(frozen=True)
class _Play:
    world: World
    drivers: Drivers
    entry: AttackEntry
    profile: Profile
    stage: Stage

    async def run(self, log: WireLog) -> Finding:
        """Play it."""
        kind = Kind.OPEN if self.stage is Stage.OPEN else Kind.APPLICATION
        world = self.world
        attack = self.entry.make(Scene(world.canister, world.other_canister, world.forge, lambda: Target(kind)))
        at_once = self.stage in (Stage.OPEN, Stage.FIRST, Stage.RESUMED) and self.entry.victims == 1
        async with contextlib.AsyncExitStack() as stack:
            enter = stack.enter_async_context
            hostile = await enter(HostileGateway(world.gateways[0].url, attack, armed=False, ic_url=world.ic_url))
            client = await enter(self.drivers.lend(log))
            if self.profile.value not in client.hello.get("profiles", ()):
                raise NotApplicable(f"the client does not speak the {self.profile.value} profile")
            urls = [hostile.url, world.gateways[1].url]
            if self.stage is Stage.RESUMED:
                shared = attack if self.entry.name == "collusion" else PassThrough()
                first = await enter(HostileGateway(world.gateways[0].url, shared, ic_url=world.ic_url))
                hostile.upstream = world.gateways[1].url
                urls = [first.url, hostile.url, world.gateways[0].url]
            else:
                first = None
            if "hurry" not in client.features and self._reasons() and set(self._reasons()) <= _SILENCE:
                raise Inconclusive(
                    "the client cannot be asked to hurry: it may notice silence later than the suite waits"
                )
            for _ in range(self.entry.victims - 1):
                other = _Scene(attack, await enter(self.drivers.lend(WireLog())))
                await self._connect(other, [hostile.url])
                await self._talk(other, _BEFORE + _AFTER)
            hostile.tap = attack_tap(attack, log)
            scene = _Scene(attack, client)
            hostile.armed = at_once or (self.entry.victims > 1 and self.stage is Stage.OPEN)
            opened = await self._connect(scene, urls)
            if opened and self.stage is not Stage.OPEN:
                if self.stage in (Stage.LATER, Stage.RESUMED):
                    await self._talk(scene, _BEFORE)
                if first is not None:
                    await first.hang_up()
                hostile.armed = True
            if opened:
                await self._talk(scene, _AFTER)
                await self._settle(scene)
                await self._await_leave(scene, hostile)
            if hostile.mistakes:
                raise Inconclusive(f"the attack made a mistake: {hostile.mistakes[0]!r}")
            return self._judge(scene, hostile, opened, log)

    async def _connect(self, scene: _Scene, urls: list[str]) -> bool:
        answer = await scene.client.ask(
            "connect",
            gateways=urls,
            canister_id=self.world.canister.to_text(),
            ic_url=self.world.ic_url,
            root_key_hex=self.world.replica.root_key_der.hex(),
            profile=self.profile.value,
            hurry=True,
            limit_s=15,
        )
        if answer.get("ok") is True:
            scene.session = Principal.from_text(answer["session"])
            return True
        return False

    async def _talk(self, scene: _Scene, count: int) -> None:
        """Send messages, and wait for their echoes or until nothing more is told."""
        for _ in range(count):
            data = b"message %d" % len(scene.sent)
            scene.sent.append(data)
            confirm = "executed" if self.profile is Profile.SECURE else "relayed"
            ask = scene.client.ask("send", data_hex=data.hex(), confirm=confirm)
            scene.sends.append(asyncio.create_task(ask))
            await asyncio.sleep(0)
        await self._settle(scene)

    async def _settle(self, scene: _Scene) -> None:
        client = scene.client
        patience = 12.0 if self.profile is Profile.SECURE else _QUIET_S
        while client.closed is None and not client.ended and len(client.messages) < len(scene.sent):
            if not await client.changed(patience):
                break
        if self.profile is Profile.SECURE and client.closed is None:
            with contextlib.suppress(TransportError, TimeoutError):
                async with asyncio.timeout(8):
                    await asyncio.gather(*scene.sends, return_exceptions=True)

    async def _await_leave(self, scene: _Scene, hostile: HostileGateway) -> None:
        """Silence is noticed when a deadline has passed, which may be after all messages have arrived; and what a
        gateway relays by itself, such as heads, may come after them too."""
        for _ in range(int(_LEAVE_S / _STEP_S)):
            if scene.attack.struck or any(wire.is_over for wire in hostile.wires):
                break
            await scene.client.changed(_STEP_S)
        for _ in range(int(_LEAVE_S / _STEP_S)):
            if not self._reasons() or scene.attack.struck == 0 or any(wire.is_over for wire in hostile.wires):
                return
            await scene.client.changed(_STEP_S)

    def _judge(self, scene: _Scene, hostile: HostileGateway, opened: bool, log: WireLog) -> Finding:
        for task in scene.sends:
            task.cancel()
        client, attack = scene.client, scene.attack
        if client.ended:
            log.note(client.ended, source="client", blamed=True)
            raise Failed(f"the client ended: {client.ended}")
        if attack.struck == 0:
            raise Inconclusive("the attack found no occasion")
        given, sent = client.messages, scene.sent
        if given != sent[: len(given)]:
            wrong = next(n for n, data in enumerate(given) if data != (sent[n] if n < len(sent) else None))
            log.note(f"message {wrong + 1} is not the one that comes next", source="application", blamed=True)
            raise Failed(f"the application was given {given[wrong]!r} as message {wrong + 1}")
        heard = self.world.heard(scene.session) if scene.session is not None else []
        if heard != sent[: len(heard)]:
            log.note(f"the canister heard {heard!r}", source="canister", blamed=True)
            raise Failed("the canister heard other messages than were sent, or in another order")
        secure = self.profile is Profile.SECURE
        left = any(wire.is_over for wire in hostile.wires)
        reasons = set(self._reasons())
        if reasons and not left and (secure or given == sent):
            log.note("the client goes on with the hostile gateway as if nothing had been", source="client", blamed=True)
            raise Failed("the client did not notice: it stayed and went on")
        if secure and not opened:
            raise Failed("no session came about, with an honest gateway to turn to")
        if secure and (client.closed is not None or given != sent or heard != sent):
            raise Failed(f"the session did not survive: {len(given)} of {len(sent)} messages arrived")
        losses = [loss for loss in client.lost if loss.get("gateway") == hostile.url]
        if reasons and "reasons" in client.features and losses:
            told = losses[0]["error"]["reason"]
            if told not in {str(reason) for reason in reasons}:
                raise Failed(f"the client left, but says {told}")
        return Finding(self._seen(scene, left))

    def _reasons(self) -> tuple[Reason, ...]:
        at_open = self.entry.reasons_at_open
        return at_open if self.stage is Stage.OPEN and at_open is not None else self.entry.reasons

    def _seen(self, scene: _Scene, left: bool) -> str:
        client = scene.client
        told = f", saying {client.lost[0]['error']['reason']}" if client.lost else ""
        gone = f"left the gateway{told}" if left else "stayed, unharmed"
        return f"{gone}; {len(client.messages)} of {len(scene.sent)} messages delivered, in order, none of them wrong"
