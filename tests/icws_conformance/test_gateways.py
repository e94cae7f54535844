"""The target ``gateway``: some cases on our gateway, and gateways that are no good."""

from __future__ import annotations

import sys

import pytest
from websockets.asyncio.server import ServerConnection, serve

from icws_conformance.cli import GATEWAY
from icws_conformance.clients.world import open_world
from icws_conformance.gateways.cases import GatewayUnderTest, gateway_cases
from icws_conformance.gateways.process import started
from icws_conformance.hostile.boundary import HostileBoundary
from icws_conformance.requirements import requirements
from icws_conformance.runner import Run, run_cases
from icws_conformance.verdict import Verdict
from icws_secure.errors import TransportError
from icws_secure.wire.frames import Handshake
from icws_secure.wire.principal import Principal


async def run_of(tested: GatewayUnderTest, *names: str) -> Run:
    cases = [case for case in gateway_cases(tested) if case.id in names]
    assert len(cases) == len(names)
    return await run_cases(cases, target="gateway", implementation="test", command="test", at_once=1)


@pytest.mark.timeout(120)
async def test_our_gateway_passes(tmp_path: object) -> None:
    async with open_world(0) as world:
        tested = GatewayUnderTest("", world)
        async with (
            HostileBoundary(world.ic_url, tested.http) as ic,
            started([*GATEWAY, "--identity", f"{tmp_path}/gateway.pem"], ic.url) as tested.url,
        ):
            run = await run_of(tested, "greets", "relays", "open-forged", "call-of-another-method", "altered-poll")
    assert {
        result.case: (result.seen, result.reason) for result in run.results if result.verdict is not Verdict.PASS
    } == {}


async def test_gateway_that_only_greets_fails() -> None:
    async def greet(socket: ServerConnection) -> None:
        await socket.send(Handshake(Principal.self_authenticating(b"greeter")).encode())
        async for _ in socket:
            pass

    async with open_world(0) as world, serve(greet, "127.0.0.1", 0) as server:
        tested = GatewayUnderTest(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", world)
        run = await run_of(tested, "greets", "open-with-text")
    assert [result.verdict for result in run.results] == [Verdict.PASS, Verdict.FAIL]


@pytest.mark.parametrize("words", [["/no/such/program"], [sys.executable, "-c", "exit(3)"]])
async def test_gateway_that_does_not_start_is_unreachable(words: list[str]) -> None:
    with pytest.raises(TransportError):
        async with started(words, "http://127.0.0.1:1"):
            pass


async def test_cases_name_requirements_that_exist() -> None:
    async with open_world(0) as world:
        cases = gateway_cases(GatewayUnderTest("", world))
    assert len({case.id for case in cases}) == len(cases)
    assert {name for case in cases for name in case.requirements} <= set(requirements())
