"""What changed between two versions of a workflow, which paths that concerns, and what made from it is stale.

Parts are compared by the hashes of their meaning, so comments, layout and the order of keys do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields

from workbench.workflow.hashing import digest, edge_hash, meaning, node_hash, variable_hash
from workbench.workflow.model import Condition, Edge, Node, Phrasing, Workflow
from workbench.workflow.situation import placeholders
from workbench.workflow.summary import bounded_space


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids added and removed, and for each changed one the names of the fields that differ."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: Mapping[str, tuple[str, ...]]

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class PathChanges:
    """Numbers of paths: only in the new version, only in the old, in both but through a changed part, and unchanged."""

    new: int
    gone: int
    touched: int
    same: int


@dataclass(frozen=True, slots=True)
class Difference:
    """`settings` names changed fields of the workflow itself. `paths` is None where they are too many to count."""

    nodes: Changes
    edges: Changes
    variables: Changes
    personas: Changes
    deviations: Changes
    settings: tuple[str, ...]
    prompts: tuple[str, ...]
    paths: PathChanges | None

    @property
    def same(self) -> bool:
        """Whether the two say the same."""
        parts = (self.nodes, self.edges, self.variables, self.personas, self.deviations, self.settings)
        return not any(parts)


def compare(before: Workflow, after: Workflow) -> Difference:
    """Everything that differs, and how many paths are new, gone or touched by it. Exact; UserError for huge graphs."""
    nodes = _changes(before.nodes, after.nodes, before, after, node_hash)
    edges = _changes(before.edge, after.edge, before, after, edge_hash)
    variables = _changes(before.variables, after.variables, before, after, variable_hash)
    settings = ("title", "instruction", "context", "max_visits", "description", "start")
    return Difference(
        nodes=nodes,
        edges=edges,
        variables=variables,
        personas=_named(before.personas, after.personas),
        deviations=_named(before.deviations, after.deviations),
        settings=tuple(name for name in settings if getattr(before, name) != getattr(after, name)),
        prompts=tuple(id for id, parts in nodes.changed.items() if "prompt" in parts),
        paths=_paths(before, after),
    )


def _changes(
    old: Mapping[str, object],
    new: Mapping[str, object],
    before: Workflow,
    after: Workflow,
    hash_of: Callable[[Workflow, str], str],
) -> Changes:
    changed = {k: _fields(old[k], new[k]) for k in old if k in new and hash_of(before, k) != hash_of(after, k)}
    return Changes(tuple(k for k in new if k not in old), tuple(k for k in old if k not in new), changed)


def _named(old: Iterable[object], new: Iterable[object]) -> Changes:
    a = {str(getattr(item, "id")): item for item in old}  # noqa: B009  # personas and deviations share no base
    b = {str(getattr(item, "id")): item for item in new}  # noqa: B009
    changed = {k: _fields(a[k], b[k]) for k in a if k in b and digest(meaning(a[k])) != digest(meaning(b[k]))}
    return Changes(tuple(k for k in b if k not in a), tuple(k for k in a if k not in b), changed)


def _fields(old: object, new: object) -> tuple[str, ...]:
    names = [f.name for f in fields(old) if f.name != "line"]  # type: ignore[arg-type]  # all parts are dataclasses
    return tuple(n for n in names if digest(meaning(getattr(old, n))) != digest(meaning(getattr(new, n))))


def _paths(before: Workflow, after: Workflow) -> PathChanges | None:
    """A path stays if all its edges do and it is a path of both: counted by leaving out what is not common."""
    space, other = bounded_space(before), bounded_space(after)
    if not (space.exact and other.exact):
        return None
    if before.start != after.start:
        return PathChanges(other.count(), space.count(), 0, 0)
    lost = [edge.id for edge in before.edges if not _common(edge, before, after)]
    kept = bounded_space(before, min(before.max_visits, after.max_visits)).avoiding(*lost)
    changed = {*_touched_nodes(before, after), *_touched_edges(before, after)} - set(lost)
    count = kept.count()
    same = 0 if before.context != after.context else kept.avoiding(*changed).count()
    return PathChanges(other.count() - count, space.count() - count, count - same, same)


def _common(edge: Edge, before: Workflow, after: Workflow) -> bool:
    """Whether an edge leads between the same nodes in both, neither of which has become or ceased to be a terminal."""
    twin = after.edge.get(edge.id)
    if twin is None or (twin.source, twin.target) != (edge.source, edge.target):
        return False
    return all(
        (before.nodes[end].role == "terminal") == (after.nodes[end].role == "terminal")
        for end in (edge.source, edge.target)
    )


def _changed_variables(before: Workflow, after: Workflow) -> set[str]:
    return {
        name
        for name in before.variables
        if name not in after.variables or variable_hash(before, name) != variable_hash(after, name)
    }


def _touched_nodes(before: Workflow, after: Workflow) -> Iterator[str]:
    fresh = _changed_variables(before, after)
    for node in before.nodes.values():
        if node.id in after.nodes and (
            node_hash(before, node.id) != node_hash(after, node.id) or node_variables(node) & fresh
        ):
            yield node.id


def _touched_edges(before: Workflow, after: Workflow) -> Iterator[str]:
    fresh = _changed_variables(before, after)
    for edge in before.edges:
        if edge.id in after.edge and (
            edge_hash(before, edge.id) != edge_hash(after, edge.id) or edge_variables(edge) & fresh
        ):
            yield edge.id


def node_variables(node: Node) -> set[str]:
    """The variables that a node's wordings, moves and prompt read or set."""
    found = set(placeholders(node.prompt)) | _spoken(node.say)
    for move in node.moves:
        found |= _spoken(move.say) | set(move.sets) | set(move.sets.values())
    return found


def edge_variables(edge: Edge) -> set[str]:
    """The variables that an edge's condition and wordings read."""
    return _spoken(edge.say) | _read(edge.when)


def _spoken(phrasings: Iterable[Phrasing]) -> set[str]:
    found: set[str] = set()
    for phrasing in phrasings:
        found |= _read(phrasing.when)
        found |= {name for text in (*phrasing.pool.training, *phrasing.pool.evaluation) for name in placeholders(text)}
    return found


def _read(condition: Condition | None) -> set[str]:
    return {*condition.variables, *condition.bounds} if condition else set()


def parts_used(
    workflow: Workflow,
    path: Iterable[str],
    moves: Iterable[tuple[str, str]] = (),
    persona: str | None = None,
    deviations: Iterable[str] = (),
) -> dict[str, str]:
    """What a dialogue along `path` (edge ids) used, by name, each with its hash; missing parts hash as "".

    `moves` are the (user node, move) pairs it took; a user node without one counts with all its moves. At a hub the
    conditions asked before the one that held count too, since they could have taken the dialogue elsewhere.
    """
    taken: dict[str, set[str]] = {}
    for node, move in moves:
        taken.setdefault(node, set()).add(move)
    used: dict[str, str] = {"context": digest(workflow.context)}
    names: set[str] = set()
    ends = [workflow.edge[name] for name in path if name in workflow.edge]
    used |= {f"edge {name}": "" for name in path if name not in workflow.edge}
    for visited in dict.fromkeys([workflow.start, *(end for edge in ends for end in (edge.source, edge.target))]):
        found = workflow.nodes[visited]
        kept = tuple(m for m in found.moves if visited not in taken or m.id in taken[visited])
        used[f"node {visited}"] = digest(meaning([found.role, found.prompt, found.say, kept, found.outcome]))
        names |= node_variables(Node(found.id, found.role, found.prompt, found.say, kept))
    for edge in {edge.id: edge for edge in ends}.values():
        used[f"edge {edge.id}"] = digest([edge_hash(workflow, edge.id), [meaning(c) for c in _asked(workflow, edge)]])
        names |= edge_variables(edge)
    used |= {f"variable {n}": variable_hash(workflow, n) if n in workflow.variables else "" for n in sorted(names)}
    for kind, wanted, items in (
        ("persona", [persona] if persona else [], {p.id: meaning(p) for p in workflow.personas}),
        ("deviation", deviations, {d.id: meaning(d) for d in workflow.deviations}),
    ):
        used |= {f"{kind} {name}": digest(items[name]) if name in items else "" for name in wanted}
    return used


def _asked(workflow: Workflow, edge: Edge) -> list[Condition | None]:
    """The conditions of the siblings that are tried before this edge is taken."""
    siblings = workflow.out[edge.source]
    if edge.when is not None and edge.when.otherwise:
        return [other.when for other in siblings if other is not edge]
    return [other.when for other in siblings[: siblings.index(edge)] if not (other.when and other.when.otherwise)]


def stale_parts(
    before: Workflow,
    after: Workflow,
    path: Iterable[str],
    moves: Iterable[tuple[str, str]] = (),
    persona: str | None = None,
    deviations: Iterable[str] = (),
) -> tuple[str, ...]:
    """The parts a dialogue used that `after` lacks or words otherwise; empty if the dialogue is still fresh."""
    edges, pairs, added = tuple(path), tuple(moves), tuple(deviations)
    old = parts_used(before, edges, pairs, persona, added)
    new = parts_used(after, edges, pairs, persona, added)
    return tuple(name for name, value in old.items() if new.get(name) != value)
