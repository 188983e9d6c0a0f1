"""`workbench evaluate`: agents hold conversations with simulated users and are scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from workbench.cli.output import emit, example, pass_home
from workbench.errors import UserError
from workbench.home import Home


@click.command(
    epilog=example(
        "workbench evaluate travel_booking --agents compiled:demo,oracle --scenarios 40",
        "workbench evaluate travel_booking --agents compiled:demo,in-context:anthropic/claude-sonnet-5-5 --limit "
        "in-context:anthropic/claude-sonnet-5-5=12",
    )
)
@click.argument("workflow")
@click.option("--agents", required=True, help="compiled:RUN, orchestrated:MODEL, in-context:MODEL, oracle; by commas.")
@click.option("--scenarios", default=200, show_default=True, help="The same scenarios for every agent.")
@click.option("--limit", "limits", multiple=True, metavar="AGENT=N", help="Fewer scenarios for a slow or dear agent.")
@click.option("--split", type=click.Choice(["test", "dev"]), default="test", show_default=True)
@click.option("--dataset", help="Take this data set's scenarios of the split first.")
@click.option("--seed", default=42, show_default=True, help="Seed of the scenarios that are designed.")
@click.option("--repetitions", default=1, show_default=True)
@click.option("--concurrency", default=16, show_default=True, help="Conversations held at once with an agent.")
@click.option("--user", default="agenda", show_default=True, help="Simulated user: agenda or llm:MODEL.")
@click.option("--hourly-price", type=float, help="Dollars an hour of this machine, to price local models.")
@click.option("--name", default="", help="A name to find the comparison by.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON at the end.")
@pass_home
def command(
    home: Home, /, workflow: str, agents: str, limits: tuple[str, ...], detach: bool, as_json: bool, **rest: Any
) -> None:
    """Let agents converse with simulated users on the same scenarios, score and compare them.

    A background job: interrupted or killed, the same command continues with the conversations that are missing.
    """
    from workbench.agents.names import parse_name
    from workbench.cli.follow import follow
    from workbench.jobs.launcher import launch
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow

    loaded = load_workflow(workflow)
    names = [parse_name(name).text for name in agents.split(",") if name.strip()]
    args = {
        "workflow": workflow,
        "workflow_id": workflow_hash(loaded),
        "agents": names,
        "limits": dict(_limit(text, names) for text in limits),
        **rest,
    }
    job = launch(home.make(), "evaluate", args, f"evaluation on {loaded.name}")
    if detach:
        emit(
            {"job": job.id}, as_json, lambda found: f"job {found['job']}; workbench jobs tail {found['job']} watches it"
        )
        return
    emit(follow(home, job.id, quiet=as_json), as_json, _text)


def _limit(text: str, names: list[str]) -> tuple[str, int]:
    """`AGENT=N`, split at the last equals sign."""
    agent, _, number = text.rpartition("=")
    if agent not in names or not number.isdigit() or int(number) < 1:
        raise UserError(
            f'--limit "{text}": write AGENT=N with one of the agents ({", ".join(names)}) and a number from 1'
        )
    return agent, int(number)


def _text(result: Mapping[str, Any]) -> str:
    from workbench.evaluation.report import text

    return text(result["name"], result["summary"])
