"""The judge `rules`: the paper's five criteria, 1–5, as far as rules can decide them from transcript and scenario.

Naturalness is never decided here: its score is None and the note says "not judged". Every finding quotes what it rests
on; the quotes are cut from the transcript, so they occur in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from workbench.evaluation.assess import Assessment, Assessor
from workbench.workflow.hashing import digest

JUDGE = "rules"
CRITERIA = ("task_success", "information_accuracy", "consistency", "graceful_handling", "naturalness")
FAILURE_AT_MOST = 3
"""A conversation with this task success or less is a failure (the paper's definition)."""

RUBRIC = {
    "task_success": "5 the right terminal; 2 another terminal; without a terminal 3, 2 or 1 by the share of the way done "
    "(from a half, from a fifth, less)",
    "information_accuracy": "5 every fact due is right and none is invented; 4 from 90%; 3 from 75%; 2 from 50%; 1 less; "
    "none if no fact was due or stated",
    "consistency": "5 no answered question is asked again and no fact is stated differently than before; 3 one such; 2 two; "
    "1 more",
    "graceful_handling": "5 after every deviation the demanded step with the right facts, asides answered; 4 all but an "
    "unanswered aside; 3 at least half of them; 1 less. Without a deviation 3 if all went well, else 2",
    "naturalness": "not judged",
}
VERSION = 2
"""Counted up whenever the code decides differently under the same words."""
RUBRIC_HASH = digest([RUBRIC, VERSION])


@dataclass(frozen=True, slots=True)
class Finding:
    """A score with its reason and the quotes it rests on: (message index, words that occur in that message)."""

    criterion: str
    score: float | None
    note: str
    quotes: tuple[tuple[int, str], ...] = ()


def judge(assessor: Assessor, found: Assessment) -> tuple[Finding, ...]:
    """A finding for each of the five criteria, in the order of `CRITERIA`."""
    by_name: dict[str, Callable[[], Finding]] = {
        "task_success": lambda: _task_success(assessor, found),
        "information_accuracy": lambda: _information_accuracy(found),
        "consistency": lambda: _consistency(found),
        "graceful_handling": lambda: _graceful_handling(assessor, found),
        "naturalness": lambda: Finding("naturalness", None, "not judged"),
    }
    return tuple(by_name[criterion]() for criterion in CRITERIA)


def _task_success(assessor: Assessor, found: Assessment) -> Finding:
    last = next((i for i in range(len(found.messages) - 1, -1, -1) if found.messages[i].role == "agent"), None)
    quotes = _quotes(found, [] if last is None else [last])
    if found.terminal is not None:
        right = found.is_right_terminal
        note = f"ended at {found.terminal}" + ("" if right else f", not at {found.expected_terminal}")
        return Finding("task_success", 5.0 if right else 2.0, note, quotes)
    due = assessor.units_of(found.expected_edges)
    said = [e.unit for e in found.trace.events if not e.is_user]
    share = _in_order(due, said) / len(due) if due else 0.0
    score = 3.0 if share >= 0.5 else 2.0 if share >= 0.2 else 1.0
    return Finding("task_success", score, f"no terminal ({found.ended_by}); {share:.0%} of the way done", quotes)


def _information_accuracy(found: Assessment) -> Finding:
    share = found.facts.accuracy
    if share is None:
        return Finding("information_accuracy", None, "no fact was due or stated")
    wrong = found.facts.wrong
    score = 5.0 if not wrong else 4.0 if share >= 0.9 else 3.0 if share >= 0.75 else 2.0 if share >= 0.5 else 1.0
    said = [f"{s.said or 'nothing'} for {s.due or 'nothing due'}" for s in wrong[:3]]
    right = len(found.facts.statements) - len(wrong)
    note = f"{right} of {len(found.facts.statements)} facts right" + (": " + ", ".join(said) if said else "")
    cited = wrong or found.facts.statements[:2]
    return Finding(
        "information_accuracy", score, note, tuple((s.message, _cut(found, s.message, s.said)) for s in cited[:4])
    )


def _consistency(found: Assessment) -> Finding:
    repeated = _repeated_questions(found)
    contradicted = _contradictions(found)
    faults = len(repeated) + len(contradicted)
    score = {0: 5.0, 1: 3.0, 2: 2.0}.get(faults, 1.0)
    note = (
        f"{len(repeated)} questions asked again, {len(contradicted)} facts contradicted"
        if faults
        else "no contradiction"
    )
    return Finding("consistency", score, note, _quotes(found, [*repeated, *contradicted]))


def _repeated_questions(found: Assessment) -> list[int]:
    """Messages that say an earlier act again, or the same words, though the user had answered and nothing demands
    it."""
    said: set[str] = set()
    acts: set[tuple[str, ...]] = set()
    undue = set(found.adherence.extra) | {h.message for h in found.adherence.hubs if not h.is_right}
    repeated: list[int] = []
    for index, (message, label) in enumerate(zip(found.messages, found.trace.labels, strict=True)):
        if message.role != "agent":
            continue
        answered = index > 0 and found.messages[index - 1].move is not None
        words = " ".join(message.text.casefold().split())
        again = words in said or (label is not None and label.act.units in acts)
        if again and answered and (index in undue or label is None):
            repeated.append(index)
        said.add(words)
        if label is not None:
            acts.add(label.act.units)
    return repeated


def _contradictions(found: Assessment) -> list[int]:
    """Messages that state a fact differently although the agent had stated it right before."""
    stated = {(s.kind, s.due): s.message for s in reversed(found.facts.statements) if s.is_right}
    return [
        s.message
        for s in found.facts.wrong
        if s.said is not None and s.due is not None and stated.get((s.kind, s.due), s.message) < s.message
    ]


def _graceful_handling(assessor: Assessor, found: Assessment) -> Finding:
    asides = {d.id: d for d in assessor.workflow.deviations}
    challenges = [i for i, m in enumerate(found.messages) if m.role == "user" and m.deviation is not None]
    if not challenges:
        fine = found.is_right_terminal and not found.adherence.extra and not found.trace.unknown
        return Finding("graceful_handling", 3.0 if fine else 2.0, "the user posed no challenge")
    undue = set(found.adherence.extra) | {h.message for h in found.adherence.hubs if not h.is_right}
    wrong = {s.message for s in found.facts.wrong}
    smooth, unanswered = 0, []
    for index in challenges:
        answer = index + 1
        if answer >= len(found.messages) or answer in undue or answer in wrong or found.trace.labels[answer] is None:
            continue
        smooth += 1
        deviation = asides.get(found.messages[index].deviation or "")
        if (
            deviation
            and deviation.reply.evaluation
            and not assessor.labeller.answers_aside(found.messages[answer].text)
        ):
            unanswered.append(answer)
    share = smooth / len(challenges)
    score = (4.0 if unanswered else 5.0) if share == 1 else 3.0 if share >= 0.5 else 1.0
    note = f"{smooth} of {len(challenges)} deviations taken smoothly" + (", an aside unanswered" if unanswered else "")
    return Finding("graceful_handling", score, note, _quotes(found, [i for c in challenges for i in (c, c + 1)]))


def _in_order(due: tuple[str, ...], said: list[str | None]) -> int:
    """How many of `due`, from the first on, were said in this order."""
    done = 0
    for unit in said:
        if done < len(due) and unit == due[done]:
            done += 1
    return done


def _quotes(found: Assessment, indexes: list[int]) -> tuple[tuple[int, str], ...]:
    return tuple((i, _cut(found, i, None)) for i in dict.fromkeys(indexes) if i < len(found.messages))[:6]


def _cut(found: Assessment, index: int, words: str | None) -> str:
    """The words as they stand in the message, or the beginning of the message."""
    text = found.messages[index].text
    at = text.casefold().find(words.casefold()) if words else -1
    return text[at : at + len(words)] if words and at >= 0 else text[:120]
