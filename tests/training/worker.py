"""Run as a process by test_trainer: trains the tiny model, one line of JSON an event, until done or killed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

from tests.training.conftest import dialogue
from tests.training.test_trainer import RECIPE
from workbench.training.loop import train


def main(base: str, folder: str) -> None:
    torch.set_num_threads(1)

    def report(type: str, **data: Any) -> None:
        print(json.dumps({"type": type, **{k: v for k, v in data.items() if k in ("step", "loss")}}), flush=True)

    examples = [dialogue(i) for i in range(24)]
    train(RECIPE, Path(base), examples[:20], examples[20:], Path(folder), report=report)


if __name__ == "__main__":
    main(*sys.argv[1:])
