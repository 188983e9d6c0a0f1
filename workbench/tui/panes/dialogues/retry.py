"""Writing quarantined dialogues anew from the pane: what it would be, then the job. For worker threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import launch
from workbench.jobs.settings import read_settings
from workbench.store.calls import counted
from workbench.store.dialogues import DialogueFilter, count_dialogues, get_dialogue, provenance_of, quarantined_rounds
from workbench.tui.effects import reader
from workbench.workflow.hashing import digest


@dataclass(frozen=True, slots=True)
class Retry:
    """A generation that can go on: its job's arguments, how many dialogues are written anew, what that may cost.

    `dollars` is what so many have cost so far, None if unknown; `retries` the job's new setting.
    """

    args: Mapping[str, Any]
    writer: str
    count: int
    retries: int
    dollars: float | None
    budget: float | None

    @property
    def question(self) -> str:
        """What is asked before money is spent."""
        cost = (
            "what it costs is unknown"
            if self.dollars is None
            else f"about ${self.dollars:.2f} at what they cost so far"
        )
        limit = "no budget is set" if self.budget is None else f"the budget of the whole job is ${self.budget:g}"
        return f"Write {self.count:,} quarantined dialogues of {self.writer} anew? {cost}; {limit}."


def find(home: Home, dialogue_id: str) -> Retry:
    """The generation that wrote this dialogue. Raises UserError if nothing of it can be written anew."""
    rec = reader(home)
    dialogue, args = get_dialogue(rec, dialogue_id), provenance_of(rec, dialogue_id).get("order")
    if dialogue is None or not isinstance(args, dict) or ":" not in dialogue.writer:
        raise UserError("choose a dialogue that a model has written: status:quarantined lists what was set aside")
    rounds = quarantined_rounds(rec, dialogue.workflow_id, dialogue.writer)
    if not rounds:
        raise UserError(f"{dialogue.writer} has no quarantined dialogues that are neither reviewed nor in a data set")
    job = digest(["generate", args])
    settings = read_settings(home.jobs / job)
    retries = min(rounds.values()) + 1
    again = sum(done < retries for done in rounds.values())
    written = count_dialogues(rec, DialogueFilter(workflow_id=dialogue.workflow_id, writer=dialogue.writer))
    spent = counted(rec, job)
    return Retry(args, dialogue.writer, again, retries, spent / written * again if spent else None, settings.budget)


def start(home: Home, retry: Retry, typed: str) -> str:
    """Start it; `typed` is the new budget of the whole job in dollars, "yes" leaves it. Returns the job's id."""
    settings: dict[str, object] = {"retries": retry.retries}
    text = typed.strip().lstrip("$")
    if text.lower() not in ("y", "yes"):
        try:
            settings["budget"] = float(text)
        except ValueError:
            raise UserError(f'"{typed}": write yes, or a budget in dollars') from None
    title = f"dialogues for {retry.args.get('workflow', '?')}"
    return launch(home, "generate", retry.args, title, settings=settings).id
