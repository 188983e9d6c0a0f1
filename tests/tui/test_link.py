"""Slow lines are told by the terminal's own answer, ASCII terminals get ASCII, and keys follow the user's file."""

from __future__ import annotations

import ast
import os
import pty
import threading
from pathlib import Path

import pytest
from rich.color import Color, ColorSystem
from textual.pilot import Pilot

from tests.tui.conftest import screen_text, settle
from workbench import tui
from workbench.errors import UserError
from workbench.home import Home
from workbench.settings import Config
from workbench.tui import actions, theme
from workbench.tui.link import is_slow, round_trip
from workbench.tui.plain import to_ascii
from workbench.tui.shell import Workbench


def test_the_answer_of_the_terminal_ends_the_wait() -> None:
    master, slave = pty.openpty()
    asked = threading.Thread(target=lambda: (os.read(master, 4), os.write(master, b"x\x1b[12;1R")))
    asked.start()
    took = round_trip(slave, slave, wait=30.0)
    asked.join()
    assert took < 30.0


def test_a_terminal_that_never_answers_counts_as_slow() -> None:
    _master, slave = pty.openpty()
    assert round_trip(slave, slave, wait=0.01) == 0.01


def test_a_local_session_is_never_slow_and_the_setting_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    monkeypatch.delenv("SSH_TTY", raising=False)
    assert not is_slow("auto")
    assert is_slow("on")
    assert not is_slow("off")


def test_every_mark_has_an_ascii_letter_of_one_cell() -> None:
    drawn = "…·–→←↑↓⏎×●○✓✗│─┌┐└┘├┤┬┴┼╭╮╯╰█▁▂▃▄▅▆▇▏░⣿⠀“”"
    assert to_ascii(drawn).isascii()
    assert len(to_ascii(drawn)) == len(drawn)
    assert to_ascii("┃ ◆ hub ┃ ○ user ■ end │") == "# ? hub # o user # end |"
    assert to_ascii("Zürich 東京") == "Zürich 東京"


def test_no_mark_of_ours_is_without_its_letter() -> None:
    files = [*Path(tui.__file__).parent.rglob("*.py")]
    said = [
        node.value for file in files for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)
    ]
    marks = {
        mark for text in said if isinstance(text, str) for mark in text if not mark.isascii() and mark.isprintable()
    }
    assert {"▸", "⚑", "✱"} <= marks
    assert not [mark for mark in marks if not mark.isalpha() and not to_ascii(mark).isascii()]


@pytest.mark.parametrize("pane", actions.PANES)
async def test_no_pane_draws_anything_but_ascii_when_asked(
    home: Home, monkeypatch: pytest.MonkeyPatch, pane: str
) -> None:
    monkeypatch.setenv("WORKBENCH_ASCII", "1")
    app = Workbench(home, watch=False)
    async with app.run_test(size=(120, 40)) as pilot:
        await _open(pilot, app, pane)
        text = screen_text(app)
    assert pane.capitalize() in text or pane in text.lower()
    assert not {char for char in text if ord(char) > 127}


async def _open(pilot: Pilot[int], app: Workbench, pane: str) -> None:
    await settle(pilot)
    await app.open_pane(pane)
    await settle(pilot)


@pytest.mark.parametrize("face", [0, 1])
def test_sixteen_colours_keep_apart_what_the_full_faces_keep_apart(face: int) -> None:
    soft, few = theme.THEMES[face], theme.FEW_COLOURS[face]
    assert (soft.name, soft.dark, soft.variables.keys()) == (few.name, few.dark, few.variables.keys())

    def sent(name: str) -> int | None:
        colour = getattr(few, name, None) or few.variables[name]
        return Color.parse(colour).downgrade(ColorSystem.STANDARD).number

    names = ("foreground", "background", "muted", "agent", "user", "success", "error", "cursor", "cursor-blurred")
    assert len({sent(name) for name in names}) == len(names)


def test_an_unknown_theme_is_refused_with_the_known_ones(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_THEME", "sparkle")
    with pytest.raises(UserError, match="workbench-light"):
        Workbench(home, watch=False)


@pytest.fixture
def registry() -> object:
    before = actions.ACTIONS
    yield before
    actions.ACTIONS = before


def config(**keymap: str) -> Config:
    return Config(Path("config.toml"), {}, {name.replace("_", ".", 1): keys for name, keys in keymap.items()})


@pytest.mark.usefixtures("registry")
def test_keys_of_the_file_reach_bindings_and_footer() -> None:
    actions.remap(config(dialogues_search="ctrl+f"))
    assert next(b.key for b in actions.bindings("dialogues") if b.id == "dialogues.search") == "ctrl+f"
    assert [a.keys for a in actions.actions_of("dialogues") if a.id == "dialogues.search"] == [("ctrl+f",)]


@pytest.mark.usefixtures("registry")
def test_unknown_actions_and_clashes_are_refused() -> None:
    with pytest.raises(UserError, match=r"config\.toml.*the nearest is \"dialogues.search\""):
        actions.remap(config(dialogues_serch="x"))
    with pytest.raises(UserError, match=r"config\.toml.*1 is taken"):
        actions.remap(config(dialogues_search="1"))
    actions.remap(config(dialogues_search="ctrl+b"))  # reserved for defaults only
