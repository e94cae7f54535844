"""The status page: what it shows, to whom, and that a browser shows it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
from itertools import count

import aiohttp
import pytest
from websockets.asyncio.client import connect

from icws_gateway.status_page import _duration

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
    assert '<span class="state ready">ready</span>' in text
    assert gateway.principal.to_text() in text
    canister = re.escape(peer.canister.to_text())
    assert re.search(
        rf"<td class=c>{canister}</td><td class=n>1</td><td class=n>\d\.\d s ago</td><td class=n>0</td>", text
    )
    assert "<dt>Connections</dt><dd>1</dd>" in text
    assert "<dt>Secure clients</dt><dd>1</dd>" in text
    assert re.search(r"<td>Messages delivered</td><td class=n>[\d.]+</td><td class=n>2</td>", text)
    for name in (peer.identity.principal.to_text(), str(peer.key.client_nonce), "secret words"):
        assert name not in text
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "<script" not in text


async def test_page_says_what_went_wrong_and_how_often(ic, make_gateway, connect_peer):
    gateway = await make_gateway(max_connections_per_address=1, drain_seconds=0.1)
    assert '<p class="none">None.</p>' in (await fetch(gateway))[1]
    kept = await connect_peer(gateway, ic.install())
    for _ in range(2):
        await (await connect_peer(gateway, kept.canister)).wait_closed()
    _, text, _ = await fetch(gateway)
    assert "<td>Bound crossed</td><td>address_connections</td><td class=n>2</td>" in text
    assert "<td>Closed with code</td><td>4430 TooManyConnections</td><td class=n>2</td>" in text
    await gateway.drain()
    assert '<span class="state draining">draining</span>' in (await fetch(gateway))[1]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0.0 s"), (3.21, "3.2 s"), (59, "59 s"), (600, "10 min"), (7_200, "2 h"), (864_000, "10 days")],
)
def test_durations_are_for_people(seconds, words):
    assert _duration(seconds) == words


async def test_page_cannot_be_posted_to(ic, make_gateway):
    gateway = await make_gateway()
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            async with session.post(f"http://127.0.0.1:{gateway.port}/status", data=b"x"):
                pass


class Browser:
    """Headless Chromium, told what to do over its debugging protocol."""

    def __init__(self, socket) -> None:
        self._socket = socket
        self._numbers = count(1)
        self.events: list[dict] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, folder):
        assert CHROMIUM is not None
        process = await asyncio.create_subprocess_exec(
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-proxy-server"),
            *(f"--user-data-dir={folder}", "--remote-debugging-port=0", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(120):
                line = b""
                while b"DevTools listening on " not in line:
                    line = await process.stderr.readline()
                    assert line, "the browser ended"
                origin = line.split(b"ws://")[1].split(b"/")[0].decode()
                async with aiohttp.ClientSession() as session, session.get(f"http://{origin}/json") as answer:
                    page = next(found for found in await answer.json() if found["type"] == "page")
            async with connect(page["webSocketDebuggerUrl"], proxy=None, max_size=None) as socket:
                yield cls(socket)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()

    async def tell(self, method: str, **params):
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(120):
            while True:
                found = json.loads(await self._socket.recv())
                if found.get("id") == number:
                    assert "error" not in found, found
                    return found["result"]
                self.events.append(found)

    async def value(self, expression: str):
        return (await self.tell("Runtime.evaluate", expression=expression, returnByValue=True))["result"]["value"]

    async def show(self, url: str, width: int, height: int, *, mobile: bool) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile}
        await self.tell("Emulation.setDeviceMetricsOverride", **size)
        await self.tell("Page.navigate", url=url)
        async with asyncio.timeout(120):
            while await self.value("document.readyState + location.pathname") != "complete/status":  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.05)


@pytest.mark.browser
@pytest.mark.skipif(
    CHROMIUM is None and "CI" not in os.environ, reason="needs Chromium (Debian: apt-get install chromium)"
)
async def test_browser_shows_the_page_on_a_desk_and_on_a_phone(ic, make_gateway, connect_peer, tmp_path):
    gateway = await make_gateway()
    peer = await connect_peer(gateway, ic.install())
    await peer.open()
    async with Browser.started(tmp_path) as browser:
        for domain in ("Log", "Network", "Runtime"):
            await browser.tell(f"{domain}.enable")
        for width, height, mobile in ((1280, 900, False), (390, 844, True)):
            await browser.show(f"http://127.0.0.1:{gateway.port}/status", width, height, mobile=mobile)
            text = await browser.value("document.body.innerText")
            assert "IC WebSocket gateway ready" in text.replace("\n", " ")
            assert peer.canister.to_text() in text
            assert await browser.value("document.querySelector('dl.now dd').innerText") == "1"
            # everything is on the page: what is too wide scrolls within its own frame
            assert await browser.value("innerWidth") == width
            assert await browser.value("document.documentElement.scrollWidth") <= width
            # the page's own style is used
            assert await browser.value("getComputedStyle(document.querySelector('.now')).display") == "grid"
        asked = [event["params"]["request"]["url"] for event in browser.events
                 if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
        assert set(asked) == {f"http://127.0.0.1:{gateway.port}/status"}
        complaints = [
            event for event in browser.events if event["method"] in ("Log.entryAdded", "Runtime.exceptionThrown")
        ]
        assert complaints == []
