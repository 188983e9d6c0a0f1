"""`workbench results`: read, check, judge again and report comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import click

from workbench.cli.output import emit, example, json_option, on_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home


class _Results(click.Group):
    """`results` alone lists, and `results COMPARISON` shows it."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            return "show", self.commands["show"], args
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Results,
    invoke_without_command=True,
    epilog=example("workbench results", "workbench results last", "workbench results report last --to html"),
)
@click.pass_context
def group(ctx: click.Context) -> None:
    """Read, judge again, check and report comparisons."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@group.command("list", epilog=example("workbench results list --json"))
@json_option
@pass_home
def list_(home: Home, as_json: bool = False) -> None:
    """List comparisons, the newest first."""
    from workbench.store import connect
    from workbench.store.comparisons import comparisons

    def render(rows: list[Mapping[str, Any]]) -> str:
        if not rows:
            return "no comparisons yet; `workbench evaluate W --agents …` makes one"
        return table(
            ("id", "name", "status", "agents"),
            [(r["id"], r["name"], r["status"], ", ".join(r["agents"])) for r in rows],
        )

    with connect(home, readonly=True) as rec:
        rows = [
            {
                "id": r.id,
                "name": r.name,
                "status": r.status,
                "created": r.created,
                "agents": _names(r.config.get("agents")),
            }
            for r in comparisons(rec)
        ]
    emit(rows, as_json, render)


_PRICES = (
    click.option("--hourly-price", type=click.FloatRange(0), help="Dollars an hour of the local machine."),
    click.option("--one-time", type=click.FloatRange(0), help="Dollars that generation and training cost, once."),
)


def _prices(function: Any) -> Any:
    for option in reversed(_PRICES):
        function = option(function)
    return function


@group.command(
    epilog=example(
        "workbench results show last",
        "workbench results show last --part cost --hourly-price 2.5",
        "workbench results show last --json",
    )
)
@click.argument("comparison")
@click.option("--part", help="Only one table: figures, tests, judges, cost, break-even, coverage, agreement, paper, …")
@_prices
@json_option
@pass_home
def show(
    home: Home,
    comparison: str,
    part: str | None,
    hourly_price: float | None,
    one_time: float | None,
    as_json: bool,
) -> None:
    """Print a comparison's figures, tests, costs and controls: every table of the pane and of the report.

    The prices try other costs on it: nothing is stored.
    """
    from workbench.evaluation.agreement import people_agree, plain
    from workbench.evaluation.report import text
    from workbench.evaluation.sections import sections
    from workbench.store import connect

    found, name, summary = _summary(home, comparison)
    more: dict[str, Any] = {"hourly_price": hourly_price, "one_time": one_time}
    tables = not as_json or part is not None or any(price is not None for price in more.values())
    if tables and part in (None, "agreement"):
        with connect(home, readonly=True) as rec:
            more["people"] = plain(people_agree(rec, found))
    if as_json and tables:
        made = sections(summary, **more)
        chosen = [s for s in made if part in (None, s.id)]
        if not chosen:
            raise UserError(f'this comparison has no part "{part}": choose one of {", ".join(s.id for s in made)}')
        emit(chosen, True, str)
        return
    emit(summary, as_json, lambda shown: text(name, shown, part, **more))


@group.command(
    epilog=example(
        "workbench results behind last --figure task_success --agent compiled --most 3",
        "workbench results behind last --figure task_success --differ conditions",
    )
)
@click.argument("comparison")
@click.option(
    "--figure", default="task_success", show_default=True, help="A measure, criterion or cost (seconds, cost …)."
)
@click.option("--judge", help="Whose verdicts; else the leading judge's.")
@click.option("--agent", help="Only this column of the comparison.")
@click.option("--most", type=float, help="Only values up to this.")
@click.option("--deviation", help='Only scenarios with this deviation; "none": without one.')
@click.option("--differ", type=click.Choice(["conditions", "judges"]), help="Only where these scored differently.")
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="At most so many.")
@json_option
@pass_home
def behind(
    home: Home,
    comparison: str,
    figure: str,
    judge: str | None,
    agent: str | None,
    most: float | None,
    deviation: str | None,
    differ: Literal["conditions", "judges"] | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the conversations behind a figure: those without a value first, then the lowest (of costs, the highest)."""
    from workbench.evaluation.reading import figure_of
    from workbench.store import connect
    from workbench.store.behind import behind
    from workbench.store.conversations import conversation_rows
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        asked = figure_of(rec, find(rec, "comparison", comparison), figure, judge)
        found = behind(rec, replace(asked, condition=agent, differ=differ or "", deviation=deviation, most=most))
        rows = conversation_rows(rec, found.rowids[:limit])
    known = zip(rows, found.values, found.spreads, strict=False)
    shown = [
        {
            "id": r.id,
            "agent": r.condition,
            "scenario": r.scenario_id,
            "value": None if v != v else v,
            "apart": s if differ else None,
            "terminal": r.terminal,
            "ended_by": r.ended_by,
            "messages": r.totals.get("messages"),
        }
        for r, v, s in known
    ]

    def render(lines: list[Mapping[str, Any]]) -> str:
        if not lines:
            return "no conversation"
        head = ("conversation", "agent", "scenario", "value", "apart", "terminal", "ended by", "messages")
        cells = [tuple(line.values()) for line in lines]
        rest = f"\n… {len(found) - len(lines):,} more" if len(found) > len(lines) else ""
        return table(head, [("–" if c is None else c for c in row) for row in cells], right=(3, 4, 7)) + rest  # type: ignore[misc]

    emit(shown, as_json, render)


@group.command(epilog=example("workbench results scenario 3f2a91c0", "workbench results scenario 3f2a91c0 --json"))
@click.argument("conversation")
@json_option
@pass_home
def scenario(home: Home, conversation: str, as_json: bool) -> None:
    """Read one scenario with every agent: transcripts, ways through the graph, verdicts with their evidence.

    CONVERSATION is any of its conversations (an id, its beginning, or last).
    """
    from workbench.evaluation.reading import beside, plain_text, read
    from workbench.store import connect
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        ids = beside(rec, find(rec, "conversation", conversation))
        found = [reading for reading in (read(rec, i) for i in ids) if reading]
    emit(found, as_json, lambda rows: "\n\n".join(plain_text(r) for r in rows))


@group.command(epilog=example("workbench results agreement last", "workbench results agreement last --json"))
@click.argument("comparison")
@json_option
@pass_home
def agreement(home: Home, comparison: str, as_json: bool) -> None:
    """How far judges agree with each other and with the people who reviewed the conversations."""
    from workbench.evaluation.agreement import people_agree, plain
    from workbench.evaluation.report import aligned
    from workbench.evaluation.sections import agreement as agreement_of
    from workbench.store import connect

    found, _, summary = _summary(home, comparison)
    with connect(home, readonly=True) as rec:
        people = plain(people_agree(rec, found))
    section = agreement_of(summary, people)
    data = {"judges": summary.get("agreement", []), "people": people}
    emit(data, as_json, lambda _: "\n".join([section.note, *aligned(section.rows)]))


@group.command(
    epilog=example(
        "workbench results score 3f2a91c0 task_success=4 consistency=5 --as ann",
        "workbench results score --from scores.csv --as ann",
    )
)
@click.argument("conversation", required=False)
@click.argument("scores", nargs=-1, metavar="[CRITERION=N]...")
@click.option("--from", "file", type=click.Path(path_type=Path), help="A CSV: column conversation, one a criterion.")
@click.option("--why", default="", help="The reason, in words.")
@click.option("--as", "who", metavar="NAME", help="Who scores (else WORKBENCH_REVIEWER, else the login).")
@json_option
@pass_home
def score(
    home: Home,
    conversation: str | None,
    scores: tuple[str, ...],
    file: Path | None,
    why: str,
    who: str | None,
    as_json: bool,
) -> None:
    """Score conversations yourself, 1 to 5 by the comparison's rubric: `results agreement` then says how far the judges
    agree with you.
    """
    from workbench.dialogue.reviewing import reviewer_name
    from workbench.evaluation.scoring import parse_score, put_scores, read_scores
    from workbench.store import connect

    if bool(conversation and scores) == bool(file) or (file and conversation):
        raise UserError("give a conversation and its scores (task_success=4 …), or a file: --from scores.csv")
    given = list(read_scores(file)) if file else [(str(conversation), dict(parse_score(text) for text in scores))]
    name = reviewer_name(who)
    with connect(home) as rec, rec.write():
        done = [put_scores(rec, wanted, name, found, why) for wanted, found in given]
    emit({"reviewer": name, "conversations": done}, as_json, lambda made: f"{name} scored {len(made['conversations'])}")


@group.command(epilog=example("workbench results diff before after", "workbench results diff saved.json last --json"))
@click.argument("before")
@click.argument("after")
@json_option
@pass_home
def diff(home: Home, before: str, after: str, as_json: bool) -> None:
    """Compare two comparisons: what was set otherwise, what got better or worse, paired where scenarios are shared.

    BEFORE and AFTER are comparisons, or files that `workbench results show --json` wrote.
    """
    from workbench.evaluation.changes import changes, judges_of, sections_of, settings
    from workbench.evaluation.paired_changes import paired_tests
    from workbench.evaluation.report import aligned
    from workbench.evaluation.words import criteria_of
    from workbench.store import connect

    first, second = _side(home, before), _side(home, after)
    tests: Mapping[tuple[str, str], Mapping[str, Any]] = {}
    if first.id and second.id:
        shared = [a for a in first.summary.get("agents", {}) if a in second.summary.get("agents", {})]
        pairs = {name: judges_of(first.summary, second.summary, name) for name in criteria_of(first.summary)}
        same = {name: one for name, (one, two) in pairs.items() if one == two}
        with connect(home, readonly=True) as rec:
            tests = paired_tests(rec, first.id, second.id, shared, same)
    found = list(changes(first, second, tests))
    data = {"settings": settings(first, second), "changes": found}
    emit(
        data,
        as_json,
        lambda _: "\n\n".join(
            "\n".join([s.title.upper(), *([s.note] if s.note else []), *aligned(s.rows)])
            for s in sections_of(first, second, found)
        ),
    )


def _side(home: Home, wanted: str) -> Any:
    """A comparison of the record, or a saved summary. Raises UserError for a file that holds something else."""
    import json

    from workbench.evaluation.changes import Side

    file = Path(wanted)
    if not (wanted.endswith(".json") and file.is_file()):
        comparison, name, summary = _summary(home, wanted)
        return Side(name, summary, comparison)
    try:
        summary = json.loads(file.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: not JSON ({error})") from None
    if not isinstance(summary, dict) or not isinstance(summary.get("agents"), dict):
        raise UserError(f"{file}: no summary of a comparison; `workbench results show COMPARISON --json` writes one")
    return Side(file.stem, summary)


@group.command(epilog=example("workbench results check last --min task_success=4.2 --max failure_rate=0.08"))
@click.argument("comparison")
@click.option("--min", "least", multiple=True, metavar="FIGURE=X", help="A figure must reach X.")
@click.option("--max", "most", multiple=True, metavar="FIGURE=X", help="A figure must not pass X.")
@click.option("--agent", default="compiled", show_default=True, help="Whose figures: a column of the comparison.")
@click.option("--judge", help="Whose verdicts; else the leading judge's.")
@json_option
@pass_home
@click.pass_context
def check(
    ctx: click.Context,
    home: Home,
    comparison: str,
    least: tuple[str, ...],
    most: tuple[str, ...],
    agent: str,
    judge: str | None,
    as_json: bool,
) -> None:
    """Compare figures with bounds, for CI: exit 1 if one is missed, missing or not reported."""
    from workbench.evaluation.bounds import check_bounds, parse_bound

    _, _, summary = _summary(home, comparison)
    bounds = [parse_bound(text, "min") for text in least] + [parse_bound(text, "max") for text in most]
    if not bounds:
        raise UserError("nothing to check: give --min FIGURE=X or --max FIGURE=X")
    found = check_bounds(summary, agent, bounds, judge)
    data = [asdict(r.bound) | {"found": r.value, "met": r.is_met} for r in found]
    emit(data, as_json, lambda _: "\n".join(f"{'ok  ' if r.is_met else 'FAIL'} {r.text}" for r in found))
    if not all(r.is_met for r in found):
        ctx.exit(1)


@group.command(
    epilog=example(
        "workbench results rejudge last                       # measures and rules, after a change of theirs",
        "workbench results rejudge last --judge pair --budget 5",
        "workbench results rejudge last --judge llm:openai/gpt-4.1 --rubric mine.yaml --repetitions 3",
    )
)
@click.argument("comparison")
@click.option("--judge", "judges", multiple=True, metavar="JUDGE", help="As in `evaluate`; none: measures and rules.")
@click.option("--repetitions", default=1, show_default=True, help="Judgements by every judge of a conversation.")
@click.option("--rubric", help="What language models judge by: a YAML file; else the paper's five criteria.")
@click.option("--retry-missing", is_flag=True, help="Ask again for verdicts that a judge refused or spoilt.")
@click.option("--batch", is_flag=True, help="Through the Message Batches API: half the price, within a day.")
@click.option("--budget", type=float, metavar="USD", help="Never spend more, retries and all; a larger one goes on.")
@click.option("--concurrency", metavar="auto|N", help="Model calls at once; auto (default) adapts to each service.")
@on_option
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@json_option
@pass_home
def rejudge(home: Home, /, comparison: str, as_json: bool, **rest: Any) -> None:
    """Measure and judge the kept conversations again; none is held again.

    With --judge, language models give the verdicts that are missing under this rubric, as a background job. Under
    another rubric a judge's older verdicts are kept, but figures show those of the newest.
    """
    from workbench.cli.rejudging import by_models
    from workbench.evaluation.rejudge import rejudge as again
    from workbench.evaluation.report import text
    from workbench.store import connect
    from workbench.store.comparisons import get_comparison
    from workbench.store.find import find

    with connect(home) as rec:
        found = find(rec, "comparison", comparison)
        if not set(rest["judges"]) - {"rules"}:
            row = get_comparison(rec, found)
            name = row.name if row else found
            emit(again(rec, found), as_json, lambda summary: text(name, summary))
            return
    by_models(home, found, as_json, **rest)


@group.command(
    epilog=example("workbench results report last --to html -o report.html", "workbench results report last --to tex")
)
@click.argument("comparison")
@click.option(
    "--to",
    "form",
    type=click.Choice(["html", "md", "tex", "csv", "jsonl", "parquet"]),
    default="html",
    show_default=True,
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Else NAME.FORM in this folder.")
@_prices
@pass_home
def report(
    home: Home, comparison: str, form: str, output: Path | None, hourly_price: float | None, one_time: float | None
) -> None:
    """Write a comparison as a file: html and md for people, tex for a paper's test table; csv, jsonl and parquet with a
    row a conversation."""
    from workbench.evaluation.report import write_report
    from workbench.store import connect
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        path = write_report(
            rec, find(rec, "comparison", comparison), form, output, hourly_price=hourly_price, one_time=one_time
        )
    click.echo(path)


@group.command(epilog=example("workbench results votes", "workbench results votes --workflow travel_booking --json"))
@click.option("--workflow", help="Only votes on conversations of this workflow (name, id or last).")
@click.option("--all", "everything", is_flag=True, help="Also votes that were given with the names in sight.")
@json_option
@pass_home
def votes(home: Home, workflow: str | None, everything: bool, as_json: bool) -> None:
    """Add up people's votes on agents side by side: win rates and Bradley-Terry strengths with intervals."""
    from workbench.evaluation.votes import add_up, text
    from workbench.store import connect
    from workbench.store.chat_votes import votes as stored
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        wanted = find(rec, "workflow", workflow) if workflow else None
        found = add_up(stored(rec, wanted, blind=None if everything else True))
    emit(found, as_json, text)


def _names(agents: object) -> list[str]:
    return [str(a) for a in agents] if isinstance(agents, list | tuple) else []


def _summary(home: Home, wanted: str) -> tuple[str, str, Mapping[str, Any]]:
    """Id, name and summary. Raises UserError if there is none, or no summary yet."""
    from workbench.store import connect
    from workbench.store.comparisons import get_comparison
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        row = get_comparison(rec, find(rec, "comparison", wanted))
    assert row is not None
    if not row.summary:
        raise UserError(
            f"comparison {row.name} is {row.status} and has no summary yet; run its `workbench evaluate` again"
        )
    return row.id, row.name, row.summary
