"""The cleaning boundary: untrusted text passes through here before it can reach a terminal, a log or a report."""

from __future__ import annotations

_KEEP = {0x09, 0x0A}
_BIDI = {0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)}
_INVISIBLE = {
    0x00AD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x200B, 0x2028, 0x2029, *range(0x2060, 0x2066),
    *range(0x206A, 0x2070), 0x3164, 0xFEFF, 0xFFA0, *range(0xFFF9, 0xFFFC), *range(0x1BCA0, 0x1BCA4),
    *range(0x1D173, 0x1D17B), *range(0xE0000, 0xE1000),
}  # fmt: skip
"""Default ignorable and without a shape (Unicode). The joiners U+200C and U+200D and the variation selectors U+FE00 to
U+FE0F stay: Persian, Indic scripts and emoji need them."""
_DROPPED = ({*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)} | _BIDI | _INVISIBLE) - _KEEP
_TABLE = dict.fromkeys(_DROPPED)


def clean(text: str) -> str:
    """`text` without control, bidirectional and invisible characters; newline and tab stay.

    Stateless, so a stream may be cleaned chunk by chunk with the same result as the whole.
    """
    return text.translate(_TABLE)


def clean_line(text: str, limit: int = 2000) -> str:
    """`text` as one clean line of at most `limit` characters (an ellipsis marks a cut); white space is folded."""
    line = " ".join(clean(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell(value: object) -> object:
    """`value` for a spreadsheet: a text is cleaned, and gets an apostrophe where it would be read as a formula."""
    if not isinstance(value, str):
        return value
    text = clean(value)
    return f"'{text}" if text[:1] in _FORMULA or text.lstrip().startswith(_FORMULA) else text
