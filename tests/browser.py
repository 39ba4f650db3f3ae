"""A real browser: Chromium without a window, driven over its debugging protocol."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from attrs import define, field
from loops import until
from servers import need


@define
class Tab:
    """An open page in the browser.

    `requested` has the addresses that it requested. `messages` has its messages to the console, errors included.
    """

    _socket: aiohttp.ClientWebSocketResponse
    requested: list[str] = field(factory=list)
    messages: list[str] = field(factory=list)
    _last: int = 0
    _loaded: bool = False

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the result of a method of the debugging protocol."""
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": parameters})
        while (message := await self._next()).get("id") != self._last:
            pass
        assert "error" not in message, message["error"]
        result: dict[str, Any] = message["result"]
        return result

    async def _next(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        match message.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            case "Log.entryAdded" | "Runtime.consoleAPICalled" | "Runtime.exceptionThrown":
                self.messages.append(str(message["params"]))
            case "Page.loadEventFired":
                self._loaded = True
        return message

    async def show(self, page: Path | str, *, width: int, dark: bool = False) -> None:
        """Load a file or an address on a screen of this width."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._loaded = False
        await self.call("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        while not self._loaded:
            await self._next()

    async def evaluate(self, script: str) -> Any:
        """Return the value of a JavaScript expression."""
        done = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def read_aloud(self) -> list[tuple[str, str]]:
        """Return the role and the name of each part of the page, in the order in which a screen reader reads them."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        by_id = {node["nodeId"]: node for node in nodes}
        found: list[tuple[str, str]] = []
        waiting = [nodes[0]]
        while waiting:
            node = waiting.pop()
            if not node["ignored"]:
                found.append((node["role"]["value"], node.get("name", {}).get("value", "")))
            waiting += [by_id[child] for child in reversed(node.get("childIds", ())) if child in by_id]
        return found

    async def screenshot(self, file: Path) -> None:
        """Write a picture of the whole page."""
        taken = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(taken["data"]))

    async def print(self, file: Path) -> None:
        """Print the page to a PDF, in the paper size that it sets."""
        printed = await self.call("Page.printToPDF", preferCSSPageSize=True)
        file.write_bytes(base64.b64decode(printed["data"]))


@asynccontextmanager
async def browser(folder: Path) -> AsyncIterator[Tab]:
    """Yield a tab of a new browser, which stores its files in the folder. Skip the test if no browser is installed."""
    process = await asyncio.create_subprocess_exec(
        *(
            need("chromium"),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--remote-debugging-port=0",
        ),
        *(f"--user-data-dir={folder}", "--no-first-run", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        port_file = folder / "DevToolsActivePort"
        await until(lambda: process.returncode is not None or (port_file.exists() and "\n" in port_file.read_text()))
        at = f"http://127.0.0.1:{port_file.read_text().split()[0]}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{at}/json/list") as answer:
                (address,) = [tab["webSocketDebuggerUrl"] for tab in await answer.json() if tab["type"] == "page"]
            async with session.ws_connect(address, max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Network", "Log", "Runtime", "Accessibility"):
                    await tab.call(f"{domain}.enable")
                yield tab
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
