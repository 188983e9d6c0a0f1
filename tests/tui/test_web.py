"""The app in a browser: on loopback, behind its token, for its own address only; and as a picture without a terminal."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType, WSServerHandshakeError
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.errors import UserError
from workbench.home import Home
from workbench.tui import picture
from workbench.tui.web import free_port

CHROMIUM = shutil.which("chromium")


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


@pytest.mark.long
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
def test_a_browser_shows_the_app(address: str, tmp_path: Path) -> None:
    shown = subprocess.run(
        [
            *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--virtual-time-budget=20000", f"--user-data-dir={tmp_path}", "--dump-dom", address),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert "-first-byte" in shown
    assert "xterm" in shown


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
