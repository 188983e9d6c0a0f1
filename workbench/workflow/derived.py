"""What is computed from a workflow once and kept with it, since a workflow never changes."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar

from workbench.workflow.model import Workflow

T = TypeVar("T")


def derived(workflow: Workflow, key: Hashable, make: Callable[[], T]) -> T:
    """`make()`, or what it gave the first time for this workflow and key."""
    kept = vars(workflow).setdefault("_derived", {})
    if key not in kept:
        kept[key] = make()
    return kept[key]  # type: ignore[no-any-return]
