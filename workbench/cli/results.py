"""`workbench results`: read, check, judge again and report comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
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


@group.command(epilog=example("workbench results show last", "workbench results show last --json"))
@click.argument("comparison")
@json_option
@pass_home
def show(home: Home, comparison: str, as_json: bool) -> None:
    """Print a comparison's figures, tests and controls."""
    from workbench.evaluation.report import text

    _, name, summary = _summary(home, comparison)
    emit(summary, as_json, lambda found: text(name, found))


@group.command(epilog=example("workbench results check last --min task_success=4.2 --max failure_rate=0.08"))
@click.argument("comparison")
@click.option("--min", "least", multiple=True, metavar="FIGURE=X", help="A figure must reach X.")
@click.option("--max", "most", multiple=True, metavar="FIGURE=X", help="A figure must not pass X.")
@click.option("--agent", default="compiled", show_default=True, help="Whose figures: a column of the comparison.")
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
    as_json: bool,
) -> None:
    """Compare figures with bounds, for CI: exit 1 if one is missed, missing or not reported."""
    from workbench.evaluation.bounds import check_bounds, parse_bound

    _, _, summary = _summary(home, comparison)
    bounds = [parse_bound(text, "min") for text in least] + [parse_bound(text, "max") for text in most]
    if not bounds:
        raise UserError("nothing to check: give --min FIGURE=X or --max FIGURE=X")
    found = check_bounds(summary, agent, bounds)
    emit(found, as_json, lambda rows: "\n".join(f"{'ok  ' if r.is_met else 'FAIL'} {r.text}" for r in rows))
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
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@json_option
@pass_home
def rejudge(home: Home, /, comparison: str, as_json: bool, **rest: Any) -> None:
    """Measure and judge the kept conversations again; none is held again.

    With --judge, language models give the verdicts that are missing under this rubric, as a background job.
    """
    from workbench.cli.rejudging import by_models
    from workbench.evaluation.rejudge import rejudge as again
    from workbench.evaluation.report import text
    from workbench.store import connect
    from workbench.store.find import find

    with connect(home) as rec:
        found = find(rec, "comparison", comparison)
        if not set(rest["judges"]) - {"rules"}:
            emit(again(rec, found), as_json, lambda summary: text(found, summary))
            return
    by_models(home, found, as_json, **rest)


@group.command(epilog=example("workbench results report last --to html -o report.html"))
@click.argument("comparison")
@click.option(
    "--to", "form", type=click.Choice(["html", "md", "csv", "jsonl", "parquet"]), default="html", show_default=True
)
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="Else NAME.FORM in this folder.")
@pass_home
def report(home: Home, comparison: str, form: str, output: Path | None) -> None:
    """Write a comparison as a file: html and md for people; csv, jsonl and parquet with a row a conversation."""
    from workbench.evaluation.report import write_report
    from workbench.store import connect
    from workbench.store.find import find

    with connect(home, readonly=True) as rec:
        path = write_report(rec, find(rec, "comparison", comparison), form, output)
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
