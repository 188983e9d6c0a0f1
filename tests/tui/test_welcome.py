"""A first start offers something to begin with; the tour passes all panes and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.conftest import press, screen_text, settle, until
from workbench.home import Home
from workbench.jobs.folder import Job
from workbench.tui.actions import PANES
from workbench.tui.shell import Workbench
from workbench.tui.welcome import OFFERS, TOUR, TourScreen, WelcomeScreen


@pytest.fixture
def fresh(tmp_path: Path) -> Workbench:
    """The app where nothing has been recorded."""
    return Workbench(Home(tmp_path / "empty" / "runs").make(), watch=False, welcome=True)


async def test_a_first_start_offers_the_demo_the_tour_and_a_look(fresh: Workbench) -> None:
    async with fresh.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(fresh.screen, WelcomeScreen))
        await settle(pilot)
        text = screen_text(fresh)
        assert all(verb in text for _, _, verb, _ in OFFERS)
        await pilot.press("l")
        await until(pilot, lambda: fresh.screen is fresh.base)


async def test_a_start_with_a_record_offers_nothing(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert app.screen is app.base
        await press(pilot, "W")
        assert isinstance(app.screen, WelcomeScreen)


async def test_the_offered_demo_is_started_and_followed(fresh: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Home] = []

    def launch(home: Home) -> Job:
        started.append(home)
        return Job("c" * 16, "demo", "demo", {}, home.jobs / ("c" * 16), 0.0)

    monkeypatch.setattr("workbench.demo.launch.launch_demo", launch)
    async with fresh.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(fresh.screen, WelcomeScreen))
        await pilot.press("d")
        await until(pilot, lambda: fresh.follower.exists)
        assert started == [fresh.home]
        assert fresh.follower.demo.job == "c" * 16


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_the_tour_passes_every_pane_in_order(app: Workbench, size: tuple[int, int]) -> None:
    assert tuple(pane for pane, _ in TOUR) == PANES
    async with app.run_test(size=size) as pilot:
        await press(pilot, "Z")
        for number, (pane, words) in enumerate(TOUR, 1):
            await until(pilot, lambda pane=pane: app.state.pane == pane)  # type: ignore[misc]
            await settle(pilot)
            assert words.split()[0] in screen_text(app)
            assert f"{number} of {len(TOUR)}" in screen_text(app)
            if number == 2:
                await press(pilot, "left")
                assert app.state.pane == PANES[0]
                await press(pilot, "space")
            await press(pilot, "space")
        assert app.screen is app.base


async def test_a_digit_of_the_tour_goes_there_and_escape_ends_it(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "Z", "4")
        assert isinstance(app.screen, TourScreen)
        assert app.state.pane == "chat"
        await press(pilot, "escape")
        assert app.screen is app.base
        assert app.state.pane == "chat"
