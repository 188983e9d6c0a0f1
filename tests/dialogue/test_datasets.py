from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.cli import dataset as command
from workbench.dialogue.checks import check_dialogue, check_set
from workbench.dialogue.dataset_export import FORMATS, card_text, export_dataset
from workbench.dialogue.datasets import (
    Wanted,
    build_dataset,
    difference,
    examples,
    overlaps,
    part_wordings,
    recurring_wordings,
    split_by_path,
)
from workbench.dialogue.diversity import near_duplicates
from workbench.dialogue.freshness import adopt, places
from workbench.dialogue.generation import Order, keep_workflow, planned_paths, write_all
from workbench.dialogue.model import Dialogue
from workbench.dialogue.reviewing import decide, fix, settle, subject_hash, undo
from workbench.dialogue.scenarios import scenario_for_path
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.datasets import dataset_dialogues, dataset_items
from workbench.store.dialogues import (
    DialogueFilter,
    dialogue_rowids,
    dialogue_rows,
    iterate_dialogues,
    provenance_of,
    set_checks,
)
from workbench.store.record import Record
from workbench.store.reviews import review_states, reviews
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS, Split, Workflow
from workbench.workflow.paths import PathSpace

ORDER = Order("travel_booking", 90, 12, 12, 0)


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, travel: Workflow) -> Path:
    root = tmp_path_factory.mktemp("written") / "runs"
    with connect(Home(root)) as rec:
        write_all(rec, travel, ORDER)
    return root


@pytest.fixture
def rec(made: Path, tmp_path: Path) -> Iterator[Record]:
    """A copy of a record with real dialogues."""
    home = Home(tmp_path / "runs").make()
    with connect(Home(made)) as source:
        source.connection.execute("VACUUM INTO ?", (str(home.database),))
    with connect(home) as opened:
        yield opened


def first(rec: Record, n: int = 0, split: Split = "train") -> Dialogue:
    return list(iterate_dialogues(rec, DialogueFilter(split=split)))[n]


def taken(rec: Record, dataset: str) -> set[str]:
    return {key for key, _ in dataset_items(rec, dataset)}


def test_what_reviewers_flag_dispute_or_mend_decides_what_is_taken(rec: Record, travel: Workflow) -> None:
    plain = build_dataset(rec, travel, "plain")
    flagged, disputed, mended, passed = (first(rec, n) for n in range(4))
    decide(rec, "dialogue", flagged.id, "ann", "flag")
    decide(rec, "dialogue", disputed.id, "ann", "flag")
    decide(rec, "dialogue", disputed.id, "bob", "pass")
    decide(rec, "dialogue", passed.id, "ann", "pass")
    copy, faults = fix(rec, travel, mended, {0: "Good day, what may I do for you?"}, "ann")
    assert faults == []
    after = build_dataset(rec, travel, "after")
    assert taken(rec, plain.id) - taken(rec, after.id) == {flagged.id, disputed.id, mended.id}
    assert taken(rec, after.id) - taken(rec, plain.id) == {copy.id}
    assert after.manifest["left_out"] == {"flag": 1, "split": 1}
    assert after.manifest["reviewed"] == 4
    undo(rec, "ann")
    assert copy.id not in taken(rec, build_dataset(rec, travel, "undone").id)
    said = difference(rec, plain, after)
    assert said.reasons == {"flag": 1, "split": 1, "none": 1} or said.reasons == {"flag": 1, "split": 1, "filter": 1}
    assert said.added == {"train": [copy.id]}
    only = build_dataset(rec, travel, "passed", wanted=Wanted(review="passed"))
    assert taken(rec, only.id) == {passed.id}


def test_a_faulty_mend_is_shown_and_kept_out(rec: Record, travel: Workflow) -> None:
    hub = travel.hubs[0]
    copy, faults = fix(rec, travel, first(rec), {0: f"We are at {hub} now, {{city}}?"}, "ann", "hm")
    assert {f.code for f in faults} >= {"leak", "placeholder"}
    row = build_dataset(rec, travel, "x")
    assert {first(rec).id, copy.id} & taken(rec, row.id) == set()
    assert row.manifest["left_out"] == {"faulty": 1, "mended copy is faulty": 1}
    with pytest.raises(UserError, match="nothing was changed"):
        fix(rec, travel, first(rec, 1), {0: first(rec, 1).messages[0].text + " "}, "ann")


def test_faults_keep_a_dialogue_out_unless_they_are_admitted(rec: Record, travel: Workflow) -> None:
    dialogue = first(rec)
    set_checks(rec, dialogue.id, "quarantined", [{"code": "language", "index": None, "what": "x"}])
    assert dialogue.id not in taken(rec, build_dataset(rec, travel, "a").id)
    assert dialogue.id in taken(rec, build_dataset(rec, travel, "b", wanted=Wanted(admit=("language",))).id)
    assert dialogue.id not in taken(rec, build_dataset(rec, travel, "c", wanted=Wanted(admit=("leak",))).id)


def test_no_path_of_the_test_split_is_trained_on_but_every_hub_choice_is(rec: Record, travel: Workflow) -> None:
    row = build_dataset(rec, travel, "paths", wanted=Wanted(split_by="path"))
    by_split: dict[str, list[Dialogue]] = {}
    for dialogue, split in dataset_dialogues(rec, row.id):
        by_split.setdefault(split, []).append(dialogue)
    tested, trained = ({d.path for d in by_split[s]} for s in ("test", "train"))
    assert tested
    assert not tested & ({d.path for d in by_split["dev"]} | trained)
    hubs = set(travel.hubs)
    choices = [{e for path in paths for e in path if travel.edge[e].source in hubs} for paths in (tested, trained)]
    assert choices[0] <= choices[1]
    assert row.manifest["left_out"] == {"path": 114 - sum(map(len, by_split.values()))}
    assert row.id != build_dataset(rec, travel, "values").id


def test_a_path_whose_choice_nothing_else_takes_is_not_held_out(rec: Record, travel: Workflow) -> None:
    dialogue = first(rec)
    alone: dict[Split, list[Dialogue]] = {"train": [dialogue], "dev": [], "test": [dialogue]}
    parted, left = split_by_path(travel, alone)
    assert (parted["train"], parted["test"], left) == ([dialogue], [], 1)
    assert overlaps(travel, {"train": [dialogue], "dev": [], "test": [dialogue]}, paths=True)[0].startswith("path")


@given(
    name=st.sampled_from(["travel_booking", "zoom_support", "insurance_claims"]),
    seed=st.integers(0, 10**6),
    sizes=st.tuples(st.integers(1, 150), st.integers(0, 40), st.integers(1, 40)),
)
@settings(max_examples=25, deadline=None)
def test_whatever_was_written_the_path_split_tests_no_trained_path_and_no_untrained_choice(
    name: str, seed: int, sizes: tuple[int, int, int]
) -> None:
    workflow = load_workflow(name)
    order = Order(name, *sizes, least=0, seed=seed)
    scenario = scenario_for_path(workflow, PathSpace(workflow)[0], "train", 1)
    chosen: dict[Split, list[Dialogue]] = {
        split: [
            Dialogue(f"{split}{n}", "w", scenario, path, workflow.edge[path[-1]].target, "x", 0, ())
            for n, path in enumerate(planned_paths(workflow, order, split))
        ]
        for split in SPLITS
    }
    parted, left = split_by_path(workflow, chosen)
    tested, trained, watched = ({d.path for d in parted[s]} for s in ("test", "train", "dev"))
    assert not tested & (trained | watched)
    hubs = set(workflow.hubs)
    choices = [{e for path in paths for e in path if workflow.edge[e].source in hubs} for paths in (tested, trained)]
    assert choices[0] <= choices[1]
    assert len(parted["dev"]) >= len(chosen["dev"]) // 2
    assert left == sum(len(chosen[s]) - len(parted[s]) for s in SPLITS)
    assert all(set(map(id, parted[s])) <= set(map(id, chosen[s])) for s in SPLITS)


def test_a_path_split_with_nothing_to_test_is_refused(rec: Record, travel: Workflow) -> None:
    with pytest.raises(UserError, match="no path can be kept for the test alone"):
        build_dataset(rec, travel, "none", wanted=Wanted({"test": 0}, split_by="path"))


def test_short_wordings_of_a_models_user_may_recur_and_are_counted(rec: Record, travel: Workflow) -> None:
    """The train dialogue says a short thing of the test split again, and one a long thing: that one goes."""

    def said(dialogue: Dialogue, text: str, key: str) -> Dialogue:
        at = next(n for n, m in enumerate(dialogue.messages) if m.role == "user")
        messages = [replace(m, text=text, facts={}) if n == at else m for n, m in enumerate(dialogue.messages)]
        return replace(dialogue, id=key, messages=tuple(messages), writer="whole:m")

    short, long = "Yes, please do that.", "Yes, please do exactly that thing for me right away."
    chosen: dict[Split, list[Dialogue]] = {
        "train": [said(first(rec), short, "a"), said(first(rec, 1), long, "b")],
        "dev": [],
        "test": [said(first(rec, 0, "test"), short, "c"), said(first(rec, 1, "test"), long, "d")],
    }
    parted, left = part_wordings(chosen)
    assert ([d.id for d in parted["train"]], left) == (["a"], 1)
    assert overlaps(travel, parted) == []
    found = recurring_wordings(parted)
    assert found["test"]["wordings"] == 1
    assert 0 < found["test"]["share"] < 0.5
    assert found["dev"] == {"wordings": 0, "share": 0.0}
    row = build_dataset(rec, travel, "scripted")
    assert row.manifest["short_wordings"] == {split: {"wordings": 0, "share": 0.0} for split in ("dev", "test")}
    assert "Excepted are short wordings" not in card_text(row)
    told = card_text(replace(row, manifest={**row.manifest, "short_wordings": found}))
    assert "up to 8 words" in told
    assert "1 (" in told


def test_what_was_settled_decides_what_is_taken(rec: Record, travel: Workflow) -> None:
    disputed, mended = first(rec), first(rec, 1)
    for dialogue in (disputed, mended):
        decide(rec, "dialogue", dialogue.id, "ann", "flag")
    decide(rec, "dialogue", disputed.id, "bob", "pass")
    copy, _ = fix(rec, travel, mended, {0: "Good day, what may I do for you?"}, "bob")
    assert {disputed.id, mended.id, copy.id} & taken(rec, build_dataset(rec, travel, "open").id) == set()
    settle(rec, "dialogue", disputed.id, "zoe", "pass")
    settle(rec, "dialogue", mended.id, "zoe", "fix")
    row = build_dataset(rec, travel, "settled")
    assert {disputed.id, mended.id, copy.id} & taken(rec, row.id) == {disputed.id, copy.id}
    assert row.manifest["left_out"] == {}
    settle(rec, "dialogue", mended.id, "zoe", "flag")
    assert build_dataset(rec, travel, "again").manifest["left_out"] == {"flag": 1}


def test_a_mended_copy_is_whole(rec: Record, travel: Workflow) -> None:
    """Its own hash, no review of its own, found by its words; the original keeps its text, and undo brings it back."""
    original = first(rec)
    before = subject_hash(rec, "dialogue", original.id)
    copy, _ = fix(rec, travel, original, {0: "Bonjour unicornword, how may I help?"}, "ann", "stiff", ("tone",))
    assert subject_hash(rec, "dialogue", copy.id) != before == subject_hash(rec, "dialogue", original.id)
    assert copy.id not in review_states(rec, "dialogue")
    (row,) = reviews(rec, original.id)
    assert (row.decision, row.copy_id, row.note, row.tags) == ("fix", copy.id, "stiff", ("tone",))
    found = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(text="unicornword")))
    assert [(line.id, line.writer, line.status) for line in found] == [(copy.id, copy.writer, "ok")]
    assert provenance_of(rec, copy.id)["edited_from"] == original.id
    assert fix(rec, travel, original, {0: "Bonjour unicornword, how may I help?"}, "ann")[0].id == copy.id
    dataset = build_dataset(rec, travel, "x")
    said = json.dumps([e["messages"] for e in examples(rec, travel, dataset.id, "train")])
    assert said.count("unicornword") == 1
    undo(rec, "ann")
    dataset = build_dataset(rec, travel, "y")
    assert copy.id not in taken(rec, dataset.id)
    assert original.id in taken(rec, dataset.id)


def test_near_duplicates_are_found_and_left_out(rec: Record, travel: Workflow) -> None:
    one, two = first(rec), first(rec, 1)
    words = one.messages[0]
    near = replace(one, id="near", messages=(replace(words, text=words.text + " Hello."), *one.messages[1:]))
    found = near_duplicates([one, two, near])
    assert [(n.first, n.second) for n in found] == [(one.id, "near")]
    assert 0.9 < found[0].overlap < 1
    row = build_dataset(rec, travel, "far", wanted=Wanted(least_distance=0.8))
    left = row.manifest["left_out"]
    assert isinstance(left, dict)
    assert left["near-duplicate"] > 0


def test_checks_find_what_is_wrong(rec: Record, travel: Workflow) -> None:
    dialogue = first(rec)
    agent, user = dialogue.messages[0], dialogue.messages[1]

    def codes(at: int, text: str) -> set[str]:
        messages = list(dialogue.messages)
        messages[at] = replace(messages[at], text=text)
        return {f.code for f in check_dialogue(travel, replace(dialogue, messages=tuple(messages)))}

    assert codes(0, agent.text) == set()
    assert codes(0, "That comes to $4,711 on 3 March.") == {"invented-fact"}
    assert codes(0, "Let me see what I can do for") == {"cut-off"}
    assert "language" in codes(0, "Guten Tag, was kann ich heute für Sie tun? Ich helfe Ihnen sehr gerne weiter. " * 12)
    assert "wrong-fact" in codes(1, "Hello there.") or not user.facts
    assert "not-alternating" in {
        f.code for f in check_dialogue(travel, replace(dialogue, messages=dialogue.messages[1:]))
    }


def test_the_whole_set_is_measured(rec: Record, travel: Workflow) -> None:
    found = check_set(travel, iterate_dialogues(rec))
    assert found.dialogues == 114
    assert found.ceiling == 1.0
    assert sum(found.choices.values()) <= sum(found.edges.values())
    assert set(found.choices) == {e.id for hub in travel.hubs for e in travel.out[hub]}
    assert 0 < found.distinct["agent"][1] < found.distinct["agent"][2] < found.distinct["agent"][3] < 1
    assert found.uncovered == ()
    few = check_set(travel, [first(rec)])
    assert set(travel.terminals) - {first(rec).terminal} <= set(few.uncovered)


@pytest.mark.parametrize("form", FORMATS)
def test_exports_hold_what_is_trained_on(rec: Record, travel: Workflow, tmp_path: Path, form: str) -> None:
    row = build_dataset(rec, travel, 'first "set"')
    out = tmp_path / "out"
    files = export_dataset(rec, travel, row, form, out)
    assert {f.name for f in files} >= {"README.md", "manifest.json"}
    assert json.loads((out / "manifest.json").read_text())["id"] == row.id
    wanted = [e["messages"] for e in examples(rec, travel, row.id, "train")]
    if form == "jsonl":
        got = [json.loads(line)["messages"] for line in (out / "train.jsonl").read_text().splitlines()]
    elif form == "parquet":
        import pyarrow.parquet as pq

        got = pq.read_table(out / "train.parquet").column("messages").to_pylist()
    elif form == "datasets":
        from datasets import load_from_disk

        loaded = load_from_disk(str(out))
        assert set(loaded) == {"train", "dev", "test"}
        got = list(loaded["train"]["messages"])
    else:
        got = _as_llama_factory_reads(out, "train")
        wanted = [[m for m in messages if m["role"] != "system"] for messages in wanted]
    assert got == wanted
    with pytest.raises(UserError, match="choose among"):
        export_dataset(rec, travel, row, "csv", out)


def _as_llama_factory_reads(folder: Path, split: str) -> list[list[dict[str, str]]]:
    """Its rules for the sharegpt form: user and assistant in turns from the user on, an even number of them."""
    info = json.loads((folder / "dataset_info.json").read_text())
    (name,) = (n for n in info if n.endswith(split))
    tags = info[name]["tags"]
    read = []
    for line in (folder / info[name]["file_name"]).read_text().splitlines():
        system, *said = json.loads(line)[info[name]["columns"]["messages"]]
        assert system[tags["role_tag"]] == tags["system_tag"]
        assert len(said) % 2 == 0
        assert all(m["role"] == (tags["user_tag"], tags["assistant_tag"])[i % 2] for i, m in enumerate(said))
        assert said[0]["content"] == ""
        read.append(said[1:])
    return read


def test_a_card_says_where_it_comes_from_and_holds_no_markup_of_others(rec: Record, travel: Workflow) -> None:
    row = build_dataset(rec, travel, "[x](javascript:1) <b>")
    card = card_text(row, "parquet")
    assert row.id in card
    assert workflow_hash(travel) in card
    assert "train.parquet" in card
    assert "<b>" not in card.split("---")[2]
    assert str(row.manifest["sha256"]["train"]) in card  # type: ignore[index]


def test_only_what_is_stale_is_replaced_when_the_workflow_changes(rec: Record, travel: Workflow) -> None:
    node = next(n for n in travel.nodes.values() if n.role == "terminal" and n.outcome == "escalated")
    changed = replace(travel, nodes={**travel.nodes, node.id: replace(node, prompt=node.prompt + " Be brief.")})
    old = list(iterate_dialogues(rec))
    decide(rec, "dialogue", next(d.id for d in old if d.terminal != node.id), "ann", "flag")
    keep_workflow(rec, changed)
    stale = sum(d.terminal == node.id for d in old)
    found = adopt(rec, changed)
    assert (found.kept, found.stale) == (len(old) - stale, stale)
    assert set(found.parts) == {f"node {node.id}"}
    assert adopt(rec, changed).kept == 0
    assert len(places(rec, workflow_hash(changed))) == len(old) - stale
    row = build_dataset(rec, changed, "changed")
    assert row.manifest["left_out"] == {"flag": 1}  # the review came along
    assert len(review_states(rec, "dialogue")) == 2
    again = write_all(rec, changed, ORDER)
    assert (again["new"], again["kept"]) == (stale, len(old) - stale)
    assert len(places(rec, workflow_hash(changed))) == len(old)
    assert write_all(rec, changed, ORDER)["new"] == 0
    assert difference(rec, build_dataset(rec, travel, "before"), row).settings["workflow_id"][0] == workflow_hash(
        travel
    )


def test_the_commands(rec: Record, travel: Workflow, tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    for words in (
        ["build", "travel_booking", "--name", "one", "--train", "50"],
        ["build", "travel_booking", "--name", "two", "--split", "path", "--distance", "0.2", "--json"],
        ["diff", "one", "two"],
        ["show", "one", "--card"],
        ["export", "one", str(tmp_path / "out"), "--to", "llamafactory"],
    ):
        result = CliRunner().invoke(command.group, words, obj=home, catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "dataset_info.json").is_file()
