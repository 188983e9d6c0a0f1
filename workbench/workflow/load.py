"""From a workflow file to a `Workflow`. Structural faults raise; everything else is for `workbench.workflow.check`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from workbench.errors import UserError
from workbench.workflow.model import (
    Condition,
    Deviation,
    Edge,
    Move,
    Node,
    OrderRule,
    Persona,
    Phrasing,
    Pool,
    Variable,
    Workflow,
)
from workbench.workflow.source import Place, Source, read_file, read_text

T = TypeVar("T")
SUFFIXES = (".yaml", ".yml", ".json")


def workflow_folders() -> list[Path]:
    """Where a bare workflow name is looked up: the current folder's `workflows/`, then the checkout's."""
    checkout = Path(__file__).resolve().parents[2] / "workflows"
    return [f for f in dict.fromkeys((Path.cwd() / "workflows", checkout)) if f.is_dir()]


def find_workflow(name: str) -> Path:
    """The file for a path or a bare name. Raises UserError naming the known workflows if there is none."""
    path = Path(name).expanduser()
    if path.suffix in SUFFIXES or path.exists():
        return path
    for folder in workflow_folders():
        for suffix in SUFFIXES:
            if (found := folder / f"{name}{suffix}").is_file():
                return found
    known = ", ".join(p.stem for p in known_workflows()) or "none found"
    raise UserError(f"no workflow named '{name}' (known: {known}); give one of these or the path of a file")


def known_workflows() -> list[Path]:
    """Workflow files that can be named without a path, first come first served."""
    found: dict[str, Path] = {}
    for folder in workflow_folders():
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and path.name != "schema.json":
                found.setdefault(path.stem, path)
    return list(found.values())


def load_workflow(name: str | Path) -> Workflow:
    """The workflow of a file or a bare name. Raises UserError (`file:line:column: what, how to mend`) if malformed."""
    return build_workflow(read_file(find_workflow(str(name))))


def parse_workflow(text: str, name: str = "<text>") -> Workflow:
    """The workflow written in `text`. Raises UserError as `load_workflow` does."""
    return build_workflow(read_text(text, name))


def build_workflow(source: Source) -> Workflow:
    """Turn read data into a Workflow; raises UserError at the first thing that has not the right form."""
    return _Builder(source).workflow()


class _Builder:
    """Holds the source so that every fault can say where it stands."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def fail(self, place: Place, what: str) -> NoReturn:
        raise UserError(f"{self.source.where(*place)}: {what}")

    def mapping(self, data: Any, place: Place, known: tuple[str, ...] = ()) -> Mapping[str, Any]:
        if data is None:
            return {}
        if not isinstance(data, dict):
            self.fail(place, f"expected a mapping, found {_kind(data)}")
        for key in data:
            if known and key not in known:
                self.fail((*place, key), f"unknown key '{key}' (known here: {', '.join(known)})")
        return data

    def items(self, data: Any, place: Place, build: Callable[[Any, Place], T]) -> tuple[T, ...]:
        if data is None:
            return ()
        if not isinstance(data, list):
            self.fail(place, f"expected a list, found {_kind(data)}")
        return tuple(build(item, (*place, i)) for i, item in enumerate(data))

    def text(self, data: Mapping[str, Any], key: str, place: Place, default: str | None = None) -> str:
        value = data.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            self.fail((*place, key), f"'{key}' is missing" if value is None else f"'{key}' must be text")
        return value

    def value(self, data: Any, place: Place) -> str | int:
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail(place, f"expected text or a whole number, found {_kind(data)}")
        return data

    def words(self, data: Any, place: Place) -> tuple[str, ...]:
        return tuple(str(v) for v in self.items(data, place, self.value))

    def names(self, data: Any, place: Place) -> Mapping[str, str]:
        return {k: str(self.value(v, (*place, k))) for k, v in self.mapping(data, place).items()}

    def pool(self, data: Any, place: Place) -> Pool:
        fields = self.mapping(data, place, ("training", "evaluation", "when"))
        return Pool(
            self.words(fields.get("training"), (*place, "training")),
            self.words(fields.get("evaluation"), (*place, "evaluation")),
        )

    def phrasing(self, data: Any, place: Place) -> Phrasing:
        pool = self.pool(data, place)
        when = self.mapping(data, place).get("when")
        return Phrasing(pool, self.condition(when, (*place, "when")))

    def say(self, data: Any, place: Place) -> tuple[Phrasing, ...]:
        """One mapping, or a list of mappings of which the first whose `when` holds is used."""
        if isinstance(data, dict):
            return (self.phrasing(data, place),)
        return self.items(data, place, self.phrasing)

    def condition(self, data: Any, place: Place) -> Condition | None:
        if data is None:
            return None
        fields = self.mapping(data, place, ("moves", "visits", "variables", "otherwise"))
        values: dict[str, tuple[str | int, ...]] = {}
        bounds: dict[str, tuple[int | None, int | None]] = {}
        for name, wanted in self.mapping(fields.get("variables"), (*place, "variables")).items():
            here = (*place, "variables", name)
            if isinstance(wanted, dict):
                limits = self.mapping(wanted, here, ("at_least", "at_most"))
                bounds[name] = (self.number(limits.get("at_least"), here), self.number(limits.get("at_most"), here))
            elif isinstance(wanted, list):
                values[name] = self.items(wanted, here, self.value)
            else:
                values[name] = (self.value(wanted, here),)
        visits = self.items(fields.get("visits"), (*place, "visits"), self.value)
        if any(not isinstance(v, int) or v < 1 for v in visits):
            self.fail((*place, "visits"), "visit numbers are whole numbers from 1")
        return Condition(
            moves=self.words(fields.get("moves"), (*place, "moves")),
            visits=tuple(int(v) for v in visits),
            variables=values,
            bounds=bounds,
            otherwise=fields.get("otherwise") is True,
        )

    def number(self, data: Any, place: Place) -> int | None:
        if data is not None and (isinstance(data, bool) or not isinstance(data, int)):
            self.fail(place, "expected a whole number")
        return data

    def move(self, data: Any, place: Place) -> Move:
        fields = self.mapping(data, place, ("id", "description", "say", "sets", "deviation", "traits"))
        return Move(
            id=self.text(fields, "id", place),
            say=self.say(fields.get("say"), (*place, "say")),
            description=self.text(fields, "description", place, ""),
            sets=self.names(fields.get("sets"), (*place, "sets")),
            deviation=fields.get("deviation"),
            traits=self.words(fields.get("traits"), (*place, "traits")),
        )

    def rule(self, data: Any, place: Place) -> OrderRule:
        fields = self.mapping(data, place, ("must_precede", "never_before"))
        named = {key: self.words(value, (*place, key)) for key, value in fields.items()}
        if len(named) != 1 or any(len(pair) != 2 for pair in named.values()):
            self.fail(place, "a rule is 'must_precede: [a, b]' or 'never_before: [b, a]'")
        if "must_precede" in named:
            return OrderRule(*named["must_precede"])
        return OrderRule(*reversed(named["never_before"]))

    def node(self, data: Any, place: Place) -> Node:
        fields = self.mapping(data, place, ("id", "role", "start", "prompt", "say", "moves", "outcome"))
        role = self.text(fields, "role", place)
        if role not in ("agent", "user", "terminal"):
            self.fail((*place, "role"), f"unknown role '{role}' (agent, user or terminal)")
        return Node(
            id=self.text(fields, "id", place),
            role=role,  # type: ignore[arg-type]  # checked above
            prompt=self.text(fields, "prompt", place, ""),
            say=self.say(fields.get("say"), (*place, "say")),
            moves=self.items(fields.get("moves"), (*place, "moves"), self.move),
            outcome=fields.get("outcome"),
            line=self.source.at(*place)[0],
        )

    def edges(self, nodes: Mapping[str, Node]) -> tuple[Edge, ...]:
        taken: dict[str, int] = {}

        def edge(data: Any, place: Place) -> Edge:
            fields = self.mapping(data, place, ("id", "from", "to", "condition", "when", "say"))
            source, target = self.text(fields, "from", place), self.text(fields, "to", place)
            for key, end in (("from", source), ("to", target)):
                if end not in nodes:
                    self.fail((*place, key), f"no node '{end}'; mend the name or add the node")
            name = self.text(fields, "id", place, f"{source}>{target}")
            taken[name] = taken.get(name, 0) + 1
            if taken[name] > 1:
                if "id" in fields:
                    self.fail((*place, "id"), f"edge id '{name}' is used twice")
                name = f"{name}#{taken[name]}"
            return Edge(
                id=name,
                source=source,
                target=target,
                condition=self.text(fields, "condition", place, ""),
                when=self.condition(fields.get("when"), (*place, "when")),
                say=self.say(fields.get("say"), (*place, "say")),
                line=self.source.at(*place)[0],
            )

        return self.items(self.source.data.get("edges"), ("edges",), edge)

    def variable(self, name: str, data: Any, place: Place) -> Variable:
        known = ("type", "description", "values", "low", "high", "step", "given", "after", "differs_from")
        fields = self.mapping(data, place, known)
        kind = self.text(fields, "type", place)
        if kind not in ("choice", "text", "integer", "date"):
            self.fail((*place, "type"), f"unknown type '{kind}' (choice, text, integer or date)")
        after = fields.get("after")
        if after is not None and not (
            isinstance(after, list) and len(after) == 3 and all(type(days) is int for days in after[1:])
        ):
            self.fail((*place, "after"), "'after' is [date variable, least days, most days]")
        given: dict[str, dict[str | int, tuple[str | int, ...]]] = {}
        for other, table in self.mapping(fields.get("given"), (*place, "given")).items():
            here = (*place, "given", other)
            given[other] = {
                value: self.items(v, (*here, value), self.value) for value, v in self.mapping(table, here).items()
            }
        return Variable(
            name=name,
            type=kind,  # type: ignore[arg-type]  # checked above
            values=self.items(fields.get("values"), (*place, "values"), self.value),
            low=fields.get("low"),
            high=fields.get("high"),
            step=self.number(fields.get("step", 1), (*place, "step")) or 1,
            given=given,
            after=(str(after[0]), after[1], after[2]) if after else None,
            differs_from=fields.get("differs_from"),
            description=self.text(fields, "description", place, ""),
        )

    def deviation(self, data: Any, place: Place) -> Deviation:
        fields = self.mapping(data, place, ("id", "kind", "at", "say", "reply", "sets"))
        at = self.mapping(fields.get("at"), (*place, "at"))
        return Deviation(
            id=self.text(fields, "id", place),
            kind=self.text(fields, "kind", place),
            at={node: self.words(moves, (*place, "at", node)) for node, moves in at.items()},
            say=self.pool(fields.get("say"), (*place, "say")),
            reply=self.pool(fields.get("reply"), (*place, "reply")),
            sets=self.names(fields.get("sets"), (*place, "sets")),
        )

    def persona(self, data: Any, place: Place) -> Persona:
        fields = self.mapping(data, place, ("id", "description", "before"))
        return Persona(
            self.text(fields, "id", place),
            self.text(fields, "description", place, ""),
            self.pool(fields.get("before"), (*place, "before")),
        )

    def workflow(self) -> Workflow:
        if not isinstance(self.source.data, dict):
            raise UserError(
                f"{self.source.name}:1: not a workflow: expected a mapping with 'name', 'nodes' and 'edges'"
            )
        known = ("name", "title", "description", "instruction", "context", "max_visits", "variables", "personas",
                 "deviations", "nodes", "edges", "rules")  # fmt: skip
        data = self.mapping(self.source.data, (), known)
        nodes: dict[str, Node] = {}
        starts: list[str] = []
        for i, node in enumerate(self.items(data.get("nodes"), ("nodes",), self.node)):
            if node.id in nodes:
                self.fail(("nodes", i, "id"), f"node id '{node.id}' is used twice")
            nodes[node.id] = node
            if data["nodes"][i].get("start") is True:
                starts.append(node.id)
        if len(starts) != 1:
            found = f"{len(starts)} nodes are" if starts else "no node is"
            self.fail(("nodes",), f"{found} marked 'start: true'; mark exactly one")
        max_visits = self.number(data.get("max_visits", 2), ("max_visits",)) or 0
        if not 1 <= max_visits <= 9:
            self.fail(("max_visits",), "'max_visits' is a whole number from 1 to 9")
        variables = self.mapping(data.get("variables"), ("variables",))
        return Workflow(
            name=self.text(data, "name", ()),
            title=self.text(data, "title", (), self.text(data, "name", ())),
            description=self.text(data, "description", (), ""),
            instruction=self.text(data, "instruction", ()),
            context=self.text(data, "context", (), ""),
            nodes=nodes,
            edges=self.edges(nodes),
            start=starts[0],
            variables={n: self.variable(n, v, ("variables", n)) for n, v in variables.items()},
            deviations=self.items(data.get("deviations"), ("deviations",), self.deviation),
            personas=self.items(data.get("personas"), ("personas",), self.persona) or (Persona("plain"),),
            max_visits=max_visits,
            source=self.source.name,
            rules=self.items(data.get("rules"), ("rules",), self.rule),
        )


def _kind(data: Any) -> str:
    return {dict: "a mapping", list: "a list", str: "text", int: "a number", bool: "a boolean"}.get(
        type(data), "nothing"
    )
