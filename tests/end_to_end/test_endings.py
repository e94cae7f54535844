"""Each end of a session has its own code, and it is the same in every interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from icws_client import Agent, ConnectionClosedError, ConnectionClosedOK, IcWebSocket
from icws_client.identities import generate
from icws_client.sessions import list_sessions, revoke
from icws_secure.errors import SessionEnded
from icws_secure.limits import NS_PER_S

Deed = Callable[[Any, Any], Awaitable[None]]


async def close_by_application(network: Any, owner: Any) -> None:
    """The canister's application ends what it knows: the echo canister is told to."""


async def revoke_all(network: Any, owner: Any) -> None:
    async with Agent(network.ic_url, identity=owner, root_key=network.root_key) as agent:
        assert await revoke(agent, network.canister) == 1


async def wait(network: Any, owner: Any) -> None:
    """Time alone ends it."""


ENDINGS = [
    pytest.param(close_by_application, {}, 4001, "ApplicationClosed", ConnectionClosedOK, id="application"),
    pytest.param(revoke_all, {}, 4011, "Revoked", ConnectionClosedError, id="revoked"),
    pytest.param(wait, {"lifetime": 8}, 4010, "Expired", ConnectionClosedError, id="expired"),
]
endings = pytest.mark.parametrize(("deed", "options", "code", "reason", "kind"), ENDINGS)


def prepared(network: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    owner = generate()
    chosen: dict[str, Any] = {"identity": owner}
    if "lifetime" in options:
        chosen["expires_at_ns"] = time.time_ns() + options["lifetime"] * NS_PER_S
    return owner, chosen


async def read_to_the_end(ws: Any) -> None:
    while True:
        await ws.recv()


@pytest.mark.req("ICWS-CLT-035")
@endings
async def test_ends_of_asynchronous_sessions(
    network: Any, deed: Deed, options: Any, code: int, reason: str, kind: type[SessionEnded]
) -> None:
    gateway = await network.gateway()
    owner, chosen = prepared(network, options)
    async with network.connect(gateway.url, **chosen) as ws:
        await ws.send(b"close" if deed is close_by_application else b"stay")
        await deed(network, owner)
        with pytest.raises(kind) as caught:
            await asyncio.wait_for(read_to_the_end(ws), 30)
    assert (caught.value.code, caught.value.close_reason) == (code, reason)


@endings
async def test_ends_of_synchronous_sessions(
    network: Any, deed: Deed, options: Any, code: int, reason: str, kind: type[SessionEnded]
) -> None:
    gateway = await network.gateway()
    owner, chosen = prepared(network, options)
    opening = network.connect_sync(gateway.url, **chosen)
    is_open = asyncio.Event()
    loop = asyncio.get_running_loop()

    def program() -> SessionEnded:
        with opening() as ws:
            ws.send(b"close" if deed is close_by_application else b"stay")
            loop.call_soon_threadsafe(is_open.set)
            while True:
                try:
                    ws.recv(timeout=30)
                except SessionEnded as error:
                    return error

    running = asyncio.create_task(asyncio.to_thread(program))
    await is_open.wait()
    await deed(network, owner)
    ended = await running
    assert isinstance(ended, kind)
    assert (ended.code, ended.close_reason) == (code, reason)


@endings
async def test_ends_of_sessions_with_callbacks(
    network: Any, deed: Deed, options: Any, code: int, reason: str, kind: type[SessionEnded]
) -> None:
    gateway = await network.gateway()
    owner, chosen = prepared(network, options)
    told: list[tuple[Any, ...]] = []
    is_open = asyncio.Event()
    socket = IcWebSocket(gateway.url, **network.options(**chosen))
    socket.on_open = is_open.set
    socket.on_error = lambda error: told.append(("error", type(error)))
    socket.on_close = lambda *end: told.append(("close", *end))
    async with asyncio.timeout(30):
        await is_open.wait()
        socket.send(b"close" if deed is close_by_application else b"stay", confirm="relayed")
        await deed(network, owner)
        await socket.closed()
    errors = [("error", kind)] if kind is ConnectionClosedError else []
    assert told == [*errors, ("close", code, reason)]


async def test_an_owner_lists_and_ends_single_sessions(network: Any) -> None:
    gateway = await network.gateway()
    owner = generate()
    async with (
        Agent(network.ic_url, identity=owner, root_key=network.root_key) as agent,
        network.connect(gateway.url, identity=owner) as kept,
        network.connect(gateway.url, identity=owner) as ended,
    ):
        listed = await list_sessions(agent, network.canister)
        assert {info.session_principal for info in listed} == {kept.session_principal, ended.session_principal}
        assert await revoke(agent, network.canister, ended.session_principal) == 1
        with pytest.raises(ConnectionClosedError) as caught:
            await ended.recv()
        assert caught.value.code == 4011
        await kept.send(b"still here")
        assert await kept.recv() == b"still here"


async def test_nobody_else_ends_a_session(network: Any) -> None:
    gateway = await network.gateway()
    async with (
        Agent(network.ic_url, identity=generate(), root_key=network.root_key) as stranger,
        network.connect(gateway.url) as ws,
    ):
        assert await list_sessions(stranger, network.canister) == ()
        assert await revoke(stranger, network.canister, ws.session_principal) == 0
        await ws.send(b"still here")
        assert await ws.recv() == b"still here"
