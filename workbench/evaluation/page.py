"""One HTML page with everything in it: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from workbench.text import clean

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #2f7d78; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap }
.note, dt { color: var(--dim) } svg text { font: 12px system-ui, sans-serif; fill: currentColor }
svg rect { fill: var(--bar) } svg line { stroke: currentColor; stroke-width: 1.5 }
.bars { display: grid; grid-template-columns: repeat(auto-fill, minmax(24rem, 1fr)); gap: .5rem 2rem }
"""

Bar = tuple[str, float | None, tuple[float, float] | None, float]
"""Label, value, interval, and the value at full length."""


def page(title: str, found: Mapping[str, Any]) -> str:
    """The page from `report.sections`. All words are escaped and cleaned."""
    parts = [f"<h1>{_text(title)}</h1>", _list(found["facts"]), "<h2>At a glance</h2>", '<div class="bars">']
    parts += [f"<figure><figcaption>{_text(name)}</figcaption>{bars(rows)}</figure>" for name, rows in found["bars"]]
    parts.append("</div>")
    for name, note, rows in found["tables"]:
        parts.append(f'<h2>{_text(name)}</h2><p class="note">{_text(note)}</p>{_table(rows)}')
    parts += ["<h2>Read this with it</h2>", _list(found["notes"]), "<h2>Rubric</h2><dl>"]
    parts += [f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in found["rubric"].items()]
    body = "\n".join([*parts, "</dl>"])
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{_text(title)}</title>'
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    return (
        f'<!doctype html><html lang="en"><head>{head}{policy}<style>{_STYLE}</style></head><body>{body}</body></html>\n'
    )


def bars(rows: Sequence[Bar], width: int = 220) -> str:
    """Horizontal bars with their intervals as whiskers, as inline SVG."""
    lines = []
    for index, (label, value, interval, full) in enumerate(rows):
        y = 22 * index
        lines.append(f'<text x="0" y="{y + 14}">{_text(label)}</text>')
        if value is None:
            lines.append(f'<text x="120" y="{y + 14}">–</text>')
            continue
        end = 120 + width * value / full
        lines.append(f'<rect x="120" y="{y + 4}" width="{width * value / full:.1f}" height="13" rx="2"/>')
        if interval:
            low, high = (120 + width * v / full for v in interval)
            lines.append(f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10.5}" y2="{y + 10.5}"/>')
            end = max(end, high)
        shown = f"{value:.0%}" if full == 1 else f"{value:.2f}"
        lines.append(f'<text x="{end + 6:.1f}" y="{y + 14}">{shown}</text>')
    height = 22 * len(rows) + 4
    return f'<svg viewBox="0 0 {width + 180} {height}" width="{width + 180}" height="{height}" role="img">{"".join(lines)}</svg>'


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>"


def _text(words: str) -> str:
    return escape(clean(words))
