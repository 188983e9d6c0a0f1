"""JSON as the record keeps it: canonical, readable by SQLite's own JSON functions, and never failing on odd text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def to_json(value: object) -> str:
    """Compact JSON with sorted keys. NaN and infinities, which JSON lacks, become null."""
    return storable(json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def from_json(text: str) -> Any:
    """The value of a JSON column."""
    return json.loads(text)


def storable(text: str) -> str:
    """`text` with lone surrogates (broken model output) replaced, since SQLite text is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(_plain(item) for item in value)  # type: ignore[type-var]
    return value
