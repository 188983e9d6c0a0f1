"""`workbench dialogues`: generate, read, check and export training dialogues."""

from __future__ import annotations

import click

from workbench.cli.generate import command as generate
from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.cli.review import review_command
from workbench.home import Home


@click.group(epilog=example("workbench dialogues generate travel_booking --train 800"))
def group() -> None:
    """Generate, read, check, review and export training dialogues."""


group.add_command(generate)


@group.command("list", epilog=example("workbench dialogues list --terminal escalated --text refund --json"))
@click.option("--workflow", help="Only of this workflow.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]))
@click.option("--terminal")
@click.option("--status", type=click.Choice(["ok", "quarantined"]))
@click.option("--review", help="A decision (pass, flag, …), 'none' or 'any'.")
@click.option("--text", default="", help="Words that occur in a message.")
@click.option("--limit", default=50, show_default=True)
@json_option
@pass_home
def list_(
    home: Home,
    workflow: str | None,
    split: str | None,
    terminal: str | None,
    status: str | None,
    review: str | None,
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    """List dialogues, the newest first."""
    from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows
    from workbench.store.record import connect
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow

    rec = connect(home)
    wanted = DialogueFilter(
        workflow_id=workflow_hash(load_workflow(workflow)) if workflow else None,
        split=split,  # type: ignore[arg-type]  # click has checked it
        terminal=terminal,
        status=status,
        review=review,
        text=text,
    )
    rowids = dialogue_rowids(rec, wanted)
    rows = dialogue_rows(rec, rowids[:limit])
    emit(
        {"total": len(rowids), "dialogues": rows},
        as_json,
        lambda d: (
            table(
                ("id", "split", "terminal", "steps", "deviations", "writer", "review"),
                [
                    (r.id, r.split, r.terminal, r.steps, " ".join(r.deviations), r.writer, r.decision)
                    for r in d["dialogues"]
                ],
                right=[3],
            )
            + f"\n{len(rows)} of {len(rowids):,}"
        ),
    )


@group.command(epilog=example("workbench dialogues show 3f2a91"))
@click.argument("dialogue")
@json_option
@pass_home
def show(home: Home, dialogue: str, as_json: bool) -> None:
    """Print one dialogue, the nodes of every message beside it."""
    from workbench.store.dialogues import get_dialogue
    from workbench.store.find import find
    from workbench.store.record import connect

    rec = connect(home)
    found = get_dialogue(rec, find(rec, "dialogue", dialogue))
    assert found is not None, "find gives ids that exist"
    emit(
        found,
        as_json,
        lambda d: (
            f"{d.id} · {d.terminal} · writer {d.writer} · scenario {d.scenario.id} ({d.scenario.split})\n\n"
            + "\n".join(f"{m.role:5}  {m.text}\n       [{' > '.join(m.nodes)}]" for m in d.messages)
        ),
    )


@group.command(epilog=example("workbench dialogues check travel_booking"))
@click.argument("workflow")
@json_option
@click.pass_context
def check(ctx: click.Context, workflow: str, as_json: bool) -> None:
    """Check every dialogue of a workflow, alone and as a set; exit code 1 if something is wrong."""
    from workbench.dialogue.checks import check_dialogue, check_set
    from workbench.store.dialogues import DialogueFilter, iterate_dialogues
    from workbench.store.record import connect
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow

    loaded = load_workflow(workflow)
    rec = connect(ctx.obj)
    dialogues = list(iterate_dialogues(rec, DialogueFilter(workflow_id=workflow_hash(loaded))))
    faulty = {d.id: faults for d in dialogues if (faults := check_dialogue(loaded, d))}
    findings = check_set(loaded, dialogues)
    emit(
        {"faulty": faulty, "set": findings},
        as_json,
        lambda _: "\n".join(
            [
                f"{len(dialogues):,} dialogues on {findings.paths:,} paths, {len(faulty)} faulty, "
                f"{len(findings.contradictions)} contradictions, best reachable hub accuracy {findings.ceiling:.1%}",
                *(f"{name}: {fault.code}: {fault.what}" for name, faults in faulty.items() for fault in faults),
                *findings.contradictions,
            ]
        ),
    )
    ctx.exit(1 if faulty or findings.contradictions else 0)


group.add_command(review_command("dialogue"))


@group.command(epilog=example("workbench dialogues export travel_booking out/"))
@click.argument("workflow")
@click.argument("folder", type=click.Path(file_okay=False))
@pass_home
def export(home: Home, workflow: str, folder: str) -> None:
    """Freeze the sound dialogues into a data set and write it as chat JSONL, one file a split."""
    from pathlib import Path

    from workbench.dialogue.datasets import build_dataset, export_jsonl
    from workbench.store.record import connect
    from workbench.workflow.load import load_workflow

    rec, loaded = connect(home), load_workflow(workflow)
    row = build_dataset(rec, loaded, loaded.name)
    for path in export_jsonl(rec, loaded, row.id, Path(folder)):
        click.echo(str(path))
