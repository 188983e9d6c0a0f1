"""One HTML page with everything in it: no script, no font, no picture from anywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from workbench.evaluation.sections import Section
from workbench.text import clean

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --bar: #2f7d78; --dim: #777; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 84rem; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
table { border-collapse: collapse; font-size: .87em; font-variant-numeric: tabular-nums; display: block; overflow-x: auto }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; vertical-align: top }
th { white-space: normal } th:first-child, td:first-child { position: sticky; left: 0; background: Canvas; padding-left: 0 }
.long { white-space: normal; min-width: 18rem }
li, dd, .said > *, .note { overflow-wrap: anywhere }
figure { margin: .5rem 0 } figcaption { font-weight: 600 }
.note, dt, figcaption small { color: var(--dim) } svg { max-width: 100%; height: auto }
svg text { font: 12px system-ui, sans-serif; fill: currentColor }
svg .bar { fill: var(--bar) } svg .ink { stroke: currentColor; stroke-width: 1.5 }
svg .axis { fill: none; stroke: var(--dim) }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(25rem, 100%), 1fr)); gap: .5rem 2rem }
details { border-bottom: 1px solid var(--line); padding: .3rem 0 } summary { cursor: pointer }
.said { display: grid; grid-template-columns: 5rem 1fr; gap: .2rem 1rem; margin: .6rem 0 } .said > :nth-child(odd) { color: var(--dim) }
@media print { table { font-size: .7em; overflow: visible } th, td { padding: .15rem .3rem } .pictures { break-inside: avoid } }
"""

_LONG = 48
"""Characters from which a cell may break into lines."""
Picture = tuple[str, str]
"""Caption and SVG."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One conversation of the appendix: a heading, what was said (role, text), and lines on what was judged."""

    title: str
    messages: Sequence[tuple[str, str]]
    verdicts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """What the page shows. `pictures` stand above the section of that id, "" at the top."""

    title: str
    facts: Sequence[str]
    sections: Sequence[Section]
    pictures: Mapping[str, Sequence[Picture]]
    notes: Sequence[str]
    rubric: Mapping[str, str]
    talks: Sequence[Talk]


def page(found: Page) -> str:
    """The page as one string. All words are escaped and cleaned."""
    parts = [f"<h1>{_text(found.title)}</h1>", _list(found.facts), _list(found.notes), *_pictures(found, "")]
    for section in found.sections:
        parts.append(f'<h2 id="{_text(section.id)}">{_text(section.title)}</h2>')
        parts += [f'<p class="note">{_text(section.note)}</p>' if section.note else "", *_pictures(found, section.id)]
        parts.append(_table(section.rows))
    if found.talks:
        parts.append("<h2>Conversations that scored lowest</h2>")
        parts += [_talk(talk) for talk in found.talks]
    if found.rubric:
        parts += ["<h2>Rubric</h2><dl>"]
        parts += [f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in found.rubric.items()]
        parts.append("</dl>")
    body = "\n".join(part for part in parts if part)
    title = _text(found.title)
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    policy = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    return (
        f'<!doctype html><html lang="en"><head>{head}{policy}<style>{_STYLE}</style></head><body>{body}</body></html>\n'
    )


def _pictures(found: Page, section: str) -> list[str]:
    drawn = [
        f"<figure><figcaption>{_text(name)}</figcaption>{svg}</figure>"
        for name, svg in found.pictures.get(section, ())
        if svg
    ]
    return ['<div class="pictures">', *drawn, "</div>"] if drawn else []


def _talk(talk: Talk) -> str:
    said = "".join(f"<div>{_text(role)}</div><div>{_text(text)}</div>" for role, text in talk.messages)
    return (
        f'<details><summary>{_text(talk.title)}</summary><div class="said">{said}</div>{_list(talk.verdicts)}</details>'
    )


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{_text(cell)}</th>" for cell in rows[0])
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows[1:])
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(words: str) -> str:
    return f"<td{' class=long' if len(words) > _LONG else ''}>{_text(words)}</td>"


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{_text(line)}</li>" for line in lines) + "</ul>" if lines else ""


def _text(words: str) -> str:
    return escape(clean(words))
