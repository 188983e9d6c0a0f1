"""Every command on one page: `python -m workbench.cli.reference > docs/commands.md`; a test keeps the page true."""

from __future__ import annotations

from collections.abc import Iterator

import click

from workbench.cli.main import cli

_HEAD = """# Every command

Made from the command line's own help by `python -m workbench.cli.reference > docs/commands.md`; `-h` after any of them
explains its options with an example. Every read takes `--json`. `--home DIR`, before the command, chooses where `runs/` lies.

```
workbench                                    open the terminal app
"""


def commands(
    command: click.Command = cli, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """All commands below `command` in the order of their help, each with the words that call it; groups left out."""
    if not isinstance(command, click.Group):
        yield words, command
        return
    ctx = click.Context(command)
    for name in command.list_commands(ctx):
        child = command.get_command(ctx, name)
        assert child is not None, name
        yield from commands(child, (*words, name))


def usage(words: tuple[str, ...], command: click.Command) -> str:
    """The words and arguments of a command: `workbench workflow diff BEFORE AFTER`."""
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    return " ".join(("workbench", *words, *arguments))


def page() -> str:
    """The whole page in Markdown."""
    lines = (f"{usage(words, command):<44} {command.get_short_help_str(240)}" for words, command in commands())
    return _HEAD + "\n".join(lines) + "\n```"


if __name__ == "__main__":
    click.echo(page())
