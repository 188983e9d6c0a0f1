"""The record's tables on one page: `python -m workbench.store.reference > docs/record.md`; a test keeps the page true.

Columns, types and references are read from a fresh record; what a table is for, and what its JSON holds, stands here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from workbench.home import Home
from workbench.store.explore import Column, Table, tables

_HEAD = """# The record

Made from the schema by `python -m workbench.store.reference > docs/record.md`; `workbench record tables` says the same of your own
record, with the number of rows, and `workbench record query "SELECT …"` reads it (the connection cannot write).

The record is one SQLite file, `runs/workbench.db`, in WAL mode on a local disk. Several processes may use it at once; on a network file
system it belongs to one machine at a time. Migrations run by themselves, in order, and leave a copy of the file as it was
(`workbench.db.v*.bak`). Text ids are hashes of meaning: making the same thing again finds it there. Times (`created`, `until`) are UTC
seconds since 1970; dollars are US dollars, NULL where a cost is unknown; columns that hold JSON say so. Curves and logs of jobs
are not in it: they lie in the jobs' folders ([file-formats.md](file-formats.md)).
"""

MEANINGS = {
    "workflows": "A workflow as it was when something was made from it. `id` hashes `canonical` (JSON: the procedure without comments, "
    "order or layout).",
    "scenarios": "Who speaks, what they want and what they will do at each hub; never shown to an agent whole.",
    "dialogues": "Training dialogues, each along one path. `path_rank` is the path's number in the workflow's path space; `status` is ok "
    "or quarantined.",
    "messages": "What was said in dialogues and conversations (`owner_kind`, `owner_id`), in order. A full-text index stands behind it.",
    "datasets": "Frozen choices of dialogues.",
    "dataset_items": "Which dialogue stands in which split of a data set.",
    "runs": "Training runs. `job_id` leads to the folder with curves and checkpoints.",
    "comparisons": "Evaluations of several agents on the same scenarios.",
    "conversations": "Conversations with agents: of a comparison, or live (`comparison_id` NULL). `condition` is the column it stands in.",
    "verdicts": "What a judge said on one criterion of one conversation. `score` NULL is missing, never a number.",
    "measures": "Computed figures of one conversation: fitness, hub_choice, right_terminal …; NULL where one does not apply.",
    "held_counts": "How many conversations of each status a comparison has with each agent, kept by triggers.",
    "score_sums": "What the scores of a comparison add up to: `judge` '' for measures, `n` with a value, `missing` without. Kept by "
    "triggers.",
    "reviews": "Decisions of people on dialogues and conversations. Rows are only added; a reviewer's newest counts.",
    "votes": "Each reviewer's newest decision, kept by triggers.",
    "review_states": "What the reviewers of a subject have decided together, kept by triggers: pass, flag, fix, none, or split.",
    "review_plans": "Sampling plans, frozen when they are made.",
    "review_plan_items": "What a plan asks to be reviewed, in order, and by how many.",
    "review_leases": "Who is looking at an item of a plan, until when.",
    "chats": "Names that people gave to live conversations; `id` is the job.",
    "chat_votes": "Votes on agents side by side. `verdict` is win (`winner` counts from 0), tie, or bad for all.",
    "calls": "The ledger: one row for every call of a model. `cost` NULL is unknown; `reserved` counts against the budget meanwhile.",
    "jobs": "An index of the job folders, made anew from them when it is lost.",
}
"""Table → what it is for."""

JSON = {
    "workflows.canonical": "the procedure",
    "scenarios.data": "variables, persona, plan, deviations",
    "dialogues.path": "edge ids in order",
    "dialogues.nodes": "node ids in order",
    "dialogues.deviations": "names",
    "dialogues.checks": "problems found: code, index of the message, what",
    "dialogues.provenance": "versions, prompts' hashes, settings of the writer",
    "messages.data": "nodes, edges, move, deviation, facts; of conversations also usage, calls, latency, cost, label",
    "datasets.manifest": "how it was chosen",
    "runs.recipe": "the recipe",
    "runs.summary": "what came out",
    "runs.provenance": "versions and hashes",
    "comparisons.config": "the plan: agents, judges, scenarios",
    "comparisons.summary": "all figures with intervals, tests, controls",
    "conversations.totals": "messages, calls, tokens, cost, seconds",
    "conversations.provenance": "versions, user, agent's settings",
    "verdicts.evidence": "why, and what was quoted",
    "verdicts.provenance": "model, prompt's hash",
    "measures.detail": "what the figure was made of",
    "reviews.tags": "names",
    "review_plans.about": "strata and shares",
    "chat_votes.agents": "names in the order shown",
    "chat_votes.conversations": "ids in the same order",
    "calls.reply": "the answer, as long as a resumed job may need it",
}
"""Column → what its JSON holds."""


def page() -> str:
    """The whole page in Markdown. Raises KeyError for a table that `MEANINGS` does not know."""
    with tempfile.TemporaryDirectory() as folder:
        found = {table.name: table for table in tables(Home(Path(folder) / "runs").make())}
    order = [*MEANINGS, *(name for name in found if name not in MEANINGS)]
    return _HEAD + "".join(_section(found[name]) for name in order)


def _section(table: Table) -> str:
    rows = "\n".join(f"| `{c.name}` | {_type(table, c)} |" for c in table.columns if c.name != "rowid")
    return f"\n## {table.name}\n{MEANINGS[table.name]}\n\n| column | holds |\n|---|---|\n{rows}\n"


def _type(table: Table, column: Column) -> str:
    words = {"INTEGER": "whole number", "REAL": "number", "TEXT": "text"}[column.type]
    if what := JSON.get(f"{table.name}.{column.name}"):
        words = f"JSON: {what}"
    if column.refers_to:
        words = f"→ `{column.refers_to}`"
    return f"{words}, may be NULL" if column.null else words


if __name__ == "__main__":
    print(page(), end="")
