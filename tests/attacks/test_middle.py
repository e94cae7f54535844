"""The hostile gateway without an attack: what it adds must not be what the tests see."""

from __future__ import annotations

from typing import Any

import pytest

from icws_conformance.hostile import PassThrough
from icws_conformance.hostile.attacks.streams import Drop
from icws_conformance.hostile.catalogue import Profile
from icws_conformance.hostile.target import Target
from icws_secure.errors import MisuseError
from icws_secure.session.client import GatewayLost

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.value)
@pytest.mark.parametrize("armed", [True, False], ids=["pass-through", "unarmed"])
async def test_the_middle_itself_is_invisible(theatre: Any, profile: Profile, armed: bool) -> None:
    attack = PassThrough() if armed else Drop(Target(count=None))
    events: list[Any] = []
    async with (
        theatre.hostile(attack, armed=armed, subprotocol=profile is not Profile.BARE) as hostile,
        theatre.connect([hostile.url], profile=profile, on_event=events.append) as ws,
    ):
        assert ws.gateway == theatre.gateways[0].principal
        for n in range(5):
            await ws.send(b"%d" % n, confirm="relayed")
        assert [await ws.recv() for _ in range(5)] == [b"echo %d" % n for n in range(5)]
        assert attack.struck == 0
        assert hostile.mistakes == []
    assert not [event for event in events if isinstance(event, GatewayLost)]


async def test_a_gateway_that_is_not_there_is_a_closed_connection(theatre: Any) -> None:
    events: list[Any] = []
    nowhere = theatre.hostile(PassThrough())
    nowhere.upstream = "ws://127.0.0.1:9"
    async with (
        nowhere as hostile,
        theatre.connect([hostile.url, theatre.gateways[1].url], on_event=events.append) as ws,
    ):
        await ws.send(b"x")
    lost: list[Any] = [event for event in events if isinstance(event, GatewayLost)]
    assert lost[0].target.url == hostile.url
    assert hostile.mistakes == []


async def test_calls_are_submitted_to_a_known_ic_only(theatre: Any) -> None:
    hostile = theatre.hostile(PassThrough())
    hostile.ic_url = None
    with pytest.raises(MisuseError):
        await hostile.submit(None)
