"""Choices among paths against lists, on random graphs; what a filter's words mean."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workflow.test_paths import brute, graphs
from workbench.errors import UserError
from workbench.workflow.choosing import LISTED, Chosen, PathFilter, choose
from workbench.workflow.paths import Graph, PathSpace, path_nodes


@settings(max_examples=300, deadline=None)
@given(graphs(), st.integers(1, 3), st.data())
def test_a_choice_is_the_filtered_list(graph: Graph, limit: int, data: st.DataObject) -> None:
    paths = brute(graph, limit)
    some = st.sets(st.sampled_from(paths)) if paths else st.just(set())
    wanted, unwanted = data.draw(st.lists(some, max_size=2)), data.draw(st.lists(some, max_size=2))
    foreign = ("nowhere",)
    space = PathSpace(graph, limit).ordered(data.draw(st.sampled_from(["lexicographic", "steps"])))
    chosen = choose(space, [w | {foreign} for w in wanted], [*unwanted, {foreign}])
    expected = [p for p in space if all(p in w for w in wanted) and not any(p in w for w in unwanted)]
    assert list(chosen.listing()) == expected
    assert chosen.size().least == chosen.listed() == len(expected)
    assert [chosen.window(at, at + 1) for at in range(len(expected))] == [[p] for p in expected]
    assert chosen.window(len(expected), len(expected) + 3) == []
    assert [chosen.position(p) for p in expected] == list(range(len(expected)))
    assert all(chosen.position(p) is None for p in [*paths, foreign] if p not in expected)
    assert chosen.by_steps() == dict(sorted(Counter(len(p) + 1 for p in expected).items()))
    ends = Counter(path_nodes(graph, p)[-1] for p in expected)
    assert chosen.by_terminal() == {t: ends[t] for t in graph.terminals}
    drawn = chosen.sample(len(expected) + 1, 3)
    assert sorted(drawn) == sorted(expected)
    assert drawn.uniform


def ladder(rungs: int) -> Graph:
    """A chain of forks: 2 ** rungs paths."""
    names = [f"n{i}" for i in range(rungs)]
    edges = [(f"{a}{side}", a, b) for a, b in pairwise([*names, "end"]) for side in "xy"]
    return Graph((*names, "end"), tuple(edges), "n0", ("end",))


def test_what_is_left_out_of_very_many_paths_leaves_the_rest_in_place() -> None:
    space = PathSpace(ladder(70), 1)
    out = [space[rank] for rank in (0, 5, 2**69, 2**70 - 1)]
    chosen = choose(space, unwanted=[out])
    assert chosen.size().least == 2**70 - 4
    assert chosen.window(0, 5) == [space[rank] for rank in (1, 2, 3, 4, 6)]
    assert chosen.window(2**70 - 5, 2**70) == [space[2**70 - 2]]
    assert chosen.position(space[2**69 + 1]) == 2**69 + 1 - 3
    assert choose(space, wanted=[out]).window(1, 3) == [space[5], space[2**69]]


def test_a_space_that_cannot_be_counted_still_lists_its_first_paths() -> None:
    space = PathSpace(ladder(40), 1, budget=5)
    chosen = choose(space)
    assert chosen.listed() == LISTED
    assert len(chosen.window(LISTED - 1, LISTED)) == 1
    assert chosen.position(space[0]) is None
    assert not chosen.sample(3).uniform
    with pytest.raises(UserError, match="more than"):
        choose(space, wanted=[[space[0]]])


@pytest.mark.parametrize(
    ("text", "low", "high"), [("4-9", 4, 9), ("7", 7, 7), ("5-", 5, None), ("-9", 1, 9), ("04-9", 4, 9)]
)
def test_bounds_on_steps(text: str, low: int, high: int | None) -> None:
    found = PathFilter().steps(text)
    assert (found.low, found.high) == (low, high)


@pytest.mark.parametrize("text", ["", "-", "a", "4-b", "4-9-12", "²", "4 - 9"])
def test_what_is_no_bound_on_steps(text: str) -> None:
    with pytest.raises(UserError, match="4-9"):
        PathFilter().steps(text)


def test_all_of_a_filter_holds() -> None:
    space = PathSpace(ladder(3), 1)
    left = PathFilter(("end",), ("n1x", "n0"), ("n2y",), 1, 4).restrict(space)
    assert list(left) == [("n0x", "n1x", "n2x"), ("n0y", "n1x", "n2x")]
    assert Chosen(PathFilter(low=5).restrict(space)).listed() == 0
    with pytest.raises(UserError, match="nope"):
        PathFilter(through=("nope",)).restrict(space)
