"""Mermaid flowcharts, read and written. The forms of nodes tell roles: rounded user, diamond hub, stadium terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from workbench.errors import UserError
from workbench.workflow.draw.model import label as line_of
from workbench.workflow.exchange.chart import Chart, Kind, Link, plain_text
from workbench.workflow.model import Workflow

_HEADER = re.compile(r"^(flowchart(-elk)?|graph)\b\s*(TB|TD|BT|RL|LR|>|<|\^|v)?\s*;?\s*", re.I)
_ID = re.compile(r"[^\W_](?:[\w]|[-.](?=\w))*|_+\w+", re.U)
_FORMS: tuple[tuple[str, str, Kind], ...] = (
    ("(((", ")))", "terminal"), ("((", "))", "start"), ("([", "])", ""), ("[[", "]]", ""), ("[(", ")]", ""),
    ("[/", "/]", "user"), ("[\\", "\\]", "user"), ("[/", "\\]", ""), ("[\\", "/]", ""), ("{{", "}}", ""),
    ("{", "}", "decision"), ("[", "]", ""), ("(", ")", ""), (">", "]", ""),
)  # fmt: skip
_LINK = re.compile(
    r"\s*(?:[\w-]+@)?(?P<arrow>(?P<left>[<xo](?=[-=]))?(?P<body>--+|==+|-\.+-?|~~~+)(?P<head>[>xo](?![\w])|>)?)"
)
_TEXT_LINK = re.compile(
    r"\s*(?P<open>--|==|-\.)\s+(?P<text>\"[^\"]*\"|[^|]*?)\s*(?P<close>--+[>xo]?|==+[>xo]?|\.+-[>xo]?)(?=[\s\w\"(\[{]|$)"
)
_SKIPPED = re.compile(r"^(classDef|style|linkStyle|click|accTitle|accDescr|direction)\b", re.I)
_NEW_FORMS: dict[str, Kind] = {
    "diam": "decision", "diamond": "decision", "decision": "decision", "circle": "start", "circ": "start", "sm-circ": "start",
    "start": "start", "dbl-circ": "terminal", "stop": "terminal", "fr-circ": "terminal", "framed-circle": "terminal",
    "manual-input": "user", "sl-rect": "user", "lean-r": "user", "in-out": "user",
}  # fmt: skip


def read(text: str) -> Chart:
    """Read a flowchart. Raises UserError (line) for another kind of diagram or a line that cannot be read."""
    chart = Chart()
    groups: list[str] = []
    seen_header = False
    for number, line in _statements(text, chart):
        if not seen_header:
            header = _HEADER.match(line)
            if not header:
                raise UserError(f"line {number}: not a Mermaid flowchart; it begins with 'flowchart TD' or 'graph TD'")
            seen_header, line = True, line[header.end() :]
        if line:
            _statement(line, number, chart, groups)
    if not seen_header:
        raise UserError("line 1: not a Mermaid flowchart; it begins with 'flowchart TD' or 'graph TD'")
    return chart


def _statements(text: str, chart: Chart) -> Iterator[tuple[int, str]]:
    """Statements with their line numbers: without front matter, comments and fences, split at semicolons."""
    lines = text.replace("\r\n", "\n").split("\n")
    start = 0
    if lines and lines[0].strip() == "---":
        start = next((i + 1 for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), 0)
        for line in lines[1:start]:
            if line.strip().startswith("title:"):
                chart.title = plain_text(line.partition(":")[2].strip(" \"'"))
    for number, line in enumerate(lines[start:], start + 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("%%", "```")):
            continue
        for part in re.split(r";(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)(?<!&nbsp;)(?<!#quot;)", stripped):
            if part.strip():
                yield number, part.strip()


def _statement(line: str, number: int, chart: Chart, groups: list[str]) -> None:
    word = line.split(None, 1)[0]
    if word == "subgraph":
        name = re.sub(r"^[\w-]+\s*\[(.*)\]$", r"\1", line[len("subgraph") :].strip()).strip('" ')
        groups.append(plain_text(name))
        chart.lose(f"the subgraph '{groups[-1]}' (its nodes are kept)")
    elif word == "end":
        if groups:
            groups.pop()
    elif _SKIPPED.match(line) or (word == "class" and "[" not in line):
        if not line.lower().startswith(("acc", "direction")):
            chart.lose({"click": "click actions"}.get(word, "colours and styles"))
    else:
        _chain(line, number, chart, groups[-1] if groups else "")


def _chain(line: str, number: int, chart: Chart, lane: str) -> None:
    """`A & B -->|text| C[label] --> D`: every node of a group is linked to every node of the next."""
    position, sources = _group(line, 0, number, chart, lane)
    while position < len(line):
        label, position, drawn = _arrow(line, position, number)
        position, targets = _group(line, position, number, chart, lane)
        for source in sources if drawn != "~" else ():
            for target in targets:
                chart.links.append(Link(source, target, label))
                if drawn == "<":
                    chart.links.append(Link(target, source, label))
                if drawn == "-":
                    chart.lose(f"line {number}: a line without an arrow head is read as an arrow")
        sources = targets


def _arrow(line: str, position: int, number: int) -> tuple[str, int, str]:
    told = _TEXT_LINK.match(line, position)
    if told and not line[position:].lstrip().startswith(("-->", "---", "==>", "===", "-.-", "-.->")):
        return _decoded(told["text"].strip('"')), told.end(), ">" if told["close"][-1] in ">xo" else "-"
    found = _LINK.match(line, position)
    if not found:
        raise UserError(f"line {number}: cannot read '{line_of(line[position:], 40)}' as an arrow")
    end, label = found.end(), ""
    bar = re.compile(r"\s*\|([^|]*)\|").match(line, end)
    if bar:
        label, end = _decoded(bar[1].strip().strip('"')), bar.end()
    drawn = "~" if found["body"].startswith("~") else "<" if found["left"] == "<" else ">" if found["head"] else "-"
    return label, end, drawn


def _group(line: str, position: int, number: int, chart: Chart, lane: str) -> tuple[int, list[str]]:
    nodes = []
    while True:
        node, position = _node(line, position, number, chart, lane)
        nodes.append(node)
        more = re.compile(r"\s*&\s*").match(line, position)
        if not more:
            return len(line) if not line[position:].strip() else position, nodes
        position = more.end()


def _node(line: str, position: int, number: int, chart: Chart, lane: str) -> tuple[str, int]:
    position += len(line[position:]) - len(line[position:].lstrip())
    found = _ID.match(line, position)
    if not found:
        raise UserError(f"line {number}: expected a node at '{line_of(line[position:], 40)}'")
    shape = chart.shape(found[0])
    shape.lane = shape.lane or lane
    position = found.end()
    if line.startswith("@{", position):
        end = line.find("}", position)
        if end < 0:
            raise UserError(f"line {number}: '@{{' is not closed")
        fields = dict(re.findall(r"(\w+)\s*:\s*(\"[^\"]*\"|[^,}]+)", line[position:end]))
        shape.label = plain_text(fields.get("label", shape.label).strip('" '))
        shape.kind = _NEW_FORMS.get(fields.get("shape", "").strip('" '), shape.kind)
        position = end + 1
    else:
        position = _form(line, position, number, chart, found[0])
    classes = re.compile(r":::([\w-]+)").match(line, position)
    if classes:
        kinds: dict[str, Kind] = {"user": "user", "agent": "agent", "hub": "agent", "terminal": "terminal"}
        shape.kind = kinds.get(classes[1], shape.kind)
        shape.start = shape.start or classes[1] in ("start", "first")
        position = classes.end()
        if more := re.compile(r":::([\w-]+)").match(line, position):
            shape.start, position = shape.start or more[1] == "start", more.end()
    return found[0], position


def _decoded(label: str) -> str:
    """Mermaid writes entities as `#quot;` and `#9829;`."""
    entities = re.sub(r"#(\w+);", lambda m: f"&#{m[1]};" if m[1].isdecimal() else f"&{m[1]};", label)
    return plain_text(entities)


def _form(line: str, position: int, number: int, chart: Chart, name: str) -> int:
    for opening, closing, kind in _FORMS:
        if not line.startswith(opening, position):
            continue
        begin = position + len(opening)
        quoted = re.compile(r'\s*"((?:[^"])*)"\s*').match(line, begin)
        end = line.find(closing, quoted.end() if quoted else begin)
        if end < 0 or (quoted and quoted.end() != end):
            continue
        shape = chart.shape(name)
        text = quoted[1] if quoted else line[begin:end]
        shape.label, shape.kind = _decoded(text.strip().strip("`")), kind or shape.kind
        return end + len(closing)
    if line[position : position + 1] in ("[", "(", "{"):
        raise UserError(f"line {number}: the bracket after '{line_of(name, 40)}' is not closed")
    return position


def write(workflow: Workflow) -> str:
    """A flowchart that GitHub and the Mermaid editor show; read back, it has the same nodes, roles, edges, conditions."""
    lines = ["---", f"title: {line_of(workflow.title)}", "---", "flowchart TD"]
    for node in workflow.nodes.values():
        role = "hub" if node.id in workflow.hubs else node.role
        opening, closing = {"hub": ("{", "}"), "user": ("(", ")"), "terminal": ("([", "])")}.get(role, ("[", "]"))
        start = ":::start" if node.id == workflow.start else ""
        text = line_of(node.prompt or node.id, 300)
        lines.append(f'    {_safe_id(node.id)}{opening}"{_escape(text)}"{closing}:::{role}{start}')
    for edge in workflow.edges:
        label = f'|"{_escape(line_of(edge.condition, 300))}"|' if edge.condition else ""
        lines.append(f"    {_safe_id(edge.source)} -->{label} {_safe_id(edge.target)}")
    lines += ["    classDef user fill:#ddf4ff,stroke:#57606a", "    classDef hub fill:#fff8c5,stroke:#57606a",
              "    classDef terminal fill:#dafbe1,stroke:#57606a"]  # fmt: skip
    return "\n".join(lines) + "\n"


def _safe_id(name: str) -> str:
    return f"{name}_" if name.lower() in ("end", "graph", "subgraph", "class", "style", "click", "default") else name


def _escape(text: str) -> str:
    return (
        text.replace("&", "#amp;")
        .replace('"', "#quot;")
        .replace("<", "#lt;")
        .replace(">", "#gt;")
        .replace("|", "#124;")
    )
