from types import SimpleNamespace

import pytest

from workbench.tui.actions import (
    ACTIONS,
    FOOTER_ENTRIES,
    PANES,
    RESERVED,
    Action,
    actions_of,
    clashes,
    footer,
    key_name,
)
from workbench.tui.state import AppState


def test_no_key_means_two_things() -> None:
    assert clashes(ACTIONS) == []


def test_clashes_are_found_within_a_scope_and_with_the_app() -> None:
    actions = [
        Action("app.quit", "app", "quit", "q"),
        Action("chat.a", "chat", "a", "x"),
        Action("chat.b", "chat", "b", "x"),
        Action("results.c", "results", "c", "q"),
        Action("training.d", "training", "d", "x"),
    ]
    assert [line.split(":")[0] for line in clashes(actions)] == ["chat.b", "results.c"]


@pytest.mark.parametrize("key", ["ctrl+s", "ctrl+q", "ctrl+z", "ctrl+b", "f1"])
def test_reserved_keys_are_refused(key: str) -> None:
    assert key in RESERVED
    assert clashes([Action("app.x", "app", "x", key)])


def test_ids_are_unique() -> None:
    assert len({action.id for action in ACTIONS}) == len(ACTIONS)


@pytest.mark.parametrize("pane", PANES)
def test_the_footer_holds_at_most_five_entries_in_80_columns(pane: str) -> None:
    state = SimpleNamespace(
        workflow="w",
        selected="x",
        subject="x",
        opened=False,
        running=True,
        resumable=False,
        finished=False,
        agents=("a",),
        depth=0,
        session="s",
        marked=("a",),
    )
    shown = footer(pane, state, SimpleNamespace(can_follow=True))
    assert len(shown) <= FOOTER_ENTRIES
    assert sum(len(key_name(a.keys[0])) + len(a.short or a.verb) + 4 for a in shown) <= 80


@pytest.mark.parametrize("pane", PANES)
def test_every_action_has_its_method(pane: str) -> None:
    from importlib import import_module

    made = import_module(f"workbench.tui.panes.{pane}.screen").PANE
    for action in actions_of(pane):
        assert hasattr(made, f"action_{action.name.split('(')[0]}"), action.id


def test_app_list_and_text_actions_have_their_methods() -> None:
    from workbench.tui.shell import Workbench
    from workbench.tui.widgets.table import VirtualTable
    from workbench.tui.widgets.transcript import Transcript

    for scope, owner in (("app", Workbench), ("list", VirtualTable), ("text", Transcript)):
        for action in actions_of(scope):
            assert hasattr(owner, f"action_{action.name.split('(')[0]}"), action.id


def test_states_answer_every_predicate() -> None:
    state = AppState()
    for pane in PANES:
        for action in actions_of(pane):
            if action.when:
                assert action.when(getattr(state, pane)) in (True, False)
