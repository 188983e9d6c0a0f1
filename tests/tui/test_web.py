"""The app in a browser: on loopback, behind its token, for its own address only; and as a picture without a terminal."""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.errors import UserError
from workbench.home import Home
from workbench.tui import picture
from workbench.tui import state as states
from workbench.tui.web import free_port

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DEADLINE = 60.0


@pytest.fixture
def address(home: Home) -> Iterator[str]:
    """The address of the app, served from a process of its own."""
    command = [sys.executable, "-m", "workbench", "--home", str(home.root.parent), "--web"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/\S{20,}/", process.stdout.readline())
            assert found
            yield found[0]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


async def test_the_page_and_the_app_stand_behind_the_token(address: str) -> None:
    root = address.rsplit("/", 2)[0]
    async with ClientSession() as session:
        page = await (await session.get(address)).text()
        assert "https:" not in page  # nothing from elsewhere
        for path in ("/", "/ws", "/static/", "/wrong/"):
            assert (await session.get(root + path)).status == 404, path
        async with session.ws_connect(address + "ws?width=100&height=30") as line:
            seen = b""
            async for message in line:
                seen += message.data if message.type == WSMsgType.BINARY else b""
                if b"orkflows" in seen:
                    break
        assert b"orkflows" in seen


async def test_other_hosts_and_origins_are_refused(address: str) -> None:
    async with ClientSession() as session:
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert (await session.get(address, headers=headers)).status == 403, headers
            with pytest.raises(WSServerHandshakeError):
                await session.ws_connect(address + "ws", headers=headers)


def test_a_taken_port_is_told(address: str) -> None:
    port = int(address.split(":")[2].split("/")[0])
    with pytest.raises(UserError, match=f"port {port}"):
        free_port(port)


class Browser:
    """A page of headless Chromium, spoken to by its own protocol."""

    def __init__(self, line: ClientWebSocketResponse) -> None:
        self._line = line
        self._number = 0

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer."""
        self._number += 1
        await self._line.send_json({"id": self._number, "method": method, "params": parameters})
        while (answer := await self._line.receive_json(timeout=DEADLINE)).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    async def value(self, code: str) -> Any:
        """What an expression is on the page."""
        return (await self.ask("Runtime.evaluate", expression=code, returnByValue=True))["result"].get("value")

    async def key(self, key: str) -> None:
        """Press a key of one letter."""
        code = ord(key.upper())
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=key, windowsVirtualKeyCode=code)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def picture(self, file: Path) -> int:
        """Save what it shows as PNG; the bytes."""
        return file.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    profile = tmp_path / "profile"
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--window-size=1200,800",
               "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={profile}", "about:blank")  # fmt: skip
    with subprocess.Popen([str(CHROMIUM), *options], stderr=subprocess.DEVNULL) as process:
        try:
            await soon((profile / "DevToolsActivePort").exists)
            port = (profile / "DevToolsActivePort").read_text().split()[0]
            async with ClientSession() as session:
                page = await (await session.put(f"http://127.0.0.1:{port}/json/new?about:blank")).json()
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as line:
                    yield Browser(line)
        finally:
            process.terminate()


async def soon(condition: Callable[[], Any]) -> None:
    """Until a condition holds, be it awaited or not."""
    end = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if await found if isawaitable(found) else found:
            return
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
async def test_a_browser_shows_the_app_and_passes_keys_on(
    address: str, browser: Browser, home: Home, tmp_path: Path
) -> None:
    await browser.ask("Page.navigate", url=address)
    await soon(lambda: browser.value("!!document.querySelector('.-first-byte') && !!document.querySelector('.xterm')"))
    await browser.value("document.querySelector('textarea').focus()")
    first = await browser.picture(tmp_path / "first.png")
    await browser.key("5")
    await soon(lambda: _differs(browser, tmp_path / "results.png", first))
    await browser.key("q")
    await soon(lambda: states.load(home.state / "tui.json").pane == "results")  # the app itself saw both keys


async def _differs(browser: Browser, file: Path, size: int) -> bool:
    return await browser.picture(file) != size


@pytest.mark.parametrize("pane", ["workflows", "results"])
def test_a_picture_of_a_pane(home: Home, tmp_path: Path, pane: str) -> None:
    file = tmp_path / "out.svg"
    picture.save(home, pane, file, (100, 30))
    text = file.read_text("utf-8")
    assert text.startswith("<svg")
    assert pane.capitalize() in text
    assert not (home.state / "tui.json").exists()  # a picture is no visit


@pytest.mark.parametrize(
    ("options", "says"),
    [(["nopane", "x.svg"], "no pane"), (["results", "/no/such/place.svg"], "cannot write")],
)
def test_what_cannot_be_pictured_is_told(home: Home, options: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        picture.save(home, options[0], Path(options[1]), (80, 24))
    bad = CliRunner().invoke(
        cli, ["--home", str(home.root.parent), "--screenshot", "results", "x.svg", "--size", "big"]
    )
    assert bad.exit_code == 2
