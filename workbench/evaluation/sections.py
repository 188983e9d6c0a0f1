"""A comparison's summary as tables of words: one definition for the command line, the reports and the pane.

Imports nothing heavy. Summaries of older versions lack parts; what is missing there is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.evaluation.economy import Economy, dollars_of, economy
from workbench.evaluation.paper import reference
from workbench.evaluation.words import (
    CRITERIA,
    MEASURED_FIGURES,
    RELIABLE,
    TITLES,
    Summary,
    agents_in_order,
    criteria_of,
    dollars,
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

Rows = list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Target:
    """What a row's conversations are found by: a figure, and where it says so a judge, an agent, a deviation, or who
    must differ ("conditions", "judges")."""

    figure: str
    judge: str = ""
    agent: str | None = None
    deviation: str | None = None
    differ: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table: `rows` with the heading first; `note` says how to read it. Empty rows: the note alone says why.

    `behind` leads from each row below the heading to its conversations; None where there are none. It may be shorter.
    """

    id: str
    title: str
    note: str
    rows: Rows
    behind: tuple[Target | None, ...] = ()


People = Sequence[Mapping[str, Any]]
"""Agreements with people as `agreement.people_agree` finds them, which no summary holds: they go on scoring."""


def sections(
    summary: Summary, *, hourly_price: float | None = None, one_time: float | None = None, people: People = ()
) -> list[Section]:
    """Every table of a summary, in the order of a report. The two prices replace those it was made with."""
    found = economy(summary, hourly_price, one_time)
    made = (
        figures(summary),
        tests(summary),
        carried(summary),
        judged(summary),
        weighted(summary),
        distributions(summary),
        deviations(summary),
        procedure(summary),
        coverage(summary),
        agreement(summary, people),
        costs(summary, hourly_price),
        break_even(found),
        controls(summary),
        missing(summary),
        paper(summary),
    )
    return [section for section in made if section.rows or section.note]


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
    rest = f" of {planned}" if isinstance(planned, int) and planned > _all(entry) else ""
    return f"{entry.get('n', '–')}{rest} ({entry.get('missing', 0)})"


def _labelled(entry: Mapping[str, Any]) -> str:
    found = entry.get("labeller_accuracy")
    if not isinstance(found, int | float):
        return "not known"
    return f"{found:.1%}" + ("" if found >= RELIABLE else ", UNRELIABLE")


def mark(summary: Summary, condition: str, name: str, judge: str | None = None) -> str:
    """` *` where a test of this agent on this criterion is significant after Holm (by default of the judge who stands for it)."""
    wanted = judge or judge_on(summary, name)
    for test in summary.get("comparison", {}).get("tests", ()):
        of = test.get("judge")
        same = of in (None, "") or of == wanted
        if same and test.get("agent") == condition and test.get("criterion") == name:
            return " *" if test.get("significant") else ""
    return ""


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


def procedure(summary: Summary) -> Section:
    """Where the agents left the procedure: hub by hub, skipped places, wrong ends."""
    rows: Rows = []
    for c, e in agents_in_order(summary).items():
        walks = e.get("walks", {})
        for hub, found in walks.get("hubs", {}).items():
            wrong = sorted(found["wrong"].items(), key=lambda item: -item[1])[:3]
            said = ", ".join(f"{n}× {way}" for way, n in wrong)
            rows.append((c, f"hub {hub}", f"{found['right']} of {found['n']}", said))
        ends = walks.get("wrong_ends", {})
        rows += [(c, "wrong end (due → reached)", f"{n}", way) for way, n in ends.items()]
        rows += [(c, "passed over in silence", f"{n}", place) for place, n in walks.get("skipped", {}).items()]
        if walks.get("extra"):
            rows.append((c, "messages outside the procedure", str(walks["extra"]), ""))
    accuracy = summary.get("labeller_accuracy")
    trust = "" if summary.get("adherence_reliable", True) else " Below 95%: adherence is UNRELIABLE."
    note = f"Read from the text alone, for every agent by the same labeller (accuracy {number(accuracy, 3)}).{trust}"
    head = ("agent", "what", "right, or how often", "mistaken (demanded → taken), or where")
    told = {"hub": "hub_choice", "wrong": "right_terminal"}
    targets = [Target(told.get(what.split()[0], "fitness"), "", agent) for agent, what, *_ in rows]
    return Section("procedure", "Procedure", note if rows else "", [head, *rows] if rows else [], tuple(targets))


def coverage(summary: Summary) -> Section:
    """How much of the graph the training set, the evaluation set and the agents' conversations have seen."""
    found = dict(summary.get("coverage", {}))
    found |= {
        f"walked by {c}": w for c, e in agents_in_order(summary).items() if (w := e.get("walks", {}).get("coverage"))
    }
    if not found:
        return Section("coverage", "Coverage", "", [])
    rows: Rows = [("set", "walks", "nodes", "edges", "hub choices", "not covered")]
    for name, c in found.items():
        gone = [*c["missing_nodes"], *c["missing_edges"]]
        shown = ", ".join(gone[:4]) + (f" and {len(gone) - 4} more" if len(gone) > 4 else "")
        rows.append((name, str(c["walks"]), *(percent(c[k]) for k in ("nodes", "edges", "hub_choices")), shown))
    walked = [n.removeprefix("walked by ") if n.startswith("walked by ") else None for n in found]
    targets = [Target("fitness", "", agent) if agent else None for agent in walked]
    return Section("coverage", "Coverage of the graph", "", rows, tuple(targets))


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


COSTS = (
    ("messages", "messages", 1),
    ("calls", "calls", 1),
    ("input", "tokens in, read anew", 0),
    ("cached", "tokens in, from a cache", 0),
    ("output", "tokens out", 0),
    ("seconds", "wall seconds", 1),
    ("model_seconds", "seconds of its calls", 1),
    ("machine_seconds", "machine (GPU) seconds", 2),
    ("latency_p50", "latency p50, s a message", 2),
    ("latency_p95", "latency p95, s a message", 2),
    ("ttft_p50", "first token p50, s", 2),
    ("ttft_p95", "first token p95, s", 2),
)
"""Figures of cost: name, title, decimal places."""
_SUMS = ("messages", "calls", "input", "cached", "output", "seconds", "model_seconds")
"""Those that each conversation has a sum of."""


def costs(summary: Summary, hourly_price: float | None = None) -> Section:
    """What a conversation takes with each agent."""
    agents = {c: e for c, e in agents_in_order(summary).items() if e.get("costs")}
    if not agents:
        return Section("cost", "Cost", "", [])
    price = hourly_price if hourly_price is not None else summary.get("hourly_price")
    paid = {c: dollars_of(e, price, anew=hourly_price is not None) for c, e in agents.items()}
    dearest = max((d for d in paid.values() if d), default=None)
    rows: Rows = [("a conversation", *agents)]
    rows += [(title, *(number(e["costs"].get(name), places) for e in agents.values())) for name, title, places in COSTS]
    rows += [
        ("dollars", *(dollars(d) for d in paid.values())),
        ("dollars for 1,000", *(dollars(None if d is None else 1000 * d) for d in paid.values())),
        (
            "times cheaper than the dearest",
            *(f"{dearest / d:,.1f}×" if dearest and d else "–" for d in paid.values()),
        ),
        ("the price rests on", *(_basis(e["costs"], d, price) for e, d in zip(agents.values(), paid.values(), strict=True))),
    ]  # fmt: skip
    hour = f"${price:g} an hour of the local machine" if price is not None else "no price for the local machine's hour"
    note = (
        f"Means over finished conversations, held side by side; {hour}. Machine seconds: the time in which a local "
        "model had at least one of the agent's calls in flight, shared among its conversations."
    )
    sums = {"cached": "cache_read", "model_seconds": "model_s"}
    targets = [Target(sums.get(n, n)) if n in _SUMS else Target("seconds") for n, _, _ in COSTS]
    return Section("cost", "Cost", note, rows, (*targets, *[Target("cost")] * 3))


def _basis(costs: Mapping[str, Any], paid: float | None, price: float | None) -> str:
    basis = str(costs.get("basis", "–"))
    if paid is not None and costs.get("dollars") is None and price is not None:
        return "machine seconds at the stated price of an hour"
    return basis


def break_even(found: Economy) -> Section:
    """One-time cost, running cost, and after how many conversations it has paid back; the curve as a few points."""
    if found.compiled is None or not found.rivals:
        return Section("break-even", "Break-even", "", [])
    rows: Rows = [("", "dollars", "")]
    rows += [
        ("generation of its data set, once", dollars(found.generation), ""),
        ("training, once", dollars(found.training), "" if found.training is not None else "give --hourly-price"),
        ("one-time cost", dollars(found.one_time), "" if found.one_time is not None else "or state it: --one-time"),
        (f"a conversation with {found.compiled}", dollars(found.per_conversation), ""),
    ]
    for r in found.rivals:
        met = f"paid back after {r.conversations:,.0f} conversations" if r.conversations is not None else r.why
        rows.append((f"a conversation with {r.condition}", dollars(r.dollars), met))
    curves = found.curves(5)
    for name, points in curves.items():
        rows += [(f"{n:,.0f} conversations with {name}", dollars(total), "in total") for n, total in points[1:]]
    return Section("break-even", "Break-even", "What compiling cost once, against what each conversation saves.", rows)


def controls(summary: Summary) -> Section:
    """The controls that the measures must pass."""
    found = summary.get("controls", {})
    rows: Rows = [("control", "n", "value", "at least", "")]
    for name, c in found.items():
        shown = (name, str(c.get("n", "–")), number(c.get("value"), 3), number(c.get("least"), 2))
        rows.append((*shown, "passed" if c.get("passed") else "FAILED"))
    return Section("controls", "Controls", "A measure whose control fails is not reported.", rows if found else [])


def missing(summary: Summary) -> Section:
    """What is missing, by agent and by judge: never counted as a number anywhere."""
    rows: Rows = []
    for c, e in agents_in_order(summary).items():
        rows.append((c, "conversations broken by infrastructure", str(e.get("missing", 0)), f"of {_all(e)}"))
        if (planned := e.get("planned") or 0) > _all(e):
            rows.append((c, "conversations not held yet", str(planned - _all(e)), f"of {planned}"))
        rows += [
            (c, f"{title_in(summary, name)}, scenarios without a value", str(i["missing"]), f"of {_n(i)}")
            for name, i in e.get("intervals", {}).items()
            if i.get("missing")
        ]
    for j in summary.get("judges", ()):
        rows.append((j["name"], "verdicts without a score", str(j["missing"]), f"of {j['n'] + j['missing']}"))
    note = "Missing data are counted and left out; no test or mean reads them as a number."
    return Section("missing", "Missing", note if rows else "", [("who", "what", "missing", ""), *rows] if rows else [])


def paper(summary: Summary) -> Section:
    """The paper's own table for the same workflow, marked as the paper's; empty for other workflows."""
    data = reference()
    workflow = str(summary.get("provenance", {}).get("workflow") or "")
    name = next((w for w in data["workflows"] if w in workflow), None)
    if name is None:
        return Section("paper", "The paper's figures", "", [])
    columns = data["workflows"][name]
    n = data["scenarios"]
    rows: Rows = [("the paper's", *columns)]
    rows += [(TITLES[k], *(number(column.get(k), 2) for column in columns.values())) for k in CRITERIA]
    rows += [
        (f"failures of {n}", *(str(column.get("failures", "–")) for column in columns.values())),
        ("messages", *(number(column.get("messages"), 1) for column in columns.values())),
        ("seconds", *(number(column.get("seconds"), 1) for column in columns.values())),
        ("dollars a conversation", *(dollars(column.get("cost"), "–") for column in columns.values())),
    ]
    note = (
        f"REFERENCE, not measured here: {data['source']}. Compiled model {data['models'][name]}, judge {data['judge']}, "
        f"{n} scenarios a condition. Other models, users and judges: not to be compared figure by figure."
    )
    return Section("paper", "The paper's figures", note, rows)


def facts(row_id: str, name: str, summary: Summary, config: Mapping[str, Any]) -> list[str]:
    """What a reader must know first: what was compared, on what, by whom it was judged, and what is offline."""
    made, judge = summary.get("provenance", {}), summary.get("judge", {})
    offline = [
        *(["the simulated user"] if summary.get("user") == "agenda" else []),
        *([f"the judge {judge.get('name')}"] if judge.get("offline") else []),
    ]
    versions = "; ".join(f"{k} {', '.join(v)}" for k, v in made.get("versions", {}).items() if v)
    lines = [
        f"comparison {name} ({row_id}), workflow {config.get('workflow')} "
        f"({made.get('workflow_id') or config.get('workflow_id') or 'hash unknown'})",
        f"{summary.get('scenarios', '–')} scenarios of the {config.get('split')} split, seed {config.get('seed')}, "
        f"{config.get('repetitions')} repetition(s); set {made.get('scenario_set', '–')}; the same for every agent",
        f"simulated user: {summary.get('user')}; judges: {', '.join(_named(j) for j in summary.get('judges') or [judge])}",
        f"offline: {' and '.join(offline)} (no language model)" if offline else "nothing offline: language models throughout",
    ]  # fmt: skip
    lines += [f"agent {c}: {agent}" for c, agent in made.get("agents", {}).items() if c != agent]
    lines += [f"versions: {versions}"] if versions else []
    lines += [f"intervals: {made['intervals']}"] if made.get("intervals") else []
    return lines


def _named(judge: Mapping[str, Any]) -> str:
    return f"{judge.get('name')} (rubric {judge.get('rubric')})"


def notes(summary: Summary) -> list[str]:
    """What to read the figures with: labeller, controls, what is not reported, and the statement."""
    reliable = "" if summary.get("adherence_reliable", True) else ": below 95%, adherence figures are UNRELIABLE"
    found = summary.get("controls", {})
    lines = [f"labeller accuracy on wording withheld from it: {number(summary.get('labeller_accuracy'), 3)}{reliable}"]
    if found:
        passed = sum(bool(c.get("passed")) for c in found.values())
        lines.append(f"controls passed: {passed} of {len(found)}")
    for condition, seen in summary.get("labeller", {}).get("agents", {}).items():
        lines.append(
            f"labeller accuracy on {condition}, whose true nodes are known: {seen['right'] / seen['n']:.3f} of "
            f"{seen['n']} messages"
        )
    if summary.get("not_reported"):
        lines.append(f"not reported, since their controls failed: {', '.join(summary['not_reported'])}")
    return [*lines, *([str(summary["statement"])] if summary.get("statement") else [])]


def _rate(found: Mapping[str, Any]) -> str:
    if found.get("rate") is None:
        return "–"
    low_high = f" [{found['low']:.0%}, {found['high']:.0%}]" if found.get("low") is not None else ""
    counted = f"{found['count']} of {found['n']}" if "count" in found else f"{found['rate']:.1%}"
    return counted + low_high


def _with(value: object, low_high: Sequence[float] | None) -> str:
    tail = f" [{low_high[0]:.2f}, {low_high[1]:.2f}]" if low_high else ""
    return number(value, 2) + tail


def _sum(bars: Mapping[str, int]) -> str:
    return str(sum(n for label, n in bars.items() if label != "missing"))


def _all(entry: Mapping[str, Any]) -> int:
    return int(entry.get("n", 0)) + int(entry.get("missing", 0))


def _n(found: Mapping[str, Any]) -> int:
    return int(found.get("n", 0)) + int(found["missing"])
