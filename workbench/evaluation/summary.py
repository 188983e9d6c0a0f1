"""From the conversations of a comparison to its figures: agents, tests against the compiled one, controls, agreement,
coverage, cost, and what is missing.

The result is plain JSON, kept in the comparison's row; every figure in it can be opened down to the conversations.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from workbench.evaluation.agreement import judges_agree, plain
from workbench.evaluation.assess import MEASURES, Assessor
from workbench.evaluation.controls import CEILING, Control, failed_measures, run_controls
from workbench.evaluation.cost import AgentCost, agent_cost, ratios
from workbench.evaluation.economy import one_time_of
from workbench.evaluation.pairs import compare
from workbench.evaluation.plan import is_untrained
from workbench.evaluation.rules import CRITERIA, FAILURE_AT_MOST, JUDGE, RUBRIC, RUBRIC_HASH
from workbench.evaluation.standing import TASK, standing
from workbench.evaluation.statement import statement
from workbench.evaluation.tables import HUMAN, MEASURED, Tables, histogram, mean, tables_of
from workbench.evaluation.walks import set_coverage, trained_runs, walked
from workbench.evaluation.words import planned_of, rubric_titles
from workbench.models.loopback import is_local
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import (
    ConversationFilter,
    conversation_messages,
    ended_counts,
    held_counts,
    held_scenarios,
    iterate_conversations,
    provenance_values,
)
from workbench.store.dialogues import DialogueFilter, iterate_dialogues
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow, HeldRow, JudgeRow
from workbench.store.scenarios import get_scenario
from workbench.store.select import stride
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import Workflow

ASIDE = ("unknown_messages", "rules_kept", "user_errors")
"""Measures that stand aside: no test is made of them."""
_LABELLED_DIALOGUES = 200

_LABELLED_TALKS = 1_000
"""Of so many conversations of an agent, evenly spread, the labeller's accuracy is taken."""
_CONTROLLED = 400
"""Scenarios, evenly spread, on which faults are planted."""

Held = Mapping[str, HeldRow]
"""Condition → how many conversations it has. They themselves are read one by one."""


def summarise(
    rec: Record, comparison_id: str, assessor: Assessor, *, hourly_price: float | None = None
) -> dict[str, Any]:
    """All figures of a comparison. Raises UserError if there is none with this id."""
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    held = _held(rec, row)
    order = list(held)
    ids = list(dict.fromkeys(s for c in order for s in held_scenarios(rec, comparison_id, c)))
    kinds: dict[tuple[str, ...], tuple[str, ...]] = {}  # what many scenarios have is kept once
    deviations = {s.id: kinds.setdefault(s.deviations, s.deviations) for s in _scenarios(rec, ids)}
    ids = list(deviations)
    named = row.config.get("judges")
    titles = rubric_titles(row.config)
    named = [str(n) for n in named] if isinstance(named, list | tuple) else []
    tables = tables_of(rec, comparison_id, named, [*CRITERIA, *titles])
    controls = [
        *run_controls(assessor, list(_scenarios(rec, ids[:: stride(len(ids), _CONTROLLED)]))),
        *_oracle_controls(tables),
    ]
    hidden = failed_measures(controls)
    labelled = {c: _labelled(rec, assessor, comparison_id, c) for c in order if c != "oracle"}
    on_dialogues = dialogue_accuracy(assessor.labeller, assessor.workflow, _dialogues(rec, assessor.workflow))
    costs = {c: _cost(rec, comparison_id, held[c], hourly_price) for c in order}
    runs = trained_runs(rec, {c: held[c].agent for c in order})
    cheaper = ratios(costs)
    ended = ended_counts(rec, comparison_id)
    weights = weights_of(row)
    agents = {
        c: _agent(rec, held[c], ended.get(c, {}), tables, deviations, hidden)
        | {"weighted": _weighted(c, tables, weights, hidden)}
        | ({"labeller_accuracy": labelled[c].share} if c in labelled and labelled[c].n else {})
        | _costs(costs[c], cheaper[c])
        | {
            "walks": walked(rec, assessor.workflow, comparison_id, c),
            "planned": planned_of(row.config, held[c].agent),
        }
        for c in order
    }
    summary = {
        "agents": agents,
        "order": order,
        "comparison": compare(comparison_id, order, tables, hidden),
        "labeller_accuracy": on_dialogues.share,
        "labeller": {"dialogues": asdict(on_dialogues), "agents": {c: asdict(a) for c, a in labelled.items() if a.n}},
        "adherence_reliable": on_dialogues.share is not None and on_dialogues.share >= RELIABLE,
        "controls": {c.name: _control(c) for c in controls},
        "controls_passed": all(c.passed for c in controls),
        "not_reported": sorted(hidden),
        "judge": _judge(tables.judges[0] if tables.judges else JudgeRow(JUDGE, RUBRIC_HASH, 0, 0, 0), tables),
        "judges": [_judge(judge, tables) for judge in tables.judges],
        "criteria": [[name, titles.get(name, ""), judge] for name, judge in tables.headline.items()],
        "agreement": plain(judges_agree(rec, comparison_id)),
        "standing": standing(rec, comparison_id, order, tables, runs),
        "rubric": _rubric(row, tables.lead),
        "coverage": set_coverage(rec, assessor.workflow, _scenarios(rec, ids), runs),
        "one_time": {c: one_time_of(rec, run) for c, run in runs.items()},
        "hourly_price": hourly_price,
        "user": row.config.get("user"),
        "scenarios": len(ids),
        "provenance": _provenance(rec, row, held, ids),
        "statement": statement(agents, str(row.config.get("user") or ""), [judge.judge for judge in tables.judges]),
    }
    found: dict[str, Any] = json.loads(json.dumps(summary))  # the same whether fresh or read back from the record
    return found


def _held(rec: Record, row: ComparisonRow) -> dict[str, HeldRow]:
    """How many conversations there are by condition, in the order in which the comparison names its agents."""
    found = {held.condition: held for held in held_counts(rec, row.id)}
    agents = row.config.get("agents")
    names = [str(n) for n in agents] if isinstance(agents, list | tuple) else []
    place = {c: names.index(held.agent) if held.agent in names else len(names) for c, held in found.items()}
    return {c: found[c] for c in sorted(found, key=lambda c: (place[c], c))}


def _scenarios(rec: Record, ids: Iterable[str]) -> Iterator[Scenario]:
    """The scenarios that are there, one in memory at a time."""
    return (scenario for scenario_id in ids if (scenario := get_scenario(rec, scenario_id)))


def _labelled(rec: Record, assessor: Assessor, comparison_id: str, condition: str) -> Accuracy:
    """The labeller on an agent's conversations, the broken ones included; of very many, on some."""
    wanted = ConversationFilter(comparison_id=comparison_id, condition=condition)
    rows = iterate_conversations(rec, wanted, most=_LABELLED_TALKS)
    return accuracy(assessor.labeller, assessor.workflow, (conversation_messages(rec, row.id) for row in rows))


def _cost(rec: Record, comparison_id: str, held: HeldRow, hourly_price: float | None) -> AgentCost:
    wanted = ConversationFilter(comparison_id=comparison_id, condition=held.condition, status="done")
    messages = (m for row in iterate_conversations(rec, wanted) for m in conversation_messages(rec, row.id))
    local = is_local(parse_name(held.agent).model or "")
    return agent_cost(iterate_conversations(rec, wanted), messages, hourly_price, local=local)


def _costs(cost: AgentCost, cheaper: float | None) -> dict[str, Any]:
    return {
        "tokens": cost.tokens,
        "seconds": cost.seconds,
        "cost": cost.dollars,
        "messages": cost.messages,
        "costs": asdict(cost) | {"dollars_per_thousand": cost.dollars_per_thousand},
        "times_cheaper": cheaper,
    }


def _agent(
    rec: Record,
    held: HeldRow,
    ended: Mapping[str, int],
    tables: Tables,
    deviations: Mapping[str, Sequence[str]],
    hidden: frozenset[str],
) -> dict[str, Any]:
    """The entry of one agent: means with intervals, distributions, failures, and the same by deviation.

    Its measures and each criterion by the judge who stands for it are in the entry itself, every judge's under `judges`.
    """
    condition = held.condition
    entry: dict[str, Any] = {
        "agent": held.agent,
        "baseline": "untrained baseline" if is_untrained(rec, parse_name(held.agent)) else None,
        "n": held.done,
        "missing": held.n - held.done,
        "ended_by": dict(ended),
    }
    intervals: dict[str, Any] = {}
    for name in (*MEASURES, *ASIDE):
        _put(entry, intervals, name, None if name in hidden else _figure(tables, condition, MEASURED, name))
    entry["judges"] = {
        judge.judge: {
            name: _figure(tables, condition, judge.judge, name)
            for name in tables.criteria(judge.judge)
            if not (judge.judge == JUDGE and name in hidden)
        }
        for judge in tables.judges
    }
    for name, judge_name in tables.headline.items():
        _put(entry, intervals, name, entry["judges"].get(judge_name, {}).get(name))
    entry["intervals"] = intervals
    task = [v for v in tables.values(condition, tables.judge_on(TASK), TASK) if v is not None]
    entry["failures"] = asdict(statistics.proportion(sum(v <= FAILURE_AT_MOST for v in task), len(task)))
    entry["by_deviation"] = _by_deviation(condition, tables, deviations, hidden)
    entry["distributions"] = {
        f"{judge}|{name}": histogram(counts, share=judge == MEASURED)
        for (of, judge, name), counts in sorted(tables.counts.items())
        if of == condition and name not in (*hidden, "user_errors") and any(v is not None for v in counts)
    }
    return entry


def _figure(tables: Tables, condition: str, judge: str, name: str) -> dict[str, Any]:
    """Mean over scenarios with its interval; n scenarios, missing ones, and the share of fives among a judge's scores."""
    found = statistics.bootstrap_mean(tables.values(condition, judge, name))
    counts = tables.counts.get((condition, judge, name), {})
    known = sum(n for value, n in counts.items() if value is not None)
    return {
        "mean": found.estimate,
        "low": found.low,
        "high": found.high,
        "bca": found.bca,
        "n": found.n,
        "missing": found.missing,
    } | ({"fives": sum(n for v, n in counts.items() if v == 5) / known} if judge and known else {})


def _put(entry: dict[str, Any], intervals: dict[str, Any], name: str, found: Mapping[str, Any] | None) -> None:
    entry[name] = found["mean"] if found else None
    if found and found["low"] is not None:
        intervals[name] = {key: found[key] for key in ("low", "high", "bca", "n", "missing")}


def _by_deviation(
    condition: str, tables: Tables, deviations: Mapping[str, Sequence[str]], hidden: frozenset[str]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for scenario_id in tables.of(condition, MEASURED, "right_terminal"):
        for kind in deviations[scenario_id] or ("none",) if scenario_id in deviations else ():
            groups[kind].append(scenario_id)
    wanted = [(MEASURED, name) for name in MEASURES if name not in hidden] + [(tables.judge_on(TASK), TASK)]
    return {
        kind: {"n": len(ids)}
        | {name: mean(tables.of(condition, judge, name).get(s) for s in ids) for judge, name in wanted}
        for kind, ids in sorted(groups.items())
    }


def _judge(row: JudgeRow, tables: Tables) -> dict[str, Any]:
    """Who judged, by which rubric, how much is missing; `offline`: rules, no language model and no person.

    What the rules do not judge at all is named in `not_judged` and is not missing.
    """
    counts = {key: found for key, found in tables.counts.items() if key[1] == row.judge}
    scored = {name for (_, _, name), found in counts.items() if set(found) != {None}}
    left = [name for name in tables.criteria(row.judge) if name not in scored] if scored else ["naturalness"]
    aside = sum(found[None] for key, found in counts.items() if key[2] in left) if row.judge == JUDGE else 0
    return {
        "name": row.judge,
        "rubric": row.rubric_hash,
        "offline": row.judge == JUDGE,
        "human": row.judge.startswith(HUMAN),
        "n": row.n,
        "missing": row.missing - aside,
        "not_judged": left,
    }


def weights_of(row: ComparisonRow) -> dict[str, float]:
    """Scenario → the weight that undoes the design's stratification; empty for sets without a design."""
    design: Any = row.config.get("design") or {}
    traits = design.get("traits", {}) if isinstance(design, Mapping) else {}
    return {s: float(t["weight"]) for s, t in traits.items() if isinstance(t, Mapping) and "weight" in t}


def _weighted(
    condition: str, tables: Tables, weights: Mapping[str, float], hidden: frozenset[str]
) -> dict[str, dict[str, Any]]:
    """Means as if the procedure's paths had been drawn uniformly, where the set is stratified and has weights."""
    found: dict[str, dict[str, Any]] = {}
    for name, judge in {**dict.fromkeys(MEASURES, MEASURED), **tables.headline}.items():
        cells = {s: v for s, v in tables.of(condition, judge, name).items() if s in weights}
        if cells and not (name in hidden and judge in (MEASURED, JUDGE)):
            mean_of = statistics.weighted_mean(list(cells.values()), [weights[s] for s in cells])
            found[name] = {"mean": mean_of.estimate, "low": mean_of.low, "high": mean_of.high}
    return found


def _rubric(row: ComparisonRow, lead: str) -> dict[str, str]:
    """The words of the rubrics that judged: the models' as the comparison keeps them, the rules' beside it."""
    kept: Any = row.config.get("rubric")
    words = kept.get("criteria") if isinstance(kept, Mapping) else None
    if lead == JUDGE or not words:
        return RUBRIC
    told = {str(k): str(v) for k, v in words.items()} if isinstance(words, Mapping) else {str(kept["name"]): str(words)}
    return told | {f"{k} ({JUDGE})": v for k, v in RUBRIC.items()}


def _provenance(rec: Record, row: ComparisonRow, held: Held, scenarios: Sequence[str]) -> dict[str, Any]:
    """What the figures were made with: versions, seeds, the hash of the scenario set, and how intervals were drawn."""
    return {
        "workflow": row.config.get("workflow"),
        "workflow_id": row.workflow_id,
        "split": row.config.get("split"),
        "seed": row.config.get("seed"),
        "repetitions": row.config.get("repetitions"),
        "scenario_set": _set_hash(row, scenarios),
        "agents": {c: one.agent for c, one in held.items()},
        "versions": {name: provenance_values(rec, row.id, name) for name in ("workbench", "python")},
        "intervals": f"95% percentile bootstrap over scenarios, {statistics.RESAMPLES:,} resamples, seed 0; BCa beside it",
    }


def _set_hash(row: ComparisonRow, scenarios: Sequence[str]) -> str:
    """The hash of the frozen set as its design names it, else of the scenarios' ids."""
    design: Any = row.config.get("design")
    return str(design["hash"]) if isinstance(design, Mapping) and "hash" in design else digest(sorted(scenarios))


def _dialogues(rec: Record, workflow: Workflow) -> Iterable[Dialogue]:
    """Dialogues in training wording to measure the labeller on: those of the record, else freshly written ones."""
    wanted = DialogueFilter(workflow_id=workflow_hash(workflow), split="train", status="ok")
    kept = list(islice(iterate_dialogues(rec, wanted), _LABELLED_DIALOGUES))
    if kept:
        return kept
    order = Order(workflow.name, train=_LABELLED_DIALOGUES // 2)
    return [write(workflow, s) for s in islice(planned_scenarios(workflow, order, "train"), _LABELLED_DIALOGUES // 2)]


def _oracle_controls(tables: Tables) -> list[Control]:
    """The oracle of this very comparison, user and labeller included, must reach the ceiling too."""
    means = {name: [v for v in tables.values("oracle", MEASURED, name) if v is not None] for name in MEASURES}
    return [
        Control(f"oracle {name}", (name,), len(values), sum(values) / len(values), CEILING)
        for name, values in means.items()
        if values
    ]


def _control(control: Control) -> dict[str, Any]:
    return {"passed": control.passed, "value": control.value, "least": control.least, "n": control.n}
