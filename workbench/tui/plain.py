"""The app on a terminal that has ASCII only: borders, bars, arrows and marks become letters of the same width."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter


def _table() -> dict[int, str]:
    table = dict.fromkeys(range(0x2190, 0x2200), ">") | dict.fromkeys(range(0x25A0, 0x2600), "*")
    marks = zip("…·–—←↑↓⏎×✓✗▾▴◂▸‹›“”‘’•≥≤±", "..--<^v<xvxv^<><>\"\"''*><+", strict=True)
    table |= {ord(mark): letter for mark, letter in zip("⚑✎≠★✱−°÷", "!~/**-o/", strict=True)}
    table |= {ord(mark): letter for mark, letter in marks}
    table |= dict.fromkeys(range(0x2500, 0x2580), "+")
    table |= dict.fromkeys(map(ord, "─━┄┅┈┉╌╍═╴╶╸╺"), "-") | dict.fromkeys(map(ord, "│┃┆┇┊┋╎╏║╵╷╹╻"), "|")
    table |= dict.fromkeys(range(0x2580, 0x25A0), "#") | dict(zip(range(0x2581, 0x2588), "__..--=", strict=True))
    table |= dict(zip(map(ord, "░▒▓▏▎▍▌▕▐▔▀"), ".:#||||||--", strict=True))
    # A drawing of the graph keeps what tells roles and the marked path apart, as `workflow draw --ascii` has it.
    table |= dict(zip(map(ord, "●◆○■▼▲"), "*?o#v^", strict=True)) | dict.fromkeys(map(ord, "━┃┏┓┗┛┣┫┳┻╋"), "#")
    return table | {0x2800: " ", 0xA0: " "} | dict.fromkeys(range(0x2801, 0x2900), "*")


_TABLE = _table()


def to_ascii(text: str) -> str:
    """`text` with every drawing character and mark of ours replaced; letters of any language stay as they are."""
    return text.translate(_TABLE)


class AsciiFilter(LineFilter):
    """Textual's last step before the terminal: every line drawn passes through `to_ascii`."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
