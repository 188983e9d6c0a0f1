"""BPMN 2.0 XML, read and written: user tasks are users, gateways are hubs, end events are terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from workbench.errors import UserError
from workbench.workflow.draw.layout import lay_out
from workbench.workflow.exchange.chart import Chart, Kind, Link, one_line
from workbench.workflow.exchange.xml import local, parse
from workbench.workflow.model import Workflow

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

OWN = "https://workbench.invalid/bpmn"
_KINDS: dict[str, Kind] = {
    "startEvent": "start", "endEvent": "terminal", "userTask": "user", "receiveTask": "user", "manualTask": "user",
    "exclusiveGateway": "decision", "inclusiveGateway": "decision", "eventBasedGateway": "decision",
    "complexGateway": "decision", "serviceTask": "agent", "sendTask": "agent", "scriptTask": "agent",
    "businessRuleTask": "agent",
}  # fmt: skip
_OTHERS = {"task", "parallelGateway", "intermediateCatchEvent", "intermediateThrowEvent", "callActivity", "subProcess",
           "transaction", "adHocSubProcess", "boundaryEvent"}  # fmt: skip
_DATA = {"dataObjectReference", "dataStoreReference", "textAnnotation"}


def read(text: str) -> Chart:
    """Read all processes of a file as one chart. Raises UserError for what is no BPMN."""
    root = parse(text)
    if local(root) != "definitions":
        raise UserError(f"not a BPMN file: its root is <{local(root)}>, not <definitions>")
    chart = Chart()
    processes = [element for element in root if local(element) == "process"]
    pools = {
        p.get("processRef"): p for c in root if local(c) == "collaboration" for p in c if local(p) == "participant"
    }
    for process in processes:
        pool = pools.get(process.get("id"))
        name = one_line((pool.get("name") if pool is not None else process.get("name")) or "")
        chart.title = chart.title or name
        _process(process, chart, name)
    for collaboration in (c for c in root if local(c) == "collaboration"):
        for element in collaboration:
            if local(element) == "messageFlow":
                chart.lose(f"a message flow{_named(element)}")
            if local(element) == "participant" and element.get("processRef") not in {p.get("id") for p in processes}:
                chart.lose(f"the pool{_named(element)} without a process")
    return chart


def _named(element: Element) -> str:
    name = one_line(element.get("name") or "")
    return f" '{name}'" if name else ""


def _process(process: Element, chart: Chart, pool: str) -> None:
    lanes = {
        (ref.text or "").strip(): one_line(lane.get("name") or "")
        for lane in process.iter()
        if local(lane) == "lane"
        for ref in lane
        if local(ref) == "flowNodeRef"
    }
    for element in process:
        tag, id = local(element), element.get("id", "")
        if tag in _KINDS or tag in _OTHERS:
            shape = chart.shape(id)
            shape.label, shape.kind = one_line(element.get("name") or ""), _KINDS.get(tag, "")
            shape.lane = lanes.get(id) or pool
            _own(element, chart, id)
            _notes(element, tag, chart)
        elif tag in _DATA:
            chart.lose(f"{'a note' if tag == 'textAnnotation' else 'data'}{_named(element)}")
    for element in process:
        if local(element) == "sequenceFlow":
            source, target = element.get("sourceRef", ""), element.get("targetRef", "")
            if source not in chart.shapes or target not in chart.shapes:
                chart.lose(f"a sequence flow{_named(element)} that is not connected at both ends")
                continue
            rule = next((c.text or "" for c in element if local(c) == "conditionExpression"), "")
            chart.links.append(Link(source, target, one_line(element.get("name") or rule)))
        elif local(element) == "boundaryEvent" and element.get("attachedToRef") in chart.shapes:
            label = one_line(element.get("name") or "interrupted")
            chart.links.append(Link(element.get("attachedToRef", ""), element.get("id", ""), label))


def _own(element: Element, chart: Chart, id: str) -> None:
    """What this product itself wrote into the file."""
    shape = chart.shapes[id]
    kinds: dict[str, Kind] = {"agent": "agent", "user": "user", "terminal": "terminal"}
    shape.kind = kinds.get(element.get(f"{{{OWN}}}role", ""), shape.kind)
    shape.outcome = element.get(f"{{{OWN}}}outcome", "")
    shape.start = element.get(f"{{{OWN}}}start") == "true"
    told = next((child.text or "" for child in element if local(child) == "documentation"), "")
    shape.prompt = one_line(told)


def _notes(element: Element, tag: str, chart: Chart) -> None:
    if tag in ("subProcess", "transaction", "adHocSubProcess") and len(element):
        inner = sum(local(child) in _KINDS or local(child) in _OTHERS for child in element)
        if inner:
            chart.lose(f"the inside of the sub-process{_named(element)} ({inner} nodes; it is one node here)")
    if tag == "parallelGateway":
        chart.lose(f"the parallel gateway{_named(element)} is read as a choice: a conversation has one thread")
    if any(local(child).endswith("EventDefinition") for child in element):
        kinds = {local(c).removesuffix("EventDefinition") for c in element if local(c).endswith("EventDefinition")}
        if kinds - {"terminate"}:
            chart.lose(f"the {', '.join(sorted(kinds))} definition of the event{_named(element)}")
    if any(local(child).endswith("LoopCharacteristics") for child in element):
        chart.lose(f"the repetition of the activity{_named(element)}")


def write(workflow: Workflow) -> str:
    """One executable process with its diagram, as BPMN editors open it."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" '
        'xmlns:bpmndi="http://www.omg.org/spec/BPMN/20100524/DI" xmlns:dc="http://www.omg.org/spec/DD/20100524/DC" '
        f'xmlns:di="http://www.omg.org/spec/DD/20100524/DI" xmlns:wb="{OWN}" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" id="definitions" targetNamespace="workbench">',
        f'  <bpmn:process id="process" name={quoteattr(workflow.title)} isExecutable="false">',
    ]
    for node in workflow.nodes.values():
        role = "hub" if node.id in workflow.hubs else node.role
        tag = {"hub": "exclusiveGateway", "user": "userTask", "terminal": "endEvent"}.get(role, "serviceTask")
        own = {
            "wb:role": node.role,
            "wb:outcome": node.outcome or "",
            "wb:start": "true" if node.id == workflow.start else "",
        }
        told = " ".join(f"{key}={quoteattr(value)}" for key, value in own.items() if value)
        lines.append(f'    <bpmn:{tag} id={quoteattr(node.id)} name={quoteattr(node.id)} {told}>'
                     f"<bpmn:documentation>{escape(node.prompt)}</bpmn:documentation></bpmn:{tag}>")  # fmt: skip
    for i, edge in enumerate(workflow.edges):
        name = f" name={quoteattr(edge.condition)}" if edge.condition else ""
        lines.append(f'    <bpmn:sequenceFlow id="flow-{i}"{name} sourceRef={quoteattr(edge.source)} '
                     f"targetRef={quoteattr(edge.target)}/>")  # fmt: skip
    return "\n".join([*lines, "  </bpmn:process>", *_diagram(workflow), "</bpmn:definitions>"]) + "\n"


def _diagram(workflow: Workflow) -> list[str]:
    layout = lay_out(workflow, dict.fromkeys(workflow.nodes, 14))
    lines = ['  <bpmndi:BPMNDiagram id="diagram"><bpmndi:BPMNPlane id="plane" bpmnElement="process">']
    for node, box in layout.boxes.items():
        lines.append(f'    <bpmndi:BPMNShape id={quoteattr(f"{node}_di")} bpmnElement={quoteattr(node)}><dc:Bounds '
                     f'x="{box.x * 8}" y="{box.y * 28}" width="110" height="60"/></bpmndi:BPMNShape>')  # fmt: skip
    for i, edge in enumerate(workflow.edges):
        points = [(x * 8, y * 28) for x, y in layout.routes.get(edge.id, ((0, 0), (0, 0)))]
        told = "".join(f'<di:waypoint x="{x}" y="{y}"/>' for x, y in points)
        lines.append(f'    <bpmndi:BPMNEdge id="flow-{i}_di" bpmnElement="flow-{i}">{told}</bpmndi:BPMNEdge>')
    return [*lines, "  </bpmndi:BPMNPlane></bpmndi:BPMNDiagram>"]
