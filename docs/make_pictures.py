"""Makes the pictures of the documentation: every pane on a real run, as `workbench --screenshot` draws it.

    python docs/make_pictures.py [--home HOME] [--out FOLDER]

Without --home the run is the one that is shipped: `workbench demo --replay` plays it with its conversations. Of a HOME of your own
the record and the jobs' events are copied first; nothing is written to it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from workbench.demo.recording import read_recording
from workbench.demo.replay import Player
from workbench.home import Home
from workbench.store import connect
from workbench.store.chats import chats
from workbench.store.comparisons import comparisons
from workbench.tui import picture
from workbench.tui import state as states
from workbench.tui.actions import PANES
from workbench.tui.state import AppState, ChatState, DialoguesState, ResultsState, WorkflowsState

SIZE = (128, 34)
SPEED = 100.0
KEYS = {"chat": ("home",), "dialogues": ("down", "down", "down")}
"""Keys that are pressed before the picture is taken."""


def played(folder: Path) -> Home:
    """A home into which the shipped recording has been played."""
    home = Home(folder / "runs")
    player = Player(read_recording(), home, SPEED)
    player.begin()
    player.run()
    return home


def copied(source: Home, folder: Path) -> Home:
    """A copy of a home without models and checkpoints."""
    home = Home(folder / "runs").make()
    shutil.copy2(source.database, home.database)
    for job in source.jobs.iterdir():
        (home.jobs / job.name).mkdir()
        for file in job.iterdir():
            if file.suffix in (".json", ".jsonl", ".txt"):
                shutil.copy2(file, home.jobs / job.name)
    return home


def prepared(home: Home) -> AppState:
    """What is selected on the pictures: a path in the middle, a compared figure, the newest conversation."""
    with connect(home) as rec:
        talk, compared = next(iter(chats(rec)), None), next(iter(comparisons(rec)), None)
    return AppState(
        workflows=WorkflowsState("travel_booking", "paths", "42"),
        dialogues=DialoguesState(filter="terminal:success"),
        chat=ChatState(talk.agents, talk.job) if talk else ChatState(),
        results=ResultsState(compared.id if compared else None, measure="fitness"),
    )


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="as for `workbench --home`; else the shipped recording")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("pictures"))
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        home = copied(Home(given.home / "runs"), Path(folder)) if given.home else played(Path(folder))
        state = prepared(home)
        out = given.out.absolute()
        os.chdir(folder)  # what stands at the top is the way from here to the home
        os.environ["WORKBENCH_REVIEWER"] = "ann"
        for name, pane, light in [*((pane, pane, False) for pane in PANES), ("light", "dialogues", True)]:
            states.save(home.state / "tui.json", replace(state, light=light))
            file = out / f"{name}.svg"
            picture.save(home, pane, file, SIZE, KEYS.get(pane, ()))
            print(f"{file}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
