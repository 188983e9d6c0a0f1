"""Two comparisons beside each other: what was set otherwise, and what became better or worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.evaluation.sections import Rows, Section
from workbench.evaluation.words import (
    MEASURED_FIGURES,
    Summary,
    agents_in_order,
    figure,
    figures_of,
    judge_on,
    number,
    p_value,
    title_in,
)

_COSTS = ("tokens", "seconds", "cost", "messages")


@dataclass(frozen=True, slots=True)
class Side:
    """A comparison: its name, its summary, and its id if it stands in the record at hand."""

    name: str
    summary: Mapping[str, Any]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one agent before and after. `judges` gave the scores of a criterion ("" of a figure that is measured);
    where they differ there is no difference to state. `test` is the paired test where both held the same scenarios."""

    agent: str
    figure: str
    before: float | None
    after: float | None
    shown: tuple[str, str]
    judges: tuple[str, str] = ("", "")
    test: Mapping[str, Any] | None = None

    @property
    def difference(self) -> float | None:
        """After minus before, None if either is missing or other judges gave it."""
        if self.before is None or self.after is None or self.judges[0] != self.judges[1]:
            return None
        return self.after - self.before


def settings(before: Side, after: Side) -> list[tuple[str, str, str]]:
    """(what, before, after) of everything that was set otherwise: figures of unlike settings are not alike."""
    a, b = _settings(before.summary), _settings(after.summary)
    return [(name, a.get(name, "–"), b.get(name, "–")) for name in {**a, **b} if a.get(name) != b.get(name)]


def _settings(summary: Mapping[str, Any]) -> dict[str, str]:
    made = summary.get("provenance", {})
    found = {
        name: made.get(name) for name in ("workflow", "workflow_id", "split", "seed", "repetitions", "scenario_set")
    }
    found |= {f"agent {c}": agent for c, agent in made.get("agents", {}).items()}
    found |= {name: ", ".join(values) for name, values in made.get("versions", {}).items()}
    found |= {"user": summary.get("user"), "scenarios": summary.get("scenarios")}
    judges = summary.get("judges") or ([summary["judge"]] if summary.get("judge") else [])
    found |= {f"rubric of {j['name']}": j.get("rubric") for j in judges}
    return {name: str(value) for name, value in found.items() if value is not None}


def changes(before: Side, after: Side, tests: Mapping[tuple[str, str], Mapping[str, Any]]) -> Iterator[Change]:
    """Every figure of the agents that both have. `tests` by (agent, figure) as `paired_tests` makes them."""
    first, second = agents_in_order(before.summary), agents_in_order(after.summary)
    known = {name: share for side in (before, after) for name, _, share in figures_of(side.summary)}
    stand_for = {name: judges_of(before.summary, after.summary, name) for name in known}
    task = judge_on(before.summary, "task_success"), judge_on(after.summary, "task_success")
    for agent in (a for a in first if a in second):
        one, two = first[agent], second[agent]
        for name, share in known.items():
            judges = stand_for[name]
            a, b = _by(one, name, judges[0]), _by(two, name, judges[1])
            if a.get(name) is not None or b.get(name) is not None:
                shown = (figure(a, name, share), figure(b, name, share))
                yield Change(agent, name, a.get(name), b.get(name), shown, judges, tests.get((agent, name)))
        rates = [e.get("failures", {}).get("rate") for e in (one, two)]
        yield Change(agent, "failure_rate", rates[0], rates[1], (number(rates[0], 3), number(rates[1], 3)), task)
        for name in _COSTS:
            spent = one.get(name), two.get(name)
            if any(isinstance(value, int | float) for value in spent):
                yield Change(agent, name, *spent, (number(spent[0], 4), number(spent[1], 4)))


def judges_of(before: Summary, after: Summary, name: str) -> tuple[str, str]:
    """By whose scores a figure is compared: twice the same judge if one scored it in both, else who stands for it in each."""
    if name in MEASURED_FIGURES:
        return "", ""
    scored = _scorers(before, name), _scorers(after, name)
    first, second = ((judge_on(side, name) if by else "") for side, by in zip((before, after), scored, strict=True))
    both = [judge for judge in scored[0] if judge in scored[1]]
    common = next((judge for judge in (first, second, *both) if judge in both), None)
    return (common, common) if common is not None else (first or second, second or first)


def _scorers(summary: Summary, name: str) -> list[str]:
    """The judges who scored a criterion; older summaries know those of the leading one alone."""
    agents = agents_in_order(summary).values()
    if not any("judges" in e for e in agents):
        return [judge_on(summary, name)]
    return list(dict.fromkeys(j for e in agents for j, by in e["judges"].items() if name in by))


def _by(entry: Mapping[str, Any], name: str, judge: str) -> Mapping[str, Any]:
    """An agent's entry as `figure` reads it, with the judge's scores."""
    if not judge or "judges" not in entry:
        return entry
    found = entry["judges"].get(judge, {}).get(name) or {}
    return {name: found.get("mean"), "intervals": {name: found} if found.get("low") is not None else {}}


def sections_of(before: Side, after: Side, found: Sequence[Change]) -> list[Section]:
    """The difference as tables."""
    set_otherwise = settings(before, after)
    rows: Rows = [("agent", "figure", before.name, after.name, "change", "95% interval", "p Holm", "")]
    for c in found:
        t = c.test or {}
        low_high = f"{t['interval'][0]:+.3f} … {t['interval'][1]:+.3f}" if t.get("interval") else "–"
        one, two = c.judges
        name = title_in(after.summary, c.figure)
        if one or two:
            name += f" ({one})" if one == two else f" ({one} before, {two} after)"
        ends = (
            number(c.difference, 3, sign=True),
            low_high,
            p_value(t.get("p_holm")),
            "*" if t.get("significant") else "",
        )
        rows.append((c.agent, name, *c.shown, *ends))
    gone = [
        f"{agent} only in {side.name}"
        for side, other in ((before, after), (after, before))
        for agent in side.summary.get("agents", {})
        if agent not in other.summary.get("agents", {})
    ]
    paired = sum(c.test is not None for c in found)
    note = (
        "After minus before; tests are paired by scenario, Holm over an agent's figures."
        if paired
        else "After minus before. The two share no scenarios in this record: no paired test is made."
    ) + (f" Not compared: {'; '.join(gone)}." if gone else "")
    if any(c.judges[0] != c.judges[1] for c in found):
        note += " What other judges scored shows no change of the agent: no difference is stated."
    same = "Nothing: same workflow, scenarios, user, judges, rubrics and versions."
    return [
        Section("settings", "Set otherwise", "" if set_otherwise else same,
                [("what", before.name, after.name), *set_otherwise] if set_otherwise else []),
        Section("changes", "Changes", note, rows if len(rows) > 1 else []),
    ]  # fmt: skip
