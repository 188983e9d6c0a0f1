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
from workbench.tui.format import agent_name, ago, dollars, short
from workbench.tui.widgets.messages import spoken
from workbench.tui.widgets.safe import Line, Span, fit, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble

ORDER = ("right_terminal", "fitness", "hub_choice", "slot_accuracy", "task_success")
"""Measures that come first, in this order; others follow by name."""
SHARES = frozenset({"right_terminal", "fitness", "hub_choice", "slot_accuracy", "rules_kept", "failures"})
"""Measures in 0 … 1, shown in percent."""
COSTS = (
    ("failures", "task success ≤ 3"),
    ("tokens", "a conversation"),
    ("seconds", "a conversation"),
    ("cost", "$ a conversation"),
)
"""Figures that only the summary has, with what they count."""


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
    value = f"{figure.value:.0%}" if share else f"{figure.value:.2f}" if figure.value < 100 else short(figure.value)
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
    for name, unit in COSTS:
        of = {c: _cost(_mapping(_mapping(row.summary.get("agents")).get(c)), name) for c in conditions}
        if any(figure is not None for figure in of.values()):
            found.append((name, unit))
            figures |= {(name, unit, c): figure for c, figure in of.items() if figure is not None}
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


def _cost(entry: Mapping[str, Any], name: str) -> Figure | None:
    """A figure of the summary that has no verdict or measure behind it; the failure rate with its Wilson interval."""
    value, n = entry.get(name), int(entry.get("n") or 0)
    if name == "failures":
        found = _mapping(value)
        share = found.get("share", found.get("estimate"))
        low, high = found.get("low"), found.get("high")
        return Figure(share, n, 0, low, high) if isinstance(share, int | float) else None
    return Figure(float(value), n) if isinstance(value, int | float) else None


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
    if not summary:
        return
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
    judge = _mapping(summary.get("judge"))
    if judge:
        offline = ", offline" if judge.get("offline") else ""
        skipped = ", ".join(map(str, judge.get("not_judged") or ()))
        yield line(
            ("judge ", "dim"),
            f"{judge.get('name')}{offline}",
            (f"  user {summary.get('user')}", "dim"),
            (f"  not judged: {skipped}" if skipped else "", "dim"),
        )
    yield from _baselines(summary)
    yield from _tests(summary)
    if isinstance(summary.get("statement"), str):
        yield ()
        yield line((clean_line(str(summary["statement"]), 400), "strong"))


def _baselines(summary: Mapping[str, Any]) -> Iterator[Line]:
    """Which agents are there only as untrained baselines, and how much dearer each is."""
    for name, entry in _mapping(summary.get("agents")).items():
        entry = _mapping(entry)
        if entry.get("baseline"):
            yield line((f"{name} ", "plain"), (f"{entry['baseline']}, n = {entry.get('n')}", "warn"))


def _tests(summary: Mapping[str, Any]) -> Iterator[Line]:
    """The test table: for every rival the difference with its interval, p after Holm, effect size and n."""
    found = _mapping(summary.get("comparison"))
    tests = [test for test in found.get("tests") or () if isinstance(test, Mapping)]
    for other in dict.fromkeys(str(test.get("agent")) for test in tests):
        yield ()
        yield line(
            (f"{found.get('against')} − {other}", "strong"), ("   difference, 95% interval, p (Holm), d, pairs", "dim")
        )
        yield from (_test(test) for test in tests if str(test.get("agent")) == other)
    if tests:
        yield line((clean_line(f"{found.get('correction', '')}; {found.get('pairing', '')}"), "dim"))


def _test(test: Mapping[str, Any]) -> Line:
    gap, p = test.get("difference"), test.get("p_holm")
    between = _mapping({"i": test.get("interval")}).get("i")
    spread = f"{between[0]:+.2f} … {between[1]:+.2f}" if isinstance(between, list) and len(between) == 2 else ""
    mark: Span = ("✱ ", "good") if test.get("significant") else ("  ", "dim")
    tested = f"p {_small(p)}" if isinstance(p, int | float) else "too few to test"
    d = test.get("d_z")
    return line(
        mark, (fit(str(test.get("criterion", "")).replace("_", " "), 21), "plain"),
        (fit(f"{gap:+.2f}" if isinstance(gap, int | float) else "–", 6, "right"), "strong"), (fit(f"  {spread}", 18), "dim"),
        (fit(tested, 17), "plain"), (fit(f"d {d:.2f}" if isinstance(d, int | float) else "", 8), "dim"), (f"n {test.get('n', '?')}", "dim"),
    )  # fmt: skip


def _small(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


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
    return [clean_line(agent_name(condition), 40) for condition in conditions]
