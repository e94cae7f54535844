"""The shipped notes for HAProxy and nginx, as they are but for addresses: a client reaches gateways behind them over
TLS, is told apart from others by its own address, and moves on when a gateway drains."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from icws_conformance.gateways.process import free_port
from icws_gateway import Gateway
from icws_secure.wire.close_codes import CloseCode
from icws_secure.wire.frames import Handshake, decode_gateway_frame

DEPLOY = Path(__file__).parents[2] / "gateway" / "deploy"
PROXY = "127.0.0.77"  # where the proxy's connections to the gateways come from


def program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin")))


def nginx_settings(folder: Path, port: int, chain: Path, key: Path) -> str:
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/chain.pem", str(chain)),
        ("/etc/nginx/key.pem", str(key)),
        ("proxy_pass ", f"proxy_bind {PROXY};\n        proxy_pass "),
    ):
        assert old in text
        text = text.replace(old, new)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )


def haproxy_settings(folder: Path, port: int, chain: Path, key: Path) -> str:
    both = folder / "chain-and-key.pem"
    both.write_bytes(chain.read_bytes() + key.read_bytes())
    text = (DEPLOY / "haproxy.cfg").read_text()
    for old, new in (
        ("bind :443 ssl", f"bind 127.0.0.1:{port} ssl"),
        ("/etc/haproxy/chain-and-key.pem", str(both)),
        ("balance leastconn", f"balance leastconn\n    source {PROXY}"),
        ("maxconn 50000", "maxconn 500"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


PROXIES: dict[str, tuple[Callable[[Path, int, Path, Path], str], tuple[str, ...], tuple[str, ...]]] = {
    "nginx": (nginx_settings, ("-c",), ("-t", "-c")),
    "haproxy": (haproxy_settings, ("-db", "-f"), ("-c", "-f")),
}
"""Settings, arguments to run with them, and to check them."""


@pytest.fixture(params=list(PROXIES))
def proxy(request: pytest.FixtureRequest, tmp_path: Path, self_signed: Any) -> Callable[..., Any]:
    """Starts the proxy before gateways; gives its URL and the context that trusts it."""
    settings, run, check = PROXIES[request.param]
    found = program(request.param)
    if found is None:
        assert "CI" not in os.environ, f"CI needs {request.param}"
        pytest.skip(f"needs {request.param} (Debian: apt-get install {request.param})")

    @contextlib.asynccontextmanager
    async def start(*gateways: Gateway) -> AsyncIterator[tuple[str, ssl.SSLContext]]:
        chain, key = self_signed(tmp_path)
        port = free_port()
        text = settings(tmp_path, port, chain, key)
        for number, address in enumerate(("10.0.0.11:8080", "10.0.0.12:8080")):
            there = gateways[min(number, len(gateways) - 1)]
            assert address in text
            text = text.replace(address, f"127.0.0.1:{there.port}")
        assert not re.search(r"^[^#]*\b10\.0\.", text, re.MULTILINE)
        file = tmp_path / "proxy.conf"
        file.write_text(text)
        output = tmp_path / "proxy.log"
        with output.open("wb") as log:
            for arguments in (check, run):
                process = await asyncio.create_subprocess_exec(found, *arguments, str(file), stdout=log, stderr=log)
                if arguments is check:
                    assert await process.wait() == 0, output.read_text()
        try:
            await _listening(port, process)
            yield f"wss://127.0.0.1:{port}", ssl.create_default_context(cafile=chain)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(60):
                await process.wait()

    start.checks_readiness = request.param == "haproxy"  # type: ignore[attr-defined] # nginx asks nobody
    return start


async def _listening(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60):
        while True:
            assert process.returncode is None
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return


async def principal_behind(url: str, trusting: ssl.SSLContext) -> Any:
    """Which gateway a newcomer finds; None if it is turned away."""
    with contextlib.suppress(ConnectionClosed, InvalidStatus):
        async with connect(url, ssl=trusting, proxy=None) as opened:
            frame = decode_gateway_frame(await opened.recv())
            assert isinstance(frame, Handshake)
            return frame.gateway_principal
    return None


async def test_client_sends_and_receives_through_the_proxy(network: Any, proxy: Any) -> None:
    gateway = await network.gateway(trusted_proxies=(PROXY,))
    async with (
        proxy(gateway) as (url, trusting),
        network.connect(url, ssl_context=trusting) as ws,
    ):
        for number in range(5):
            await ws.send(b"%d" % number)
            assert await ws.recv() == b"%d" % number
        assert ws.gateway == gateway.principal
        large = os.urandom(300_000)
        await ws.send(large)
        assert await ws.recv() == large


async def test_pages_for_operators_are_not_shown_through_the_proxy(network: Any, proxy: Any) -> None:
    gateway = await network.gateway(trusted_proxies=(PROXY,), metrics="public", status_page="public")
    async with proxy(gateway) as (url, trusting), aiohttp.ClientSession() as session:

        async def status(path: str) -> int:
            async with session.get(url.replace("wss:", "https:") + path, ssl=trusting) as answer:
                return answer.status

        assert await status("/health") == await status("/ready") == 200
        assert {await status("/metrics"), await status("/status")} <= {403, 404}


async def test_address_of_the_client_counts_and_not_what_it_says_of_itself(network: Any, proxy: Any) -> None:
    gateway = await network.gateway(trusted_proxies=(PROXY,), max_connections_per_address=2)
    async with proxy(gateway) as (url, trusting), contextlib.AsyncExitStack() as stack:
        for number in range(2):
            headers = {"X-Forwarded-For": f"192.0.2.{number}"}
            opened = connect(url, ssl=trusting, proxy=None, additional_headers=headers)
            assert decode_gateway_frame(await (await stack.enter_async_context(opened)).recv())
        async with connect(url, ssl=trusting, proxy=None, additional_headers={"X-Forwarded-For": "192.0.2.9"}) as third:
            await third.wait_closed()
            assert third.close_code == CloseCode.TOO_MANY_CONNECTIONS
        # another address of the client's is another client
        async with connect(url, ssl=trusting, proxy=None, local_addr=("127.0.0.5", 0)) as other:
            assert decode_gateway_frame(await other.recv())


async def test_nothing_is_lost_when_a_gateway_behind_the_proxy_is_shut_down(network: Any, proxy: Any) -> None:
    gateways = [await network.gateway(trusted_proxies=(PROXY,), drain_seconds=60) for _ in range(2)]
    async with (
        proxy(*gateways) as (url, trusting),
        network.connect(url, ssl_context=trusting) as ws,
    ):

        async def exchange(words: bytes) -> None:
            await ws.send(words)
            assert await ws.recv() == words

        await exchange(b"before")
        first = next(gateway for gateway in gateways if gateway.principal == ws.gateway)
        second = next(gateway for gateway in gateways if gateway is not first)
        draining = asyncio.create_task(first.drain())
        await exchange(b"while it drains")
        if proxy.checks_readiness:
            async with asyncio.timeout(60):
                while {await principal_behind(url, trusting) for _ in range(4)} != {second.principal}:
                    await exchange(b"still there")
        draining.cancel()
        await asyncio.gather(draining, first.stop(), return_exceptions=True)
        async with asyncio.timeout(60):
            for number in range(10):
                await exchange(b"%d" % number)
            # whoever comes now finds the one that is left
            assert {await principal_behind(url, trusting) for _ in range(4)} == {second.principal}
