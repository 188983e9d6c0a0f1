from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import HOSTILE, screen_text, settle, until
from workbench.errors import UserError
from workbench.tui.shell import Workbench
from workbench.tui.widgets.fields import ChoiceField, Field, NumberField, ToggleField, Values, read_all
from workbench.tui.widgets.form import FormScreen, Preview

FIELDS: Sequence[Field] = (
    Field("name", "name", "first", help="a name to find it by", check=lambda text: "no slash" if "/" in text else None),
    NumberField("rate", "learning rate", 2e-4, least=1e-6, most=1.0),
    NumberField("tokens", "tokens", None, optional=True, whole=True, least=1),
    ChoiceField("recipe", "recipe", "smoke", options=("demo", ("smoke", "smoke: a few steps"), "paper-travel")),
    ToggleField("again", "train again", True),
)


def look(values: Values) -> Preview:
    if values["name"] == "huge":
        raise UserError("it does not fit: choose a smaller one")
    return Preview((f"preview of {values['name']}",), hints={"tokens": "140,000"})


def words(values: Values) -> list[str]:
    return ["workbench", "train", "start", values["name"], "--recipe", values["recipe"]]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_is_written_so_that_it_is_read_back(value: float) -> None:
    field = NumberField("n", "n", 0)
    read = field.read(field.write(value))
    assert read == pytest.approx(float(value), rel=1e-5, abs=1e-300)


@given(st.dictionaries(st.sampled_from([f.name for f in FIELDS]), st.text(max_size=20)))
def test_every_field_is_either_read_or_told_what_is_wrong(raw: dict[str, str]) -> None:
    values, wrong = read_all(FIELDS, raw)
    assert values.keys() | wrong.keys() == {f.name for f in FIELDS}
    assert not values.keys() & wrong.keys()
    assert all(wrong.values())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rate", "fast", "write a number, such as 0.0002"), ("rate", "2", "at most 1"), ("rate", "nan", "write a number"),
        ("tokens", "1.5", "whole"), ("name", " ", "this is needed"), ("name", "a/b", "no slash"), ("recipe", "x", "choose"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name: str, text: str, said: str) -> None:
    assert said in read_all(FIELDS, {name: text})[1][name]


async def open_form(app: Workbench, pilot: Pilot[int], **options: Any) -> list[Any]:
    found: list[Any] = []
    await settle(pilot)
    assert app.pane is not None
    chosen = {"run": app.pane.run, "preview": look, "command": words, **options}
    app.push_screen(FormScreen("Train a model", FIELDS, **chosen), found.append)
    await until(pilot, lambda: isinstance(app.screen, FormScreen) and app.screen.query("#field-name:focus"))
    return found


async def test_it_is_filled_in_and_submitted_without_a_mouse_at_80_by_24(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot)
        await until(pilot, lambda: "preview of first" in screen_text(app))
        assert "$ workbench train start first --recipe smoke" in screen_text(app)
        assert "a name to find it by" in screen_text(app)
        await pilot.press("x", "down", "down", *"2000", "down", "p", "down", "space")
        await until(pilot, lambda: "preview of firstx" in screen_text(app))
        assert "$ workbench train start firstx --recipe paper-travel" in screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: found)
    assert found == [{"name": "firstx", "rate": 2e-4, "tokens": 2000, "recipe": "paper-travel", "again": False}]


async def test_a_wrong_field_has_its_line_and_keeps_the_form_open(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot)
        await pilot.press("down", "x", "enter")
        await until(pilot, lambda: "✗ write a number, such as 0.0002" in screen_text(app))
        assert "$ workbench" not in screen_text(app)
        assert not found
        await pilot.press("backspace", "enter")
        await until(pilot, lambda: found)


async def test_what_the_preview_refuses_is_not_submitted(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot, raw={"name": "huge"})
        await pilot.press("enter")
        await until(pilot, lambda: "✗ it does not fit: choose a smaller one" in screen_text(app))
        await pilot.press("enter")
        await settle(pilot)
        assert not found


async def test_submitting_waits_for_a_preview_that_is_under_way(app: Workbench) -> None:
    gate = threading.Event()

    def slow(values: Values) -> Preview:
        assert gate.wait(30)
        return Preview(("here",))

    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot, preview=slow)
        await until(pilot, lambda: not app.effects.idle)
        await pilot.press("enter")
        assert not found
        gate.set()
        await until(pilot, lambda: found)


async def test_a_preview_that_breaks_says_so_and_stands_in_nobodys_way(app: Workbench) -> None:
    def broken(values: Values) -> Preview:
        raise KeyError(HOSTILE)

    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot, preview=broken)
        await until(pilot, lambda: "no preview: KeyError" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: found)


async def test_cancelled_it_keeps_what_was_typed(app: Workbench) -> None:
    kept: list[dict[str, str]] = []
    async with app.run_test(size=(80, 24)) as pilot:
        found = await open_form(app, pilot, keep=kept.append)
        await pilot.press(*"ly", "escape")
        await until(pilot, lambda: found)
        assert found == [None]
        assert kept[0]["name"] == "firstly"
        await open_form(app, pilot, raw=kept[0])
        assert app.screen.query_one("#field-name", Input).value == "firstly"


async def test_hostile_text_is_shown_as_text(app: Workbench) -> None:
    fields = (
        Field("a", HOSTILE, HOSTILE, help=HOSTILE),
        ChoiceField("b", HOSTILE, HOSTILE, options=(HOSTILE, ("x", HOSTILE))),
        NumberField("c", "c", None, optional=True),
    )

    def evil(values: Values) -> Preview:
        return Preview((HOSTILE,), problem=HOSTILE, hints={"c": HOSTILE})

    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.pane is not None
        form = FormScreen(
            HOSTILE, fields, run=app.pane.run, preview=evil, command=lambda v: ["x", v["a"]], submit=HOSTILE
        )
        app.push_screen(form)
        await until(pilot, lambda: "✗ [/x]" in screen_text(app))
        shown = screen_text(app)
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2069"}
        assert shown.count("[/x]") >= 6
