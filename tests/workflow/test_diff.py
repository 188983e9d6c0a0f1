"""Differences between two versions: fields, paths counted against brute force, what is stale."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.workflow.diff import Changes, compare, stale_parts
from workbench.workflow.load import load_workflow, parse_workflow
from workbench.workflow.model import Edge, Node, Workflow
from workbench.workflow.paths import PathSpace, path_nodes
from workbench.workflow.scaffold import scaffold

GOOD = scaffold("sample")
NOTHING = Changes((), (), {})


def changed(*pairs: tuple[str, str]) -> Workflow:
    text = GOOD
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_workflow(text)


def test_layout_and_comments_are_no_difference() -> None:
    found = compare(parse_workflow(GOOD), changed(("name: sample", "# a comment\n\nname:   sample")))
    assert found.same
    assert found.paths is not None
    assert (found.paths.new, found.paths.gone, found.paths.touched, found.paths.same) == (0, 0, 0, 4)


def test_every_kind_of_change_is_named() -> None:
    after = changed(
        ("prompt: Say goodbye.", "prompt: Say goodbye warmly."),
        ("The user wants nothing.", "The user wants nothing at all."),
        ("[tea, coffee,", "[coffee,"),
        ("order assistant", "order clerk"),
        ("edges:", "  - {id: extra, role: terminal, outcome: success, prompt: p}\n\nedges:"),
    )
    found = compare(parse_workflow(GOOD), after)
    assert found.nodes == Changes(("extra",), (), {"abandoned": ("prompt",)})
    assert found.edges == Changes((), (), {"decide>abandoned": ("condition",)})
    assert found.variables == Changes((), (), {"item": ("values",)})
    assert found.settings == ("instruction",)
    assert found.prompts == ("abandoned",)
    assert not found.same
    back = compare(after, parse_workflow(GOOD))
    assert back.nodes.removed == ("extra",)


def some_pair(seed: int) -> tuple[Workflow, Workflow]:
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(6)]
    nodes = {n: Node(n, "agent", "p") for n in names} | {t: Node(t, "terminal", "p") for t in ("t1", "t2")}
    pairs = {(rng.choice(names), rng.choice([*names, "t1", "t2"])) for _ in range(12)}
    edges = tuple(Edge(f"{a}>{b}", a, b) for a, b in sorted(pairs))
    before = Workflow("g", "G", "i", nodes, edges, "n0")
    kept = [e for e in edges if rng.random() > 0.15]
    kept = [replace(e, condition="new") if rng.random() < 0.15 else e for e in kept]
    fresh = {(rng.choice(names), rng.choice([*names, "t1"])) for _ in range(2)} - pairs
    kept += [Edge(f"{a}>{b}", a, b) for a, b in sorted(fresh)]
    other = {n: replace(node, prompt="q") if rng.random() < 0.15 else node for n, node in nodes.items()}
    return before, Workflow("g", "G", "i", other, tuple(kept), "n0", max_visits=rng.choice([2, 2, 1]))


@pytest.mark.parametrize("seed", range(60))
def test_paths_are_counted_as_brute_force_does(seed: int) -> None:
    before, after = some_pair(seed)
    old, new = set(PathSpace(before)), set(PathSpace(after))
    parts = {n for n in before.nodes if before.nodes[n].prompt != after.nodes[n].prompt}
    parts |= {e.id for e in before.edges if e.id in after.edge and after.edge[e.id].condition != e.condition}
    touched = {p for p in old & new if parts & {*p, *path_nodes(before, p)}}
    found = compare(before, after).paths
    assert found is not None
    assert (found.new, found.gone, found.touched) == (len(new - old), len(old - new), len(touched))
    assert found.same == len(old & new) - len(touched)


def test_another_start_leaves_no_path() -> None:
    before = parse_workflow(GOOD)
    found = compare(before, replace(before, start="user_order")).paths
    assert found is not None
    assert (found.gone, found.touched, found.same) == (4, 0, 0)


PATH = ("greet>user_order", "user_order>decide", "decide>ordered")
MOVES = [("user_order", "order")]


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        (("prompt: Confirm the order and say goodbye.", "prompt: Confirm."), ("node ordered",)),
        (("prompt: Say goodbye.", "prompt: Say goodbye warmly."), ()),
        (('"Something warm."', '"Something hot."'), ()),
        (('"One {item}, please."', '"A {item}, please."'), ("node user_order",)),
        (("[tea, coffee,", "[coffee,"), ("variable item",)),
        (("moves: [stop]", "moves: [stop], visits: [1]"), ()),
        (("moves: [order]", "moves: [order], visits: [1]"), ("edge decide>ordered",)),
        (("order assistant", "order clerk"), ()),
        (("max_visits: 2", "max_visits: 2\ncontext: We close at six."), ("context",)),
        (
            ("  - {from: user_order, to: decide}", "  - {id: other, from: user_order, to: decide}"),
            ("edge user_order>decide",),
        ),
    ],
)
def test_a_dialogue_is_stale_only_by_what_it_used(change: tuple[str, str], stale: tuple[str, ...]) -> None:
    before = parse_workflow(GOOD)
    assert stale_parts(before, before, PATH, MOVES) == ()
    assert stale_parts(before, changed(change), PATH, MOVES) == stale


def test_a_condition_asked_before_makes_stale() -> None:
    before = parse_workflow(GOOD)
    later = ("greet>user_order", "user_order>decide", "decide>abandoned")
    after = changed(("moves: [vague]", "moves: [vague, stop]"))
    assert stale_parts(before, after, later, [("user_order", "stop")]) == ("edge decide>abandoned",)


def test_personas_and_deviations_count_when_used() -> None:
    before = load_workflow("travel_booking")
    text = Path(before.source or "").read_text()
    after = parse_workflow(
        text.replace('"Many thanks."', '"Many, many thanks."').replace("We take cards", "They take cards")
    )
    path = next(iter(PathSpace(before)))
    assert stale_parts(before, after, path) == ()
    assert stale_parts(before, after, path, persona="polite") == ("persona polite",)
    assert stale_parts(before, after, path, deviations=["aside_payment"]) == ("deviation aside_payment",)
    assert stale_parts(before, after, path, persona="plain") == ()
