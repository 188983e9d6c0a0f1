"""`workbench dialogues`: generate, read, check and export training dialogues."""

from __future__ import annotations

from typing import Any

import click

from workbench.cli.generate import command as generate
from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.cli.review import review_command
from workbench.home import Home


@click.group(epilog=example("workbench dialogues generate travel_booking --train 800"))
def group() -> None:
    """Generate, read, check, review and export training dialogues."""


group.add_command(generate)


@group.command(
    "list",
    epilog=example(
        "workbench dialogues list --terminal escalated --text refund --json",
        "workbench dialogues list --workflow travel_booking --path 17 --review none",
        "workbench dialogues list --check any",
    ),
)
@click.option("--workflow", help="Only of this workflow, as it is now.")
@click.option("--path", "path_rank", type=click.IntRange(0), help="Only of the path with this number.")
@click.option("--node", "nodes", multiple=True, help="Only through this node.")
@click.option("--split", type=click.Choice(["train", "dev", "test"]))
@click.option("--terminal", help="Only with this end.")
@click.option("--persona", help="Only of users of this persona.")
@click.option("--writer", help="Only by this writer.")
@click.option("--status", type=click.Choice(["ok", "quarantined"]))
@click.option("--check", help="Only with this fault (leak, wrong-fact, …), or 'any'.")
@click.option("--review", help="What reviewers decided: pass, flag, fix, split, 'none' or 'any'.")
@click.option("--reviewer", help="Only those this reviewer has a decision on.")
@click.option("--tag", "tags", multiple=True, help="Only with this tag.")
@click.option("--text", default="", help="Words that occur in a message.")
@click.option("--sort", default="-made", show_default=True, help="made, path, steps, terminal, …; '-' turns it round.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--as", "viewer", metavar="NAME", help="The reviewer who looks (else WORKBENCH_REVIEWER, else the login)."
)
@click.option("--open", "opened", is_flag=True, help="Also what others decided on dialogues you have not decided on.")
@json_option
@pass_home
def list_(
    home: Home,
    /,
    workflow: str | None,
    sort: str,
    limit: int,
    viewer: str | None,
    opened: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """List dialogues, the newest first.

    A reviewer sees what others decided, and copies that they mended, only after deciding too: such dialogues pass no
    filter by review. --open shows them and remembers it: what you decide on them afterwards does not count as independent.
    """
    from dataclasses import replace

    from workbench.dialogue.reviewing import open_decisions, reviewer_name
    from workbench.store.dialogues import DialogueFilter, count_dialogues, dialogue_rowids, dialogue_rows
    from workbench.store.record import connect
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow

    rec = connect(home)
    who = reviewer_name(viewer)
    everything = DialogueFilter(workflow_id=workflow_hash(load_workflow(workflow)) if workflow else None, **given)
    wanted = everything if opened else replace(everything, viewer=who)
    rowids = dialogue_rowids(rec, wanted, sort)
    rows = dialogue_rows(rec, rowids[:limit], wanted.viewer)
    if opened:
        open_decisions(rec, "dialogue", [row.id for row in rows], who)
    of_reviews = given["review"] or given["reviewer"] or given["tags"]
    hidden = count_dialogues(rec, everything) - len(rowids) if of_reviews and not opened else 0
    more = f"\n{hidden:,} more that {who} has not decided on: --open shows what others decided" if hidden else ""
    emit(
        {"total": len(rowids), "hidden": hidden, "dialogues": rows},
        as_json,
        lambda d: (
            table(
                ("id", "split", "path", "terminal", "steps", "deviations", "writer", "faults", "review"),
                [
                    (
                        r.id, r.split, r.path_rank, r.terminal, r.steps, " ".join(r.deviations), r.writer,
                        " ".join(dict.fromkeys(str(c.get("code")) for c in r.checks)), r.decision,
                    )
                    for r in d["dialogues"]
                ],
                right=[2, 4],
            )
            + f"\n{len(rows)} of {len(rowids):,}{more}"
        ),
    )  # fmt: skip


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


@group.command(
    epilog=example("workbench dialogues check travel_booking", "workbench dialogues check travel_booking --keep --json")
)
@click.argument("workflow")
@click.option("--near", type=click.FloatRange(0, 1), default=0.9, show_default=True,
              help="Report dialogues that share this part of their word triples or more; 0: do not look.")  # fmt: skip
@click.option("--keep", is_flag=True, help="Put the findings on record: faulty ones are quarantined, sound ones freed.")
@json_option
@click.pass_context
def check(ctx: click.Context, workflow: str, near: float, keep: bool, as_json: bool) -> None:
    """Check every dialogue of a workflow, alone and as a set; exit code 1 if something is wrong."""
    from workbench.dialogue.checking import check_all
    from workbench.store.record import connect
    from workbench.workflow.load import load_workflow

    found = check_all(connect(ctx.obj), load_workflow(workflow), near, keep)
    emit(found, as_json, _render_check)
    ctx.exit(1 if found.faulty or found.set.contradictions else 0)


def _render_check(found: Any) -> str:
    whole = found.set
    of = f" of {found.paths_total:,}" if found.paths_total is not None else ""
    lines = [
        f"{whole.dialogues:,} dialogues on {whole.paths:,}{of} paths, {len(found.faulty):,} faulty, "
        f"{len(whole.contradictions):,} contradictions, best reachable hub accuracy {whole.ceiling:.1%}, "
        f"{len(found.near):,} near-duplicates",
        *(f"{name}: {fault.code}: {fault.what}" for name, faults in found.faulty.items() for fault in faults),
        *whole.contradictions,
        *(f"{n.second}: near-duplicate of {n.first} ({n.overlap:.0%} of word triples)" for n in found.near[:20]),
    ]
    if len(found.near) > 20:
        lines.append(f"… {len(found.near) - 20:,} more near-duplicates (--json)")
    lines.append("never visited: " + (", ".join(whole.uncovered) or "nothing"))
    for role, by_n in whole.distinct.items():
        lines.append(f"distinct-n of the {role}: " + ", ".join(f"{n}: {value:.3f}" for n, value in by_n.items()))
    lines.append(table(("hub choice", "visits"), whole.choices.items(), right=[1]))
    return "\n".join(lines)


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
