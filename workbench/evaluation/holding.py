"""Holding an evaluation's conversations: agent after agent, many at once, each kept as soon as it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workbench.evaluation.keep import Held, keep
from workbench.evaluation.plan import Row, Rows, rows_left
from workbench.evaluation.services import Services
from workbench.evaluation.simulation import Simulation
from workbench.jobs.context import JobContext
from workbench.models.limiter import each
from workbench.spread.work import Poisoned
from workbench.store.record import Record

_TOLD = 20
"""Broken conversations told one by one in the log; the rest are in the count."""


class Holding:
    """One session of an evaluation's conversations. `broken` counts those that infrastructure broke in it."""

    def __init__(self, ctx: JobContext, rec: Record, simulation: Simulation, services: Services) -> None:
        self.ctx, self.rec, self.simulation, self.services = ctx, rec, simulation, services
        self.broken = self._done = self._total = 0

    async def run(self, table: Sequence[Rows]) -> None:
        """Agent after agent (local models would only fight for the same cores). Raises Stopped, BudgetSpent."""
        lefts = [sum(1 for _ in rows_left(self.rec, rows)) for rows in table]
        self._total = sum(len(rows) for rows in table)
        self._done = self._total - sum(lefts)
        for rows, left in zip(table, lefts, strict=True):
            if left and not self.ctx.stopping:
                agent = rows.agent
                self.ctx.stage(rows.condition, f"{left} conversations with {agent.text}")
                self.ctx.progress(self._done, self._total, "conversations", agent=rows.condition)
                await each(rows_left(self.rec, rows), self._hold, self.services.limiter(agent.model or agent.text))
        if self.broken:
            self.ctx.log(
                f"{self.broken} conversations were broken by infrastructure; the same command retries them alone"
            )

    async def _hold(self, row: Row) -> None:
        if self.ctx.stopping:
            return
        try:
            held = await self.services.place.do(self.simulation, row)
        except Poisoned as error:
            held = Held(replace(self.simulation.unheld(row), ended_by="error", totals={"error": str(error)}))
        if held is not None:
            self._keep(row, held)

    def _keep(self, row: Row, held: Held) -> None:
        keep(self.rec, held)
        if not held.is_missing:
            self.services.forget(row.id)
        self._done += not held.is_missing
        self.broken += held.is_missing
        if held.error and self.broken <= _TOLD:
            self.ctx.log(f"{row.condition}, scenario {row.scenario.id}: {held.error}")
        self.ctx.progress(self._done, self._total, "conversations", agent=row.condition, failed=self.broken)
