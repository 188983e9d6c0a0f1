"""Which function does which kind of work, by name only: this room imports nothing above it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from workbench.errors import UserError
from workbench.secrets import environment


@dataclass(frozen=True, slots=True)
class Kind:
    """An entry point `module:function`, taking a JobContext and returning a dict.

    `keys`: the process may see API keys. `service`: it has no end of its own, so a finished one is started anew.
    `smaller`: what to do when memory was too small for it (`{id}` is the job's).
    """

    entry: str
    keys: bool = False
    service: bool = False
    smaller: str = "free some memory and run the same command again to go on"


KINDS: dict[str, Kind] = {
    "train": Kind(
        "workbench.training.trainer:main",
        smaller="`workbench train resume {id} --set activation_checkpointing=true` goes on from the last checkpoint with less",
    ),
    "generate": Kind("workbench.dialogue.generation:main", keys=True),
    "mend": Kind("workbench.evaluation.mend:main", keys=True),
    "serve": Kind("workbench.models.server.job:main", service=True),
    "evaluate": Kind("workbench.evaluation.run:main", keys=True),
    "judge": Kind("workbench.evaluation.rejudge:main", keys=True),
    "chat": Kind("workbench.agents.live:main", keys=True, service=True),
    "demo": Kind("workbench.demo.job:main"),
}


def kind_of(name: str) -> Kind:
    """The kind of this name; a name of the form `module:function` is its own entry point, without keys."""
    if name in KINDS:
        return KINDS[name]
    if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", name):
        return Kind(name)
    raise UserError(f'no kind of job "{name}": choose one of {", ".join(sorted(KINDS))}')


def entry_point(name: str) -> Callable[..., Any]:
    """The function behind a kind. Raises UserError if it cannot be imported because a package is missing."""
    entry = kind_of(name).entry
    module, _, function = entry.partition(":")
    try:
        return getattr(import_module(module), function)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        raise UserError(f'"{name}" jobs need the module {error.name}, which is not installed') from error


def child_environment(kind: Kind) -> dict[str, str]:
    """The environment a job of this kind gets: the keys of model services if it calls any, no other secret in any case."""
    return environment(keys=kind.keys) | {"PYTHONUNBUFFERED": "1"}
