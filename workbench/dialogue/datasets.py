"""Data sets: dialogues frozen into named, hashed versions, proved disjoint, and handed out in chat form."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import ceil
from pathlib import Path
from typing import Literal

import workbench
from workbench.dialogue.checks import check_set
from workbench.dialogue.diversity import near_duplicates
from workbench.dialogue.model import Dialogue, chat_messages
from workbench.dialogue.planning import choices_on
from workbench.dialogue.reviewing import EDITED
from workbench.errors import UserError
from workbench.store.datasets import dataset_dialogues, dataset_items, datasets, get_dataset, put_dataset
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows, get_dialogue, iterate_dialogues
from workbench.store.record import Record
from workbench.store.reviews import review_states, reviews
from workbench.store.rows import DatasetRow
from workbench.text import clean_line
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import SPLITS, Split, Workflow

FEW_WORDS = 8
"""Users' messages of up to so many words may recur between splits where a model makes them up: "yes, please do that" says
nothing about who learnt what, and keeping them apart would throw most of what was paid for away. Manifest and card say
how many do (`recurring_wordings`).
"""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dialogues a data set takes beyond the sound ones of the workflow that no reviewer has flagged.

    `review` "passed" takes only what reviewers passed or mended; `admit` are codes of faults that do not keep a
    dialogue out; `least_distance` above 0 leaves out training dialogues whose word triples overlap an earlier one's by
    more than 1 - least_distance. `split_by` "path" keeps the test split's paths out of the others.
    """

    limits: Mapping[Split, int] = field(default_factory=dict)
    writers: tuple[str, ...] = ()
    review: Literal["unflagged", "passed"] = "unflagged"
    admit: tuple[str, ...] = ()
    least_distance: float = 0.0
    split_by: Literal["values", "path"] = "values"


def build_dataset(
    rec: Record,
    workflow: Workflow,
    name: str,
    limits: dict[Split, int] | None = None,
    writer: str | None = None,
    wanted: Wanted | None = None,
) -> DatasetRow:
    """Freeze the workflow's sound dialogues that no reviewer has flagged; at most `limits[split]` each, oldest first.

    A mended dialogue is taken in its mended form. The id hashes the content, so the same dialogues give the same data
    set. Raises UserError if there is nothing to freeze, if a hub is contradictory, or if splits share a scenario, an
    open value or a user's wording.
    """
    wanted = wanted or Wanted(limits or {}, (writer,) if writer else ())
    workflow_id = workflow_hash(workflow)
    pool = candidates(rec, workflow_id, wanted)
    chosen = {split: pool.chosen[split][: wanted.limits.get(split)] for split in SPLITS}
    left_out = dict(pool.left_out)
    if wanted.least_distance > 0:
        near = {n.second for n in near_duplicates(chosen["train"], 1 - wanted.least_distance)}
        chosen["train"] = [d for d in chosen["train"] if d.id not in near]
        left_out["near-duplicate"] = len(near)
    if wanted.split_by == "path":
        chosen, left_out["path"] = split_by_path(workflow, chosen)
    chosen, left_out["shared wording"] = part_wordings(chosen)
    if not chosen["train"]:
        raise UserError(f"no dialogues of {workflow.name}; run `workbench dialogues generate {workflow.name}` first")
    more = {
        "wanted": asdict(wanted),
        "left_out": {why: n for why, n in sorted(left_out.items()) if n},
        "flagged_left_out": left_out.get("flag", 0),
        "reviewed": pool.reviewed,
    }
    return _freeze(rec, workflow, name, chosen, more, paths=wanted.split_by == "path")


def extend_dataset(rec: Record, workflow: Workflow, old: DatasetRow, scenarios: set[str], name: str) -> DatasetRow:
    """Freeze `old` again with the sound train dialogues of `scenarios` (ids) added; dev and test stay as they are.

    Raises UserError as `build_dataset` does.
    """
    chosen: dict[Split, list[Dialogue]] = {s: [d for d, _ in dataset_dialogues(rec, old.id, s)] for s in SPLITS}
    known = {d.id for d in chosen["train"]}
    sound = iterate_dialogues(rec, DialogueFilter(workflow_id=old.workflow_id, split="train", status="ok"))
    new = [d for d in sound if d.scenario.id in scenarios and d.id not in known]
    chosen["train"] += new
    wanted = old.manifest.get("wanted")
    more = {"wanted": wanted, "extends": old.id, "added": len(new)}
    by_path = isinstance(wanted, Mapping) and wanted.get("split_by") == "path"
    return _freeze(rec, workflow, name, chosen, more, paths=by_path)


def _freeze(
    rec: Record,
    workflow: Workflow,
    name: str,
    chosen: dict[Split, list[Dialogue]],
    more: Mapping[str, object],
    *,
    paths: bool,
) -> DatasetRow:
    """Prove the splits consistent and disjoint, then keep them; `more` goes into the manifest."""
    workflow_id = workflow_hash(workflow)
    everything = [d for split in SPLITS for d in chosen[split]]
    findings = check_set(workflow, everything)
    if findings.contradictions:
        found = findings.contradictions
        raise UserError(f"{workflow.name}: {len(found)} contradictions at hubs, such as: {clean_line(found[0], 300)}")
    if shared := overlaps(workflow, chosen, paths=paths):
        raise UserError(f"{workflow.name}: the splits are not disjoint: {shared[0]}")
    if paths:
        _refuse_unseen(workflow, chosen)
    manifest = {
        "workflow": workflow.name,
        "workflow_id": workflow_id,
        "workbench": workbench.__version__,
        "writers": sorted({d.writer for d in everything}),
        "sizes": {split: len(chosen[split]) for split in SPLITS},
        "paths": {split: len({d.path for d in chosen[split]}) for split in SPLITS},
        **more,
        "train": asdict(check_set(workflow, chosen["train"])),
        "ceiling": findings.ceiling,
        "short_wordings": recurring_wordings(chosen),
        "deviation_share": {s: _share(chosen[s]) for s in SPLITS},
        "sha256": {split: _sha256(workflow, chosen[split]) for split in SPLITS},
    }
    items = [(d.id, split) for split in SPLITS for d in chosen[split]]
    row = DatasetRow(digest([workflow_id, items]), name, workflow_id, manifest)
    put_dataset(rec, row, items)
    return row


def _refuse_unseen(workflow: Workflow, chosen: Mapping[Split, list[Dialogue]]) -> None:
    """The split by path asks for what was learnt in another order, never for what was not learnt at all."""
    train, test = (
        {choice for path in {d.path for d in chosen[split]} for choice in choices_on(workflow, path)}
        for split in ("train", "test")
    )
    if test - train:
        raise UserError(f"{workflow.name}: the hub choice '{min(test - train)}' is tested and not trained on")
    if not chosen["test"]:
        raise UserError(
            f"{workflow.name}: no path can be kept for the test alone: generate more with --train, --least and --test"
        )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Dialogues that may be taken, by split; how many were left out and why; how many reviewers have decided on."""

    chosen: dict[Split, list[Dialogue]]
    left_out: Counter[str]
    reviewed: int


def candidates(rec: Record, workflow_id: str, wanted: Wanted) -> Candidates:
    """The workflow's dialogues that pass, oldest first; flagged and disputed ones and originals of mended ones left out."""
    states = review_states(rec, "dialogue")
    sound, faulty = _sound(rec, workflow_id, wanted.admit)
    fixes = [row for row in reviews(rec, kind="dialogue") if row.decision == "fix"]
    copies = {row.subject_id: row.copy_id for row in sorted(fixes, key=lambda row: row.settles) if row.copy_id}
    by_id = {d.id: d for d in sound}
    found = Candidates({split: [] for split in SPLITS}, Counter({"faulty": faulty}), 0)
    reviewed = 0
    for dialogue in sound:
        state = states.get(dialogue.id, "none")
        if dialogue.writer.endswith(EDITED):
            continue  # it comes in its original's place
        reviewed += state != "none"
        taken: Dialogue | None = dialogue
        if wanted.writers and dialogue.writer not in wanted.writers:
            why, taken = "writer", None
        elif state in ("flag", "split"):
            why, taken = state, None
        elif state == "fix":
            why, taken = "mended copy is faulty", by_id.get(copies.get(dialogue.id, ""))
        elif wanted.review == "passed" and state != "pass":
            why, taken = "not passed", None
        if taken is None:
            found.left_out[why] += 1
        else:
            found.chosen[dialogue.scenario.split].append(taken)
    return replace(found, reviewed=reviewed)


def _sound(rec: Record, workflow_id: str, admit: tuple[str, ...]) -> tuple[list[Dialogue], int]:
    """Dialogues without faults beyond those admitted, in the order in which they were made; and how many have such."""
    sound: list[Dialogue] = []
    faulty = 0
    rowids = dialogue_rowids(rec, DialogueFilter(workflow_id=workflow_id), "made")
    for start in range(0, len(rowids), 500):
        for row in dialogue_rows(rec, rowids[start : start + 500]):
            codes = {str(check.get("code")) for check in row.checks}
            dialogue = get_dialogue(rec, row.id) if row.status == "ok" or (codes and codes <= set(admit)) else None
            if dialogue:
                sound.append(dialogue)
            else:
                faulty += 1
    return sound, faulty


def split_by_path(workflow: Workflow, chosen: dict[Split, list[Dialogue]]) -> tuple[dict[Split, list[Dialogue]], int]:
    """The generalisation split: no path of the test split is trained on, but every hub choice on it is.

    The test split's paths are held out one after the other, the most frequent there first, as long as training keeps
    another path for each of their hub choices and the dev split half of its dialogues; of those that are trained on up to
    half, the others cost training nothing. Test dialogues of other paths go. Values and wording stay disjoint as they
    are. Returns the splits and how many dialogues were left out.
    """
    trained = {d.path for d in chosen["train"]}
    support = Counter(choice for path in trained for choice in choices_on(workflow, path))
    watched = Counter(d.path for d in chosen["dev"])
    spare = len(chosen["dev"]) // 2
    tested = Counter(d.path for d in chosen["test"]).most_common()
    dear = ceil(len(tested) / 2)
    held: set[tuple[str, ...]] = set()
    for path, _ in tested:
        own = 1 if path in trained else 0
        needed = choices_on(workflow, path)
        if own <= dear and watched[path] <= spare and all(support[choice] - own >= 1 for choice in needed):
            held.add(path)
            dear, spare = dear - own, spare - watched[path]
            if own:
                support.subtract(needed)
    parted: dict[Split, list[Dialogue]] = {
        "train": [d for d in chosen["train"] if d.path not in held],
        "dev": [d for d in chosen["dev"] if d.path not in held],
        "test": [d for d in chosen["test"] if d.path in held],
    }
    return parted, sum(len(chosen[s]) - len(parted[s]) for s in SPLITS)


def _sha256(workflow: Workflow, dialogues: list[Dialogue]) -> str:
    """The hash of the split's file as `export_jsonl` writes it."""
    whole = hashlib.sha256()
    for dialogue in dialogues:
        whole.update(_json_line(_example(workflow, dialogue)).encode())
    return whole.hexdigest()


def _share(dialogues: list[Dialogue]) -> float:
    return sum(bool(d.scenario.deviations) for d in dialogues) / len(dialogues) if dialogues else 0.0


def part_wordings(chosen: dict[Split, list[Dialogue]]) -> tuple[dict[Split, list[Dialogue]], int]:
    """The splits without model-written dialogues in which the user says, in more than a few words, what the user of a
    test (or, in train, a dev) dialogue says too; and how many were left out. Scripted wording is apart by its pools.
    """
    taken: set[str] = set()
    parted: dict[Split, list[Dialogue]] = {}
    for split in reversed(SPLITS):
        kept = [d for d in chosen[split] if _is_scripted(d) or taken.isdisjoint(_wordings(d))]
        taken.update(said for d in kept for said in _wordings(d))
        parted[split] = kept
    return {split: parted[split] for split in SPLITS}, sum(len(chosen[s]) - len(parted[s]) for s in SPLITS)


def recurring_wordings(chosen: Mapping[Split, list[Dialogue]]) -> dict[str, dict[str, float]]:
    """How much of the dev and test splits the exception for short wordings lets through: `wordings` of a model's user of up to
    `FEW_WORDS` words that the user of a training dialogue says too, and the `share` of all that the split's users say.
    """
    trained = {said for d in chosen["train"] for said in _user_wordings(d)}
    found: dict[str, dict[str, float]] = {}
    for split in ("dev", "test"):
        said = [(d, text) for d in chosen[split] for text in _user_wordings(d)]
        again = [text for d, text in said if not _is_scripted(d) and text in trained]
        found[split] = {"wordings": len(set(again)), "share": round(len(again) / len(said), 4) if said else 0.0}
    return found


def _is_scripted(dialogue: Dialogue) -> bool:
    return ":" not in dialogue.writer


def _wordings(dialogue: Dialogue) -> list[str]:
    """What the user says; of a model's user only what is longer than `FEW_WORDS`: everybody says "yes, please"."""
    said = _user_wordings(dialogue)
    return said if _is_scripted(dialogue) else [text for text in said if len(text.split()) > FEW_WORDS]


def _user_wordings(dialogue: Dialogue) -> list[str]:
    return [wording(m.text, m.facts.values()) for m in dialogue.messages if m.role == "user"]


def overlaps(workflow: Workflow, chosen: dict[Split, list[Dialogue]], paths: bool = False) -> list[str]:
    """What two splits share and must not: scenarios, values of open variables, wording of the user's messages (of a
    model's user, of those longer than a few words); with `paths` also the paths of the test split."""
    seen: dict[tuple[str, str], set[Split]] = defaultdict(set)
    open_variables = [v.name for v in workflow.variables.values() if v.type != "choice"]
    for split, dialogues in chosen.items():
        for dialogue in dialogues:
            if paths:
                seen["path", " ".join(dialogue.path)].add("test" if split == "test" else "train")
            seen["scenario", dialogue.scenario.id].add(split)
            for name in open_variables:
                seen[f"value of {name}", str(dialogue.scenario.variables[name])].add(split)
            for said in _wordings(dialogue):
                seen["wording", said].add(split)
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
        yield _example(workflow, dialogue)


def _example(workflow: Workflow, dialogue: Dialogue) -> dict[str, object]:
    return {"id": dialogue.id, "messages": chat_messages(workflow.instruction, workflow.context, dialogue.messages)}


def _json_line(example: dict[str, object]) -> str:
    return json.dumps(example, ensure_ascii=False) + "\n"


def export_jsonl(rec: Record, workflow: Workflow, dataset_id: str, folder: Path) -> list[Path]:
    """Write `train.jsonl`, `dev.jsonl` and `test.jsonl` (one chat example a line) into `folder`; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for split in SPLITS:
        path = folder / f"{split}.jsonl"
        with path.open("w", encoding="utf-8") as file:
            file.writelines(_json_line(example) for example in examples(rec, workflow, dataset_id, split))
        written.append(path)
    return written


def changes(rec: Record, old: DatasetRow, new: DatasetRow) -> dict[str, Counter[str]]:
    """Dialogues a split gained and lost between two data sets: `{"added": …, "removed": …}`, counted by split."""
    before, after = set(dataset_items(rec, old.id)), set(dataset_items(rec, new.id))
    return {
        "added": Counter(split for _, split in after - before),
        "removed": Counter(split for _, split in before - after),
    }


@dataclass(frozen=True, slots=True)
class DatasetDifference:
    """What is another in `new`: dialogues by split (moved: in another split), paths, hub choices, settings."""

    added: dict[str, list[str]]
    removed: dict[str, list[str]]
    moved: dict[str, str]
    same: int
    paths: dict[str, int]
    choices: dict[str, tuple[int, int]]
    """Training visits before and after, where they differ."""
    reasons: dict[str, int]
    """Why removed dialogues are no longer taken, as far as the record knows: flag, split, fix, or another workflow."""
    settings: dict[str, tuple[object, object]]


def difference(rec: Record, old: DatasetRow, new: DatasetRow) -> DatasetDifference:
    """Compare two versions of a data set, dialogue by dialogue."""
    before, after = dict(dataset_items(rec, old.id)), dict(dataset_items(rec, new.id))
    states = review_states(rec, "dialogue")
    gone = [key for key in before if key not in after]
    reasons = Counter(
        states.get(key, "other workflow" if old.workflow_id != new.workflow_id else "filter") for key in gone
    )
    old_paths, new_paths = ({d.path for d, _ in dataset_dialogues(rec, row.id)} for row in (old, new))
    a, b = _choices(old.manifest), _choices(new.manifest)
    ours, theirs = (
        {k: v for k, v in row.manifest.items() if k in ("workflow_id", "wanted", "writers")} for row in (old, new)
    )
    return DatasetDifference(
        added=_by_split({key: split for key, split in after.items() if key not in before}),
        removed=_by_split({key: before[key] for key in gone}),
        moved={key: f"{before[key]} to {split}" for key, split in after.items() if before.get(key, split) != split},
        same=sum(before.get(key) == split for key, split in after.items()),
        paths={"gained": len(new_paths - old_paths), "lost": len(old_paths - new_paths)},
        choices={c: (a.get(c, 0), b.get(c, 0)) for c in sorted({*a, *b}) if a.get(c, 0) != b.get(c, 0)},
        reasons=dict(reasons),
        settings={k: (ours.get(k), theirs.get(k)) for k in sorted({*ours, *theirs}) if ours.get(k) != theirs.get(k)},
    )


def _by_split(items: Mapping[str, Split]) -> dict[str, list[str]]:
    return {split: found for split in SPLITS if (found := [key for key, s in items.items() if s == split])}


def _choices(manifest: Mapping[str, object]) -> dict[str, int]:
    train = manifest.get("train")
    found = train.get("choices") if isinstance(train, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}
