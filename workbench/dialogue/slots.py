"""Finding values in a text: which dates, amounts, names and closed choices it states, whatever their values are."""

from __future__ import annotations

import re
from collections.abc import Callable

from workbench.workflow.model import Variable, Workflow

_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t|tember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b"
)
DATE = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}(?:,? \d{{4}})?"
    rf"|{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?"
    r"|\d{4}-\d{2}-\d{2}|\d{1,2}[./]\d{1,2}[./]\d{2,4})",
    re.IGNORECASE,
)
_MONEY = re.compile(r"[$€£]\s?\d[\d,.]*\d|[$€£]\s?\d")
_NUMBER = re.compile(r"\b\d+(?:[.,]\d+)*\b")
_NAME = re.compile(r"(?<=[a-z,:;] )(?!I\b)[A-Z][\w'-]+(?: [A-Z][\w'-]+)*")
_GAP = " · "
_PLACEHOLDER = re.compile(r"\{(\w+)\}")


class Slots:
    """Turns values into slots of a workflow's own kinds: one a closed variable, else date, money, number and name."""

    def __init__(self, workflow: Workflow) -> None:
        self._kind: dict[str, str] = {}
        values: dict[str, str] = {}
        names: list[str] = []
        for variable in workflow.variables.values():
            self._kind[variable.name] = _kind(variable)
            if variable.type == "choice":
                for value in map(str, variable.values):
                    self._kind[variable.name] = values.setdefault(value.lower(), variable.name)
            elif variable.type == "text":
                names += [str(value) for value in variable.values]
        self._values = values
        self._choices = _alternatives(values)
        self._names = _alternatives(names, ignore_case=False)
        self.kinds = sorted({*self._kind.values(), *values.values(), "date", "money", "number", "name"})

    def kind(self, variable: str) -> str:
        """The kind of slot that a variable's values are found as."""
        return self._kind.get(variable, "name")

    def abstract(self, text: str) -> tuple[str, set[str]]:
        """The text without its values, and the kinds of slot that it states; `{placeholders}` count as their values."""
        plain, found = self._scan(text)
        kinds = {kind for kind, _ in found}
        if _NAME.search(plain):
            kinds.add("name")
        return _NAME.sub(_GAP, plain), kinds

    def find(self, text: str) -> list[tuple[str, str]]:
        """The values that a text states, as (kind, words): dates, amounts, numbers, listed names and closed choices."""
        return self._scan(text)[1]

    def _scan(self, text: str) -> tuple[str, list[tuple[str, str]]]:
        found: list[tuple[str, str]] = []

        def mark(pattern: re.Pattern[str] | None, kind: Callable[[re.Match[str]], str]) -> None:
            nonlocal text
            if pattern is not None:
                found.extend((kind(match), match[0]) for match in pattern.finditer(text))
                text = pattern.sub(_GAP, text)

        mark(_PLACEHOLDER, lambda match: self._kind.get(match[1], "name"))
        mark(DATE, lambda _: "date")
        mark(self._choices, lambda match: self._values[match[0].lower()])
        mark(self._names, lambda _: "name")
        mark(_MONEY, lambda _: "money")
        mark(_NUMBER, lambda _: "number")
        return text, found


def _kind(variable: Variable) -> str:
    return {"choice": variable.name, "text": "name", "integer": "number", "date": "date"}[variable.type]


def _alternatives(values: dict[str, str] | list[str], ignore_case: bool = True) -> re.Pattern[str] | None:
    """A pattern for any of the values, the longest first; None without values."""
    if not values:
        return None
    ordered = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{ordered})(?!\w)", re.IGNORECASE if ignore_case else 0)
