"""A headless Chromium, driven over its debugging protocol: what a page logs, asks for, and how wide it gets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, cast

from websockets.asyncio.client import ClientConnection, connect

__all__ = ["CHROMIUM", "Page", "open_page"]

CHROMIUM: Final = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS: Final = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--no-proxy-server"),
    *("--remote-debugging-port=0", "--hide-scrollbars", "--force-color-profile=srgb"),
)
_LIMIT_S: Final = 120.0


class Page:
    """One tab.

    Attributes:
        problems: what it logged as an error, refused by its policy, or threw.
        requests: addresses that it asked for, its own left out.
    """

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket = socket
        self._session = session
        self._numbers = itertools.count(10)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._own = ""
        self.problems: list[str] = []
        self.requests: list[str] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the protocol, and its result."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": params, "sessionId": self._session}
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(_LIMIT_S):
            return await answer

    async def listen(self) -> None:
        """Read what the browser tells, until it ends."""
        async for text in self._socket:
            message = json.loads(text)
            if (number := message.get("id")) in self._answers:
                future = self._answers.pop(number)
                if "error" in message:
                    future.set_exception(RuntimeError(message["error"]["message"]))
                else:
                    future.set_result(message["result"])
            elif "method" in message:
                self._hear(message["method"], message.get("params", {}))

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent" and params["request"]["url"] != self._own:
            self.requests.append(params["request"]["url"])
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"]["text"])

    async def load(self, path: Path, *, width: int, dark: bool = False, scripts: bool = True) -> None:
        """Open a file at a width, in pixels of the page."""
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.ask(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])
        await self.ask("Emulation.setScriptExecutionDisabled", value=not scripts)
        await self.resize(width)
        self._own = path.as_uri()
        self._loaded.clear()
        await self.ask("Page.navigate", url=self._own)
        async with asyncio.timeout(_LIMIT_S):
            await self._loaded.wait()

    async def resize(self, width: int, height: int = 900) -> None:
        """Another width."""
        await self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    async def run(self, expression: str) -> Any:
        """The value of an expression of the tester's, which needs scripts."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"]["description"])
        return answer["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until an expression holds: what a click starts, the browser does in its own time."""
        async with asyncio.timeout(_LIMIT_S):
            while not await self.run(expression):
                pass  # asking takes its time

    async def click(self, selector: str) -> None:
        """Click on the middle of the first element that fits, with the mouse, as a reader would."""
        middle = f"""(() => {{ const e = document.querySelector({selector!r});
            e.scrollIntoView({{block: 'center', inline: 'center'}}); const r = e.getClientRects()[0];
            const x = r.x + r.width / 2, y = r.y + r.height / 2;
            return [x, y, e.contains(document.elementFromPoint(x, y))]; }})()"""
        before: object = None
        async with asyncio.timeout(_LIMIT_S):
            # what is scrolled to may still move, while what is above it is laid out
            while (place := await self.run(middle)) != before or not place[2]:
                before = place
        x, y, _ = place
        for kind in ("mousePressed", "mouseReleased"):
            await self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    async def press(self, key: str, code: int = 0, text: str = "") -> None:
        """Press and release a key."""
        more = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            await self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    async def picture(self, *, height: int = 0) -> bytes:
        """What is shown, or as much of the page as has this height; PNG."""
        clip = {}
        if height:
            size = (await self.ask("Page.getLayoutMetrics"))["cssContentSize"]
            area = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], height), "scale": 1}
            clip = {"clip": area, "captureBeyondViewport": True}
        shot = await self.ask("Page.captureScreenshot", format="png", **clip)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def open_page(folder: Path, flags: Sequence[str] = ()) -> AsyncIterator[Page]:
    """A fresh browser with one tab; its profile goes into ``folder``."""
    process = await asyncio.create_subprocess_exec(
        cast("str", CHROMIUM),
        *_FLAGS,
        *flags,
        f"--user-data-dir={folder / 'profile'}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            address = await _address(process)
        async with connect(address, max_size=None, compression=None) as socket:
            await socket.send(json.dumps({"id": 1, "method": "Target.createTarget", "params": {"url": "about:blank"}}))
            target = await _result(socket, 1)
            params = {"targetId": target["targetId"], "flatten": True}
            await socket.send(json.dumps({"id": 2, "method": "Target.attachToTarget", "params": params}))
            page = Page(socket, (await _result(socket, 2))["sessionId"])
            listening = asyncio.create_task(page.listen())
            try:
                yield page
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    stream = cast("asyncio.StreamReader", process.stderr)
    while line := (await stream.readline()).decode(errors="replace"):
        if line.startswith("DevTools listening on "):
            return line.removeprefix("DevTools listening on ").strip()
    raise RuntimeError("the browser does not start")


async def _result(socket: ClientConnection, number: int) -> dict[str, Any]:
    while True:
        message = json.loads(await socket.recv())
        if message.get("id") == number:
            return cast("dict[str, Any]", message["result"])
