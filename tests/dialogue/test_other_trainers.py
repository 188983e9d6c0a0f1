"""Exported data sets in the hands of other trainers: TRL's own preparation and a step of its trainer, LLaMA-Factory's own reader.

Each test is skipped where the trainer is not installed. LLaMA-Factory pins older versions of our dependencies: its wheel
alone (`pip install --no-deps --target FOLDER llamafactory`, FOLDER on PYTHONPATH) is enough for its reader.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.models.tiny import make_model
from workbench.dialogue.dataset_export import export_dataset
from workbench.dialogue.datasets import build_dataset, examples
from workbench.dialogue.generation import Order, write_all
from workbench.home import Home
from workbench.store import connect
from workbench.store.record import Record
from workbench.workflow.load import load_workflow

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def rec(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Record]:
    with connect(Home(tmp_path_factory.mktemp("home") / "runs")) as made:
        write_all(made, load_workflow("travel_booking"), Order("travel_booking", 6, 4, 4, 0))
        yield made


def exported(rec: Record, form: str, folder: Path) -> list[list[dict[str, str]]]:
    """Write the data set; returns the messages of its training split."""
    workflow = load_workflow("travel_booking")
    row = build_dataset(rec, workflow, "one")
    export_dataset(rec, workflow, row, form, folder)
    return [list(e["messages"]) for e in examples(rec, workflow, row.id, "train")]  # type: ignore[call-overload]


@pytest.mark.skipif(importlib.util.find_spec("trl") is None, reason="TRL is not installed")
@pytest.mark.parametrize("form", ["datasets", "jsonl", "parquet"])
def test_trl_prepares_and_trains_on_what_the_assistant_says(form: str, rec: Record, tmp_path: Path) -> None:
    from datasets import load_dataset, load_from_disk
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from workbench.training.template import install

    wanted = exported(rec, form, tmp_path / "out")
    if form == "datasets":
        data: Any = load_from_disk(str(tmp_path / "out"))["train"]
    else:
        kind, file = ("json", "train.jsonl") if form == "jsonl" else ("parquet", "train.parquet")
        cache = str(tmp_path / "cache")
        data = load_dataset(kind, data_files=str(tmp_path / "out" / file), split="train", cache_dir=cache)
    make_model(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    install(tokenizer)
    settings = SFTConfig(
        output_dir=str(tmp_path / "trl"),
        assistant_only_loss=True,
        max_length=None,
        max_steps=1,
        per_device_train_batch_size=2,
        report_to=[],
        use_cpu=True,
        bf16=False,
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(str(tmp_path / "model"), args=settings, train_dataset=data, processing_class=tokenizer)
    prepared = trainer.train_dataset
    assert len(prepared) == len(wanted)
    for example, messages in zip(prepared, wanted, strict=True):
        labelled = zip(example["input_ids"], example["labels"], strict=True)
        learnt = tokenizer.decode([token for token, label in labelled if label != -100])
        assert learnt.split("<|im_end|>")[:-1] == [m["content"] for m in messages if m["role"] == "assistant"]
    result = trainer.train()
    assert 0 < result.training_loss < 100


@pytest.mark.skipif(importlib.util.find_spec("llamafactory") is None, reason="LLaMA-Factory is not installed")
def test_llama_factorys_own_reader_takes_every_dialogue(
    rec: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = exported(rec, "llamafactory", tmp_path / "out")
    monkeypatch.setenv("DISABLE_VERSION_CHECK", "1")
    package = importlib.util.find_spec("llamafactory")
    assert package is not None
    assert package.submodule_search_locations is not None
    # Its `data` package imports what images and sound need; parser and converter need nothing of that.
    door = ModuleType("llamafactory.data")
    door.__path__ = [str(Path(package.submodule_search_locations[0]) / "data")]
    monkeypatch.setitem(sys.modules, "llamafactory.data", door)
    converter = importlib.import_module("llamafactory.data.converter")
    parser = importlib.import_module("llamafactory.data.parser")
    from datasets import load_dataset

    (attributes,) = parser.get_dataset_list(["one-train"], str(tmp_path / "out"))
    file, cache = str(tmp_path / "out" / attributes.dataset_name), str(tmp_path / "cache")
    data = load_dataset("json", data_files=file, split="train", cache_dir=cache)
    given = SimpleNamespace(
        streaming=False, preprocessing_num_workers=None, overwrite_cache=True, dataset_dir=str(tmp_path / "out")
    )
    read = converter.align_dataset(data, attributes, given, SimpleNamespace(local_process_index=0))
    assert len(read) == len(wanted)
    for example, (system, *said) in zip(read, wanted, strict=True):
        got = [*example["_prompt"], *example["_response"]]
        assert example["_system"] == system["content"]
        assert got[0] == {"role": "user", "content": ""}
        spoken = said if said[-1]["role"] == "assistant" else said[:-1]
        assert json.loads(json.dumps(got[1:])) == spoken
