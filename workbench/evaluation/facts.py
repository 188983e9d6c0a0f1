"""Are the facts right? What each message was due to state against what it states, and what nobody told the agent.

Due in a message: the variables and the constants (amounts, numbers) that every evaluation phrasing of its place states
in the situation it was spoken in. Invented: a date, an amount, a listed name or a closed choice that is neither a
current value of the scenario nor a constant of the workflow; an outdated value counts as invented.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.dialogue.slots import Slots
from workbench.evaluation.trace import Trace
from workbench.store.rows import MessageRow
from workbench.workflow.model import Phrasing, Workflow
from workbench.workflow.situation import Situation, choose, placeholders


@dataclass(frozen=True, slots=True)
class Statement:
    """One fact of one message: `due` is the value it should state (None: nothing asked for it), `said` what it
    states."""

    message: int
    kind: str
    due: str | None
    said: str | None

    @property
    def is_right(self) -> bool:
        """Due and stated."""
        return self.due is not None and self.due == self.said


@dataclass(frozen=True, slots=True)
class Facts:
    """All statements of a conversation's agent."""

    statements: tuple[Statement, ...]

    @property
    def accuracy(self) -> float | None:
        """Right statements ÷ all that were due or invented; None if there were none."""
        return sum(s.is_right for s in self.statements) / len(self.statements) if self.statements else None

    @property
    def wrong(self) -> tuple[Statement, ...]:
        """Statements that are missing, mistaken or invented."""
        return tuple(s for s in self.statements if not s.is_right)


class FactChecker:
    """Checks conversations of one workflow."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._slots = Slots(workflow)
        says = [n.say for n in workflow.nodes.values() if n.role != "user"] + [e.say for e in workflow.edges]
        texts = [t for say in says for p in say for t in p.pool.evaluation]
        texts += [t for d in workflow.deviations for t in d.reply.evaluation] + [workflow.context]
        self._constants = {_same(words) for text in texts for kind, words in self._slots.find(text)}

    def check(self, messages: Sequence[MessageRow], trace: Trace, situations: Sequence[Situation]) -> Facts:
        """The statements of every agent message that the labeller could place, and inventions in the others too."""
        found: list[Statement] = []
        current = Situation({})
        for index, message in enumerate(messages):
            events = [(e, s) for e, s in zip(trace.events, situations, strict=True) if e.message == index]
            current = events[-1][1] if events else current
            if message.role == "agent":
                due = [pair for event, situation in events if event.unit for pair in self._due(event.unit, situation)]
                found += self._message(index, message.text, due, current)
        return Facts(tuple(found))

    def _due(self, unit: str, situation: Situation) -> list[tuple[str, str]]:
        """(kind, value) of the facts that a place has to state in this situation."""
        edge = self._workflow.edge.get(unit)
        say: Sequence[Phrasing] = edge.say if edge else self._workflow.nodes[unit].say
        pool = choose(say, situation, edge.source if edge else unit)
        if pool is None or not pool.evaluation:
            return []
        named = set.intersection(*(set(placeholders(t)) for t in pool.evaluation))
        values: list[tuple[str, str]] = []
        for name in sorted(named & set(situation.variables)):
            value = str(situation.variables[name])
            dollars = all(f"${{{name}}}" in text for text in pool.evaluation)
            values.append(("money", f"${value}") if dollars else (self._slots.kind(name), value))
        constants = set.intersection(*(self._constants_of(text) for text in pool.evaluation))
        return values + sorted(constants)

    def _constants_of(self, text: str) -> set[tuple[str, str]]:
        """Amounts and numbers that a wording itself names; placeholders stand for values and are none."""
        found = self._slots.find(text)
        return {(k, _same(w)) for k, w in found if k in ("money", "number") and not w.startswith("{")}

    def _message(self, index: int, text: str, due: list[tuple[str, str]], situation: Situation) -> list[Statement]:
        due = list(dict.fromkeys(due))
        right = [Statement(index, kind, value, value) for kind, value in due if _stated(value, text)]
        missing = [(kind, value) for kind, value in due if not _stated(value, text)]
        told = {_same(str(v)) for v in situation.variables.values()}
        allowed = self._constants | told | {f"${v}" for v in told} | {_same(v) for _, v in due}
        invented = [
            (kind, words) for kind, words in self._slots.find(text) if kind != "number" and _same(words) not in allowed
        ]
        # A mistaken value is missing and invented at once: the two are paired by kind and counted once.
        spare = Counter(kind for kind, _ in missing)
        statements = right
        for kind, words in dict.fromkeys(invented):
            if spare[kind]:
                spare[kind] -= 1
                value = next(v for k, v in missing if k == kind)
                missing.remove((kind, value))
                statements.append(Statement(index, kind, value, words))
            else:
                statements.append(Statement(index, kind, None, words))
        return statements + [Statement(index, kind, value, None) for kind, value in missing]


def _same(words: str) -> str:
    return re.sub(r"\s+", " ", words).strip().casefold()


def _stated(value: str, text: str) -> bool:
    return re.search(rf"(?<![\w$€£]){re.escape(_same(value))}(?![\w])", _same(text)) is not None
