"""Several processes behind one port: own keys, divided bounds, joined figures, and none that brings down another."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect

from icws_gateway.config import GatewayConfig
from icws_gateway.metrics import GatewayMetrics
from icws_gateway.worker_metrics import WorkerMetrics, joined
from icws_gateway.workers import DIVIDED, reserve_port, share
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import Handshake, decode_gateway_frame

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="needs ports that processes can share")

WORKERS = 2


def test_each_worker_has_its_own_key_and_its_share_of_what_is_bounded_in_total():
    config = GatewayConfig(workers=3, identity=Path("keys/gateway.pem"), max_connections=10)
    shares = [share(config, number) for number in range(3)]
    assert [str(own.identity) for own in shares] == ["keys/gateway.pem", "keys/gateway-1.pem", "keys/gateway-2.pem"]
    assert {own.max_connections for own in shares} == {4}
    for name in DIVIDED:
        assert 3 * getattr(shares[0], name) >= getattr(config, name)
    assert shares[1].max_connections_per_address == config.max_connections_per_address


def test_port_is_chosen_once_and_gets_no_connections():
    holder, config = reserve_port(GatewayConfig(listen="127.0.0.1:0"))
    with holder:
        assert config.port == holder.getsockname()[1] != 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", config.port), 1)


def test_port_in_use_by_somebody_else_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        reserve_port(GatewayConfig(listen=f"127.0.0.1:{taken.getsockname()[1]}"))


def test_figures_are_joined_with_the_workers_number():
    pages = []
    for number in range(2):
        metrics = GatewayMetrics()
        metrics.limits.labels("connections").inc(number + 1)
        metrics.poll_lag.observe(0.3)
        pages.append(metrics.render().decode())
    text = joined([*pages, None]).decode()
    for line in (
        'icws_gateway_limits_total{limit="connections",worker="0"} 1.0',
        'icws_gateway_limits_total{limit="connections",worker="1"} 2.0',
        'icws_gateway_poll_lag_seconds_bucket{le="0.4",worker="1"} 1.0',
        'icws_gateway_worker_up{worker="1"} 1.0',
        'icws_gateway_worker_up{worker="2"} 0.0',
    ):
        assert line in text.splitlines()
    assert text.count("# TYPE icws_gateway_limits_total counter") == 1


async def test_worker_that_does_not_answer_hides_no_other(tmp_path):
    first = WorkerMetrics(tmp_path, 0, 3)
    await first.start(lambda: b"# TYPE x gauge\nx 1.0\n")
    (tmp_path / "1.sock").write_bytes(b"")
    try:
        lines = (await first.gather()).decode().splitlines()
    finally:
        await first.stop()
    assert 'x{worker="0"} 1.0' in lines
    assert [line[-3:] for line in lines if line.startswith("icws_gateway_worker_up{")] == ["1.0", "0.0", "0.0"]


def connections_in(page: str) -> list[str]:
    return re.findall(r"^icws_gateway_connections\{worker=\"\d\"\} (.+)$", page, re.MULTILINE)


class Group:
    """A gateway of several processes."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.url = ""

    async def line(self, word: str) -> dict[str, object]:
        """The next line of the log with a word in it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(60):
            while line := (await self.process.stdout.readline()).decode():
                if word in line:
                    found: dict[str, object] = json.loads(line)
                    return found
        raise AssertionError(f"the log ended before {word!r}")

    def workers(self) -> list[int]:
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    async def metrics(self) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(self.url.replace("ws://", "http://") + "/metrics") as answer,
        ):
            return await answer.text()

    async def one_of_each(self) -> dict[str, ClientConnection]:
        """A connection to each worker, by the principal that it tells."""
        found: dict[str, ClientConnection] = {}
        async with asyncio.timeout(60):
            while len(found) < WORKERS:
                socket_ = await connect(self.url)
                frame = decode_gateway_frame(await socket_.recv())
                assert isinstance(frame, Handshake)
                name = frame.gateway_principal.to_text()
                if name in found:
                    await socket_.close()
                else:
                    found[name] = socket_
        return found


@pytest.fixture
async def group(ic, tmp_path) -> AsyncIterator[Group]:
    settings = tmp_path / "gateway.toml"
    settings.write_text("drain_seconds = 1\nclose_timeout_seconds = 1\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from icws_gateway.cli import app; app()", "--workers", str(WORKERS)),
        *("--config", str(settings), "--ic-url", ic.url, "--listen", "127.0.0.1:0"),
        *("--identity", str(tmp_path / "key.pem"), "--log-format", "json"),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.PIPE,
    )
    found = Group(process, tmp_path)
    try:
        urls = {str((await found.line("listening"))["url"]) for _ in range(WORKERS)}
        (found.url,) = urls
        yield found
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(60):
                    await process.wait()
            except TimeoutError:
                process.kill()


async def test_workers_share_a_port_have_own_principals_and_account_together(group):
    sockets = await group.one_of_each()
    assert len(list(group.folder.glob("key*.pem"))) == WORKERS
    async with asyncio.timeout(60):
        text = ""
        while connections_in(text) != ["1.0", "1.0"]:  # those that were closed on the way are counted off by and by
            text = await group.metrics()
    assert 'icws_gateway_worker_up{worker="1"} 1.0' in text
    group.process.send_signal(signal.SIGHUP)
    assert {(await group.line("reloaded"))["worker"] for _ in range(WORKERS)} == {0, 1}
    group.process.send_signal(signal.SIGTERM)
    for socket_ in sockets.values():
        await socket_.wait_closed()
        assert socket_.close_code == CloseCode.GOING_AWAY
    async with asyncio.timeout(60):
        assert await group.process.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_worker_that_dies_is_replaced_and_takes_nobody_with_it(group, eventually: Callable[..., Awaitable[None]]):
    sockets = await group.one_of_each()
    before = group.workers()
    os.kill(before[0], signal.SIGKILL)
    ended = await group.line("replaced")
    assert ended["status"] == -signal.SIGKILL
    again = await group.line("listening")
    assert again["worker"] == ended["worker"]
    assert again["principal"] in sockets
    async with asyncio.timeout(60):
        await sockets[str(again["principal"])].wait_closed()
    (other,) = (socket_ for name, socket_ in sockets.items() if name != again["principal"])
    await (await other.ping())
    await other.close()
    assert len(group.workers()) == WORKERS
    for socket_ in (await group.one_of_each()).values():
        await socket_.close()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
async def test_no_worker_outlives_its_supervisor(group, eventually):
    handles = [os.pidfd_open(pid) for pid in group.workers()]
    group.process.kill()
    await group.process.wait()

    def alive(handle: int) -> bool:
        try:
            signal.pidfd_send_signal(handle, 0)
        except ProcessLookupError:
            return False
        return True

    try:
        await eventually(lambda: not any(alive(handle) for handle in handles))
    finally:
        for handle in handles:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


async def test_settings_that_no_worker_can_use_end_all(ic, tmp_path):
    key = tmp_path / "key-1.pem"
    key.write_text("no key")
    key.chmod(0o600)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from icws_gateway.cli import app; app()", "--workers", str(WORKERS)),
        *("--ic-url", ic.url, "--listen", "127.0.0.1:0", "--identity", str(tmp_path / "key.pem")),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, complaints = await process.communicate()
    assert process.returncode == 2
    assert b"holds no key" in complaints
