"""Path spaces against brute force on random graphs, under every restriction and in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.errors import UserError
from workbench.workflow.paths import Graph, Path, PathSpace, path_nodes

MANY = 3000
"""Graphs with more paths than this are left out: brute force is the slow side."""


def brute(graph: Graph, limit: int) -> list[Path]:
    out: dict[str, list[tuple[str, str]]] = {}
    for edge, source, target in graph.edges:
        out.setdefault(source, []).append((edge, target))
    found: list[Path] = []

    def go(node: str, seen: tuple[str, ...], path: Path) -> None:
        if seen.count(node) >= limit:
            return
        if node in graph.terminals:
            found.append(path)
            return
        for edge, target in out.get(node, []):
            assume(len(found) <= MANY)
            go(target, (*seen, node), (*path, edge))

    go(graph.start, (), ())
    return found


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Cycles, self-loops, parallel edges, dead ends, unreachable nodes, several terminals."""
    nodes = [f"n{i}" for i in range(draw(st.integers(1, 6)))]
    terminals = [f"t{i}" for i in range(draw(st.integers(1, 3)))]
    pair = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes + terminals))
    edges = draw(st.lists(pair, min_size=1, max_size=2 * len(nodes) + 2))
    named = tuple((f"e{i}", *ends) for i, ends in enumerate(edges))
    return Graph((*nodes, *terminals), named, draw(st.sampled_from(nodes)), tuple(terminals))


def meets(graph: Graph, path: Path, name: str) -> bool:
    return name in path or name in path_nodes(graph, path)


def check_equal(space: PathSpace, expected: Sequence[Path]) -> None:
    """Every way of asking gives the expected paths in the expected order."""
    assert list(space) == list(expected)
    assert space.count() == len(space) == len(expected)
    assert bool(space) == bool(expected)
    assert space[:] == list(expected)
    assert [space[i] for i in range(len(expected))] == list(expected)
    assert [space.rank(path) for path in expected] == list(range(len(expected)))
    assert list(space.listing(len(expected) // 2)) == list(expected[len(expected) // 2 :])
    assert space.by_steps() == dict(sorted(Counter(len(p) + 1 for p in expected).items()))
    steps = [len(p) + 1 for p in expected]
    assert space.step_range() == ((min(steps), max(steps)) if steps else None)


@settings(max_examples=800, deadline=None)
@given(graphs(), st.integers(1, 3))
def test_equals_brute_force(graph: Graph, limit: int) -> None:
    expected = brute(graph, limit)
    space = PathSpace(graph, limit)
    check_equal(space, expected)
    ends = Counter(path_nodes(graph, path)[-1] for path in expected)
    assert space.by_terminal() == {t: ends[t] for t in graph.terminals}
    check_equal(space.ordered("steps"), sorted(expected, key=len))


@settings(max_examples=800, deadline=None)
@given(graphs(), st.integers(1, 3), st.data())
def test_restrictions_filter_and_combine(graph: Graph, limit: int, data: st.DataObject) -> None:
    names = [*graph.nodes, *(edge for edge, _, _ in graph.edges)]
    through = data.draw(st.lists(st.sampled_from(names), max_size=3))
    avoid = data.draw(st.lists(st.sampled_from(names), max_size=2))
    ends = data.draw(st.none() | st.lists(st.sampled_from(graph.terminals), max_size=2, unique=True))
    low = data.draw(st.integers(1, 6))
    high = data.draw(st.none() | st.integers(1, 14))
    space = PathSpace(graph, limit)
    expected = brute(graph, limit)
    for name in through:
        space = space.through(name)
    expected = [p for p in expected if all(meets(graph, p, name) for name in through)]
    space = space.avoiding(*avoid).steps(low, high)
    expected = [p for p in expected if not any(meets(graph, p, name) for name in avoid)]
    expected = [p for p in expected if low <= len(p) + 1 and (high is None or len(p) + 1 <= high)]
    if ends is not None:
        space = space.terminal(*ends)
        expected = [p for p in expected if path_nodes(graph, p)[-1] in ends]
    check_equal(space, expected)
    check_equal(space.ordered("steps"), sorted(expected, key=len))
    small = PathSpace(graph, limit, budget=1, restriction=space.restriction)
    assert list(iter(small)) == expected
    assert list(iter(small.ordered("steps"))) == sorted(expected, key=len)


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 3))
def test_cover_takes_every_edge_that_lies_on_a_path(graph: Graph, limit: int) -> None:
    expected = brute(graph, limit)
    used = {edge for path in expected for edge in path}
    space = PathSpace(graph, limit)
    fan = Counter(source for _, source, _ in graph.edges)
    choices = {edge for edge, source, _ in graph.edges if fan[source] > 1}
    for what, wanted in (("edges", {e for e, _, _ in graph.edges}), ("hub choices", choices)):
        cover = space.cover(what)  # type: ignore[arg-type]
        assert set(cover) <= set(expected)
        assert {edge for path in cover for edge in path} >= used & wanted
        assert set(cover.missing) == wanted - used
        assert not cover.undecided
        assert len(cover) <= len(wanted)


@settings(max_examples=150, deadline=None)
@given(graphs(), st.integers(1, 3), st.data())
def test_past_the_budget_lists_exactly_and_says_so(graph: Graph, limit: int, data: st.DataObject) -> None:
    expected = brute(graph, limit)
    whole = PathSpace(graph, limit)
    space = PathSpace(graph, limit, budget=data.draw(st.integers(1, 8)))
    size = space.size()
    if space.exact:
        assert size == whole.size()
        return
    assert not size.exact
    assert size.least <= len(expected)
    assert str(size).startswith("at least")
    assert list(iter(space)) == expected
    sample = space.sample(3, 7)
    assert not sample.uniform
    assert set(sample) <= set(expected)
    assert space.cover().paths == () or {e for p in space.cover() for e in p} == {e for p in expected for e in p}


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_limit_one_equals_networkx_simple_paths(graph: Graph) -> None:
    import networkx as nx

    final = set(graph.terminals)
    other = nx.MultiDiGraph()
    other.add_nodes_from(graph.nodes)
    for edge, source, target in graph.edges:
        other.add_edge(source, target, key=edge)
    simple = nx.all_simple_edge_paths(other, graph.start, final)
    assert sorted(PathSpace(graph, 1)) == sorted(tuple(key for _, _, key in path) for path in simple)


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(1, 2), st.integers(0, 9), st.integers(0, 99))
def test_samples_are_distinct_seeded_and_within(graph: Graph, limit: int, n: int, seed: int) -> None:
    space = PathSpace(graph, limit)
    total = space.count()
    assume(total <= MANY)
    sample = space.sample(n, seed)
    assert sample.uniform
    assert len(set(sample)) == len(sample) == min(n, total)
    assert list(sample) == list(space.sample(n, seed))
    assert all(path in space for path in sample)


def ladder(rungs: int) -> Graph:
    """A chain of `rungs` choices between two ways: 2^rungs paths of 2·rungs + 1 steps."""
    edges = []
    for i in range(rungs):
        edges += [(f"u{i}", f"h{i}", f"a{i}"), (f"v{i}", f"h{i}", f"b{i}")]
        edges += [(f"x{i}", f"a{i}", f"h{i + 1}"), (f"y{i}", f"b{i}", f"h{i + 1}")]
    nodes = [f"h{i}" for i in range(rungs + 1)] + [f"{c}{i}" for i in range(rungs) for c in "ab"]
    return Graph(tuple(nodes), tuple(edges), "h0", (f"h{rungs}",))


def test_samples_are_uniform() -> None:
    """Drawing 2 of 8 paths 4,000 times: each within 5 standard deviations of its share."""
    space = PathSpace(ladder(3), 1)
    drawn = Counter(path for seed in range(4000) for path in space.sample(2, seed))
    assert len(drawn) == 8
    assert all(abs(n - 1000) < 5 * (4000 * 0.25 * 0.75) ** 0.5 for n in drawn.values())


def test_spaces_beyond_any_list() -> None:
    space = PathSpace(ladder(3000), 1)
    total = space.count()
    assert total == 2**3000
    with pytest.raises(OverflowError):
        len(space)
    middle = space[total // 3]
    assert len(middle) == 6000
    assert space.rank(middle) == total // 3
    assert space[-1] == tuple(edge for i in range(3000) for edge in (f"v{i}", f"y{i}"))
    assert next(space.listing(total - 2)) == space[total - 2]
    assert len(set(space.sample(20, 3))) == 20
    assert space.step_range() == (6001, 6001)
    assert space.through("u1500").avoiding("a7").count() == 2**2998


def test_long_loops_do_not_recurse() -> None:
    n = 4000
    nodes = tuple(f"n{i}" for i in range(n))
    edges = tuple((f"e{i}", f"n{i}", f"n{i + 1}") for i in range(n - 1))
    graph = Graph((*nodes, "t"), (*edges, ("back", f"n{n - 1}", "n0"), ("out", f"n{n - 1}", "t")), "n0", ("t",))
    space = PathSpace(graph, 2)
    assert space.count() == 2
    assert space.by_steps() == {n + 1: 1, 2 * n + 1: 1}
    assert len(next(iter(space.through("back")))) == 2 * n


def test_one_component_that_explodes_says_at_least() -> None:
    names = [f"n{i}" for i in range(14)]
    edges = tuple((f"{a}>{b}", a, b) for a in names for b in (*names, "end") if a != b)
    space = PathSpace(Graph((*names, "end"), edges, "n0", ("end",)), 2, budget=500)
    size = space.size()
    assert not size.exact
    assert size.estimate is not None
    assert 1000 <= size.least <= size.estimate
    with pytest.raises(UserError, match="states"):
        space.count()
    assert len(space[5:25]) == 20
    assert len(space.sample(10, 1)) == 10
    assert len(space.cover()) > 0
    assert not space.cover().missing


def test_counts_by_length_that_would_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.workflow.pathspace.table.MEMORY", 100)
    space = PathSpace(ladder(40), 1)
    assert space.count() == 2**40
    with pytest.raises(UserError, match="GiB"):
        space.by_steps()
    assert not space.steps(1, 100).exact
    assert space.steps(1, 100).size().least >= 1000


def test_unknown_names_and_ranks() -> None:
    space = PathSpace(ladder(2), 1)
    for ask in (space.avoiding, space.through, space.terminal):
        with pytest.raises(UserError, match="nowhere"):
            ask("nowhere")
    for wrong in (("u0",), ("u0", "x0", "u1", "y1"), ("nothing",), ()):
        with pytest.raises(ValueError, match="not in this space"):
            space.rank(wrong)
        assert wrong not in space
    with pytest.raises(IndexError):
        space[4]
    with pytest.raises(IndexError):
        space[-5]
    assert space[-1:] == [space[3]]
    assert space[::2] == [space[0], space[2]]
    with pytest.raises(ValueError, match="at least 1"):
        PathSpace(ladder(1), 0)


def test_start_that_is_a_terminal_has_one_path() -> None:
    space = PathSpace(Graph(("t",), (), "t", ("t",)))
    assert list(space) == [()]
    assert space.count() == 1
    assert space.rank(()) == 0
    assert not space.avoiding("t")
