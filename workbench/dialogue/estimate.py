"""What writing dialogues with a model will take: tokens, dollars and time, from the real requests of a sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.dialogue.model import Scenario
from workbench.dialogue.model_writer import Writer
from workbench.dialogue.outline import Turn, outline
from workbench.dialogue.prompting import turn_request, whole_request
from workbench.models.client import Request, Usage
from workbench.models.prices import BATCH_SHARE, Price
from workbench.store.calls import call_totals
from workbench.store.record import Record
from workbench.workflow.model import Workflow

CHARACTERS_A_TOKEN = 4
"""The usual rule for English; the estimate says that it is one."""
LONGER = 1.3
"""Models say the same in more words than the workflow file's phrasings."""
ASSUMED_CONCURRENCY = 8
_ASSUMED_DELAY_S, _ASSUMED_TOKENS_A_SECOND = 1.0, 60.0
_LEAST_CALLS = 20


@dataclass(frozen=True, slots=True)
class Estimate:
    """`dollars` None: a price is unknown. `seconds` None: a batch, which takes up to a day. `basis`: where it is from. `free`:
    no money is owed, whatever a price says of the machine's time.
    """

    dialogues: int
    calls: int
    input: int
    output: int
    dollars: float | None
    seconds: float | None
    basis: str
    free: bool = False


def estimate(
    rec: Record,
    workflow: Workflow,
    sample: Sequence[Scenario],
    dialogues: int,
    writer: Writer,
    prices: tuple[Price | None, Price | None],
    *,
    free: bool = False,
    batch: bool = False,
    concurrency: int | None = None,
) -> Estimate:
    """For `dialogues` like those of `sample`. `prices` are the writer's and the user's model's; without the prompt
    cache and without repeated replies, so that it errs on neither side by much. `free` as there.
    """
    agent = user = Usage()
    calls = 0
    for scenario in sample:
        turns = outline(workflow, scenario)
        for role, request, said in _requests(workflow, scenario, turns, writer):
            calls += 1
            tokens = Usage(_tokens(request), round(len(said) * LONGER) // CHARACTERS_A_TOKEN)
            agent, user = (agent + tokens, user) if role == "agent" else (agent, user + tokens)
    scale = dialogues / len(sample) if sample else 0.0
    both = agent + user
    share = BATCH_SHARE if batch else 1.0
    known = (agent == Usage() or prices[0] is not None) and (user == Usage() or prices[1] is not None)
    paid = sum(p.cost(u) for p, u in zip(prices, (agent, user), strict=True) if p is not None) * scale * share
    per_call, basis = _seconds_a_call(rec, writer.model, both.output / calls if calls else 0.0)
    width = concurrency or ASSUMED_CONCURRENCY
    basis += f", {concurrency} at once" if concurrency else f", {width} at once on average"
    return Estimate(
        dialogues=dialogues,
        calls=round(calls * scale),
        input=round(both.input * scale),
        output=round(both.output * scale),
        dollars=paid if known else None,
        free=free,
        seconds=None if batch else per_call * calls * scale / min(width, max(1, dialogues)),
        basis=f"{len(sample)} dialogues of the plan, {CHARACTERS_A_TOKEN} characters a token; "
        + ("batches take up to a day" if batch else basis),
    )


def _requests(
    workflow: Workflow, scenario: Scenario, turns: Sequence[Turn], writer: Writer
) -> list[tuple[str, Request, str]]:
    """Every call that a dialogue takes: whose, the request, and what the reply will be like."""
    if writer.manner != "turns":
        reply = json.dumps({"messages": [{"n": n, "text": turn.meaning} for n, turn in enumerate(turns, 1)]})
        return [("agent", whole_request(workflow, scenario, turns, writer.manner), reply)]
    history = [turn.message for turn in turns]
    return [
        (turn.role, turn_request(workflow, scenario, history[:index], turn), turn.meaning)
        for index, turn in enumerate(turns)
    ]


def _tokens(request: Request) -> int:
    return sum(len(message.content) for message in request.messages) // CHARACTERS_A_TOKEN


def _seconds_a_call(rec: Record, model: str, output: float) -> tuple[float, str]:
    """From the ledger where it has enough calls of this model by a writer, else from an assumption that is named."""
    past = [t for t in call_totals(rec) if t.model == model and t.purpose in ("writer", "user")]
    calls = sum(t.calls - t.errors for t in past)
    if calls >= _LEAST_CALLS:
        per_token = sum(t.latency for t in past) / max(1, sum(t.output for t in past))
        return per_token * output, f"speed of {calls} earlier calls"
    seconds = _ASSUMED_DELAY_S + output / _ASSUMED_TOKENS_A_SECOND
    return seconds, f"assuming {_ASSUMED_DELAY_S:g} s + {_ASSUMED_TOKENS_A_SECOND:g} tokens/s a call"
