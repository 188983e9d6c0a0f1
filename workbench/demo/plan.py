"""The stages of the demo and the sizes of its presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workbench.workflow.model import Split

Preset = Literal["default", "full", "quick", "smoke"]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its name in events, its title, and one line on why it matters."""

    name: str
    title: str
    why: str


STAGES = (
    Stage(
        "workflow", "Read the procedure", "A workflow is a graph; its paths are all that the agent must learn to walk."
    ),
    Stage(
        "dialogues", "Write the dialogues", "Every path and every choice at a hub is shown often enough to be learnt."
    ),
    Stage(
        "dataset",
        "Freeze the data sets",
        "Train, dev and test share neither values nor wording, so the test cannot be recited.",
    ),
    Stage(
        "base", "Prepare the base model", "SmolLM2-135M, converted once from the copy that a package ships: no network."
    ),
    Stage("training", "Fine-tune every weight", "The dialogues, and nothing else, teach the model the procedure."),
    Stage(
        "serving", "Serve the compiled model", "An OpenAI-compatible endpoint on loopback, a one-line prompt, no graph."
    ),
    Stage(
        "evaluation", "Talk to simulated users and score", "Test scenarios, never seen: does it follow the procedure?"
    ),
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a preset is. `least` dialogues show every hub choice; the slow baselines take `baseline_scenarios`."""

    preset: Preset
    dialogues: Mapping[Split, int]
    recipe: Mapping[str, object] = field(default_factory=dict)
    scenarios: int = 40
    baseline_scenarios: int = 12
    least: int = 30
    partial: str = ""


PRESETS: dict[Preset, Sizes] = {
    "default": Sizes("default", {"train": 850, "dev": 60, "test": 40}),
    "full": Sizes("full", {"train": 850, "dev": 60, "test": 40}, baseline_scenarios=40),
    "quick": Sizes(
        "quick",
        {"train": 400, "dev": 24, "test": 40},
        recipe={"max_tokens_trained": 40_000, "eval_every": 20, "probe_every": 20},
        scenarios=10,
        baseline_scenarios=2,
        partial="partial: --quick trains on a fraction of the tokens and evaluates a few scenarios only",
    ),
    "smoke": Sizes(
        "smoke",
        {"train": 90, "dev": 6, "test": 14},
        recipe={"max_tokens_trained": 2_000, "eval_every": 10, "probe_every": 10},
        scenarios=3,
        baseline_scenarios=1,
        least=3,
        partial="partial: --smoke only shows that all parts work together; nothing is learnt in so few tokens",
    ),
}
