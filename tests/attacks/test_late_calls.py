"""What a gateway keeps and hands in later: opens after the failover, messages after the user has acted otherwise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_conformance.hostile import Wire
from icws_conformance.hostile.attack import Attack
from icws_conformance.hostile.attacks.calls import HeldCalls
from icws_conformance.hostile.attacks.opens import WithheldOpen
from icws_secure.errors import Reason, StallError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import GatewayLost
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call
from icws_secure.wire.envelope import CallContent
from icws_secure.wire.frames import ClientFrame
from icws_secure.wire.http import CallCertificate, parse_call_response
from icws_secure.wire.interface import decode_message_argument, encode_message_argument

QUICK = {"receipt_timeout_ns": 2 * NS_PER_S}


async def held(attack: Attack) -> None:
    """Wait until the gateway has kept something."""
    async with asyncio.timeout(60):
        while not attack.struck:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.req("ICWS-CAN-012", "ICWS-CLT-013")
async def test_a_withheld_open_that_is_handed_in_after_the_failover_attaches_nothing(own_theatre: Any) -> None:
    attack = WithheldOpen()
    events: list[Any] = []
    async with own_theatre.hostile(attack) as hostile:
        urls = [hostile.url, own_theatre.gateways[1].url]
        async with own_theatre.connect(urls, on_event=events.append) as ws:
            await ws.send(b"before")
            assert attack.kept is not None
            assert ws.attach == 2

            await attack.hand_in()

            assert attack.answer is not None
            assert b"StaleAttach" in attack.answer[1]
            for n in range(3):
                await ws.send(b"%d" % n)
            assert [await ws.recv() for _ in range(4)] == [b"echo before", b"echo 0", b"echo 1", b"echo 2"]
            assert ws.gateway == own_theatre.gateways[1].principal
            assert len([event for event in events if isinstance(event, GatewayLost)]) == 1


class CopiedOpens(Attack):
    """Keeps a copy of every open."""

    name = "copied opens"

    def __init__(self) -> None:
        super().__init__()
        self.opens: list[ClientFrame] = []

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        if wire.calls == 1:
            self.opens.append(frame)
        await wire.to_gateway(frame)


@pytest.mark.req("ICWS-CAN-012", "ICWS-CLT-012")
async def test_a_captured_open_that_comes_again_attaches_nothing(own_theatre: Any, clock: Any) -> None:
    attack = CopiedOpens()
    async with (
        own_theatre.hostile(attack) as hostile,
        own_theatre.connect([hostile.url, own_theatre.gateways[1].url]) as ws,
    ):
        await ws.send(b"one")
        await hostile.hang_up()
        await ws.send(b"two")
        assert [await ws.recv(), await ws.recv()] == [b"echo one", b"echo two"]
        for seconds in (0, 45, 40):  # while the open lives, and when it has expired
            await own_theatre.calm(ws)
            clock.leap(seconds)
            status, body = await hostile.submit(attack.opens[0].envelope)
            assert status != 200 or isinstance(parse_call_response(status, body), CallCertificate)
            await ws.send(b"three")
            assert await ws.recv() == b"echo three"
        assert ws.attach == 2


@pytest.mark.req("ICWS-CLT-043", "ICWS-CAN-031", "ICWS-CLT-044")
async def test_messages_handed_in_after_the_failover_are_not_executed_again(own_theatre: Any) -> None:
    attack = HeldCalls()
    async with own_theatre.hostile(attack) as hostile:
        urls = [hostile.url, own_theatre.gateways[1].url]
        async with own_theatre.connect(urls, settings=QUICK) as ws:
            for n in range(3):
                await ws.send(b"buy %d" % n)
            assert attack.struck > 0

            await attack.hand_in()

            await ws.send(b"done")
            assert [await ws.recv() for _ in range(4)] == [b"echo buy 0", b"echo buy 1", b"echo buy 2", b"echo done"]
            assert own_theatre.heard(ws.session_principal) == [b"buy 0", b"buy 1", b"buy 2", b"done"]


@pytest.mark.req("ICWS-CLT-042", "ICWS-CLT-043", "ICWS-LIB-017")
async def test_failure_is_reported_only_when_the_held_message_can_no_longer_be_executed(
    own_theatre: Any, clock: Any
) -> None:
    attack = HeldCalls()
    async with (
        own_theatre.hostile(attack) as hostile,
        own_theatre.connect([hostile.url], settings=QUICK, send_timeout=1.0) as ws,
    ):
        sending = asyncio.create_task(ws.send(b"buy"))
        await held(attack)
        await asyncio.sleep(2.5)
        assert not sending.done()  # the user was told nothing, while the gateway could still hand it in

        clock.leap(65)
        with pytest.raises(StallError) as failed:
            await asyncio.wait_for(sending, 60)
        assert failed.value.reason is Reason.NOT_EXECUTED

        await attack.hand_in()
        assert attack.answers[0][0] >= 400
        assert own_theatre.heard(ws.session_principal) == []
        await ws.abandon()


@pytest.mark.req("ICWS-CLT-042", "ICWS-CLT-041", "ICWS-CLT-044")
async def test_a_message_handed_in_at_the_last_moment_is_reported_as_executed(own_theatre: Any, clock: Any) -> None:
    attack = HeldCalls()
    async with (
        own_theatre.hostile(attack) as hostile,
        own_theatre.connect([hostile.url], settings=QUICK, send_timeout=1.0) as ws,
    ):
        sending = asyncio.create_task(ws.send(b"buy"))
        await held(attack)
        await asyncio.sleep(1.5)
        clock.leap(45)
        await attack.hand_in()
        clock.leap(20)
        await asyncio.wait_for(sending, 60)
        assert own_theatre.heard(ws.session_principal) == [b"buy"]
        await ws.abandon()


class ForgedCalls(Attack):
    """Adds a message in the victim's name to each of the victim's, signed by a key of its own."""

    name = "forged calls"

    def __init__(self) -> None:
        super().__init__()
        self.identity = Ed25519Identity(bytes(range(32)))
        self.answers: list[bytes] = []

    async def from_client(self, wire: Wire, frame: ClientFrame) -> None:
        content = frame.envelope.content
        if wire.calls > 1 and isinstance(content, CallContent):
            self.struck += 1
            message = decode_message_argument(content.arg)
            envelope = sign_call(
                self.identity,
                canister_id=content.canister_id,
                method_name="ws_message",
                arg=encode_message_argument(message),
                ingress_expiry_ns=content.ingress_expiry_ns,
                nonce=bytes(16),
            )
            self.answers.append((await wire.hostile.submit(envelope))[1])
        await wire.to_gateway(frame)


@pytest.mark.req("ICWS-CAN-070", "ICWS-CAN-015")
async def test_a_message_under_anothers_signature_is_refused(own_theatre: Any) -> None:
    attack = ForgedCalls()
    async with (
        own_theatre.hostile(attack) as hostile,
        own_theatre.connect([hostile.url], settings=QUICK) as ws,
    ):
        await ws.send(b"mine")
        assert await ws.recv() == b"echo mine"
        assert attack.struck > 0
        assert own_theatre.heard(ws.session_principal) == [b"mine"]
