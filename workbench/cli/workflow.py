"""`workbench workflow`: make, list, show, check, draw, convert and compare workflow files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, plain, table
from workbench.errors import UserError
from workbench.home import Home
from workbench.text import clean, clean_line

if TYPE_CHECKING:
    from workbench.workflow.check import Problem
    from workbench.workflow.diff import Difference
    from workbench.workflow.model import Workflow
    from workbench.workflow.summary import Summary


@click.group(epilog=example("workbench workflow show travel_booking", "workbench workflow check my.yaml --json"))
def group() -> None:
    """Make, check, draw, convert and compare workflow files.

    A workflow is given as the path of a YAML or JSON file, or by its bare name (`workbench workflow list`).
    """


@group.command(epilog=example("workbench workflow new returns_desk"))
@click.argument("name")
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path, file_okay=False), default=Path("workflows"),
              show_default=True, help="Folder to write NAME.yaml into.")  # fmt: skip
def new(name: str, folder: Path) -> None:
    """Write a small valid workflow to start from."""
    from workbench.workflow.scaffold import write_scaffold

    path = write_scaffold(name, folder)
    click.echo(f"wrote {path}; check it with: workbench workflow check {path}")


@group.command("list", epilog=example("workbench workflow list --json"))
@json_option
def list_(as_json: bool) -> None:
    """List the workflows that can be named without a path, with their counts and problems."""
    from workbench.workflow.check import check_file
    from workbench.workflow.load import known_workflows

    found = []
    for path in known_workflows():
        problems = Counter(p.severity for p in check_file(path))
        summary, fault = _summary_or_fault(path)
        row = {"name": path.stem, "file": str(path), "summary": summary, "fault": fault}
        found.append({**row, "errors": problems["error"], "warnings": problems["warning"]})
    emit({"workflows": found}, as_json, _render_list)


def _summary_or_fault(path: Path) -> tuple[Summary | None, str | None]:
    from workbench.workflow.load import load_workflow
    from workbench.workflow.summary import summarise

    try:
        return summarise(load_workflow(path)), None
    except UserError as error:
        return None, str(error)


def _render_list(data: dict[str, Any]) -> str:
    if not data["workflows"]:
        return "No workflows here. Make one: workbench workflow new NAME"
    rows = []
    for row in data["workflows"]:
        summary: Summary | None = row["summary"]
        counts = [summary.nodes, summary.hubs, _paths(summary), _turns(summary)] if summary else [None] * 4
        rows.append([row["name"], *counts, row["errors"], row["warnings"], row["file"]])
    return table(["name", "nodes", "hubs", "paths", "steps", "errors", "warnings", "file"], rows, right=range(1, 7))


@group.command(epilog=example("workbench workflow show travel_booking --json"))
@click.argument("workflow")
@click.option("--max-visits", type=click.IntRange(1, 9), help="How often a path may visit one node (else the file's).")
@json_option
def show(workflow: str, max_visits: int | None, as_json: bool) -> None:
    """Show a workflow's counts, terminals and paths."""
    from workbench.workflow.load import load_workflow
    from workbench.workflow.summary import summarise

    emit(summarise(load_workflow(workflow), max_visits), as_json, _render_summary)


def _render_summary(summary: Summary) -> str:
    lines = [f"{clean_line(summary.title)} ({summary.name})", ""]
    lines += [f"nodes      {summary.nodes}, of which {summary.hubs} hubs", f"edges      {summary.edges}"]
    lines += [f"paths      {_paths(summary)} (each node at most {summary.max_visits} times)"]
    lines += [f"steps      {_turns(summary)}"] if summary.turns else []
    lines += ["terminals"]
    counts = summary.paths_by_terminal or {}
    lines += [f"  {name}" + (f"  {counts[name]:,} paths" if name in counts else "") for name in summary.terminals]
    return "\n".join(lines)


def _paths(summary: Summary) -> str:
    if summary.exact:
        return f"{summary.paths:,}"
    return f"at least {summary.paths:,}" + (f" (about {summary.estimate:,})" if summary.estimate else "")


def _turns(summary: Summary) -> str | None:
    return f"{summary.turns[0]}–{summary.turns[1]}" if summary.turns else None


@group.command(epilog=example("workbench workflow check workflows/*.yaml", "workbench workflow check my.yaml --json"))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@json_option
@click.pass_context
def check(ctx: click.Context, files: Sequence[str], as_json: bool) -> None:
    """Report everything that is wrong with workflow files, with codes, places and how to mend it.

    Exit code 0: no errors (there may be warnings); 1: errors; 2: a file could not be read at all.
    """
    from workbench.workflow.check import check_file
    from workbench.workflow.load import find_workflow

    problems = [problem for file in files for problem in check_file(find_workflow(file))]
    emit({"problems": problems}, as_json, lambda data: _render_problems(data["problems"], len(files)))
    if any(p.code == "WF001" for p in problems):
        ctx.exit(2)
    if any(p.severity == "error" for p in problems):
        ctx.exit(1)


def _render_problems(problems: list[Problem], files: int) -> str:
    lines = []
    for p in problems:
        where = clean_line(f"{p.file}:{p.line}:{p.column}")
        lines.append(f"{where}: {p.severity} {p.code}: {clean_line(p.message)}\n    {clean_line(p.hint)}")
    counts = Counter(p.severity for p in problems)
    told = ", ".join(
        f"{counts[s]} {s}{'s' if counts[s] != 1 else ''}" for s in ("error", "warning", "hint") if counts[s]
    )
    return "\n".join([*lines, f"{files} file{'s' if files != 1 else ''} checked: {told or 'no problems'}"])


@group.command(epilog=example("workbench workflow draw travel_booking --view canvas --path 0",
                              "workbench workflow draw travel_booking --view svg -o travel.svg"))  # fmt: skip
@click.argument("workflow")
@click.option("--view", type=click.Choice(["outline", "ego", "canvas", "svg"]), default="outline", show_default=True)
@click.option("--node", help="The node in the middle of the ego view.")
@click.option("--radius", type=click.IntRange(1, 4), default=1, show_default=True, help="Edges around it.")
@click.option("--path", "rank", type=int, help="Highlight the path of this rank (0 is the first).")
@click.option("--ascii", "ascii_only", is_flag=True, help="ASCII characters only.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
@click.option("--force", is_flag=True, help="Replace the file.")
@json_option
def draw(workflow: str, view: str, node: str | None, radius: int, rank: int | None, ascii_only: bool,
         out: Path | None, force: bool, as_json: bool) -> None:  # fmt: skip
    """Draw a workflow: an outline, the view around a node, the full canvas, or SVG."""
    from workbench.workflow.load import load_workflow

    loaded = load_workflow(workflow)
    text = _drawing(loaded, view, node, radius, _path_of(loaded, rank), ascii_only)
    if out is not None:
        from workbench.workflow.scaffold import write_new

        write_new(out, text, replace=force)
        text = f"wrote {out}"
    emit({"workflow": loaded.name, "view": view, "drawing": text}, as_json, lambda data: data["drawing"].rstrip("\n"))


def _path_of(workflow: Workflow, rank: int | None) -> tuple[str, ...]:
    from workbench.workflow.summary import bounded_space

    if rank is None:
        return ()
    try:
        return bounded_space(workflow)[rank]
    except IndexError:
        raise UserError(f"{workflow.name} has no path {rank}; the first is 0 (workbench paths {workflow.name} --count)"
                        ) from None  # fmt: skip


def _drawing(
    workflow: Workflow, view: str, node: str | None, radius: int, path: tuple[str, ...], ascii_only: bool
) -> str:
    from workbench.workflow import draw as drawing

    if view == "svg":
        return drawing.svg(workflow, path)
    if view == "outline":
        lines: Sequence[drawing.Line] = drawing.outline(workflow, path, ascii_only=ascii_only)
        if path:
            mark = "# " if ascii_only else "┃ "
            marks = [mark if any(span.lit for span in line.spans) else "  " for line in lines]
            return clean("\n".join(before + line.text.rstrip() for before, line in zip(marks, lines, strict=True)))
    elif view == "ego":
        lines = drawing.ego(workflow, node or workflow.start, radius, path, ascii_only=ascii_only).lines
    else:
        lines = drawing.canvas(workflow, path, ascii_only=ascii_only).lines
    return clean("\n".join(line.text.rstrip() for line in lines))


@group.command("import", epilog=example("workbench workflow import flow.drawio -o flow.yaml"))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The YAML to write.")
@click.option("--from", "format_", help="The format (else told by the file's name and beginning).")
@click.option("--trust", is_flag=True, help="Run a LangGraph Python file to read its graph. Only for files you trust.")
@click.option("--force", is_flag=True, help="Replace the file.")
@json_option
def import_(file: Path, out: Path, format_: str | None, trust: bool, force: bool, as_json: bool) -> None:
    """Read a flowchart (Mermaid, DOT, draw.io, BPMN, LangGraph) and write it as a workflow.

    Tells what a person must still fill in and what was lost.
    """
    from workbench.workflow.exchange import read_file
    from workbench.workflow.exchange.yaml_format import to_yaml
    from workbench.workflow.scaffold import write_new

    imported = read_file(file, format_, trust=trust, name=out.stem)
    write_new(out, to_yaml(imported), replace=force)
    data = {"out": str(out), "format": imported.format, "nodes": len(imported.workflow.nodes),
            "edges": len(imported.workflow.edges), "to_fill_in": imported.to_fill_in, "lost": imported.lost}  # fmt: skip
    emit(data, as_json, _render_import)


def _render_import(data: dict[str, Any]) -> str:
    lines = [f"wrote {data['out']}: {data['nodes']} nodes, {data['edges']} edges from {data['format']}"]
    for key, heading in (("to_fill_in", "Still to be filled in (marked TODO):"), ("lost", "Lost on the way:")):
        lines += [heading, *(f"  {clean_line(item)}" for item in data[key])] if data[key] else []
    return "\n".join([*lines, f"Next: workbench workflow check {data['out']}"])


@group.command(epilog=example("workbench workflow export travel_booking --to mermaid",
                              "workbench workflow export travel_booking --to langgraph -o agent.py"))  # fmt: skip
@click.argument("workflow")
@click.option("--to", "format_", required=True, help="mermaid, dot, drawio, bpmn, json, langgraph or yaml.")
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file (else print it).")
@click.option("--force", is_flag=True, help="Replace the file.")
def export(workflow: str, format_: str, out: Path | None, force: bool) -> None:
    """Write a workflow in another format."""
    from workbench.workflow.exchange import write
    from workbench.workflow.load import load_workflow
    from workbench.workflow.scaffold import write_new

    text = write(load_workflow(workflow), format_)
    if out is None:
        click.echo(clean(text), nl=False)
    else:
        click.echo(f"wrote {write_new(out, text, replace=force)}")


@group.command(epilog=example("workbench workflow diff old.yaml new.yaml --json",
                              "workbench workflow diff old.yaml new.yaml --dataset first"))  # fmt: skip
@click.argument("old")
@click.argument("new")
@click.option("--dataset", help="Also tell which dialogues of this data set are stale.")
@json_option
@pass_home
def diff(home: Home, old: str, new: str, dataset: str | None, as_json: bool) -> None:
    """Compare two workflows: nodes, edges, prompts and wordings changed; paths new, gone and touched."""
    from workbench.workflow.diff import compare
    from workbench.workflow.load import load_workflow

    before, after = load_workflow(old), load_workflow(new)
    stale = _stale_dialogues(home, dataset, before, after) if dataset else None
    data = {"difference": compare(before, after), "stale_dialogues": stale}
    emit({**plain(data["difference"]), "stale_dialogues": stale} if as_json else data, as_json, _render_diff)


def _stale_dialogues(home: Home, dataset: str, before: Workflow, after: Workflow) -> dict[str, tuple[str, ...]]:
    """Ids of the data set's dialogues that used a part which has changed, each with these parts."""
    from workbench.store import connect
    from workbench.store.datasets import dataset_dialogues
    from workbench.store.find import find
    from workbench.workflow.diff import stale_parts

    found = {}
    record = connect(home, readonly=True)
    for dialogue, _ in dataset_dialogues(record, find(record, "dataset", dataset)):
        plan = dialogue.scenario.plan
        parts = stale_parts(
            before,
            after,
            dialogue.path,
            [(step.node, step.move) for step in plan],
            dialogue.scenario.persona,
            [step.deviation for step in plan if step.deviation],
        )
        if parts:
            found[dialogue.id] = parts
    return found


def _render_diff(data: dict[str, Any]) -> str:
    difference: Difference = data["difference"]
    lines = ["The two say the same."] if difference.same else []
    for kind in ("nodes", "edges", "variables", "personas", "deviations"):
        changes = getattr(difference, kind)
        for sign, ids in (("+", changes.added), ("-", changes.removed)):
            lines += [f"{sign} {kind[:-1]} {clean_line(name)}" for name in ids]
        lines += [f"~ {kind[:-1]} {clean_line(name)}: {', '.join(parts)}" for name, parts in changes.changed.items()]
    lines += [f"~ {name}" for name in difference.settings]
    paths = difference.paths
    counts = (
        f"{paths.new:,} new, {paths.gone:,} gone, {paths.touched:,} touched, {paths.same:,} unchanged" if paths else ""
    )
    lines.append(f"paths: {counts or 'too many to count'}")
    if data["stale_dialogues"] is not None:
        lines.append(f"stale dialogues: {len(data['stale_dialogues']):,}")
        lines += [f"  {name}: {', '.join(parts)}" for name, parts in list(data["stale_dialogues"].items())[:20]]
    return "\n".join(lines)
