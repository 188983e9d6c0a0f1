"""A comparison as a file: text, Markdown, LaTeX and one self-contained HTML page for people; CSV, JSONL and Parquet for
programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.evaluation import pictures
from workbench.evaluation.agreement import people_agree, plain
from workbench.evaluation.economy import economy
from workbench.evaluation.export import write_csv, write_jsonl, write_parquet
from workbench.evaluation.latex import latex
from workbench.evaluation.page import Page, Picture, Talk, page
from workbench.evaluation.sections import Rows, Section, facts, notes, sections
from workbench.evaluation.words import (
    MEASURED_FIGURES,
    agents_in_order,
    criteria_of,
    figures_of,
    interval,
    judge_on,
    title_in,
)
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import get_conversation
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow
from workbench.store.verdicts import lowest, verdicts
from workbench.text import clean

FORMS = ("html", "md", "tex", "csv", "jsonl", "parquet")
_PROGRAMS = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}
_TALKS = 3
"""Conversations of each agent that the page shows whole: its lowest."""


def write_report(
    rec: Record,
    comparison_id: str,
    form: str,
    path: Path | None = None,
    *,
    hourly_price: float | None = None,
    one_time: float | None = None,
) -> Path:
    """Write a comparison in one of `FORMS`; returns the file. Raises UserError without a comparison or summary, or for
    an unknown form."""
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    if form not in FORMS:
        raise UserError(f"no report form {form}: choose one of {', '.join(FORMS)}")
    target = path or Path(f"{''.join(c if c.isalnum() or c in '-_' else '-' for c in row.name)}.{form}")
    if form in _PROGRAMS:
        _PROGRAMS[form](rec, comparison_id, target)
        return target
    if not row.summary:
        raise UserError(f"comparison {row.name} is {row.status} and has no summary yet")
    if form == "tex":
        made = latex(row.id, row.name, row.summary, row.config)
    else:
        prices = {"hourly_price": hourly_price, "one_time": one_time}
        found = sections(row.summary, **prices, people=plain(people_agree(rec, row.id)))
        if form == "html":
            made = page(page_of(row, found, _pictures(row.summary, **prices), list(talks(rec, row))))
        else:
            made = markdown(row, found)
    target.write_text(made, encoding="utf-8")
    return target


def text(name: str, summary: Mapping[str, Any], only: str | None = None, **more: Any) -> str:
    """A comparison for a terminal: every section, or the one with the id `only`. Raises UserError if there is none.

    `more` goes to `sections`: prices to try, agreement with people.
    """
    made = sections(summary, **more)
    chosen = [s for s in made if only in (None, s.id)]
    if not chosen:
        raise UserError(f'this comparison has no part "{only}": choose one of {", ".join(s.id for s in made)}')
    parts = [name]
    for section in chosen:
        parts += ["", section.title.upper(), *([section.note] if section.note else []), *aligned(section.rows)]
    return clean("\n".join([*parts, "", *notes(summary)]))


def markdown(row: ComparisonRow, found: Sequence[Section] | None = None) -> str:
    """A comparison in Markdown; `found` are its sections, by default those of its summary."""
    parts = [f"# {_plain(row.name)}", "", *[f"- {_plain(line)}" for line in _facts(row)]]
    for section in sections(row.summary) if found is None else found:
        parts += ["", f"## {section.title}", ""] + ([_plain(section.note), ""] if section.note else [])
        if section.rows:
            head, *body = section.rows
            parts += [_md(head), _md(["---"] * len(head)), *(_md(line) for line in body)]
    parts += ["", "## Read this with it", "", *[f"- {_plain(note)}" for note in notes(row.summary)]]
    if rubric := _rubric(row):
        parts += ["", "## Rubric", "", *[f"- **{k}**: {_plain(v)}" for k, v in rubric.items()]]
    return clean("\n".join(parts) + "\n")


def page_of(
    row: ComparisonRow, found: Sequence[Section], drawn: Mapping[str, Sequence[Picture]], shown: Sequence[Talk] = ()
) -> Page:
    """What the HTML page shows: sections, pictures above them, conversations."""
    return Page(
        title=row.name,
        facts=_facts(row),
        sections=found,
        pictures=drawn,
        notes=notes(row.summary),
        rubric=_rubric(row),
        talks=shown,
    )


def talks(rec: Record, row: ComparisonRow) -> Iterator[Talk]:
    """The conversations of each agent that the leading judge scored lowest, whole, with their evidence."""
    judge = judge_on(row.summary, "task_success")
    for condition in agents_in_order(row.summary):
        for conversation_id, score in lowest(rec, row.id, condition, judge, "task_success", limit=_TALKS):
            found = get_conversation(rec, conversation_id)
            if not found:
                continue
            held, messages = found
            title = f"{condition}: task success {score:g}, ended at {held.terminal or 'no terminal'} ({held.ended_by})"
            judged = [
                f"{v.judge}, {title_in(row.summary, v.criterion)}: {'missing' if v.score is None else f'{v.score:g}'}"
                f" – {v.evidence.get('why') or v.evidence.get('quote') or 'no reason given'}"
                for v in verdicts(rec, conversation_id)
            ]
            yield Talk(title, [(m.role, m.text) for m in messages], judged)


def _pictures(summary: Mapping[str, Any], **prices: float | None) -> dict[str, list[Picture]]:
    agents = agents_in_order(summary)
    glance = [
        (title, pictures.bars([(c, e.get(name), interval(e, name), 1.0 if share else 5.0) for c, e in agents.items()]))
        for name, title, share in figures_of(summary)
        if any(e.get(name) is not None for e in agents.values())
    ]
    keys = list(dict.fromkeys(key for e in agents.values() for key in e.get("distributions", {})))
    spread = [
        (
            f"{title_in(summary, name)}{f' ({judge})' if judge else ''}",
            pictures.distribution([(c, e.get("distributions", {}).get(key, {})) for c, e in agents.items()]),
        )
        for key in keys
        for judge, _, name in [key.partition("|")]
        if name in MEASURED_FIGURES or name in criteria_of(summary)
    ]
    found = economy(summary, prices.get("hourly_price"), prices.get("one_time"))
    paid = {found.compiled: found.per_conversation} | {r.condition: r.dollars for r in found.rivals}
    by_dollars = sum(1 for c in agents if paid.get(c)) > 1
    dots = [
        pictures.Dot(c, x, e["task_success"], interval(e, "task_success"))
        for c, e in agents.items()
        if e.get("task_success") is not None and (x := paid.get(c) if by_dollars else e.get("seconds")) is not None
    ]
    unit = "dollars a conversation" if by_dollars else "wall seconds a conversation (no prices known)"
    totals = pictures.curves(found.curves(), "conversations", "dollars in total")
    return {
        "figures": glance,
        "distributions": spread,
        "cost": [("Cost against quality", pictures.scatter(dots, unit, "task success"))],
        "break-even": [("When compiling has paid back", totals)] if totals else [],
    }


def _facts(row: ComparisonRow) -> list[str]:
    return facts(row.id, row.name, row.summary, row.config)


def _rubric(row: ComparisonRow) -> Mapping[str, str]:
    found = row.summary.get("rubric")
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}


def aligned(rows: Rows) -> list[str]:
    """A table as lines of text with columns in line."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _md(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(c) for c in cells) + " |"


def _plain(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
