"""Data sets: dialogues frozen into named, hashed versions, proved disjoint, and handed out in chat form."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import workbench
from workbench.dialogue.checks import check_set
from workbench.dialogue.model import Dialogue, chat_messages
from workbench.errors import UserError
from workbench.store.datasets import dataset_dialogues, dataset_items, datasets, get_dataset, put_dataset
from workbench.store.dialogues import DialogueFilter, iterate_dialogues
from workbench.store.record import Record
from workbench.store.rows import DatasetRow
from workbench.text import clean_line
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import SPLITS, Split, Workflow


def build_dataset(
    rec: Record, workflow: Workflow, name: str, limits: dict[Split, int] | None = None, writer: str | None = None
) -> DatasetRow:
    """Freeze the workflow's sound dialogues that no reviewer has flagged; at most `limits[split]` each, oldest first.

    The id hashes the content, so the same dialogues give the same data set. Raises UserError if there is nothing to
    freeze, if a hub is contradictory, or if splits share a scenario, an open value or a user's wording.
    """
    workflow_id = workflow_hash(workflow)
    flagged = {d.id for d in iterate_dialogues(rec, DialogueFilter(workflow_id=workflow_id, review="flag"))}
    chosen: dict[Split, list[Dialogue]] = {}
    for split in SPLITS:
        wanted = DialogueFilter(workflow_id=workflow_id, split=split, status="ok", writer=writer)
        sound = [d for d in iterate_dialogues(rec, wanted) if d.id not in flagged]
        chosen[split] = sound[: limits[split]] if limits and split in limits else sound
    if not chosen["train"]:
        raise UserError(f"no dialogues of {workflow.name}; run `workbench dialogues generate {workflow.name}` first")
    everything = [d for split in SPLITS for d in chosen[split]]
    findings = check_set(workflow, everything)
    if findings.contradictions:
        found = findings.contradictions
        raise UserError(f"{workflow.name}: {len(found)} contradictions at hubs, such as: {clean_line(found[0], 300)}")
    if shared := overlaps(workflow, chosen):
        raise UserError(f"{workflow.name}: the splits are not disjoint: {shared[0]}")
    manifest = {
        "workflow": workflow.name,
        "workbench": workbench.__version__,
        "writers": sorted({d.writer for d in everything}),
        "sizes": {split: len(chosen[split]) for split in SPLITS},
        "flagged_left_out": len(flagged),
        "train": asdict(check_set(workflow, chosen["train"])),
        "ceiling": findings.ceiling,
        "deviation_share": {s: _share(chosen[s]) for s in SPLITS},
    }
    items = [(d.id, split) for split in SPLITS for d in chosen[split]]
    row = DatasetRow(digest([workflow_id, items]), name, workflow_id, manifest)
    put_dataset(rec, row, items)
    return row


def _share(dialogues: list[Dialogue]) -> float:
    return sum(bool(d.scenario.deviations) for d in dialogues) / len(dialogues) if dialogues else 0.0


def overlaps(workflow: Workflow, chosen: dict[Split, list[Dialogue]]) -> list[str]:
    """What two splits share and must not: scenarios, values of open variables, wording of the user's messages."""
    seen: dict[tuple[str, str], set[Split]] = defaultdict(set)
    open_variables = [v.name for v in workflow.variables.values() if v.type != "choice"]
    for split, dialogues in chosen.items():
        for dialogue in dialogues:
            seen["scenario", dialogue.scenario.id].add(split)
            for name in open_variables:
                seen[f"value of {name}", str(dialogue.scenario.variables[name])].add(split)
            for message in dialogue.messages:
                if message.role == "user":
                    seen["wording", wording(message.text, message.facts.values())].add(split)
    return [f"{kind} '{what}' is in {' and '.join(sorted(s))}" for (kind, what), s in seen.items() if len(s) > 1]


def wording(text: str, values: Iterable[object]) -> str:
    """A message with its values taken out: the same wording whatever the facts."""
    for value in sorted(map(str, values), key=len, reverse=True):
        text = text.replace(value, "…")
    return re.sub(r"\s+", " ", text).strip().lower()


def find_dataset(rec: Record, name: str) -> DatasetRow:
    """The data set with this id, the start of an id, or name (the newest). Raises UserError if there is none."""
    if exact := get_dataset(rec, name):
        return exact
    rows = datasets(rec)
    for row in rows:
        if row.name == name or (len(name) >= 4 and row.id.startswith(name)):
            return row
    known = ", ".join(dict.fromkeys(r.name for r in rows)) or "none yet; `workbench dataset build W` makes one"
    raise UserError(f"no data set '{name}' (known: {known})")


def examples(rec: Record, workflow: Workflow, dataset_id: str, split: Split) -> Iterator[dict[str, object]]:
    """The split's dialogues in chat form: `{"id": …, "messages": [{"role", "content"}, …]}`, nothing of the graph."""
    for dialogue, _ in dataset_dialogues(rec, dataset_id, split):
        yield {"id": dialogue.id, "messages": chat_messages(workflow.instruction, workflow.context, dialogue.messages)}


def export_jsonl(rec: Record, workflow: Workflow, dataset_id: str, folder: Path) -> list[Path]:
    """Write `train.jsonl`, `dev.jsonl` and `test.jsonl` (one chat example a line) into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            for example in examples(rec, workflow, dataset_id, split):
                file.write(json.dumps(example, ensure_ascii=False) + "\n")
        written.append(path)
    return written


def changes(rec: Record, old: DatasetRow, new: DatasetRow) -> dict[str, Counter[str]]:
    """Dialogues a split gained and lost between two data sets: `{"added": …, "removed": …}`, counted by split."""
    before, after = set(dataset_items(rec, old.id)), set(dataset_items(rec, new.id))
    return {
        "added": Counter(split for _, split in after - before),
        "removed": Counter(split for _, split in before - after),
    }
