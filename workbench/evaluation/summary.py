"""From the conversations of a comparison to its figures: agents, tests against the compiled one, controls, what is
missing.

The result is plain JSON, kept in the comparison's row; every figure in it can be opened down to the conversations.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Any

from workbench.agents.names import parse_name
from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model import Dialogue, Scenario
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.evaluation import statistics
from workbench.evaluation.accuracy import RELIABLE, Accuracy, accuracy, dialogue_accuracy
from workbench.evaluation.assess import MEASURES, Assessor
from workbench.evaluation.controls import CEILING, Control, failed_measures, run_controls
from workbench.evaluation.cost import agent_cost, ratios
from workbench.evaluation.plan import is_untrained
from workbench.evaluation.rules import CRITERIA, FAILURE_AT_MOST, JUDGE, RUBRIC_HASH
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import ConversationFilter, conversation_messages, conversations
from workbench.store.dialogues import DialogueFilter, iterate_dialogues
from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MessageRow
from workbench.store.scenarios import get_scenario
from workbench.store.verdicts import measures, verdicts
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.model import Workflow

STATEMENT = "This shows that the procedure was learnt from the dialogues; it says nothing about frontier models."
FAMILY = (*MEASURES, *CRITERIA)
"""The tests of one pair of agents, corrected together (Holm)."""
LEAST_TESTED = 13
"""Pairs of scenarios below which intervals are given and no test."""
_LABELLED_DIALOGUES = 200

Table = Mapping[str, Mapping[str, float | None]]
"""Criterion → scenario → mean over the repetitions."""


def summarise(
    rec: Record, comparison_id: str, assessor: Assessor, *, hourly_price: float | None = None
) -> dict[str, Any]:
    """All figures of a comparison. Raises UserError if there is none with this id."""
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    held: dict[str, list[ConversationRow]] = defaultdict(list)
    for conversation in conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        held[conversation.condition].append(conversation)
    order = _in_order(held, row.config.get("agents"))
    messages = {c: {r.id: conversation_messages(rec, r.id) for r in held[c]} for c in order}
    scenarios = _scenarios(rec, held)
    tables = tables_of(rec, comparison_id, held)
    controls = [*run_controls(assessor, list(scenarios.values())), *_oracle_controls(tables.get("oracle", {}))]
    hidden = failed_measures(controls)
    labelled = {c: accuracy(assessor.labeller, assessor.workflow, messages[c].values()) for c in order if c != "oracle"}
    on_dialogues = dialogue_accuracy(assessor.labeller, assessor.workflow, _dialogues(rec, assessor.workflow))
    agents = {
        c: _agent(rec, held[c], messages[c], tables[c], scenarios, hidden, labelled.get(c), hourly_price) for c in order
    }
    for name, ratio in ratios({c: agent_cost(held[c], [], hourly_price) for c in order}).items():
        agents[name]["times_cheaper"] = ratio
    summary = {
        "agents": agents,
        "comparison": _comparison(comparison_id, order, tables, hidden),
        "labeller_accuracy": on_dialogues.share,
        "labeller": {"dialogues": asdict(on_dialogues), "agents": {c: asdict(a) for c, a in labelled.items() if a.n}},
        "adherence_reliable": on_dialogues.share is not None and on_dialogues.share >= RELIABLE,
        "controls": {c.name: _control(c) for c in controls},
        "controls_passed": all(c.passed for c in controls),
        "not_reported": sorted(hidden),
        "judge": {"name": JUDGE, "rubric": RUBRIC_HASH, "offline": True, "not_judged": ["naturalness"]},
        "user": row.config.get("user"),
        "scenarios": len(scenarios),
        "statement": STATEMENT,
    }
    plain: dict[str, Any] = json.loads(json.dumps(summary))  # the same whether fresh or read back from the record
    return plain


def _in_order(held: Mapping[str, Sequence[ConversationRow]], named: object) -> list[str]:
    """Conditions in the order in which the comparison names its agents."""
    names = [str(n) for n in named] if isinstance(named, list | tuple) else []
    place = {c: names.index(rows[0].agent) if rows[0].agent in names else len(names) for c, rows in held.items()}
    return sorted(held, key=lambda c: (place[c], c))


def _scenarios(rec: Record, held: Mapping[str, Sequence[ConversationRow]]) -> dict[str, Scenario]:
    ids = dict.fromkeys(r.scenario_id for rows in held.values() for r in rows if r.scenario_id)
    found = {scenario_id: get_scenario(rec, scenario_id) for scenario_id in ids}
    return {scenario_id: scenario for scenario_id, scenario in found.items() if scenario}


def tables_of(rec: Record, comparison_id: str, held: Mapping[str, Sequence[ConversationRow]]) -> dict[str, Table]:
    """Condition → criterion → scenario → mean over repetitions: measures, and verdicts under the present rubric."""
    where = {r.id: (condition, r.scenario_id) for condition, rows in held.items() for r in rows if r.scenario_id}
    cells: dict[str, dict[str, dict[str, list[float | None]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )

    def put(conversation_id: str, name: str, value: float | None) -> None:
        condition, scenario_id = where.get(conversation_id, ("", None))
        if scenario_id:
            cells[condition][name][scenario_id].append(value)

    for measure in measures(rec, comparison_id=comparison_id):
        put(measure.conversation_id, measure.name, measure.value)
    for verdict in verdicts(rec, comparison_id=comparison_id):
        if (verdict.judge, verdict.rubric_hash) == (JUDGE, RUBRIC_HASH):
            put(verdict.conversation_id, verdict.criterion, verdict.score)
    return {
        condition: {n: {s: _mean(v) for s, v in cells[condition][n].items()} for n in cells[condition]}
        for condition in held
    }


def _agent(
    rec: Record,
    rows: Sequence[ConversationRow],
    messages: Mapping[str, list[MessageRow]],
    table: Table,
    scenarios: Mapping[str, Scenario],
    hidden: frozenset[str],
    labelled: Accuracy | None,
    hourly_price: float | None,
) -> dict[str, Any]:
    """The entry of one agent: means, intervals, failures, cost, and the same by deviation."""
    done = [r for r in rows if r.status == "done"]
    entry: dict[str, Any] = {
        "agent": rows[0].agent,
        "baseline": "untrained baseline" if is_untrained(rec, parse_name(rows[0].agent)) else None,
        "n": len(done),
        "missing": len(rows) - len(done),
        "ended_by": _counts(r.ended_by for r in done),
    }
    intervals: dict[str, Any] = {}
    for name in (*FAMILY, "unknown_messages", "rules_kept", "user_errors"):
        values = list(table.get(name, {}).values())
        if name in hidden:
            entry[name] = None
            continue
        found = statistics.bootstrap_mean(values)
        entry[name] = found.estimate
        if found.low is not None:
            intervals[name] = {
                "low": found.low,
                "high": found.high,
                "bca": found.bca,
                "n": found.n,
                "missing": found.missing,
            }
    entry["intervals"] = intervals
    task = [v for v in table.get("task_success", {}).values() if v is not None]
    entry["failures"] = asdict(statistics.proportion(sum(v <= FAILURE_AT_MOST for v in task), len(task)))
    entry["by_deviation"] = _by_deviation(table, scenarios)
    if labelled and labelled.n:
        entry["labeller_accuracy"] = labelled.share
    cost = agent_cost(done, [m for r in done for m in messages[r.id]], hourly_price)
    entry |= {"tokens": cost.tokens, "seconds": cost.seconds, "cost": cost.dollars, "messages": cost.messages}
    entry["costs"] = asdict(cost) | {"dollars_per_thousand": cost.dollars_per_thousand}
    return entry


def _by_deviation(table: Table, scenarios: Mapping[str, Scenario]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for scenario_id in table.get("right_terminal", {}):
        for kind in scenarios[scenario_id].deviations or ("none",) if scenario_id in scenarios else ():
            groups[kind].append(scenario_id)
    return {
        kind: {"n": len(ids)} | {name: _mean([table.get(name, {}).get(s) for s in ids]) for name in MEASURES}
        for kind, ids in sorted(groups.items())
    }


def _comparison(
    comparison_id: str, order: list[str], tables: Mapping[str, Table], hidden: frozenset[str]
) -> dict[str, Any]:
    """Paired tests of every other agent against the compiled one (or the first)."""
    reference = next((c for c in order if c.startswith("compiled")), order[0] if order else None)
    tests = [
        test
        for condition in order
        if reference is not None and condition != reference
        for test in _pair(reference, condition, tables, [name for name in FAMILY if name not in hidden])
    ]
    return {
        "id": comparison_id,
        "against": reference,
        "family": [name for name in FAMILY if name not in hidden],
        "correction": "Holm, over the family of each pair; p-values that cannot be had are not counted",
        "pairing": "same scenarios; repetitions averaged",
        "alpha": 0.05,
        "tests": tests,
    }


def _pair(reference: str, other: str, tables: Mapping[str, Table], names: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in names:
        first, second = tables[reference].get(name, {}), tables[other].get(name, {})
        shared = [s for s in first if s in second and first[s] is not None and second[s] is not None]
        if shared:
            rows.append(_test(reference, other, name, [first[s] for s in shared], [second[s] for s in shared]))
    adjusted = statistics.holm({row["criterion"]: row["p"] for row in rows})
    for row in rows:
        row["p_holm"] = p = adjusted[row["criterion"]]
        row["significant"] = None if p is None else p < 0.05
    return rows


def _test(reference: str, other: str, name: str, a: list[float | None], b: list[float | None]) -> dict[str, Any]:
    """One criterion of one pair: difference (reference − other), interval, effect sizes, and a test if n allows it."""
    effect = statistics.effects(a, b)
    gap = statistics.bootstrap_mean([x - y for x, y in zip(a, b, strict=True) if x is not None and y is not None])
    ranks = statistics.wilcoxon(a, b)
    binary = name == "right_terminal" and set(a) | set(b) <= {0.0, 1.0}
    tested = len(a) >= LEAST_TESTED
    p = statistics.mcnemar(a, b).p_exact if binary else ranks.p
    return {
        "criterion": name,
        "agent": other,
        "against": reference,
        "n": len(a),
        "difference": gap.estimate,
        "interval": None if gap.low is None else [gap.low, gap.high],
        "bca": gap.bca,
        "test": ("McNemar, exact" if binary else "Wilcoxon signed-rank, asymptotic, no continuity") if tested else None,
        "p": p if tested else None,
        "p_pratt": ranks.p_pratt if tested and not binary else None,
        "plus": ranks.plus,
        "minus": ranks.minus,
        "zero": ranks.zero,
        "d_pooled": effect.d_pooled,
        "d_z": effect.d_z,
        "rank_biserial": effect.rank_biserial,
        "smallest_d_z": statistics.smallest_effect(len(a)),
    }


def _dialogues(rec: Record, workflow: Workflow) -> Iterable[Dialogue]:
    """Dialogues in training wording to measure the labeller on: those of the record, else freshly written ones."""
    wanted = DialogueFilter(workflow_id=workflow_hash(workflow), split="train", status="ok")
    kept = list(islice(iterate_dialogues(rec, wanted), _LABELLED_DIALOGUES))
    if kept:
        return kept
    order = Order(workflow.name, train=_LABELLED_DIALOGUES // 2)
    return [write(workflow, s) for s in islice(planned_scenarios(workflow, order, "train"), _LABELLED_DIALOGUES // 2)]


def _oracle_controls(table: Table) -> list[Control]:
    """The oracle of this very comparison, user and labeller included, must reach the ceiling too."""
    means = {name: [v for v in table.get(name, {}).values() if v is not None] for name in MEASURES}
    return [
        Control(f"oracle {name}", (name,), len(values), sum(values) / len(values), CEILING)
        for name, values in means.items()
        if values
    ]


def _control(control: Control) -> dict[str, Any]:
    return {"passed": control.passed, "value": control.value, "least": control.least, "n": control.n}


def _counts(values: Iterable[str | None]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for value in values:
        counts[value or "unknown"] += 1
    return dict(sorted(counts.items()))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
