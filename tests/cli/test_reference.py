"""The design's command list, the command line's own help and docs/commands.md say the same."""

from __future__ import annotations

from pathlib import Path

from workbench.cli import main as root
from workbench.cli.reference import commands, page

PLANNED = """
demo
doctor
workflow new list show check draw import export diff
paths
dialogues generate list show check review export
dataset build list show diff
train start list show logs stop resume compare
serve
export
chat
conversations list show export replay review
evaluate
results list show rejudge check report
jobs list show stop resume tail
config show schema
record tables query
pack
unpack
prune
"""
"""Nouns and verbs that people were promised; more may come, none may go."""


def test_every_promised_command_is_there() -> None:
    there = {" ".join(words) for words, _ in commands()}
    for line in PLANNED.strip().splitlines():
        noun, *verbs = line.split()
        for command in [f"{noun} {verb}" for verb in verbs] or [noun]:
            assert command in there or any(name.startswith(f"{command} ") for name in there), command


def test_every_noun_of_the_help_leads_to_a_command() -> None:
    assert {words[0] for words, _ in commands()} == set(root.NOUNS)


def test_the_page_of_commands_is_up_to_date() -> None:
    kept = (Path(__file__).parents[2] / "docs" / "commands.md").read_text("utf-8")
    assert kept == page() + "\n", "make it anew: python -m workbench.cli.reference > docs/commands.md"
