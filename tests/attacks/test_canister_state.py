"""A canister that was put back, lost its state, or is told by a gateway to let go of a session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from icws_canister_mock.replica import Rejected
from icws_secure.errors import Reason
from icws_secure.limits import NS_PER_S
from icws_secure.session.client import Attached, Ended, GatewayLost
from icws_secure.wire.close_codes import SessionCloseCode
from icws_secure.wire.interface import CloseArgument, decode_close_result, encode_close_argument
from icws_secure.wire.principal import Principal

QUICK = {"head_interval_ns": 1 * NS_PER_S, "audit_interval_ns": 1 * NS_PER_S, "receipt_timeout_ns": 2 * NS_PER_S}


async def end_of(events: list[Any], ws: Any) -> Any:
    await asyncio.wait_for(ws.wait_closed(), 60)
    return next(event.error for event in events if isinstance(event, Ended))


@pytest.mark.req("ICWS-CLT-062", "ICWS-CLT-035")
@pytest.mark.parametrize("route", ["gateway", "direct"])
@pytest.mark.parametrize("active", [False, True], ids=["idle", "active"])
async def test_a_canister_put_back_to_an_older_snapshot_ends_the_session(
    own_theatre: Any, route: str, active: bool
) -> None:
    events: list[Any] = []
    urls = [own_theatre.gateways[0].url] if route == "gateway" else None
    ws = await own_theatre.connect(urls, on_event=events.append, settings=QUICK)
    await ws.send(b"one")
    assert await ws.recv() == b"echo one"
    snapshot = own_theatre.replica.snapshot_canister(own_theatre.canister)
    for n in range(3):
        await ws.send(b"%d" % n)
        assert await ws.recv() == b"echo %d" % n

    own_theatre.replica.load_snapshot(own_theatre.canister, snapshot)

    sending = asyncio.create_task(ws.send(b"more")) if active else None
    error = await end_of(events, ws)
    assert error.code in (SessionCloseCode.STATE_ROLLBACK, SessionCloseCode.STATE_FORKED)
    assert error.reason in (Reason.STATE_ROLLBACK, Reason.STATE_FORKED)
    assert error.requirement in ("ICWS-CLT-062", "ICWS-CLT-072")
    if sending is not None:
        assert isinstance((await asyncio.gather(sending, return_exceptions=True))[0], Exception)


@pytest.mark.req("ICWS-CLT-063", "ICWS-CAN-065")
@pytest.mark.parametrize("route", ["gateway", "direct"])
async def test_a_canister_that_lost_its_state_ends_the_session(own_theatre: Any, route: str) -> None:
    events: list[Any] = []
    urls = [own_theatre.gateways[0].url] if route == "gateway" else None
    ws = await own_theatre.connect(urls, on_event=events.append, settings=QUICK)
    await ws.send(b"one")
    assert await ws.recv() == b"echo one"
    old = own_theatre.replica.canister(own_theatre.canister)

    own_theatre.replica.reinstall(own_theatre.canister, type(old)())

    error = await end_of(events, ws)
    assert (error.code, error.reason) == (SessionCloseCode.EPOCH_CHANGED, Reason.EPOCH_CHANGED)
    assert error.requirement == "ICWS-CLT-063"


def close(theatre: Any, ws: Any, attach: int | None, sender: Principal) -> Any:
    """Call ``ws_close`` as a gateway may at any time."""
    argument = encode_close_argument(CloseArgument(ws.client_key, attach))
    result = theatre.replica.call(theatre.canister, "ws_close", argument, sender=sender)
    return result if isinstance(result, Rejected) else decode_close_result(result.arg)


@pytest.mark.req("ICWS-CAN-063", "ICWS-CLT-035", "ICWS-CLT-070")
async def test_a_gateway_that_closes_at_will_ends_its_attachment_only(own_theatre: Any) -> None:
    events: list[Any] = []
    first, second, _ = own_theatre.gateways
    async with own_theatre.connect([first.url, second.url], on_event=events.append, settings=QUICK) as ws:
        await ws.send(b"one")
        assert await ws.recv() == b"echo one"
        assert close(own_theatre, ws, ws.attach, first.principal) is None
        await ws.send(b"two")
        assert await ws.recv() == b"echo two"
        assert [type(e) for e in events if isinstance(e, Attached | GatewayLost)] == [Attached, GatewayLost, Attached]
        assert own_theatre.heard(ws.session_principal) == [b"one", b"two"]


@pytest.mark.req("ICWS-CAN-063")
async def test_a_gateway_cannot_close_the_attachment_after_its_own(own_theatre: Any) -> None:
    events: list[Any] = []
    first, second, third = own_theatre.gateways
    async with (
        own_theatre.hostile_pass(0) as hostile,
        own_theatre.connect([hostile.url, second.url], on_event=events.append, settings=QUICK) as ws,
    ):
        await ws.send(b"one")
        await hostile.hang_up()
        await ws.send(b"two")
        assert ws.gateway == second.principal
        losses = len([event for event in events if isinstance(event, GatewayLost)])

        for sender in (first.principal, third.principal):
            close(own_theatre, ws, ws.attach, sender)
        close(own_theatre, ws, ws.attach - 1, second.principal)

        for n in range(3):
            await ws.send(b"%d" % n)
        assert len([event for event in events if isinstance(event, GatewayLost)]) == losses
