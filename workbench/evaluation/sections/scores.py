"""Sections on what was scored: figures, tests, judges, distributions, deviations, agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.evaluation.sections.table import People, Rows, Section, Target, mark, whole
from workbench.evaluation.words import (
    CRITERIA,
    MEASURED_FIGURES,
    RELIABLE,
    TITLES,
    Summary,
    agents_in_order,
    criteria_of,
    figure,
    figures_of,
    judge_on,
    labels_in_order,
    lead_of,
    number,
    p_value,
    percent,
    title_in,
    title_of,
)


def figures(summary: Summary) -> Section:
    """Means with intervals; a star where an agent differs from the one compared against, after Holm."""
    agents, shown = agents_in_order(summary), figures_of(summary)
    rows: Rows = [("", *(title_of(c, e) for c, e in agents.items()))]
    rows += [
        (title, *(f"{figure(e, name, share)}{mark(summary, c, name)}" for c, e in agents.items()))
        for name, title, share in shown
    ]
    if any("labeller_accuracy" in e for e in agents.values()):
        rows.append(("labeller right on it", *(_labelled(e) for e in agents.values())))
    rows += [
        ("failures (task success ≤ 3)", *(_rate(e.get("failures") or {}) for e in agents.values())),
        ("conversations (missing)", *(_held(e) for e in agents.values())),
    ]
    against = summary.get("comparison", {}).get("against")
    star = f" * differs from {against}: p < .05 after Holm." if against else ""
    note = f"Means with 95% bootstrap intervals over scenarios; shares in %, scores 1–5.{star}"
    targets = [Target(name, judge_on(summary, name)) for name, _, _ in shown]
    if len(rows) > len(shown) + 3:
        targets.append(Target("unknown_messages"))
        note += " Measures of an agent on which the labeller is right below 95% are UNRELIABLE."
    task = Target("task_success", judge_on(summary, "task_success"))
    return Section("figures", "Figures", note, rows, (*targets, task, Target("messages")))


def _held(entry: Mapping[str, Any]) -> str:
    """`200 (3)`, or `37 of 200 (0)` where not all that were planned have been begun."""
    planned = entry.get("planned")
    rest = f" of {planned}" if isinstance(planned, int) and planned > whole(entry) else ""
    return f"{entry.get('n', '–')}{rest} ({entry.get('missing', 0)})"


def _labelled(entry: Mapping[str, Any]) -> str:
    found = entry.get("labeller_accuracy")
    if not isinstance(found, int | float):
        return "not known"
    return f"{found:.1%}" + ("" if found >= RELIABLE else ", UNRELIABLE")


def _rate(found: Mapping[str, Any]) -> str:
    if found.get("rate") is None:
        return "–"
    low_high = f" [{found['low']:.0%}, {found['high']:.0%}]" if found.get("low") is not None else ""
    counted = f"{found['count']} of {found['n']}" if "count" in found else f"{found['rate']:.1%}"
    return counted + low_high


def tests(summary: Summary) -> Section:
    """The test table, with both zero rules, effect sizes and counts."""
    comparison = summary.get("comparison", {})
    found: Sequence[Mapping[str, Any]] = comparison.get("tests", ())
    if not found:
        return Section("tests", "Tests", "One agent: nothing to compare.", [])
    lead = lead_of(summary)
    head = ("against", "judge", "criterion", "n", "difference", "95% interval", "d pooled", "d_z", "rank-biserial")
    rows: Rows = [(*head, "+/−/0", "p", "p (Pratt)", "p Holm", "")]
    for t in found:
        low_high = f"{t['interval'][0]:+.2f} … {t['interval'][1]:+.2f}" if t.get("interval") else "–"
        effects = [number(t.get(k), 2) for k in ("d_pooled", "d_z", "rank_biserial")]
        signs = f"{t.get('plus', '–')}/{t.get('minus', '–')}/{t.get('zero', '–')}"
        ps = [p_value(t.get(k)) for k in ("p", "p_pratt", "p_holm")]
        star = "*" if t.get("significant") else "" if t.get("test") else "interval only"
        name = title_in(summary, t["criterion"])
        judge = t.get("judge") or (lead if t["criterion"] in CRITERIA else "measured")
        said = (t["agent"], judge, name, str(t["n"]), number(t["difference"], 2, sign=True))
        rows.append((*said, low_high, *effects, signs, *ps, star))
    used = ", ".join(sorted({t["test"] for t in found if t.get("test")})) or "none: fewer than 13 pairs"
    note = (
        f"{comparison.get('against')} minus the other; {comparison.get('pairing')}. Tests: {used}. "
        f"{comparison.get('correction')}; α = {comparison.get('alpha', 0.05)}. Not significant is not equal: read the interval."
    )
    targets = [Target(t["criterion"], t.get("judge") or "", t["agent"], differ="conditions") for t in found]
    return Section("tests", "Tests", note, rows, tuple(targets))


def carried(summary: Summary) -> Section:
    """What the tests can carry: equivalence within the margin, the n for the next run, reliability, ranking, seeds."""
    tests = summary.get("comparison", {}).get("tests", ())
    rows: Rows = []
    for t in tests:
        found = t.get("equivalence")
        if found and found.get("p") is not None:
            what = f"{title_in(summary, t['criterion'])}, {t.get('judge') or 'measured'}: equal within ±{found['margin']:g}"
            verdict = "yes" if found["p"] < 0.05 else "not shown"
            more = f"{t['next_n']:,} pairs find the difference seen" if t.get("next_n") else "–"
            said = f"{verdict} (p {p_value(found['p'])}, 90% {found['low']:+.2f} … {found['high']:+.2f})"
            rows.append((t["agent"], what, said, more))
    standing = summary.get("standing") or {}
    for condition, by in (standing.get("pass_k") or {}).items():
        said = ", ".join(f"k = {k}: {number(v, 2)}" for k, v in sorted(by.items(), key=lambda item: int(item[0])))
        rows.append((condition, "pass^k: all of k repetitions succeed", said, "–"))
    for f in standing.get("failures") or ():
        said = f"{f['only_reference_succeeded']} and {f['only_other_succeeded']} of {f['n']}, p {p_value(f['p_exact'])}"
        rows.append((f["agent"], f"success of {f['against']} alone, of {f['agent']} alone (McNemar)", said, "–"))
    for condition, s in (standing.get("ranking") or {}).items():
        rows.append((condition, "Bradley-Terry log-strength, task success by scenario", _strength(s), "–"))
    for name, group in (standing.get("seeds") or {}).items():
        for figure_name, m in group["means"].items():
            said = f"{number(m['mean'], 2)} [{number(m['low'], 2)}, {number(m['high'], 2)}]"
            rows.append((name, f"{title_in(summary, figure_name)}, over scenarios and seeds", said, "–"))
    note = "Equivalence: two one-sided t-tests against the margin stated; pairs for the next run: 80% power at the d_z seen."
    return Section(
        "standing",
        "What the numbers carry",
        note if rows else "",
        [("agent", "", "", "next run"), *rows] if rows else [],
    )


def _strength(found: Mapping[str, Any]) -> str:
    if found.get("log_strength") is None:
        return "not estimable: it always won or lost"
    if not found.get("low") and not found.get("high"):
        return "0, the reference"
    return f"{found['log_strength']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def judged(summary: Summary) -> Section:
    """Every judge's criteria beside each other, with the share of fives: crowding at the top shows there."""
    agents, judges = agents_in_order(summary), [j["name"] for j in summary.get("judges", ())]
    if not judges:
        return Section("judges", "Judges", "", [])
    rows: Rows = [("judge", "criterion", *agents)]
    targets: list[Target] = []
    for judge in judges:
        for name, (title, _) in criteria_of(summary).items():
            cells = [(c, e.get("judges", {}).get(judge, {}).get(name)) for c, e in agents.items()]
            if any(found and found["n"] for _, found in cells):
                shown = [f"{_judged(found)}{mark(summary, c, name, judge) if found else ''}" for c, found in cells]
                rows.append((judge, title, *shown))
                targets.append(Target(name, judge))
    lines = [
        f"{j['name']}: rubric {j['rubric']}, {j['n']:,} verdicts, {j['missing']:,} missing"
        + (", offline rules" if j.get("offline") else ", a person" if j.get("human") else "")
        + (f", not judged: {', '.join(j['not_judged'])}" if j.get("not_judged") else "")
        for j in summary.get("judges", ())
    ]
    return Section(
        "judges", "Judges", "; ".join(lines) + ". Mean [95% interval], share of fives.", rows, tuple(targets)
    )


def _judged(found: Mapping[str, Any] | None) -> str:
    if not found or found.get("mean") is None:
        return "not judged"
    fives = f", {found['fives']:.0%} fives" if "fives" in found else ""
    low_high = f" [{found['low']:.2f}, {found['high']:.2f}]" if found.get("low") is not None else ""
    return f"{found['mean']:.2f}{low_high}{fives}"


def weighted(summary: Summary) -> Section:
    """Means with the weights that undo a stratified design; empty for sets that were not stratified."""
    agents = agents_in_order(summary)
    rows: Rows = []
    targets: list[Target] = []
    for name, title, share in figures_of(summary):
        found = {c: e.get("weighted", {}).get(name) for c, e in agents.items()}
        if any(found.values()):
            rows.append((title, *(_weighted_figure(f, share) for f in found.values())))
            targets.append(Target(name, judge_on(summary, name)))
    note = "As if the procedure's paths had been drawn uniformly: rare terminals and lengths, over-represented on purpose, weigh less."
    return Section("weighted", "Weighted", note if rows else "", [("", *agents), *rows] if rows else [], tuple(targets))


def _weighted_figure(found: Mapping[str, Any] | None, share: bool) -> str:
    if not found or found.get("mean") is None:
        return "–"
    kept = {"x": found["mean"], "intervals": {"x": found} if found.get("low") is not None else {}}
    return figure(kept, "x", share)


def distributions(summary: Summary) -> Section:
    """How often each score was given; shares in tenths, named by their lower end."""
    agents = agents_in_order(summary)
    names = list(dict.fromkeys(key for e in agents.values() for key in e.get("distributions", {})))
    if not names:
        return Section("distributions", "Distributions", "", [])
    rows: Rows = [("score", "agent", "n", "how often")]
    targets: list[Target] = []
    for key in names:
        judge, _, name = key.partition("|")
        for c, e in agents.items():
            if bars := e.get("distributions", {}).get(key):
                shown = ", ".join(f"{label}: {bars[label]}" for label in labels_in_order(bars) if bars[label])
                rows.append((f"{title_in(summary, name)}{f' ({judge})' if judge else ''}", c, _sum(bars), shown))
                targets.append(Target(name, judge, c))
    note = "Single scores, before any averaging; shares in tenths, named by their lower end."
    return Section("distributions", "Distributions", note, rows, tuple(targets))


def _sum(bars: Mapping[str, int]) -> str:
    return str(sum(n for label, n in bars.items() if label != "missing"))


def deviations(summary: Summary) -> Section:
    """Figures by the deviation that the scenario held."""
    rows: Rows = []
    for c, e in agents_in_order(summary).items():
        for kind, found in e.get("by_deviation", {}).items():
            shares = [percent(found.get(name)) for name in MEASURED_FIGURES]
            rows.append((kind, c, str(found["n"]), *shares, number(found.get("task_success"), 2)))
    rows.sort(key=lambda row: (row[0] != "none", row[0]))
    head = ("deviation", "agent", "n", *(TITLES[name] for name in MEASURED_FIGURES), "task success")
    note = "By what the user did that the procedure does not ask for; few scenarios each, so no intervals."
    targets = [Target("right_terminal", "", row[1], deviation=row[0]) for row in rows]
    return Section("deviations", "By deviation", note if rows else "", [head, *rows] if rows else [], tuple(targets))


def agreement(summary: Summary, people: People = ()) -> Section:
    """Agreement of those who scored: judges with each other, and with `people`."""
    found: Sequence[Mapping[str, Any]] = (*summary.get("agreement", ()), *people)
    note = "Krippendorff's α (ordinal) and quadratically weighted κ with 95% bootstrap intervals over conversations."
    if people:
        note += (
            " People's scores are compared criterion by criterion. Where they pass or flag (before seeing another's"
            " decision), a judge passes a task success above 3 (nominal α)."
        )
    if not found:
        alone = [j["name"] for j in summary.get("judges", ())]
        said = f"Only {alone[0]} scored: there is no agreement to report." if len(alone) == 1 else ""
        return Section("agreement", "Agreement", said, [])
    rows: Rows = [("criterion", "who", "n", "alpha", "kappa", "the same score")]
    rows += [
        (
            title_in(summary, a["criterion"]),
            " · ".join(a["who"]),
            str(a["n"]),
            _with(a["alpha"], a["alpha_interval"]),
            _with(a["kappa"], a["kappa_interval"]) if len(a["who"]) == 2 else "",
            percent(a["same"]),
        )
        for a in found
    ]
    targets = [
        Target("task_success", judge_on(summary, "task_success"))
        if a["criterion"] == "failure"
        else Target(a["criterion"], a["who"][0], differ="judges")
        for a in found
    ]
    return Section("agreement", "Agreement", note, rows, tuple(targets))


def _with(value: object, low_high: Sequence[float] | None) -> str:
    tail = f" [{low_high[0]:.2f}, {low_high[1]:.2f}]" if low_high else ""
    return number(value, 2) + tail
