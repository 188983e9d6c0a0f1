"""`workbench share`: one command that opens a home to a group of reviewers, or closes it again."""

from __future__ import annotations

import click

from workbench.cli.output import emit, example, json_option, pass_home
from workbench.errors import UserError
from workbench.home import Home
from workbench.sharing import Changed, set_access


@click.command(
    "share",
    epilog=example(
        "workbench share --group reviewers     everybody in the group may read, review and run",
        "workbench share --private             its owner alone again",
    ),
)
@click.option("--group", metavar="NAME", help="The group (else the one that the home belongs to).")
@click.option("--private", is_flag=True, help="Take it back: 0600 and 0700.")
@json_option
@pass_home
def command(home: Home, group: str | None, private: bool, as_json: bool) -> None:
    """Let a group of people work in this home: files 0660, folders 2770, what is made later included.

    They name it with --home or WORKBENCH_HOME and must be able to reach it: the folders above it are left as they are. Keys
    are never in a home. `workbench doctor` checks how it stands.
    """
    if private and group:
        raise UserError("--private takes no group")
    made = set_access(home, group, private=private)
    emit(made, as_json, lambda done: _render(home, done))


def _render(home: Home, made: Changed) -> str:
    who = f"shared with the group {made.group}" if made.group else "for its owner alone"
    lines = [f"{home.root} is {who}; {made.changed} files and folders changed"]
    if made.refused:
        lines.append(f"{len(made.refused)} belong to somebody else, who has to run the same command: {made.refused[0]}")
    return "\n".join(lines)
