"""Walks under a visit limit, state by state: what of the past still matters for how a walk can be completed.

A state is (node, remaining visits, what is still to be passed). Remaining visits are kept for the node's strongly
connected component only (whatever lies behind it can never be met again, whatever lies ahead has not been met), and in
it only for the nodes that are still reachable and from which the component can still be left. So states that differ in
nothing that matters are one, and components separate by themselves.

A node with one edge in and one edge out is met exactly as often as that edge is taken, so it needs no count of its own:
such nodes are folded into *segments*, the edges between two nodes that are kept.

Remaining visits are `limit` bit masks ("planes"): bit j of plane i is set if local node j may be visited more than i
times. Plane 0 is the set of nodes that may still be entered.
"""

from __future__ import annotations

from workbench.workflow.pathspace.graph import Graph, Item, Restriction

Planes = tuple[int, ...]
State = tuple[int, Planes, int]
"""(node, remaining visits in its component, bits of the `through` items still to be passed)."""


def bits(mask: int) -> list[int]:
    """The positions of the bits set in `mask`, lowest first."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class Walks:
    """The walks of a graph that keep to a visit limit and a restriction (but for its bounds on steps)."""

    def __init__(self, graph: Graph, limit: int, restriction: Restriction) -> None:
        self.graph, self.limit = graph, limit
        self.start = graph.node_index[graph.start]
        wanted = graph.terminals if restriction.terminals is None else restriction.terminals
        avoided = restriction.avoid
        self.ends = {graph.node_index[t] for t in graph.terminals if t in wanted and ("node", t) not in avoided}
        self.edges, self.out = _folded(_useful_edges(graph, self.ends, avoided), self.start, self.ends)
        """Segments as tuples of edges; the (segment, target) out of each node, without those that lead nowhere."""
        self.names = [tuple(graph.edges[edge][0] for edge in segment) for segment in self.edges]
        """Segments as tuples of edge ids."""
        self.lengths = [len(segment) for segment in self.edges]
        self.alive = self.start in self.ends or bool(self.out[self.start])
        components = _components(self.out)
        self.component = [0] * len(graph.nodes)
        self.local = [0] * len(graph.nodes)
        for c, members in enumerate(components):
            for j, node in enumerate(members):
                self.component[node], self.local[node] = c, j
        self._members = components
        self._inner = [self._inner_mask(node) for node in range(len(graph.nodes))]
        self._before, self._exits = self._backward(components)
        self._fresh = [((1 << len(members)) - 1,) * limit for members in components]
        self._spent = (0,) * limit
        self._masks: dict[tuple[int, int], int] = {}
        self._set_up_through(restriction.through)

    def first(self) -> State | None:
        """The state at the start node; None if no walk can ever be completed."""
        if not self.alive:
            return None
        return self._enter(self.start, self._fresh[self.component[self.start]], self._all)

    def is_end(self, state: State) -> bool:
        """Whether a walk in this state is a whole path."""
        return state[0] in self.ends and not state[2]

    def next(self, state: State) -> list[tuple[int, State]]:
        """The segments (segment, state) from here, in edge order, without those that can be seen to lead nowhere.

        Exact (every segment returned can be completed) unless something is still to be passed.
        """
        node, planes, need = state
        component, entered = self.component, []
        for segment, target in self.out[node]:
            if component[target] != component[node]:
                left = self._fresh[component[target]]
            elif planes[0] >> self.local[target] & 1:
                left = planes
            else:
                continue
            after = self._enter(target, left, need & ~self._passed.get(segment, 0) if need else 0)
            if after is not None:
                entered.append((segment, after))
        return entered

    def _enter(self, node: int, planes: Planes, need: int) -> State | None:
        """The state after entering `node`, in normal form; None if it cannot be completed."""
        if need:
            need &= ~self._node_bits.get(node, 0)
        if not self._inner[node]:
            mask, left = 0, self._spent
        else:
            bit, counts = 1 << self.local[node], list(planes)
            for i in reversed(range(self.limit)):
                if counts[i] & bit:
                    counts[i] ^= bit
                    break
            mask = self._mask(node, counts[0])
            left = tuple(plane & mask for plane in counts)
            if not mask and not self._exits[self.component[node]] & bit:
                return None
        if need and need & ~self._ahead(node, mask):
            return None
        return (node, left, need)

    def _mask(self, node: int, available: int) -> int:
        """The available nodes of the component that lie between `node` and an exit of the component."""
        known = self._masks.get((node, available))
        if known is not None:
            return known
        c = self.component[node]
        members = self._members[c]
        seen = frontier = self._inner[node] & available
        while frontier:
            low = frontier & -frontier
            new = self._inner[members[low.bit_length() - 1]] & available & ~seen
            seen |= new
            frontier = (frontier ^ low) | new
        mask = frontier = self._exits[c] & seen
        while frontier:
            low = frontier & -frontier
            new = self._before[members[low.bit_length() - 1]] & seen & ~mask
            mask |= new
            frontier = (frontier ^ low) | new
        self._masks[node, available] = mask
        return mask

    def _ahead(self, node: int, mask: int) -> int:
        """What of `through` can be met from `node` when its component's nodes in `mask` are open (an upper bound)."""
        c = self.component[node]
        inside = [self._members[c][j] for j in bits(mask)]
        found = 0
        for member in inside:
            found |= self._node_bits.get(member, 0)
        for member in (node, *inside):
            for segment, target in self.out[member]:
                if self.component[target] != c:
                    found |= self._passed.get(segment, 0) | self._static_ahead[target]
                elif mask >> self.local[target] & 1:
                    found |= self._passed.get(segment, 0)
        return found

    def _inner_mask(self, node: int) -> int:
        c = self.component[node]
        return sum({1 << self.local[target] for _, target in self.out[node] if self.component[target] == c})

    def _backward(self, components: list[list[int]]) -> tuple[list[int], list[int]]:
        """Predecessors within the component of each node, and each component's nodes with an edge out of it."""
        before = [0] * len(self.component)
        exits = [0] * len(components)
        for node, edges in enumerate(self.out):
            bit = 1 << self.local[node]
            if node in self.ends:
                exits[self.component[node]] |= bit
            for _, target in edges:
                if self.component[target] == self.component[node]:
                    before[target] |= bit
                else:
                    exits[self.component[node]] |= bit
        return before, exits

    def _set_up_through(self, through: tuple[Item, ...]) -> None:
        self._all = (1 << len(through)) - 1
        self._node_bits: dict[int, int] = {}
        self._passed: dict[int, int] = {}
        self._static_ahead = [0] * len(self.component)
        if not through:
            return
        edge_bits: dict[int, int] = {}
        for i, (kind, name) in enumerate(through):
            if kind == "node":
                self._node_bits[self.graph.node_index[name]] = 1 << i
            else:
                edge_bits[self.graph.edge_index[name]] = 1 << i
        for segment, edges in enumerate(self.edges):
            inner = [self.graph.node_index[self.graph.edges[edge][2]] for edge in edges[:-1]]
            for met in [*(edge_bits.get(edge, 0) for edge in edges), *(self._node_bits.get(node, 0) for node in inner)]:
                self._passed[segment] = self._passed.get(segment, 0) | met
        for members in self._members:  # a component comes after those that it leads to
            found = 0
            for node in members:
                found |= self._node_bits.get(node, 0)
                for segment, target in self.out[node]:
                    found |= self._passed.get(segment, 0) | self._static_ahead[target]
            for node in members:
                self._static_ahead[node] = found


def _useful_edges(graph: Graph, ends: set[int], avoided: frozenset[Item]) -> list[list[tuple[int, int]]]:
    """The out-edges of each node, restricted to nodes between the start and an admitted terminal."""
    index = graph.node_index
    final = {index[t] for t in graph.terminals}
    out: list[list[tuple[int, int]]] = [[] for _ in graph.nodes]
    into: list[list[int]] = [[] for _ in graph.nodes]
    for number, (name, source, target) in enumerate(graph.edges):
        if index[source] in final or avoided & {("edge", name), ("node", source), ("node", target)}:
            continue
        out[index[source]].append((number, index[target]))
        into[index[target]].append(index[source])
    start = {index[graph.start]} if ("node", graph.start) not in avoided else set()
    ahead = _closure(start, [[target for _, target in edges] for edges in out])
    useful = ahead & _closure(ends, into)
    ends &= useful
    return [[(e, t) for e, t in edges if t in useful] if v in useful else [] for v, edges in enumerate(out)]


def _folded(
    out: list[list[tuple[int, int]]], start: int, ends: set[int]
) -> tuple[list[tuple[int, ...]], list[list[tuple[int, int]]]]:
    """The segments of a graph, and its out-edges with segments for edges; folded nodes keep none."""
    entries = [0] * len(out)
    for edges in out:
        for _, target in edges:
            entries[target] += 1
    folds = [n == 1 and len(out[v]) == 1 and v != start and v not in ends for v, n in enumerate(entries)]
    segments: list[tuple[int, ...]] = []
    kept: list[list[tuple[int, int]]] = [[] for _ in out]
    for node, edges in enumerate(out):
        if folds[node]:
            continue
        for edge, target in edges:
            segment = [edge]
            while folds[target]:
                edge, target = out[target][0]
                segment.append(edge)
            kept[node].append((len(segments), target))
            segments.append(tuple(segment))
    return segments, kept


def _closure(seed: set[int], follow: list[list[int]]) -> set[int]:
    seen, todo = set(seed), list(seed)
    while todo:
        for node in follow[todo.pop()]:
            if node not in seen:
                seen.add(node)
                todo.append(node)
    return seen


def _components(out: list[list[tuple[int, int]]]) -> list[list[int]]:
    """Strongly connected components, each after those it leads to (Tarjan 1972, without recursion)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    open_nodes: list[int] = []
    closed: set[int] = set()
    components: list[list[int]] = []
    for root in range(len(out)):
        if root in order:
            continue
        order[root] = low[root] = len(order)
        open_nodes.append(root)
        work = [(root, iter(out[root]))]
        while work:
            node, edges = work[-1]
            for _, target in edges:
                if target not in order:
                    order[target] = low[target] = len(order)
                    open_nodes.append(target)
                    work.append((target, iter(out[target])))
                    break
                if target not in closed:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    members: list[int] = []
                    while not members or members[-1] != node:
                        members.append(open_nodes.pop())
                    closed.update(members)
                    components.append(members)
    return components
