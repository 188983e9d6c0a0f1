"""`workbench config show`: the settings in force and where each comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import click

from workbench.cli.doctor import KEYS
from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.home import Home

VARIABLES = {
    "WORKBENCH_HOME": "where runs/ lies, unless --home says so",
    "WORKBENCH_LAUNCHER": "the command that starts jobs elsewhere (srun, sbatch)",
    "WORKBENCH_THREADS": "processor threads of the local server",
    "WORKBENCH_LOCAL_PRICE": "dollars an hour that a local model costs",
    "NO_COLOR": "no colours",
    "TEXTUAL_FPS": "most frames a second in the app (--slow-link: 10)",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting, its value in force, where that comes from, and what it does."""

    name: str
    value: str | None
    source: str
    meaning: str


@click.group(epilog=example("workbench config show --json"))
def group() -> None:
    """Show the settings in force and where they come from."""


@group.command(epilog=example("workbench config show", "workbench --home /data/me config show --json"))
@json_option
@pass_home
@click.pass_context
def show(ctx: click.Context, home: Home, as_json: bool) -> None:
    """Show folders and environment variables. Keys are named, never shown."""
    emit({"settings": settings(home, ctx.find_root().params.get("home"))}, as_json, _render)


def settings(home: Home, option: str | None = None) -> list[Setting]:
    """Every setting in force; `option` is what `--home` said."""
    from workbench.workflow.load import workflow_folders

    source = "--home" if option else "WORKBENCH_HOME" if os.environ.get("WORKBENCH_HOME") else "default"
    found = [
        Setting("home", str(home.root), source, "everything made at run time"),
        Setting("record", str(home.database), "home", "the SQLite record"),
        *(Setting("workflows", str(f), "looked up in this order", "workflow files") for f in workflow_folders()),
    ]
    for name, meaning in VARIABLES.items():
        value = os.environ.get(name)
        found.append(Setting(name, value, "environment" if value is not None else "not set", meaning))
    for key in KEYS:
        there = bool(os.environ.get(key))
        found.append(Setting(key, "(hidden)" if there else None, "environment" if there else "not set", "a key"))
    return found


def _render(data: dict[str, Any]) -> str:
    return table(
        ["setting", "value", "from", "what it is"], [[s.name, s.value, s.source, s.meaning] for s in data["settings"]]
    )
