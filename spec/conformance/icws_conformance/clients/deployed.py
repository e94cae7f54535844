"""Cases for clients of ``omnia/1``: what deployed clients have been seen not to check.

In ``omnia/1`` a client has one connection and no second gateway: where it notices, the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Final

from icws_canister_mock.replica.keys import SubnetKey
from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.clients.attacks import attack_case, attack_tap
from icws_conformance.clients.driver import Driver, Drivers
from icws_conformance.clients.world import World
from icws_conformance.hostile import Attack, HostileGateway
from icws_conformance.hostile.attacks.messages import EachMessage, certificate_of, recertified
from icws_conformance.hostile.boundary import Answer, Fetch, HostileBoundary
from icws_conformance.hostile.catalogue import AttackEntry, Profile, Scene, Stage
from icws_conformance.hostile.forge import Subnet
from icws_conformance.hostile.proxy import Wire
from icws_conformance.hostile.target import CertifiedMessage, Kind, Target
from icws_conformance.wirelog import WireLog
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S
from icws_secure.wire import cbor
from icws_secure.wire.frames import GatewayFrame
from icws_secure.wire.interface import ClientKey
from icws_secure.wire.message import decode_message
from icws_secure.wire.principal import Principal
from icws_secure.wire.service import AckMessage, CloseMessage, CloseReason, ServiceMessage, encode_service_message

__all__ = ["deployed_cases"]

_ENDS: Final = "The client discards the frame, delivers nothing after it and ends the connection."
_MINUTE_NS: Final = 60 * NS_PER_S
_STRANGER: Final = ClientKey(Principal.self_authenticating(b"another client"), 7)
_ACK_INTERVAL_S: Final = 2
_MOST_S: Final = 90.0
_QUIET_S: Final = 5.0
#: A session's end, and a WebSocket's, at the application's wish.
_CLOSED_BY_APPLICATION: Final = (1000, 4001)
#: An address of this machine that is not one of its loopback addresses by name.
_UNNAMED: Final = "0.0.0.0"  # noqa: S104 - the suite connects to it, and listens on 127.0.0.1
_MADE_UP_ROOT: Final = SubnetKey(bytes(32), "no root").public_key.der


def deployed_cases(world: World, drivers: Drivers) -> list[Case]:
    """The cases."""
    entries = (
        AttackEntry(
            "another-clients-ack",
            "Has messages taken for acknowledged that never arrived.",
            _ENDS,
            ("ICWS-CLT-028", "ICWS-CLT-034"),
            lambda s: _service_of_another(s, AckMessage(1)),
            (Reason.WRONG_CLIENT_KEY,),
        ),
        AttackEntry(
            "time-goes-back",
            "Has the canister speak in another order than it did.",
            _ENDS,
            ("ICWS-CLT-030",),
            lambda s: certificate_of(
                "time goes back",
                Target(Kind.APPLICATION, skip=1),
                s.forge,
                s.canister_id,
                subnet=Subnet.OWN,
                ahead_ns=-_MINUTE_NS // 2,
            ),
            (Reason.TIMESTAMP_DECREASING,),
        ),
    )
    old = AttackEntry(
        "old-messages",
        "Shows what the canister said ten minutes ago as if it were new.",
        _ENDS,
        ("ICWS-CLT-031",),
        lambda s: EachMessage("old messages", Target(Kind.ANY, count=None), partial(_older, s)),
        (Reason.MESSAGE_TOO_OLD,),
    )
    return [
        *(attack_case(world, drivers, entry, Profile.OMNIA, Stage.FIRST) for entry in entries),
        attack_case(world, drivers, old, Profile.OMNIA, Stage.OPEN),
        _case(
            "omnia/another-clients-close",
            "the close message of another client, with the next number",
            ("ICWS-CLT-028", "ICWS-CLT-035"),
            "The client discards it; what ends the connection is not taken for the application's word.",
            "a gateway ends sessions in the application's name",
            partial(_anothers_close, world, drivers),
        ),
        _case(
            "omnia/told-root-key",
            "the IC's address tells another root key",
            ("ICWS-LIB-022",),
            "The client keeps to the root key that it was given, and opens no session.",
            "whoever can answer for the IC's address once is believed for everything",
            partial(_told_root_key, world, drivers),
        ),
        _case(
            "omnia/only-receives",
            "the gateway falls silent, and the application has nothing to say",
            ("ICWS-CLT-050",),
            "The client notices within a bounded time.",
            "a gateway withholds what it likes from a client that only listens",
            partial(_only_receives, world, drivers),
        ),
    ]


def _case(
    name: str,
    title: str,
    requirements: tuple[str, ...],
    expected: str,
    gain: str,
    run: Callable[[WireLog], Awaitable[Finding]],
) -> Case:
    return Case(name, title, requirements, expected, run, limit_s=_MOST_S + 30, gain=gain)


def _service_of_another(scene: Scene, said: ServiceMessage) -> Attack:
    """A certified service message to another client, with the number that comes next here."""

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        decoded = decode_message(message.content)
        other = replace(decoded, client_key=_STRANGER, is_service_message=True, content=encode_service_message(said))
        return recertified(message.key, other.encode(), scene.forge, scene.canister_id, Subnet.OWN)

    return EachMessage("service message of another client", scene.target(), change)


def _older(scene: Scene, _: Wire, message: CertifiedMessage) -> CertifiedMessage:
    """A message that is ten minutes older than it is, under a fresh certificate."""
    decoded = decode_message(message.content)
    older = replace(decoded, timestamp_ns=decoded.timestamp_ns - 10 * _MINUTE_NS)
    return recertified(message.key, older.encode(), scene.forge, scene.canister_id, Subnet.OWN)


async def _anothers_close(world: World, drivers: Drivers, log: WireLog) -> Finding:
    scene = Scene(world.canister, world.other_canister, world.forge, lambda: Target(Kind.APPLICATION))
    attack = _service_of_another(scene, CloseMessage(CloseReason.CLOSED_BY_APPLICATION))
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        gateway = HostileGateway(world.gateways[0].url, attack, subprotocol=False, tap=attack_tap(attack, log))
        hostile = await enter(gateway)
        client = await enter(drivers.lend(log))
        await _opened(world, client, hostile)
        await client.ask("send", data_hex=b"hello".hex(), confirm="relayed")
        while client.closed is None and not client.lost and not client.ended:
            if not await client.changed(_QUIET_S):
                break
        if attack.struck == 0:
            raise Inconclusive("no message came in whose place another could be shown")
        if client.closed is None and not client.lost:
            log.note("the client is still there", source="client", blamed=True)
            raise Failed("the client did not notice: it stayed and went on")
        if client.closed is not None and client.closed.get("code") in _CLOSED_BY_APPLICATION:
            log.note(f"the session ended with {client.closed}", source="client", blamed=True)
            raise Failed("the client believed the close message of another client: to it, the application has closed")
    return Finding("the connection ended, and not as if the application had closed")


async def _opened(world: World, client: Driver, hostile: HostileGateway, **more: object) -> None:
    """Have the client connect through a gateway that passes on all that the open needs.

    Raises:
        NotApplicable: it does not speak the profile.
        Inconclusive: no session came about.
    """
    _need_omnia(client.hello)
    answer = await client.ask(
        "connect",
        gateways=[hostile.url],
        canister_id=world.canister.to_text(),
        ic_url=world.ic_url,
        root_key_hex=world.replica.root_key_der.hex(),
        profile="omnia",
        hurry=True,
        limit_s=10,
        **more,
    )
    if answer.get("ok") is not True:
        raise Inconclusive("no session came about through a gateway that passes everything on")


async def _told_root_key(world: World, drivers: Drivers, log: WireLog) -> Finding:
    """Everything that the gateway shows is certified under a made-up root key, which the IC's address tells."""

    async def http(path: str, body: bytes, fetch: Fetch) -> Answer:
        del body
        if not path.endswith("/status"):
            return await fetch()
        log.note("the client asks the IC's address for its status", source="client")
        told = {"root_key": _MADE_UP_ROOT, "replica_health_status": "healthy"}
        answer = Answer(200, cbor.encode_self_described(told))
        log.sent("IC", "client", "a made-up root key", answer.body)
        return answer

    def change(_: Wire, message: CertifiedMessage) -> CertifiedMessage:
        return recertified(message.key, message.content, world.forge, world.canister, Subnet.SELF_DELEGATED)

    attack = EachMessage("under a made-up root key", Target(Kind.ANY, count=None), change)
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        node = await enter(HostileBoundary(world.ic_url, http))
        hostile = await enter(
            HostileGateway(world.gateways[0].url, attack, subprotocol=False, tap=attack_tap(attack, log))
        )
        client = await enter(drivers.lend(log))
        _need_omnia(client.hello)
        answer = await client.ask(
            "connect",
            gateways=[hostile.url],
            canister_id=world.canister.to_text(),
            ic_url=node.url.replace("127.0.0.1", _UNNAMED),
            root_key_hex=world.replica.root_key_der.hex(),
            profile="omnia",
            hurry=True,
            limit_s=8,
        )
        if answer.get("ok") is True:
            log.note("a session is open under a root key that nobody gave the client", source="client", blamed=True)
            raise Failed("the client took its root key from the IC's address, and believes whatever that one signed")
        if attack.struck == 0:
            raise Inconclusive("the client was shown nothing under the other root key")
    return Finding("no session came about under another root key")


class _Mute(Attack):
    """Passes nothing on from the gateway."""

    name = "mute"

    async def from_gateway(self, wire: Wire, frame: GatewayFrame) -> None:
        self.struck += 1


async def _only_receives(world: World, drivers: Drivers, log: WireLog) -> Finding:
    mute = _Mute()
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        hostile = await enter(
            HostileGateway(world.gateways[0].url, mute, armed=False, subprotocol=False, tap=attack_tap(mute, log))
        )
        client = await enter(drivers.lend(log))
        _need_omnia(client.hello)
        grace = client.hello.get("ack_grace_s")
        if "ack-interval" not in client.features or not isinstance(grace, int | float) or not 0 < grace <= _MOST_S:
            raise NotApplicable("the client does not say when it misses an acknowledgement (feature ack-interval)")
        bound = _ACK_INTERVAL_S + grace
        await _opened(world, client, hostile, ack_interval_s=_ACK_INTERVAL_S)
        hostile.armed = True
        log.note("from now on the gateway passes nothing on")
        began = time.monotonic()
        while (waited := time.monotonic() - began) < bound * 1.2 + 2:
            if client.closed is not None or client.lost or any(wire.is_over for wire in hostile.wires):
                return Finding(f"noticed after {waited:.0f} s")
            await asyncio.sleep(0.2)
        log.note(f"after {waited:.0f} s of silence the client is still there", source="client", blamed=True)
        raise Failed(
            f"after {waited:.0f} s of silence the client had not noticed; "
            f"it expects an acknowledgement every {_ACK_INTERVAL_S} s, and waits {grace:g} s more"
        )


def _need_omnia(hello: dict[str, object]) -> None:
    profiles = hello.get("profiles", ())
    if not isinstance(profiles, list) or "omnia" not in profiles:
        raise NotApplicable("the client does not speak the omnia profile")
