"""What the Results pane shows first, as plain data: the comparisons, and one's matrix of agents by figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.agents.names import brief_name
from workbench.evaluation.sections import mark
from workbench.evaluation.words import FIGURES, TITLES, agents_in_order, criteria_of, judge_on, plain_name, planned_of
from workbench.home import Home
from workbench.store.comparisons import comparisons, get_comparison
from workbench.store.conversations import held_counts
from workbench.store.rows import ComparisonRow, HeldRow, SummaryRow
from workbench.store.verdicts import score_summary
from workbench.store.workflows import get_workflow
from workbench.text import clean_line
from workbench.tui.effects import reader
from workbench.tui.format import ago, short
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row

MEASURES = tuple(name for name, _, share in FIGURES if share)
SHARES = frozenset({*MEASURES, "rules_kept", "failures"})
"""Figures in 0 … 1, shown in percent."""
COSTS = (
    ("failures", "task success ≤ 3"),
    ("tokens", "a conversation"),
    ("seconds", "a conversation"),
    ("cost", "$ a conversation"),
)
"""Figures that only the summary has, with what they count."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: an agent's mean. `low`/`high` are its interval where the comparison computed one; `differs`: from the
    agent compared against, after Holm."""

    value: float | None
    n: int
    missing: int = 0
    low: float | None = None
    high: float | None = None
    differs: bool = False


@dataclass(frozen=True)
class Matrix:
    """A comparison, ready to be shown: figures by measure and condition, and what stands beside them."""

    comparison: ComparisonRow
    title: str
    conditions: tuple[str, ...]
    agents: Mapping[str, str]
    measures: tuple[tuple[str, str], ...]
    """(criterion, judge); the judge of a measure is ""."""
    figures: Mapping[tuple[str, str, str], Figure] = field(default_factory=dict)
    """By (criterion, judge, condition)."""
    beside: tuple[Line, ...] = ()
    progress: str = ""
    """How much is there of what was planned, where that is not all."""

    @property
    def summary(self) -> Mapping[str, Any]:
        """The comparison's summary, empty while it is running."""
        return self.comparison.summary

    @property
    def titles(self) -> Mapping[str, str]:
        """What the criteria are called, those of an own rubric too."""
        return {name: title for name, (title, _) in criteria_of(self.summary).items()}

    def row(self, measure: tuple[str, str], selected: str | None, wide: bool) -> Row:
        """A row of the matrix; the figure in the selected column stands between brackets."""
        criterion, judge = measure
        title = self.titles.get(criterion) or TITLES.get(criterion, plain_name(criterion))
        name: Line = ((title, "plain"), (f"  {judge}" if judge else "", "dim"))
        cells = [
            figure_cell(criterion, self.figures.get((criterion, judge, c)), c == selected, wide)
            for c in self.conditions
        ]
        return Row(f"{judge}|{criterion}", (name, *cells))


FIGURE, FIGURE_WIDE, INTERVAL = 4, 6, 10
"""Cells of a value and its interval (where there is room): shares under shares, scores under scores."""


def figure_cell(criterion: str, figure: Figure | None, selected: bool, wide: bool) -> Line:
    """`97% 88–100 ✱`: value, interval, and whether it differs; a judge's score keeps its scale; a dash is not measured."""
    left, right = ("[", "]") if selected else (" ", " ")
    room = FIGURE_WIDE if wide else FIGURE
    if figure is None or figure.value is None:
        return line((left, "accent"), ("–".rjust(room), "dim"), (right, "accent"))
    share = is_share(criterion, figure)
    whole = criterion == "tokens" or figure.value >= 100
    value = f"{figure.value:.0%}" if share else short(figure.value) if whole else f"{figure.value:.2f}"
    if criterion == "cost":
        value = f"{figure.value:.4f}"
    interval = ""
    if figure.low is not None and figure.high is not None:
        places = 2 if wide else 1
        interval = (
            f" {figure.low * 100:.0f}–{figure.high * 100:.0f}"
            if share
            else f" {figure.low:.{places}f}–{figure.high:.{places}f}"
        )
    star = "✱" if figure.differs else " " if wide else ""
    interval = interval.ljust(INTERVAL) if wide else interval
    extra = f"  n {figure.n}" + (f", {figure.missing} missing" if figure.missing else "") if wide else ""
    return line(
        (left, "accent"),
        (value.rjust(room), "strong"),
        (star, "warn"),
        (interval, "dim"),
        (right, "accent"),
        (extra, "dim"),
    )


def is_share(criterion: str, figure: Figure) -> bool:
    """Whether a figure is a share of 0 … 1 rather than a score of 1 … 5 or a count."""
    return criterion in SHARES and figure.value is not None and 0 <= figure.value <= 1


def listing(home: Home) -> list[tuple[ComparisonRow, str]]:
    """All comparisons with their workflows' names, newest first."""
    rec = reader(home)
    found = []
    for row in comparisons(rec):
        workflow = get_workflow(rec, row.workflow_id)
        found.append((row, workflow.name if workflow else row.workflow_id))
    return found


def list_row(row: ComparisonRow, workflow: str) -> Row:
    """A line of the list of comparisons."""
    tones = {"done": "good", "failed": "bad", "running": "accent"}
    return Row(row.id, (row.name, workflow, (row.status, tones.get(row.status, "dim")), (ago(row.created), "dim")))


def matrix(home: Home, comparison_id: str) -> Matrix | None:
    """Read a comparison: from its summary once it has one, else the means so far; no score is read."""
    rec = reader(home)
    row = get_comparison(rec, comparison_id)
    if row is None:
        return None
    workflow = get_workflow(rec, row.workflow_id)
    title = f"{row.name} · {workflow.name if workflow else row.workflow_id}"
    if _mapping(row.summary.get("agents")):
        return _summed_up(row, title)
    means = score_summary(rec, comparison_id)
    conditions = tuple(dict.fromkeys(m.condition for m in sorted(means, key=lambda m: _agent_order(row, m))))
    found = sorted({(m.criterion, m.judge) for m in means}, key=_measure_order)
    figures = {(m.criterion, m.judge, m.condition): Figure(m.mean, m.n, m.missing) for m in means}
    agents = {m.condition: m.agent for m in means}
    held = held_counts(rec, comparison_id)
    so_far = tuple(_so_far(row, held, means))
    return Matrix(row, title, conditions, agents, tuple(found), figures, so_far, progress_of(row, held))


def progress_of(row: ComparisonRow, held: Sequence[HeldRow]) -> str:
    """`37 of 200 conversations` where a comparison has not held all that it was to hold; empty where it has."""
    named = row.config.get("agents")
    planned = [planned_of(row.config, str(agent)) for agent in named] if isinstance(named, list) else []
    whole = sum(n or 0 for n in planned) if planned and None not in planned else None
    done = sum(h.done for h in held)
    if whole is None:
        return "" if row.status == "done" else f"{done:,} conversations so far"
    return f"{done:,} of {whole:,} conversations" if done < whole else ""


def _so_far(row: ComparisonRow, held: Sequence[HeldRow], means: Sequence[SummaryRow]) -> Iterator[Line]:
    """How far a comparison without a summary is, agent by agent and judge by judge."""
    yield line(
        ("means of what there is so far; ", "warn"),
        ("intervals, tests, controls and the labeller's accuracy come at the end", "dim"),
    )
    for h in held:
        planned = planned_of(row.config, h.agent)
        broken = f", {h.broken:,} broken by infrastructure" if h.broken else ""
        yield line(
            (f"{h.condition} ", "dim"),
            (f"{h.done:,}", "strong"),
            f"{f' of {planned:,}' if planned else ''} conversations",
            (broken, "bad"),
        )
    for judge in sorted({m.judge for m in means if m.judge}):
        per = [m for m in means if m.judge == judge]
        most = max(sum(m.n + m.missing for m in per if m.criterion == name) for name in {m.criterion for m in per})
        yield line((f"judge {judge} ", "dim"), (f"{most:,}", "strong"), " judgements")


def _summed_up(row: ComparisonRow, title: str) -> Matrix:
    agents = agents_in_order(row.summary)
    judge = _mapping(row.summary.get("judge"))
    judges = [str(j.get("name")) for j in row.summary.get("judges") or (judge,) if isinstance(j, Mapping)]  # type: ignore[attr-defined]
    figures: dict[tuple[str, str, str], Figure] = {}
    measures: dict[tuple[str, str], None] = {}
    for condition, entry in agents.items():
        for name in MEASURES:
            _put(figures, measures, row, (name, ""), condition, _own(entry, name))
    for name in judges:
        for criterion in criteria_of(row.summary):
            for condition, entry in agents.items():
                judged = _mapping(_mapping(entry.get("judges")).get(name)).get(criterion)
                found = _mapping(judged) or (_own(entry, criterion) if name == judge_on(row.summary, criterion) else {})
                _put(figures, measures, row, (criterion, name), condition, found)
    for name, unit in COSTS:
        for condition, entry in agents.items():
            _put(figures, measures, row, (name, unit), condition, _cost(entry, name))
    names = {str(c): str(_mapping(e).get("agent", c)) for c, e in agents.items()}
    return Matrix(
        row, title, tuple(names), names, tuple(measures), figures, tuple(beside(row.summary)), progress=_partly(agents)
    )


def _partly(agents: Mapping[str, Mapping[str, Any]]) -> str:
    """The same as `progress_of`, of a summary that was made before all was held."""
    planned = sum(int(e.get("planned") or 0) for e in agents.values())
    done = sum(int(e.get("n") or 0) for e in agents.values())
    return f"{done:,} of {planned:,} conversations, 95% intervals" if done < planned else ""


def _put(
    figures: dict[tuple[str, str, str], Figure],
    measures: dict[tuple[str, str], None],
    row: ComparisonRow,
    measure: tuple[str, str],
    condition: str,
    found: Mapping[str, Any],
) -> None:
    value = found.get("mean")
    if not isinstance(value, int | float):
        return
    measures[measure] = None
    differs = bool(mark(row.summary, condition, *measure))
    ends = (found.get("low"), found.get("high"))
    figures[(*measure, condition)] = Figure(
        value, int(found.get("n") or 0), int(found.get("missing") or 0), *ends, differs
    )


def _own(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A figure that stands in the agent's entry itself, with its interval."""
    found = _mapping(_mapping(entry.get("intervals")).get(name))
    return {"n": entry.get("n"), **found, "mean": entry.get(name)}


def _cost(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A figure that has no verdict or measure behind it; the failure rate with its Wilson interval."""
    value = entry.get(name)
    if name == "failures":
        found = _mapping(value)
        return dict(found) | {"mean": found.get("rate")}
    return {"mean": value, "n": entry.get("n")}


def _agent_order(row: ComparisonRow, mean: SummaryRow) -> tuple[int, str]:
    """In the order in which the comparison names its agents; the compiled ones first."""
    named = row.config.get("agents")
    names = [str(agent) for agent in named] if isinstance(named, list) else []
    at = names.index(mean.agent) if mean.agent in names else len(names)
    return (at if names else (0 if mean.agent.startswith("compiled") else 1)), mean.condition


def _measure_order(measure: tuple[str, str]) -> tuple[int, str, str]:
    criterion, judge = measure
    names = [name for name, _, _ in FIGURES]
    return (names.index(criterion) if criterion in names else len(names)), judge, criterion


def beside(summary: Mapping[str, Any]) -> Iterator[Line]:
    """The controls, the labeller's accuracy, judges and user: what says how far the figures can be trusted."""
    accuracy = summary.get("labeller_accuracy")
    if isinstance(accuracy, int | float):
        reliable: Span = ("✓ reliable", "good") if accuracy >= 0.95 else ("✗ below 95%: adherence is unreliable", "bad")
        yield line(("labeller accuracy ", "dim"), (f"{accuracy:.1%}  ", "strong"), reliable)
    controls = _mapping(summary.get("controls"))
    if controls:
        failed = [name for name, control in controls.items() if not _mapping(control).get("passed")]
        word: Span = ("✗ failed: " + ", ".join(failed), "bad") if failed else ("✓ passed", "good")
        yield line(("controls ", "dim"), (f"{len(controls) - len(failed)} of {len(controls)}  ", "strong"), word)
    hidden = summary.get("not_reported")
    if isinstance(hidden, list) and hidden:
        yield line(("not reported, since a control failed: ", "bad"), ", ".join(map(str, hidden)))
    judges = summary.get("judges") or ([summary["judge"]] if summary.get("judge") else [])
    for judge in (_mapping(j) for j in judges):
        gone = judge.get("missing")
        said = ", ".join(map(str, judge.get("not_judged") or ()))
        yield line(
            ("judge ", "dim"),
            f"{judge.get('name')}{', offline' if judge.get('offline') else ''}",
            (f"  rubric {judge.get('rubric')}", "dim"),
            (f"  {gone} verdicts missing" if gone else "", "bad"),
            (f"  not judged: {said}" if said else "", "dim"),
        )
    if summary.get("user"):
        offline = ", offline" if summary.get("user") == "agenda" else ""
        yield line(("simulated user ", "dim"), f"{summary.get('user')}{offline}")
    yield from _baselines(summary)
    tests = _mapping(summary.get("comparison"))
    if tests.get("tests"):
        yield line(("✱ ", "warn"), f"differs from {tests.get('against')}, p < .05 after Holm; p shows the tests")
    if isinstance(summary.get("statement"), str):
        yield line((clean_line(str(summary["statement"]), 400), "strong"))


def _baselines(summary: Mapping[str, Any]) -> Iterator[Line]:
    """Which agents are there only as untrained baselines."""
    for name, entry in _mapping(summary.get("agents")).items():
        entry = _mapping(entry)
        if entry.get("baseline"):
            yield line((f"{name} ", "plain"), (f"{entry['baseline']}, n = {entry.get('n')}", "warn"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def measure_of(row_id: str) -> tuple[str, str]:
    """(criterion, judge) of a matrix row's id; costs and failures have no judge."""
    judge, _, criterion = row_id.rpartition("|")
    return criterion, "" if (criterion, judge) in COSTS else judge


def columns_of(conditions: Sequence[str]) -> list[str]:
    """Column titles: condition names, cleaned."""
    return [clean_line(brief_name(condition), 40) for condition in conditions]
