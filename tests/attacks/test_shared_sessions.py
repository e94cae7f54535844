"""One saved session in two hands: a thief's, or a backup that was restored."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from pathlib import Path
from typing import Any

import pytest

from icws_conformance.hostile import HostileBoundary
from icws_conformance.hostile.attacks.nodes import content_of
from icws_conformance.hostile.boundary import Answer
from icws_secure.errors import IcwsError, Reason
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Attached, Ended, GatewayLost
from icws_secure.wire.close_codes import SessionCloseCode

KEY = bytes(range(32))
QUICK = {"head_interval_ns": 1 * NS_PER_S, "audit_interval_ns": 1 * NS_PER_S}


def saved(path: Path) -> dict[str, Any]:
    return {"state_file": path, "state_key": KEY}


async def end_of(events: list[Any], ws: Any) -> Any:
    await asyncio.wait_for(ws.wait_closed(), 60)
    return next(event.error for event in events if isinstance(event, Ended))


@pytest.mark.req("ICWS-CLT-014", "ICWS-CAN-012")
@pytest.mark.parametrize("through", ["gateway", "another gateway", "direct"])
async def test_the_first_holder_ends_when_the_second_attaches(own_theatre: Any, tmp_path: Path, through: str) -> None:
    mine, copy = tmp_path / "session", tmp_path / "copy"
    urls = [own_theatre.gateways[0].url]
    other = {"gateway": urls, "another gateway": [own_theatre.gateways[1].url], "direct": None}[through]
    events: list[Any] = []
    first = await own_theatre.connect(urls, on_event=events.append, settings=QUICK, **saved(mine))
    await first.send(b"one")
    assert await first.recv() == b"echo one"
    await first.send(b"two")
    assert await first.recv() == b"echo two"
    await asyncio.to_thread(shutil.copy, mine, copy)

    async with own_theatre.connect(other, settings=QUICK, **saved(copy)) as second:
        assert second.session_principal == first.session_principal
        error = await end_of(events, first)
        assert (error.code, error.reason) == (SessionCloseCode.SESSION_TAKEN, Reason.SESSION_TAKEN)
        assert error.requirement == "ICWS-CLT-014"
        # the newest alone goes on, and neither pushes the other out again
        await second.send(b"three")
        while await second.recv() != b"echo three":
            pass


@pytest.mark.req("ICWS-CLT-014", "ICWS-CLT-072", "ICWS-CAN-012")
async def test_the_second_holder_ends_where_the_first_has_attached_again(own_theatre: Any, tmp_path: Path) -> None:
    mine, copy = tmp_path / "session", tmp_path / "copy"
    urls = [own_theatre.gateways[0].url]
    async with own_theatre.connect(urls, **saved(mine)) as ws:
        await ws.send(b"one")
        assert await ws.recv() == b"echo one"
        await ws.suspend()
    await asyncio.to_thread(shutil.copy, mine, copy)

    async with own_theatre.connect(urls, settings=QUICK, **saved(mine)) as first:
        events: list[Any] = []
        second = own_theatre.connect(urls, on_event=events.append, settings=QUICK, **saved(copy))
        with contextlib.suppress(IcwsError):  # it may end before it is given to the application, or after
            await (await second).wait_closed()
        error: Any = next(event.error for event in events if isinstance(event, Ended))
        # which of the two comes out first: the attach that it did not make, or the keep-alive that it did not send
        assert error.code in (SessionCloseCode.SESSION_TAKEN, SessionCloseCode.STATE_FORKED)
        assert error.requirement in ("ICWS-CLT-014", "ICWS-CLT-072")
        assert not any(isinstance(event, Attached) for event in events)
        await first.send(b"two")
        assert await first.recv() == b"echo two"


@pytest.mark.req("ICWS-CLT-014")
async def test_no_higher_number_is_tried_before_the_canister_has_said_who_is_there(
    own_theatre: Any, tmp_path: Path
) -> None:
    """The gateway refuses a number that another holder has used; nothing certifies that, and the IC is slow to tell."""
    mine, copy = tmp_path / "session", tmp_path / "copy"
    urls = [own_theatre.gateways[0].url]
    async with own_theatre.connect(urls, **saved(mine)) as ws:
        await ws.send(b"one")
        assert await ws.recv() == b"echo one"
        await ws.suspend()
    await asyncio.to_thread(shutil.copy, mine, copy)

    async def slow_audits(_: str, body: bytes, fetch: Any) -> Answer:
        content = content_of(body)
        if content is not None and content.method_name == "ws_audit":
            await asyncio.sleep(1.0)
        answer: Answer = await fetch()
        return answer

    first_events: list[Any] = []
    async with (
        HostileBoundary(own_theatre.ic_url, slow_audits) as node,
        own_theatre.connect(urls, on_event=first_events.append, settings=QUICK, **saved(mine)) as first,
    ):
        second = own_theatre.connect(urls, ic_url=node.url, settings=QUICK, **saved(copy))
        with contextlib.suppress(IcwsError):
            await asyncio.wait_for((await second).wait_closed(), 60)
        await first.send(b"two")
        assert await first.recv() == b"echo two"
        assert first.attach == 2
        assert not [event for event in first_events if isinstance(event, GatewayLost)]


@pytest.mark.req("ICWS-CLT-072", "ICWS-CAN-031")
async def test_a_state_behind_what_the_canister_accepted_ends_as_forked(own_theatre: Any, tmp_path: Path) -> None:
    mine, copy = tmp_path / "session", tmp_path / "copy"
    urls = [own_theatre.gateways[0].url]
    ws = await own_theatre.connect(urls, **saved(mine))
    await ws.send(b"one")
    assert await ws.recv() == b"echo one"
    await asyncio.to_thread(shutil.copy, mine, copy)
    await ws.send(b"two")
    assert await ws.recv() == b"echo two"
    await ws.abandon()

    events: list[Any] = []
    with pytest.raises(IcwsError) as failed:
        await own_theatre.connect(urls, on_event=events.append, **saved(copy))
    assert failed.value.reason is Reason.STATE_FORKED
    error: Any = next(event.error for event in events if isinstance(event, Ended))
    assert (error.code, error.requirement) == (SessionCloseCode.STATE_FORKED, "ICWS-CLT-072")
    assert own_theatre.heard(ws.session_principal) == [b"one", b"two"]
