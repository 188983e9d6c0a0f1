"""The look: one theme of our own with a dark and a light face, and the tones that carry meaning.

Colour only repeats what a word, a mark or a position already says, so the app reads the same in 16 colours and under
NO_COLOR. Tones are looked up by name wherever text is built; nothing outside this module names a colour.
"""

from __future__ import annotations

from textual.theme import Theme

DARK = "workbench-dark"
LIGHT = "workbench-light"

TONES = ("plain", "dim", "strong", "key", "agent", "user", "good", "warn", "bad", "accent")
"""Names of meaning: `agent` and `user` speak, `good`/`warn`/`bad` judge, `key` is pressed, `dim` may be skipped."""

_DARK = Theme(
    name=DARK,
    dark=True,
    primary="#7aaedb",
    secondary="#8d9bab",
    accent="#dcb568",
    success="#82bd8f",
    warning="#dda552",
    error="#e07b72",
    foreground="#d6dbe2",
    background="#111419",
    surface="#161a20",
    panel="#222933",
    variables={
        "muted": "#8593a3",
        "faint": "#3a4450",
        "cursor": "#2a435c",
        "cursor-blurred": "#232b35",
        "agent": "#7aaedb",
        "user": "#dcb568",
        "input-cursor-background": "#d6dbe2",
        "input-selection-background": "#2a435c",
        "scrollbar": "#2d3641",
        "scrollbar-hover": "#44505e",
        "scrollbar-active": "#7aaedb",
        "scrollbar-background": "#111419",
    },
)
_LIGHT = Theme(
    name=LIGHT,
    dark=False,
    primary="#1c5d99",
    secondary="#596673",
    accent="#855400",
    success="#23703d",
    warning="#8f5a00",
    error="#b02c23",
    foreground="#22272e",
    background="#fbfbf8",
    surface="#f4f4f0",
    panel="#e4e5df",
    variables={
        "muted": "#5d6873",
        "faint": "#c3c7c6",
        "cursor": "#c5dcf1",
        "cursor-blurred": "#e4e7e6",
        "agent": "#1c5d99",
        "user": "#855400",
        "input-cursor-background": "#22272e",
        "input-selection-background": "#c5dcf1",
        "scrollbar": "#c9cdcb",
        "scrollbar-hover": "#aab0af",
        "scrollbar-active": "#1c5d99",
        "scrollbar-background": "#fbfbf8",
    },
)
THEMES = (_DARK, _LIGHT)
_FEW_DARK = Theme(
    name=DARK,
    dark=True,
    primary="#55ffff",
    secondary="#aaaaaa",
    accent="#ffff55",
    success="#55ff55",
    warning="#ffff55",
    error="#ff5555",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#555555",
    variables={
        **_DARK.variables,
        "muted": "#aaaaaa",
        "faint": "#555555",
        "cursor": "#0000aa",
        "cursor-blurred": "#555555",
        "agent": "#55ffff",
        "user": "#ffff55",
        "scrollbar": "#555555",
        "scrollbar-background": "#000000",
    },
)
_FEW_LIGHT = Theme(
    name=LIGHT,
    dark=False,
    primary="#0000aa",
    secondary="#555555",
    accent="#aa00aa",
    success="#00aa00",
    warning="#aa00aa",
    error="#aa0000",
    foreground="#000000",
    background="#ffffff",
    surface="#ffffff",
    panel="#aaaaaa",
    variables={
        **_LIGHT.variables,
        "muted": "#555555",
        "faint": "#aaaaaa",
        "cursor": "#55ffff",
        "cursor-blurred": "#aaaaaa",
        "agent": "#0000aa",
        "user": "#aa00aa",
        "scrollbar": "#aaaaaa",
        "scrollbar-background": "#ffffff",
    },
)
FEW_COLOURS = (_FEW_DARK, _FEW_LIGHT)
"""The same two faces in the sixteen colours that every terminal has: the soft ones above would all become grey there."""

MEANINGS = ("muted", "faint", "cursor", "cursor-blurred", "agent", "user")
"""Our own names of colours in style sheets."""


def meanings(theme: Theme) -> dict[str, str]:
    """Values of our own names, for themes that do not know them (Textual's)."""
    known = _DARK if theme.dark else _LIGHT
    return {name: known.variables[name] for name in MEANINGS}


TONE_CSS = """
    & > .tone--plain { color: $foreground; }
    & > .tone--dim { color: $muted; }
    & > .tone--strong { color: $foreground; text-style: bold; }
    & > .tone--key { color: $primary; text-style: bold; }
    & > .tone--agent { color: $agent; }
    & > .tone--user { color: $user; }
    & > .tone--good { color: $success; }
    & > .tone--warn { color: $warning; }
    & > .tone--bad { color: $error; text-style: bold; }
    & > .tone--accent { color: $primary; }
"""
TONE_CLASSES = frozenset(f"tone--{tone}" for tone in TONES)
