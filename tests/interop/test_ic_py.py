"""ic-py's agent against the replica: it calls by v2, polls, and reads the state tree with code of its own."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from icws_canister_mock.replica import Canister, ReplicaServer
from icws_secure.sign.delegation_json import DelegationChain
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_delegation
from icws_secure.wire.envelope import Delegation
from icws_secure.wire.principal import ANONYMOUS, Principal

CONTROLLER = Principal.self_authenticating(b"the controller's key")


@pytest.fixture
def chain() -> DelegationChain:
    """A delegation of ours, for ic-py to use: from the first key to the second."""
    owner = Ed25519Identity(b"\x01" * 32)
    session = Ed25519Identity(b"\x02" * 32)
    link = sign_delegation(owner, Delegation(session.public_key_der, time.time_ns() + 3_600_000_000_000))
    return DelegationChain(owner.public_key_der, (link,))


async def test_ic_py_calls_queries_and_reads_state(
    icpy: Any, server: ReplicaServer, greeter: type[Canister], chain: DelegationChain
) -> None:
    canister = server.replica.install(greeter(), controllers=[CONTROLLER])
    said = await icpy(
        "agent.py",
        url=server.url,
        canister=canister.to_text(),
        delegation={"session": "02" * 32, "chain": json.loads(chain.to_json())},
    )
    assert said["anonymous"]["principal"] == ANONYMOUS.to_text()
    assert said["delegated"]["principal"] == Ed25519Identity(b"\x01" * 32).principal.to_text()
    for name in ("ed25519", "secp256k1", "anonymous", "delegated"):
        caller = said[name]
        assert caller["whoami"] == caller["principal"]
        assert caller["greet"] == f"Hello, ic-py, who is {caller['principal']}!"
        assert "too bad" in caller["trap"]
        assert "nor now" in caller["refuse_query"]
    assert said["controllers"] == [CONTROLLER.raw.hex()]
    assert said["forbidden"] == "Invalid path requested!"
