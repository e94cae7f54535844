"""The stage of a scripted case: a client under test, a scripted canister, and two gateways and an IC that carry it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from icws_conformance.case import Failed, Finding, Inconclusive, NotApplicable
from icws_conformance.clients.driver import Driver, Drivers
from icws_conformance.clients.scripted.canister import ScriptedCanister
from icws_conformance.clients.scripted.gateway import ScriptedGateway
from icws_conformance.clients.world import World
from icws_conformance.hostile.boundary import Answer, Fetch, HostileBoundary
from icws_conformance.wirelog import WireLog
from icws_secure.errors import IcwsError
from icws_secure.wire import cbor
from icws_secure.wire.envelope import CallContent, Envelope, ReadStateContent
from icws_secure.wire.interface import CertifiedMessages, OutputMessage, encode_get_messages_result
from icws_secure.wire.principal import Principal
from icws_secure.wire.registration import Audit, encode_audit_result

__all__ = ["Call", "Play", "Stage"]

_PATIENCE_S: Final = 8.0
_STEP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Call:
    """A request of the client.

    Attributes:
        at_ns: when it came, by the machine's clock.
        gateway: by whom; None for the IC's own interface.
        envelope: the request.
    """

    at_ns: int
    gateway: ScriptedGateway | None
    envelope: Envelope

    @property
    def method(self) -> str:
        """The method called; empty for ``read_state``."""
        return str(getattr(self.envelope.content, "method_name", ""))


@dataclass
class Stage:
    """One scripted case.

    Attributes:
        world: lends keys and a canister id.
        drivers: lends the client.
        log: of the case.
        client: the client under test.
        canister: the canister.
        gateways: two, in the client's order.
        calls: all that the client has asked for.
        relays: whether a gateway hands a call on to the canister.
        answers: what the IC answers itself; None for the truth.
    """

    world: World
    drivers: Drivers
    log: WireLog
    client: Driver = field(init=False)
    canister: ScriptedCanister = field(init=False)
    gateways: list[ScriptedGateway] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    relays: Callable[[Call], bool] = lambda call: True
    answers: Callable[[Call], Answer | None] = lambda call: None
    boundary: HostileBoundary = field(init=False)

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[Stage]:
        """Set it up, and take it down again."""
        async with contextlib.AsyncExitStack() as stack:
            enter = stack.enter_async_context
            self.canister = ScriptedCanister(self.world.forge, self.world.canister)
            self.boundary = await enter(HostileBoundary(self.world.ic_url, self._http))
            self.gateways = [await enter(ScriptedGateway(self, number)) for number in range(2)]
            self.client = await enter(self.drivers.lend(self.log))
            if "secure" not in self.client.hello.get("profiles", ()):
                raise NotApplicable("the client does not speak the secure profile")
            yield self

    # the client

    def need(self, *features: str) -> None:
        """Go on only with a client that has these features."""
        for feature in features:
            if feature not in self.client.features:
                raise NotApplicable(f"the client does not offer {feature}")

    def hurry(self) -> None:
        """Go on only with a client that notices silence within seconds."""
        if "hurry" not in self.client.features:
            raise Inconclusive("the client cannot be asked to hurry: it may notice silence later than the suite waits")

    async def connect(self, **changes: Any) -> dict[str, Any]:
        """Have the client connect; return its answer."""
        fields: dict[str, Any] = {
            "gateways": [gateway.url for gateway in self.gateways],
            "canister_id": self.canister.id.to_text(),
            "ic_url": self.boundary.url,
            "root_key_hex": self.world.replica.root_key_der.hex(),
            "profile": "secure",
            "hurry": True,
            "limit_s": 10,
        }
        try:
            return await self.client.ask("connect", **(fields | changes))
        except TimeoutError:
            self.log.note("no answer to connect", source="driver", blamed=True)
            raise Failed("the client gave no answer at all to connect") from None

    async def connected(self, **changes: Any) -> ScriptedGateway:
        """Have the client connect, which must succeed; return the gateway that it is attached by."""
        answer = await self.connect(**changes)
        if answer.get("ok") is not True:
            raise Failed(f"no session came about: {json.dumps(answer.get('error'))}")
        return self.attached()

    def attached(self) -> ScriptedGateway:
        """The gateway that the newest open has named."""
        return next((g for g in self.gateways if g.principal == self.canister.gateway), self.gateways[0])

    async def refused(self, what: str, **changes: Any) -> Finding:
        """Have the client connect, which must fail."""
        answer = await self.connect(**({"limit_s": 4} | changes))
        if answer.get("ok") is True:
            self.log.note(f"the session is open, though {what}", source="client", blamed=True)
            raise Failed(f"the client opened a session, though {what}")
        error = answer.get("error") or {}
        return Finding(f"no session: {error.get('reason') or error.get('text')}")

    async def send(self, data: bytes, confirm: str = "executed") -> dict[str, Any]:
        """Have the application send, and return what it is told."""
        return await self.client.ask("send", data_hex=data.hex(), confirm=confirm)

    async def talk(self, *texts: bytes) -> None:
        """Send messages, and wait for their echoes."""
        before = len(self.client.messages)
        for data in texts:
            answer = await self.send(data)
            if answer.get("ok") is not True:
                raise Failed(f"a message was not sent: {json.dumps(answer.get('error'))}")
        await self.until(lambda: len(self.client.messages) >= before + len(texts), "the echoes did not come")
        if self.client.messages[before:] != list(texts):
            raise Failed("the echoes are not what was sent, in order")

    # waiting

    async def until(self, condition: Callable[[], bool], otherwise: str, limit_s: float = _PATIENCE_S) -> None:
        """Wait for something that must happen."""
        if not await self.happens(condition, limit_s):
            self.log.note(otherwise, source="client", blamed=True)
            raise Failed(otherwise)

    async def happens(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait for something that may happen; return whether it did."""
        end = time.monotonic() + limit_s
        while not condition():
            if self.client.ended:
                raise Failed(f"the client ended: {self.client.ended}")
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(_STEP_S)
        return True

    async def opened(self, times: int) -> ScriptedGateway:
        """Wait until the client has opened so often; return the gateway that it did by."""
        await self.until(lambda: len(self.canister.opens) >= times, "the client did not open again")
        return self.attached()

    # judging

    def not_given(self, data: bytes, why: str) -> None:
        """Fail if the application was given a message."""
        if data in self.client.messages:
            self.log.note(f"the application was given {data!r}, though {why}", source="application", blamed=True)
            raise Failed(f"the application was given a message, though {why}")

    async def leaves(self, gateway: ScriptedGateway, why: str, *reasons: str) -> None:
        """The attachment to this gateway must end, and the session must not."""
        await self.until(lambda: gateway.was_left, f"the client stayed with the gateway, though {why}")
        await self.happens(lambda: bool(self.client.lost) or self.client.closed is not None, 2.0)
        self.lives(why)
        told = [loss["error"]["reason"] for loss in self.client.lost if loss.get("gateway") == gateway.url]
        if reasons and told and "reasons" in self.client.features and told[0] not in reasons:
            raise Failed(f"the client left, but says {told[0]}")

    def lives(self, why: str) -> None:
        """Fail if the session is over."""
        if self.client.closed is not None:
            self.log.note(f"the session is over, though only {why}", source="client", blamed=True)
            raise Failed(f"the session ended, though only {why}")

    async def goes_on(self, data: bytes = b"go on") -> None:
        """The session must work, by whatever gateway."""
        await self.talk(data)

    async def ends(self, code: int, why: str) -> Finding:
        """The session must end, and no other open may follow."""
        await self.until(lambda: self.client.closed is not None, f"the session goes on, though {why}")
        opens = len(self.canister.opens)
        closed = self.client.closed or {}
        if "reasons" in self.client.features and closed.get("code") != code:
            raise Failed(f"the session ended with {closed.get('code')} ({closed.get('reason')}), not {code}")
        await asyncio.sleep(0.3)
        if len(self.canister.opens) > opens:
            raise Failed(f"the client opened again, though {why}")
        return Finding(f"the session ended: {closed.get('code')} {closed.get('reason')}")

    # the IC

    async def relayed(self, gateway: ScriptedGateway, envelope: Envelope) -> None:
        """A gateway was given a call."""
        call = Call(time.time_ns(), gateway, envelope)
        self.calls.append(call)
        if not self.relays(call):
            return
        leaves = self.canister.execute(envelope)
        await gateway.receipt(envelope.content.request_id, leaves)
        for other in self.gateways:
            await other.deliver()

    async def _http(self, path: str, body: bytes, fetch: Fetch) -> Answer:
        try:
            envelope = Envelope.decode(body)
        except IcwsError:
            return await fetch()
        self.log.sent("client", "IC", path, body)
        call = Call(time.time_ns(), None, envelope)
        self.calls.append(call)
        answer = self.answers(call) or self._answer(call, path.startswith("/api/v2/"))
        self.log.sent("IC", "client", f"status {answer.status}", answer.body)
        for gateway in self.gateways:
            await gateway.deliver()
        return answer

    def _answer(self, call: Call, is_old: bool) -> Answer:
        content, canister = call.envelope.content, self.canister
        if isinstance(content, CallContent):
            leaves = canister.execute(call.envelope)
            if is_old:
                return Answer(202, b"")  # callers of version 2 ask for the status
            certificate = canister.receipt(content.request_id, leaves)
            return self.encoded({"status": "replied", "certificate": certificate})
        if isinstance(content, ReadStateContent):
            return self.encoded({"certificate": self._status(content)})
        if content.method_name == "ws_audit":
            return self.query_reply(self._audit())
        if content.method_name == "ws_get_messages":
            return self.query_reply(self._poll(content.sender))
        return Answer(404, b"")

    def _status(self, content: ReadStateContent) -> bytes:
        request_id = next((path[1] for path in content.paths if path[0] == b"request_status" and len(path) > 1), b"")
        if request_id in self.canister.replies:
            return self.canister.receipt(request_id, self.canister.replies[request_id])
        return self.canister.receipt(bytes(32), {"status": b"done"})

    def _audit(self, time_ns: int | None = None) -> bytes:
        proof = self.canister.proof(time_ns=time_ns)
        return encode_audit_result(Audit(self.canister.epoch, (None,), proof.cert, proof.tree))

    def _poll(self, caller: Principal) -> bytes:
        canister = self.canister
        entries = canister.take_queue(caller)
        proof = canister.proof(*entries)
        key = canister.key
        messages = tuple(OutputMessage(key, e.key, e.content) for e in entries) if key is not None else ()
        return encode_get_messages_result(CertifiedMessages(messages, proof.cert, proof.tree))

    def audit_reply(self, time_ns: int | None = None) -> Answer:
        """The answer to an audit by query, from a certificate of that time."""
        return self.query_reply(self._audit(time_ns))

    @staticmethod
    def query_reply(arg: bytes) -> Answer:
        """The answer to a query."""
        return Stage.encoded({"status": "replied", "reply": {"arg": arg}, "signatures": []})

    @staticmethod
    def encoded(value: dict[str, object]) -> Answer:
        """A CBOR answer."""
        return Answer(200, cbor.encode_self_described(value))


Play = Callable[[Stage], Awaitable[Finding]]
"""What a case does on its stage."""
