"""The alignment is the cheapest one (against brute force), and the search stays small."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.evaluation.alignment import Procedure
from workbench.evaluation.trace import Event
from workbench.workflow.model import Condition, Edge, Node, Phrasing, Pool, Workflow

SAY = (Phrasing(Pool(("x",), ("x",))),)


def small_workflow(silent_hub: bool, chatty_edge: bool) -> Workflow:
    """start → user → hub → (user | close | abandon); the hub may be silent, one edge may speak."""
    nodes = [
        Node("start", "agent", "", SAY),
        Node("user", "user", ""),
        Node("hub", "agent", "", () if silent_hub else SAY),
        Node("close", "terminal", "", SAY),
        Node("quiet", "terminal", ""),
    ]
    edges = (
        Edge("start>user", "start", "user"),
        Edge("user>hub", "user", "hub"),
        Edge("hub>user", "hub", "user", when=Condition(moves=("again",)), say=SAY if chatty_edge else ()),
        Edge("hub>close", "hub", "close", when=Condition(moves=("done",))),
        Edge("hub>quiet", "hub", "quiet", when=Condition(otherwise=True)),
    )
    return Workflow("small", "Small", "", {n.id: n for n in nodes}, edges, "start")


def walks(workflow: Workflow, longest: int) -> list[tuple[str, ...]]:
    """The visible words of all walks with at most `longest` edges."""
    found = []

    def go(node: str, said: tuple[str, ...], left: int) -> None:
        here = workflow.nodes[node]
        said += (node,) if here.say or here.role == "user" else ()
        if here.role == "terminal":
            found.append(said)
        elif left:
            for edge in workflow.out[node]:
                go(edge.target, said + ((edge.id,) if edge.say else ()), left - 1)

    go(workflow.start, (), longest)
    return found


def brute_force(workflow: Workflow, events: Sequence[Event]) -> int:
    """Least insert/delete distance between the trace and any walk."""

    def distance(walk: tuple[str, ...]) -> int:
        @cache
        def d(i: int, j: int) -> int:
            if i == len(events) or j == len(walk):
                return len(events) - i + len(walk) - j
            best = 1 + min(d(i + 1, j), d(i, j + 1))
            event, is_user = (
                events[i],
                workflow.nodes.get(walk[j]) is not None and workflow.nodes[walk[j]].role == "user",
            )
            same = event.is_user == is_user and (event.unit == walk[j] or (event.is_user and event.unit is None))
            return min(best, d(i + 1, j + 1)) if same else best

        return d(0, 0)

    return min(distance(walk) for walk in walks(workflow, 13))


UNITS = st.sampled_from(["start", "hub", "hub>user", "close", None])
EVENTS = st.lists(
    st.one_of(
        st.builds(lambda u: Event(0, False, u), UNITS), st.sampled_from([Event(0, True, "user"), Event(0, True, None)])
    ),
    max_size=7,
)


@given(EVENTS, st.booleans(), st.booleans())
@settings(max_examples=120, deadline=None)
def test_cheapest(events: list[Event], silent_hub: bool, chatty_edge: bool) -> None:
    workflow = small_workflow(silent_hub, chatty_edge)
    found = Procedure(workflow).align(events)
    assert found.cost == brute_force(workflow, events)
    assert found.cost == sum(step.kind in ("trace", "graph") for step in found.steps)
    assert [s.event for s in found.steps if s.event is not None] == list(range(len(events)))
    nodes = [s.node for s in found.steps if s.node]
    assert nodes[0] == "start"
    assert workflow.nodes[nodes[-1]].role == "terminal"


def test_shortest_walk_counts_what_speaks() -> None:
    assert Procedure(small_workflow(True, False)).shortest == 2  # start, user, then a silent end


def test_a_forty_turn_trace_expands_few_states(travel: Workflow) -> None:
    procedure = Procedure(travel)
    events = [Event(i, bool(i % 2)) for i in range(40)]
    found = procedure.align(events)
    assert found.expanded <= (len(events) + 1) * (len(travel.nodes) + len(travel.edges) + 1)
    assert found.expanded < 3000
