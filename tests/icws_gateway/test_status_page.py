"""The status page: what it shows, to whom, and that a browser shows it."""

from __future__ import annotations

import asyncio
import os
import shutil

import aiohttp
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


async def fetch(gateway, **headers: str) -> tuple[int, str, aiohttp.typedefs.LooseHeaders]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{gateway.port}/status", headers=headers) as response,
    ):
        return response.status, await response.text(), response.headers


@pytest.mark.parametrize(
    ("listen", "who", "headers", "status"),
    [
        ("127.0.0.1:0", "auto", {}, 200),
        ("127.0.0.1:0", "auto", {"Host": "localhost:80"}, 200),
        ("127.0.0.1:0", "auto", {"Host": "evil.example"}, 404),  # a name that points here
        ("127.0.0.1:0", "auto", {"X-Forwarded-For": "192.0.2.1"}, 404),
        ("127.0.0.1:0", "off", {}, 404),
        ("0.0.0.0:0", "auto", {}, 404),
        ("0.0.0.0:0", "loopback", {}, 200),
        ("0.0.0.0:0", "public", {"Host": "gateway.example", "X-Forwarded-For": "192.0.2.1"}, 200),
    ],
)
async def test_status_is_for_whom_the_settings_say(ic, make_gateway, listen, who, headers, status):
    gateway = await make_gateway(listen=listen, status_page=who)
    assert (await fetch(gateway, **headers))[0] == status


async def test_page_shows_clients_canisters_and_counts_but_no_client(ic, make_gateway, connect_peer, eventually):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install(), modern=True)
    await peer.open(attach=1)
    await peer.say(b"secret words")
    await eventually(lambda: b"secret words" in peer.contents)
    _, text, headers = await fetch(gateway)
    assert "gateway: ready" in text
    assert gateway.principal.to_text() in text
    assert f"<td>{peer.canister.to_text()}</td><td class=n>1</td><td class=n>2</td><td class=n>0</td>" in text
    assert "<td>Connections</td><td class=n>1</td>" in text
    assert "<td>Clients, secure</td><td class=n>1</td>" in text
    assert "<td>Messages delivered</td><td class=n>2</td>" in text
    for name in (peer.identity.principal.to_text(), str(peer.key.client_nonce), "secret words"):
        assert name not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "<script" not in text


async def test_page_cannot_be_posted_to(ic, make_gateway):
    gateway = await make_gateway()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.post(f"http://127.0.0.1:{gateway.port}/status", data=b"x"):
                pass


@pytest.mark.browser
@pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="needs Chromium (Debian: apt-get install chromium)"
)
async def test_browser_shows_the_page(ic, make_gateway, connect_peer, tmp_path):
    assert CHROMIUM is not None
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    process = await asyncio.create_subprocess_exec(
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"),
        *(f"--user-data-dir={tmp_path}", "--enable-logging=stderr", "--dump-dom"),
        f"http://127.0.0.1:{gateway.port}/status",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, log = await process.communicate()
    text = out.decode()
    assert "IC WebSocket gateway: ready</h1>" in text, log.decode()
    assert f"<td>{peer.canister.to_text()}</td>" in text
    assert '<td>Connections</td><td class="n">1</td>' in text
    # the style is the page's own, and nothing else was asked for
    assert b"Content Security Policy" not in log
