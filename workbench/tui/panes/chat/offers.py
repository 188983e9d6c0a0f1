"""What the record offers to talk with: agents, scenarios, earlier conversations. Read in a worker thread."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from workbench.agents.names import brief_name
from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import expected_terminal
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.chats import chats
from workbench.store.rows import ChatRow
from workbench.store.runs import runs
from workbench.store.scenarios import iterate_scenarios
from workbench.store.workflows import get_workflow
from workbench.tui.effects import reader
from workbench.tui.format import ago
from workbench.tui.widgets.table import Row
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow

MOST_SCENARIOS = 400


@dataclass(frozen=True)
class Offers:
    """Agents that can be talked to, what they talk about (`workflow` is its name or file, `name` what it is called), and
    earlier conversations, newest first."""

    agents: tuple[str, ...]
    workflow: str
    scenario: str | None = None
    name: str = ""
    talks: tuple[ChatRow, ...] = ()


@dataclass(frozen=True)
class Cases:
    """Scenarios to choose from, with the terminal each leads to, and the personas that may live them."""

    scenarios: tuple[Scenario, ...]
    ends: Mapping[str, str]
    personas: tuple[str, ...]

    def row(self, scenario: Scenario, persona: str | None) -> Row:
        """A line of the list."""
        values = ", ".join(str(v) for v in scenario.variables.values())
        who = persona or scenario.persona
        kinds = "+".join(scenario.deviations)
        return Row(
            scenario.id, (who, (self.ends.get(scenario.id, "?"), "agent"), (kinds or "–", "warn"), (values, "dim"))
        )


def offers(home: Home) -> Offers:
    """The compiled agents of this record, the same models untrained as rivals, and the oracle, with a test scenario."""
    agents: list[str] = []
    workflow, scenario = "travel_booking", None
    name, talks = workflow, list[ChatRow]()
    if home.database.exists():
        rec = reader(home)
        talks = chats(rec)
        found = [run for run in runs(rec) if run.status == "done"]
        agents += [f"compiled:{run.name}" for run in found]
        if found and found[0].workflow_id:
            row = get_workflow(rec, found[0].workflow_id)
            workflow, name = (row.source or row.name, row.name) if row else (workflow, name)
            held = next(iterate_scenarios(rec, found[0].workflow_id, "test"), None)
            scenario = held.id if held else None
    bases = sorted(folder for folder in home.models.glob("*") if (folder / "config.json").exists())
    for base in bases:
        agents += [f"orchestrated:local/{base}", f"in-context:local/{base}"]
    return Offers((*dict.fromkeys(agents), "oracle"), workflow, scenario, name, tuple(talks))


def cases(home: Home, workflow: str) -> Cases:
    """The test scenarios of a workflow's present version; none if there are none or the file cannot be read."""
    from workbench.workflow.hashing import workflow_hash

    try:
        flow = load_workflow(workflow)
    except UserError:
        return Cases((), {}, ())
    found = tuple(islice(iterate_scenarios(reader(home), workflow_hash(flow), "test"), MOST_SCENARIOS))
    ends: dict[str, str] = {}
    for scenario in found:
        with suppress(UserError):
            ends[scenario.id] = expected_terminal(flow, scenario)
    return Cases(found, ends, tuple(p.id for p in flow.personas))


def earlier(home: Home) -> list[ChatRow]:
    """Live conversations of the record, newest first."""
    return chats(reader(home)) if home.database.exists() else []


def chat_row(chat: ChatRow) -> Row:
    """A line of the list of earlier conversations."""
    agents = "blind" if chat.blind else ", ".join(map(brief_name, chat.agents))
    state = ("open", "accent") if chat.open else ("ended", "dim")
    return Row(chat.job, ((chat.name or "–", "strong"), agents, str(chat.messages), state, (ago(chat.created), "dim")))


def flow_of(name: str) -> Workflow | None:
    """The workflow of this name or file; None where it cannot be read any more."""
    try:
        return load_workflow(name)
    except UserError:
        return None
