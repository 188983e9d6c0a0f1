"""`workbench`: the command line's root. Each noun is a module of this package, imported only when it is called.

A module exposes a click group named `group` or a single command named `command`; anything else is named in the table
as `module:attribute`. Every command carries `epilog=example("workbench …")`, and its errors are `UserError`s.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from workbench import __version__
from workbench.cli.output import example
from workbench.cli.screen import open_app, open_web, picture
from workbench.home import Home, find_home

NOUNS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "Walk the whole way offline on travel booking, then look at the result."),
    "doctor": ("doctor", "Tell what is installed: packages, GPU, disk, keys, terminal."),
    "workflow": ("workflow", "Make, check, draw, convert and compare workflow files."),
    "paths": ("paths", "Count, list and sample the paths of a workflow."),
    "dialogues": ("dialogues", "Generate, read, check, review and export training dialogues."),
    "dataset": ("dataset", "Build and compare data sets of dialogues."),
    "train": ("train", "Fine-tune a small model on a data set: start, watch, stop, resume, compare."),
    "serve": ("serve", "Serve a compiled model behind an OpenAI-compatible endpoint."),
    "export": ("export", "Write a compiled model as GGUF or as a Hugging Face folder."),
    "chat": ("chat", "Talk to one or more agents side by side in plain text."),
    "conversations": ("conversations", "List, read, export and replay recorded conversations."),
    "evaluate": ("evaluate", "Let agents converse with simulated users and score them."),
    "results": ("results", "Read, judge again, check and report comparisons."),
    "jobs": ("jobs", "List, follow, stop and resume everything that runs in the background."),
    "record": ("record", "Look into the SQLite record with SQL that only reads."),
    "config": ("config", "Show the settings in force and where they come from."),
    "pack": ("pack:pack", "Carry runs, data sets and comparisons to another machine in one file."),
    "unpack": ("pack:unpack", "Take in a file made by `pack`."),
    "share": ("share", "Open this home to a group of reviewers, or close it again."),
    "prune": ("pack:prune", "Delete checkpoints and folders that nothing refers to."),
}
"""Noun → (module or module:attribute, one-line help). `workbench -h` reads this table and imports none of them."""


class LazyGroup(click.Group):
    """A group whose commands stand in `NOUNS`, and whose `main` ends every error in one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The nouns, in the order of the table."""
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the noun's module and return its group or command; None for an unknown noun."""
        if cmd_name not in NOUNS:
            return None
        name, _, attribute = NOUNS[cmd_name][0].partition(":")
        module = importlib.import_module(f"workbench.cli.{name}")
        found = getattr(module, attribute) if attribute else getattr(module, "group", None) or module.command
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of nouns without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in NOUNS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a noun without importing any."""
        nouns = [CompletionItem(name, help=text) for name, (_, text) in NOUNS.items() if name.startswith(incomplete)]
        return nouns + [item for item in click.Command.shell_complete(self, ctx, incomplete) if item.value[:1] == "-"]

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run the command line and leave with an exit code: 0, 1 (problems found), 2, 3 or 130. No traceback, ever."""
        from workbench.cli.failure import exit_code_of

        arguments = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, *rest, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except BaseException as error:
            code = exit_code_of(error, arguments)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=example(
        "workbench                                       open the terminal app",
        "workbench demo                                  see the whole way, offline",
        "workbench workflow show travel_booking --json   one read of many",
        "workbench --screenshot results out.svg          a pane as a picture",
        'eval "$(_WORKBENCH_COMPLETE=bash_source workbench)"   completion (or zsh_source, fish_source)',
    ),
)
@click.option("--home", metavar="DIR", help="Keep runs/ in DIR (else WORKBENCH_HOME, else the current folder).")
@click.option("--price", metavar="MACHINE", help="What local models cost: paper-a100, or dollars an hour.")
@click.option("--slow-link", is_flag=True, default=None, help="Draw less in the app (else by the line's round trip).")
@click.option("--web", is_flag=True, help="Open the app in a browser: on loopback, behind a secret address.")
@click.option("--port", default=0, metavar="N", help="Port of --web (0: any free one).")
@click.option(
    "--screenshot",
    nargs=2,
    metavar="PANE FILE",
    help="Write a pane as an SVG picture (needs no terminal).",
    default=None,
)
@click.option("--size", default="120x40", metavar="CxR", help="Columns and rows of --screenshot.", show_default=True)
@click.option(
    "--as", "reviewer", metavar="NAME", help="Review under this name (else WORKBENCH_REVIEWER, else the login)."
)
@click.version_option(__version__, prog_name="workbench")
@click.pass_context
def cli(
    ctx: click.Context,
    home: str | None,
    price: str | None,
    slow_link: bool | None,
    web: bool,
    port: int,
    screenshot: tuple[str, str] | None,
    size: str,
    reviewer: str | None,
) -> None:
    """Compile a conversation workflow into the weights of a small model, and see whether it worked.

    Without a command the terminal app opens. Exit codes: 0 done, 1 what was checked has problems, 2 bad usage or
    input, 3 a service or the budget stopped it, 130 interrupted.
    """
    from workbench.settings import apply, read_config

    apply(read_config())
    ctx.obj = find_home(home)
    if price is not None:
        set_local_price(ctx.obj, price)
    if reviewer is not None:
        from workbench.dialogue.reviewing import REVIEWER_VARIABLE, reviewer_name

        os.environ[REVIEWER_VARIABLE] = reviewer_name(reviewer)
    if ctx.invoked_subcommand is None:
        if screenshot:
            picture(ctx.obj, screenshot[0], Path(screenshot[1]), size)
        else:
            ctx.exit(open_web(ctx.obj, port) if web else open_app(ctx.obj, slow_link=slow_link))


def set_local_price(home: Home, price: str) -> None:
    """Put `--price` into force, for the jobs that this command starts too. Raises UserError if it means nothing."""
    from workbench.models.prices import LOCAL_PRICE, load_prices

    load_prices(home).machine(price)
    os.environ[LOCAL_PRICE] = price


def main() -> NoReturn:
    """Entry point of the `workbench` script."""
    cli.main(prog_name="workbench")
