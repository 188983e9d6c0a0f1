"""`workbench paths`: count, list, sample and cover the paths of a workflow."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.output import emit, example, json_option, pass_home
from workbench.errors import UserError
from workbench.home import Home

if TYPE_CHECKING:
    from workbench.workflow.choosing import Chosen
    from workbench.workflow.model import Workflow
    from workbench.workflow.paths import Order, Path, PathSpace


@click.command(
    epilog=example(
        "workbench paths travel_booking --count",
        "workbench paths insurance_claims --terminal denied --through appeal --limit 5 --json",
        "workbench paths travel_booking --sample 3 --seed 7",
        "workbench paths travel_booking --not-covered-by last --count",
    )
)
@click.argument("workflow")
@click.option("--count", is_flag=True, help="Only how many, by terminal and by steps.")
@click.option("--max-visits", type=click.IntRange(1, 9), help="How often a path may visit one node (else the file's).")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="N distinct paths drawn by chance.")
@click.option("--seed", type=int, default=0, show_default=True, help="For --sample.")
@click.option(
    "--cover", type=click.Choice(["edges", "hub-choices"]), help="Few paths that together take each of these."
)
@click.option("--from", "start", type=click.IntRange(0), default=0, show_default=True, help="Rank to list from.")
@click.option("--limit", type=click.IntRange(0), default=20, show_default=True, help="How many to list.")
@click.option("--terminal", multiple=True, help="Only paths that end here.")
@click.option("--through", multiple=True, help="Only paths that meet this node or edge.")
@click.option("--avoiding", multiple=True, help="Only paths that do not meet this node or edge.")
@click.option("--steps", metavar="LOW-HIGH", help="Only paths of so many steps, such as 4-9.")
@click.option("--covered-by", "covered", multiple=True, metavar="DATASET", help="Only paths of its dialogues.")
@click.option(
    "--not-covered-by", "uncovered", multiple=True, metavar="DATASET", help="Only paths it has no dialogue of."
)
@click.option("--seen-in", "seen", multiple=True, metavar="COMPARISON", help="Only paths that its scenarios demand.")
@click.option("--not-seen-in", "unseen", multiple=True, metavar="COMPARISON", help="Only paths none of them demands.")
@click.option("--order", type=click.Choice(["lexicographic", "steps"]), default="lexicographic", show_default=True)
@json_option
@pass_home
def command(
    home: Home,
    /,
    workflow: str,
    count: bool,
    max_visits: int | None,
    sample: int | None,
    seed: int,
    cover: str | None,
    start: int,
    limit: int,
    as_json: bool,
    order: Order,
    **filters: Any,
) -> None:
    """Count, list or sample the paths of a workflow. Filters combine; a rank is a position among what they leave."""
    from workbench.workflow.load import load_workflow
    from workbench.workflow.summary import bounded_space

    loaded = load_workflow(workflow)
    chosen = _choose(home, loaded, bounded_space(loaded, max_visits).ordered(order), **filters)
    if count:
        emit(_counts(loaded, chosen), as_json, _render_counts)
        return
    notes: list[str] = []
    paths = _picked(chosen, sample, seed, cover, start, limit, notes)
    size = chosen.size()
    data = {
        "workflow": loaded.name,
        "count": size.least,
        "exact": size.exact,
        "notes": notes,
        "paths": [_told(loaded, chosen, path) for path in paths],
    }
    emit(data, as_json, lambda found: _render_paths(found, str(size)))


def _choose(home: Home, workflow: Workflow, space: PathSpace, terminal: tuple[str, ...], through: tuple[str, ...],
            avoiding: tuple[str, ...], steps: str | None, covered: tuple[str, ...], uncovered: tuple[str, ...],
            seen: tuple[str, ...], unseen: tuple[str, ...]) -> Chosen:  # fmt: skip
    from workbench.dialogue.walked import choose_paths
    from workbench.store import connect
    from workbench.workflow.choosing import PathFilter

    wanted = PathFilter(terminal, through, avoiding, 1, None, covered, uncovered, seen, unseen)
    wanted = wanted.steps(steps) if steps else wanted
    record = connect(home, readonly=True) if covered or uncovered or seen or unseen else None
    return choose_paths(record, workflow, space, wanted)


def _picked(
    chosen: Chosen, sample: int | None, seed: int, cover: str | None, start: int, limit: int, notes: list[str]
) -> Iterator[Path]:
    if sample is not None:
        drawn = chosen.sample(sample, seed)
        if not drawn.uniform:
            notes.append("too many paths to count: the sample is not uniform")
        return iter(drawn)
    if cover is not None:
        if chosen.only is not None or chosen.without:
            raise UserError("--cover goes with the graph's own filters, not with those of data sets and evaluations")
        covered = chosen.space.cover("edges" if cover == "edges" else "hub choices")
        if covered.missing:
            notes.append(f"on no path: {', '.join(covered.missing)}")
        if covered.undecided:
            notes.append(f"no path found for: {', '.join(covered.undecided)}")
        return iter(covered)
    return islice(chosen.listing(start), limit)


def _told(workflow: Workflow, chosen: Chosen, path: Path) -> dict[str, Any]:
    from workbench.workflow.paths import path_nodes

    nodes = path_nodes(workflow, path)
    return {"rank": chosen.position(path), "steps": len(nodes), "terminal": nodes[-1], "nodes": nodes, "edges": path}


def _render_paths(data: dict[str, Any], size: str) -> str:
    lines = [f"{size} paths"]
    for path in data["paths"]:
        rank = "–" if path["rank"] is None else f"{path['rank']:,}"
        lines.append(f"{rank:>8}  {path['steps']:>3} steps  {' → '.join(path['nodes'])}")
    return "\n".join([*lines, *data["notes"]])


def _counts(workflow: Workflow, chosen: Chosen) -> dict[str, Any]:
    size = chosen.size()
    return {
        "workflow": workflow.name,
        "max_visits": chosen.space.max_visits,
        "count": size.least,
        "exact": size.exact,
        "estimate": size.estimate,
        "by_terminal": chosen.by_terminal() if size.exact else None,
        "by_steps": chosen.by_steps() if size.exact else None,
    }


def _render_counts(data: dict[str, Any]) -> str:
    if not data["exact"]:
        estimate = f" (estimate: about {data['estimate']:,})" if data["estimate"] else ""
        return f"at least {data['count']:,} paths{estimate}"
    lines = [f"{data['count']:,} paths, each node at most {data['max_visits']} times"]
    lines += [f"  {name}  {n:,}" for name, n in data["by_terminal"].items()]
    return "\n".join([*lines, *(f"  {steps:>3} steps  {n:,}" for steps, n in data["by_steps"].items())])
