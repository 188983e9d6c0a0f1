"""What an evaluation is to do: which agents hold which conversations, and the ids that make it resumable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from workbench.agents.names import AgentName, parse_name
from workbench.dialogue.datasets import find_dataset
from workbench.dialogue.model import Scenario
from workbench.errors import UserError
from workbench.evaluation.design import Design, design, weigh
from workbench.evaluation.judges import judge_models
from workbench.evaluation.judging import Panel
from workbench.evaluation.rubric import load_rubric
from workbench.evaluation.rules import JUDGE as RULES
from workbench.store.conversations import done_conversations
from workbench.store.datasets import dataset_dialogues
from workbench.store.find import find
from workbench.store.record import Record
from workbench.store.select import windows
from workbench.text import clean_line
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import Split, Workflow


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """The arguments of an `evaluate` job.

    `limits` gives an agent fewer scenarios than the others (the first so many of the same set). `dataset` names the
    data set whose test scenarios come first; beyond them, or without it, scenarios are designed from the seed
    (`design.py`). `user` is `agenda` or `llm:MODEL`. `judges` are names as in `judges.py`; the rules always judge.
    `rubric` is a packaged one's name or a file, None the paper's. `retry_missing` asks again for verdicts that a judge
    did not give. `hourly_price` is what an hour of the local machine costs in dollars, None if unknown.

    How it runs (concurrency, pause, budget, batches) is in the job's settings and no part of what it is.
    """

    workflow: str
    agents: tuple[str, ...]
    scenarios: int = 40
    split: Split = "test"
    seed: int = 42
    repetitions: int = 1
    user: str = "agenda"
    limits: Mapping[str, int] = field(default_factory=dict)
    dataset: str | None = None
    name: str = ""
    hourly_price: float | None = None
    workflow_id: str | None = None
    judges: tuple[str, ...] = (RULES,)
    judge_repetitions: int = 1
    rubric: str | None = None
    retry_missing: bool = False

    def models(self) -> list[str]:
        """Every model that the plan calls, each once. Raises UserError for a name that has no such form."""
        models = [m for name in self.agents if (m := parse_name(name).model)]
        if self.user.startswith("llm:"):
            models.append(self.user.removeprefix("llm:"))
        return list(dict.fromkeys([*models, *self.panel().judges]))

    def panel(self) -> Panel:
        """The language models that judge, and by what. Raises UserError for a judge or a rubric that is not there."""
        return Panel(judge_models(self.judges), load_rubric(self.rubric), self.judge_repetitions)


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation to be held. `id` hashes all that it depends on, so it is held once."""

    id: str
    agent: AgentName
    condition: str
    scenario: Scenario
    repetition: int


@dataclass(frozen=True, slots=True)
class Rows:
    """The conversations that one agent is to hold, repetitions innermost; made when their turn comes."""

    agent: AgentName
    condition: str
    scenarios: Sequence[Scenario]
    repetitions: int
    comparison: str
    identity: str
    """The agent's part of a conversation's id."""

    def __len__(self) -> int:
        return len(self.scenarios) * self.repetitions

    def __iter__(self) -> Iterator[Row]:
        for scenario in self.scenarios:
            for rep in range(self.repetitions):
                key = digest([self.comparison, self.identity, scenario.id, rep])
                yield Row(key, self.agent, self.condition, scenario, rep)


def plan_of(args: Mapping[str, Any]) -> EvaluationPlan:
    """Read a job's arguments. Raises UserError for unknown ones and for values out of range."""
    known = {f.name for f in fields(EvaluationPlan)}
    if unknown := sorted(set(args) - known):
        raise UserError(f"unknown argument of an evaluation: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
    lists = {name: tuple(args[name]) for name in ("agents", "judges") if name in args}
    plan = EvaluationPlan(**{**args, "agents": (), **lists})
    if not plan.agents:
        raise UserError("name at least one agent, such as compiled:RUN or oracle")
    for name in ("scenarios", "repetitions", "judge_repetitions"):
        if getattr(plan, name) < 1:
            raise UserError(f"{name} must be at least 1, not {getattr(plan, name)}")
    if plan.split == "train":
        raise UserError("an evaluation uses the test or the dev split; training scenarios are known to the agent")
    plan.panel()
    return plan


def parse_limit(text: str, agents: Sequence[str]) -> tuple[str, int]:
    """Read `AGENT=N`, split at the last equals sign: fewer scenarios for a slow or dear agent. Raises UserError."""
    agent, _, number = text.strip().rpartition("=")
    if agent not in agents or not number.isdecimal() or int(number) < 1:
        known = ", ".join(agents)
        raise UserError(
            f'limit "{clean_line(text, 80)}": write AGENT=N with one of the agents ({known}) and a number from 1'
        )
    return agent, int(number)


def scenario_set(rec: Record, workflow: Workflow, plan: EvaluationPlan) -> Design:
    """The frozen set: the data set's own scenarios of the split, then designed ones; the same for every agent."""
    chosen: dict[str, Scenario] = {}
    if plan.dataset:
        dataset = find_dataset(rec, plan.dataset)
        for dialogue, _ in dataset_dialogues(rec, dataset.id, plan.split):
            chosen.setdefault(dialogue.scenario.id, dialogue.scenario)
    if len(chosen) < plan.scenarios:
        for scenario in design(workflow, plan.scenarios, plan.split, plan.seed).scenarios:
            chosen.setdefault(scenario.id, scenario)
    return weigh(workflow, list(chosen.values())[: plan.scenarios])


def comparison_id(rec: Record, workflow: Workflow, plan: EvaluationPlan, scenarios: list[Scenario]) -> str:
    """The id of the comparison: workflow, agents (a run by its id, not its name), scenarios, user and repetitions."""
    agents = [identity(rec, parse_name(name)) for name in plan.agents]
    setting = {k: v for k, v in asdict(plan).items() if k in ("repetitions", "user", "limits", "name")}
    return digest([workflow_hash(workflow), agents, [s.id for s in scenarios], setting])


def rows_of(rec: Record, plan: EvaluationPlan, comparison: str, scenarios: list[Scenario]) -> list[Rows]:
    """The conversations to hold, agent by agent."""
    conditions = condition_names([parse_name(name) for name in plan.agents])
    table: list[Rows] = []
    for text in plan.agents:
        agent = parse_name(text)
        few = scenarios[: plan.limits.get(text, len(scenarios))]
        table.append(Rows(agent, conditions[agent.text], few, plan.repetitions, comparison, identity(rec, agent)))
    return table


def rows_left(rec: Record, rows: Rows) -> Iterator[Row]:
    """Those of the conversations that have not been held to their end when their turn comes."""
    for window in windows(rows):
        done = done_conversations(rec, [row.id for row in window])
        yield from (row for row in window if row.id not in done)


def condition_names(agents: list[AgentName]) -> dict[str, str]:
    """A short column name for every agent: its kind, or its full name where a kind occurs twice."""
    kinds = [agent.kind for agent in agents]
    return {a.text: a.kind if kinds.count(a.kind) == 1 else a.text for a in agents}


def identity(rec: Record, agent: AgentName) -> str:
    """The agent's name with a run's name replaced by its id, so that a new run of that name is a new agent."""
    if agent.model and agent.model.startswith("local/"):
        try:
            return f"{agent.kind}:{find(rec, 'run', agent.model.removeprefix('local/'))}"
        except UserError:
            return agent.text
    return agent.text


def is_untrained(rec: Record, agent: AgentName) -> bool:
    """Whether the agent runs on a local model that is no run of ours: the untrained baseline."""
    if not agent.model or not agent.model.startswith("local/"):
        return False
    try:
        find(rec, "run", agent.model.removeprefix("local/"))
    except UserError:
        return True
    return False
