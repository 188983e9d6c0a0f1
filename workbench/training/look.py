"""What a run would take, from the names that a person gives: for the command line and for the app's form."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home
from workbench.training.base import base_model, ready_base
from workbench.training.encoding import Encoded
from workbench.training.estimate import Estimate, count_tokens, estimate
from workbench.training.examples import load_examples
from workbench.training.fit import require_fit
from workbench.training.launch import known_speed, run_folder
from workbench.training.recipe import Recipe


def look_ahead(
    home: Home, dataset: str, recipe: Recipe, start_from: str | None = None, *, prepare: bool = False
) -> tuple[Estimate, str]:
    """The estimate of a run, and why it must not start ("" if it may); light enough for the terminal app.

    With `prepare` a base model that is not there yet is fetched and converted first (heavy); without it that is a UserError.
    """
    if start_from:
        base = run_folder(home, start_from)
    elif prepare:
        base = base_model(home, recipe.base)
    elif not (base := ready_base(home, recipe.base) or Path()).name:
        raise UserError(
            f"{recipe.base} is not on this disk yet; `workbench train start … --dry-run` prepares it and tells what it takes"
        )
    encoded = _encoded(home, dataset, base)
    found = estimate(recipe, base, (), home.make().root, known_speed(home, recipe), encoded)
    try:
        require_fit(recipe, found, base)
    except UserError as refusal:
        return found, str(refusal)
    return found, ""


@lru_cache(maxsize=4)
def _encoded(home: Home, dataset: str, base: Path) -> tuple[Encoded, ...]:
    """Counting a data set takes a second; the next look at another recipe need not. A data set's id fixes its content."""
    return tuple(count_tokens(base, load_examples(home, dataset)["train"]))
