"""What the demo says at the end: one JSON object for programs, a short table for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.workflow.model import Workflow

COLUMNS = (
    ("right_terminal", "right end"),
    ("fitness", "fitness"),
    ("hub_choice", "hub choice"),
    ("slot_accuracy", "facts right"),
    ("task_success", "task 1–5"),
)


def summarise(
    workflow: Workflow, paths: int, dialogues: Mapping[str, int], train: Mapping[str, Any], found: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary of a demo from what its stages made; `found` is the evaluation's own summary."""
    return {
        "workflow": workflow.name,
        "paths": paths,
        "dialogues": dialogues,
        "train": {
            "minutes": train["seconds"] / 60,
            "steps": train["steps"],
            "tokens": train["tokens"],
            "tokens_per_s": train["tokens_per_s"],
            "heldout_loss": train["best_dev_loss"],
            "pass_rate": train["pass_rate"],
            "peak_memory_mb": train["peak_memory_mb"],
        },
        **{key: value for key, value in found.items() if key != "statement"},
        "statement": found["statement"],
    }


def lines(summary: Mapping[str, Any]) -> Iterator[str]:
    """The summary in a few lines: training, one row an agent, the measures' own reliability."""
    train = summary["train"]
    yield (
        f"{summary['workflow']}: {summary['paths']:,} paths, {summary['dialogues']['train']:,} training dialogues; trained "
        f"{train['tokens']:,} tokens in {train['minutes']:.1f} min ({train['tokens_per_s']:.0f} tokens/s), "
        f"held-out loss {train['heldout_loss']:.3f}"
    )
    yield ""
    names = ["agent", "n", *(title for _, title in COLUMNS), "tokens", "seconds"]
    rows = [_row(name, agent) for name, agent in summary["agents"].items()]
    widths = [max(len(row[i]) for row in [names, *rows]) for i in range(len(names))]
    for row in [names, *rows]:
        yield "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
    yield ""
    accuracy = summary.get("labeller_accuracy")
    controls = summary.get("controls", {})
    passed = sum(bool(c["passed"]) for c in controls.values())
    yield (
        f"labeller accuracy on wording withheld from it: {_number(accuracy, 3)}; controls passed: {passed} of {len(controls)}; "
        f"user: {summary.get('user')} (offline), judge: {summary.get('judge', {}).get('name')} (offline)"
    )


def _row(name: str, agent: Mapping[str, Any]) -> Sequence[str]:
    title = f"{name} ({agent['baseline']})" if agent.get("baseline") else name
    figures = [_number(agent.get(key), 2 if key == "task_success" else 3) for key, _ in COLUMNS]
    return [title, str(agent["n"]), *figures, _number(_total(agent.get("tokens")), 0), _number(agent.get("seconds"), 1)]


def _total(tokens: object) -> float | None:
    if isinstance(tokens, Mapping):
        return sum(float(v) for v in tokens.values() if isinstance(v, int | float))
    return float(tokens) if isinstance(tokens, int | float) else None


def _number(value: object, places: int) -> str:
    return f"{value:,.{places}f}" if isinstance(value, int | float) else "–"
