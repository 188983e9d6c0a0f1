"""The form that starts an evaluation: its fields, what it will take, and the command that does the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from workbench.agents.names import parse_name
from workbench.errors import UserError
from workbench.evaluation.judges import judge_models
from workbench.evaluation.plan import parse_limit, plan_of
from workbench.evaluation.preview import preview as look_ahead
from workbench.evaluation.rubric import PAPER, load_rubric, rubric_path
from workbench.evaluation.words import dollars
from workbench.home import Home, find_home
from workbench.jobs.folder import Job
from workbench.jobs.launcher import launch
from workbench.jobs.settings import parse_concurrency
from workbench.jobs.where import parse_where
from workbench.models.open import check_model, price_of
from workbench.store.record import connect
from workbench.store.runs import runs
from workbench.tui.effects import reader
from workbench.tui.widgets.fields import NO, YES, ChoiceField, Field, NumberField, Values
from workbench.tui.widgets.form import Preview
from workbench.tui.widgets.safe import line
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import known_workflows, load_workflow


def agents_of(text: str) -> list[str]:
    """The agents named, by commas. Raises UserError for one that has no such form."""
    names = [parse_name(name).text for name in text.split(",") if name.strip()]
    if not names:
        raise UserError("name at least one agent, such as compiled:RUN or oracle")
    return names


def judges_of(text: str) -> list[str]:
    """The judges named, by commas. Raises UserError for one that is not known."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    judge_models(names)
    return names


def _by(read: Callable[[str], object]) -> Callable[[str], str | None]:
    """A field's check by the reader of its text."""

    def check(text: str) -> str | None:
        try:
            read(text)
        except UserError as error:
            return str(error)
        return None

    return check


def _limits(values: Values) -> list[str]:
    return [text.strip() for text in (values["limits"] or "").split(",") if text.strip()]


def fields(home: Home) -> tuple[Field, ...]:
    """The form's fields; the newest finished run and the oracle are offered."""
    done = [run.name for run in runs(reader(home)) if run.status == "done"] if home.database.exists() else []
    offered = ",".join([*(f"compiled:{name}" for name in done[:1]), "oracle"])
    workflows = [path.stem for path in known_workflows()]
    return (
        ChoiceField("workflow", "workflow", workflows[0] if workflows else "", "the procedure", options=workflows),
        Field("agents", "agents", offered, "compiled:RUN, orchestrated:MODEL, in-context:MODEL, oracle; by commas", check=_by(agents_of)),
        NumberField("scenarios", "scenarios", 200, "the same for every agent", least=1, most=100_000, whole=True),
        Field("limits", "fewer for", "", "AGENT=N by commas: fewer scenarios for a slow or dear agent", optional=True),
        NumberField("repetitions", "repetitions", 1, "conversations a scenario", least=1, most=100, whole=True),
        Field("user", "simulated user", "agenda", "agenda (offline) or llm:MODEL"),
        Field("judges", "judges", "rules", "rules (offline), llm:MODEL, claude, gpt-4.1, pair, paper; by commas", check=_by(judges_of)),
        NumberField("judge_repetitions", "judgements", 1, "of a conversation by every judge", least=1, most=20, whole=True),
        Field("rubric", "rubric", "paper", "what models judge by: paper, or a YAML file of yours", check=_by(load_rubric)),
        ChoiceField("batch", "batch", NO, "judged through the Message Batches API: half the price, within a day", options=[NO, YES]),
        NumberField("budget", "budget, $", None, "never spends more; empty: no limit", True, least=0),
        Field("concurrency", "calls at once", "auto", "auto, or a number; `jobs set` changes it later", check=_by(parse_concurrency)),
        Field("on", "done by", "here", "here, ray (a cluster of this machine's cores), ray://ADDRESS or HOST:PORT", check=_by(parse_where)),
        ChoiceField("split", "split", "test", "training scenarios are never used", options=["test", "dev"]),
        NumberField("seed", "seed", 42, "of the scenarios", least=0, whole=True),
        NumberField("hourly_price", "$ an hour", None, "of this machine, to price local models; empty: unknown", True, least=0),
        Field("name", "name", "", "to find the comparison by", optional=True),
    )  # fmt: skip


def arguments(values: Values) -> dict[str, Any]:
    """The job's arguments, the same as the command's. Raises UserError for a workflow or an agent that is not there."""
    workflow = load_workflow(values["workflow"])
    plain = ("workflow", "scenarios", "repetitions", "judge_repetitions", "user", "split", "seed", "hourly_price")
    agents = agents_of(values["agents"])
    return {
        **{name: values[name] for name in plain},
        "workflow_id": workflow_hash(workflow),
        "agents": agents,
        "limits": dict(parse_limit(text, agents) for text in _limits(values)),
        "name": values["name"] or "",
        "judges": judges_of(values["judges"]),
        "rubric": None if values["rubric"] == PAPER else rubric_path(values["rubric"]),
        "retry_missing": False,
        "dataset": None,
    }


def preview(home: Home, values: Values) -> Preview:
    """What is left to hold and to judge, and what it will cost; runs in a worker thread. Raises UserError for a plan that
    would fail."""
    plan = plan_of(arguments(values))
    prices = {name: price_of(name, home) for name in plan.models()}
    batch = values["batch"] == YES
    judges = plan.panel().judges
    for name, (price, free) in prices.items():
        check_model(name, home, batch=batch and name in judges)
        if values["budget"] is not None and price is None and not free:
            raise UserError(f"the price of {name} is unknown, so a budget cannot be kept: add it to prices.json")
    with connect(home.make()) as rec:
        found = look_ahead(rec, plan, prices, batch=batch)
    lines = [
        line(
            (f"{found.conversations:,}", "strong"),
            " conversations to hold, ",
            (f"{found.judgements:,}", "strong"),
            " judgements",
        )
    ]
    for part in found.parts:
        tokens = f"{part.calls:,} calls, {part.input:,} tokens in, {part.output:,} out"
        lines.append(
            line(
                (f"{part.what}  ", "plain"),
                (tokens, "dim"),
                (f"  {dollars(part.dollars)}", "warn" if part.dollars else "dim"),
            )
        )
    if found.parts:
        lines.append(
            line(("estimate ", "dim"), (dollars(found.dollars), "strong"), ("; repeated calls come on top", "dim"))
        )
    return Preview(tuple(lines))


def command(home: Home, values: Values) -> Sequence[str]:
    """The words of the command line that starts the same."""
    place = [] if home == find_home() else ["--home", str(home.root.parent)]
    words = ["workbench", *place, "evaluate", values["workflow"], "--agents", values["agents"]]
    for name in ("scenarios", "repetitions", "user", "split", "seed", "concurrency"):
        words += [f"--{name}", str(values[name])]
    words += ["--on", where] if (where := parse_where(values["on"])) else []
    words += [word for text in _limits(values) for word in ("--limit", text)]
    words += [word for judge in judges_of(values["judges"]) for word in ("--judge", judge)]
    words += ["--judge-repetitions", str(values["judge_repetitions"])] if values["judge_repetitions"] != 1 else []
    words += ["--rubric", values["rubric"]] if values["rubric"] != PAPER else []
    words += ["--batch"] if values["batch"] == YES else []
    for name, option in (("hourly_price", "--hourly-price"), ("budget", "--budget")):
        words += [option, f"{values[name]:g}"] if values[name] is not None else []
    return words + (["--name", values["name"]] if values["name"] else [])


def start(home: Home, values: Values) -> Job:
    """Start the job, or join the one that does the same; the form has shown what it costs."""
    settings: dict[str, object] = {
        "batch": values["batch"] == YES,
        "on": parse_where(values["on"]),
        "concurrency": parse_concurrency(values["concurrency"]),
    }
    settings |= {"budget": values["budget"]} if values["budget"] is not None else {}
    return launch(home.make(), "evaluate", arguments(values), f"evaluation on {values['workflow']}", settings=settings)
