"""Figures as people read them: their titles, and numbers with as many places as say something."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

FIGURES = (
    ("right_terminal", "right terminal", True),
    ("fitness", "fitness", True),
    ("hub_choice", "hub choice", True),
    ("slot_accuracy", "facts right", True),
    ("task_success", "task success", False),
    ("information_accuracy", "information accuracy", False),
    ("consistency", "consistency", False),
    ("graceful_handling", "graceful handling", False),
    ("naturalness", "naturalness", False),
)
"""Name in the summary, title, and whether it is a share (else a score of 1–5)."""
TITLES = {name: title for name, title, _ in FIGURES}
RELIABLE = 0.95
"""The labeller's accuracy below which measures of adherence are not to be relied on (decision 13)."""
MEASURED_FIGURES = tuple(name for name, _, share in FIGURES if share)
CRITERIA = tuple(name for name, _, share in FIGURES if not share)
"""What judges score by the paper's rubric."""
Summary = Mapping[str, Any]


def criteria_of(summary: Summary) -> dict[str, tuple[str, str]]:
    """Criterion → its title and the judge whose scores stand for it, the leading judge's first; of an own rubric too."""
    lead = lead_of(summary)
    found = summary.get("criteria") or [(name, "", lead) for name in CRITERIA]
    return {name: (TITLES.get(name) or title or plain_name(name), judge) for name, title, judge in found}


def rubric_titles(config: Mapping[str, Any]) -> dict[str, str]:
    """Id → title of the criteria of the rubric that a comparison's models judge by, in its order."""
    rubric = config.get("rubric")
    found = rubric.get("titles") if isinstance(rubric, Mapping) else None
    return {str(name): str(title) for name, title in found} if isinstance(found, list | tuple) else {}


def planned_of(config: Mapping[str, Any], agent: str) -> int | None:
    """How many conversations a comparison holds with an agent in all; None where its configuration does not say."""
    ids, repetitions = config.get("scenario_ids"), config.get("repetitions")
    limits = config.get("limits")
    if not isinstance(ids, list | tuple) or not isinstance(repetitions, int):
        return None
    limit = limits.get(agent) if isinstance(limits, Mapping) else None
    return min(len(ids), limit if isinstance(limit, int) else len(ids)) * repetitions


def figures_of(summary: Summary) -> list[tuple[str, str, bool]]:
    """As FIGURES, with the criteria that this comparison's judges really scored; another than the leading judge is named."""
    lead = lead_of(summary)
    measured = [figure for figure in FIGURES if figure[2]]
    return measured + [
        (name, title if judge == lead else f"{title} ({judge})", False)
        for name, (title, judge) in criteria_of(summary).items()
    ]


def lead_of(summary: Summary) -> str:
    """The judge whose scores lead the report."""
    return str((summary.get("judge") or {}).get("name") or "rules")


def judge_on(summary: Summary, name: str) -> str:
    """Who stands for a figure: a criterion's judge, "" where it is measured."""
    return "" if name in MEASURED_FIGURES else criteria_of(summary).get(name, ("", lead_of(summary)))[1]


def title_in(summary: Summary, name: str) -> str:
    """What a figure is called."""
    return TITLES.get(name) or criteria_of(summary).get(name, (plain_name(name), ""))[0]


def title_of(condition: str, entry: Mapping[str, Any]) -> str:
    """A condition's heading; an untrained baseline is called one."""
    return f"{condition} ({entry['baseline']})" if entry.get("baseline") else condition


def figure(entry: Mapping[str, Any], name: str, share: bool) -> str:
    """A mean with its interval: `97.5% [92.5, 100.0]`, `4.93 [4.78, 5.00]`."""
    value, low_high = entry.get(name), interval(entry, name)
    if value is None:
        return "not judged" if name == "naturalness" else "–"
    scale, places = (100, 1) if share else (1, 2)
    tail = f" [{low_high[0] * scale:.{places}f}, {low_high[1] * scale:.{places}f}]" if low_high else ""
    return f"{value * scale:.{places}f}{'%' if share else ''}{tail}"


def interval(entry: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The 95% interval of an agent's figure, None if it has none."""
    found = entry.get("intervals", {}).get(name)
    return (found["low"], found["high"]) if found else None


def number(value: object, places: int, *, sign: bool = False) -> str:
    """A number with so many places; a dash if it is not known."""
    return f"{value:{'+' if sign else ''},.{places}f}" if isinstance(value, int | float) else "–"


def percent(value: object) -> str:
    """A share in percent; a dash if it is not known."""
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


def dollars(value: object, unknown: str = "unknown") -> str:
    """Dollars with as many places as say something; unknown is never $0."""
    if not isinstance(value, int | float):
        return unknown
    return f"${value:,.2f}" if abs(value) >= 1 or value == 0 else f"${value:.4f}" if value >= 0.001 else f"${value:.6f}"


def p_value(value: object) -> str:
    """A p-value: `< 0.0001`, `0.0123`; a dash if there is none."""
    if not isinstance(value, int | float):
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.4f}"


def plain_name(name: str) -> str:
    """A name as words."""
    return name.replace("_", " ")


def agents_in_order(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Condition → its entry, in the comparison's order (the record keeps the keys of JSON sorted)."""
    agents: Mapping[str, Mapping[str, Any]] = summary.get("agents", {})
    order = [c for c in summary.get("order", ()) if c in agents]
    return {c: agents[c] for c in (*order, *(c for c in agents if c not in order))}


def labels_in_order(labels: Iterable[str]) -> list[str]:
    """The labels of a distribution from the lowest to the highest, the missing ones last."""
    known = dict.fromkeys(labels)
    return sorted(
        known, key=lambda label: (label == "missing", float(label.rstrip("%")) if label != "missing" else 0.0)
    )
