"""JavaScript agents against the replica: they verify its certificates, delegations, ranges and node signatures.

Two generations: ``@dfinity/agent`` 2 reads the older forms (call v3, query and read_state v2), ``@icp-sdk/core`` 6 the
newer (call v4, query and read_state v3, sharded canister ranges).
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from icws_canister_mock.canister.samples import Echo
from icws_canister_mock.replica import Canister, ReplicaServer
from icws_secure.sign import Ed25519Identity
from icws_secure.wire.principal import ANONYMOUS

pytestmark = pytest.mark.node

CONTROLLER_SECRET = b"\x05" * 32
CONTROLLER = Ed25519Identity(CONTROLLER_SECRET).principal


@pytest.fixture(params=["dfinity-agent-2", "icp-sdk-core-6"])
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def talk(
    node: Any,
    server: ReplicaServer,
    greeter: type[Canister],
    generation: str,
    *,
    subnet: str = "app",
    polls: bool = False,
) -> dict[str, Any]:
    """Let the agent do all its steps, and check what does not depend on the endpoints it took."""
    replica = server.replica
    canister = replica.install(greeter(), subnet=subnet, controllers=[CONTROLLER])
    stranger = replica.install(greeter(), subnet="app2")
    given = {
        "generation": generation,
        "url": server.url,
        "rootKey": replica.root_key_der.hex(),
        "canister": canister.to_text(),
        "stranger": stranger.to_text(),
        "controller": CONTROLLER_SECRET.hex(),
        "websocket": replica.install(Echo(), subnet=subnet).to_text(),
    }
    said: dict[str, Any] = await node("agent.mjs", **given)
    assert said["callers"].keys() == {"anonymous", "ed25519", "secp256k1", "delegated"}
    assert said["callers"]["anonymous"]["principal"] == ANONYMOUS.to_text()
    for name, caller in said["callers"].items():
        assert caller["whoami"] == caller["principal"]
        assert caller["greet"] == f"Hello, {name}, who is {caller['principal']}!"
    assert said["delayed"] == "32 random bytes"
    rejections = {"trap": "too bad", "refuse": "not today"}
    if polls and generation == "icp-sdk-core-6":
        # this version fails while it words a rejection that it has polled for: what it read is not told
        rejections = dict.fromkeys(rejections, "subnetId")
    assert rejections["trap"] in said["trap"]
    assert rejections["refuse"] in said["refuse"]
    assert "nor now" in said["refuseQuery"]
    assert abs(said["status"]["time"] / 1000 - time.time()) < 60
    assert said["status"]["controllers"] == [CONTROLLER.to_text()]
    assert len(said["status"]["moduleHash"]) == 64
    assert said["status"]["candid"] == greeter.metadata["candid:service"].decode()
    assert said["status"]["subnetNodes"] == 2
    assert said["metadata"] == {"anybody": None, "anonymous": None, "controller": "for controllers"}
    assert "ws_register" in said["websocket"]
    assert said["websocket"] == Echo.metadata["candid:service"].decode()
    assert said["certified"]["found"] == said["certified"]["data"] == b"certified".hex()
    return said


async def test_agent_accepts_calls_queries_and_state(
    node: Any, server: ReplicaServer, greeter: type[Canister], generation: str
) -> None:
    said = await talk(node, server, greeter, generation)
    assert said["stranger"] is not None, "a certificate of one subnet passed for a canister of another"


async def test_agent_accepts_canisters_of_the_root_subnet(
    node: Any, server: ReplicaServer, greeter: type[Canister], generation: str
) -> None:
    await talk(node, server, greeter, generation, subnet="root")


async def test_agent_polls_when_the_synchronous_call_gives_up(
    node: Any, server: ReplicaServer, greeter: type[Canister], generation: str
) -> None:
    server.sync_call_timeout_ms = 0
    await talk(node, server, greeter, generation, polls=True)


async def test_agent_falls_back_to_the_asynchronous_call(
    node: Any, server: ReplicaServer, greeter: type[Canister], generation: str
) -> None:
    server.withdrawn |= {"v3/call", "v4/call"}
    await talk(node, server, greeter, generation, polls=True)
