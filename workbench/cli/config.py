"""`workbench config show`: the settings in force and where each comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.home import Home
from workbench.secrets import SERVICE_KEYS
from workbench.settings import SETTINGS, Config, Setting, as_text, json_schema, read_config

OTHERS = {
    "NO_COLOR": "no colours",
    "TEXTUAL_FPS": "most frames a second in the app (a slow link: 10)",
}
"""Variables of other programs that matter here."""


@dataclass(frozen=True, slots=True)
class InForce:
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
    """Show folders, settings and keymap in force. Keys for services are named, never shown."""
    emit({"settings": in_force(home, read_config(), ctx.find_root().params.get("home"))}, as_json, _render)


@group.command(epilog=example("workbench config schema > config.schema.json"))
def schema() -> None:
    """Print a JSON Schema of config.toml, for editors that complete it."""
    emit(json_schema(), True, str)


def in_force(home: Home, config: Config, option: str | None = None) -> list[InForce]:
    """Every setting; `option` is what `--home` said. The config file's values have been put into the environment."""
    from workbench.workflow.load import workflow_folders

    def source(setting: Setting) -> str:
        value = os.environ.get(setting.variable)
        if setting.name in config.values and value == as_text(config.values[setting.name]):
            return "config file"
        return setting.variable if value else "default"

    place, *others = SETTINGS
    found = [
        InForce("config file", str(config.file), "found" if config.file.exists() else "not there", "these settings"),
        InForce("home", str(home.root), "--home" if option else source(place), "everything made at run time"),
        InForce("record", str(home.database), "home", "the SQLite record"),
        *(InForce("workflows", str(f), "looked up in this order", "workflow files") for f in workflow_folders()),
        *(InForce(s.name, os.environ.get(s.variable), source(s), s.meaning) for s in others),
    ]
    found += [
        InForce(f"keys: {action}", keys, "config file", "keys of an action") for action, keys in config.keymap.items()
    ]
    for name, meaning in OTHERS.items():
        value = os.environ.get(name)
        found.append(InForce(name, value, "environment" if value is not None else "not set", meaning))
    for key in SERVICE_KEYS:
        there = bool(os.environ.get(key))
        found.append(InForce(key, "(hidden)" if there else None, "environment" if there else "not set", "a key"))
    return found


def _render(data: dict[str, Any]) -> str:
    return table(
        ["setting", "value", "from", "what it is"], [[s.name, s.value, s.source, s.meaning] for s in data["settings"]]
    )
