"""Judges by name: `rules`, `llm:MODEL`, and presets for the models that the paper used and their successors."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import UserError
from workbench.evaluation.rules import JUDGE as RULES
from workbench.text import clean_line

PRESETS: dict[str, tuple[str, ...]] = {
    "claude": ("anthropic/claude-sonnet-5-5",),
    "gpt-4.1": ("openai/gpt-4.1",),
    "pair": ("anthropic/claude-sonnet-5-5", "openai/gpt-4.1"),
    "paper": ("anthropic/claude-sonnet-4-5", "openai/gpt-4.1"),
}
"""Name → models. `paper` is the paper's own pair; its Claude retires on 30 November 2026, `pair` has a live one."""


def judge_models(names: Sequence[str]) -> tuple[str, ...]:
    """The models that judge, in the order named and each once; `rules` is no model. Raises UserError for other names."""
    models: list[str] = []
    for name in names:
        kind, _, model = name.strip().partition(":")
        if name in PRESETS:
            models += PRESETS[name]
        elif kind == "llm" and model:
            models.append(model)
        elif name != RULES:
            known = ", ".join((RULES, *PRESETS))
            raise UserError(f'no judge "{clean_line(name, 60)}": write llm:MODEL, or one of {known}')
    return tuple(dict.fromkeys(models))
