"""Keys, tokens and passwords in the environment: which variables hold them, and texts without them."""

from __future__ import annotations

import os
import re

SERVICE_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "WORKBENCH_SERVER_KEY")
"""The keys that workbench itself reads."""
_SERVICES = ("ANTHROPIC_", "OPENAI_", "WORKBENCH_")
_NAMES = re.compile(
    r"(^|_)(API_?KEY|KEY|TOKEN|PAT|JWT|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|AUTH|CUSTOM_HEADERS)(_|$)",
    re.IGNORECASE,
)
_IS_KEY = re.compile(r"\bsk-[\w*-]{6,}")
_SHORTEST = 8
"""Shorter values stand in many texts by chance."""


def secrets() -> dict[str, str]:
    """The variables of the environment whose names say that they hold keys, tokens or passwords."""
    return {k: v for k, v in os.environ.items() if _NAMES.search(k)}


def environment(keys: bool) -> dict[str, str]:
    """The environment for another process: of the secrets only those of model services, and these only with `keys`."""
    hidden = {name for name in secrets() if not (keys and name.startswith(_SERVICES))}
    return {k: v for k, v in os.environ.items() if k not in hidden}


def redacted(text: str) -> str:
    """`text` with the environment's secrets replaced by their variables' names, and whatever else looks like a key cut."""
    for name, value in secrets().items():
        value = value.strip()
        if len(value) >= _SHORTEST and not value.startswith("/"):  # a path to a key is no secret
            text = text.replace(value, f"<{name}>")
    return _IS_KEY.sub("sk-…", text)
