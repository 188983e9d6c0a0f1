from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region

from tests.tui.conftest import HOSTILE
from workbench.tui.follow import Stage
from workbench.tui.format import short
from workbench.tui.theme import meanings
from workbench.tui.widgets.chart import Chart, Series, buckets, plot, smooth
from workbench.tui.widgets.safe import SafeText, fit, fit_line, line, width_of, wrap, wrap_line
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable
from workbench.tui.widgets.timeline import timeline
from workbench.tui.widgets.transcript import Bubble, Transcript, rows_of

MANY = 10**12
text = st.text(max_size=60)


@given(text, st.integers(1, 30), st.sampled_from(["left", "right"]))
def test_fit_has_exactly_the_width(said: str, width: int, align: str) -> None:
    assert cell_len(fit(said, width, align)) == width


@given(st.lists(st.tuples(text, st.just("dim"))).map(tuple), st.integers(1, 30))
def test_a_line_fits_exactly(spans: tuple[tuple[str, str], ...], width: int) -> None:
    assert width_of(fit_line(spans, width)) == width


@given(text, st.integers(4, 30))
def test_wrapped_lines_are_never_too_wide_and_lose_no_letter(said: str, width: int) -> None:
    rows = wrap(said, width)
    assert all(cell_len(row) <= width for row in rows)
    kept = "".join(rows).replace(" ", "")
    assert kept == "".join(wrap(said, 10_000)).replace(" ", "")


@given(st.lists(st.tuples(text, st.just("dim")), max_size=4).map(tuple), st.integers(4, 30))
def test_wrapped_toned_lines_are_never_too_wide(spans: tuple[tuple[str, str], ...], width: int) -> None:
    assert all(width_of(row) <= width for row in wrap_line(spans, width))


def test_buckets_keep_the_spikes() -> None:
    points = [(float(x), 0.0) for x in range(10_000)]
    points[5_432] = (5_432.0, 9.0)
    kept = buckets(points, 50)
    assert len(kept) <= 100
    assert (5_432.0, 9.0) in kept


def test_a_smoothed_constant_is_that_constant() -> None:
    assert [y for _, y in smooth([(float(x), 3.0) for x in range(20)])] == pytest.approx([3.0] * 20)


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=30).map(sorted), st.integers(1, 40), st.integers(1, 12))
def test_any_points_make_a_chart_of_the_right_size(points: list[tuple[float, float]], width: int, height: int) -> None:
    lines = plot([Series("x", tuple(points))], width, height)
    assert not lines or len(lines) == height
    assert all(width_of(row) == width for row in lines)


def test_the_timeline_keeps_the_running_stage_in_narrow_windows() -> None:
    stages = tuple(Stage(n, f"stage-{n}", "", state="done" if n < 5 else "waiting") for n in range(9))
    running = (*stages[:5], Stage(5, "training", "", state="running", share=0.4, eta_s=600.0), *stages[6:])
    for width in (60, 80, 200):
        line = "".join(t for t, _ in timeline(running, width))
        assert "● training 40% 10 min left" in line
        assert len(line) <= width


@given(st.text(max_size=200), st.integers(12, 100))
def test_bubbles_fit_any_width(said: str, width: int) -> None:
    bubble = Bubble("agent", said, (("node_with_a_long_name", "agent"), (f"  {said}", "dim")), "12 tokens")
    assert all(width_of(row) <= width for row in rows_of(bubble, width))


async def test_what_does_not_fit_goes_on_under_the_words_and_not_under_the_key() -> None:
    class Keys(App[None]):
        def get_theme_variable_defaults(self) -> dict[str, str]:
            return meanings(self.current_theme)

        def compose(self) -> ComposeResult:
            yield SafeText(line(("  k ", "key"), "one two three"), hanging=True)

    app = Keys()
    async with app.run_test(size=(12, 4)):
        rows = [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]
        assert rows[:3] == ["  k one two", "    three", ""]


class Trillion:
    """More rows than anyone can hold."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def count(self) -> int:
        return MANY

    def window(self, start: int, stop: int) -> Sequence[Row]:
        self.asked.append((start, stop))
        return [Row(str(n), (str(n), HOSTILE)) for n in range(start, stop)]


class Host(App[int]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return meanings(self.current_theme)

    def compose(self) -> ComposeResult:
        yield VirtualTable((Column("n", 16, "right"), Column("text")), id="table", empty=HOSTILE)
        yield SafeText(line(HOSTILE, ("[/x]", "bad")))
        yield Transcript(id="said")


def lines(app: App[int]) -> list[str]:
    return [strip.text for strip in app.screen._compositor.render_strips()]


async def test_a_trillion_rows() -> None:
    source, app = Trillion(), Host()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(VirtualTable)
        table.show(source)
        table.focus()
        await pilot.press("G", "k")
        assert table.row is not None
        assert table.row.id == str(MANY - 2)
        assert any(f"▸ {MANY - 2:>16}" in line for line in lines(app))
        table.go(MANY // 2)
        await pilot.pause()
        assert table.row.id == str(MANY // 2)
        assert sum(stop - start for start, stop in source.asked) < 2_000
        await pilot.press("pageup", "pagedown", "g")
        assert table.cursor == 0
        await pilot.press("pagedown")
        await pilot.pause()
        shown = [line for line in lines(app) if "▸" in line]
        assert shown
        assert f" {table.cursor} " in shown[0]
        assert f" {table.top} " in lines(app)[1]  # the whole view has moved, not the cursor alone


async def test_hostile_text_never_reaches_the_terminal() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(VirtualTable)
        table.show(ListSource((Row("a", (HOSTILE, (HOSTILE, "bad"))),)))
        app.query_one(Transcript).show([Bubble(HOSTILE, HOSTILE, ((HOSTILE, "agent"),), HOSTILE)])
        await pilot.pause()
        shown = "".join(lines(app))
        assert "[/x]" in shown
        assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2069", "\n", "\t"}


async def test_a_cursor_move_redraws_two_lines() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(VirtualTable)
        table.show(Trillion())
        await pilot.pause()
        asked: list[tuple[Region, ...]] = []
        table.refresh = lambda *regions, **more: asked.append(regions)  # type: ignore[method-assign, assignment, return-value]
        table.go(1)
        assert [len(regions) for regions in asked] == [2]
        assert sum(region.height for region in asked[0]) == 2


async def test_new_rows_leave_the_row_under_the_cursor_where_it_is() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(VirtualTable)
        rows = tuple(Row(str(n), (str(n), "")) for n in range(500))
        table.show(ListSource(rows), 200, top=195)
        await pilot.pause()
        table.show(ListSource((*(Row(f"new{n}", ("", "")) for n in range(37)), *rows)), 237)
        assert table.row is not None
        assert table.row.id == "200"
        assert table.cursor - table.top == 5


async def test_rows_come_back_into_room_that_comes_back() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        table = app.query_one(VirtualTable)
        table.styles.height = 2
        table.show(ListSource(tuple(Row(str(n), (f"row {n}", "")) for n in range(3))), 2)
        await pilot.pause()
        assert not any("row 0" in line for line in lines(app))
        table.styles.height = 5
        await pilot.pause()
        assert any("row 0" in line for line in lines(app))


async def test_streaming_keeps_the_end_in_view_and_what_was_said_before() -> None:
    app = Host()
    async with app.run_test(size=(80, 24)) as pilot:
        said = app.query_one(Transcript)
        said.follow = True
        old = [Bubble("user", f"message {n}") for n in range(30)]
        said.show(old)
        await pilot.pause()
        for chunk in range(20):
            said.show([*old, Bubble("agent", "word " * chunk * 5, streaming=True)], keep=True)
        await pilot.pause()
        assert said.scroll_offset.y == said.max_scroll_y
        assert len(said._starts) == 31
        said.focus()
        await pilot.press("up", "pageup")
        up = said.scroll_offset.y
        assert 0 < up < said.max_scroll_y
        said.show([*old, Bubble("agent", "word " * 500, streaming=True)], keep=True)
        await pilot.pause()
        assert said.scroll_offset.y == up  # whoever scrolls up is left in peace
        await pilot.press("g")
        assert said.scroll_offset.y == 0


def test_a_no_break_space_keeps_a_label_and_its_figure_on_one_line() -> None:
    said = line(
        ("step\u00a0", "dim"), ("3\u00a0s", "plain"), ("  ", "plain"), ("memory\u00a0", "dim"), ("3.5\u00a0GB", "plain")
    )
    rows = ["".join(text for text, _ in row).strip() for row in wrap_line(said, 16)]
    assert rows == ["step\u00a03\u00a0s", "memory\u00a03.5\u00a0GB"]


def test_a_words_tones_do_not_break_it() -> None:
    rows = wrap_line(line("what is ", ("bold", "strong"), "est fits"), 12)
    assert ["".join(text for text, _ in row) for row in rows] == ["what is", "boldest fits"]


def test_a_chart_without_room_for_its_names_keeps_the_whole_figures() -> None:
    chart = Chart("loss")
    chart.series = (Series("train", ((0.0, 0.0451),)), Series("held out", ((0.0, 0.0618),), mark="◆"))
    headings = ["".join(text for text, _ in chart._heading(width)) for width in (60, 34, 26)]
    assert headings == [
        "loss  ─ train 0.0451  ◆ held out 0.0618",
        "─ train 0.0451  ◆ held out 0.0618",
        "loss  ─ 0.0451  ◆ 0.0618",
    ]


def test_figures_stand_near_their_names_however_wide_the_screen_is() -> None:
    table = VirtualTable((Column("name"), Column("n", 4, "right"), Column("note")))
    table.show(ListSource((Row("a", ("short", "1", "x" * 50)), Row("b", ("a longer one", "2", "")))))
    assert table._widths(200) == [12, 4, 182]
    assert table._widths(20) == [7, 4, 7]


def test_nothing_is_minus_zero() -> None:
    curve = Series("loss", ((-0.2, -0.0001), (4.0, 3.0)))
    shown = "\n".join("".join(text for text, _ in row) for row in plot([curve], 40, 8))
    assert "-0" not in shown
    assert " 0.0" in shown
    assert short(-0.4) == "0"
