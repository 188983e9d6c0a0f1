"""Numbers and times as people read them: short, aligned, never pretending to know what is unknown."""

from __future__ import annotations

import time
from pathlib import Path


def duration(seconds: float | None) -> str:
    """`42 s`, `7 min`, `2.5 h`, `3 d`; an unknown one is `?`."""
    if seconds is None or seconds != seconds:
        return "?"
    if seconds < 0.95:
        return f"{max(seconds, 0):.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.0f} d"


def now() -> float:
    """The present, UTC epoch seconds; in one place, so that pictures of the app can be the same every time."""
    return time.time()


absolute = False
"""Whether `ago` tells the date instead; the app's key for it turns this round."""


def ago(when: float | None) -> str:
    """How long since `when` (epoch seconds): `just now`, `5 min ago`; while `absolute` is set, the date."""
    if when is None:
        return ""
    if absolute:
        return moment(when)
    past = now() - when
    return "just now" if past < 10 else f"{duration(past)} ago"


def moment(when: float) -> str:
    """A date of at most 12 characters, local time: `24 Nov 14:12`, and `24 Nov 2025` for another year."""
    at = time.localtime(when)
    this_year = at.tm_year == time.localtime(now()).tm_year
    return time.strftime("%d %b %H:%M" if this_year else "%d %b %Y", at)


def count(number: int) -> str:
    """A whole number with thousands separated; beyond twelve digits in powers of ten."""
    if number < 10**12:
        return f"{number:,}"
    digits = str(number)
    return f"{digits[0]}.{digits[1:3]}e+{len(digits) - 1}"


def short(number: float) -> str:
    """`950`, `12.3k`, `4.6M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= size:
            return f"{number / (1e3 if letter == 'k' else size):.1f}{letter}"
    return f"{number:z.0f}"


def dollars(cost: float | None) -> str:
    """`$0`, `$0.000031`, `$0.0042`, `$3.10`; unknown is `$?`."""
    if cost is None:
        return "$?"
    if cost == 0:
        return "$0"
    if cost < 0.001:  # what a turn of a small model on one's own machine costs
        return f"${cost:.6f}"
    return f"${cost:.4f}" if cost < 0.1 else f"${cost:,.2f}"


def place(path: Path, most: int = 0) -> str:
    """A path as people say it: from the current folder, else from their own, else whole; of one longer than `most` the end."""
    words = str(path)
    for base, prefix in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(base):
            words = f"{prefix}{path.relative_to(base)}"
            break
    return words if not most or len(words) <= most else "/".join(("…", *path.parts[-3:]))


def percent(share: float | None) -> str:
    """`97%`; unknown is a dash."""
    return "–" if share is None else f"{share:.0%}"
