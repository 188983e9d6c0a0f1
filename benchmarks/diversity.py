"""Are 3,000 scripted insurance dialogues each other's copies? Distinct-n, whole copies and near duplicates.

The rival is the same writer held to the first wording of every place: what a file with one wording each would give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from common import Finding, main

from workbench.dialogue.diversity import distinct, near_duplicates
from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model import Dialogue
from workbench.dialogue.scripted import write
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Move, Node, Phrasing, Workflow

WORKFLOW = "insurance_claims"
DIALOGUES = 3000
OVERLAPS = (0.9, 0.8, 0.7)


def written(workflow: Workflow, amount: int) -> list[Dialogue]:
    """Training dialogues over all paths, as `workbench dialogues generate` plans them."""
    order = Order(workflow.name, train=amount)
    return [write(workflow, s) for s in islice(planned_scenarios(workflow, order, "train"), amount)]


def one_wording(workflow: Workflow) -> Workflow:
    """The workflow with the first training wording of every place only."""

    def first(say: tuple[Phrasing, ...]) -> tuple[Phrasing, ...]:
        return tuple(replace(p, pool=replace(p.pool, training=p.pool.training[:1])) for p in say)

    def move(m: Move) -> Move:
        return replace(m, say=first(m.say))

    def node(n: Node) -> Node:
        return replace(n, say=first(n.say), moves=tuple(move(m) for m in n.moves))

    return replace(
        workflow,
        nodes={name: node(n) for name, n in workflow.nodes.items()},
        edges=tuple(replace(e, say=first(e.say)) for e in workflow.edges),
    )


def texts(dialogues: Sequence[Dialogue], role: str) -> list[str]:
    """All messages of one side."""
    return [m.text for d in dialogues for m in d.messages if m.role == role]


def measure(quick: bool) -> list[Finding]:
    """Ours beside the rival of the same size."""
    amount = 300 if quick else DIALOGUES
    workflow = load_workflow(WORKFLOW)
    ours, theirs = written(workflow, amount), written(one_wording(workflow), amount)
    findings = [Finding("dialogues", len(ours), "dialogues"), Finding("paths", len({d.path for d in ours}), "paths")]
    for role in ("user", "agent"):
        mine, rival = texts(ours, role), texts(theirs, role)
        findings.append(Finding(f"{role}: different messages of {len(mine)}", len(set(mine)) / len(mine), "share",
                                "one wording a place", len(set(mine)) / len(set(rival))))  # fmt: skip
        for n in (1, 2, 3):
            a, b = distinct(mine, n), distinct(rival, n)
            assert a is not None
            assert b is not None
            findings.append(Finding(f"{role}: distinct-{n}", a, "share", "one wording a place", a / b))
    whole = len({"\n".join(m.text for m in d.messages) for d in ours})
    findings.append(Finding("dialogues word for word like another", len(ours) - whole, "dialogues"))
    near, rivals = near_duplicates(ours, min(OVERLAPS)), near_duplicates(theirs, min(OVERLAPS))
    for least in OVERLAPS:
        mine_n, theirs_n = (sum(pair.overlap >= least for pair in found) for found in (near, rivals))
        findings.append(Finding(f"dialogues that share {least:.0%} of their word triples with an earlier one", mine_n,
                                "dialogues", f"one wording a place: {theirs_n:,}"))  # fmt: skip
    return findings


if __name__ == "__main__":
    main(measure, __doc__ or "")
