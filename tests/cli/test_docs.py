"""What the documents tell people to type exists: every command in their code blocks, with its options; every link leads somewhere."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from workbench.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PAGES.remove(ROOT / "docs" / "commands.md")  # made from the commands themselves


def typed(text: str) -> Iterator[str]:
    """The lines of code blocks that call workbench, continued ones joined, comments taken off."""
    fences = "\n".join(re.findall(r"^```[a-z]*\n(.*?)^```", text, re.S | re.M))
    indented = "\n".join(re.findall(r"^ {4}(workbench .*)$", text, re.M))
    for line in re.sub(r"\\\n\s*", " ", f"{fences}\n{indented}").splitlines():
        for part in line.split("  #")[0].split("&&"):
            if part.strip().startswith("workbench "):
                yield part.strip()


def problem(line: str) -> str:
    """Why a line cannot be typed, "" if it can."""
    words = shlex.split(line)[1:]
    command: click.Command = cli
    while words and isinstance(command, click.Group):
        ctx = click.Context(command)
        options = {name: p for p in command.params for name in (*p.opts, *p.secondary_opts)}
        if words[0] in options:
            nargs = 0 if getattr(options[words[0]], "is_flag", False) else options[words[0]].nargs
            words = words[1 + nargs :]
            continue
        if words[0].startswith("-"):
            return "" if words[0] in ("-h", "--help", "--version") else f"no option {words[0]}"
        try:
            _, found, words = command.resolve_command(ctx, words)
        except click.UsageError:
            return f"no command {words[0]}"
        assert found is not None
        command = found
    known = {"-h", "--help", *(name for p in command.params for name in (*p.opts, *p.secondary_opts))}
    unknown = [word for word in words if re.match(r"--?[a-z]", word) and word.split("=")[0] not in known]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_command_and_link_of_a_page_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    assert [(line, why) for line in typed(text) if (why := problem(line))] == []
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_a_wrong_command_is_found() -> None:
    assert problem("workbench dialogues generat x") == "no command generat"
    assert problem("workbench --home X train start y --nope") == "no option --nope"
    assert not problem("workbench --home X train start y --dry-run")


def test_every_code_of_the_doctor_is_explained() -> None:
    codes = set(re.findall(r'"(WD\d{3})"', (ROOT / "workbench" / "cli" / "doctor.py").read_text("utf-8")))
    explained = set(re.findall(r"WD\d{3}", (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")))
    assert len(codes) > 15
    assert codes == explained


def test_every_place_on_the_map_of_the_house_exists() -> None:
    named = re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)[`:]", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert len(named) > 25
    assert [place for place in named if not any((base / place).exists() for base in (ROOT, ROOT / "workbench"))] == []
