"""Cases about what a client does of itself: registration, opens, numbers, expiries, ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from icws_conformance.case import Case, Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.clients.driver import Driver, Drivers
from icws_conformance.clients.world import CLOSE, World
from icws_conformance.hostile import HostileGateway, PassThrough, Subnet
from icws_conformance.hostile.boundary import Answer, Fetch, HostileBoundary
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_S
from icws_secure.wire import cbor
from icws_secure.wire.envelope import CallContent, Envelope
from icws_secure.wire.frames import decode_client_frame
from icws_secure.wire.interface import OpenArgument, decode_message_argument, decode_open_argument
from icws_secure.wire.principal import Principal

__all__ = ["manner_cases"]

_OPEN_S: Final = 90
_MESSAGE_S: Final = 60
_SLACK_S: Final = 2  # clocks of one machine, and the time that a frame takes


@dataclass
class _Stage:
    """A session through a gateway that passes everything on, before an IC that can be made to lie.

    Attributes:
        world: shared.
        log: of the case.
        drivers: lends the client.
        profile: what the client is to speak.
        calls: what the client sent to the IC itself, with the path.
        frames: what it sent to the gateway, with the time of arrival.
        seen: all frames of the gateway and of the client, as they are.
        answer: what the IC answers to a call; None for the truth.
    """

    world: World
    log: WireLog
    drivers: Drivers
    profile: str = "secure"
    calls: list[tuple[str, Envelope]] = field(default_factory=list)
    frames: list[tuple[int, Envelope]] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    answer: Callable[[str, Envelope, Fetch], Awaitable[Answer]] | None = None
    client: Driver = field(init=False)
    hostile: HostileGateway = field(init=False)
    boundary: HostileBoundary = field(init=False)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[_Stage]:
        async with contextlib.AsyncExitStack() as stack:
            enter = stack.enter_async_context
            self.boundary = await enter(HostileBoundary(self.world.ic_url, self._http))
            self.hostile = await enter(
                HostileGateway(self.world.gateways[0].url, PassThrough(), ic_url=self.world.ic_url, tap=self._tap)
            )
            self.client = await enter(self.drivers.lend(self.log))
            if self.profile not in self.client.hello.get("profiles", ()):
                raise NotApplicable(f"the client does not speak the {self.profile} profile")
            yield self

    def need(self, feature: str) -> None:
        """Go on only with a client that has a feature."""
        if feature not in self.client.features:
            raise NotApplicable(f"the client does not offer {feature}")

    async def connect(self, **changes: Any) -> dict[str, Any]:
        """Have the client connect; return its answer."""
        fields: dict[str, Any] = {
            "gateways": [self.hostile.url],
            "canister_id": self.world.canister.to_text(),
            "ic_url": self.boundary.url,
            "root_key_hex": self.world.replica.root_key_der.hex(),
            "profile": self.profile,
            "hurry": True,
            "limit_s": 10,
        }
        return await self.client.ask("connect", **(fields | changes))

    async def connected(self, **changes: Any) -> Principal:
        """Have the client connect, which must succeed; return its session principal."""
        answer = await self.connect(**changes)
        if answer.get("ok") is not True:
            raise Failed(f"no session came about: {json.dumps(answer.get('error'))}")
        return Principal.from_text(answer["session"])

    async def refused(self, what: str, **changes: Any) -> Finding:
        """Have the client connect, which must fail."""
        answer = await self.connect(limit_s=6, **changes)
        if answer.get("ok") is True:
            self.log.note(f"the session is open, though {what}", source="client", blamed=True)
            raise Failed(f"the client opened a session, though {what}")
        error = answer.get("error") or {}
        return Finding(f"no session: {error.get('reason') or error.get('text')}")

    async def talk(self, *texts: bytes) -> None:
        """Send messages and wait for their echoes."""
        confirm = "executed" if self.profile == "secure" else "relayed"
        before = len(self.client.messages)
        for data in texts:
            answer = await self.client.ask("send", data_hex=data.hex(), confirm=confirm)
            if answer.get("ok") is not True:
                raise Failed(f"a message was not sent: {json.dumps(answer.get('error'))}")
        while len(self.client.messages) < before + len(texts):
            if not await self.client.changed(10):
                raise Failed(f"{len(self.client.messages) - before} of {len(texts)} echoes came")
        if self.client.messages[before:] != list(texts):
            raise Failed("the echoes are not what was sent, in order")

    def opens(self) -> list[tuple[int, CallContent, OpenArgument]]:
        """The opens that went to the gateway, with the time of arrival."""
        found = []
        for at, envelope in self.frames:
            content = envelope.content
            if isinstance(content, CallContent) and content.method_name == "ws_open":
                found.append((at, content, decode_open_argument(content.arg)))
        if not found:
            raise Inconclusive("no open went to the gateway")
        return found

    def _tap(self, source: str, data: bytes) -> None:
        mine = source == "client"
        self.seen.append(data)
        self.log.sent("client" if mine else "gateway", "gateway" if mine else "client", "frame", data)
        if mine:
            with contextlib.suppress(IcwsError):
                self.frames.append((self.world.replica.time_ns, decode_client_frame(data).envelope))

    async def _http(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        try:
            envelope = Envelope.decode(body)
        except IcwsError:
            return await fetch()
        self.log.sent("client", "IC", path, body)
        self.calls.append((path, envelope))
        answer = await (fetch() if self.answer is None else self.answer(path, envelope, fetch))
        self.log.sent("IC", "client", f"status {answer.status}", answer.body)
        return answer


_Play = Callable[[_Stage], Awaitable[Finding]]


def _methods(stage: _Stage) -> list[str]:
    return [envelope.content.method_name for _, envelope in stage.calls if isinstance(envelope.content, CallContent)]


async def _registers_directly(stage: _Stage) -> Finding:
    session = await stage.connected()
    await stage.talk(b"hello")
    if any(getattr(e.content, "method_name", "") == "ws_register" for _, e in stage.frames):
        raise Failed("ws_register went through the gateway")
    owners = [
        envelope.content.sender
        for path, envelope in stage.calls
        if isinstance(envelope.content, CallContent)
        and envelope.content.method_name == "ws_register"
        and path.endswith("/call")
    ]
    if not owners:
        raise Failed("no ws_register reached the IC as an update call")
    if session in owners or any(owner.is_anonymous for owner in owners):
        raise Failed("ws_register was not signed by an owner of its own")
    return Finding("one update call of the owner, past the gateway")


async def _open_is_signed_by_the_session_key(stage: _Stage) -> Finding:
    session = await stage.connected()
    for at, content, argument in stage.opens():
        envelope = next(e for _, e in stage.frames if e.content is content)
        if content.sender != session or not content.sender.is_self_authenticating:
            raise Failed("the open is not of the session principal")
        if envelope.sender_delegation:
            raise Failed("the open carries a delegation")
        left_s = (content.ingress_expiry_ns - at) / NS_PER_S
        if left_s > _OPEN_S + _SLACK_S:
            raise Failed(f"the open expires in {left_s:.0f} s")
        if argument.secure is None:
            raise Failed("the open has no secure fields")
    return Finding("signed by the session key, without delegation, for 90 s at most")


async def _attach_rises(stage: _Stage) -> Finding:
    stage.need("failover")
    await stage.connected()
    await stage.talk(b"one")
    for number in range(2):
        await stage.hostile.hang_up()
        await stage.talk(b"again %d" % number)
    opens = [(argument.client_nonce, argument.secure) for _, _, argument in stage.opens()]
    attaches = [secure.attach for _, secure in opens if secure is not None]
    if len(attaches) < 3:
        raise Inconclusive(f"{len(attaches)} opens were seen, not three")
    if attaches != sorted(set(attaches)):
        raise Failed(f"attach numbers {attaches} do not rise")
    if len({nonce for nonce, _ in opens}) != 1:
        raise Failed("the client key changed within the session")
    return Finding(f"attach numbers {attaches}, one client key")


async def _messages_expire_soon(stage: _Stage) -> Finding:
    await stage.connected()
    await stage.talk(b"one", b"two")
    expiries = []
    for at, envelope in stage.frames:
        if isinstance(envelope.content, CallContent) and envelope.content.method_name == "ws_message":
            expiries.append((envelope.content.ingress_expiry_ns - at) / NS_PER_S)
    if not expiries:
        raise Inconclusive("no message went to the gateway")
    if max(expiries) > _MESSAGE_S + _SLACK_S:
        raise Failed(f"a message's envelope expires in {max(expiries):.0f} s")
    return Finding(f"envelopes expire within {max(expiries):.0f} s")


async def _session_keys_are_fresh(stage: _Stage) -> Finding:
    first = await stage.connected()
    async with stage.drivers.lend(stage.log) as second:
        stage.client, kept = second, stage.client
        other = await stage.connected()
        stage.client = kept
    if first == other:
        raise Failed("two sessions have one session key")
    registered = [
        envelope.content.sender
        for _, envelope in stage.calls
        if isinstance(envelope.content, CallContent) and envelope.content.method_name == "ws_register"
    ]
    if {first, other} & set(registered):
        raise Failed("the session key is the owner's key")
    return Finding("two sessions, two session keys, none of them the owner's")


async def _no_fallback(stage: _Stage) -> Finding:
    found = await stage.refused(
        "the canister knows only the older protocol", canister_id=stage.world.omnia_canister.to_text()
    )
    if stage.frames:
        raise Failed("the client fell back to the older protocol")
    return found


async def _pinned(stage: _Stage) -> Finding:
    stage.need("pinned")
    other = Principal.self_authenticating(b"another gateway").to_text()
    return await stage.refused("the gateway named another principal than was pinned", gateway_principal=other)


async def _direct(stage: _Stage) -> Finding:
    stage.need("direct")
    session = await stage.connected(gateways=[])
    await stage.talk(b"one", b"two")
    if stage.frames:
        raise Failed("frames went to a gateway")
    opens = [
        decode_open_argument(envelope.content.arg)
        for _, envelope in stage.calls
        if isinstance(envelope.content, CallContent) and envelope.content.method_name == "ws_open"
    ]
    if not opens or any(argument.gateway_principal != session for argument in opens):
        raise Failed("the client does not name its own session principal as gateway")
    if stage.world.heard(session) != [b"one", b"two"]:
        raise Failed("the canister heard other messages")
    return Finding("its own gateway, by direct calls and polls")


async def _canister_closes(stage: _Stage) -> Finding:
    await stage.connected()
    await stage.talk(b"one")
    confirm = "executed" if stage.profile == "secure" else "relayed"
    send = asyncio.create_task(stage.client.ask("send", data_hex=CLOSE.hex(), confirm=confirm))
    try:
        while stage.client.closed is None:
            if not await stage.client.changed(10):
                raise Failed("the canister's certified close did not end the session")
    finally:
        send.cancel()
        await asyncio.gather(send, return_exceptions=True)
    return Finding(f"closed: {stage.client.closed.get('code')} {stage.client.closed.get('reason')}")


async def _converses(stage: _Stage) -> Finding:
    session = await stage.connected()
    texts = [b"message %d" % number for number in range(10)]
    await stage.talk(*texts)
    if stage.world.heard(session) != texts:
        raise Failed("the canister heard other messages, or in another order")
    numbers = [
        decode_message_argument(envelope.content.arg).sequence_num
        for _, envelope in stage.frames
        if isinstance(envelope.content, CallContent) and envelope.content.method_name == "ws_message"
    ]
    if numbers[:10] != list(range(1, 11)):
        raise Failed(f"the messages have the numbers {numbers}")
    return Finding("ten messages and their echoes, numbered from 1, in order")


async def _converses_sealed(stage: _Stage) -> Finding:
    """Under hpke a gateway sees none of what is said, and the canister and the application see all of it."""
    stage.need("payload")
    sealed = stage.world.sealed_canister.to_text()
    session = await stage.connected(canister_id=sealed, payload="hpke")
    texts = [b"the secret number %d" % number for number in range(5)]
    await stage.talk(*texts)
    await stage.hostile.hang_up()
    await stage.talk(b"the secret of another attach")
    texts.append(b"the secret of another attach")
    if stage.world.heard(session) != texts:
        raise Failed("the canister heard other messages, or in another order")
    if any(b"secret" in frame for frame in stage.seen):
        raise Failed("the gateway sees what is said")
    return Finding("the gateway sees nothing, both ends all")


def _registration_answered(make: Callable[[_Stage, Envelope], Answer]) -> _Play:
    async def play(stage: _Stage) -> Finding:
        async def lie(path: str, envelope: Envelope, fetch: Fetch) -> Answer:
            del path
            if getattr(envelope.content, "method_name", "") != "ws_register":
                return await fetch()
            return make(stage, envelope)

        stage.answer = lie
        return await stage.refused("the answer to ws_register proves nothing")

    return play


def _from(subnet: Subnet, *, status: bytes = b"replied", own_id: bool = True) -> Callable[[_Stage, Envelope], Answer]:
    def make(stage: _Stage, envelope: Envelope) -> Answer:
        world = stage.world
        request = envelope.content.request_id if own_id else bytes(32)
        certificate = world.forge.receipt(
            canister_id=world.canister,
            request_id=request,
            status={"status": status, "reply": b"DIDL\x00\x00"},
            time_ns=world.replica.time_ns,
            subnet=subnet,
        )
        return Answer(200, cbor.encode_self_described({"status": "replied", "certificate": certificate}))

    return make


def _rejected(stage: _Stage, envelope: Envelope) -> Answer:
    del stage, envelope
    body = {
        "status": "non_replicated_rejection",
        "reject_code": 3,
        "reject_message": "the canister has no method ws_register",
        "error_code": "IC0536",
    }
    return Answer(200, cbor.encode_self_described(body))


_CASES: Final[tuple[tuple[str, str, str, str, str, _Play], ...]] = (
    (
        "registers-directly",
        "how the session is registered",
        "CLT-001",
        "one update call signed by the owner, which no gateway sees",
        "secure",
        _registers_directly,
    ),
    (
        "signs-its-opens",
        "who signs the open, and for how long",
        "CLT-012",
        "the session key itself, without delegation, for 90 s at most",
        "secure",
        _open_is_signed_by_the_session_key,
    ),
    (
        "numbers-its-attaches",
        "the connection is lost twice",
        "CLT-013 CLT-070",
        "each open has a higher attach number; the client key stays",
        "secure",
        _attach_rises,
    ),
    (
        "messages-expire-soon",
        "how long messages can be held back",
        "CLT-043",
        "message envelopes expire within 60 s",
        "secure",
        _messages_expire_soon,
    ),
    (
        "fresh-session-keys",
        "two sessions after one another",
        "CLT-006",
        "each has a fresh key that is not the owner's",
        "secure",
        _session_keys_are_fresh,
    ),
    (
        "no-fallback",
        "a canister that knows only the older protocol",
        "CLT-005",
        "an error, and nothing sent to the gateway",
        "secure",
        _no_fallback,
    ),
    (
        "uncertified-missing-method",
        "a boundary node says that there is no ws_register",
        "CLT-005 CLT-002",
        "an error, never a fallback",
        "secure",
        _registration_answered(_rejected),
    ),
    (
        "registration-from-another-subnet",
        "the answer to ws_register is certified by a subnet that is not the canister's",
        "CLT-002 LIB-013",
        "refused",
        "secure",
        _registration_answered(_from(Subnet.OTHER)),
    ),
    (
        "registration-from-nobody",
        "the answer to ws_register is signed with a made-up key",
        "CLT-002 LIB-010",
        "refused",
        "secure",
        _registration_answered(_from(Subnet.NOBODY)),
    ),
    (
        "registration-of-another-request",
        "the answer to ws_register is certified, for another request",
        "CLT-002",
        "refused",
        "secure",
        _registration_answered(_from(Subnet.OWN, own_id=False)),
    ),
    (
        "registration-that-does-not-decode",
        "the certified answer to ws_register is not of the type",
        "CLT-002",
        "refused",
        "secure",
        _registration_answered(_from(Subnet.OWN)),
    ),
    (
        "registration-not-finished",
        "the certified answer to ws_register says processing",
        "CLT-002",
        "no session from it",
        "secure",
        _registration_answered(_from(Subnet.OWN, status=b"processing")),
    ),
    (
        "pinned-gateway",
        "the gateway names another principal than was pinned",
        "CLT-011",
        "refused",
        "secure",
        _pinned,
    ),
    (
        "its-own-gateway",
        "there is no gateway",
        "CLT-073",
        "the client names its own session principal as gateway and polls itself",
        "secure",
        _direct,
    ),
    (
        "certified-close",
        "the canister closes the session",
        "CLT-035",
        "the session ends",
        "secure",
        _canister_closes,
    ),
    (
        "certified-close-omnia",
        "the canister closes the session",
        "CLT-035",
        "the session ends",
        "omnia",
        _canister_closes,
    ),
    (
        "converses-sealed",
        "messages and echoes under hpke, over two attaches",
        "PAY-004 PAY-001 PAY-005 PAY-007 PAY-003",
        "both ends read all, the gateway nothing",
        "secure",
        _converses_sealed,
    ),
    ("converses", "ten messages and echoes", "CLT-029", "all arrive once, in order", "secure", _converses),
    ("converses-omnia", "ten messages and echoes", "CLT-029", "all arrive once, in order", "omnia", _converses),
)


def manner_cases(world: World, drivers: Drivers) -> list[Case]:
    """The cases of this module."""

    async def run(profile: str, play: _Play, log: WireLog) -> Finding:
        async with _Stage(world, log, drivers, profile).open() as stage:
            return await play(stage)

    return [
        Case(
            id=f"manners/{name}",
            title=f"{title} ({profile})",
            requirements=tuple(f"ICWS-{entry}" for entry in names.split()),
            expected=expected,
            run=partial(run, profile, play),
            limit_s=45,
        )
        for name, title, names, expected, profile, play in _CASES
    ]
