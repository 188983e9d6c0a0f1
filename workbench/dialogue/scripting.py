"""The scripted writer on a cluster: a handful of scenarios an item, since one is written in a millisecond or two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from workbench.dialogue.generation import Faults, Order, Scripted, write_checked
from workbench.dialogue.model import Dialogue, Scenario
from workbench.errors import ServiceError
from workbench.jobs.context import JobContext
from workbench.jobs.settings import Settings
from workbench.models.client import Client
from workbench.models.ledger import LedgerClient
from workbench.models.limiter import Limiter, each
from workbench.spread.work import Desk, Poisoned, open_place
from workbench.store.dialogues import put_dialogues
from workbench.store.record import Record
from workbench.workflow.model import Workflow

_HANDFUL = 50
_AHEAD = 3
"""Items that a worker is given at once, so that it need not wait for the next one."""


@dataclass(frozen=True, slots=True)
class Script:
    """The work of some scripted dialogues."""

    workflow: Workflow

    async def __call__(self, scenarios: Sequence[Scenario], desk: Desk) -> list[tuple[Dialogue, Faults]]:
        """The dialogues, each with what is wrong with it."""
        return [write_checked(self.workflow, scenario) for scenario in scenarios]


async def write_spread(rec: Record, workflow: Workflow, order: Order, ctx: JobContext) -> Mapping[str, int]:
    """`write_all` on the cluster that the job's settings name. Raises ServiceError for dialogues that cannot be written."""
    session, work = Scripted(rec, workflow, order, ctx), Script(workflow)
    place = await open_place(ctx, _no_model, (), _no_ledger)
    failed = 0

    async def some(scenarios: Sequence[Scenario]) -> None:
        nonlocal failed
        try:
            written = await place.do(work, scenarios)
        except Poisoned as error:
            failed += len(scenarios)
            ctx.log(f"not written, scenarios {', '.join(s.id for s in scenarios)}: {error}")
            return
        entries = (session.entry(dialogue, faults) for dialogue, faults in written)
        session.tally["new"] += put_dialogues(rec, (entry for entry in entries if entry is not None))

    missing = session.missing()
    try:
        handfuls = iter(lambda: tuple(islice(missing, _HANDFUL)), ())
        await each(handfuls, some, Limiter(lambda: Settings(concurrency=_AHEAD * place.workers)))
    finally:
        await place.close()
    if failed:
        raise ServiceError(f"{failed} dialogues cannot be written (see the log); the others are kept")
    return session.end()


def _no_model(name: str) -> Client:
    raise AssertionError("the scripted writer calls no model")


def _no_ledger(name: str, attempts: Client) -> LedgerClient:
    raise AssertionError("the scripted writer calls no model")
