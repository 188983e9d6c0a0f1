"""Which language a text is in, told by py3langid (97 languages, its model in the package, nothing is fetched)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any


def language_of(text: str) -> str:
    """The ISO 639-1 code of the likeliest language. Meant for a few sentences or more; short texts are a guess."""
    return str(_identifier().classify(text)[0])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """Loaded when it is first asked (0.7 s)."""
    import py3langid

    py3langid.classify("")
    return py3langid
