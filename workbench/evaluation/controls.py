"""Controls of the measures: a flawless agent must score at the ceiling, and a planted fault must cost what it should.

The transcripts are made here from the graph in evaluation wording, with no agent at all. A measure whose control fails
is not reported: a figure that cannot tell a fault from none says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from workbench.dialogue.labeller import acts_after
from workbench.dialogue.model import Scenario
from workbench.dialogue.scripted import write
from workbench.dialogue.variables import values_of
from workbench.evaluation.accuracy import true_acts
from workbench.evaluation.assess import Assessment, Assessor
from workbench.evaluation.rules import judge
from workbench.store.rows import MessageRow
from workbench.workflow.model import Phrasing, Workflow
from workbench.workflow.situation import Situation, choose, fill

CEILING = 0.95
"""The least the flawless transcripts must reach on every measure (criteria rescaled to 0…1)."""
DETECTION = 0.9
"""The least share of transcripts with a planted fault that must lose on the criterion concerned."""

Talk = list[MessageRow]


@dataclass(frozen=True, slots=True)
class Control:
    """One control: how many transcripts, the share that passed (or the mean score), and whether that is enough.

    `guards` names the measures and criteria that are not reported if it fails. n = 0 means that the fault could not be
    planted anywhere: nothing is proved, and nothing fails.
    """

    name: str
    guards: tuple[str, ...]
    n: int
    value: float | None
    least: float

    @property
    def passed(self) -> bool:
        """Enough, or nothing to test."""
        return self.value is None or self.value >= self.least


def run_controls(assessor: Assessor, scenarios: Sequence[Scenario]) -> tuple[Control, ...]:
    """All controls on transcripts of these scenarios (test or dev split: they speak evaluation wording)."""
    flawless = [(s, flawless_talk(assessor.workflow, s)) for s in scenarios]
    sound = [(s, talk, scores(assessor, assessor.assess(s, talk, "agent"))) for s, talk in flawless]
    controls = [_ceiling(name, [found[name] for _, _, found in sound]) for name in _GUARDED]
    for fault, (plant, criteria) in FAULTS.items():
        outcomes: dict[str, list[bool]] = {criterion: [] for criterion in criteria}
        for index, (scenario, talk, before) in enumerate(sound):
            planted = plant(assessor, scenario, talk, Random(f"{fault}|{scenario.id}|{index}"))
            if planted is None:
                continue
            after = scores(assessor, assessor.assess(scenario, planted[0], planted[1]))
            for criterion in criteria:
                if before[criterion] is not None:
                    outcomes[criterion].append((after[criterion] or 0.0) < (before[criterion] or 0.0))
        for criterion, lost in outcomes.items():
            share = sum(lost) / len(lost) if lost else None
            controls.append(Control(f"{fault} lowers {criterion}", (criterion,), len(lost), share, DETECTION))
    return tuple(controls)


def failed_measures(controls: Sequence[Control]) -> frozenset[str]:
    """Measures and criteria that must not be reported."""
    return frozenset(name for control in controls if not control.passed for name in control.guards)


def scores(assessor: Assessor, found: Assessment) -> dict[str, float | None]:
    """Measures and the rules judge's criteria of one conversation, side by side."""
    measured = {name: value for name, (value, _) in found.measures().items()}
    return measured | {finding.criterion: finding.score for finding in judge(assessor, found)}


_GUARDED = (
    "right_terminal",
    "fitness",
    "hub_choice",
    "slot_accuracy",
    "task_success",
    "information_accuracy",
    "consistency",
)
"""Whatever has a ceiling that a flawless agent reaches (graceful handling depends on how much the user asks of it)."""


def _ceiling(name: str, values: Sequence[float | None]) -> Control:
    known = [v for v in values if v is not None]
    judged = name not in ("right_terminal", "fitness", "hub_choice", "slot_accuracy")
    mean = sum((v - 1) / 4 if judged else v for v in known) / len(known) if known else None
    return Control(f"flawless {name}", (name,), len(known), mean, CEILING)


def flawless_talk(workflow: Workflow, scenario: Scenario) -> Talk:
    """The scenario's dialogue with an agent that follows the graph, in evaluation wording, as a recorded
    conversation."""
    dialogue = write(workflow, scenario, agent_wording=scenario.split)
    return [
        MessageRow(
            m.role,
            m.text,
            m.nodes,
            m.edges,
            m.move,
            m.deviation,
            m.facts,
            label={"question": m.nodes[0], "simulated": True} if m.role == "user" else None,
        )
        for m in dialogue.messages
    ]


Planted = tuple[Talk, str] | None
"""The spoilt transcript and how it ended; None where the fault cannot be planted."""


def _skipped_node(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """An agent's message and the user's answer to it are missing, where the graph has no way round them."""
    acts = true_acts(assessor.workflow, talk)
    allowed = acts_after(assessor.workflow)
    spots = [
        at
        for at in range(0, len(talk) - 2, 2)
        if tuple((acts[at + 2] or "").split("+")) not in allowed[talk[at - 1].nodes[0] if at else None]
    ]
    if not spots:
        return None
    at = rng.choice(spots)
    return talk[:at] + talk[at + 2 :], "agent"


def _wrong_branch(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """At one hub the agent says what another branch would have said; all else stays."""
    workflow = assessor.workflow
    spots = [i for i in range(2, len(talk), 2) if any(n in workflow.hubs for n in talk[i].nodes)]
    while spots:
        at = spots.pop(rng.randrange(len(spots)))
        hub = next(n for n in talk[at].nodes if n in workflow.hubs)
        ways = [_words_after(workflow, e.id, scenario) for e in workflow.out[hub]]
        label = assessor.labeller.label(talk[at].text)
        others = [w for w in ways if w and (found := assessor.labeller.label(w)) and label and found.act != label.act]
        if others:
            return [*talk[:at], replace(talk[at], text=rng.choice(others)), *talk[at + 1 :]], "agent"
    return None


def _wrong_terminal(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """The closing message is another terminal's."""
    workflow = assessor.workflow
    others = [t for t in workflow.terminals if t != talk[-1].nodes[-1] and workflow.nodes[t].say]
    if not others:
        return None
    words = _said(workflow.nodes[rng.choice(others)].say, Situation(scenario.variables), scenario)
    return ([*talk[:-1], replace(talk[-1], text=words)], "agent") if words else None


def _wrong_fact(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """One value that an agent's message states is exchanged for another one of the same variable."""
    workflow = assessor.workflow
    spots = [
        (i, n, str(v))
        for i, m in enumerate(talk)
        if m.role == "agent"
        for n, v in m.facts.items()
        if n in workflow.variables
    ]
    while spots:
        at, name, value = spots.pop(rng.randrange(len(spots)))
        own = {str(v) for v in scenario.variables.values()}
        others = [str(v) for v in values_of(workflow.variables[name], scenario.split) if str(v) not in own]
        if others and value in talk[at].text:
            text = talk[at].text.replace(value, rng.choice(others))
            return [*talk[:at], replace(talk[at], text=text), *talk[at + 1 :]], "agent"
    return None


def _question_repeated(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """The agent asks an answered question again, where the answer demands something else, and gets the same answer."""
    acts = true_acts(assessor.workflow, talk)
    spots = [at for at in range(0, len(talk) - 2, 2) if acts[at] != acts[at + 2]]
    at = rng.choice(spots) if spots else None
    return None if at is None else (talk[: at + 2] + talk[at : at + 2] + talk[at + 2 :], "agent")


def _early_end(assessor: Assessor, scenario: Scenario, talk: Talk, rng: Random) -> Planted:
    """The conversation breaks off before its closing message."""
    return (talk[: rng.randrange(1, len(talk) - 1)], "messages") if len(talk) > 2 else None


FAULTS: dict[str, tuple[Callable[[Assessor, Scenario, Talk, Random], Planted], tuple[str, ...]]] = {
    "skipped node": (_skipped_node, ("fitness",)),
    "wrong branch": (_wrong_branch, ("hub_choice",)),
    "wrong terminal": (_wrong_terminal, ("right_terminal", "task_success")),
    "wrong fact": (_wrong_fact, ("slot_accuracy", "information_accuracy")),
    "question repeated": (_question_repeated, ("consistency",)),
    "early end": (_early_end, ("right_terminal", "task_success")),
}
"""Fault → how to plant it, and what it must lower."""


def _words_after(workflow: Workflow, edge_id: str, scenario: Scenario) -> str:
    """What an agent would say that takes this edge, up to its next place that speaks; "" if that depends on a hub."""
    edge = workflow.edge[edge_id]
    situation = Situation(scenario.variables)
    if edge.say:
        return _said(edge.say, situation, scenario)
    return _said(workflow.nodes[edge.target].say, situation, scenario)


def _said(say: Sequence[Phrasing], situation: Situation, scenario: Scenario) -> str:
    pool = choose(say, situation, "")
    wording = pool.of(scenario.split) if pool else ()
    return fill(wording[0], situation.variables) if wording else ""
