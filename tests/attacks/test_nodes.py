"""Attacks of a boundary node, between client and IC."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_client.identities import generate
from icws_conformance.hostile import NODE_CATALOGUE, HostileBoundary, NodeEntry
from icws_conformance.hostile.attacks.nodes import OldAudit
from icws_conformance.hostile.attacks.streams import Silence
from icws_conformance.hostile.catalogue import Profile, Stage
from icws_secure.errors import IcwsError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import GatewayLost

REGISTRATIONS = [entry for entry in NODE_CATALOGUE.values() if entry.reasons and not entry.direct]
ANOTHER_CALL = NODE_CATALOGUE["registration-of-another-call"]
OLD_AUDIT = NODE_CATALOGUE["old-audit"]
ALTERED_POLL = NODE_CATALOGUE["altered-poll"]


def params(entries: list[NodeEntry]) -> list[Any]:
    return [pytest.param(entry, id=entry.name, marks=pytest.mark.req(*entry.requirements)) for entry in entries]


@pytest.mark.parametrize("entry", params(REGISTRATIONS))
async def test_registration_that_is_not_the_canisters_ends_the_attempt(own_theatre: Any, entry: NodeEntry) -> None:
    attack = entry.make(own_theatre.scene(Stage.FIRST))
    urls = [own_theatre.gateways[0].url]
    async with HostileBoundary(own_theatre.ic_url, attack) as node:
        events: list[Any] = []
        with pytest.raises(IcwsError) as failed:
            async with own_theatre.connect(urls, ic_url=node.url, on_event=events.append, identity=generate()):
                pass
    assert attack.struck > 0
    assert failed.value.reason in entry.reasons
    assert failed.value.requirement in entry.requirements
    assert not any(type(event).__name__ in ("Opened", "Attached", "Message") for event in events)


@pytest.mark.req(*ANOTHER_CALL.requirements)
async def test_registration_of_another_call_is_no_answer(own_theatre: Any) -> None:
    attack = ANOTHER_CALL.make(own_theatre.scene(Stage.FIRST))
    urls = [own_theatre.gateways[0].url]
    async with (
        HostileBoundary(own_theatre.ic_url, attack) as node,
        own_theatre.connect(urls, ic_url=node.url) as bystander,
        own_theatre.connect(urls, ic_url=node.url) as victim,
    ):
        assert attack.struck > 0
        assert victim.parameters.session_principal == victim.session_principal
        assert victim.parameters.registration_id != bystander.parameters.registration_id
        await victim.send(b"one")
        assert await victim.recv() == b"echo one"


@pytest.mark.req(*OLD_AUDIT.requirements)
async def test_old_answers_to_audits_do_not_cover_for_a_gateway(own_theatre: Any) -> None:
    audits: Any = OLD_AUDIT.make(own_theatre.scene(Stage.FIRST))
    assert isinstance(audits, OldAudit)
    silence = Silence(after_open=True)
    events: list[Any] = []
    async with (
        HostileBoundary(own_theatre.ic_url, audits) as node,
        own_theatre.hostile(silence, armed=False) as hostile,
        own_theatre.connect(
            [hostile.url, own_theatre.gateways[1].url],
            ic_url=node.url,
            on_event=events.append,
            settings={"head_interval_ns": NS_PER_S, "withhold_grace_ns": NS_PER_S},
        ) as ws,
    ):
        ws.audit()
        await ws.send(b"one")
        assert await ws.recv() == b"echo one"
        hostile.armed = True
        own_theatre.push(b"news")
        async with asyncio.timeout(60):
            assert await ws.recv() == b"news"
        assert audits.struck >= 3
        lost: list[Any] = [event for event in events if isinstance(event, GatewayLost)]
        assert lost[0].target.url == hostile.url
        assert lost[0].error.reason is Reason.MESSAGES_WITHHELD


@pytest.mark.req(*ALTERED_POLL.requirements)
@pytest.mark.parametrize("profile", [Profile.SECURE, Profile.OMNIA], ids=lambda profile: profile.value)
async def test_polls_of_a_client_without_gateway_are_verified(own_theatre: Any, profile: Profile) -> None:
    attack = ALTERED_POLL.make(own_theatre.scene(Stage.FIRST))
    events: list[Any] = []
    async with HostileBoundary(own_theatre.ic_url, attack) as node:
        ws = await own_theatre.connect(None, ic_url=node.url, on_event=events.append, profile=profile)
        sending = asyncio.create_task(ws.send(b"one", confirm="relayed"))
        if profile is Profile.SECURE:
            assert await ws.recv() == b"echo one"
        else:
            await asyncio.wait_for(ws.wait_closed(), 60)
        await asyncio.gather(sending, return_exceptions=True)
        lost: list[Any] = [event for event in events if isinstance(event, GatewayLost)]
        assert attack.struck == 1
        assert lost[0].error.reason in ALTERED_POLL.reasons
        assert lost[0].error.requirement in ALTERED_POLL.requirements
        await ws.abandon()
