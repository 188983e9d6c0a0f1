"""The paper's own figures, as a reference beside ours and always marked as the paper's."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("paper.json")


@cache
def reference() -> dict[str, Any]:
    """The data file: `source`, `judge`, `scenarios`, `models`, and per workflow the conditions with their means."""
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found
