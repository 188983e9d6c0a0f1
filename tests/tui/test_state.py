import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tui import state as states
from workbench.tui.state import AppState, ChatState, DialoguesState, ResultsState, TrainingState, WorkflowsState


def test_choosing_another_workflow_forgets_its_path_but_keeps_the_view() -> None:
    before = WorkflowsState("a", "outline", "17", "hub", 3)
    assert states.workflow_chosen(before, "b") == WorkflowsState("b", "outline")
    assert states.workflow_chosen(before, "a") is before


def test_choosing_another_path_begins_with_its_first_sample() -> None:
    assert states.path_chosen(WorkflowsState("a", sample=4), "9").sample == 0


def test_other_agents_keep_the_draft_and_leave_the_conversation() -> None:
    before = ChatState(("oracle",), "job", "half typed")
    assert states.agents_chosen(before, ("oracle", "x")) == ChatState(("oracle", "x"), None, "half typed")


@pytest.mark.parametrize(("phase", "keys"), [("running", "r"), ("stopped", "s"), ("done", "f"), ("", "")])
def test_a_runs_phase_decides_what_can_be_done(phase: str, keys: str) -> None:
    state = TrainingState("j", phase=phase)
    assert [state.running, state.resumable, state.finished] == [c in keys for c in "rsf"]


@given(
    st.builds(
        AppState,
        pane=st.sampled_from(["workflows", "chat"]),
        light=st.booleans(),
        dialogues=st.builds(DialoguesState, filter=st.text(), selected=st.none() | st.text(), note=st.text()),
        chat=st.builds(ChatState, agents=st.lists(st.text()).map(tuple), draft=st.text()),
        results=st.builds(ResultsState, depth=st.integers(0, 2)),
    )
)
def test_what_is_saved_is_what_is_loaded(state: AppState) -> None:
    assert states._read(AppState, json.loads(json.dumps(states.asdict(state)))) == state


def test_saved_whole(tmp_path: Path) -> None:
    file = tmp_path / "state" / "tui.json"
    states.save(file, AppState(pane="chat"))
    assert states.load(file).pane == "chat"
    assert [f.name for f in file.parent.iterdir()] == ["tui.json"]


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"pane": 3, "workflows": [], "chat": {"agents": [1]}, "new": 1}'])
def test_a_damaged_file_begins_afresh(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "tui.json"
    file.write_text(damage)
    assert states.load(file) == AppState()


def test_a_folder_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file, not a folder")
    states.save(tmp_path / "state" / "tui.json", AppState())
