"""The whole loop on loopback: a replica with an echo canister, gateways before it, wires that can be cut and
stalled."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ipaddress
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from icws_canister_mock.canister.samples import SAMPLES
from icws_canister_mock.replica import Canister, Replica, ReplicaConfig, serve_replica
from icws_client import ClientConfig, connect
from icws_client import sync as sync_client
from icws_gateway import Gateway, GatewayConfig, serve_gateway
from icws_secure.errors import IcwsError
from icws_secure.limits import NS_PER_MS, NS_PER_S
from icws_secure.session.client import Attached, GatewayLost
from icws_secure.wire.principal import Principal


class Wire:
    """A TCP connection relayed, until it is cut (resets) or stalled (silence)."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.accepted = 0
        self.url = ""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stall(self) -> None:
        """Let nothing through any more, and say nothing about it."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let everything through again."""
        self._flowing.set()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def drop(self) -> None:
        """Break every connection; new ones are welcome."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, upstream_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._copy(reader, upstream_writer), self._copy(upstream_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
            writer.write_eof()


class Network:
    """Where clients connect to."""

    def __init__(self, replica: Replica, ic_url: str, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.replica = replica
        self.ic_url = ic_url
        self.root_key = replica.root_key_der
        self.canister = self.install(SAMPLES["echo"]())
        self._folder = folder
        self._stack = stack
        self._gateways = 0

    def install(self, canister: Canister) -> Principal:
        return self.replica.install(canister)

    async def gateway(self, **settings: Any) -> Gateway:
        """Start one more gateway."""
        self._gateways += 1
        config = GatewayConfig(
            ic_url=self.ic_url,
            listen="127.0.0.1:0",
            identity=self._folder / f"gateway-{self._gateways}.pem",
            poll_interval_ms=20,
            head_interval_seconds=0.5,
            **({"drain_seconds": 0.2} | settings),
        )
        return await self._stack.enter_async_context(serve_gateway(config))

    async def wire(self) -> tuple[Gateway, Wire]:
        """Start one more gateway, behind a wire."""
        gateway = await self.gateway()
        host, _, port = gateway.url.removeprefix("ws://").rstrip("/").rpartition(":")
        wire = Wire(host, int(port))
        await wire.start()
        self._stack.callback(wire.cut)
        return gateway, wire

    def options(self, **options: Any) -> dict[str, Any]:
        """What a client of this network needs to know, and impatience between attempts. Silence is borne for as long as
        clients bear it by default: a busy machine is silent, too."""
        config = ClientConfig(
            canister_id=self.canister,
            backoff_initial_ns=20 * NS_PER_MS,
            switch_back_ns=1 * NS_PER_S,
            poll_interval_ns=20 * NS_PER_MS,
            poll_interval_max_ns=100 * NS_PER_MS,
            **options.pop("settings", {}),
        )
        return {
            "canister_id": self.canister,
            "ic_url": self.ic_url,
            "root_key": self.root_key,
            "open_timeout": 60.0,
            "close_timeout": 5.0,
            "config": config,
        } | options

    def connect(self, gateways: Any = None, **options: Any) -> connect[Any]:
        return connect(gateways, **self.options(**options))

    async def refused(self, gateway: str, **options: Any) -> IcwsError:
        """Why a client leaves a gateway that it must not use. It would go on trying: it is stopped then."""
        events: asyncio.Queue[Any] = asyncio.Queue()

        async def attempt() -> None:
            await self.connect(gateway, on_event=events.put_nowait, **({"open_timeout": 60.0} | options))

        trying = asyncio.create_task(attempt())
        try:
            while not isinstance(event := await events.get(), GatewayLost):
                assert not isinstance(event, Attached)
        finally:
            trying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await trying
        return event.error

    def connect_sync(self, gateways: Any = None, **options: Any) -> Callable[[], sync_client.Connection[Any]]:
        """Give a function for a thread, since this one runs the network."""
        return lambda: sync_client.connect(gateways, **self.options(**options))


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    async with contextlib.AsyncExitStack() as stack:
        replica = Replica(ReplicaConfig())
        server = await stack.enter_async_context(serve_replica(replica))
        yield Network(replica, server.url, tmp_path, stack)


def _self_signed(folder: Path) -> tuple[Path, Path]:
    """Write a certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    paths[1].chmod(0o600)
    return paths


@pytest.fixture
def self_signed() -> Callable[[Path], tuple[Path, Path]]:
    """Writes a certificate for 127.0.0.1 and its key into a folder."""
    return _self_signed
