"""Every attack of the hostile gateway on a session that is being closed, with messages still on their way.

Nobody fails over any more once the close has its limit, so not everything arrives. What must hold all the same: the
close ends in time and as what it is, nothing false is delivered or executed, and no ``send`` ends with a false word.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from icws_client import ConnectionClosed
from icws_conformance.hostile import CATALOGUE
from icws_conformance.hostile.catalogue import AttackEntry, Profile, Stage
from icws_secure.errors import IcwsError, Reason
from icws_secure.session.client import Ended
from icws_secure.wire.close_codes import SessionCloseCode

pytestmark = pytest.mark.asyncio(loop_scope="module")

BEFORE, AFTER = 2, 4
LIMIT_S = 120.0
ENTRIES = [
    entry
    for entry in CATALOGUE.values()
    if Profile.SECURE in entry.profiles and {Stage.LATER, Stage.IN_FLIGHT} & set(entry.stages)
]


async def converse(ws: Any, count: int) -> None:
    for number in range(count):
        await ws.send(b"before %d" % number)
        await ws.recv()


async def listen(ws: Any, delivered: list[bytes]) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            delivered.append(await ws.recv())


@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=entry.name, marks=pytest.mark.req(*entry.requirements)) for entry in ENTRIES],
)
async def test_attack_on_a_session_that_closes_gains_nothing(theatre: Any, entry: AttackEntry) -> None:
    attack = entry.make(theatre.scene(Stage.LATER))
    events: list[Any] = []
    delivered: list[bytes] = []
    sent = [b"before %d" % number for number in range(BEFORE)] + [b"last %d" % number for number in range(AFTER)]
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(LIMIT_S))
        hostile = await stack.enter_async_context(theatre.hostile(attack, armed=False))
        for _ in range(entry.victims - 1):
            await converse(await stack.enter_async_context(theatre.connect([hostile.url])), BEFORE + AFTER)
        urls = [hostile.url, theatre.gateways[1].url]
        ws = await stack.enter_async_context(theatre.connect(urls, on_event=events.append))
        await converse(ws, BEFORE)
        hostile.armed = True
        listener = asyncio.create_task(listen(ws, delivered))
        sends = [asyncio.create_task(ws.send(message)) for message in sent[BEFORE:]]
        await asyncio.sleep(0)
        await ws.close()
        outcomes = await asyncio.gather(*sends, return_exceptions=True)
        await listener
        session = ws.session_principal
    heard = theatre.heard(session)
    assert hostile.mistakes == []
    assert [event.error.code for event in events if isinstance(event, Ended)] == [SessionCloseCode.CLIENT_CLOSED]
    assert heard == sent[: len(heard)]
    assert delivered == [b"echo " + message for message in sent[BEFORE:]][: len(delivered)]
    for message, outcome in zip(sent[BEFORE:], outcomes, strict=True):
        if outcome is None:
            assert message in heard
        else:
            assert isinstance(outcome, IcwsError)
            assert outcome.reason is not Reason.NOT_EXECUTED or message not in heard
