"""A replica whose clock the test moves, an identity, and a user who posts envelopes."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from icws_canister_mock.replica import ManualClock, Replica, ReplicaConfig, ReplicaServer, serve_replica
from icws_secure.sign.identity import Ed25519Identity
from icws_secure.sign.request import sign_call, sign_query, sign_read_state
from icws_secure.verify.certificate import CertificateVerifier, VerifiedCertificate
from icws_secure.verify.root_key import RootKey
from icws_secure.wire import cbor
from icws_secure.wire.principal import Principal

START_NS = 1_900_000_000_000_000_000
MINUTE_NS = 60_000_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START_NS)


@pytest.fixture
def replica(clock: ManualClock) -> Replica:
    return Replica(ReplicaConfig(seed=bytes(32), clock=clock))


@pytest.fixture
async def server(replica: Replica) -> AsyncIterator[ReplicaServer]:
    async with serve_replica(replica) as running:
        yield running


@dataclass
class User:
    """Signs envelopes, posts them, and verifies certificates with the core's verifier."""

    server: ReplicaServer
    http: aiohttp.ClientSession
    identity: Ed25519Identity
    nonces: Any = field(default_factory=lambda: itertools.count())

    @property
    def replica(self) -> Replica:
        return self.server.replica

    async def post(self, path: str, body: bytes, content_type: str = "application/cbor") -> tuple[int, bytes]:
        async with self.http.post(self.server.url + path, data=body, headers={"Content-Type": content_type}) as answer:
            return answer.status, await answer.read()

    async def post_cbor(self, path: str, body: bytes) -> dict[str, Any]:
        status, answer = await self.post(path, body)
        assert status == 200, (status, answer)
        value = cbor.decode(answer, what="an answer", allow_indefinite=True)
        assert isinstance(value, dict)
        return value

    def call_envelope(
        self, canister: Principal, method: str, arg: bytes = b"", *, ttl_ns: int = 4 * MINUTE_NS
    ) -> tuple[bytes, bytes]:
        """An envelope and its request id."""
        envelope = sign_call(
            self.identity,
            canister_id=canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=self.replica.time_ns + ttl_ns,
            nonce=next(self.nonces).to_bytes(8, "big"),
        )
        return envelope.encode(), envelope.content.request_id

    async def call(
        self, canister: Principal, method: str, arg: bytes = b"", *, version: str = "v4"
    ) -> tuple[dict[str, Any], bytes]:
        """Call; the answer and the request id."""
        body, request_id = self.call_envelope(canister, method, arg)
        return await self.post_cbor(f"/api/{version}/canister/{canister}/call", body), request_id

    async def query(self, canister: Principal, method: str, arg: bytes = b"", *, version: str = "v3") -> dict[str, Any]:
        envelope = sign_query(
            self.identity,
            canister_id=canister,
            method_name=method,
            arg=arg,
            ingress_expiry_ns=self.replica.time_ns + MINUTE_NS,
        )
        return await self.post_cbor(f"/api/{version}/canister/{canister}/query", envelope.encode())

    async def read_state(self, path: str, *paths: tuple[bytes, ...]) -> tuple[int, bytes]:
        """Post a read_state request; status and body."""
        expiry = self.replica.time_ns + MINUTE_NS
        envelope = sign_read_state(self.identity, paths=paths, ingress_expiry_ns=expiry)
        return await self.post(path, envelope.encode())

    async def certificate(
        self, path: str, *paths: tuple[bytes, ...], canister: Principal | None = None, subnet: Principal | None = None
    ) -> VerifiedCertificate:
        """Read the state, and verify what comes."""
        status, body = await self.read_state(path, *paths)
        assert status == 200, body
        value = cbor.decode(body, what="an answer")
        assert isinstance(value, dict)
        return self.verify(value["certificate"], canister=canister, subnet=subnet)

    def verify(
        self, certificate: bytes, *, canister: Principal | None = None, subnet: Principal | None = None
    ) -> VerifiedCertificate:
        verifier = CertificateVerifier(RootKey.from_der(self.replica.root_key_der))
        return verifier.verify(certificate, now=self.replica.time_ns, canister_id=canister, subnet_id=subnet)


@pytest.fixture
async def user(server: ReplicaServer) -> AsyncIterator[User]:
    async with aiohttp.ClientSession() as http:
        yield User(server, http, Ed25519Identity(b"\x01" * 32))


@pytest.fixture
async def new_user(server: ReplicaServer) -> AsyncIterator[Callable[[bytes], Awaitable[User]]]:
    """``await new_user(seed)``: a further user."""
    async with aiohttp.ClientSession() as http:

        async def make(seed: bytes) -> User:
            return User(server, http, Ed25519Identity(seed))

        yield make
