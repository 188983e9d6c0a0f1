"""A comparison as a file: text, Markdown and one self-contained HTML page for people; CSV, JSONL and Parquet for
programs."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.evaluation.page import page
from workbench.evaluation.rules import RUBRIC
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import ConversationFilter, conversation_messages, conversations
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow
from workbench.store.verdicts import measures, verdicts
from workbench.text import clean

FIGURES = (
    ("right_terminal", "right terminal", True),
    ("fitness", "fitness", True),
    ("hub_choice", "hub choice", True),
    ("slot_accuracy", "facts right", True),
    ("task_success", "task success", False),
    ("information_accuracy", "information accuracy", False),
    ("consistency", "consistency", False),
    ("graceful_handling", "graceful handling", False),
    ("naturalness", "naturalness", False),
)
"""Name in the summary, title, and whether it is a share (else a score of 1–5)."""

Rows = list[tuple[str, ...]]


def write_report(rec: Record, comparison_id: str, form: str, path: Path | None = None) -> Path:
    """Write a comparison in the form html, md, csv, jsonl or parquet; returns the file. Raises UserError without a
    summary."""
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    target = path or Path(f"{''.join(c if c.isalnum() or c in '-_' else '-' for c in row.name)}.{form}")
    if form in ("html", "md"):
        if not row.summary:
            raise UserError(f"comparison {row.name} is {row.status} and has no summary yet")
        target.write_text(page(row.name, sections(row)) if form == "html" else markdown(row), encoding="utf-8")
    elif form == "csv":
        flat = [_flat(r) for r in conversation_rows(rec, comparison_id)]
        with target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(dict.fromkeys(k for r in flat for k in r)))
            writer.writeheader()
            writer.writerows({k: _defused(v) for k, v in r.items()} for r in flat)
    elif form == "jsonl":
        with target.open("w", encoding="utf-8") as file:
            for found in conversation_rows(rec, comparison_id):
                file.write(json.dumps(found, ensure_ascii=False) + "\n")
    elif form == "parquet":
        from datasets import Dataset, disable_progress_bars

        disable_progress_bars()
        flat = [_flat(r) for r in conversation_rows(rec, comparison_id)]
        names = list(dict.fromkeys(k for r in flat for k in r))
        Dataset.from_list([{n: r.get(n) for n in names} for r in flat]).to_parquet(str(target))
    else:
        raise UserError(f"no report form {form}: choose html, md, csv, jsonl or parquet")
    return target


def conversation_rows(rec: Record, comparison_id: str) -> list[dict[str, Any]]:
    """A mapping a conversation: who, which scenario, how it ended, measures, verdicts with evidence, cost, messages."""
    found: dict[str, dict[str, Any]] = {}
    for row in conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        spoken = [
            {
                "role": m.role,
                "text": m.text,
                "label": (m.label or {}).get("act"),
                "nodes": list(m.nodes),
                "move": m.move,
            }
            for m in conversation_messages(rec, row.id)
        ]
        keys = ("id", "condition", "agent", "scenario_id", "rep", "status", "terminal", "ended_by")
        found[row.id] = {k: getattr(row, k) for k in keys} | {
            "totals": dict(row.totals),
            "measures": {},
            "verdicts": [],
        }
        found[row.id]["messages"] = spoken
    for measure in measures(rec, comparison_id=comparison_id):
        found[measure.conversation_id]["measures"][measure.name] = measure.value
    for verdict in verdicts(rec, comparison_id=comparison_id):
        kept = {
            k: v
            for k, v in asdict(verdict).items()
            if k in ("judge", "criterion", "score", "evidence", "rubric_hash", "rep")
        }
        found[verdict.conversation_id]["verdicts"].append(kept)
    return list(found.values())


def text(name: str, summary: Mapping[str, Any]) -> str:
    """A comparison for a terminal."""
    parts = [name]
    for title, note, rows in _sections(summary):
        parts += ["", title.upper(), *([note] if note else []), *_aligned(rows)]
    return clean("\n".join([*parts, "", *_notes(summary)]))


def markdown(row: ComparisonRow) -> str:
    """A comparison in Markdown."""
    parts = [f"# {_plain(row.name)}", "", *[f"- {line}" for line in _facts(row)]]
    for title, note, rows in _sections(row.summary):
        if rows:
            head, *body = rows
            parts += ["", f"## {title}", ""] + ([note, ""] if note else [])
            parts += [_md(head), _md(["---"] * len(head)), *(_md(line) for line in body)]
    parts += ["", "## Read this with it", "", *[f"- {note}" for note in _notes(row.summary)], "", "## Rubric", ""]
    return clean("\n".join([*parts, *[f"- **{k}**: {v}" for k, v in RUBRIC.items()]]) + "\n")


def sections(row: ComparisonRow) -> dict[str, Any]:
    """What the HTML page shows: facts, tables, bars and notes."""
    agents: Mapping[str, Any] = row.summary["agents"]  # type: ignore[assignment]
    bars = [
        (title, [(c, e.get(name), _interval(e, name), 1.0 if share else 5.0) for c, e in agents.items()])
        for name, title, share in FIGURES
    ]
    return {
        "facts": _facts(row),
        "tables": _sections(row.summary),
        "bars": bars,
        "notes": _notes(row.summary),
        "rubric": RUBRIC,
    }


def _sections(summary: Mapping[str, Any]) -> list[tuple[str, str, Rows]]:
    """(title, note, rows with the heading first) of every table."""
    agents: Mapping[str, Mapping[str, Any]] = summary["agents"]
    figures: Rows = [("", *(_title(c, e) for c, e in agents.items()))]
    figures += [(title, *(_figure(e, name, share) for e in agents.values())) for name, title, share in FIGURES]
    figures += [
        ("failures (task success ≤ 3)", *(_share_of(e["failures"]) for e in agents.values())),
        ("conversations (missing)", *(f"{e['n']} ({e['missing']})" for e in agents.values())),
    ]
    cost: Rows = [("a conversation", *agents)]
    wanted = (
        ("messages", 1),
        ("calls", 1),
        ("input", 0),
        ("output", 0),
        ("cached", 0),
        ("seconds", 1),
        ("model_seconds", 1),
    )
    cost += [
        (name.replace("_", " "), *(_number(e["costs"].get(name), places) for e in agents.values()))
        for name, places in wanted
    ]
    for name in ("latency_p50", "latency_p95", "ttft_p50", "ttft_p95"):
        cost.append(
            (f"{name.replace('_', ' ')}, s a message", *(_number(e["costs"].get(name), 2) for e in agents.values()))
        )
    cost.append(("dollars", *(_dollars(e["cost"]) for e in agents.values())))
    comparison: Mapping[str, Any] = summary["comparison"]
    note = f"{comparison['against']} minus the other; {comparison['pairing']}. {comparison['correction']}."
    controls = [("control", "n", "value", "at least", "")] + [
        (name, str(c["n"]), _number(c["value"], 3), _number(c["least"], 2), "passed" if c["passed"] else "FAILED")
        for name, c in summary["controls"].items()
    ]
    return [
        ("Figures", "Means with 95% bootstrap intervals over scenarios; shares in %, scores 1–5.", figures),
        ("Tests", note if comparison["tests"] else "One agent: nothing to compare.", _tests(comparison["tests"])),
        ("Cost", "Wall seconds of conversations that were held side by side.", cost),
        ("Controls", "", controls),
    ]


def _tests(tests: Sequence[Mapping[str, Any]]) -> Rows:
    if not tests:
        return []
    rows: Rows = [("against", "criterion", "n", "difference", "95% interval", "d pooled", "d_z", "p", "p Holm", "")]
    for t in tests:
        low_high = f"{t['interval'][0]:+.2f} … {t['interval'][1]:+.2f}" if t["interval"] else "–"
        mark = "*" if t["significant"] else "" if t["test"] else "interval only"
        d = [_number(t[k], 2) for k in ("d_pooled", "d_z")]
        p = [_number(t[k], 4) for k in ("p", "p_holm")]
        rows.append((t["agent"], t["criterion"], str(t["n"]), _number(t["difference"], 2), low_high, *d, *p, mark))
    return rows


def _facts(row: ComparisonRow) -> list[str]:
    summary, config = row.summary, row.config
    judge: Mapping[str, Any] = summary["judge"]  # type: ignore[assignment]
    return [
        f"comparison {row.id}, workflow {config.get('workflow')} ({row.workflow_id})",
        f"{summary['scenarios']} scenarios of the {config.get('split')} split, seed {config.get('seed')}, "
        f"{config.get('repetitions')} repetition(s)",
        f"simulated user: {summary['user']}; judge: {judge['name']} (rubric {judge['rubric']}), both offline; "
        f"not judged: {', '.join(judge['not_judged'])}"
        if summary["user"] == "agenda"
        else f"simulated user: {summary['user']}; judge: {judge['name']} (rubric {judge['rubric']}), offline",
    ]


def _notes(summary: Mapping[str, Any]) -> list[str]:
    accuracy = summary["labeller_accuracy"]
    reliable = "" if summary["adherence_reliable"] else ": below 95%, adherence figures are UNRELIABLE"
    passed = sum(c["passed"] for c in summary["controls"].values())
    notes = [
        f"labeller accuracy on wording withheld from it: {_number(accuracy, 3)}{reliable}",
        f"controls passed: {passed} of {len(summary['controls'])}",
    ]
    for condition, found in summary["labeller"]["agents"].items():
        share = found["right"] / found["n"]
        notes.append(
            f"labeller accuracy on {condition}, whose true nodes are known: {share:.3f} of {found['n']} messages"
        )
    if summary["not_reported"]:
        notes.append(f"not reported, since their controls failed: {', '.join(summary['not_reported'])}")
    return [*notes, summary["statement"]]


def _title(condition: str, entry: Mapping[str, Any]) -> str:
    return f"{condition} ({entry['baseline']})" if entry.get("baseline") else condition


def _figure(entry: Mapping[str, Any], name: str, share: bool) -> str:
    value, interval = entry.get(name), _interval(entry, name)
    if value is None:
        return "not judged" if name == "naturalness" else "–"
    scale, places = (100, 1) if share else (1, 2)
    tail = f" [{interval[0] * scale:.{places}f}, {interval[1] * scale:.{places}f}]" if interval else ""
    return f"{value * scale:.{places}f}{'%' if share else ''}{tail}"


def _interval(entry: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    found = entry["intervals"].get(name)
    return (found["low"], found["high"]) if found else None


def _share_of(found: Mapping[str, Any]) -> str:
    if found["rate"] is None:
        return "–"
    return f"{found['count']} of {found['n']} [{found['low']:.0%}, {found['high']:.0%}]"


def _number(value: object, places: int) -> str:
    return f"{value:,.{places}f}" if isinstance(value, int | float) else "–"


def _dollars(value: object) -> str:
    return f"${value:,.4f}" if isinstance(value, int | float) else "unknown"


def _aligned(rows: Rows) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _md(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_plain(c) for c in cells) + " |"


def _plain(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level of scalars: measures, scores by judge and totals as columns; no transcript."""
    flat = {k: v for k, v in row.items() if k not in ("totals", "measures", "verdicts", "messages")}
    flat |= row["measures"]
    flat |= {f"{v['judge']}:{v['criterion']}": v["score"] for v in row["verdicts"]}
    return flat | {k: v for k, v in row["totals"].items() if isinstance(v, int | float | str | None)}


def _defused(value: object) -> object:
    """A spreadsheet would run a text that begins like a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value
