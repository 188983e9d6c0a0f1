"""A data set as files that other trainers take unchanged, with a card that says where it comes from.

- `jsonl`, `parquet`: one file a split, columns `id` and `messages` (role, content): TRL's conversational format;
- `datasets`: a folder for `datasets.load_from_disk`, with the same columns;
- `llamafactory`: JSONL in the OpenAI form with a `dataset_info.json`. Its converter wants conversations that begin with the user
  and end with the assistant, so an empty user message comes first, and a user's last word without an answer goes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.dialogue.datasets import FEW_WORDS, examples, export_jsonl
from workbench.errors import UserError
from workbench.store.record import Record
from workbench.store.rows import DatasetRow
from workbench.text import clean, clean_line
from workbench.workflow.model import SPLITS, Workflow

FORMATS = ("jsonl", "parquet", "datasets", "llamafactory")


def export_dataset(rec: Record, workflow: Workflow, row: DatasetRow, form: str, folder: Path) -> list[Path]:
    """Write the data set in one of `FORMATS` into `folder`, with its card (`README.md`) and `manifest.json`.

    Returns the files. Raises UserError for an unknown format, a folder that holds something else, or a full disk.
    """
    if form not in FORMATS:
        raise UserError(f'no format "{clean_line(form, 40)}": choose among {", ".join(FORMATS)}')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = _WRITERS[form](rec, workflow, row, folder)
        card, manifest = folder / "README.md", folder / "manifest.json"
        card.write_text(card_text(row, form), "utf-8")
        manifest.write_text(
            json.dumps({"id": row.id, "name": row.name, **row.manifest}, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
    return [*written, card, manifest]


def _jsonl(rec: Record, workflow: Workflow, row: DatasetRow, folder: Path) -> list[Path]:
    return export_jsonl(rec, workflow, row.id, folder)


def _tables(rec: Record, workflow: Workflow, row: DatasetRow) -> Iterator[tuple[str, Any]]:
    """Each split that holds anything as an Arrow table."""
    import pyarrow as pa

    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("id", pa.string()), ("messages", pa.list_(message))])
    for split in SPLITS:
        table = pa.Table.from_pylist(list(examples(rec, workflow, row.id, split)), schema=schema)
        if table.num_rows:
            yield split, table


def _parquet(rec: Record, workflow: Workflow, row: DatasetRow, folder: Path) -> list[Path]:
    import pyarrow.parquet as pq

    written = []
    for split, table in _tables(rec, workflow, row):
        written.append(folder / f"{split}.parquet")
        pq.write_table(table, written[-1])
    return written


def _datasets(rec: Record, workflow: Workflow, row: DatasetRow, folder: Path) -> list[Path]:
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    parts = DatasetDict({split: Dataset(table) for split, table in _tables(rec, workflow, row)})
    parts.save_to_disk(str(folder))
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _llamafactory(rec: Record, workflow: Workflow, row: DatasetRow, folder: Path) -> list[Path]:
    info: dict[str, object] = {}
    written = []
    for split in SPLITS:
        lines = [_aligned(example) for example in examples(rec, workflow, row.id, split)]
        if not lines:
            continue
        name = f"{row.name}-{split}".replace("/", "-")
        written.append(folder / f"{split}.jsonl")
        written[-1].write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
        info[name] = {
            "file_name": written[-1].name,
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant",
                "system_tag": "system",
            },
        }  # fmt: skip
    place = folder / "dataset_info.json"
    place.write_text(json.dumps(info, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return [*written, place]


def _aligned(example: Mapping[str, Any]) -> dict[str, object]:
    system, *said = example["messages"]
    if said and said[0]["role"] == "assistant":
        said = [{"role": "user", "content": ""}, *said]
    if said and said[-1]["role"] == "user":
        said = said[:-1]
    return {"messages": [system, *said]}


_WRITERS: Mapping[str, Callable[[Record, Workflow, DatasetRow, Path], list[Path]]] = {
    "jsonl": _jsonl, "parquet": _parquet, "datasets": _datasets, "llamafactory": _llamafactory,
}  # fmt: skip


def card_text(row: DatasetRow, form: str | None = None) -> str:
    """A data set card (Markdown with the front matter that dataset hubs read): what is in it and how it was made."""
    m = row.manifest
    sizes, paths, sums = (_mapping(m.get(name)) for name in ("sizes", "paths", "sha256"))
    train, wanted = _mapping(m.get("train")), _mapping(m.get("wanted"))
    lines = [
        "---", "task_categories: [text-generation]", f"pretty_name: {json.dumps(clean_line(row.name, 80))}",
    ]  # fmt: skip
    if form in ("jsonl", "parquet"):
        lines += ["configs:", "- config_name: default", "  data_files:"]
        lines += [f"  - split: {split}\n    path: {split}.{form}" for split in SPLITS if sizes.get(split)]
    lines += [
        "---", "", f"# {_said(row.name)}", "",
        f"Dialogues of the workflow **{_said(m.get('workflow'))}** (version `{_said(m.get('workflow_id', row.workflow_id))}`), "
        f"data set `{row.id}`, made by workbench {_said(m.get('workbench'))}.", "",
        "| split | dialogues | paths | SHA-256 of its JSONL |", "|---|---:|---:|---|",
    ]  # fmt: skip
    lines += [f"| {s} | {sizes.get(s, 0)} | {paths.get(s, '–')} | `{sums.get(s, '–')}` |" for s in SPLITS]
    by = wanted.get("split_by", "values")
    kind = (
        "no path of test is in train; every hub choice on it is" if by == "path" else "paths are shared between splits"
    )
    lines += [
        "", f"- Writers: {_said(', '.join(map(str, _list(m.get('writers')))))}.",
        f"- Splits: no scenario, open value or user wording is in two of them; {kind}. Both are checked when it is built.",
        *_short(_mapping(m.get("short_wordings"))),
        f"- Best hub accuracy that any agent could reach on it: {_said(m.get('ceiling'))}.",
        f"- Reviewed by people: {_said(m.get('reviewed', 0))}. Left out: {_said(_counts(m.get('left_out')) or 'none')}.",
        f"- Training covers: {_said(train.get('paths'))} paths, terminals {_said(_counts(train.get('terminals')))}; "
        f"not visited: {_said(', '.join(map(str, _list(train.get('uncovered')))) or 'nothing')}.",
        "- Columns: `messages` (role, content): a system message, then assistant and user in turns; the assistant opens. "
        "Nothing of the graph (node names, conditions, prompts) stands in the text; this is checked as well.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _short(recurring: Mapping[str, Any]) -> list[str]:
    """What the card says of short wordings that recur; nothing where none does."""
    parts = [
        f"{_said(n.get('wordings'))} ({n.get('share', 0.0):.1%} of what its users say) in {_said(split)}"
        for split, n in recurring.items()
        if n.get("wordings")
    ]
    if not parts:
        return []
    return [
        f'- Excepted are short wordings of a model\'s user (up to {FEW_WORDS} words, such as "yes, please") that training '
        f"has too: {', '.join(parts)}."
    ]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _counts(value: object) -> str:
    return ", ".join(f"{name} {n}" for name, n in _mapping(value).items())


def _said(value: object) -> str:
    """Words from the record as one line of Markdown without markup."""
    line = clean_line(clean(str(value)), 400)
    for char in "\\`*_[]<>|#":
        line = line.replace(char, "\\" + char)
    return line
