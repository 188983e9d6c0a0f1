"""Completion in the filter line: the fields, and the values that the record knows for each. The → key takes what is offered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.suggester import Suggester

from workbench.dialogue.reviewing import TAGS
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.dialogues import SORTS, known_writers
from workbench.store.reviews import known_reviewers
from workbench.store.workflows import workflows
from workbench.tui.effects import reader
from workbench.workflow.model import SPLITS
from workbench.workflow.recall import recall_workflow

_CODES = (
    "any", "cut-off", "empty", "invented-fact", "language", "leak", "malformed", "not-alternating", "off-path",
    "placeholder", "refused", "rejected", "too-long", "untold-fact", "wrong-fact", "wrong-terminal",
)  # fmt: skip
_NEWEST = 8
"""Workflows (the newest) whose nodes and personas are offered."""

Words = Mapping[str, Sequence[str]]
"""Field → the values that are offered for it."""

FIXED: Words = {
    "split": SPLITS,
    "status": ("ok", "quarantined"),
    "review": ("any", "fix", "flag", "none", "pass", "split"),
    "check": _CODES,
    "tag": TAGS["dialogue"],
    "sort": tuple(sorted(SORTS)),
    "path": (),
    "reviewer": (),
    "writer": (),
    "workflow": (),
    "terminal": (),
    "node": (),
    "edge": (),
    "persona": (),
    "deviation": (),
}


def vocabulary(home: Home) -> Words:
    """What the record knows, for a worker thread."""
    rec = reader(home)
    rows = workflows(rec)
    found: dict[str, set[str]] = {name: set() for name in ("terminal", "node", "edge", "persona", "deviation")}
    for row in rows[:_NEWEST]:
        try:
            workflow = recall_workflow(row.canonical)
        except UserError:
            continue
        found["terminal"] |= set(workflow.terminals)
        found["node"] |= set(workflow.nodes)
        found["edge"] |= set(workflow.edge)
        found["persona"] |= {persona.id for persona in workflow.personas}
        found["deviation"] |= {deviation.id for deviation in workflow.deviations}
    known = {name: tuple(sorted(values)) for name, values in found.items()}
    named = {"workflow": tuple(sorted({row.name for row in rows})), "writer": tuple(known_writers(rec))}
    return {**FIXED, **known, **named, "reviewer": tuple(known_reviewers(rec, "dialogue"))}


def complete(text: str, words: Words) -> str | None:
    """`text` with its last word completed: a field from two letters on, or the first value that begins so; else None."""
    last = text.split(" ")[-1]
    field, colon, value = last.partition(":")
    if colon:
        fitting = [known for known in words.get(field, ()) if known.startswith(value) and known != value]
        begun = text[: len(text) - len(value)]
    else:
        fitting = [f"{name}:" for name in sorted(words) if name.startswith(last)] if len(last) > 1 else []
        begun = text[: len(text) - len(last)]
    spaced = [known for known in fitting if " " not in known]  # a filter word has no spaces
    return begun + spaced[0] if spaced else None


class FilterSuggester(Suggester):
    """Offers what `complete` finds in `words`, which the pane fills in when it knows them."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.words: Words = FIXED

    async def get_suggestion(self, value: str) -> str | None:
        """What is offered for the line as it stands."""
        return complete(value, self.words)
