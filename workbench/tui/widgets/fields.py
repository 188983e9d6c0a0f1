"""The fields of a form as plain data: how each is written, read and checked. No widget is needed to test them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.text import clean_line

Values = Mapping[str, Any]
"""What a form has been filled in with, by the fields' names."""
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Field:
    """A line of text. `name` is its key in the values; `help` is shown while it has the focus.

    `check` gets the cleaned text and returns what is wrong with it, or None. An optional field left empty is None.
    """

    name: str
    label: str
    value: Any = ""
    help: str = ""
    optional: bool = False
    check: Callable[[str], str | None] | None = None

    def write(self, value: Any) -> str:
        """A value as it stands in the field."""
        return "" if value is None else clean_line(str(value))

    def read(self, raw: str) -> Any:
        """The value of what was typed. Raises ValueError with the line to show."""
        text = clean_line(raw)
        if not text:
            if self.optional:
                return None
            raise ValueError("this is needed")
        if self.check and (problem := self.check(text)):
            raise ValueError(problem)
        return text


@dataclass(frozen=True, slots=True)
class NumberField(Field):
    """A number between `least` and `most`; `whole` allows integers only. `1e5`, `100_000` and `100,000` are read alike."""

    least: float | None = None
    most: float | None = None
    whole: bool = False

    def write(self, value: Any) -> str:
        """Without a needless `.0`."""
        return "" if value in (None, "") else f"{value:g}" if isinstance(value, float) else str(value)

    def read(self, raw: str) -> Any:
        """An int or a float, or None where the field is optional and empty."""
        text = clean_line(raw).replace(",", "")
        if not text and self.optional:
            return None
        try:
            number = float(text)
        except ValueError:
            raise ValueError("write a number, such as " + (self.write(self.value) or "100")) from None
        if number != number or abs(number) == float("inf"):
            raise ValueError("write a number")
        if self.whole and number != int(number):
            raise ValueError("write a whole number")
        if self.least is not None and number < self.least:
            raise ValueError(f"at least {self.least:g}")
        if self.most is not None and number > self.most:
            raise ValueError(f"at most {self.most:g}")
        return int(number) if self.whole else number


@dataclass(frozen=True, slots=True)
class ChoiceField(Field):
    """One of `options`, each a value and the words for it (a plain string is both)."""

    options: Sequence[str | tuple[str, str]] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Values with their words, cleaned."""
        return tuple((o, clean_line(o)) if isinstance(o, str) else (o[0], clean_line(o[1])) for o in self.options)

    def write(self, value: Any) -> str:
        """The value, or the first option if it is none of them."""
        known = [v for v, _ in self.pairs]
        return str(value) if value in known else known[0] if known else ""

    def read(self, raw: str) -> Any:
        """The value chosen."""
        if raw not in [v for v, _ in self.pairs]:
            raise ValueError("there is nothing to choose from" if not self.pairs else "choose one of the list")
        return raw


@dataclass(frozen=True, slots=True)
class ToggleField(Field):
    """Yes or no."""

    value: Any = False

    def write(self, value: Any) -> str:
        """`yes` or `no`."""
        return YES if value in (True, YES) else NO

    def read(self, raw: str) -> Any:
        """A bool."""
        return raw == YES


def read_all(fields: Sequence[Field], raw: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of all fields that can be read, and by name what is wrong with the others."""
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for field in fields:
        try:
            values[field.name] = field.read(raw.get(field.name, field.write(field.value)))
        except ValueError as error:
            wrong[field.name] = str(error)
    return values, wrong
