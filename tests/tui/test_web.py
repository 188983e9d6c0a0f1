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
from urllib.parse import parse_qs, urlsplit

import pyte
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
PRIVATE = re.compile(rb"\x1b\[[<>=?][0-9;]*[a-zA-Z]|\x1b\[\?[0-9;]*\$p")
"""Sequences that ask a terminal or set its modes, which the reader of the tests would print."""
ROWS = """(() => {
  const layer = document.querySelector('.xterm-text-layer'), height = 18
  if (!layer || !layer.width) return []
  const pixels = new Int32Array(layer.getContext('2d').getImageData(0, 0, layer.width, layer.height).data.buffer)
  const rows = Array(Math.floor(layer.height / height)).fill(0)
  for (const [i] of rows.entries())
    for (const pixel of pixels.subarray(i * height * layer.width, (i + 1) * height * layer.width))
      rows[i] = (Math.imul(rows[i], 31) + pixel) | 0
  return rows
})()"""


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
        self._shown = pyte.Screen(1, 1)
        self._stream = pyte.ByteStream(self._shown)

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its answer; what the page received meanwhile is read too."""
        self._number += 1
        await self._line.send_json({"id": self._number, "method": method, "params": parameters})
        while (answer := await self._line.receive_json(timeout=DEADLINE)).get("id") != self._number:
            if answer.get("method") == "Network.webSocketCreated":
                size = parse_qs(urlsplit(answer["params"]["url"]).query)
                self._shown.resize(int(size["height"][0]), int(size["width"][0]))
                self._shown.reset()
            if answer.get("method") == "Network.webSocketFrameReceived":
                frame = answer["params"]["response"]
                if frame["opcode"] == WSMsgType.BINARY:
                    self._stream.feed(PRIVATE.sub(b"", base64.b64decode(frame["payloadData"])))
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    async def value(self, code: str) -> Any:
        """What an expression is on the page."""
        return (await self.ask("Runtime.evaluate", expression=code, returnByValue=True))["result"].get("value")

    async def open(self, address: str) -> None:
        """Go to an address and listen to what the page is sent."""
        await self.ask("Network.enable")
        await self.ask("Page.navigate", url=address)

    async def key(self, key: str, text: str | None = None) -> None:
        """Press a key where the focus is: a letter, or a named one with the text that it types."""
        code = ord(text or key.upper())
        await self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, text=text or key, windowsVirtualKeyCode=code)
        await self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def rows(self) -> list[int]:
        """A number for the pixels of every row of cells, as the page paints them."""
        found: list[int] = await self.value(ROWS)
        return found

    async def until(self, words: str) -> list[int]:
        """Wait until the page was sent a screen with these words and no longer changes; its rows as painted."""
        before: list[list[int]] = []

        async def still() -> bool:
            before.append(await self.rows())
            return words in self.text and len(before) > 8 and all(rows == before[-1] for rows in before[-8:])

        await soon(still)
        return before[-1]

    @property
    def text(self) -> str:
        """What the page was sent, as lines of text."""
        return "\n".join(self._shown.display)

    async def picture(self, file: Path) -> None:
        """Save what it shows as PNG."""
        file.write_bytes(base64.b64decode((await self.ask("Page.captureScreenshot"))["data"]))


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    profile = tmp_path / "profile"
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
               "--disable-background-networking", "--disable-component-update", "--window-size=1200,800",
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
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (apt-get install chromium)")
async def test_a_browser_shows_the_app_and_what_keys_do_to_it(
    address: str, browser: Browser, home: Home, tmp_path: Path
) -> None:
    await browser.open(address)
    workflows = await browser.until("[1 Workflows]")
    await browser.picture(tmp_path / "1-workflows.png")
    await browser.key("2")  # without a click: the page has the keyboard from the start
    dialogues = await browser.until("[2 Dialogues]")
    await browser.picture(tmp_path / "2-dialogues.png")
    assert sum(a != b for a, b in zip(workflows, dialogues, strict=True)) > len(workflows) // 2  # painted anew
    await browser.key("?")
    helped = await browser.until("filter and search")
    await browser.picture(tmp_path / "3-help.png")
    assert sum(a != b for a, b in zip(dialogues, helped, strict=True)) > len(dialogues) // 2
    await browser.key("Escape", "\x1b")
    assert await browser.until("Hello, where") == dialogues  # the very picture that was there before
    await browser.key("1")
    again = await browser.until("[1 Workflows]")
    await browser.picture(tmp_path / "4-again.png")
    assert again == workflows
    await browser.key("2")
    await browser.key("q")
    await soon(lambda: states.load(home.state / "tui.json").pane == "dialogues")
    await soon(lambda: browser.value("document.body.classList.contains('-closed')"))
    assert await browser.value("document.querySelector('.closed-dialog').checkVisibility()")


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
