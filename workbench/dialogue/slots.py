"""Finding values in a text: which dates, amounts, names and closed choices it states, whatever their values are."""

from __future__ import annotations

import re

from workbench.workflow.model import Variable, Workflow

_MONTH = (
    "(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t|tember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
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

    def abstract(self, text: str) -> tuple[str, set[str]]:
        """The text without its values, and the kinds of slot that it states; `{placeholders}` count as their values."""
        found: set[str] = set()

        def mark(kind: str) -> str:
            found.add(kind)
            return " · "

        text = _PLACEHOLDER.sub(lambda m: mark(self._kind.get(m[1], "name")), text)
        text = DATE.sub(lambda _: mark("date"), text)
        if self._choices:
            text = self._choices.sub(lambda m: mark(self._values[m[0].lower()]), text)
        if self._names:
            text = self._names.sub(lambda _: mark("name"), text)
        text = _MONEY.sub(lambda _: mark("money"), text)
        text = _NUMBER.sub(lambda _: mark("number"), text)
        return _NAME.sub(lambda _: mark("name"), text), found


def _kind(variable: Variable) -> str:
    return {"choice": variable.name, "text": "name", "integer": "number", "date": "date"}[variable.type]


def _alternatives(values: dict[str, str] | list[str], ignore_case: bool = True) -> re.Pattern[str] | None:
    """A pattern for any of the values, the longest first; None without values."""
    if not values:
        return None
    ordered = "|".join(re.escape(value) for value in sorted(values, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{ordered})(?!\w)", re.IGNORECASE if ignore_case else 0)
