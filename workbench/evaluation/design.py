"""Designed scenarios: an evaluation's set covers the procedure and its users instead of being drawn blindly.

Paths are chosen by stratum (terminal × length in thirds), every hub choice first; among several scenarios of a path the one
is taken that fills what is rarest so far: persona, kind of deviation, how specific the user is, how content, and whether
the wish can be met. At least a third deviates. Since rare strata are over-represented on purpose, each scenario carries the
weight that undoes it: the mean so weighted is the mean over paths drawn uniformly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from random import Random
from typing import Any

from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import expected_path, scenario_for_path
from workbench.dialogue.speech import find_deviation
from workbench.store.record import Record
from workbench.store.scenarios import iterate_scenarios
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import Split, Workflow
from workbench.workflow.paths import PathSpace

LEAST_DEVIATING = 1 / 3
"""The least share of scenarios with a deviation."""
_CANDIDATES = 8
_BANDS = ("short", "middle", "long")

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traits:
    """What a scenario stands for in the design. `weight` is 1 on average over the set."""

    stratum: str
    weight: float
    persona: str
    specificity: str
    satisfaction: str
    wish: str
    deviations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Design:
    """A frozen set of scenarios with their traits. `hash` names the set: the scenarios' ids in order, and the weights."""

    scenarios: tuple[Scenario, ...]
    traits: Mapping[str, Traits]

    @property
    def hash(self) -> str:
        """The same for the same scenarios with the same weights."""
        return digest([[s.id, round(self.traits[s.id].weight, 6)] for s in self.scenarios])

    def summary(self) -> dict[str, Any]:
        """How many scenarios stand for what, for reports."""
        rows = [self.traits[s.id] for s in self.scenarios]
        names = ("stratum", "persona", "specificity", "satisfaction", "wish")
        counts: dict[str, Any] = {name: dict(sorted(Counter(getattr(t, name) for t in rows).items())) for name in names}
        kinds = Counter(kind for t in rows for kind in t.deviations or ("none",))
        return counts | {"deviation": dict(sorted(kinds.items())), "deviating": sum(bool(t.deviations) for t in rows)}


def design(workflow: Workflow, n: int, split: Split, seed: int) -> Design:
    """`n` scenarios of a split, all different. The same arguments give the same set; the last few are remembered."""
    key = (workflow_hash(workflow), n, split, seed)
    if key not in _DESIGNED:
        while len(_DESIGNED) >= _REMEMBERED:
            _DESIGNED.pop(next(iter(_DESIGNED)), None)
        _DESIGNED[key] = _made(workflow, n, split, seed)
    return _DESIGNED[key]


_DESIGNED: dict[tuple[str, int, Split, int], Design] = {}
_REMEMBERED = 4
"""Sets kept: a form asks for the same one again at every key."""


def _made(workflow: Workflow, n: int, split: Split, seed: int) -> Design:
    rng = Random(f"design|{workflow_hash(workflow)}|{n}|{split}|{seed}")
    strata = _strata(workflow)
    balance: Counter[tuple[str, str]] = Counter()
    scenarios: list[Scenario] = []
    contents: set[str] = set()
    deviating = 0
    for place, path in enumerate(_paths(workflow, strata, n, rng)):
        owed = deviating < LEAST_DEVIATING * (len(scenarios) + 1)
        chosen = _rarest(workflow, path, split, seed * 1_000_003 + place * 101, balance, contents, owed)
        balance.update(_labels(workflow, chosen))
        scenarios.append(chosen)
        contents.add(_content(chosen))
        deviating += bool(chosen.deviations)
    return weigh(workflow, scenarios, strata)


def weigh(workflow: Workflow, scenarios: Sequence[Scenario], strata: Mapping[str, PathSpace] | None = None) -> Design:
    """The traits and weights of a given set, however it came about (a data set's test scenarios, say).

    weight = the stratum's share of all paths ÷ its share of the set, scaled to 1 on average; strata without a scenario
    are in nobody's weight.
    """
    strata = _strata(workflow) if strata is None else strata
    where = {s.id: _stratum_of(workflow, strata, expected_path(workflow, s)) for s in scenarios}
    taken = Counter(where.values())
    paths = {name: float(strata[name].size().least) for name in taken}
    total = sum(paths.values()) or 1.0
    traits = {}
    for s in scenarios:
        labels = dict(_labels(workflow, s))
        traits[s.id] = Traits(
            stratum=where[s.id],
            weight=paths[where[s.id]] / total / (taken[where[s.id]] / len(scenarios)),
            persona=s.persona,
            specificity=labels["specificity"],
            satisfaction=labels["satisfaction"],
            wish=labels["wish"],
            deviations=s.deviations,
        )
    return Design(tuple(scenarios), traits)


def shared_with_training(rec: Record, workflow: Workflow, scenarios: Sequence[Scenario], split: Split) -> list[str]:
    """What the set shares with training (and, in the test split, with dev) scenarios of the record and must not."""
    others: tuple[Split, ...] = ("train", "dev") if split == "test" else ("train",)
    workflow_id = workflow_hash(workflow)
    open_names = [v.name for v in workflow.variables.values() if v.type != "choice"]
    contents = [_content(s) for s in scenarios]
    values = {(n, str(s.variables[n])) for s in scenarios for n in open_names if n in s.variables}
    same: set[str] = set()
    taken: set[tuple[str, str]] = set()
    own = set(contents)
    for known in (s for other in others for s in iterate_scenarios(rec, workflow_id, other)):
        same |= own & {_content(known)}
        taken |= values & {(name, str(value)) for name, value in known.variables.items()}
    found = [f"scenario {s.id}" for s, content in zip(scenarios, contents, strict=True) if content in same]
    for s in scenarios:
        found += [f"{n} '{s.variables[n]}'" for n in open_names if (n, str(s.variables.get(n))) in taken]
    return list(dict.fromkeys(found))


def _content(scenario: Scenario) -> str:
    return digest([scenario.variables, scenario.persona, [asdict(p) for p in scenario.plan]])


def _strata(workflow: Workflow) -> dict[str, PathSpace]:
    """`terminal, band` → its paths. Bands are thirds of a terminal's paths by length, empty ones left out."""
    strata: dict[str, PathSpace] = {}
    for terminal in workflow.terminals:
        space = PathSpace(workflow).terminal(terminal)
        if not space:
            continue
        if not space.exact:
            strata[terminal] = space
            continue
        lengths = sorted(space.by_steps().items())
        total = space.count()
        bands: dict[str, list[int]] = {}
        for (steps, count), upto in zip(lengths, accumulate(c for _, c in lengths), strict=True):
            middle = (upto - count / 2) / total
            bands.setdefault(_BANDS[min(2, int(3 * middle))], []).append(steps)
        for band, steps_in in bands.items():
            strata[f"{terminal}, {band}"] = space.steps(min(steps_in), max(steps_in))
    return strata


def _stratum_of(workflow: Workflow, strata: Mapping[str, PathSpace], path: Path) -> str:
    terminal = workflow.edge[path[-1]].target
    names = [name for name in strata if name == terminal or name.startswith(f"{terminal}, ")]
    steps = len(path) + 1
    for name in names:
        low, high = strata[name].step_range() or (0, 0)
        if low <= steps <= high:
            return name
    return names[-1] if names else terminal


def _paths(workflow: Workflow, strata: Mapping[str, PathSpace], n: int, rng: Random) -> list[Path]:
    """Every hub choice first, then strata in proportion to the square root of their paths: rare ones are seen."""
    chosen: list[Path] = list(PathSpace(workflow).cover("hub choices"))
    rng.shuffle(chosen)
    chosen = chosen[:n]
    taken = Counter(_stratum_of(workflow, strata, path) for path in chosen)
    share = {name: space.size().least ** 0.5 for name, space in strata.items()}
    seen = set(chosen)
    while strata and len(chosen) < n:
        name = min(strata, key=lambda s: (taken[s] + 0.5) / share[s])
        path = _draw(strata[name], rng, seen)
        chosen.append(path)
        seen.add(path)
        taken[name] += 1
    rng.shuffle(chosen)
    return chosen


def _draw(space: PathSpace, rng: Random, seen: set[Path]) -> Path:
    """A path of the stratum, a new one if a few tries find one."""
    path: Path = ()
    for _ in range(_CANDIDATES):
        path = space[rng.randrange(space.count())] if space.exact else space.sample(1, seed=rng.randrange(2**32))[0]
        if path not in seen:
            break
    return path


def _rarest(
    workflow: Workflow,
    path: Path,
    split: Split,
    seed: int,
    balance: Mapping[tuple[str, str], int],
    contents: Collection[str],
    owed: bool,
) -> Scenario:
    """Of a few scenarios of the path, none with one of the `contents`, the one whose labels are rarest so far; a deviating
    one if one is owed."""
    found: list[Scenario] = []
    for attempt in range(_CANDIDATES * 4):
        share = 1.0 if owed or attempt % 2 else 0.0
        candidate = scenario_for_path(workflow, path, split, seed + attempt, share)
        if _content(candidate) not in contents:
            found.append(candidate)
        if len(found) == _CANDIDATES:
            break
    found = found or [candidate]

    def crowd(scenario: Scenario) -> tuple[bool, float]:
        counts = [balance.get(label, 0) for label in _labels(workflow, scenario)]
        return owed and not scenario.deviations, sum(counts) / len(counts)

    return min(found, key=crowd)


def _labels(workflow: Workflow, scenario: Scenario) -> list[tuple[str, str]]:
    """(dimension, value) of everything that is balanced."""
    moves = [workflow.nodes[p.node].move(p.move) for p in scenario.plan]
    told = {trait for move in moves for trait in move.traits}
    kinds = {move.deviation for move in moves} | {
        d.kind for p in scenario.plan if (d := find_deviation(workflow, p.deviation)) is not None
    }
    content = "dissatisfied" if "dissatisfied" in told or "refuses" in kinds else "satisfied"
    return [
        ("persona", scenario.persona),
        ("specificity", "unspecific" if "unspecific" in told or "vague" in kinds else "specific"),
        ("satisfaction", content),
        ("wish", "unrealistic" if "unrealistic" in told else "realistic"),
        *[("deviation", kind) for kind in scenario.deviations or ("none",)],
    ]
