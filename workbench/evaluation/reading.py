"""One conversation as a reader needs it: what was said, what was measured and judged, and the way through the graph.

Imports nothing heavy; the command line and the pane read with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError
from workbench.evaluation.words import CRITERIA, criteria_of, judge_on, rubric_titles
from workbench.store.behind import Figure
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import ConversationFilter, conversations, get_conversation
from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MeasureRow, MessageRow, VerdictRow
from workbench.store.verdicts import judges, measures, verdicts


@dataclass(frozen=True, slots=True)
class Way:
    """The way through the graph as the labeller read it from the text. `wrong_hubs` are (hub, demanded, taken)."""

    nodes: tuple[str, ...]
    skipped: tuple[str, ...]
    extra: tuple[int, ...]
    wrong_hubs: tuple[tuple[str, str, str], ...]
    expected_terminal: str | None
    reached_terminal: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A conversation with all that is known of it."""

    row: ConversationRow
    messages: tuple[MessageRow, ...]
    measures: tuple[MeasureRow, ...]
    verdicts: tuple[VerdictRow, ...]
    way: Way


def read(rec: Record, conversation_id: str) -> Reading | None:
    """A conversation, or None."""
    found = get_conversation(rec, conversation_id)
    if not found:
        return None
    row, messages = found
    measured = measures(rec, conversation_id)
    return Reading(row, tuple(messages), tuple(measured), tuple(verdicts(rec, conversation_id)), way_of(measured))


def beside(rec: Record, conversation_id: str) -> list[str]:
    """The conversations of the same comparison, scenario and repetition, one an agent, this one first; itself if live."""
    found = get_conversation(rec, conversation_id)
    if not found:
        return []
    row, _ = found
    if row.comparison_id is None or row.scenario_id is None:
        return [row.id]
    wanted = ConversationFilter(comparison_id=row.comparison_id, scenario_id=row.scenario_id)
    others = [c.id for c in conversations(rec, wanted) if c.rep == row.rep and c.id != row.id]
    return [row.id, *others]


def way_of(measured: list[MeasureRow]) -> Way:
    """The way from the measures' details; empty where nothing was measured."""
    detail: dict[str, Mapping[str, Any]] = {m.name: m.detail for m in measured}
    walk, hubs, end = (detail.get(name, {}) for name in ("fitness", "hub_choice", "right_terminal"))
    wrong = [h for h in hubs.get("hubs", ()) if not h.get("right")]
    return Way(
        nodes=tuple(map(str, walk.get("nodes", ()))),
        skipped=tuple(map(str, walk.get("skipped", ()))),
        extra=tuple(int(n) for n in walk.get("extra", ())),
        wrong_hubs=tuple(
            (str(h["hub"]), str(h.get("demanded") or "none of them"), str(h.get("taken") or "no edge")) for h in wrong
        ),
        expected_terminal=end.get("expected"),
        reached_terminal=end.get("reached"),
    )


def figure_of(rec: Record, comparison_id: str, name: str, judge: str | None = None) -> Figure:
    """The figure that is meant by a name: a cost, a measure, or a criterion, of the judge named or of the one who stands for it.

    Raises UserError for a judge who judged nothing here, and for a judge of what is not judged.
    """
    row = get_comparison(rec, comparison_id)
    if row is None or name not in {*CRITERIA, *criteria_of(row.summary), *rubric_titles(row.config)}:
        if judge:
            raise UserError(f"{name} is measured, not judged: leave the judge out")
        return Figure(comparison_id, "cost" if name == "dollars" else name)
    listed = row.summary.get("judges")
    rubrics = {j["name"]: j["rubric"] for j in listed if isinstance(j, Mapping)} if isinstance(listed, list) else {}
    if not rubrics or (judge and judge not in rubrics):  # of a million verdicts this takes seconds: only if need be
        known = list(dict.fromkeys(row.judge for row in judges(rec, comparison_id)))
        if judge and judge not in known:
            raise UserError(f'no judge "{judge}" in this comparison (there are: {", ".join(known) or "none"})')
        return Figure(comparison_id, name, judge or (known[0] if known else "rules"))
    wanted = judge or judge_on(row.summary, name)
    return Figure(comparison_id, name, wanted, rubric=rubrics.get(wanted))


def plain_text(found: Reading) -> str:
    """A conversation for a terminal: transcript, way, measures, verdicts with their reasons."""
    row, way = found.row, found.way
    lines = [
        f"== {row.condition} ({row.agent}), conversation {row.id}, ended by {row.ended_by} at "
        f"{row.terminal or 'no terminal'}"
    ]
    lines += [f"{m.role:>5}: {m.text}" for m in found.messages]
    lines.append("way: " + (" › ".join(way.nodes) or "not read"))
    lines += [f"  hub {hub}: took {taken}, due {demanded}" for hub, demanded, taken in way.wrong_hubs]
    lines += [f"  passed over: {', '.join(way.skipped)}"] if way.skipped else []
    if way.expected_terminal != way.reached_terminal:
        lines.append(f"  ended at {way.reached_terminal or 'no terminal'}, due {way.expected_terminal}")
    shown = (f"{m.name} {'–' if m.value is None else f'{m.value:.3g}'}" for m in found.measures)
    lines.append(f"measured: {', '.join(shown)}")
    return "\n".join([*lines, *(verdict_line(v) for v in found.verdicts)])


def verdict_line(v: VerdictRow) -> str:
    """A verdict with its reason and the words it quotes."""
    score = "missing" if v.score is None else f"{v.score:g}"
    why = str(v.evidence.get("why") or v.evidence.get("missing") or "")
    quote = str(v.evidence.get("quote") or "")
    return (
        f"{v.judge}, {v.criterion.replace('_', ' ')}: {score}"
        + (f", {why}" if why else "")
        + (f" “{quote}”" if quote else "")
    )
