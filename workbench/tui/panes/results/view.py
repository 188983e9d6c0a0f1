"""What the Results pane shows, as plain data: the matrix of figures, the tests beside it, the conversations behind it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.home import Home
from workbench.store.comparisons import comparisons, get_comparison
from workbench.store.conversations import ConversationFilter, conversations, get_conversation
from workbench.store.rows import ComparisonRow, ConversationRow, SummaryRow
from workbench.store.verdicts import measures, score_summary, scores, verdicts
from workbench.store.workflows import get_workflow
from workbench.text import clean_line
from workbench.tui.effects import reader
from workbench.tui.format import ago, dollars
from workbench.tui.widgets.messages import spoken
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble

ORDER = ("right_terminal", "fitness", "hub_choice", "slot_accuracy", "task_success")
"""Measures that come first, in this order; others follow by name."""
SHARES = frozenset(
    {"right_terminal", "fitness", "hub_choice", "slot_accuracy", "failure", "failure_rate", "task_success"}
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: an agent's mean on a measure. `low`/`high` are its interval where the comparison computed one."""

    value: float | None
    n: int
    missing: int = 0
    low: float | None = None
    high: float | None = None


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

    def row(self, measure: tuple[str, str], selected: str | None, wide: bool) -> Row:
        """A row of the matrix; the figure in the selected column stands between brackets."""
        criterion, judge = measure
        name: Line = ((criterion.replace("_", " "), "plain"), (f"  {judge}" if judge else "", "dim"))
        cells = [
            figure_cell(criterion, self.figures.get((criterion, judge, c)), c == selected, wide)
            for c in self.conditions
        ]
        return Row(f"{judge}|{criterion}", (name, *cells))


def figure_cell(criterion: str, figure: Figure | None, selected: bool, wide: bool) -> Line:
    """`97% 88–100`: value and interval; a judge's score keeps its scale; nothing measured is a dash."""
    left, right = ("[", "]") if selected else (" ", " ")
    if figure is None or figure.value is None:
        return line((left, "accent"), ("–", "dim"), (right, "accent"))
    share = is_share(criterion, figure)
    value = f"{figure.value:.0%}" if share else f"{figure.value:.2f}"
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = (
            f" {figure.low * 100:.0f}–{figure.high * 100:.0f}" if share else f" {figure.low:.2f}–{figure.high:.2f}"
        )
    extra = f"  n {figure.n}" + (f", {figure.missing} missing" if figure.missing else "") if wide else ""
    return line((left, "accent"), (value, "strong"), (interval, "dim"), (right, "accent"), (extra, "dim"))


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
    """Read a comparison: means from the record, intervals and tests from its summary once it has one."""
    rec = reader(home)
    row = get_comparison(rec, comparison_id)
    if row is None:
        return None
    means = score_summary(rec, comparison_id)
    conditions = tuple(dict.fromkeys(m.condition for m in sorted(means, key=lambda m: _agent_order(row, m))))
    found = sorted({(m.criterion, m.judge) for m in means}, key=_measure_order)
    figures = {(m.criterion, m.judge, m.condition): _figure(row.summary, m) for m in means}
    agents = {m.condition: m.agent for m in means}
    workflow = get_workflow(rec, row.workflow_id)
    title = f"{row.name} · {workflow.name if workflow else row.workflow_id}"
    return Matrix(row, title, conditions, agents, tuple(found), figures, tuple(beside(row.summary)))


def _agent_order(row: ComparisonRow, mean: SummaryRow) -> tuple[int, str]:
    """In the order in which the comparison names its agents; the compiled ones first."""
    named = row.config.get("agents")
    names = [str(agent) for agent in named] if isinstance(named, list) else []
    at = names.index(mean.agent) if mean.agent in names else len(names)
    return (at if names else (0 if mean.agent.startswith("compiled") else 1)), mean.condition


def _measure_order(measure: tuple[str, str]) -> tuple[int, str, str]:
    criterion, judge = measure
    return (ORDER.index(criterion) if criterion in ORDER else len(ORDER)), judge, criterion


def _figure(summary: Mapping[str, Any], mean: SummaryRow) -> Figure:
    low, high = interval(summary, mean.condition, mean.agent, mean.judge, mean.criterion)
    return Figure(mean.mean, mean.n, mean.missing, low, high)


def interval(
    summary: Mapping[str, Any], condition: str, agent: str, judge: str, criterion: str
) -> tuple[float | None, float | None]:
    """The interval that the comparison's summary holds for a figure, None twice where there is none."""
    by_agent = _mapping(summary.get("agents"))
    entry = _mapping(by_agent.get(condition) or by_agent.get(agent))
    found = _mapping(_mapping(entry.get("intervals")).get(criterion) or _mapping(entry.get("figures")).get(criterion))
    low, high = found.get("low"), found.get("high")
    if isinstance(low, int | float) and isinstance(high, int | float):
        return float(low), float(high)
    return None, None


def beside(summary: Mapping[str, Any]) -> Iterator[Line]:
    """The tests, the controls and the labeller's accuracy: what says how far the figures can be trusted."""
    accuracy = summary.get("labeller_accuracy")
    if isinstance(accuracy, int | float):
        tone = "good" if accuracy >= 0.95 else "bad"
        word = "reliable" if accuracy >= 0.95 else "below 95%: adherence is unreliable"
        yield line(("labeller accuracy ", "dim"), (f"{accuracy:.1%}", "strong"), (f"  {word}", tone))
    for name, value in _mapping(summary.get("controls")).items():
        yield line(("control ", "dim"), f"{name.replace('_', ' ')} ", *_value(value))
    yield from _tests(summary)
    for key in ("statement", "verdict", "note"):
        if isinstance(summary.get(key), str):
            yield line((clean_line(str(summary[key]), 400), "dim"))


def _tests(summary: Mapping[str, Any]) -> Iterator[Line]:
    """One line a test: who against whom on what, p after Holm, effect with its interval."""
    tests = summary.get("tests") or _mapping(summary.get("comparison")).get("tests")
    for test in tests if isinstance(tests, list) else ():
        if not isinstance(test, Mapping):
            continue
        spans: list[Span] = [("test ", "dim")]
        for key, value in test.items():
            spans += [(f"{str(key).replace('_', ' ')} ", "dim"), (_plain(value) + "  ", "plain")]
        yield tuple(spans)


def _value(value: Any) -> tuple[Span, ...]:
    """A control's outcome: passed or not in words, figures as they are."""
    if isinstance(value, bool):
        return (("✓ passed", "good"),) if value else (("✗ failed", "bad"),)
    if isinstance(value, Mapping):
        spans: list[Span] = []
        for key, inner in value.items():
            spans += [
                *(_value(inner) if isinstance(inner, bool) else ((f"{key} {_plain(inner)}", "plain"),)),
                ("  ", "plain"),
            ]
        return tuple(spans)
    return ((_plain(value), "plain"),)


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return "–".join(_plain(v) for v in value)
    return clean_line(str(value), 80)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


@dataclass(frozen=True)
class Behind:
    """The conversations behind one figure, the lowest values first."""

    criterion: str
    judge: str
    condition: str
    rows: tuple[Row, ...]


def behind(home: Home, comparison: str, condition: str, criterion: str, judge: str) -> Behind:
    """All conversations that went into a figure (or failed to), with their values."""
    rec = reader(home)
    values = {s.conversation_id: s.value for s in scores(rec, comparison, criterion, judge) if s.condition == condition}
    held = {c.id: c for c in conversations(rec, ConversationFilter(comparison_id=comparison, condition=condition))}
    order = sorted(held, key=lambda c: (values.get(c) is not None, values.get(c) or 0.0, c))
    rows = tuple(_conversation_row(held[c], values.get(c), c in values) for c in order)
    return Behind(criterion, judge, condition, rows)


def _conversation_row(row: ConversationRow, value: float | None, known: bool) -> Row:
    shown: Span = (f"{value:.2f}", "strong") if value is not None else (("missing", "bad") if known else ("–", "dim"))
    ended = ("" if row.ended_by == "terminal" else f" ({row.ended_by})") if row.ended_by else ""
    return Row(
        row.id,
        (
            shown,
            ((row.terminal or row.status) + ended, "plain"),
            (str(row.totals.get("messages", "")), "dim"),
            (row.id[:8], "dim"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """One conversation with its measures and verdicts."""

    id: str
    bubbles: tuple[Bubble, ...]
    about: tuple[Line, ...]


def opened(home: Home, conversation_id: str) -> Opened | None:
    """A conversation whole: what was said, what was measured, what the judges quoted."""
    rec = reader(home)
    found = get_conversation(rec, conversation_id)
    if not found:
        return None
    row, messages = found
    cost = row.totals.get("cost")
    head: list[Span] = [
        (row.agent, "strong"),
        ("  cost ", "dim"),
        (dollars(cost if isinstance(cost, int | float) else None), "plain"),
    ]
    for m in measures(rec, conversation_id):
        head += [(f"  {m.name.replace('_', ' ')} ", "dim"), ("–" if m.value is None else f"{m.value:.2f}", "plain")]
    about: list[Line] = [tuple(head)]
    for v in verdicts(rec, conversation_id):
        quote = v.evidence.get("quote") or v.evidence.get("why") or ""
        score: Span = ("missing", "bad") if v.score is None else (f"{v.score:g}", "strong")
        about.append(
            line(
                (f"{v.judge} · {v.criterion.replace('_', ' ')} ", "dim"),
                score,
                (f"  “{clean_line(str(quote), 200)}”" if quote else "", "dim"),
            )
        )
    return Opened(conversation_id, spoken(messages), tuple(about))


def measure_of(row_id: str) -> tuple[str, str]:
    """(criterion, judge) of a matrix row's id."""
    judge, _, criterion = row_id.partition("|")
    return criterion, judge


def columns_of(conditions: Sequence[str]) -> list[str]:
    """Column titles: condition names, cleaned."""
    return [clean_line(condition, 40) for condition in conditions]
