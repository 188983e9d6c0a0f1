"""Rubrics: what a language model judges by, as a file that anyone can read, replace and tell by its hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.text import clean_line
from workbench.workflow.hashing import digest

PAPER = "paper"
"""The rubric that ships with the package, and the default."""
_LARGEST_FILE = 200_000
LEVELS = (5, 4, 3, 2, 1)


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion: a question, and in words what each anchored score (1–5) means.

    `unchallenged_at_most` caps the score of a conversation in which the customer posed no challenge.
    """

    id: str
    title: str
    question: str
    anchors: tuple[tuple[int, str], ...]
    unchallenged_at_most: int | None = None


@dataclass(frozen=True, slots=True)
class Rubric:
    """A named list of criteria and the instruction to the judge."""

    name: str
    instruction: str
    criteria: tuple[Criterion, ...]

    @property
    def text(self) -> dict[str, str]:
        """A line a criterion, for reports."""
        return {c.id: f"{c.question} " + "; ".join(f"{n} {words}" for n, words in c.anchors) for c in self.criteria}

    @property
    def titles(self) -> list[list[str]]:
        """Id and title of every criterion, in the order of the file."""
        return [[c.id, c.title] for c in self.criteria]


def rubric_path(name: str | None) -> str | None:
    """A rubric's file by its whole path, since a job may run in another folder; a packaged one by its name."""
    return str(Path(name).expanduser().resolve()) if name and Path(name).expanduser().is_file() else name


def load_rubric(name: str | None = None) -> Rubric:
    """The packaged rubric (`paper`, also for None), or the YAML file at this path. Raises UserError: what is wrong."""
    packaged = files("workbench.evaluation") / "rubrics" / f"{name or PAPER}.yaml"
    if "/" not in (name or PAPER) and packaged.is_file():
        return parse_rubric(packaged.read_text("utf-8"), name or PAPER)
    path = Path(name or PAPER).expanduser()
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise UserError(f"{path}: a rubric of more than {_LARGEST_FILE:,} bytes is none")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        known = ", ".join(sorted(f.name.removesuffix(".yaml") for f in packaged.parent.iterdir()))  # type: ignore[attr-defined]
        raise UserError(f'no rubric "{clean_line(str(name), 80)}": give a YAML file, or one of {known}') from error
    return parse_rubric(text, str(path))


def parse_rubric(text: str, where: str) -> Rubric:
    """Read a rubric's YAML; `where` names it in errors. Raises UserError."""
    import yaml

    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{where}: not YAML ({clean_line(str(error), 120)})") from None
    if not isinstance(data, dict) or not isinstance(data.get("criteria"), dict) or not data["criteria"]:
        raise UserError(
            f"{where}: a rubric has `name`, `instruction` and `criteria`; rubrics/paper.yaml shows the form"
        )
    criteria = tuple(_criterion(str(key), found, where) for key, found in data["criteria"].items())
    instruction = str(data.get("instruction") or "").strip()
    if not instruction:
        raise UserError(f"{where}: `instruction` is missing: say in a sentence or two what the judge is to do")
    return Rubric(str(data.get("name") or Path(where).stem), instruction, criteria)


def rubric_hash(rubric: Rubric, prompt_version: int) -> str:
    """The hash that goes into a verdict's id: the words of the rubric and the version of the prompt around them."""
    return digest([asdict(rubric), prompt_version])


def _criterion(key: str, data: Any, where: str) -> Criterion:
    anchors = data.get("anchors") if isinstance(data, Mapping) else None
    if not key.isidentifier() or not isinstance(anchors, Mapping):
        raise UserError(f"{where}: criterion `{clean_line(key, 40)}` needs an id like `tone` and `anchors` by score")
    if not {5, 1} <= set(anchors) <= set(LEVELS):
        raise UserError(f"{where}: criterion `{key}`: anchors are whole scores from 1 to 5, and 1 and 5 must be there")
    cap = data.get("unchallenged_at_most")
    if cap is not None and cap not in LEVELS:
        raise UserError(f"{where}: criterion `{key}`: `unchallenged_at_most` is a score from 1 to 5")
    question = str(data.get("question") or "").strip()
    if not question:
        raise UserError(f"{where}: criterion `{key}` has no `question`")
    return Criterion(
        id=key,
        title=str(data.get("title") or key.replace("_", " ")),
        question=" ".join(question.split()),
        anchors=tuple((level, str(anchors[level])) for level in LEVELS if level in anchors),
        unchallenged_at_most=cap,
    )
