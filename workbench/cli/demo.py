"""`workbench demo`: the whole way, offline, on travel booking."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import click

from workbench.cli.follow import follow
from workbench.cli.output import emit, example
from workbench.cli.screen import open_app, why_not
from workbench.demo.plan import Preset
from workbench.home import Home


@click.command(
    epilog=example(
        "workbench demo",
        "workbench demo --no-tui --json",
        "workbench demo --quick",
        "workbench demo --replay             a recorded run in three minutes, without any model",
        "workbench demo --replay --speed 2   in half of that",
    )
)
@click.option("--quick", is_flag=True, help="About five minutes; the figures are partial and say so.")
@click.option("--full", is_flag=True, help="Baselines on all 40 scenarios, not on 12.")
@click.option("--smoke", is_flag=True, help="A minute or two: only shows that all parts work together.")
@click.option("--workflow", default="travel_booking", show_default=True, help="Another workflow file or name.")
@click.option("--seed", default=42, show_default=True, help="Seed of dialogues and training.")
@click.option("--base", metavar="FOLDER", help="Another base model in Hugging Face format.")
@click.option("--replay", is_flag=True, help="Play the shipped recording of a real run: nothing is computed.")
@click.option("--speed", type=click.FloatRange(0.05, 100), default=1.0, show_default=True, help="Of --replay.")
@click.option("--no-tui", is_flag=True, help="Plain progress lines, even on a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON at the end (implies --no-tui).")
@click.pass_context
def command(
    ctx: click.Context,
    quick: bool,
    full: bool,
    smoke: bool,
    workflow: str,
    seed: int,
    base: str | None,
    replay: bool,
    speed: float,
    no_tui: bool,
    as_json: bool,
) -> None:
    """Compile a workflow into a small model's weights and see whether it worked: no key, no GPU, no network.

    Every stage is a background job: interrupt and run the same command again, and it goes on where it was.
    """
    from workbench.demo.launch import launch_demo

    home: Home = ctx.obj
    if replay:
        ctx.exit(_replay(speed, plain=no_tui or as_json or bool(why_not()), as_json=as_json))
    chosen = [name for name, wanted in (("quick", quick), ("full", full), ("smoke", smoke)) if wanted]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} exclude each other")
    preset = cast(Preset, chosen[0] if chosen else "default")
    job = launch_demo(home, workflow, preset, seed, base)
    if not (no_tui or as_json or why_not()):
        ctx.exit(open_app(home, follow=job.id))
    result = follow(home, job.id, quiet=False)
    emit(
        result["summary"] | ({"partial": result["partial"]} if result["partial"] else {}),
        as_json,
        lambda _: render(result),
    )


def _replay(speed: float, *, plain: bool, as_json: bool) -> int:
    """Play the shipped recording in a home of its own, which is gone afterwards; the exit code."""
    from workbench.demo.recording import read_recording
    from workbench.demo.replay import Player

    recording = read_recording()
    when = datetime.fromtimestamp(recording.recorded, UTC).strftime("%d %b %Y")
    banner = f"REPLAY of a run of {when}"
    stop = threading.Event()
    with tempfile.TemporaryDirectory(prefix="workbench-replay-") as folder:
        home = Home(Path(folder) / "runs")
        player = Player(recording, home, speed)
        player.begin()
        thread = threading.Thread(target=player.run, args=(stop.is_set,), daemon=True)
        thread.start()
        try:
            if not plain:
                chat = recording.chats[0].id if recording.chats else None
                with _stated_price() as price:
                    return open_app(home, follow=recording.demo.id, banner=f"{banner}, $: {price}", chat=chat)
            click.echo(banner, err=True)
            result = follow(home, recording.demo.id, quiet=False)
            emit({**result["summary"], "replay": banner}, as_json, lambda _: f"{banner}\n{render(result)}")
            return 0
        finally:
            stop.set()
            thread.join()


@contextmanager
def _stated_price() -> Iterator[str]:
    """Local models cost what the user has said, else what the paper's price model says; in words. The recording, which
    was made without a price, stays as it is."""
    from workbench.models.prices import LOCAL_PRICE, PAPER_PRICE

    if given := os.environ.get(LOCAL_PRICE):
        yield "paper's price model" if given == PAPER_PRICE else given
        return
    os.environ[LOCAL_PRICE] = PAPER_PRICE
    try:
        yield "paper's price model"
    finally:
        del os.environ[LOCAL_PRICE]


def render(result: Mapping[str, Any]) -> str:
    """The summary for people: what was made, the table of agents, and what it does and does not show."""
    from workbench.demo.summary import lines

    return "\n".join(
        [*lines(result["summary"]), "", result["summary"]["statement"], *filter(None, [result["partial"]])]
    )
