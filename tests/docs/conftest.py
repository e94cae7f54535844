"""What ``icws dev`` starts, on other ports: the documentation's addresses are replaced by these."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from icws_canister_mock.canister.samples import SAMPLES
from icws_canister_mock.replica import Replica, ReplicaConfig, serve_replica
from icws_gateway import GatewayConfig, serve_gateway

DOCUMENTED = ("ws://127.0.0.1:8080", "http://127.0.0.1:4943")


@dataclass(frozen=True)
class Dev:
    """A running network.

    Attributes:
        gateway: address of the gateway.
        ic_url: address of the replica.
    """

    gateway: str
    ic_url: str

    def here(self, text: str) -> str:
        """A piece of documentation with the addresses of this network."""
        for documented, real in zip(DOCUMENTED, (self.gateway, self.ic_url), strict=True):
            text = text.replace(documented, real)
        return text


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    replica = Replica(ReplicaConfig())
    for name in ("echo", "chat", "ticker"):
        replica.install(SAMPLES[name]())
    async with serve_replica(replica) as server:
        config = GatewayConfig(
            ic_url=server.url, listen="127.0.0.1:0", identity=tmp_path / "gateway.pem", poll_interval_ms=20
        )
        async with serve_gateway(config) as gateway:
            yield Dev(gateway.url, server.url)


@pytest.fixture
def blocks() -> Callable[[Path, str], list[str]]:
    """The fenced blocks of a language in a page, in order."""

    def read(page: Path, language: str) -> list[str]:
        found, inside = [], False
        for line in page.read_text().splitlines():
            if line.startswith("```"):
                inside = line == f"```{language}"
                if inside:
                    found.append("")
            elif inside:
                found[-1] += line + "\n"
        return found

    return read
