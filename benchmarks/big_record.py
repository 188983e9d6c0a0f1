"""Makes a large realistic record: real dialogues of the shipped workflows, multiplied, with reviews and faults.

    python benchmarks/big_record.py HOME [--dialogues 100000] [--conversations 0] [--seed 1]

HOME is a folder as for `workbench --home`. A base of scripted dialogues is written for every shipped workflow; each further one
is a copy of one of them with a booking number of its own in the user's words, another id, scenario, writer and age, so that
texts, lengths, paths and terminals are those of real dialogues. 1% are quarantined, 5% reviewed (a fifth of these by two).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workbench.dialogue.generation import Order, keep_workflow, planned_scenarios
from workbench.dialogue.model import Dialogue
from workbench.dialogue.scripted import write
from workbench.home import Home
from workbench.store import connect
from workbench.store.conversations import put_conversation
from workbench.store.dialogues import put_dialogues
from workbench.store.record import Record
from workbench.store.reviews import put_reviews
from workbench.store.rows import ConversationRow, DialogueEntry, MessageRow, ReviewRow
from workbench.workflow.hashing import digest
from workbench.workflow.load import load_workflow
from workbench.workflow.paths import PathSpace

WORKFLOWS = {"travel_booking": 0.5, "zoom_support": 0.2, "insurance_claims": 0.3}
BASE = 400
"""Dialogues that are really written, for each workflow."""
WRITERS = ("scripted", "anthropic/claude-sonnet-4-5", "openai/gpt-4.1")
START = 1_780_000_000.0


def fill(home: Home, dialogues: int, conversations: int = 0, seed: int = 1) -> None:
    """Fill the record of `home`; made again with the same arguments it adds nothing."""
    rng = Random(seed)
    with connect(home.make()) as rec:
        for name, share in WORKFLOWS.items():
            workflow = load_workflow(name)
            keep_workflow(rec, workflow)
            space = PathSpace(workflow)
            order = Order(name, min(BASE, dialogues), 0, 0, 0, seed)
            base = [
                (d, space.rank(d.path))
                for d in (write(workflow, s) for s in planned_scenarios(workflow, order, "train"))
            ]
            n = round(dialogues * share)
            put_dialogues(rec, (_entry(*base[i % len(base)], i, rng) for i in range(n)))
            put_reviews(rec, _reviews(name, n, rng, base))
            for first in range(0, talks := round(conversations * share), 1000):
                with rec.write():
                    for i in range(first, min(first + 1000, talks)):
                        _conversation(rec, base[i % len(base)][0], i)


def _key(name: str, number: int) -> str:
    return digest(["big", name, number])


def _entry(dialogue: Dialogue, rank: int, number: int, rng: Random) -> DialogueEntry:
    workflow = dialogue.workflow_id
    scenario = replace(
        dialogue.scenario,
        id=_key(f"{workflow} scenario", number),
        split=rng.choices(("train", "dev", "test"), (90, 6, 4))[0],
    )
    messages = tuple(
        replace(m, text=f"{m.text} My number is {number:06d}.") if i == 1 else m
        for i, m in enumerate(dialogue.messages)
    )
    made = replace(
        dialogue,
        id=_key(workflow, number),
        scenario=scenario,
        messages=messages,
        writer=rng.choices(WRITERS, (8, 1, 1))[0],
    )
    faulty = rng.random() < 0.01
    checks = ({"code": rng.choice(("leak", "wrong-fact", "too-long")), "index": 1, "what": "made for a benchmark"},)
    return DialogueEntry(
        made, rank, checks if faulty else (), "quarantined" if faulty else "ok", {"made": "benchmark"}, START + number
    )


def _reviews(name: str, n: int, rng: Random, base: list[tuple[Dialogue, int]]) -> Iterator[ReviewRow]:
    workflow = base[0][0].workflow_id
    for number in rng.sample(range(n), n // 20):
        people = ("ann", "bob") if rng.random() < 0.2 else ("ann",)
        for who in people:
            decision = rng.choices(("pass", "flag"), (85, 15))[0]
            yield ReviewRow(
                _key(who + name, number), _key(workflow, number), who, decision, (), "", START + 1e6 + number
            )


def _conversation(rec: Record, dialogue: Dialogue, number: int) -> None:
    row = ConversationRow(
        _key("talk" + dialogue.workflow_id, number), None, "oracle", "oracle", None, dialogue.workflow_id, status="done",
        terminal=dialogue.terminal, ended_by="agent", created=START + number,
    )  # fmt: skip
    put_conversation(rec, row, [MessageRow(m.role, m.text, m.nodes, created=START) for m in dialogue.messages])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--dialogues", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    home = Home(given.home.absolute() / "runs")
    fill(home, given.dialogues, given.conversations, given.seed)
    print(f"{home.database}: {home.database.stat().st_size / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
