"""Attacks on acknowledgements, which come once a minute: so the clocks of the IC and of the clients leap."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_conformance.hostile import CATALOGUE
from icws_conformance.hostile.attacks.streams import Silence
from icws_conformance.hostile.catalogue import Profile, Stage
from icws_secure.errors import Reason, StallError
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import GatewayLost
from icws_secure.wire.close_codes import SessionCloseCode

CROSSED = CATALOGUE["another-clients-acknowledgement"]
LIMIT_S = 60.0


async def until(condition: Any) -> None:
    """Wait for something that tells nobody."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - an attack counts, it tells nobody
            await asyncio.sleep(0.02)


def losses(events: list[Any], url: str) -> list[GatewayLost]:
    return [e for e in events if isinstance(e, GatewayLost) and e.target is not None and e.target.url == url]


@pytest.mark.req(*CROSSED.requirements)
@pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.value)
async def test_another_clients_acknowledgement_is_refused(own_theatre: Any, clock: Any, profile: Profile) -> None:
    attack: Any = CROSSED.make(own_theatre.scene(Stage.LATER))
    events: list[Any] = []
    async with own_theatre.hostile(attack, subprotocol=profile is not Profile.BARE) as hostile:
        urls = [hostile.url, own_theatre.gateways[1].url]
        bystander = await own_theatre.connect([hostile.url], profile=profile)
        await own_theatre.calm(bystander)
        clock.leap(30)  # a busy machine may take some of the half minute between the two for the steps below
        victim = await own_theatre.connect(urls, profile=profile, on_event=events.append)
        for ws in (bystander, victim):
            await ws.send(b"hello", confirm="relayed")
            assert await ws.recv() == b"echo hello"

        await own_theatre.calm(bystander, victim)
        clock.leap(31)  # the bystander's acknowledgement is due, the victim's is not
        await until(lambda: attack.stolen)
        assert attack.struck == 0
        await own_theatre.calm(victim)
        clock.leap(30)
        await until(lambda: attack.struck)
        await until(lambda: losses(events, hostile.url))

        error = losses(events, hostile.url)[0].error
        assert (error.reason, error.requirement) == (Reason.WRONG_CLIENT_KEY, "ICWS-CLT-028")
        if profile is Profile.OMNIA:
            await victim.wait_closed()
            assert events[-1].error.code == SessionCloseCode.VERIFICATION_FAILED
        else:
            await victim.send(b"more")
            assert await victim.recv() == b"echo more"
            assert own_theatre.heard(victim.session_principal) == [b"hello", b"more"]
        for ws in (bystander, victim):
            await ws.abandon()


@pytest.mark.req("ICWS-CLT-050", "ICWS-CLT-061")
@pytest.mark.parametrize("profile", [Profile.SECURE, Profile.BARE], ids=lambda profile: profile.value)
async def test_acknowledgements_do_not_cover_for_what_is_hidden(own_theatre: Any, clock: Any, profile: Profile) -> None:
    attack = Silence(after_open=True, acks=True, receipts=True)
    events: list[Any] = []
    async with own_theatre.hostile(attack, armed=False, subprotocol=profile is not Profile.BARE) as hostile:
        ws = await own_theatre.connect(
            [hostile.url, own_theatre.gateways[1].url],
            profile=profile,
            on_event=events.append,
            settings={
                "head_interval_ns": 2 * NS_PER_S,
                "audit_interval_ns": 2 * NS_PER_S,
                "withhold_grace_ns": NS_PER_S,
            },
        )
        await ws.send(b"hello")
        assert await ws.recv() == b"echo hello"
        await own_theatre.calm(ws)
        hostile.armed = True
        clock.leap(61)
        own_theatre.push(b"news")
        assert await ws.recv() == b"news"
        error = losses(events, hostile.url)[0].error
        assert error.reason in (Reason.MESSAGES_WITHHELD, Reason.WRONG_SEQUENCE_NUMBER)
        await ws.abandon()


@pytest.mark.req("ICWS-CLT-050")
async def test_silence_is_noticed_by_an_omnia_client_that_only_listens(own_theatre: Any, clock: Any) -> None:
    """There is no head to ask for: the acknowledgement, which is due after five minutes, is what is missed."""
    attack = Silence(after_open=True)
    events: list[Any] = []
    async with own_theatre.hostile(attack) as hostile:
        ws = await own_theatre.connect([hostile.url], profile=Profile.OMNIA, on_event=events.append)
        await ws.send(b"hello", confirm="relayed")
        await until(lambda: own_theatre.heard(ws.session_principal))
        clock.leap(331)
        await asyncio.wait_for(ws.wait_closed(), LIMIT_S)
        assert isinstance(losses(events, hostile.url)[0].error, StallError)
        assert losses(events, hostile.url)[0].error.requirement == "ICWS-CLT-050"
