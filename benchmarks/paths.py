"""How fast path spaces are: enumeration beside networkx, counting and unranking beyond 10^12, streaming in flat memory."""

from __future__ import annotations

import statistics
import tracemalloc
from collections import deque
from itertools import islice
from random import Random

from common import Finding, beside, main, median_of, seconds

from workbench.workflow.load import load_workflow
from workbench.workflow.paths import Graph, PathSpace

PHASE = ("ask", "user", "hub", "more", "answer", "short", "long")


def phased(phases: int) -> Graph:
    """A chain of phases as in a real procedure: each a hub with a question loop, a nested loop and two ways on."""
    nodes, edges = ["start"], []
    before = "start"
    for i in range(phases):
        ask, user, hub, more, answer, short, long = (f"{n}{i}" for n in PHASE)
        nodes += [ask, user, hub, more, answer, short, long]
        pairs = [(before, ask), (ask, user), (user, hub), (hub, more), (more, answer), (answer, hub), (hub, ask),
                 (hub, short), (hub, long), (short, f"join{i}"), (long, f"join{i}")]  # fmt: skip
        nodes.append(f"join{i}")
        edges += [(f"{a}>{b}", a, b) for a, b in pairs]
        before = f"join{i}"
    edges += [(f"{before}>{t}", before, t) for t in ("done", "failed")]
    return Graph((*nodes, "done", "failed"), tuple(edges), "start", ("done", "failed"))


def exploding(size: int) -> Graph:
    """One component in which everything leads to everything: no table of it fits any budget."""
    names = [f"n{i}" for i in range(size)]
    edges = [(f"{a}>{b}", a, b) for a in names for b in (*names, "end") if a != b]
    return Graph((*names, "end"), tuple(edges), "n0", ("end",))


def against_networkx(name: str, runs: int) -> Finding:
    """Enumeration of simple paths, each building what it needs from the same graph."""
    import networkx as nx

    graph = Graph.of(load_workflow(name))
    rival = nx.MultiDiGraph((source, target) for _, source, target in graph.edges)
    rival.add_nodes_from(graph.nodes)

    def ours() -> None:
        deque(PathSpace(graph, 1), maxlen=0)

    def theirs() -> None:
        deque(nx.all_simple_paths(rival, graph.start, set(graph.terminals)), maxlen=0)

    mine, _, ratio = beside(ours, theirs, runs)
    edges = nx.all_simple_edge_paths(rival, graph.start, set(graph.terminals))
    assert PathSpace(graph, 1).count() == sum(1 for _ in edges)
    return Finding(f"{name}: all paths at limit 1", mine * 1000, "ms", "networkx all_simple_paths", ratio)


def _peak(space: PathSpace, amount: int) -> float:
    """The most KiB that streaming so many paths takes beyond what the space's table takes."""
    tracemalloc.start()
    deque(islice(iter(space), amount), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1] / 1024
    tracemalloc.stop()
    return peak


def measure(quick: bool) -> list[Finding]:
    runs = 9 if quick else 31
    findings = [against_networkx(name, runs) for name in ("travel_booking", "zoom_support", "insurance_claims")]
    graph = phased(18)
    space = PathSpace(graph)
    total = space.count()
    findings.append(Finding("phased graph: paths", float(total), "paths"))
    findings.append(Finding("phased graph: counted", median_of(lambda: PathSpace(graph).count(), runs), "s"))
    random = Random(1)
    unrank = statistics.median(seconds(lambda: space[random.randrange(total)]) for _ in range(200))
    findings.append(Finding("phased graph: space[i]", unrank * 1000, "ms"))
    some = space.sample(200, 1)
    rank = statistics.median(seconds(lambda path=path: space.rank(path)) for path in some)
    findings.append(Finding("phased graph: rank(path)", rank * 1000, "ms"))
    amount = 10**5 if quick else 10**6
    taken = seconds(lambda: deque(islice(iter(space), amount), maxlen=0))
    findings.append(Finding("phased graph: streamed", amount / taken, "paths/s"))
    for some_paths in (1, amount):
        findings.append(Finding(f"phased graph: memory to stream {some_paths:,}", _peak(space, some_paths), "KiB"))
    long = phased(180)
    findings.append(
        Finding("ten times as long: paths", None, f"a number of {len(str(PathSpace(long).count()))} digits")
    )
    findings.append(Finding("ten times as long: counted", median_of(lambda: PathSpace(long).count(), 3), "s"))
    big = PathSpace(exploding(24))
    taken = seconds(lambda: (big.size(), big.sample(20)))
    findings.append(Finding(f"exploding graph: '{big.size()}' and 20 samples", taken, "s"))
    listed = PathSpace(exploding(24))
    taken = seconds(lambda: deque(islice(listed.listing(), 1000), maxlen=0))
    findings.append(Finding("exploding graph: its first 1,000 paths", taken, "s"))
    return findings


if __name__ == "__main__":
    main(measure, __doc__ or "")
