"""Clients that only listen: a gateway that says nothing looks like a canister that says nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_conformance.hostile.attacks.streams import Drop, Mute, Silence
from icws_conformance.hostile.catalogue import Profile
from icws_conformance.hostile.target import Target
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import GatewayLost

QUICK = {"head_interval_ns": 1 * NS_PER_S, "audit_interval_ns": 1 * NS_PER_S, "withhold_grace_ns": 1 * NS_PER_S}


@pytest.mark.req("ICWS-CLT-061", "ICWS-CLT-050", "ICWS-CAN-060")
@pytest.mark.parametrize("heard_before", [0, 3])
@pytest.mark.parametrize("profile", [Profile.SECURE, Profile.BARE], ids=lambda profile: profile.value)
@pytest.mark.parametrize(
    "attack",
    [
        pytest.param(lambda: Silence(after_open=True), id="silence"),
        pytest.param(Mute, id="mute"),
        pytest.param(lambda: Drop(Target(), heads=False), id="drop"),
    ],
)
async def test_what_a_listener_is_not_shown_comes_through_another_gateway(
    own_theatre: Any, attack: Any, profile: Profile, heard_before: int
) -> None:
    events: list[Any] = []
    struck = attack()
    async with (
        own_theatre.hostile(struck, armed=False, subprotocol=profile is not Profile.BARE) as hostile,
        own_theatre.connect(
            [hostile.url, own_theatre.gateways[1].url], profile=profile, on_event=events.append, settings=QUICK
        ) as ws,
    ):
        for n in range(heard_before):
            own_theatre.push(b"%d" % n)
            assert await ws.recv() == b"%d" % n
        hostile.armed = True
        own_theatre.push(b"news")
        async with asyncio.timeout(60):
            assert await ws.recv() == b"news"
        assert struck.struck > 0
        lost: list[Any] = [event for event in events if isinstance(event, GatewayLost)]
        assert lost[0].target.url == hostile.url
        assert lost[0].error.reason is Reason.MESSAGES_WITHHELD
        assert ws.gateway == own_theatre.gateways[1].principal
